//! Raw mails by digest: the same bytes are stored once.
//!
//! Architecture invariant: bytes come back with the length they were stored with, or as an error.

use std::path::Path;

use redb::ReadableTable;

use super::fault::Fault;
use super::segments::{Place, SEGMENT_FROM_BYTES, Segments};
use super::tables::View;
use super::transaction::Tx;
use crate::core::mail::Digest;

/// Segment number that means a row of `raw_rows`.
pub(super) const IN_ROW: u32 = 0;

impl Tx<'_> {
    /// Stores bytes, unless they are there.
    pub(super) fn keep_raw(&mut self, digest: &Digest, bytes: &[u8]) -> Result<(), Fault> {
        if self.tables.raw_places.get(&digest.0)?.is_some() {
            return Ok(());
        }
        let place = if bytes.len() > SEGMENT_FROM_BYTES {
            let place = self.segments.append(bytes)?;
            (place.segment, place.offset, place.length)
        } else {
            let id = self.counters.raw;
            self.counters.raw += 1;
            self.tables.raw_rows.insert(id, bytes)?;
            (IN_ROW, id, bytes.len() as u64)
        };
        self.tables.raw_places.insert(&digest.0, place)?;
        Ok(())
    }

    /// Length of stored bytes; 0 if they are not there.
    pub(super) fn raw_bytes(&self, digest: &Digest) -> Result<u64, Fault> {
        Ok(self.tables.raw_places.get(&digest.0)?.map_or(0, |place| place.value().2))
    }
}

/// Length of stored bytes.
pub(super) fn length(view: &View, digest: &Digest) -> Result<Option<u64>, Fault> {
    Ok(view.raw_places.get(&digest.0)?.map(|place| place.value().2))
}

/// Reads bytes back.
pub(super) fn read(store: &Path, view: &View, digest: &Digest) -> Result<Option<Vec<u8>>, Fault> {
    let Some(place) = view.raw_places.get(&digest.0)? else { return Ok(None) };
    let (segment, offset, length) = place.value();
    if segment != IN_ROW {
        return Segments::read(store, Place { segment, offset, length }).map(Some);
    }
    let lost = || Fault::Row(format!("raw mail {digest:?} is damaged; restore a backup"));
    let bytes = view.raw_rows.get(offset)?.ok_or_else(lost)?.value().to_vec();
    if bytes.len() as u64 == length { Ok(Some(bytes)) } else { Err(lost()) }
}

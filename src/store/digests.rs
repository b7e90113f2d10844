//! Lines that wait for users' digests.
//!
//! A line is written with what it speaks of, and taken with the mail that it stands in: each in one
//! transaction. A crash in between leaves it where it was.

use std::sync::Arc;

use jiff::Timestamp;
use redb::ReadableTable;

use super::fault::Fault;
use super::rows::{LineRow, decode, encode};
use super::tables::View;
use super::transaction::Tx;
use crate::core::config::Config;
use crate::core::digest::{self, Due, LINES_MAX, Line};
use crate::core::outgoing::OutgoingId;
use crate::core::render::{self, Stationery};

impl Tx<'_> {
    /// Keeps a line for the digest of its user; one that it would not list is only counted.
    pub(super) fn put_line(&mut self, line: Line) -> Result<(), Fault> {
        let (who, id) = (line.who.clone(), self.counters.digest);
        let before = self.lines_of(&who)?;
        self.tables.digest_counts.insert(who.as_str(), before + 1)?;
        if before >= LINES_MAX as u64 {
            return Ok(());
        }
        let row = encode(&LineRow::from(line));
        self.tables.digest_lines.insert((who.as_str(), id), row.as_slice())?;
        self.counters.digest += 1;
        Ok(())
    }

    fn lines_of(&self, who: &str) -> Result<u64, Fault> {
        Ok(self.tables.digest_counts.get(who)?.map_or(0, |count| count.value()))
    }

    /// Owes this user his digest if its time has come, and takes its lines; drops them if he is
    /// told nothing any more. Answers whether a mail is owed.
    ///
    /// Without a sender nothing happens: the lines wait for one.
    pub(super) fn send_digest(
        &mut self,
        config: &Arc<Config>,
        who: &str,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        let mut ids = Vec::new();
        let mut lines = Vec::new();
        for row in self.tables.digest_lines.range((who, 0)..=(who, u64::MAX))? {
            let (key, row) = row?;
            ids.push(key.value().1);
            if lines.len() < LINES_MAX {
                lines.push(decode::<LineRow>(row.value())?.line(who)?);
            }
        }
        let Some(first) = lines.first() else { return Ok(false) };
        let total = usize::try_from(self.lines_of(who)?).unwrap_or(usize::MAX).max(lines.len());
        let owed = match digest::due(config, who, first.at, now) {
            Due::Wait(_) => return Ok(false),
            Due::Drop => None,
            Due::Send(user) => {
                let id = OutgoingId(self.counters.outgoing);
                let key = self.desk_key.clone();
                let stationery = Stationery { config, key: &key, now };
                let mail = render::digest::mail(stationery, user, &lines, total, id);
                let Some(mail) = mail else { return Ok(false) };
                Some(mail)
            }
        };
        for id in ids {
            self.tables.digest_lines.remove((who, id))?;
        }
        self.tables.digest_counts.remove(who)?;
        match owed {
            Some(mail) => self.enqueue(mail).map(|()| true),
            None => Ok(false),
        }
    }

    /// The lines of a renamed user wait under the new name.
    pub(super) fn rename_lines(&mut self, from: &str, to: &str) -> Result<bool, Fault> {
        let mut moved = Vec::new();
        for row in self.tables.digest_lines.range((from, 0)..=(from, u64::MAX))? {
            let (key, row) = row?;
            moved.push((key.value().1, row.value().to_vec()));
        }
        for (id, row) in &moved {
            self.tables.digest_lines.remove((from, *id))?;
            self.tables.digest_lines.insert((to, *id), row.as_slice())?;
        }
        let count = self.tables.digest_counts.remove(from)?.map_or(0, |count| count.value());
        if count > 0 {
            self.tables.digest_counts.insert(to, count + self.lines_of(to)?)?;
        }
        Ok(!moved.is_empty())
    }
}

/// Users for whom lines wait, each with the time of the oldest one.
pub(super) fn waiting(view: &View) -> Result<Vec<(String, Timestamp)>, Fault> {
    let mut found: Vec<(String, Timestamp)> = Vec::new();
    let mut next = view.digest_lines.first()?;
    while let Some((key, row)) = next {
        let who = key.value().0.to_owned();
        found.push((who.clone(), decode::<LineRow>(row.value())?.at));
        // The smallest key of any other user: no text lies between this one and that.
        let following = format!("{who}\0");
        next = view.digest_lines.range((following.as_str(), 0)..)?.next().transpose()?;
    }
    Ok(found)
}

//! How many bytes of mails all requests and answers may hold together.
//!
//! Mails are the only large things that travel over HTTP: in the bodies of `explain` and `replay`, in
//! downloads, and while a page is made of one. Each is counted before it is read, and for as long as
//! anybody holds it: the bytes of a download until the last of them went to its reader.
//!
//! Architecture invariant: a request counts once, for all that it will hold. So no two requests
//! ever wait for what the other one holds.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// Bytes of mails that are held at a time.
pub const MAIL_MEMORY_BYTES_MAX: u64 = 160 * 1024 * 1024;
/// A request that waits for room is refused after this time.
const WAIT_SECS: u64 = 5;
/// What one permit stands for.
const UNIT_BYTES: u64 = 1024;
/// Permits there are.
const UNITS: u32 = (MAIL_MEMORY_BYTES_MAX / UNIT_BYTES) as u32;

/// The room there is; clones share it.
#[derive(Clone)]
pub struct MailMemory(Arc<Semaphore>);

/// Room that is taken until this is dropped.
pub struct Room(OwnedSemaphorePermit);

/// Bytes of a mail with the room they take.
pub struct HeldMail {
    bytes: Vec<u8>,
    room: Room,
}

impl Default for MailMemory {
    fn default() -> MailMemory {
        MailMemory(Arc::new(Semaphore::new(UNITS as usize)))
    }
}

impl MailMemory {
    /// Takes room for so many bytes. More than there is takes all of it.
    pub async fn take(&self, bytes: u64) -> Result<Room, Problem> {
        let taken = self.0.clone().acquire_many_owned(units(bytes));
        match tokio::time::timeout(Duration::from_secs(WAIT_SECS), taken).await {
            Ok(Ok(permit)) => Ok(Room(permit)),
            Ok(Err(_)) | Err(_) => {
                let detail = "other requests hold as many bytes of mails as may be held at a time";
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).hint("try again later"))
            }
        }
    }
}

impl Room {
    /// Puts a mail into it.
    pub fn hold(self, bytes: Vec<u8>) -> HeldMail {
        HeldMail { bytes, room: self }
    }
}

impl HeldMail {
    /// Puts what was made of the mail in its place, and gives back the room that is left.
    pub fn replace(mut self, bytes: Vec<u8>) -> HeldMail {
        let left = self.room.0.num_permits().saturating_sub(units(bytes.len() as u64) as usize);
        drop(self.room.0.split(left));
        HeldMail { bytes, room: self.room }
    }
}

impl Deref for HeldMail {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for HeldMail {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The room is taken until the last of the bytes is gone: the server may still be sending them when
/// it has let go of the answer.
impl From<HeldMail> for Bytes {
    fn from(held: HeldMail) -> Bytes {
        Bytes::from_owner(held)
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).map_or(UNITS, |units| units.min(UNITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn beyond_the_bound_a_request_waits_and_is_refused() {
        let memory = MailMemory::default();
        let held = memory.take(MAIL_MEMORY_BYTES_MAX - 1024).await.unwrap().hold(Vec::new());
        let small = memory.take(1024).await.unwrap();
        let refused = memory.take(1).await.err().unwrap();
        assert_eq!(refused.status, 503);
        drop(small);
        assert!(memory.take(1024).await.is_ok());
        let sent = Bytes::from(held);
        let last = sent.slice(..0);
        drop(sent);
        drop(last);
        assert!(memory.take(u64::MAX).await.is_ok(), "more than there is takes all of it");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_count_until_the_last_of_them_is_sent() {
        let memory = MailMemory::default();
        let room = memory.take(MAIL_MEMORY_BYTES_MAX).await.unwrap();
        let bytes = Bytes::from(room.hold(vec![7; 2048]));
        let tail = bytes.slice(2000..);
        drop(bytes);
        assert!(memory.take(1).await.is_err());
        drop(tail);
        assert!(memory.take(1).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_made_of_a_mail_takes_no_more_than_it_needs() {
        let memory = MailMemory::default();
        let held = memory.take(MAIL_MEMORY_BYTES_MAX).await.unwrap().hold(vec![0; 4096]);
        let part = held.replace(vec![0; 2048]);
        assert!(memory.take(MAIL_MEMORY_BYTES_MAX - 2048).await.is_ok());
        assert_eq!(part.len(), 2048);
    }
}

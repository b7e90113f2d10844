//! A transfer of mails, which takes room that others wait for while it lasts.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::mailbox::MailboxError;
use crate::run::gate::{Gate, Standing};

/// A transfer that takes longer is slow. A batch of 4 MiB may take a quarter of an hour before its
/// own deadline is over.
pub(super) const SLOW_AFTER: Duration = Duration::from_secs(20);

/// Waits for a transfer that has room for this many bytes. When it turns out to be slow it gives
/// this room back for some among the slow, or is given up if there is none: who is slow once begins
/// there the next time.
pub(super) async fn transfer<T>(
    gate: &Gate,
    bytes: u64,
    standing: Standing,
    room: &mut OwnedSemaphorePermit,
    work: impl Future<Output = Result<T, MailboxError>>,
) -> Result<T, MailboxError> {
    let mut work = pin!(work);
    if standing != Standing::Doubtful {
        match timeout(SLOW_AFTER, work.as_mut()).await {
            Ok(done) => return done,
            Err(_) => {
                let among_the_slow = gate.bytes_now(bytes, Standing::Doubtful);
                *room = among_the_slow.ok_or(MailboxError::Timeout("a slow transfer"))?;
            }
        }
    }
    work.await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::gate::{DOUBTFUL_BYTES_MAX, IN_FLIGHT_BYTES_MAX};

    async fn takes(secs: u64) -> Result<u64, MailboxError> {
        tokio::time::sleep(Duration::from_secs(secs)).await;
        Ok(secs)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_transfer_gives_its_room_back() {
        let gate = Gate::default();
        let all = IN_FLIGHT_BYTES_MAX;
        let mut room = gate.bytes(all, Standing::Good).await;
        let quick = transfer(&gate, all, Standing::Good, &mut room, takes(10)).await;
        assert_eq!(quick.unwrap(), 10);
        assert!(gate.bytes_now(1, Standing::Good).is_none());
        let slow = async {
            let done = transfer(&gate, all, Standing::Good, &mut room, takes(600)).await;
            (done.unwrap(), room)
        };
        let meanwhile = async {
            tokio::time::sleep(SLOW_AFTER * 2).await;
            (gate.bytes_now(all, Standing::Good), gate.bytes_now(1, Standing::Doubtful))
        };
        let ((done, _room), (free, among_the_slow)) = tokio::join!(slow, meanwhile);
        assert_eq!(done, 600);
        assert!(free.is_some() && among_the_slow.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_among_the_slow_it_is_given_up() {
        let gate = Gate::default();
        let _taken = gate.bytes(DOUBTFUL_BYTES_MAX, Standing::Doubtful).await;
        let mut room = gate.bytes(1, Standing::Good).await;
        let given_up = transfer(&gate, 1, Standing::Good, &mut room, takes(600)).await;
        assert!(matches!(given_up, Err(MailboxError::Timeout(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn among_the_slow_it_takes_its_time() {
        let gate = Gate::default();
        let mut room = gate.bytes(DOUBTFUL_BYTES_MAX, Standing::Doubtful).await;
        let done = transfer(&gate, 1, Standing::Doubtful, &mut room, takes(600)).await;
        assert_eq!(done.unwrap(), 600);
    }
}

//! The way into a mailbox, which takes a place that others wait for while it lasts.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use super::Ended;
use crate::run::gate::{Pass, Standing};

/// A server that takes longer to let us in may be one that never does. Others wait for the place
/// meanwhile, above all at a start, when nobody is known yet: its own deadline is a minute or more.
pub(super) const LATE_AFTER: Duration = Duration::from_secs(2);

/// Waits until the server lets us in. When it is late, the place is given back for one among the
/// doubtful; `None` if there is none.
pub(super) async fn opening<T>(
    standing: Standing,
    pass: &mut Pass,
    work: impl Future<Output = Result<T, Ended>>,
) -> Result<Option<T>, Ended> {
    let mut work = pin!(work);
    if standing != Standing::Doubtful {
        match timeout(LATE_AFTER, work.as_mut()).await {
            Ok(opened) => return opened.map(Some),
            Err(_) if pass.is_now_doubtful() => {}
            Err(_) => return Ok(None),
        }
    }
    work.await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::gate::{DOUBTFUL_SESSIONS_MAX, Gate};

    async fn takes(secs: u64) -> Result<u64, Ended> {
        tokio::time::sleep(Duration::from_secs(secs)).await;
        Ok(secs)
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_late_goes_on_among_the_doubtful() {
        let gate = Gate::default();
        let mut pass = gate.session("mx", 2, Standing::New).await;
        let free = gate.free(Standing::New);
        let opened = opening(Standing::New, &mut pass, takes(1)).await;
        assert_eq!((opened.unwrap(), gate.free(Standing::New)), (Some(1), free));
        let opened = opening(Standing::New, &mut pass, takes(50)).await;
        assert_eq!((opened.unwrap(), gate.free(Standing::New)), (Some(50), free + 1));
        assert_eq!(gate.free(Standing::Doubtful), DOUBTFUL_SESSIONS_MAX - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_place_there_it_ends() {
        let gate = Gate::default();
        let mut pass = gate.session("mx", 2, Standing::New).await;
        let mut others = Vec::new();
        while gate.free(Standing::Doubtful) > 0 {
            let host = others.len().to_string();
            others.push(gate.session(&host, 2, Standing::Doubtful).await);
        }
        let given_up = opening(Standing::New, &mut pass, takes(50)).await;
        assert_eq!(given_up.unwrap(), None);
        // Who has such a place already takes his time.
        let opened = opening(Standing::Doubtful, &mut pass, takes(50)).await;
        assert_eq!(opened.unwrap(), Some(50));
    }
}

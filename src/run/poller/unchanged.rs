//! Whether a mailbox needs to be listed at all. A listing costs about a hundred bytes for each mail
//! that lies there; Gmail gives an account 2,500 MB a day (support.google.com/a/answer/1071518) and
//! then closes it for a day. Where the server says by itself that nothing has come or gone, the last
//! look still holds.
//!
//! Architecture invariant: only a look that left nothing to do is remembered, and only for the same
//! declaration of the account.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::core::config::{Account, Only};
use crate::mailbox::FolderState;

/// How often everything is listed all the same: the ledger is compared with it, and a server may
/// be wrong about what has changed.
pub const LIST_EVERY: SignedDuration = SignedDuration::from_hours(6);

/// The last look after which nothing was left to do.
#[derive(Default)]
pub struct Unchanged(Option<Looked>);

struct Looked {
    state: FolderState,
    account: Arc<Account>,
    listed: Timestamp,
}

impl Unchanged {
    /// Whether everything was looked at and nothing has changed since.
    pub(super) fn holds(
        &self,
        account: &Arc<Account>,
        state: Option<FolderState>,
        now: Timestamp,
    ) -> bool {
        let Some(looked) = &self.0 else { return false };
        let age = now.duration_since(looked.listed);
        Some(looked.state) == state
            && Arc::ptr_eq(&looked.account, account)
            && (SignedDuration::ZERO..LIST_EVERY).contains(&age)
    }

    /// Everything was looked at, and nothing is left to do.
    pub(super) fn note(
        &mut self,
        account: &Arc<Account>,
        state: Option<FolderState>,
        now: Timestamp,
    ) {
        // A person who marks a mail as unread changes nothing but its flag.
        let state = state.filter(|_| account.only == Only::All);
        self.0 = state.map(|state| Looked { state, account: account.clone(), listed: now });
    }

    /// Something is left to do, or it is not known.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::{AfterFetch, Dispatch, Oversize, Poll, Since, Source, Switch};
    use std::time::Duration;

    fn account(only: Only) -> Arc<Account> {
        Arc::new(Account {
            name: "support".into(),
            connection: Source::Maildir { path: "/nonexistent".into() },
            poll: Poll::Every(Duration::from_secs(600)),
            idle: false,
            only,
            since: Since::All,
            max_size_bytes: 1 << 20,
            oversize: Oversize::HeadersOnly,
            after_fetch: AfterFetch::Keep,
            dispatch: Dispatch::Queue("Raw".into()),
            trusted: false,
            state: Switch::Enabled,
        })
    }

    const STATE: FolderState = FolderState { epoch: 7, next: 13, exists: 2, removed: 0 };

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + hours * 3600).unwrap()
    }

    #[test]
    fn the_same_state_holds_for_hours() {
        let account = account(Only::All);
        let mut unchanged = Unchanged::default();
        assert!(!unchanged.holds(&account, Some(STATE), at(0)));
        unchanged.note(&account, Some(STATE), at(0));
        assert!(unchanged.holds(&account, Some(STATE), at(5)));
        assert!(!unchanged.holds(&account, Some(STATE), at(6)));
        assert!(!unchanged.holds(&account, Some(STATE), at(-1)), "the clock was turned back");
        unchanged.forget();
        assert!(!unchanged.holds(&account, Some(STATE), at(1)));
    }

    #[test]
    fn every_change_ends_it() {
        let account = account(Only::All);
        let mut unchanged = Unchanged::default();
        unchanged.note(&account, Some(STATE), at(0));
        for state in [
            FolderState { epoch: 8, ..STATE },
            FolderState { next: 14, ..STATE },
            FolderState { exists: 1, ..STATE },
            FolderState { removed: 1, ..STATE },
        ] {
            assert!(!unchanged.holds(&account, Some(state), at(0)), "{state:?}");
        }
        assert!(!unchanged.holds(&account, None, at(0)));
        let declared_anew = Arc::new((*account).clone());
        assert!(!unchanged.holds(&declared_anew, Some(STATE), at(0)));
    }

    #[test]
    fn nothing_holds_where_flags_count_or_the_server_says_nothing() {
        let unseen = account(Only::Unseen);
        let mut unchanged = Unchanged::default();
        unchanged.note(&unseen, Some(STATE), at(0));
        assert!(!unchanged.holds(&unseen, Some(STATE), at(0)));
        let all = account(Only::All);
        unchanged.note(&all, None, at(0));
        assert!(!unchanged.holds(&all, None, at(0)));
    }
}

//! A revision that loses most accounts at once is hardly meant: an empty directory looks like that.

use super::Edit;
use crate::core::config::MovedKind;

/// Removing at least this many accounts, and more than half, needs somebody's word.
pub const MASS_DELETE_ACCOUNTS_MIN: usize = 5;

/// What a revision takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MassDelete {
    /// Accounts that run.
    pub running: usize,
    /// Those of them that are neither declared nor renamed in the new revision.
    pub removed: usize,
}

/// Whether the revision needs somebody's word before it is applied.
pub fn mass_delete(edit: &Edit<'_>) -> Option<MassDelete> {
    let renamed = |name: &str| {
        let mut moves =
            edit.desired.moved.iter().filter(|moved| moved.kind == MovedKind::MailAccount);
        moves.any(|moved| moved.from == name)
    };
    let removed = edit.accounts.gone().filter(|name| !renamed(name)).count();
    let running = edit.running.accounts.len();
    is_mass(running, removed).then_some(MassDelete { running, removed })
}

fn is_mass(running: usize, removed: usize) -> bool {
    removed >= MASS_DELETE_ACCOUNTS_MIN && removed * 2 > running
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(running: usize, removed: usize, expected: bool) {
        assert_eq!(is_mass(running, removed), expected);
    }

    #[test]
    fn a_few_accounts_may_always_go() {
        check(4, 4, false);
        check(100, 5, false);
    }

    #[test]
    fn more_than_half_may_not() {
        check(8, 5, true);
        check(10, 5, false);
        check(10, 6, true);
    }
}

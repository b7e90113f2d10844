//! Sets of UIDs as IMAP writes them (RFC 3501 section 9, `sequence-set`).
//!
//! Architecture invariant: a set never names a UID that was not given.

/// Messages in one command: keeps the command under 6 KiB (RFC 7162 section 4 advises 8 KiB).
pub const UIDS_PER_COMMAND_MAX: usize = 500;

/// The set as text, neighbours joined: `1:3,7`. Empty for none.
pub fn set(uids: impl IntoIterator<Item = u32>) -> String {
    let mut uids: Vec<u32> = uids.into_iter().collect();
    uids.sort_unstable();
    uids.dedup();
    let mut parts = Vec::new();
    for run in uids.chunk_by(|a, b| a + 1 == *b) {
        match run {
            [] => {}
            [one] => parts.push(one.to_string()),
            [first, .., last] => parts.push(format!("{first}:{last}")),
        }
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uids: &[u32], expected: &str) {
        assert_eq!(set(uids.iter().copied()), expected);
    }

    #[test]
    fn none() {
        check(&[], "");
    }

    #[test]
    fn one() {
        check(&[7], "7");
    }

    #[test]
    fn neighbours() {
        check(&[1, 2, 3, 7, 9, 10], "1:3,7,9:10");
    }

    #[test]
    fn disorder_and_repetition() {
        check(&[3, 1, 2, 2], "1:3");
    }

    #[test]
    fn the_largest() {
        check(&[u32::MAX - 1, u32::MAX], "4294967294:4294967295");
    }

    #[test]
    fn the_longest_command_is_short() {
        let uids = (0..UIDS_PER_COMMAND_MAX as u32).map(|n| u32::MAX - 2 * n);
        assert!(set(uids).len() < 6 * 1024);
    }
}

//! Nouns behind a number, in English.

/// `1 queue`, `3 queues`.
pub fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", plural(count))
}

/// Ending of a noun: `sender`, `senders`.
pub fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(count: usize, expected: &str) {
        assert_eq!(counted(count, "queue"), expected);
    }

    #[test]
    fn one_is_not_many() {
        check(0, "0 queues");
        check(1, "1 queue");
        check(2, "2 queues");
    }
}

//! What a test needs and not every machine has: programs of others, and rights.

/// Set to `required` where no test may be skipped.
const PEERS: &str = "POSTROOM_PEERS";

/// What was found. If nothing was, says so, or fails where no test may be skipped.
#[track_caller]
pub fn found<T>(found: Option<T>, missing: &str) -> Option<T> {
    if found.is_none() {
        let required = std::env::var(PEERS).is_ok_and(|it| it == "required");
        assert!(!required, "{missing}, and {PEERS}=required");
        println!("skipped: {missing}");
    }
    found
}

/// Whether it is there; otherwise the same.
#[track_caller]
pub fn is_there(there: bool, missing: &str) -> bool {
    found(there.then_some(()), missing).is_some()
}

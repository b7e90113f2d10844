//! Places at which a test can make the process die or a step fail.
//!
//! Without the feature `faultpoints` they are nothing at all. With it, the environment variable
//! `POSTROOM_FAULT` names one: `name` or `name:3` aborts the process when the place is passed for
//! the first or third time, `name=error` makes the place report a failed disk each time.
//!
//! Architecture invariant: a fault point only stops or fails; it never changes a value.

/// Marks a place: `faultpoint!("store.spool.before_commit")` may abort the process;
/// `faultpoint!("store.commit", error)` is an `io::Result<()>` that may also be a failure.
#[macro_export]
macro_rules! faultpoint {
    ($name:expr) => {
        $crate::faultpoint::pass($name)
    };
    ($name:expr, error) => {
        $crate::faultpoint::pass_or_fail($name)
    };
}

/// Aborts the process if this place is asked for.
#[cfg(not(feature = "faultpoints"))]
#[inline(always)]
pub fn pass(_name: &str) {}

/// Aborts the process or fails if this place is asked for.
#[cfg(not(feature = "faultpoints"))]
#[inline(always)]
pub fn pass_or_fail(_name: &str) -> std::io::Result<()> {
    Ok(())
}

#[cfg(feature = "faultpoints")]
pub use on::{pass, pass_or_fail};

#[cfg(feature = "faultpoints")]
mod on {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// What the environment asks for.
    #[derive(Debug, PartialEq, Eq)]
    struct Wanted {
        name: String,
        /// Passing at which the process dies, from 1; `None` fails instead.
        abort_at: Option<u64>,
    }

    static WANTED: OnceLock<Option<Wanted>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    /// Aborts the process if this place is asked for.
    pub fn pass(name: &str) {
        let Some(wanted) = wanted().filter(|wanted| wanted.name == name) else { return };
        let passing = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        if wanted.abort_at == Some(passing) {
            std::process::abort();
        }
    }

    /// Aborts the process or fails if this place is asked for.
    pub fn pass_or_fail(name: &str) -> io::Result<()> {
        pass(name);
        match wanted() {
            Some(wanted) if wanted.name == name && wanted.abort_at.is_none() => {
                Err(io::Error::other(format!("fault point {name}")))
            }
            _ => Ok(()),
        }
    }

    fn wanted() -> Option<&'static Wanted> {
        let read = || parse(&std::env::var("POSTROOM_FAULT").ok()?);
        WANTED.get_or_init(read).as_ref()
    }

    fn parse(text: &str) -> Option<Wanted> {
        if let Some(name) = text.strip_suffix("=error") {
            return Some(Wanted { name: name.to_owned(), abort_at: None });
        }
        let (name, count) = text.rsplit_once(':').unwrap_or((text, "1"));
        Some(Wanted { name: name.to_owned(), abort_at: Some(count.parse().ok()?) })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[track_caller]
        fn check(text: &str, name: &str, abort_at: Option<u64>) {
            assert_eq!(parse(text), Some(Wanted { name: name.into(), abort_at }));
        }

        #[test]
        fn forms() {
            check("store.commit", "store.commit", Some(1));
            check("store.commit:3", "store.commit", Some(3));
            check("store.commit=error", "store.commit", None);
        }
    }
}

//! Places at which a test can make the process die or a step fail.
//!
//! Without the feature `faultpoints` they are nothing at all. With it, the environment variable
//! `POSTROOM_FAULT` names one: `name` or `name:3` aborts the process when the place is passed for
//! the first or third time, `name=error` makes the place report a failed disk each time, and
//! `name=error:3` the first three times. `name=terminate:3` sends the process a SIGTERM at the third
//! passing and goes on, as if somebody had asked it to end at that very moment. `name=hang:3` keeps
//! the thread for ever at the third passing.
//!
//! `name=panic` panics there, and says all that is at hand: `faultpoint!("oauth.at_hand", at_hand:
//! &registration)`. So a test can show that even such a panic tells no secret.
//!
//! `name@TEXT` stands for a mail that ends every process that works on it: the place aborts whenever
//! the bytes at hand hold TEXT, as in `faultpoint!("judge", of: raw)`. `name=allocate@TEXT` takes
//! memory without end there, and `name=burn@TEXT` computes without end.
//!
//! Architecture invariant: a fault point only stops or fails; it never changes a value.

/// Marks a place: `faultpoint!("store.spool.before_commit")` may abort the process;
/// `faultpoint!("store.commit", error)` is an `io::Result<()>` that may also be a failure.
#[macro_export]
macro_rules! faultpoint {
    ($name:expr) => {
        $crate::faultpoint::pass($name)
    };
    ($name:expr, at_hand: $state:expr) => {
        $crate::faultpoint::pass_or_panic($name, $state)
    };
    ($name:expr, of: $bytes:expr) => {
        $crate::faultpoint::pass_of($name, $bytes)
    };
    ($name:expr, error) => {
        $crate::faultpoint::pass_or_fail($name)
    };
}

/// The environment variable that names a place.
#[cfg(feature = "faultpoints")]
pub const VARIABLE: &str = "POSTROOM_FAULT";

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

/// Panics if this place is asked for.
#[cfg(not(feature = "faultpoints"))]
#[inline(always)]
pub fn pass_or_panic(_name: &str, _at_hand: &dyn std::fmt::Debug) {}

/// Aborts the process if this place, or this place with these bytes, is asked for.
#[cfg(not(feature = "faultpoints"))]
#[inline(always)]
pub fn pass_of(_name: &str, _bytes: &[u8]) {}

#[cfg(feature = "faultpoints")]
pub use on::{pass, pass_of, pass_or_fail, pass_or_panic, sticks_to_a_mail};

#[cfg(feature = "faultpoints")]
mod on {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// What the environment asks for.
    #[derive(Debug, PartialEq, Eq)]
    struct Wanted {
        name: String,
        does: Does,
    }

    /// What happens there.
    #[derive(Debug, PartialEq, Eq)]
    enum Does {
        /// The process dies at this passing, from 1.
        Abort(u64),
        /// The place fails at the first so many passings.
        Fail(u64),
        /// The process is asked to end at this passing, from 1.
        Terminate(u64),
        /// The thread never comes back from this passing, from 1.
        Hang(u64),
        /// The task panics at each passing.
        Panic,
        /// Each passing with bytes that hold this text ends the process, in this way.
        Poison(Poison, String),
    }

    /// How a mail ends the process.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Poison {
        Abort,
        Allocate,
        Burn,
    }

    static WANTED: OnceLock<Option<Wanted>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    /// Aborts the process if this place is asked for.
    pub fn pass(name: &str) {
        // A place that cannot fail does not.
        let _ = pass_or_fail(name);
    }

    /// Aborts the process or fails if this place is asked for.
    pub fn pass_or_fail(name: &str) -> io::Result<()> {
        let Some(wanted) = wanted().filter(|wanted| wanted.name == name) else { return Ok(()) };
        let passing = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        match wanted.does {
            Does::Abort(at) if at == passing => std::process::abort(),
            Does::Fail(times) if passing <= times => {
                Err(io::Error::other(format!("fault point {name}")))
            }
            Does::Terminate(at) if at == passing => terminate(),
            Does::Hang(at) if at == passing => loop {
                std::thread::park();
            },
            Does::Abort(_)
            | Does::Terminate(_)
            | Does::Fail(_)
            | Does::Hang(_)
            | Does::Panic
            | Does::Poison(..) => Ok(()),
        }
    }

    /// Aborts the process if this place, or this place with these bytes, is asked for.
    pub fn pass_of(name: &str, bytes: &[u8]) {
        let wanted = wanted().filter(|wanted| wanted.name == name);
        match wanted.map(|wanted| &wanted.does) {
            Some(Does::Poison(poison, text)) if holds(bytes, text.as_bytes()) => kill(*poison),
            Some(_) | None => pass(name),
        }
    }

    /// Whether what is asked for depends on the bytes of a mail alone, not on a count of passings.
    pub fn sticks_to_a_mail() -> bool {
        wanted().is_some_and(|wanted| matches!(wanted.does, Does::Poison(..)))
    }

    fn holds(bytes: &[u8], text: &[u8]) -> bool {
        bytes.windows(text.len().max(1)).any(|window| window == text)
    }

    fn kill(poison: Poison) {
        match poison {
            Poison::Abort => std::process::abort(),
            Poison::Allocate => {
                let mut taken: Vec<Vec<u8>> = Vec::new();
                loop {
                    // Written, so that it is really there.
                    taken.push(std::hint::black_box(vec![1; 1 << 20]));
                }
            }
            Poison::Burn => loop {
                std::hint::black_box(());
            },
        }
    }

    /// When the command ends, the signal is there.
    fn terminate() -> io::Result<()> {
        let pid = std::process::id().to_string();
        let status = std::process::Command::new("kill").args(["-s", "TERM", &pid]).status()?;
        assert!(status.success(), "kill(1) could not send a signal");
        Ok(())
    }

    /// Panics if this place is asked for, with all that is at hand.
    pub fn pass_or_panic(name: &str, at_hand: &dyn std::fmt::Debug) {
        let wanted = wanted().filter(|wanted| wanted.name == name && wanted.does == Does::Panic);
        assert!(wanted.is_none(), "fault point {name}: {at_hand:?}");
    }

    fn wanted() -> Option<&'static Wanted> {
        let read = || parse(&std::env::var(super::VARIABLE).ok()?);
        WANTED.get_or_init(read).as_ref()
    }

    fn parse(text: &str) -> Option<Wanted> {
        if let Some((place, text)) = text.split_once('@') {
            let (name, poison) = match place.split_once('=') {
                None => (place, Poison::Abort),
                Some((name, "allocate")) => (name, Poison::Allocate),
                Some((name, "burn")) => (name, Poison::Burn),
                Some(_) => return None,
            };
            let does = Does::Poison(poison, text.to_owned());
            return Some(Wanted { name: name.to_owned(), does });
        }
        let (text, count) = match text.rsplit_once(':') {
            Some((text, count)) => (text, Some(count.parse().ok()?)),
            None => (text, None),
        };
        let (name, does) = match text.split_once('=') {
            None => (text, Does::Abort(count.unwrap_or(1))),
            Some((name, "terminate")) => (name, Does::Terminate(count.unwrap_or(1))),
            Some((name, "hang")) => (name, Does::Hang(count.unwrap_or(1))),
            Some((name, "error")) => (name, Does::Fail(count.unwrap_or(u64::MAX))),
            Some((name, "panic")) => (name, Does::Panic),
            Some(_) => return None,
        };
        Some(Wanted { name: name.to_owned(), does })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[track_caller]
        fn check(text: &str, name: &str, does: Does) {
            assert_eq!(parse(text), Some(Wanted { name: name.into(), does }));
        }

        #[test]
        fn forms() {
            check("store.commit", "store.commit", Does::Abort(1));
            check("store.commit:3", "store.commit", Does::Abort(3));
            check("judge=terminate", "judge", Does::Terminate(1));
            check("judge=terminate:2", "judge", Does::Terminate(2));
            check("judge=hang:2", "judge", Does::Hang(2));
            check("store.commit=error", "store.commit", Does::Fail(u64::MAX));
            check("store.commit=error:3", "store.commit", Does::Fail(3));
            check("oauth.at_hand=panic", "oauth.at_hand", Does::Panic);
            let poison = |how| Does::Poison(how, "number 3".into());
            check("judge@number 3", "judge", poison(Poison::Abort));
            check("judge=allocate@number 3", "judge", poison(Poison::Allocate));
            check("settle=burn@number 3", "settle", poison(Poison::Burn));
        }
    }
}

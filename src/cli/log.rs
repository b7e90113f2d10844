//! The log: what is written, where, and in which form.
//!
//! Architecture invariant: the crates that speak with mail servers never write below `warn`,
//! whatever is asked for: their traces contain passwords.

mod lines;

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::{Exit, Failure};

/// Crates that are held at `warn`.
const HELD_AT_WARN: [&str; 9] = [
    "async_imap",
    "imap_proto",
    "lettre",
    "hyper",
    "hyper_util",
    "rustls",
    "tokio_rustls",
    "h2",
    "tower",
];

/// What to log and how.
#[derive(Args)]
pub struct LogArgs {
    /// What to log: a level, or levels per module as in `info,postroom::run=debug`
    #[arg(long, value_name = "FILTER", env = "POSTROOM_LOG", default_value = "info")]
    log: String,
    /// How to log
    #[arg(long, value_name = "FORMAT", env = "POSTROOM_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Begins to log to the standard error.
pub fn begin(args: &LogArgs) -> Result<(), Failure> {
    let asked = EnvFilter::try_new(&args.log).map_err(|error| {
        let message = format!("could not read the log filter {:?}: {error}", args.log);
        Failure::new(message).exit(Exit::Usage)
    })?;
    let filter = asked.and(filter_fn(may_be_logged));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // Said on the standard error again, which panics when that is what failed.
        .log_internal_errors(false);
    let layer = match args.log_format {
        LogFormat::Text => {
            let terminal = std::io::stderr().is_terminal();
            lines.event_format(lines::Lines { terminal }).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    Ok(())
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::WARN || !is_held(metadata.target())
}

fn is_held(target: &str) -> bool {
    let krate = target.split("::").next().unwrap_or(target);
    HELD_AT_WARN.contains(&krate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[test]
    fn crates_that_see_passwords_are_held() {
        assert!(is_held("async_imap::imap_stream"));
        assert!(is_held("lettre"));
        assert!(!is_held("postroom::run"));
        assert!(!is_held("async_imaps"));
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn not_even_if_somebody_asks_for_it() {
        let kept = Kept::default();
        let writer = kept.clone();
        let asked = EnvFilter::new("trace,async_imap::imap_stream=trace");
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let filter = asked.and(filter_fn(may_be_logged));
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "async_imap::imap_stream", "LOGIN desk s3cret");
            tracing::warn!(target: "async_imap::imap_stream", "odd answer");
            tracing::trace!(target: "postroom::run", "ours");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        assert!(text.contains("odd answer") && text.contains("ours"), "{text}");
    }
}

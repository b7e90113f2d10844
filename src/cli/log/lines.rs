//! Log lines for people: when, how bad, what.
//!
//! On a terminal: the time of the day, and a level only if it is not the usual one. Elsewhere:
//! time with zone and level, so that lines can be searched and sorted.
//!
//! Architecture invariant: the one place where a log line is written as text. Every value is
//! cleaned here, because many come from mails and servers.

use std::fmt::{self, Debug, Write};

use jiff::{Timestamp, Zoned};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::output::{clean, paint};

/// Events whose message says all that their fields say; the fields are for programs.
const SENTENCES: [&str; 3] = ["postroom::mail", "postroom::plan", "postroom::start"];
/// Fields that are told after the message, as its cause.
const CAUSES: [&str; 2] = ["error", "problem"];
/// Longest value in a line; longer ones are cut.
const VALUE_CHARS_MAX: usize = 2 * 1024;

/// Writes the lines.
pub struct Lines {
    /// Whether a person looks on.
    pub terminal: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let when = if self.terminal {
            Zoned::now().strftime("%H:%M:%S").to_string()
        } else {
            Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        };
        writeln!(writer, "{when} {}{}", self.level(level), said.text(level, target))
    }
}

impl Lines {
    fn level(&self, level: Level) -> String {
        let colour = self.terminal && std::env::var_os("NO_COLOR").is_none();
        match level {
            Level::ERROR => paint("error ", "31;1", colour),
            Level::WARN => paint("warning ", "33;1", colour),
            Level::INFO if self.terminal => String::new(),
            Level::INFO => "info ".to_owned(),
            Level::DEBUG => "debug ".to_owned(),
            Level::TRACE => "trace ".to_owned(),
        }
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    causes: Vec<String>,
    fields: Vec<String>,
}

impl Said {
    /// `could not read mailbox: connection refused (account support, failures 3)`.
    fn text(&self, level: Level, target: &str) -> String {
        let mut text = String::new();
        // Who looks at these wants to know where they come from.
        if level > Level::INFO {
            text.push_str(&format!("{target}: "));
        }
        text.push_str(&self.message);
        for cause in &self.causes {
            text.push_str(&format!(": {cause}"));
        }
        if !self.fields.is_empty() && !SENTENCES.contains(&target) {
            text.push_str(&format!(" ({})", self.fields.join(", ")));
        }
        text
    }

    fn add(&mut self, field: &str, value: &str) {
        let value = shortened(value);
        match field {
            "message" => self.message = clean(&value),
            // Problems come from the files of whoever runs this, and their hints have a line.
            "problem" => self.causes.push(value.lines().map(clean).collect::<Vec<_>>().join("\n")),
            _ if CAUSES.contains(&field) => self.causes.push(clean(&value)),
            _ => self.fields.push(format!("{} {}", field.replace('_', " "), clean(&value))),
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), &format!("{value:.1}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        if write!(text, "{value:?}").is_ok() {
            self.add(field.name(), &text);
        }
    }
}

fn shortened(value: &str) -> String {
    if value.chars().count() <= VALUE_CHARS_MAX {
        return value.to_owned();
    }
    value.chars().take(VALUE_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

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

    /// The line without its time.
    #[track_caller]
    fn check(terminal: bool, log: impl FnOnce(), expected: &str) {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Lines { terminal })
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let (_, line) = text.split_once(' ').unwrap();
        assert_eq!(line, format!("{expected}\n"));
    }

    #[test]
    fn the_cause_follows_the_message() {
        let log = || {
            tracing::warn!(account = "a", retry_secs = 2, error = %"refused", "could not read");
        };
        check(false, log, "warning could not read: refused (account a, retry secs 2)");
    }

    #[test]
    fn the_usual_level_is_not_shown_on_a_terminal() {
        check(true, || tracing::info!("hello"), "hello");
        check(false, || tracing::info!("hello"), "info hello");
    }

    #[test]
    fn a_sentence_needs_no_fields() {
        let log = || tracing::info!(target: "postroom::mail", ticket = "1", "created 1 in support");
        check(true, log, "created 1 in support");
    }

    #[test]
    fn a_mail_cannot_write_a_line_of_its_own() {
        let subject = "a\n10:00:00 error all is lost\u{1b}[2J\u{202e}";
        let log = || tracing::info!(target: "postroom::mail", "created: {subject}");
        let cleaned = "created: a\u{fffd}10:00:00 error all is lost\u{fffd}[2J\u{fffd}";
        check(true, log, cleaned);
        let log = || tracing::info!(subject, "x");
        check(true, log, "x (subject a\u{fffd}10:00:00 error all is lost\u{fffd}[2J\u{fffd})");
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(shortened(&"x".repeat(10_000)).chars().count(), VALUE_CHARS_MAX);
    }
}

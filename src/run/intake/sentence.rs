//! What the log says of a mail: one sentence for people.
//!
//! Architecture invariant: says what was recorded and decides nothing. The log cleans what
//! strangers wrote where it writes it.

use crate::core::intake::{Outcome, Why};
use crate::store::Recorded;

/// Longest subject and longest author in a sentence; longer ones are cut.
const WORDS_CHARS_MAX: usize = 120;

/// What became of a mail, which mail it is, and why.
pub fn sentence(mail: &Recorded) -> String {
    let mut text = mail.outcome.label().to_owned();
    if let Some(number) = &mail.ticket {
        text.push_str(&format!(" {number}"));
    }
    if let Some(queue) = &mail.queue {
        text.push_str(&format!(" in {queue}"));
    }
    if !mail.from.is_empty() {
        text.push_str(&format!(": \"{}\" from {}", cut(&mail.subject), cut(&mail.from)));
    }
    match &mail.outcome {
        Outcome::Quarantined { reason } => {
            text.push_str(&format!("; {reason}; see `postroom quarantine show {}`", mail.mail.0));
        }
        Outcome::Created
        | Outcome::FollowUp
        | Outcome::Rejected
        | Outcome::Bounce
        | Outcome::Ignored
        | Outcome::Duplicate => {
            text.extend(mail.why.iter().filter_map(|why| reason(mail, why)));
        }
    }
    text
}

/// One step of the decision, without what the sentence has said already.
fn reason(mail: &Recorded, why: &Why) -> Option<String> {
    let said = |text: &Option<String>| text.as_deref().and_then(|it| why.text.strip_prefix(it));
    match why.step.as_str() {
        "ticket" => None,
        // "support (recipient: To: support@desk.example)"
        "queue" => {
            let by = said(&mail.queue).unwrap_or(&why.text).trim();
            let by = by.strip_prefix('(').and_then(|by| by.strip_suffix(')')).unwrap_or(by);
            Some(format!("; {by}"))
        }
        // "2026112210000018: it refers to a mail of the ticket"
        "followUp" => {
            Some(format!("; {}", said(&mail.ticket).unwrap_or(&why.text).trim_start_matches(": ")))
        }
        step => Some(format!("; {step}: {}", why.text)),
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= WORDS_CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(WORDS_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::mail::Location;
    use crate::store::{MailId, Owing};

    #[track_caller]
    fn check(outcome: Outcome, ticket: Option<&str>, why: &[(&str, &str)], expected: &str) {
        let why = why
            .iter()
            .map(|(step, text)| Why { step: (*step).to_owned(), text: (*text).to_owned() });
        let mail = Recorded {
            mail: MailId(7),
            location: Location("1".into()),
            outcome,
            from: "Eve <eve@customer.example>".into(),
            subject: "It burns".into(),
            queue: ticket.map(|_| "support".into()),
            ticket: ticket.map(str::to_owned),
            filters: Vec::new(),
            routed_by: None,
            suppressed: None,
            owing: Owing::default(),
            duplicate: None,
            why: why.collect(),
        };
        assert_eq!(sentence(&mail), expected);
    }

    #[test]
    fn a_new_ticket() {
        check(
            Outcome::Created,
            Some("2026112210000013"),
            &[
                ("queue", "support (recipient: To: support@desk.example)"),
                ("ticket", "new: 2026112210000013"),
                ("autoReply", "thanks to eve@customer.example"),
            ],
            "created 2026112210000013 in support: \"It burns\" from Eve <eve@customer.example>; \
             recipient: To: support@desk.example; autoReply: thanks to eve@customer.example",
        );
    }

    #[test]
    fn a_follow_up() {
        check(
            Outcome::FollowUp,
            Some("2026112210000013"),
            &[("followUp", "2026112210000013: it refers to a mail of the ticket")],
            "followUp 2026112210000013 in support: \"It burns\" from Eve <eve@customer.example>; \
             it refers to a mail of the ticket",
        );
    }

    #[test]
    fn a_mail_that_needs_a_person() {
        check(
            Outcome::Quarantined { reason: "the parser failed on it".into() },
            None,
            &[("quarantine", "the parser failed on it")],
            "quarantined: \"It burns\" from Eve <eve@customer.example>; the parser failed on it; \
             see `postroom quarantine show 7`",
        );
    }
}

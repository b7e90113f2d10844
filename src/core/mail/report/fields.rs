//! Parts of a report that are made for machines: RFC 3464 section 2, RFC 8098 section 3 and
//! RFC 5965 section 3.

use super::super::structure::Structure;
use super::super::{Mail, Report, ReportKind, ReportedRecipient, header, lines};
use super::{
    RECIPIENTS_MAX, decoded, empty, lenient_address, line, phrases, prose, short, status,
    status_or_reply,
};
use crate::core::address::Address;

/// What a part for machines says.
pub struct Machine {
    report: Report,
    /// Whether it says what became of the mail.
    stated: bool,
}

impl Machine {
    /// The report; where the part leaves open what became of the mail, the words say it.
    pub fn report(self, mail: &Mail, words: &str) -> Report {
        let Machine { mut report, stated } = self;
        if !stated {
            report.kind = prose::kind(mail, words).unwrap_or(ReportKind::Failed);
            report.recipients.iter_mut().for_each(|recipient| recipient.kind = report.kind);
        }
        report
    }
}

/// What is found in a part.
type Reader = fn(&[u8]) -> Machine;

/// Media types of such parts and how they are read.
const PARTS: [(&str, Reader); 5] = [
    ("message/delivery-status", delivery_status),
    ("message/global-delivery-status", delivery_status),
    ("message/feedback-report", feedback),
    ("message/disposition-notification", disposition),
    ("message/global-disposition-notification", disposition),
];

/// Whether a media type is one of these.
pub fn is_machine_part(kind: &str) -> bool {
    PARTS.iter().any(|(known, _)| *known == kind)
}

/// The first part made for machines.
pub fn read(raw: &[u8], structure: &Structure) -> Option<Machine> {
    structure.parts.iter().find_map(|part| {
        let (_, reader) = PARTS.iter().find(|(known, _)| *known == part.content.kind)?;
        Some(reader(&decoded(raw, part)))
    })
}

/// Groups of fields: one for the message, then one for each recipient. Empty lines between them
/// are missing in some reports: a recipient that is named again begins a group as well.
fn delivery_status(text: &[u8]) -> Machine {
    let mut groups: Vec<Group> = vec![Group::default()];
    let mut message = None;
    let mut at = 0;
    while at < text.len() {
        let block = header::block(text, at);
        // A line that is no field would hold the loop here for ever.
        at = block.body.max(lines::line_at(text, at).end);
        begin(&mut groups);
        for field in header::fields(&text[block.fields]) {
            let value = line(&field.value());
            if field.is("X-Original-Message-ID") || field.is("Original-Message-ID") {
                message = message.or_else(|| header::message_id(&field.value()));
            }
            let named = groups.last().is_some_and(|group| group.last.is_some());
            if named && field.is("Final-Recipient") {
                begin(&mut groups);
            }
            if let Some(group) = groups.last_mut() {
                group.take(&field, value);
            }
        }
    }
    let named = groups.iter().filter(|group| group.names_somebody());
    let recipients: Vec<_> = named.take(RECIPIENTS_MAX).map(Group::recipient).collect();
    let kinds = groups.iter().filter_map(Group::kind);
    let kind = kinds.reduce(worse);
    let mut report = empty(kind.unwrap_or(ReportKind::Failed));
    report.recipients = recipients;
    report.addresses = groups.iter().filter_map(|group| group.first.clone()).collect();
    report.original_message_id = message;
    Machine { report, stated: kind.is_some() }
}

/// Begins a group, unless the last one is empty or there are too many.
fn begin(groups: &mut Vec<Group>) {
    let used = groups.last().is_none_or(|last| *last != Group::default());
    if used && groups.len() <= RECIPIENTS_MAX {
        groups.push(Group::default());
    }
}

/// What is said of one recipient.
#[derive(Default, PartialEq)]
struct Group {
    /// Original-Recipient: as the sender wrote it.
    first: Option<Address>,
    /// Final-Recipient, as it stands there.
    last: Option<String>,
    action: Option<String>,
    status: Option<String>,
    diagnostic: Option<String>,
}

impl Group {
    fn take(&mut self, field: &header::Field<'_>, value: String) {
        if field.is("Original-Recipient") {
            self.first = typed_address(&value);
        } else if field.is("Final-Recipient") {
            self.last = Some(value);
        } else if field.is("Action") {
            self.action.get_or_insert(value);
        } else if field.is("Status") {
            self.status.get_or_insert(value);
        } else if field.is("Diagnostic-Code") {
            self.diagnostic.get_or_insert(value);
        }
    }

    fn names_somebody(&self) -> bool {
        self.first.is_some() || self.last.is_some()
    }

    fn code(&self) -> Option<String> {
        let stated = self.status.as_deref().and_then(status);
        stated.or_else(|| self.diagnostic.as_deref().and_then(status_or_reply))
    }

    /// What became of it: as Action says, else as the class of the status says (RFC 3463
    /// section 3.1).
    fn kind(&self) -> Option<ReportKind> {
        let by_action = self.action.as_deref().and_then(action);
        by_action.or_else(|| match self.code()?.chars().next()? {
            '5' => Some(ReportKind::Failed),
            '4' => Some(ReportKind::Delayed),
            '2' => Some(ReportKind::Delivered),
            _ => None,
        })
    }

    fn recipient(&self) -> ReportedRecipient {
        let last = self.last.as_deref().and_then(typed_address);
        let diagnostic = self.diagnostic.as_deref().map(after_semicolon).unwrap_or_default();
        ReportedRecipient {
            address: last.or_else(|| self.first.clone()),
            kind: self.kind().unwrap_or(ReportKind::Failed),
            status: self.code().unwrap_or_default(),
            diagnostic: short(diagnostic),
        }
    }
}

fn disposition(text: &[u8]) -> Machine {
    let fields = &text[header::block(text, 0).fields];
    let mut report = empty(ReportKind::Disposition);
    report.original_message_id =
        header::find(fields, "Original-Message-ID").and_then(|value| header::message_id(&value));
    if let Some(named) = header::find(fields, "Final-Recipient") {
        let disposition = header::find(fields, "Disposition").map(|value| line(&value));
        let address = typed_address(&line(&named));
        let kind = ReportKind::Disposition;
        report.recipients.push(super::recipient(address, kind, &disposition.unwrap_or_default()));
    }
    Machine { report, stated: true }
}

/// Types of feedback by which a recipient refuses mail (RFC 5965 section 7.3). The others are
/// about how a mail was sent, or take a complaint back.
const COMPLAINTS: [&str; 7] =
    ["abuse", "fraud", "virus", "other", "complaint", "opt-out", "miscategorized"];

fn feedback(text: &[u8]) -> Machine {
    let fields = &text[header::block(text, 0).fields];
    let value = |name| header::find(fields, name).map(|value| line(&value));
    let kind = value("Feedback-Type").unwrap_or_default().to_ascii_lowercase();
    let complains = kind.is_empty() || COMPLAINTS.iter().any(|known| kind.starts_with(known));
    let mut report = empty(if complains { ReportKind::Complaint } else { ReportKind::Disposition });
    let named = ["Original-Rcpt-To", "Removal-Recipient"].into_iter().filter_map(value);
    report.recipients = named
        .filter_map(|named| lenient_address(&named))
        .map(|address| super::recipient(Some(address), report.kind, &kind))
        .collect();
    report.original_message_id =
        header::find(fields, "Original-Message-ID").and_then(|value| header::message_id(&value));
    Machine { report, stated: true }
}

/// RFC 3464 section 2.3.3, with comments, in any case, and with the words that some systems use
/// in place of the five.
fn action(value: &str) -> Option<ReportKind> {
    let lower = value.to_ascii_lowercase();
    let word =
        lower.split(|c: char| !c.is_ascii_alphabetic() && c != '-').find(|w| !w.is_empty())?;
    phrases::ACTIONS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind)
}

/// Of several recipients the worst counts.
fn worse(one: ReportKind, other: ReportKind) -> ReportKind {
    let rank = |kind| match kind {
        ReportKind::Failed => 4,
        ReportKind::Complaint => 3,
        ReportKind::Delayed => 2,
        ReportKind::Delivered => 1,
        ReportKind::Disposition => 0,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// `rfc822; eve@x.test`, also without the type.
fn typed_address(text: &str) -> Option<Address> {
    lenient_address(after_semicolon(text)).or_else(|| lenient_address(text))
}

fn after_semicolon(text: &str) -> &str {
    text.split_once(';').map_or(text, |(_, rest)| rest).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, kind: Option<ReportKind>, recipients: &[(&str, &str)]) {
        let read = delivery_status(text.as_bytes());
        assert_eq!(read.stated.then_some(read.report.kind), kind, "{text}");
        let found: Vec<_> = read
            .report
            .recipients
            .iter()
            .map(|one| (one.address.as_ref().map_or("", Address::as_str), one.status.as_str()))
            .collect();
        assert_eq!(found, recipients, "{text}");
    }

    const FAILED: Option<ReportKind> = Some(ReportKind::Failed);

    #[test]
    fn actions() {
        for (action, kind) in [
            ("failed", FAILED),
            ("Failed (permanent)", FAILED),
            ("FAILURE", FAILED),
            ("expired", FAILED),
            ("delayed", Some(ReportKind::Delayed)),
            ("relayed (to non-DSN-aware mailer)", Some(ReportKind::Delivered)),
            ("expanded", Some(ReportKind::Delivered)),
        ] {
            let text = format!(
                "Reporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; e@x.test\nAction: {action}\n"
            );
            check(&text, kind, &[("e@x.test", "")]);
        }
    }

    #[test]
    fn what_is_missing_follows_from_the_rest() {
        check(
            "\nFinal-Recipient: rfc822;e@x.test\nStatus: 5.1.1 (no user)\n",
            FAILED,
            &[("e@x.test", "5.1.1")],
        );
        check(
            "\nFinal-Recipient: e@x.test\nStatus: 4.4.7\n",
            Some(ReportKind::Delayed),
            &[("e@x.test", "4.4.7")],
        );
        check(
            "\nFinal-Recipient: rfc822; <e@x.test>\nDiagnostic-Code: smtp; 550 no such user\n",
            FAILED,
            &[("e@x.test", "5.0.0")],
        );
        check("\nFinal-Recipient: rfc822; e@x.test\n", None, &[("e@x.test", "")]);
        check("", None, &[]);
    }

    #[test]
    fn recipients_as_they_are_written() {
        check(
            "Original-Recipient: rfc822;e@x.test\nFinal-Recipient: rfc822;@gw.test:e@inner\nAction: failed\n",
            FAILED,
            &[("e@inner", "")],
        );
        check(
            "Original-Recipient: rfc822;e@x.test\nFinal-Recipient: LOCAL; e\nAction: failed\n",
            FAILED,
            &[("e@x.test", "")],
        );
        check(
            "Final-Recipient: rfc822; \"e..x.\"@docomo.test\nAction: failed\n",
            FAILED,
            &[("e..x.@docomo.test", "")],
        );
        let joined = "Reporting-MTA: dns; mx\nFinal-Recipient: rfc822; a@x.test\nAction: delayed\nFinal-Recipient: rfc822; b@x.test\nAction: failed\n";
        check(joined, FAILED, &[("a@x.test", ""), ("b@x.test", "")]);
    }

    #[test]
    fn bounded() {
        let many = "Final-Recipient: rfc822; a@x.test\n".repeat(5_000);
        assert!(delivery_status(many.as_bytes()).report.recipients.len() <= RECIPIENTS_MAX);
        let many = "\n\nAction: failed\nno field\n".repeat(5_000);
        assert!(delivery_status(many.as_bytes()).report.recipients.is_empty());
    }
}

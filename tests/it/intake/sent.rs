//! What goes out: what each mail must say of itself, and its header for the expectation.

use std::fmt::Write as _;

use postroom::core::mail::{self, HeaderField, Mail};
use postroom::core::outgoing::{Outgoing, OutgoingKind};

use super::world::World;

/// What holds for each mail of ours, whatever the case: RFC 3834 sections 3.1.7 and 3.1.8,
/// RFC 5322 section 3.6.4.
pub fn check(sent: &Outgoing) {
    let read = mail::parse(&sent.raw);
    let about = || String::from_utf8_lossy(&sent.raw);
    assert_eq!((read.message_id.as_str(), &read.oddities[..]), (sent.message_id.as_str(), &[][..]));
    let named = read.to.iter().chain(&read.cc).filter_map(|one| one.address.as_ref());
    assert!(named.into_iter().any(|address| *address == sent.recipient), "{}", about());

    let (submitted, precedence) = match sent.kind {
        OutgoingKind::AutoReply { .. } => (Some("auto-replied"), Some("bulk")),
        OutgoingKind::Notification { .. } => (Some("auto-generated"), Some("bulk")),
        OutgoingKind::Reply => (None, None),
    };
    assert_eq!(value(&read, "Auto-Submitted"), submitted, "{}", about());
    assert_eq!(value(&read, "Precedence"), precedence, "{}", about());
    assert_eq!(value(&read, "X-Loop").is_some(), submitted.is_some(), "{}", about());

    assert!(!read.references.iter().any(|id| mail::stands_in(id)), "{}", about());
    if let Some(answered) = read.in_reply_to.last() {
        assert_eq!(read.references.last(), Some(answered), "{}", about());
    }
}

fn value<'a>(read: &'a Mail, name: &str) -> Option<&'a str> {
    let field = read.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    field.map(|field| field.value.as_str())
}

/// The header of a mail, but for what is the same in all of them.
pub fn headers(world: &World, sent: &Outgoing) -> String {
    let envelope = sent.envelope_from.as_ref().map_or("", |address| address.as_str());
    let mut text = format!("   to {}, envelope sender <{envelope}>\n", sent.recipient);
    for field in mail::parse(&sent.raw).headers.iter().filter(|field| is_shown(field)) {
        let value = with_known_ids(world, &field.value);
        writeln!(text, "      {}: {value}", field.name).expect("a string takes it");
    }
    text
}

fn is_shown(field: &HeaderField) -> bool {
    let name = field.name.to_ascii_lowercase();
    name != "date" && name != "mime-version" && !name.starts_with("content-")
}

/// Message-IDs of ours by the ticket they belong to.
fn with_known_ids(world: &World, value: &str) -> String {
    let known = |word: &str| world.known_id(word.strip_prefix('<')?.strip_suffix('>')?);
    let words = value.split(' ').map(|word| known(word).unwrap_or_else(|| word.to_owned()));
    words.collect::<Vec<_>>().join(" ")
}

//! A small desk and small mails for the unit tests of this module.

use std::sync::Arc;

use super::address::Address;
use super::config::*;
use super::mail::{Attachment, Digest, HeaderField, Mail, Mailbox, Remarks};

/// Queues support, sales, misc; addresses, senders, agents and auto-replies that fit.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    for name in ["Raw", "support", "sales", "misc"] {
        config.queues.insert(name.into(), Queue::named(name));
    }
    let replies = QueueReplies {
        new: Some("thanks".into()),
        follow_up: Some("noted".into()),
        reject: Some("closed".into()),
        new_ticket: Some("again".into()),
    };
    config.queues.get_mut("support").unwrap().auto_replies = replies;
    for (name, queue, state) in [
        ("support@corp.example", "support", Switch::Enabled),
        ("sales@corp.example", "sales", Switch::Enabled),
        ("old@corp.example", "misc", Switch::Disabled),
    ] {
        let (address, queue) = (address(name), queue.into());
        let name = "Desk".into();
        let ours = SystemAddress { address: address.clone(), name, queue, internal: false, state };
        Arc::make_mut(&mut config.system_addresses).insert(address, ours.into());
    }
    for name in ["thanks", "noted", "closed", "again"] {
        config.auto_replies.insert(name.into(), auto_reply(name));
    }
    for (name, email) in [("anna", "anna@agents.example"), ("ben", "ben@agents.example")] {
        config.users.insert(name.into(), user(name, email));
    }
    config.senders.insert("default".into(), sender());
    config
}

fn auto_reply(name: &str) -> AutoReply {
    let words = |text: &str| Texts::from([(Language::En, text.to_owned())]);
    AutoReply {
        name: name.into(),
        from: address("support@corp.example"),
        envelope_from: None,
        subject: words(name),
        text: words("Your number is {{ ticket.number }}."),
        state: Switch::Enabled,
    }
}

fn user(name: &str, email: &str) -> User {
    User {
        name: name.into(),
        email: address(email),
        full_name: name.into(),
        language: Language::En,
        time_zone: jiff::tz::TimeZone::UTC,
        role: Role::User,
        password_hash: None,
        subscriptions: Subscriptions::default(),
        state: Switch::Enabled,
    }
}

fn sender() -> Sender {
    Sender {
        name: "default".into(),
        from_name: "Desk".into(),
        from: address("notify@corp.example"),
        envelope_from: None,
        via: vec!["relay".into()],
        state: Switch::Enabled,
    }
}

/// An account that dispatches by recipient and is not trusted.
pub(crate) fn account() -> Account {
    Account {
        name: "inbox".into(),
        connection: Source::Maildir { path: "/nowhere".into() },
        poll: Poll::Every(std::time::Duration::from_secs(600)),
        idle: false,
        only: Only::All,
        since: Since::All,
        max_size_bytes: 32 << 20,
        oversize: Oversize::HeadersOnly,
        after_fetch: AfterFetch::Keep,
        dispatch: Dispatch::Recipient,
        trusted: false,
        state: Switch::Enabled,
    }
}

/// An address that is known to be one.
pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// A mail with these header lines and a short text.
pub(crate) fn mail(headers: &str) -> Mail {
    let fields: Vec<HeaderField> = headers.lines().filter_map(field).collect();
    let value = |name: &str| {
        let found = fields.iter().find(|field| field.name.trim().eq_ignore_ascii_case(name));
        found.map(|field| field.value.clone())
    };
    let people = |name: &str| mailboxes(&value(name).unwrap_or_default());
    let ids = |name: &str| {
        let value = value(name).unwrap_or_default();
        let bare = |id: &str| id.trim_matches(['<', '>']).to_owned();
        value.split_whitespace().map(bare).collect::<Vec<_>>()
    };
    let id = ids("Message-ID").pop();
    Mail {
        digest: Digest::of(headers.as_bytes()),
        content_digest: Digest::of(b"content"),
        first_content_digest: Digest::of(b"first content"),
        raw_bytes: headers.len() as u64,
        message_id_derived: id.is_none(),
        message_id: id.unwrap_or_else(|| "derived@postroom".into()),
        in_reply_to: ids("In-Reply-To"),
        references: ids("References"),
        from: people("From"),
        sender: people("Sender"),
        reply_to: people("Reply-To"),
        to: people("To"),
        cc: people("Cc"),
        return_path: value("Return-Path")
            .map(|path| Address::parse(path.trim_matches(['<', '>', ' ']))),
        subject: value("Subject").unwrap_or_default(),
        date: None,
        text: "Hello,\nplease help.\n".into(),
        html: None,
        attachments: Vec::new(),
        report: None,
        oddities: Vec::new(),
        remarks: Remarks::default(),
        headers: fields,
    }
}

fn field(line: &str) -> Option<HeaderField> {
    let (name, value) = line.split_once(':')?;
    Some(HeaderField { name: name.into(), value: value.trim().into() })
}

fn mailboxes(text: &str) -> Vec<Mailbox> {
    let entries = text.split(',').filter(|entry| !entry.trim().is_empty());
    let mailbox = |entry: &str| match entry.split_once('<') {
        Some((name, rest)) => Mailbox {
            name: name.trim().trim_matches('"').into(),
            address: Address::parse(rest.trim_end().trim_end_matches('>')),
        },
        None => Mailbox { name: String::new(), address: Address::parse(entry) },
    };
    entries.map(mailbox).collect()
}

/// An attachment with this name.
pub(crate) fn attachment(name: &str) -> Attachment {
    Attachment {
        index: 0,
        name: name.into(),
        content_type: "application/pdf".into(),
        content_id: None,
        inline: false,
        bytes: 3,
    }
}

//! Bounces as some fifty mail systems write them, each in several shapes: they are attached to the
//! ticket whose mail came back, and mark the recipient. What people write does neither.
//!
//! The templates lie in `tests/bounces/`. `{to}` is the recipient, `{id}` the Message-ID of our
//! mail, and so on; the first line of each says what became of the mail.

use std::path::Path;

use postroom::core::address::Address;
use postroom::core::config::Config;
use postroom::core::intake::{Decision, Outcome};
use postroom::core::ticket::What;

use super::world::World;

const DESK: &str = "support@corp.example";
const FILES: [&str; 2] = ["with-status.txt", "in-words.txt"];
/// What must be attached, and of whom the recipient must be marked, in percent.
const ATTACHED_MIN: usize = 99;
const MARKED_MIN: usize = 97;
/// Bounces of this set, at least.
const BOUNCES_MIN: usize = 150;

/// How a template is varied.
const SHAPES: [Shape; 4] = [
    Shape { name: "as written", to: "eve@cust.test", subject: "Printer", return_path: true },
    Shape {
        name: "no Return-Path",
        to: "Eve.Adams@cust.test",
        subject: "Printer",
        return_path: false,
    },
    Shape {
        name: "odd dots",
        to: "eve..x.@docomo.test",
        subject: "Re: [Ticket#1] Printer",
        return_path: true,
    },
    Shape {
        name: "Japanese subject",
        to: "eve_1-2@mail.cust.test",
        subject: "=?utf-8?b?44OX44Oq44Oz44K/44O8?=",
        return_path: true,
    },
];

struct Shape {
    name: &'static str,
    to: &'static str,
    subject: &'static str,
    return_path: bool,
}

struct Template {
    name: String,
    kind: String,
    base64: bool,
    text: String,
}

fn templates() -> Vec<Template> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bounces");
    let files = FILES.iter().map(|name| std::fs::read_to_string(folder.join(name)).expect("there"));
    let all: Vec<String> = files.collect();
    let sections = all.iter().flat_map(|file| file.split("\n=== ").skip(1));
    sections
        .map(|section| {
            let (title, text) = section.split_once('\n').expect("a title and a mail");
            let mut words = title.split(" | ");
            let name = words.next().expect("a name").to_owned();
            let kind = words.next().expect("what became of the mail").to_owned();
            Template {
                name,
                kind,
                base64: words.next() == Some("base64"),
                text: format!("{text}\n"),
            }
        })
        .collect()
}

fn config() -> Config {
    super::loaded("").config.expect("the desk of the golden files is valid")
}

/// A desk with one ticket of this customer, and the id of the mail that it sent them.
fn desk(config: &Config, customer: &str) -> (World, String) {
    let mut world = World::new();
    let mail =
        format!("From: {customer}\nTo: {DESK}\nSubject: Printer\nMessage-ID: <a@x>\n\nIt jams.\n");
    assert_eq!(world.receive(config, "inbox", mail.as_bytes()).outcome, Outcome::Created);
    let id = world.sent(1, false).expect("the mail was answered");
    (world, id)
}

fn fill(template: &Template, shape: &Shape, world: &World, id: &str) -> String {
    let sent = world.owed().iter().find(|mail| mail.message_id == id).expect("it was sent");
    let sent = String::from_utf8_lossy(&sent.raw);
    let references = sent.split("References:").nth(1).expect("it refers to its root");
    let root = references.split(['<', '>']).nth(1).expect("an id").to_owned();
    let header = format!(
        "Received: from corp.example by mx.test; Mon, 30 Nov 2026 10:00:00 +0000\n\
         From: Desk <{DESK}>\nTo: {}\nSubject: {}\nMessage-ID: <{id}>\nReferences: <{root}>\n\
         MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n",
        shape.to, shape.subject
    );
    let (soft, hard) = id.split_at(30);
    let mut text = template
        .text
        .replace("{mail}", &format!("{header}\nDear customer,\nplease restart it.\n"))
        .replace("{header}", &header)
        .replace("{qp-id}", &format!("{soft}=\n{}", hard.replace('@', "=40")))
        .replace("{id}", id)
        .replace("{root}", &root)
        .replace("{to}", shape.to)
        .replace("{desk}", DESK)
        .replace("{subject}", shape.subject);
    if !shape.return_path {
        text = text
            .lines()
            .filter(|line| !line.starts_with("Return-Path: <>"))
            .fold(String::new(), |all, line| format!("{all}{line}\n"));
    }
    if template.base64 {
        let (head, body) = text.split_once("\n\n").expect("a header and a body");
        text =
            format!("{head}\nContent-Transfer-Encoding: base64\n\n{}\n", encoded(body.as_bytes()));
    }
    format!("Date: Mon, 30 Nov 2026 10:00:05 +0000\nMessage-ID: <report@mx.test>\n{text}")
}

fn encoded(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let all = three.iter().fold(0_usize, |all, byte| all << 8 | usize::from(*byte));
        let all = all << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[all >> (18 - 6 * place) & 63]);
            text.push(if place > three.len() { '=' } else { digit });
        }
        if text.len() % 77 == 76 {
            text.push('\n');
        }
    }
    text
}

fn marked(decision: &Decision) -> Vec<String> {
    let effect = decision.effect.as_ref();
    effect
        .iter()
        .flat_map(|effect| effect.ticket.undeliverable.iter().map(Address::to_string))
        .collect()
}

#[test]
fn of_fifty_mail_systems() {
    let (config, templates) = (config(), templates());
    let systems: std::collections::BTreeSet<&str> =
        templates.iter().map(|one| one.name.split(',').next().unwrap_or("")).collect();
    assert!(systems.len() >= 50, "{} mail systems", systems.len());
    let (mut all, mut attached, mut failed, mut right) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for template in &templates {
        for shape in &SHAPES {
            let (mut world, id) = desk(&config, shape.to);
            let mail = fill(template, shape, &world, &id);
            let decision = world.receive(&config, "inbox", mail.as_bytes());
            let title = format!("{}, {}", template.name, shape.name);
            all += 1;
            let is_attached = decision.outcome == Outcome::Bounce
                && decision.effect.as_ref().is_some_and(|effect| effect.ticket.id.0 == 1);
            attached += usize::from(is_attached);
            if !is_attached {
                wrong.push(format!("{title}: {}", decision.outcome.label()));
            }
            let expected = match template.kind.as_str() {
                "failed" => vec![shape.to.to_lowercase()],
                "delayed" | "delivered" | "complaint" => Vec::new(),
                other => panic!("{other}"),
            };
            failed += usize::from(!expected.is_empty());
            let is_right = marked(&decision) == expected;
            // What marks somebody without a reason is never a matter of percent.
            assert!(is_right || !expected.is_empty(), "{title} marks {:?}", marked(&decision));
            right += usize::from(is_right && !expected.is_empty());
            if !is_right && is_attached {
                wrong.push(format!("{title}: marks {:?}, {:?}", marked(&decision), decision.why));
            }
            if let (true, Some(effect)) = (is_attached, &decision.effect) {
                let complained = effect.ticket.complained.iter().map(Address::as_str);
                let expected = template.kind == "complaint";
                let expected = expected.then(|| shape.to.to_lowercase());
                assert!(complained.eq(expected.as_deref()), "{title}");
                assert!(
                    effect
                        .owed
                        .iter()
                        .all(|mail| mail.recipient.as_str() != shape.to.to_lowercase())
                );
                let moved = |what: &What| matches!(what, What::State { .. });
                assert!(!effect.events.iter().any(|event| moved(&event.what)), "{title}");
            }
        }
    }
    println!(
        "{attached} of {all} bounces attached ({:.1} %), {right} of {failed} recipients marked ({:.1} %)",
        100.0 * attached as f64 / all as f64,
        100.0 * right as f64 / failed as f64
    );
    println!("{}", wrong.join("\n"));
    assert!(all >= BOUNCES_MIN, "{all}");
    let enough = attached * 100 >= all * ATTACHED_MIN && right * 100 >= failed * MARKED_MIN;
    assert!(enough, "{}", wrong.join("\n"));
}

/// What a person writes, or the program of a person, is no bounce, whatever it quotes.
#[test]
fn of_people_are_none() {
    let quoted = "Subject: {subject}\nMessage-ID: <{id}>\nFrom: support@corp.example\nTo: {to}\n";
    let cases = [
        ("Subject: Undeliverable goods\nIn-Reply-To: <{id}>", "My parcel could not be delivered."),
        ("Subject: Re: Undeliverable: x\nIn-Reply-To: <{id}>", "550 5.1.1 is what I get. {quoted}"),
        ("Subject: Fwd: failure notice", "It says: no such user.\n\n{quoted}"),
        ("Subject: Mailbox full?\nIn-Reply-To: <{id}>", "Is my mailbox full? user unknown"),
        ("Subject: WG: Mail\nReferences: <{id}>", "Undelivered Mail Returned to Sender\n{quoted}"),
        (
            "Return-Path: <>\nAuto-Submitted: auto-replied\nSubject: Automatic reply: x\nIn-Reply-To: <{id}>",
            "I left; mail to me cannot be delivered.\n\n{quoted}",
        ),
        (
            "Return-Path: <>\nSubject: Ferien\nIn-Reply-To: <{id}>",
            "Mails are not delivered to my deputy. They are not read.",
        ),
        (
            "Auto-Submitted: auto-replied\nSubject: We got your mail\nIn-Reply-To: <{id}>",
            "Ticket 550 was opened. Mails without a number are rejected.",
        ),
        (
            "Subject: Test\nX-Autoreply: yes\nReturn-Path: <>\nIn-Reply-To: <{id}>",
            "not delivered\n{quoted}",
        ),
        (
            "Subject: Forwarded report\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b",
            "--b\n\nLook at this.\n--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822;{to}\nAction: failed\nStatus: 5.1.1\n\n--b\nContent-Type: message/rfc822\n\n{quoted}\n--b--",
        ),
    ];
    let config = config();
    for (header, body) in cases {
        let (mut world, id) = desk(&config, "eve@cust.test");
        let mail = format!(
            "From: Eve <eve@cust.test>\nTo: {DESK}\nMessage-ID: <b@x>\n{header}\n\n{body}\n"
        )
        .replace("{quoted}", quoted)
        .replace("{id}", &id)
        .replace("{to}", "eve@cust.test");
        let decision = world.receive(&config, "inbox", mail.as_bytes());
        assert_ne!(decision.outcome, Outcome::Bounce, "{header}: {:?}", decision.why);
        assert!(marked(&decision).is_empty(), "{header}");
    }
}

/// Ids that this desk did not sign prove nothing.
#[test]
fn of_another_desk_mark_no_one() {
    let config = config();
    // Ids that are encoded cannot be changed here.
    for template in
        templates().into_iter().filter(|one| !one.base64 && !one.text.contains("{qp-id}"))
    {
        let (world, id) = desk(&config, SHAPES[0].to);
        let mail = without_genuine(&fill(&template, &SHAPES[0], &world, &id));
        let decision = world.would(&config, "inbox", mail.as_bytes());
        assert_ne!(decision.outcome, Outcome::Bounce, "{}", template.name);
        assert!(marked(&decision).is_empty(), "{}", template.name);
    }
}

/// With every tag of an id replaced.
fn without_genuine(mail: &str) -> String {
    let mut changed = mail.to_owned();
    for (at, _) in mail.match_indices(['@', '=']) {
        let tag = at.checked_sub(32).and_then(|start| mail.get(start..at));
        if tag.is_some_and(|tag| tag.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            changed.replace_range(at - 32..at, &"0".repeat(32));
        }
    }
    changed
}

//! No text of anybody but an agent leaves the desk as that agent's, whatever was sent, passed on,
//! leaked or forged before.
//!
//! The model knows who truly wrote each mail: its text begins with the writer's name. Everybody
//! outside collects the Message-IDs that reach them and forges with all of them.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use postroom::core::address::Address;
use postroom::core::config::Config;
use postroom::core::mail;
use postroom::core::outgoing::{Outgoing, OutgoingKind};
use postroom::core::ticket::{Actor, Command};
use proptest::prelude::*;

use super::world::World;

const AGENTS: [(&str, &str); 2] = [("anna", "anna@agents.example"), ("ben", "ben@agents.example")];
const OUTSIDERS: [&str; 3] = ["mia@client.example", "eve@other.example", "mallory@evil.example"];
const CASES: u32 = 1_000;

#[derive(Debug, Clone)]
enum Step {
    /// An outsider writes, perhaps answering the last mail to them.
    Customer { who: usize, answers: bool, cc: usize },
    /// An agent answers a notification, perhaps with an outsider in Cc.
    Agent { who: usize, nth: usize, cc: Option<usize> },
    /// An outsider forges an agent's From, with ids that they know, a number and a Cc.
    Forged { who: usize, ids: Vec<usize>, tag: Option<usize>, cc: usize },
    /// An agent answers on the page.
    Page { who: usize, ticket: usize, cc: usize },
    /// An agent adds a note.
    Note { who: usize, ticket: usize },
    /// One ticket becomes part of another one.
    Merge { from: usize, into: usize },
    /// Another customer.
    HandOver { ticket: usize, to: usize },
    /// Time passes. Hours.
    Later(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let ids = proptest::collection::vec(0_usize..1_000, 0..4);
    prop_oneof![
        4 => (0..3_usize, any::<bool>(), 0..3_usize)
            .prop_map(|(who, answers, cc)| Step::Customer { who, answers, cc }),
        4 => (0..2_usize, 0..8_usize, proptest::option::of(0..3_usize))
            .prop_map(|(who, nth, cc)| Step::Agent { who, nth, cc }),
        6 => (0..2_usize, ids, proptest::option::of(0..4_usize), 0..3_usize)
            .prop_map(|(who, ids, tag, cc)| Step::Forged { who, ids, tag, cc }),
        1 => (0..2_usize, 0..4_usize, 0..3_usize)
            .prop_map(|(who, ticket, cc)| Step::Page { who, ticket, cc }),
        1 => (0..2_usize, 0..4_usize).prop_map(|(who, ticket)| Step::Note { who, ticket }),
        1 => (0..4_usize, 0..4_usize).prop_map(|(from, into)| Step::Merge { from, into }),
        1 => (0..4_usize, 0..3_usize).prop_map(|(ticket, to)| Step::HandOver { ticket, to }),
        1 => (0..3_000_i64).prop_map(Step::Later),
    ]
}

/// The desk, and what everybody outside of it knows.
struct Model<'a> {
    config: &'a Config,
    world: World,
    /// Message-IDs that an outsider has, of their own mails or of the desk.
    leaked: Vec<String>,
    mails: usize,
    /// Mails of the desk that were looked at.
    seen: usize,
}

impl Model<'_> {
    fn receive(&mut self, from: &str, writer: &str, subject: &str, cc: &str, ids: &[String]) {
        self.mails += 1;
        let number = self.mails;
        let cc = if cc.is_empty() { String::new() } else { format!("Cc: {cc}\n") };
        let ids: Vec<String> = ids.iter().map(|id| format!("<{id}>")).collect();
        let references = match ids.as_slice() {
            [] => String::new(),
            ids => format!("In-Reply-To: {}\nReferences: {}\n", ids[0], ids.join(" ")),
        };
        let raw = format!(
            "From: {from}\nTo: support@corp.example\n{cc}Subject: {subject}\n\
             Message-ID: <m{number}@{writer}>\n{references}\nwritten by {writer}: text {number}\n"
        );
        // Who is in Cc has the mail, and every id in it.
        if !cc.is_empty() {
            self.leaked.extend(ids.iter().map(|id| id.trim_matches(['<', '>']).to_owned()));
            self.leaked.push(format!("m{number}@{writer}"));
        }
        self.world.receive(self.config, "inbox", raw.replace('\n', "\r\n").as_bytes());
    }

    /// Every mail that has left since: outsiders learn its ids, and no text is another's.
    fn look(&mut self) {
        let new: Vec<Outgoing> = self.world.owed()[self.seen..].to_vec();
        self.seen += new.len();
        for owed in new {
            let parsed = mail::parse(&owed.raw);
            if OUTSIDERS.contains(&owed.recipient.as_str()) {
                self.leaked.push(parsed.message_id.clone());
                self.leaked.extend(parsed.references.iter().chain(&parsed.in_reply_to).cloned());
            }
            if owed.kind == OutgoingKind::Reply {
                let agent = parsed.from[0].name.split(' ').next().unwrap_or("").to_lowercase();
                let genuine = parsed.text.starts_with(&format!("written by {agent}:"));
                assert!(genuine, "{agent} did not write this: {}", parsed.text);
            }
        }
    }

    fn ticket(&self, nth: usize) -> Option<(u64, String)> {
        let tickets: Vec<_> = self.world.tickets().collect();
        let ticket = tickets.get(nth % tickets.len().max(1))?;
        Some((ticket.id.0, ticket.number.clone()))
    }

    fn act(&mut self, who: usize, ticket: u64, command: &Command) {
        let actor = Actor::Agent(AGENTS[who].0.into());
        // What makes no sense is refused; that is another test's.
        let _refused = self.world.act(self.config, ticket, command, &actor);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Customer { who, answers, cc } => {
                let from = OUTSIDERS[who];
                let last =
                    self.world.owed().iter().rev().find(|mail| mail.recipient.as_str() == from);
                let ids: Vec<String> = last
                    .filter(|_| answers)
                    .map(|mail| mail.message_id.clone())
                    .into_iter()
                    .collect();
                self.receive(from, "outsider", "help", OUTSIDERS[cc], &ids);
            }
            Step::Agent { who, nth, cc } => {
                let (name, address) = AGENTS[who];
                let told = self.world.owed().iter().rev().filter(|mail| {
                    mail.recipient.as_str() == address
                        && matches!(mail.kind, OutgoingKind::Notification { .. })
                });
                let Some(answered) = told.clone().nth(nth) else { return };
                let mut ids = vec![answered.message_id.clone()];
                ids.extend(mail::parse(&answered.raw).references);
                let cc = cc.map_or("", |cc| OUTSIDERS[cc]);
                self.receive(address, name, "Re: help", cc, &ids);
            }
            Step::Forged { who, ids, tag, cc } => {
                let known = self.leaked.clone();
                let pick = |nth: usize| known.get(nth % known.len().max(1)).cloned();
                let ids: Vec<String> = ids.into_iter().filter_map(pick).collect();
                let subject = match tag.and_then(|nth| self.ticket(nth)) {
                    Some((_, number)) => format!("Re: [Ticket#{number}] help"),
                    None => "help".into(),
                };
                self.receive(AGENTS[who].1, "forger", &subject, OUTSIDERS[cc], &ids);
            }
            Step::Page { who, ticket, cc } => {
                let Some((ticket, _)) = self.ticket(ticket) else { return };
                let text = format!("written by {}: on the page", AGENTS[who].0);
                let cc = vec![Address::parse(OUTSIDERS[cc]).unwrap()];
                let command = Command::Reply { text, to: Vec::new(), cc, subject: None };
                self.act(who, ticket, &command);
            }
            Step::Note { who, ticket } => {
                let Some((ticket, _)) = self.ticket(ticket) else { return };
                let (subject, text) = (String::new(), "internal".into());
                let note = Command::Note { subject, text, visible_for_customer: false };
                self.act(who, ticket, &note);
            }
            Step::Merge { from, into } => {
                let Some((from, _)) = self.ticket(from) else { return };
                let Some((_, number)) = self.ticket(into) else { return };
                self.act(0, from, &Command::MergeInto(number));
            }
            Step::HandOver { ticket, to } => {
                let Some((ticket, _)) = self.ticket(ticket) else { return };
                let to = Address::parse(OUTSIDERS[to]).unwrap();
                self.act(0, ticket, &Command::SetCustomer(to));
            }
            Step::Later(hours) => self.world.later(SignedDuration::from_hours(hours)),
        }
        self.look();
    }
}

#[test]
fn no_text_leaves_as_an_agents_that_the_agent_did_not_write() {
    let config = super::loaded("").config.expect("the desk of the golden files is valid");
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let mut letters = 0;
    let steps = proptest::collection::vec(step(), 1..24);
    let count = std::cell::RefCell::new(&mut letters);
    runner
        .run(&steps, |steps| {
            let (world, leaked) = (World::new(), Vec::new());
            let mut model = Model { config: &config, world, leaked, mails: 0, seen: 0 };
            for step in steps {
                model.take(step);
            }
            let left = model.world.owed().iter().filter(|mail| mail.kind == OutgoingKind::Reply);
            **count.borrow_mut() += left.count();
            let ids: BTreeSet<&String> =
                model.world.owed().iter().map(|mail| &mail.message_id).collect();
            prop_assert_eq!(ids.len(), model.world.owed().len(), "each mail has its own id");
            Ok(())
        })
        .unwrap();
    assert!(letters > CASES as usize / 4, "genuine answers do leave: {letters}");
}

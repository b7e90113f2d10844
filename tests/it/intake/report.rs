//! Plays a case and writes down what came of it, in words that a person can check.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use postroom::config::Loaded;
use postroom::core::address::Address;
use postroom::core::config::Config;
use postroom::core::digest::Line;
use postroom::core::intake::{Decision, Effect};
use postroom::core::notify::Ring;
use postroom::core::outgoing::{Delivery, Outgoing, OutgoingKind};
use postroom::core::ticket::{
    Actor, Article, ArticleKind, AuthorKind, Command, State, Ticket, Watcher, What,
};

use super::case::{Case, Step};
use super::sent;
use super::world::World;

/// What came of a case.
pub fn of(case: &Case, loaded: &Loaded) -> String {
    let mut found = String::new();
    for problem in &loaded.problems {
        let severity = problem.severity.label();
        let (path, message) = (&problem.path, &problem.message);
        writeln!(found, "{severity}: {path}: {message}").expect("a string takes it");
    }
    let Some(config) = &loaded.config else {
        found.push_str("configuration refused\n");
        return found;
    };
    let mut world = World::new();
    let mut before = 0;
    for (place, step) in case.steps.iter().enumerate() {
        let owed = world.owed().len();
        let text = play(&mut world, config, step, before);
        before = owed;
        writeln!(found, "{}. {}", place + 1, text.trim_end()).expect("a string takes it");
    }
    with_aliases(&world, found)
}

/// `before` counts the mails that were owed before the last step.
fn play(world: &mut World, config: &Config, step: &Step, before: usize) -> String {
    match step {
        Step::Headers => {
            let owed = world.owed()[before..].iter().map(|mail| sent::headers(world, mail));
            format!("headers\n{}", owed.collect::<String>())
        }
        Step::Later { hours } => {
            world.later(SignedDuration::from_hours(*hours));
            format!("{hours} hours later")
        }
        Step::Agent { name, action } => act(world, config, name, action),
        Step::Mail { account, charset, times, text } => {
            let played = (1..=*times).map(|i| receive(world, config, account, charset, text, i));
            played.collect()
        }
    }
}

fn receive(
    world: &mut World,
    config: &Config,
    account: &str,
    charset: &str,
    text: &str,
    i: u32,
) -> String {
    let text = filled(world, text).replace("{{i}}", &i.to_string()).replace('\n', "\r\n");
    let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).expect("a known charset");
    let (raw, _, _) = encoding.encode(&text);
    let before: Vec<Ticket> = world.tickets().cloned().collect();
    described(&world.receive(config, account, &raw), &before)
}

/// Puts numbers and Message-IDs in.
fn filled(world: &World, text: &str) -> String {
    let mut text = text.to_owned();
    for ticket in world.tickets() {
        let id = ticket.id.0;
        text = text.replace(&format!("{{{{number t{id}}}}}"), &ticket.number);
        for (word, notification) in [("sent", false), ("told", true)] {
            if let Some(sent) = world.sent(id, notification) {
                text = text.replace(&format!("{{{{{word} t{id}}}}}"), &format!("<{sent}>"));
            }
        }
    }
    text
}

fn described(decision: &Decision, before: &[Ticket]) -> String {
    let mut text = format!("{}\n", decision.outcome.label());
    let mut line = |words: String| writeln!(text, "   {words}").expect("a string takes it");
    for why in &decision.why {
        line(format!("why {}: {}", why.step, why.text));
    }
    if !decision.filters.is_empty() {
        line(format!("filters: {}", decision.filters.join(", ")));
    }
    if let Some(reason) = &decision.suppressed {
        line(format!("suppressed: {}", reason.label()));
    }
    for effect in decision.effect.iter().chain(&decision.linked) {
        text.push_str(&effect_described(effect, before));
    }
    text
}

fn effect_described(effect: &Effect, before: &[Ticket]) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "   {words}").expect("a string takes it");
    let known = before.iter().find(|ticket| ticket.id == effect.ticket.id);
    if known.map(ticket) != Some(ticket(&effect.ticket)) {
        line(ticket(&effect.ticket));
    }
    effect.articles.iter().for_each(|one| line(article(one)));
    effect.events.iter().for_each(|event| line(format!("event {}", happened(&event.what))));
    effect.owed.iter().for_each(|mail| line(owed(mail, effect.ticket.updated)));
    let bell = |bell: &Ring| format!("bell {} for {}", bell.event.label(), bell.who);
    effect.bells.iter().for_each(|one| line(bell(one)));
    let waits = |one: &Line| {
        let held = if one.held { " (held)" } else { "" };
        format!("digest of {}{held}: {}", one.who, one.text)
    };
    effect.digests.iter().for_each(|one| line(waits(one)));
    text
}

fn ticket(ticket: &Ticket) -> String {
    let nobody = || "nobody".to_owned();
    let customer = ticket.customer.as_ref().map_or_else(nobody, |customer| {
        let company = customer.company.as_ref().map(|company| format!(" of {company}"));
        format!("{} {}{}", customer.name, customer.address, company.unwrap_or_default())
    });
    let mut text = format!(
        "ticket {}: {}, {}, {}, {}, owner {}, customer {}, title {:?}",
        ticket.number,
        ticket.queue,
        ticket.state.label(),
        ticket.priority.label(),
        if ticket.locked_since.is_some() { "locked" } else { "unlocked" },
        ticket.owner.clone().unwrap_or_else(nobody),
        customer.trim(),
        ticket.title,
    );
    let mut more = |words: String| write!(text, ", {words}").expect("a string takes it");
    if let Some(responsible) = &ticket.responsible {
        more(format!("responsible {responsible}"));
    }
    if let Some(until) = ticket.pending_until {
        more(format!("pending until {until}"));
    }
    for (name, value) in &ticket.fields {
        more(format!("field {name} {value}"));
    }
    for address in &ticket.undeliverable {
        more(format!("undeliverable {address}"));
    }
    for address in &ticket.complained {
        more(format!("complained {address}"));
    }
    for other in &ticket.links {
        more(format!("linked with t{}", other.0));
    }
    text
}

fn article(article: &Article) -> String {
    let kind = match article.kind {
        ArticleKind::MailIn => "mail",
        ArticleKind::MailOut => "answer",
        ArticleKind::Note => "note",
        ArticleKind::AutoReply => "automatic answer",
        ArticleKind::Bounce => "bounce",
    };
    let author = match article.author {
        AuthorKind::Agent => "agent",
        AuthorKind::Customer => "customer",
        AuthorKind::System => "system",
    };
    let seen = if article.visible_for_customer { "visible" } else { "internal" };
    let names: Vec<&str> = article.attachments.iter().map(|part| part.name.as_str()).collect();
    let attached =
        if names.is_empty() { String::new() } else { format!(", with {}", names.join(", ")) };
    format!("article: {kind} by {author} ({seen}) {:?}{attached}", article.subject)
}

fn happened(what: &What) -> String {
    match what {
        What::ArticleAdded { article, .. } => format!("ArticleAdded {}", article.0),
        What::FollowedUp { locked, .. } => format!("FollowedUp locked: {locked}"),
        What::FollowUpRejected { .. } => "FollowUpRejected".into(),
        What::AutoReplyOwed { to, reply } => format!("AutoReplyOwed {reply} to {to}"),
        What::AutoReplySuppressed { reason } => format!("AutoReplySuppressed {reason}"),
        What::Notified { who, event } => format!("Notified {who} of {event}"),
        What::Linked { number } => format!("Linked {number}"),
        What::State { from, to } => format!("State {} -> {}", from.label(), to.label()),
        What::DeliveryFailed { to, reason } => format!("DeliveryFailed {to}: {reason}"),
        What::Complained { by } => format!("Complained {by}"),
        other => format!("{other:?}"),
    }
}

fn owed(mail: &Outgoing, now: Timestamp) -> String {
    let what = match &mail.kind {
        OutgoingKind::AutoReply { reply } => format!("automatic answer {reply}"),
        OutgoingKind::Notification { event, .. } => format!("notification {event}"),
        OutgoingKind::Reply => "answer".into(),
    };
    let read = postroom::core::mail::parse(&mail.raw);
    let names: Vec<&str> = read.attachments.iter().map(|file| file.name.as_str()).collect();
    let with =
        if names.is_empty() { String::new() } else { format!(", with {}", names.join(", ")) };
    let waits = match &mail.delivery {
        Delivery::Due { at, .. } if *at > now => format!(" (not before {at})"),
        Delivery::Due { .. } | Delivery::Sent { .. } | Delivery::Dead { .. } => String::new(),
    };
    format!("owed: {what} to {}{waits}: {}{with}", mail.recipient, subject(&mail.raw))
}

/// Subject of a mail of ours, decoded by the parser that customers' mails go through.
fn subject(raw: &[u8]) -> String {
    postroom::core::mail::parse(raw).subject
}

fn act(world: &mut World, config: &Config, name: &str, action: &str) -> String {
    let mut words = action.splitn(3, ' ');
    let (verb, ticket) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let rest = words.next().unwrap_or("");
    let id = ticket.trim_start_matches('t').parse().expect("a ticket such as t1");
    let before: Vec<Ticket> = world.tickets().cloned().collect();
    let actor = Actor::Agent(name.into());
    let command = command(world, verb, rest);
    let mut text = format!("{name}: {action}\n");
    match world.act(config, id, &command, &actor) {
        Ok(effects) => {
            effects.iter().for_each(|effect| text.push_str(&effect_described(effect, &before)));
        }
        Err(refused) => writeln!(text, "   refused: {refused}").expect("a string takes it"),
    }
    text
}

fn command(world: &World, verb: &str, rest: &str) -> Command {
    match verb {
        "state" => Command::SetState {
            state: State::from_label(rest).expect("a state"),
            pending_until: None,
        },
        "owner" => Command::SetOwner(Some(rest.into())),
        "queue" => Command::SetQueue(rest.into()),
        "lock" => Command::SetLock(true),
        "unlock" => Command::SetLock(false),
        "note" => {
            Command::Note { subject: "note".into(), text: rest.into(), visible_for_customer: false }
        }
        "reply" => {
            Command::Reply { text: rest.into(), to: Vec::new(), cc: Vec::new(), subject: None }
        }
        "watch" => Command::Watch(Watcher::Customer(Address::parse(rest).expect("an address"))),
        "merge" => {
            let main = rest.trim_start_matches('t').parse().expect("a ticket such as t1");
            Command::MergeInto(world.number(main))
        }
        other => panic!("unknown action {other:?}"),
    }
}

/// Tickets by the names that the steps use.
fn with_aliases(world: &World, mut text: String) -> String {
    for ticket in world.tickets() {
        text = text.replace(&ticket.number, &format!("t{}", ticket.id.0));
    }
    text
}

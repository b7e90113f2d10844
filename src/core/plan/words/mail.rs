//! Mail in and out: mail accounts, SMTP servers, senders.

use std::sync::Arc;

use super::grants::{needs_person, wants_sign_in};
use super::{Both, End, Kind, Start, Told, change, differing, names, size, time};
use crate::core::config::{
    Account, AfterFetch, Config, Dispatch, Endpoint, Login, Only, Oversize, Poll, Security, Sender,
    Since, SmtpRoute, SmtpServer, Source, Switch,
};
use crate::core::number::plural;

/// The sender of queues that name none.
const SENDER_DEFAULT: &str = "default";

pub(in super::super) const ACCOUNT: Kind<Arc<Account>> = Kind {
    name: "mailAccounts",
    state: |account| account.state,
    begins: account_begins,
    ends: |_, _, end| match end {
        End::Gone => {
            "stops polling; its tickets stay; record kept, should the name come back".into()
        }
        End::Disabled | End::Paused => {
            "stops polling; mail waits on the server; cursor kept".into()
        }
    },
    differs: |both, old, new| account(both, old, new),
    follows: "cursor, record of taken mails and sign-in follow",
};

pub(in super::super) const SMTP: Kind<SmtpServer> = Kind {
    name: "smtp",
    state: |server| server.state,
    begins: server_begins,
    ends: server_ends,
    differs: server,
    follows: "",
};

pub(in super::super) const SENDER: Kind<Sender> = Kind {
    name: "senders",
    state: |sender| sender.state,
    begins: sender_begins,
    ends: sender_ends,
    differs: |_, old, new| sender(old, new),
    follows: "",
};

fn account_begins(both: Both<'_>, account: &Arc<Account>, start: Start) -> String {
    let there = match (start, account.since) {
        (Start::Again, _) => "polls again; cursor kept, mail that waited is taken".to_owned(),
        (Start::New, Since::Linked) => "starts polling; mail already there is left alone".into(),
        (Start::New, Since::All) => "starts polling; mail already there is taken".into(),
        (Start::New, Since::Date(date)) => {
            format!("starts polling; mail already there is taken from {date} on")
        }
    };
    let after = after_fetch(&account.after_fetch);
    let sign_in = match start {
        Start::New => needs_person(both.new, login_of(account), "account", &account.name),
        Start::Again => None,
    };
    let sign_in = sign_in.map(|words| format!("; {words}")).unwrap_or_default();
    format!("{there}; afterwards {after}{sign_in}")
}

fn account(both: Both<'_>, old: &Account, new: &Account) -> Told {
    let mut told = connection(both, old, new);
    let called_now = |dispatch: &Dispatch| match dispatch {
        Dispatch::Recipient => None,
        Dispatch::Queue(queue) => Some(both.called_now(queue).to_owned()),
    };
    told.when(called_now(&old.dispatch) != called_now(&new.dispatch), || match &new.dispatch {
        Dispatch::Recipient => "queue of new tickets goes by recipient".into(),
        Dispatch::Queue(queue) => format!("its new tickets go to queue {queue}"),
    });
    told.when(old.trusted != new.trusted, || match new.trusted {
        true => "control headers (X-OTOBO-*) in its mail count from now on".into(),
        false => "control headers (X-OTOBO-*) in its mail no longer count".into(),
    });
    // Whoever reviews the change must see that mail will be deleted.
    told.when(old.after_fetch != new.after_fetch, || {
        let before = match old.after_fetch {
            // What is kept is not told to the server; it still can be.
            AfterFetch::Keep => ", also mail taken before that still lies there",
            AfterFetch::Delete | AfterFetch::Seen | AfterFetch::Move(_) => "",
        };
        format!("after a fetch {}{before}", after_fetch(&new.after_fetch))
    });
    told.when(old.poll != new.poll, || match &new.poll {
        Poll::Every(pause) => format!("looked at every {}", time(*pause)),
        Poll::Cron(schedule) => format!("looked at by schedule {schedule}"),
    });
    told.when(old.idle != new.idle, || match new.idle {
        true => "waits for news with IDLE where the server offers it".into(),
        false => "no longer waits for news with IDLE".into(),
    });
    told.when(old.only != new.only, || match new.only {
        Only::All => "mail that is marked as seen is taken too".into(),
        Only::Unseen => "mail that is marked as seen is passed over".into(),
    });
    told.when(old.since != new.since, || {
        "since counts when a mailbox is first seen: what was left alone or taken stays so".into()
    });
    told.when((old.max_size_bytes, old.oversize) != (new.max_size_bytes, new.oversize), || {
        let becomes = match new.oversize {
            Oversize::HeadersOnly => "makes a ticket of its headers alone",
            Oversize::Quarantine => "goes to quarantine with its headers alone",
            Oversize::Leave => "is left alone",
        };
        format!("mail over {} {becomes}", size(new.max_size_bytes))
    });
    told
}

/// What another connection means for what is known of the mailbox.
fn connection(both: Both<'_>, old: &Account, new: &Account) -> Told {
    let mut told = Told::default();
    if old.connection == new.connection {
        told.stays = Some("connection kept");
        return told;
    }
    told.restarts = true;
    let fields = source_fields(&old.connection, &new.connection);
    told.sentences.push(format!("{}: re-dials; cursor kept", change(&fields)));
    let has = |field: &str| fields.contains(&field);
    let other_protocol =
        std::mem::discriminant(&old.connection) != std::mem::discriminant(&new.connection);
    told.when(other_protocol || has("host"), || {
        "where mails are numbered otherwise, those on record are known by their content".into()
    });
    told.when(has("folder"), || {
        "mail in the folder is taken, but for what came before the account was first seen".into()
    });
    let another = ["host", "username", "mailbox", "path"].into_iter().any(has);
    told.when(!other_protocol && another, || {
        "cursor and record are for one mailbox: another one belongs under a name of its own".into()
    });
    told.sentences.extend(exposed(endpoint_of(&old.connection), endpoint_of(&new.connection)));
    let (before, after) = (login_of(old), login_of(new));
    told.sentences.extend(wants_sign_in(both, before, after, "account", &new.name));
    told
}

fn endpoint_of(source: &Source) -> Option<&Endpoint> {
    match source {
        Source::Imap { endpoint, .. }
        | Source::Pop3 { endpoint, .. }
        | Source::Graph { endpoint, .. } => Some(endpoint),
        Source::Maildir { .. } => None,
    }
}

/// How well a way is kept from others.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Way {
    Closed,
    Unverified,
    Plain,
}

fn way(endpoint: &Endpoint) -> Way {
    match (endpoint.security, endpoint.tls.insecure) {
        (Security::Plain, _) => Way::Plain,
        (Security::Tls | Security::StartTls, true) => Way::Unverified,
        (Security::Tls | Security::StartTls, false) => Way::Closed,
    }
}

/// Whether others may read along from now on, or no longer.
fn exposed(old: Option<&Endpoint>, new: Option<&Endpoint>) -> Option<String> {
    let (old, new) = (old.map_or(Way::Closed, way), new.map_or(Way::Closed, way));
    let words = match new {
        Way::Plain => "PASSWORDS AND MAIL GO WITHOUT ENCRYPTION",
        Way::Unverified => "CERTIFICATES ARE NOT VERIFIED: anybody in between can read along",
        Way::Closed => "nobody in between can read along any more",
    };
    (old != new).then(|| words.to_owned())
}

fn login_of(account: &Account) -> Option<&Login> {
    match &account.connection {
        Source::Imap { login, .. } | Source::Pop3 { login, .. } | Source::Graph { login, .. } => {
            Some(login)
        }
        Source::Maildir { .. } => None,
    }
}

fn source_fields(old: &Source, new: &Source) -> Vec<&'static str> {
    match (old, new) {
        (
            Source::Imap { endpoint: e1, login: l1, folder: f1 },
            Source::Imap { endpoint: e2, login: l2, folder: f2 },
        )
        | (
            Source::Graph { endpoint: e1, login: l1, folder: f1 },
            Source::Graph { endpoint: e2, login: l2, folder: f2 },
        ) => [endpoint(e1, e2), login(l1, l2), differing(&[("folder", f1 != f2)])].concat(),
        (Source::Pop3 { endpoint: e1, login: l1 }, Source::Pop3 { endpoint: e2, login: l2 }) => {
            [endpoint(e1, e2), login(l1, l2)].concat()
        }
        (Source::Maildir { .. }, Source::Maildir { .. }) => vec!["path"],
        (
            Source::Imap { .. }
            | Source::Pop3 { .. }
            | Source::Graph { .. }
            | Source::Maildir { .. },
            Source::Imap { .. }
            | Source::Pop3 { .. }
            | Source::Graph { .. }
            | Source::Maildir { .. },
        ) => vec!["type"],
    }
}

fn endpoint(old: &Endpoint, new: &Endpoint) -> Vec<&'static str> {
    differing(&[
        ("type", old.security != new.security),
        ("host", old.host != new.host),
        ("port", old.port != new.port),
        ("tls", old.tls != new.tls),
        ("connectTimeout", old.connect_timeout != new.connect_timeout),
        ("timeout", old.timeout != new.timeout),
    ])
}

fn login(old: &Login, new: &Login) -> Vec<&'static str> {
    match (old, new) {
        (Login::None, Login::None) => Vec::new(),
        (
            Login::Password { username: u1, password: p1 },
            Login::Password { username: u2, password: p2 },
        ) => differing(&[("username", u1 != u2), ("password", p1 != p2)]),
        (
            Login::OAuth2 { username: u1, profile: p1, mailbox: m1 },
            Login::OAuth2 { username: u2, profile: p2, mailbox: m2 },
        ) => {
            differing(&[("username", u1 != u2), ("oauth2Profile", p1 != p2), ("mailbox", m1 != m2)])
        }
        (
            Login::None | Login::Password { .. } | Login::OAuth2 { .. },
            Login::None | Login::Password { .. } | Login::OAuth2 { .. },
        ) => vec!["login"],
    }
}

fn after_fetch(after: &AfterFetch) -> String {
    match after {
        AfterFetch::Delete => "mail is deleted".into(),
        AfterFetch::Seen => "mail is marked as seen".into(),
        AfterFetch::Move(folder) => format!("mail is moved to {folder}"),
        AfterFetch::Keep => "mail is left as it is".into(),
    }
}

fn server_begins(both: Both<'_>, server: &SmtpServer, start: Start) -> String {
    let senders = senders_through(both.new, &server.name);
    let takes = match senders.as_slice() {
        [] => "no sender goes through it yet".to_owned(),
        some => {
            format!("takes mail of sender{} {}", plural(some.len()), names(some.iter().copied()))
        }
    };
    let takes = match &server.route {
        SmtpRoute::Sendmail { command } => format!("{takes}; {}", runs(command)),
        SmtpRoute::Smtp { .. } | SmtpRoute::Graph { .. } | SmtpRoute::File { .. } => takes,
    };
    let person = needs_person(both.new, server_login(server), "smtp", &server.name);
    let person = person.filter(|_| start == Start::New);
    person.map_or(takes.clone(), |words| format!("{takes}; {words}"))
}

/// What somebody must know who reviews the change, and do who operates the daemon.
fn runs(command: &std::path::Path) -> String {
    let command = command.display();
    format!(
        "RUNS {command} as the user of the daemon, which must be allowed with --allow-sendmail {command}"
    )
}

/// Where the mail of its senders goes instead.
fn server_ends(both: Both<'_>, server: &SmtpServer, _: End) -> String {
    let mut sentences = Vec::new();
    for name in senders_through(both.old, &server.name) {
        let first = |config: &Config| {
            let sender = config.senders.get(name)?;
            let mut via = sender.via.iter();
            via.find(|one| config.smtp.get(*one).is_some_and(|it| it.state == Switch::Enabled))
                .cloned()
        };
        sentences.push(match (first(both.old) == Some(server.name.clone()), first(both.new)) {
            (true, Some(next)) => {
                format!("mail of sender {name}, also owed mail, goes through {next}")
            }
            (false, Some(_)) => format!("sender {name} has one server less to fall back on"),
            (_, None) => {
                format!("mail of sender {name} waits in the outbox until a server takes it")
            }
        });
    }
    if sentences.is_empty() {
        sentences.push("no sender goes through it".into());
    }
    sentences.join("; ")
}

fn senders_through<'a>(config: &'a Config, server: &str) -> Vec<&'a str> {
    let through = |sender: &&Sender| {
        sender.state == Switch::Enabled && sender.via.iter().any(|name| name == server)
    };
    config.senders.values().filter(through).map(|sender| sender.name.as_str()).collect()
}

fn server(both: Both<'_>, old: &SmtpServer, new: &SmtpServer) -> Told {
    let mut fields = match (&old.route, &new.route) {
        (
            SmtpRoute::Smtp { endpoint: e1, login: l1 },
            SmtpRoute::Smtp { endpoint: e2, login: l2 },
        )
        | (
            SmtpRoute::Graph { endpoint: e1, login: l1 },
            SmtpRoute::Graph { endpoint: e2, login: l2 },
        ) => [endpoint(e1, e2), login(l1, l2)].concat(),
        (SmtpRoute::File { directory: d1 }, SmtpRoute::File { directory: d2 }) => {
            differing(&[("directory", d1 != d2)])
        }
        (SmtpRoute::Sendmail { command: c1 }, SmtpRoute::Sendmail { command: c2 }) => {
            differing(&[("command", c1 != c2)])
        }
        (
            SmtpRoute::Smtp { .. }
            | SmtpRoute::Graph { .. }
            | SmtpRoute::File { .. }
            | SmtpRoute::Sendmail { .. },
            SmtpRoute::Smtp { .. }
            | SmtpRoute::Graph { .. }
            | SmtpRoute::File { .. }
            | SmtpRoute::Sendmail { .. },
        ) => vec!["type"],
    };
    fields.extend(differing(&[
        ("connections", old.connections != new.connections),
        ("heloName", old.helo_name != new.helo_name),
    ]));
    let mut told = Told { restarts: !fields.is_empty(), ..Told::default() };
    told.when(!fields.is_empty(), || {
        let change = change(&fields);
        format!(
            "{change}: owed mail goes by new connections; what is being sent ends on the old one"
        )
    });
    if let SmtpRoute::Sendmail { command } = &new.route {
        told.when(old.route != new.route, || runs(command));
    }
    told.sentences.extend(exposed(server_endpoint(old), server_endpoint(new)));
    let (before, after) = (server_login(old), server_login(new));
    told.sentences.extend(wants_sign_in(both, before, after, "smtp", &new.name));
    told
}

fn server_endpoint(server: &SmtpServer) -> Option<&Endpoint> {
    match &server.route {
        SmtpRoute::Smtp { endpoint, .. } | SmtpRoute::Graph { endpoint, .. } => Some(endpoint),
        SmtpRoute::File { .. } | SmtpRoute::Sendmail { .. } => None,
    }
}

fn server_login(server: &SmtpServer) -> Option<&Login> {
    match &server.route {
        SmtpRoute::Smtp { login, .. } | SmtpRoute::Graph { login, .. } => Some(login),
        SmtpRoute::File { .. } | SmtpRoute::Sendmail { .. } => None,
    }
}

fn sender_begins(both: Both<'_>, sender: &Sender, _: Start) -> String {
    let queues = queues_of(both.new, &sender.name);
    match queues.as_slice() {
        [] => "no queue sends as it yet".into(),
        some => format!(
            "sends new mail of queue{} {} (From {})",
            plural(some.len()),
            names(some.iter().copied()),
            sender.from
        ),
    }
}

fn sender_ends(both: Both<'_>, sender: &Sender, end: End) -> String {
    let owed = match end {
        End::Gone => "mail already owed by it waits until a sender of this name is declared",
        End::Disabled | End::Paused => "mail already owed by it waits until it is enabled",
    };
    let Some(queues) = some(queues_of(both.old, &sender.name)) else { return owed.into() };
    let (count, queues) = (queues.len(), names(queues));
    match stand_in(both.new) {
        Some(other) => format!(
            "new mail of queue{} {queues} is sent by sender {}; {owed}",
            plural(count),
            other.name
        ),
        None if both.new.senders.values().any(|sender| sender.state == Switch::Paused) => {
            format!("new mail of queue{} {queues} waits in the outbox; {owed}", plural(count))
        }
        None => format!(
            "new mail of queue{} {queues} waits in the outbox, and where the queue has no address \
             of ours none is written; {owed}",
            plural(count)
        ),
    }
}

/// Who sends for queues whose sender is not in use.
fn stand_in(config: &Config) -> Option<&Sender> {
    let default = config.senders.get(SENDER_DEFAULT).into_iter();
    default.chain(config.senders.values()).find(|sender| sender.state == Switch::Enabled)
}

fn queues_of<'a>(config: &'a Config, sender: &str) -> Vec<&'a str> {
    let sends = |named: Option<&String>| match named {
        Some(named) => named == sender,
        None => sender == SENDER_DEFAULT,
    };
    let queues = config.queues.values().filter(|queue| sends(queue.sender.as_ref()));
    queues.map(|queue| queue.name.as_str()).collect()
}

fn sender(old: &Sender, new: &Sender) -> Told {
    let mut told = Told::default();
    told.when((&old.from, &old.from_name) != (&new.from, &new.from_name), || {
        let name =
            if new.from_name.is_empty() { String::new() } else { format!("{} ", new.from_name) };
        format!(
            "new notifications are from {name}<{}>, and letters of queues without an address; mail \
             already owed keeps its From",
            new.from
        )
    });
    told.when(old.envelope_from != new.envelope_from, || match &new.envelope_from {
        Some(address) => format!("bounces of new mail go to {address}"),
        None => "bounces of agents' mail go to its From, of automatic mail nowhere".into(),
    });
    told.when(old.via != new.via, || {
        let then = new.via.join(", then ");
        format!("its mail, also owed mail, goes through {then}")
    });
    told
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

//! `mailAccounts`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::server::{self, Written};
use super::{Context, value};
use crate::config::problem::Scope;
use crate::config::spec;
use crate::config::spec::account::{
    AccountDefaults, AccountKind, AfterFetch as After, DispatchBy, Idle, Only as Which,
    Oversize as Over,
};
use crate::config::spec::oauth2::Service;
use crate::core::config::{
    Account, AfterFetch, Dispatch, Login, Only, Oversize, Poll, Security, Since, Source, Text,
};
use crate::core::plan::Differing;

/// Time between two looks if nothing is written.
const POLL_DEFAULT: Duration = Duration::from_secs(600);
/// Shortest time between two looks.
const POLL_MIN: Duration = Duration::from_secs(1);
/// Largest mail if nothing is written. Bytes.
const SIZE_DEFAULT: u64 = 32 * 1024 * 1024;
/// Smallest bound on the size of a mail. Bytes.
const SIZE_MIN: u64 = 1024;
/// Largest bound on the size of a mail. Bytes.
const SIZE_MAX: u64 = 1024 * 1024 * 1024;
/// Folder of IMAP if none is written.
const FOLDER_DEFAULT: &str = "INBOX";
/// Port at which IMAP begins without TLS; everywhere else it begins with it (RFC 8314 section 7.3).
const IMAP_STARTTLS_PORT: u16 = 143;
/// Port at which POP3 begins with TLS (RFC 8314 section 7.3).
const POP3_TLS_PORT: u16 = 995;
/// Host of Microsoft Graph if neither account nor provider names one.
pub const GRAPH_HOST: &str = "graph.microsoft.com";
/// Port of Microsoft Graph.
pub const GRAPH_PORT: u16 = 443;

/// A mailbox to fetch from.
pub fn account(
    context: &Context<'_>,
    name: &str,
    spec: &spec::MailAccount,
    scope: &Scope<'_>,
) -> Option<Account> {
    let none = AccountDefaults::default();
    let defaults = context.united.defaults.mail_accounts.as_ref().unwrap_or(&none);
    foreign_keys(spec, scope);
    let connection = source(context, spec, defaults, scope);
    let after_fetch = after_fetch(spec, defaults, scope);
    let account = Account {
        name: name.to_owned(),
        poll: poll(spec, defaults, scope),
        idle: spec.idle.or(defaults.idle) != Some(Idle::Off),
        only: match spec.only.or(defaults.only) {
            None | Some(Which::All) => Only::All,
            Some(Which::Unseen) => Only::Unseen,
        },
        since: since(context, spec, defaults, scope),
        max_size_bytes: max_size(spec, defaults, scope),
        oversize: match spec.oversize.or(defaults.oversize) {
            None | Some(Over::HeadersOnly) => Oversize::HeadersOnly,
            Some(Over::Quarantine) => Oversize::Quarantine,
            Some(Over::Leave) => Oversize::Leave,
        },
        dispatch: dispatch(context, spec, defaults, scope),
        trusted: spec.trusted.or(defaults.trusted).unwrap_or(false),
        state: value::switch(spec.state),
        connection: connection?,
        after_fetch: after_fetch?,
    };
    Some(account)
}

fn source(
    context: &Context<'_>,
    spec: &spec::MailAccount,
    defaults: &AccountDefaults,
    scope: &Scope<'_>,
) -> Option<Source> {
    let profile = spec.oauth2_profile.as_ref();
    let endpoint = |security, port, offered: Service| {
        let written = Written {
            host: spec.host.as_ref(),
            host_default: offered.host.as_deref(),
            port: (spec.port.or(offered.port), port),
            tls: spec
                .tls
                .as_deref()
                .or(defaults.tls.as_deref().filter(|_| security != Security::Plain)),
            connect_timeout: spec.connect_timeout.as_ref().or(defaults.connect_timeout.as_ref()),
            timeout: spec.timeout.as_ref().or(defaults.timeout.as_ref()),
        };
        server::endpoint(written, security, scope)
    };
    let password = || server::password_login(spec.username.as_ref(), spec.password.as_ref(), scope);
    let with_password = |security, port| (endpoint(security, port, Service::default()), password());
    let token = || {
        let (username, mailbox) = (spec.username.as_ref(), spec.mailbox.as_ref());
        server::oauth2_login(context, username, profile, mailbox, scope)
    };
    let folder = || spec.folder.clone().unwrap_or_else(|| FOLDER_DEFAULT.to_owned());
    // Both are asked before either can end this, so that both can report.
    let imap_source = |(endpoint, login): (Option<_>, Option<_>)| {
        Some(Source::Imap { endpoint: endpoint?, login: login?, folder: folder() })
    };
    let pop3_source = |(endpoint, login): (Option<_>, Option<_>)| {
        Some(Source::Pop3 { endpoint: endpoint?, login: login? })
    };
    match spec.kind {
        AccountKind::Imap => imap_source(with_password(Security::Plain, 143)),
        AccountKind::Imaps => imap_source(with_password(Security::Tls, 993)),
        AccountKind::Imaptls => imap_source(with_password(Security::StartTls, 143)),
        AccountKind::Imapoauth2 => {
            let offered = server::service(context, profile, |provider| provider.imap);
            let security = match spec.port.or(offered.port) {
                Some(IMAP_STARTTLS_PORT) => Security::StartTls,
                _ => Security::Tls,
            };
            imap_source((endpoint(security, 993, offered), token()))
        }
        AccountKind::Pop3 => pop3_source(with_password(Security::Plain, 110)),
        AccountKind::Pop3s => pop3_source(with_password(Security::Tls, 995)),
        AccountKind::Pop3tls => pop3_source(with_password(Security::StartTls, 110)),
        AccountKind::Pop3oauth2 => {
            let offered = server::service(context, profile, |provider| provider.pop3);
            let security = match spec.port.or(offered.port) {
                Some(POP3_TLS_PORT) => Security::Tls,
                _ => Security::StartTls,
            };
            pop3_source((endpoint(security, 110, offered), token()))
        }
        AccountKind::Graph => graph(context, spec, defaults, scope),
        AccountKind::Maildir => maildir(spec, scope),
    }
}

fn graph(
    context: &Context<'_>,
    spec: &spec::MailAccount,
    defaults: &AccountDefaults,
    scope: &Scope<'_>,
) -> Option<Source> {
    let profile = spec.oauth2_profile.as_ref();
    let service = server::service(context, profile, |provider| provider.graph);
    let written = Written {
        host: spec.host.as_ref(),
        host_default: service.host.as_deref().or(Some(GRAPH_HOST)),
        port: (spec.port.or(service.port), GRAPH_PORT),
        tls: spec.tls.as_deref().or(defaults.tls.as_deref()),
        connect_timeout: spec.connect_timeout.as_ref().or(defaults.connect_timeout.as_ref()),
        timeout: spec.timeout.as_ref().or(defaults.timeout.as_ref()),
    };
    let endpoint = server::endpoint(written, Security::Tls, scope);
    let username = spec.username.as_ref();
    let mailbox = spec.mailbox.as_ref();
    let login = server::oauth2_login(context, username, profile, mailbox, scope);
    let folder = spec.folder.clone().unwrap_or_else(|| FOLDER_DEFAULT.to_owned());
    Some(Source::Graph { endpoint: endpoint?, login: login?, folder })
}

fn maildir(spec: &spec::MailAccount, scope: &Scope<'_>) -> Option<Source> {
    let Some(path) = spec.path.as_ref().filter(|path| !path.is_empty()) else {
        scope.error_at_key(
            "key \"path\" is missing",
            "name the directory that holds new, cur and tmp",
        );
        return None;
    };
    Some(Source::Maildir { path: PathBuf::from(path) })
}

/// Keys that mean nothing for this type would be read as if they did.
fn foreign_keys(spec: &spec::MailAccount, scope: &Scope<'_>) {
    use AccountKind::{Graph, Imap, Imapoauth2, Imaps, Imaptls, Maildir, Pop3oauth2};
    let network = spec.kind != Maildir;
    let imap = matches!(spec.kind, Imap | Imaps | Imaptls | Imapoauth2);
    let token = matches!(spec.kind, Imapoauth2 | Pop3oauth2 | Graph);
    let keys = [
        ("host", spec.host.is_some(), network),
        ("port", spec.port.is_some(), network),
        ("tls", spec.tls.is_some(), network),
        ("username", spec.username.is_some(), network),
        ("password", spec.password.is_some(), network && !token),
        ("oauth2Profile", spec.oauth2_profile.is_some(), token),
        ("folder", spec.folder.is_some(), imap || spec.kind == Graph),
        ("mailbox", spec.mailbox.is_some(), token),
        ("path", spec.path.is_some(), !network),
        ("idle", spec.idle.is_some(), imap),
    ];
    for (key, written, allowed) in keys {
        if written && !allowed {
            scope.at(key).error_at_key("does not belong to this type", "remove it");
        }
    }
}

fn poll(spec: &spec::MailAccount, defaults: &AccountDefaults, scope: &Scope<'_>) -> Poll {
    if spec.poll_interval.is_some() && spec.schedule.is_some() {
        scope.at("schedule").error_at_key("stands beside pollInterval", "remove one of the two");
    }
    let every = |text| value::duration(text, POLL_MIN, &scope.at("pollInterval")).map(Poll::Every);
    let cron = |text: &String| {
        check_cron(text, &scope.at("schedule"));
        Some(Poll::Cron(text.clone()))
    };
    spec.poll_interval
        .as_ref()
        .and_then(every)
        .or_else(|| spec.schedule.as_ref().and_then(cron))
        .or_else(|| defaults.poll_interval.as_ref().and_then(every))
        .or_else(|| defaults.schedule.as_ref().and_then(cron))
        .unwrap_or(Poll::Every(POLL_DEFAULT))
}

fn check_cron(text: &str, scope: &Scope<'_>) {
    let five = text.starts_with('@') || text.split_whitespace().count() == 5;
    if !five || text.parse::<croner::Cron>().is_err() {
        let hint = "minute, hour, day of month, month, day of week, such as `*/5 8-18 * * 1-5`";
        scope.error("is not a cron expression of five fields", hint);
    }
}

fn since(
    context: &Context<'_>,
    spec: &spec::MailAccount,
    defaults: &AccountDefaults,
    scope: &Scope<'_>,
) -> Since {
    let Some(text) = spec.since.as_ref().or(defaults.since.as_ref()) else {
        return Since::Linked;
    };
    match text.0.as_str() {
        "linked" => Since::Linked,
        "all" => Since::All,
        date => {
            let zone = context.united.desk.time_zone.as_deref().unwrap_or("UTC");
            let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
            let day = value::read_date(date, &scope.at("since"));
            let start = day.and_then(|day| day.to_zoned(zone).ok());
            start.map_or(Since::Linked, |start| Since::Date(start.timestamp()))
        }
    }
}

fn max_size(spec: &spec::MailAccount, defaults: &AccountDefaults, scope: &Scope<'_>) -> u64 {
    let Some(text) = spec.max_size.as_ref().or(defaults.max_size.as_ref()) else {
        return SIZE_DEFAULT;
    };
    match value::size(text) {
        Some(bytes) if (SIZE_MIN..=SIZE_MAX).contains(&bytes) => bytes,
        _ => {
            scope.at("maxSize").error("must be between 1KiB and 1GiB", "");
            SIZE_DEFAULT
        }
    }
}

fn after_fetch(
    spec: &spec::MailAccount,
    defaults: &AccountDefaults,
    scope: &Scope<'_>,
) -> Option<AfterFetch> {
    use AccountKind::{Pop3, Pop3oauth2, Pop3s, Pop3tls};
    let Some(word) = spec.after_fetch.as_ref().or(defaults.after_fetch.as_ref()) else {
        let hint = "write delete, seen, keep or {move: FOLDER} here or in defaults.mailAccounts";
        scope.error_at_key("key \"afterFetch\" is missing", hint);
        return None;
    };
    let at = scope.at("afterFetch");
    let pop3 = matches!(spec.kind, Pop3 | Pop3s | Pop3tls | Pop3oauth2);
    if pop3 && matches!(word, After::Seen | After::Move(_)) {
        at.error("POP3 can neither mark nor move a mail", "write delete or keep");
    }
    Some(match word {
        After::Delete => AfterFetch::Delete,
        After::Seen => AfterFetch::Seen,
        After::Keep => AfterFetch::Keep,
        After::Move(folder) => {
            let own = spec.folder.as_deref().unwrap_or(FOLDER_DEFAULT);
            if folder.trim().is_empty() || folder.chars().any(char::is_control) {
                at.at("move").error("is not the name of a folder", "");
            } else if folder == own && spec.kind != AccountKind::Maildir {
                at.at("move").error("is the folder that is read", "name another folder");
            }
            AfterFetch::Move(folder.clone())
        }
    })
}

fn dispatch(
    context: &Context<'_>,
    spec: &spec::MailAccount,
    defaults: &AccountDefaults,
    scope: &Scope<'_>,
) -> Dispatch {
    let Some(written) = spec.dispatch.as_ref().or(defaults.dispatch.as_ref()) else {
        return Dispatch::Recipient;
    };
    let scope = scope.at("dispatch");
    match (written.by, &written.queue) {
        (DispatchBy::Recipient, None) => Dispatch::Recipient,
        (DispatchBy::Recipient, Some(_)) => {
            scope
                .at("queue")
                .error_at_key("has no effect with `by: recipient`", "write `by: queue`");
            Dispatch::Recipient
        }
        (DispatchBy::Queue, Some(queue)) => {
            context.target_queue(queue, &scope.at("queue"));
            Dispatch::Queue(queue.clone())
        }
        (DispatchBy::Queue, None) => {
            scope.error_at_key("key \"queue\" is missing", "name the queue");
            Dispatch::Recipient
        }
    }
}

/// Two accounts on one mailbox would each take half of its mail.
pub fn same_mailbox(
    before: &BTreeMap<String, Arc<Account>>,
    accounts: &BTreeMap<String, Arc<Account>>,
    top: &Scope<'_>,
) {
    let mut changed = Differing::of(before, accounts).new.into_iter();
    let known = |name, account: &Account| {
        before.get(name).is_some_and(|before| before.connection == account.connection)
    };
    if changed.all(|(name, account)| known(name, account)) {
        return;
    }
    let section = top.at("mailAccounts");
    let mut seen: HashMap<Mailbox<'_>, &str> = HashMap::with_capacity(accounts.len());
    for (name, account) in accounts {
        if let Some(first) = seen.insert(mailbox(&account.connection), name) {
            let message = format!("reads the same mailbox as {first:?}");
            section.at(name).error_at_key(message, "remove one of the two accounts");
        }
    }
}

/// What makes two accounts the same mailbox.
#[derive(PartialEq, Eq, Hash)]
enum Mailbox<'a> {
    /// Host, user and folder.
    Server(String, Cow<'a, str>, &'a str),
    /// Host, user and folder.
    Graph(String, String, String),
    Maildir(&'a OsStr),
}

fn mailbox(source: &Source) -> Mailbox<'_> {
    match source {
        Source::Imap { endpoint, login, folder } => {
            // RFC 3501 section 5.1: INBOX is one name in any case.
            let inbox = folder.eq_ignore_ascii_case(FOLDER_DEFAULT);
            let folder = if inbox { FOLDER_DEFAULT } else { folder };
            Mailbox::Server(key(&endpoint.host).to_lowercase(), user(login), folder)
        }
        // A POP3 mailbox is the INBOX of the same host's IMAP.
        Source::Pop3 { endpoint, login } => {
            Mailbox::Server(key(&endpoint.host).to_lowercase(), user(login), FOLDER_DEFAULT)
        }
        Source::Graph { endpoint, login, folder } => Mailbox::Graph(
            key(&endpoint.host).to_lowercase(),
            user(login).to_lowercase(),
            folder.to_lowercase(),
        ),
        Source::Maildir { path } => Mailbox::Maildir(path.as_os_str()),
    }
}

fn user(login: &Login) -> Cow<'_, str> {
    match login {
        Login::None => Cow::Borrowed(""),
        Login::OAuth2 { mailbox: Some(mailbox), .. } => key(mailbox),
        Login::Password { username, .. } | Login::OAuth2 { username, .. } => key(username),
    }
}

fn key(text: &Text) -> Cow<'_, str> {
    match text {
        Text::Plain(text) => Cow::Borrowed(text),
        Text::Reference(reference) => Cow::Owned(format!("{reference:?}")),
    }
}

//! What must be done so that what runs is what is declared.
//!
//! A step starts a task, asks one to stop or swaps a pointer: it cannot fail. What can fail is
//! found by `config::compile` before, or retried by the poller afterwards.
//!
//! Architecture invariant: equality is the only test for change. Right after the last plan was
//! carried out, `plan` of the same configuration is empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::config::{Account, Config, SmtpServer, Source, Switch};
pub use changes::changes;
pub use edit::{Differing, Edit};
pub use effects::effects;
pub use guard::{MassDelete, mass_delete};

mod changes;
mod edit;
mod effects;
mod guard;
mod words;

/// A task of the daemon: at most one runs per slot at any time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Slot {
    /// Fetches from the mail account of this name.
    Poller(String),
    /// Sends what we owe. Always wanted.
    Outbox,
    /// Tells webhooks what they are owed. Always wanted.
    Webhooks,
    /// Does what is due because time passed. Always wanted.
    Clockwork,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask the task to stop at its next safe point.
    Stop(Slot),
    /// From now on every decision is made under the new configuration.
    Swap,
    /// Start the task, once a predecessor in its slot has ended.
    Start(Slot),
}

/// What a revision does to one object, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Kind as in YAML: `mailAccounts`, `queues`, ...
    pub kind: &'static str,
    /// Name of the object.
    pub name: String,
    /// What happens to it.
    pub action: Action,
    /// What that means in words: `re-dials; cursor kept`.
    pub effect: String,
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It is new.
    Create,
    /// It changes in place.
    Change,
    /// Its task is started again.
    Restart,
    /// It keeps its record under a new name.
    Move,
    /// It ceases to run but stays declared.
    Suspend,
    /// It runs again.
    Resume,
    /// It is gone.
    Delete,
}

impl Action {
    /// Label for metrics and log.
    pub fn label(&self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Change => "change",
            Action::Restart => "restart",
            Action::Move => "move",
            Action::Suspend => "suspend",
            Action::Resume => "resume",
            Action::Delete => "delete",
        }
    }
}

/// Steps from what runs to what is declared: stops, one swap, starts. Empty if they are equal.
pub fn plan(edit: &Edit<'_>) -> Vec<Step> {
    if edit.running == edit.desired {
        return Vec::new();
    }
    let Differing { old, new } = &edit.accounts;
    let (old, new) = (slots(old), slots(new));
    let stops = old.iter().filter(|(slot, work)| new.get(slot) != Some(work));
    let starts = new.iter().filter(|(slot, work)| old.get(slot) != Some(work));
    stops
        .map(|(slot, _)| Step::Stop(slot.clone()))
        .chain([Step::Swap])
        .chain(starts.map(|(slot, _)| Step::Start(slot.clone())))
        .collect()
}

/// Tasks that a configuration wants.
pub fn wanted(config: &Config) -> Vec<Slot> {
    slots(&config.accounts.iter().collect()).into_keys().collect()
}

/// Why this account has no poller, if it has none.
pub fn idle_account(account: &Account) -> Option<&'static str> {
    suspended(account.state)
}

/// Why this server is not used, if it is not.
pub fn idle_server(server: &SmtpServer) -> Option<&'static str> {
    suspended(server.state)
}

/// Tasks of these accounts, each with the part whose change needs a new task.
fn slots<'a>(accounts: &BTreeMap<&'a String, &'a Arc<Account>>) -> BTreeMap<Slot, &'a Source> {
    let polled = accounts.iter().filter(|(_, account)| idle_account(account).is_none());
    polled.map(|(name, account)| (Slot::Poller((*name).clone()), &account.connection)).collect()
}

fn suspended(state: Switch) -> Option<&'static str> {
    match state {
        Switch::Enabled => None,
        Switch::Disabled => Some("disabled"),
        Switch::Paused => Some("paused"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::core::config::{
        AfterFetch, Dispatch, Endpoint, Login, Only, Oversize, Poll, SecretRef, Security, Since,
        SmtpRoute, Text, TlsOptions,
    };

    pub(super) fn endpoint(host: &str) -> Endpoint {
        Endpoint {
            host: Text::Plain(host.into()),
            port: 993,
            security: Security::Tls,
            tls: TlsOptions::default(),
            connect_timeout: Duration::from_secs(20),
            timeout: Duration::from_secs(60),
        }
    }

    pub(super) fn password() -> Login {
        let username = Text::Plain("desk".into());
        Login::Password { username, password: SecretRef::Named("imap".into()) }
    }

    fn oauth2() -> Login {
        Login::OAuth2 {
            username: Text::Plain("desk".into()),
            profile: "m365".into(),
            mailbox: None,
        }
    }

    pub(super) fn imap(name: &str, host: &str) -> Account {
        let folder = "INBOX".into();
        let source = Source::Imap { endpoint: endpoint(host), login: password(), folder };
        Account {
            name: name.into(),
            connection: source,
            poll: Poll::Every(Duration::from_secs(600)),
            idle: true,
            only: Only::All,
            since: Since::Linked,
            max_size_bytes: 1 << 25,
            oversize: Oversize::HeadersOnly,
            after_fetch: AfterFetch::Seen,
            dispatch: Dispatch::Recipient,
            trusted: false,
            state: Switch::Enabled,
        }
    }

    pub(super) fn server(name: &str, host: &str) -> SmtpServer {
        SmtpServer {
            name: name.into(),
            route: SmtpRoute::Smtp { endpoint: endpoint(host), login: password() },
            connections: 2,
            helo_name: None,
            state: Switch::Enabled,
        }
    }

    pub(super) fn config(accounts: &[Account], servers: &[SmtpServer]) -> Config {
        let named = |account: &Account| (account.name.clone(), account.clone().into());
        Config {
            accounts: Arc::new(accounts.iter().map(named).collect()),
            smtp: servers.iter().map(|server| (server.name.clone(), server.clone())).collect(),
            ..Config::default()
        }
    }

    fn words(steps: &[Step]) -> Vec<String> {
        let slot = |slot: &Slot| match slot {
            Slot::Poller(name) => format!("poller {name}"),
            Slot::Outbox => "outbox".into(),
            Slot::Webhooks => "webhooks".into(),
            Slot::Clockwork => "clockwork".into(),
        };
        let one = |step: &Step| match step {
            Step::Stop(which) => format!("stop {}", slot(which)),
            Step::Swap => "swap".into(),
            Step::Start(which) => format!("start {}", slot(which)),
        };
        steps.iter().map(one).collect()
    }

    #[track_caller]
    fn check(running: &Config, desired: &Config, expected: &[&str]) {
        assert_eq!(words(&plan(&Edit::of(running, desired))), expected);
        assert_eq!(plan(&Edit::of(desired, desired)), []);
    }

    /// One account that becomes another of the same name.
    #[track_caller]
    fn check_account(change: impl FnOnce(&mut Account), expected: &[&str]) {
        let before = imap("a", "x.test");
        let mut after = before.clone();
        change(&mut after);
        check(&config(&[before], &[]), &config(&[after], &[]), expected);
    }

    #[test]
    fn first_start() {
        let desired = config(&[imap("a", "x.test")], &[server("relay", "s.test")]);
        check(&Config::default(), &desired, &["swap", "start poller a"]);
        check(&desired, &Config::default(), &["stop poller a", "swap"]);
    }

    #[test]
    fn routing_only() {
        check_account(|account| account.dispatch = Dispatch::Queue("sales".into()), &["swap"]);
        check_account(|account| account.after_fetch = AfterFetch::Delete, &["swap"]);
        check_account(|account| account.poll = Poll::Every(Duration::from_secs(5)), &["swap"]);
        check_account(|account| account.trusted = true, &["swap"]);
        check_account(|_| {}, &[]);
    }

    #[test]
    fn another_mailbox() {
        let steps = ["stop poller a", "swap", "start poller a"];
        check_account(|account| account.connection = imap("a", "y.test").connection, &steps);
    }

    #[test]
    fn switches() {
        let stop = ["stop poller a", "swap"];
        check_account(|account| account.state = Switch::Paused, &stop);
        check_account(|account| account.state = Switch::Disabled, &stop);
        let paused = Account { state: Switch::Paused, ..imap("a", "x.test") };
        let running = config(&[paused], &[]);
        let desired = config(&[imap("a", "x.test")], &[]);
        check(&running, &desired, &["swap", "start poller a"]);
    }

    #[test]
    fn a_server_changes() {
        let other = SmtpServer { connections: 5, ..server("relay", "s.test") };
        let running = config(&[], &[server("relay", "s.test")]);
        check(&running, &config(&[], &[other]), &["swap"]);
        let paused = SmtpServer { state: Switch::Paused, ..server("relay", "s.test") };
        check(&running, &config(&[], &[paused]), &["swap"]);
    }

    #[test]
    fn a_new_name() {
        let running = config(&[imap("info", "x.test")], &[]);
        let desired = config(&[imap("support", "x.test")], &[]);
        let steps = ["stop poller info", "swap", "start poller support"];
        check(&running, &desired, &steps);
    }

    #[test]
    fn with_a_token_or_a_password() {
        let folder = "INBOX".into();
        let imap4 = Source::Imap { endpoint: endpoint("x.test"), login: oauth2(), folder };
        let pop3 = Source::Pop3 { endpoint: endpoint("x.test"), login: oauth2() };
        let graph =
            Source::Graph { endpoint: endpoint("g.test"), login: oauth2(), folder: "INBOX".into() };
        for source in [imap4, pop3, graph] {
            let account = Account { connection: source, ..imap("a", "x.test") };
            check(&Config::default(), &config(&[account], &[]), &["swap", "start poller a"]);
        }
    }

    #[test]
    fn local_ways_run() {
        let maildir = Source::Maildir { path: "/var/mail/a".into() };
        let account = Account { connection: maildir, ..imap("a", "x.test") };
        let route = SmtpRoute::File { directory: "out".into() };
        let file = SmtpServer { route, ..server("file", "s.test") };
        check(&Config::default(), &config(&[account], &[file]), &["swap", "start poller a"]);
    }

    /// Some accounts and servers out of a few names, hosts and switches.
    pub(super) fn any_config() -> impl Strategy<Value = Config> {
        let switch =
            || proptest::sample::select(vec![Switch::Enabled, Switch::Disabled, Switch::Paused]);
        let account =
            ("[a-d]", "[xy]", switch(), any::<bool>()).prop_map(|(name, host, state, trusted)| {
                Account { state, trusted, ..imap(&name, &host) }
            });
        let server =
            ("[r-t]", "[xy]", switch(), 1usize..3).prop_map(|(name, host, state, connections)| {
                SmtpServer { state, connections, ..server(&name, &host) }
            });
        let accounts = proptest::collection::vec(account, 0..5);
        let servers = proptest::collection::vec(server, 0..4);
        (accounts, servers).prop_map(|(accounts, servers)| config(&accounts, &servers))
    }

    proptest! {
        #[test]
        fn carried_out_it_runs_what_is_declared(running in any_config(), desired in any_config()) {
            let mut tasks: BTreeMap<Slot, Config> =
                wanted(&running).into_iter().map(|slot| (slot, running.clone())).collect();
            let mut swaps = 0;
            let mut current = &running;
            for step in plan(&Edit::of(&running, &desired)) {
                match step {
                    Step::Stop(slot) => {
                        prop_assert_eq!(swaps, 0, "stops come before the swap");
                        prop_assert!(tasks.remove(&slot).is_some(), "stopped what did not run");
                    }
                    Step::Swap => {
                        swaps += 1;
                        current = &desired;
                    }
                    Step::Start(slot) => {
                        prop_assert_eq!(swaps, 1, "starts come after the swap");
                        let before = tasks.insert(slot, desired.clone());
                        prop_assert!(before.is_none(), "two tasks in one slot");
                    }
                }
            }
            prop_assert_eq!(swaps, usize::from(running != desired));
            prop_assert_eq!(current, &desired);
            let runs: Vec<Slot> = tasks.keys().cloned().collect();
            prop_assert_eq!(runs, wanted(&desired));
            // Each task does the work that is declared now, whenever it was started.
            for (slot, begun_under) in &tasks {
                let work = |config: &Config| {
                    slots(&config.accounts.iter().collect()).get(slot).copied().cloned()
                };
                let same = work(begun_under) == work(&desired);
                prop_assert!(same, "{slot:?} does the old work");
            }
            prop_assert_eq!(plan(&Edit::of(&desired, &desired)), []);
        }
    }
}

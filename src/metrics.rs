//! Every metric: name, help, labels. prometheus is used here and nowhere else.
//!
//! [`ALL`] is the one list: it makes the series, and `docs/metrics.md` is generated from it.
//! Callers use typed methods, so a wrong number of labels does not compile.
//!
//! Architecture invariant: no address, subject, ticket number or correspondent's host is ever a
//! label. Label values are either names declared in the configuration or words of ours, and the
//! series of a removed object disappear.

mod accounts;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
};

use self::accounts::{AccountSeries, is_of_accounts};
use crate::core::config::{Account, Config, Poll, Security, SmtpRoute, Source, Switch, TlsOptions};
use crate::core::plan::Edit;
use crate::store::{HookCounts, OutboxCounts, Owing};

/// Media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets; these are the upper bounds.
    Histogram(Buckets),
}

/// Bucket bounds of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buckets {
    /// Steps of one operation: 1 ms to 60 s.
    Seconds,
    /// Waits of a mail: 1 s to 5 days.
    Waits,
    /// Things handled together: 1 to 512.
    Batch,
}

/// One row of the list of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricRow {
    /// Full name.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// Help text: one sentence without a full stop.
    pub help: &'static str,
    /// Label names, in the order in which values are given.
    pub labels: &'static [&'static str],
}

const fn row(
    name: &'static str,
    kind: MetricKind,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricRow {
    MetricRow { name, kind, help, labels }
}

use MetricKind::{Counter, Gauge, Histogram};

/// Every metric of ours; `process_*` comes on top.
#[rustfmt::skip]
pub const ALL: &[MetricRow] = &[
    row("postroom_build_info", Gauge, &["version"], "Always 1; the label says which version runs"),
    row("postroom_config_last_reload_successful", Gauge, &[], "1 if the last look at the configuration files found a revision that could be applied"),
    row("postroom_config_last_reload_success_timestamp_seconds", Gauge, &[], "When the configuration files were last found good"),
    row("postroom_config_hash", Gauge, &[], "First 48 bits of the hash of the configuration that runs"),
    row("postroom_config_info", Gauge, &["revision"], "Always 1; the label says which revision runs"),
    row("postroom_config_reloads_total", Counter, &["trigger", "result"], "Looks at the configuration files by what made us look and what came of it"),
    row("postroom_config_resources", Gauge, &["kind", "state"], "Declared objects by kind and state"),
    row("postroom_reconcile_actions_total", Counter, &["kind", "action"], "Changes that were carried out, by kind of object"),
    row("postroom_worker_restarts_total", Counter, &["kind", "reason"], "Tasks that ended by themselves and were started again"),
    row("postroom_tls_insecure", Gauge, &["kind", "name"], "Always 1; an object whose certificates are declared not to be verified"),
    row("postroom_account_info", Gauge, &["account", "state", "type"], "Always 1; the declared mail accounts"),
    row("postroom_account_up", Gauge, &["account"], "1 if the last look into the mailbox succeeded"),
    row("postroom_account_authenticated", Gauge, &["account"], "1 if the mail server took the last login, 0 if it refused it or the secret could not be read"),
    row("postroom_account_last_success_timestamp_seconds", Gauge, &["account"], "When the mailbox was last looked at without an error"),
    row("postroom_account_poll_interval_seconds", Gauge, &["account"], "Time between two looks into the mailbox as declared"),
    row("postroom_account_consecutive_failures", Gauge, &["account"], "Failed looks into the mailbox since the last success"),
    row("postroom_account_failing", Gauge, &["account", "reason"], "1 if every look into the mailbox has failed for an hour, with the reason of the last failure as in postroom_poll_errors_total"),
    row("postroom_account_backlog_messages", Gauge, &["account"], "Messages in the mailbox that wait to be taken"),
    row("postroom_account_uidvalidity_changes_total", Counter, &["account"], "How often the mailbox gave all its messages new names"),
    row("postroom_poll_runs_total", Counter, &["account", "result"], "Looks into the mailbox by result"),
    row("postroom_poll_errors_total", Counter, &["protocol", "reason"], "Failed looks into mailboxes by reason"),
    row("postroom_poll_duration_seconds", Histogram(Buckets::Seconds), &["protocol"], "Duration of a look into a mailbox, fetching included"),
    row("postroom_protocol_violations_total", Counter, &["protocol"], "Answers of mail servers that broke the protocol or our limits"),
    row("postroom_intake_messages_total", Counter, &["outcome"], "Mails by what became of them"),
    row("postroom_intake_suspects_total", Counter, &["result"], "Judgements in a process of its own of a mail that was in hand when the daemon ended, by what they showed: healthy, deadly, unknown"),
    row("postroom_intake_duplicates_total", Counter, &["key"], "Repeated deliveries by the key that told"),
    row("postroom_quarantine_messages", Gauge, &[], "Mails in quarantine that nobody has dealt with"),
    row("postroom_intake_lag_seconds", Histogram(Buckets::Waits), &[], "Time from the arrival of a mail in the mailbox to the commit of its outcome"),
    row("postroom_intake_duration_seconds", Histogram(Buckets::Seconds), &["stage"], "Duration of each stage of a mail's path"),
    row("postroom_intake_disabled_queue_total", Counter, &["queue"], "New tickets in queues that are declared disabled"),
    row("postroom_router_decisions_total", Counter, &["by"], "New tickets by the rule that chose their queue"),
    row("postroom_router_filter_matches_total", Counter, &["filter"], "Mails that a filter matched"),
    row("postroom_autoreplies_total", Counter, &["kind", "result"], "Automatic answers owed, and held back by reason"),
    row("postroom_notifications_total", Counter, &["event", "result"], "Notifications of agents and watchers: owed, held because there were too many in an hour, and what became of them"),
    row("postroom_outbox_messages", Gauge, &["state"], "Mails on record in the outbox by state"),
    row("postroom_outbox_oldest_pending_seconds", Gauge, &[], "Age of the oldest mail that is still to be sent"),
    row("postroom_outbox_attempts_total", Counter, &["server", "result"], "Attempts to send by SMTP server and result"),
    row("postroom_outbox_ambiguous_total", Counter, &["server"], "Attempts in which the whole mail was handed over and no answer says whether it was taken. Over SMTP it is sent again, and the recipient may get it twice with one Message-ID; Microsoft Graph is asked first whether it was sent"),
    row("postroom_outbox_delivery_seconds", Histogram(Buckets::Waits), &[], "Time from enqueueing a mail to a server taking it"),
    row("postroom_webhook_messages", Gauge, &["state"], "Messages on record that are owed to webhooks, by state"),
    row("postroom_webhook_attempts_total", Counter, &["webhook", "result"], "Attempts to tell a webhook by result"),
    row("postroom_oauth_access_token_expiry_timestamp_seconds", Gauge, &["profile"], "When the first access token in use of an OAuth2 profile expires"),
    row("postroom_oauth_refreshes_total", Counter, &["profile", "result"], "Requests for an access token by result"),
    row("postroom_oauth_refresh_token_issued_timestamp_seconds", Gauge, &["kind", "name"], "When the refresh token of an account or server was issued"),
    row("postroom_oauth_refresh_token_expiry_timestamp_seconds", Gauge, &["kind", "name"], "When the refresh token of an account or server ends: as the provider says, or if nobody uses it"),
    row("postroom_oauth_sign_in_required", Gauge, &["kind", "name"], "1 if a person must sign in for this account or server"),
    row("postroom_oauth_client_secret_expiry_timestamp_seconds", Gauge, &["profile"], "When the client secret of an OAuth2 profile expires, as declared"),
    row("postroom_api_token_expiry_timestamp_seconds", Gauge, &["token"], "When the last day of an API token ends, as declared"),
    row("postroom_tls_peer_cert_expiry_timestamp_seconds", Gauge, &["kind", "name"], "When the certificate of a mail server expires"),
    row("postroom_store_commit_duration_seconds", Histogram(Buckets::Seconds), &[], "Duration of a commit of the store"),
    row("postroom_store_commit_batch", Histogram(Buckets::Batch), &[], "Operations that shared a commit of the store"),
    row("postroom_store_size_bytes", Gauge, &[], "Size of the store on disk"),
    row("postroom_search_unread_articles", Gauge, &[], "Articles that the index of the search has not read yet"),
    row("postroom_store_free_bytes", Gauge, &[], "Room that is left on the disk of the store"),
    row("postroom_http_requests_total", Counter, &["route", "method", "status"], "Requests answered, by declared route"),
    row("postroom_http_connections_refused_total", Counter, &["reason"], "Connections that were refused or closed: address and full (no place), displaced (no room to wait), slowReader (took its answer too slowly)"),
    row("postroom_sign_ins_total", Counter, &["method", "result"], "Attempts to sign in on the page"),
    row("postroom_http_request_duration_seconds", Histogram(Buckets::Seconds), &["route"], "Duration of a request, by declared route"),
];

/// Every metric of the daemon; clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

/// The series by name of the row.
struct Families {
    registry: Registry,
    counters: BTreeMap<&'static str, IntCounterVec>,
    gauges: BTreeMap<&'static str, GaugeVec>,
    histograms: BTreeMap<&'static str, HistogramVec>,
    rows: BTreeMap<&'static str, &'static MetricRow>,
    accounts: AccountSeries,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let metrics = Metrics(Arc::new(Families::from_rows(ALL)));
        metrics.set("postroom_build_info", &[env!("CARGO_PKG_VERSION")], 1.0);
        metrics
    }
}

// Configuration.
impl Metrics {
    /// A look at the files: `trigger` as in `app::Trigger`; `result` is `applied`, `unchanged`,
    /// `invalid` or `blocked`.
    pub fn reload(&self, trigger: &'static str, result: &'static str) {
        self.count("postroom_config_reloads_total", &[trigger, result], 1);
        let good = matches!(result, "applied" | "unchanged");
        self.set("postroom_config_last_reload_successful", &[], f64::from(u8::from(good)));
        if good {
            let now = seconds(Timestamp::now());
            self.set("postroom_config_last_reload_success_timestamp_seconds", &[], now);
        }
    }

    /// A revision runs now: its hash, and everything that can be read from it. Series of objects
    /// that are no longer declared disappear.
    pub fn config_applied(&self, revision: &str, edit: &Edit<'_>) {
        let config = edit.desired;
        self.clear("postroom_config_info");
        self.set("postroom_config_info", &[revision], 1.0);
        let digits = revision.get(..12).unwrap_or(revision);
        let hash = u64::from_str_radix(digits, 16).unwrap_or(0);
        self.set("postroom_config_hash", &[], hash as f64);
        self.clear("postroom_config_resources");
        for ((kind, state), count) in resources(config) {
            self.set("postroom_config_resources", &[kind, state], count as f64);
        }
        self.forget_undeclared(config);
        self.describe_accounts(edit);
        self.describe_insecure(edit);
        self.describe_secrets(config);
        self.describe_tokens(config);
    }

    /// A change was carried out: kind and action as in `core::plan::Change`.
    pub fn reconcile_action(&self, kind: &'static str, action: &'static str) {
        self.count("postroom_reconcile_actions_total", &[kind, action], 1);
    }

    /// A task ended by itself and is started again: `poller` or `sender`; `panic` or `ended`.
    pub fn worker_restarted(&self, kind: &'static str, reason: &'static str) {
        self.count("postroom_worker_restarts_total", &[kind, reason], 1);
    }
}

// Accounts.
impl Metrics {
    /// Whether the last look into the mailbox succeeded.
    pub fn account_up(&self, account: &str, up: bool) {
        self.set_account("postroom_account_up", account, &[], f64::from(u8::from(up)));
    }

    /// Whether the mail server took the last login.
    pub fn account_authenticated(&self, account: &str, taken: bool) {
        let value = f64::from(u8::from(taken));
        self.set_account("postroom_account_authenticated", account, &[], value);
    }

    /// When the mailbox was last looked at without an error.
    pub fn account_last_success(&self, account: &str, unix_secs: f64) {
        self.set_account(
            "postroom_account_last_success_timestamp_seconds",
            account,
            &[],
            unix_secs,
        );
    }

    /// Declared time between two looks, in seconds.
    pub fn account_poll_interval(&self, account: &str, secs: f64) {
        self.set_account("postroom_account_poll_interval_seconds", account, &[], secs);
    }

    /// Failures since the last success.
    pub fn account_failures(&self, account: &str, failures: u64) {
        self.set_account("postroom_account_consecutive_failures", account, &[], failures as f64);
    }

    /// Why an account has failed for an hour; `None`: it does not.
    pub fn account_failing(
        &self,
        account: &str,
        before: Option<&'static str>,
        reason: Option<&'static str>,
    ) {
        for (word, value) in [(before, 0.0), (reason, 1.0)] {
            if let Some(word) = word {
                self.set_account("postroom_account_failing", account, &[word], value);
            }
        }
    }

    /// Messages that wait to be taken.
    pub fn account_backlog(&self, account: &str, messages: u64) {
        self.set_account("postroom_account_backlog_messages", account, &[], messages as f64);
    }

    /// The mailbox gave all its messages new names.
    pub fn epoch_changed(&self, account: &str) {
        self.count_account("postroom_account_uidvalidity_changes_total", account, &[]);
    }

    /// The account is gone: its series disappear.
    pub fn account_removed(&self, account: &str) {
        self.0.accounts.forget(account);
        self.forget_named("mailAccount", |name| name == account);
    }

    /// A look into the mailbox ended: `success` or `failure`.
    pub fn poll_run(&self, account: &str, result: &'static str) {
        self.count_account("postroom_poll_runs_total", account, &[result]);
    }

    /// Why a look into a mailbox failed: `imap`, `pop3`, `graph` or `maildir`, and the label of
    /// the error.
    pub fn poll_error(&self, protocol: &'static str, reason: &'static str) {
        self.count("postroom_poll_errors_total", &[protocol, reason], 1);
        if reason == "protocol" {
            self.count("postroom_protocol_violations_total", &[protocol], 1);
        }
    }

    /// How long a look into a mailbox took, in seconds.
    pub fn poll_seconds(&self, protocol: &'static str, secs: f64) {
        self.observe("postroom_poll_duration_seconds", &[protocol], secs);
    }
}

// Intake and routing.
impl Metrics {
    /// A mail's outcome is committed: label of `Outcome`.
    pub fn intake(&self, outcome: &'static str) {
        self.count("postroom_intake_messages_total", &[outcome], 1);
    }

    /// A suspected mail was judged in a process of its own: `healthy`, `deadly` or `unknown`.
    pub fn suspect(&self, result: &'static str) {
        self.count("postroom_intake_suspects_total", &[result], 1);
    }

    /// A repeated delivery was recognised by `location`, `bytes` or `content`.
    pub fn duplicate(&self, key: &'static str) {
        self.count("postroom_intake_duplicates_total", &[key], 1);
    }

    /// How many mails wait in quarantine for a person.
    pub fn quarantine(&self, messages: u64) {
        self.set("postroom_quarantine_messages", &[], messages as f64);
    }

    /// Time from arrival to commit, in seconds.
    pub fn intake_lag(&self, secs: f64) {
        self.observe("postroom_intake_lag_seconds", &[], secs);
    }

    /// How long a stage took: `fetch`, `spool`, `judge`, `record`, `done`.
    pub fn intake_stage(&self, stage: &'static str, secs: f64) {
        self.observe("postroom_intake_duration_seconds", &[stage], secs);
    }

    /// A new ticket went to a queue that is declared disabled.
    pub fn disabled_queue(&self, queue: &str) {
        self.count("postroom_intake_disabled_queue_total", &[queue], 1);
    }

    /// Which rule chose the queue of a new ticket: label of `RoutedBy`.
    pub fn routed(&self, by: &'static str) {
        self.count("postroom_router_decisions_total", &[by], 1);
    }

    /// A filter matched.
    pub fn filter_matched(&self, filter: &str) {
        self.count("postroom_router_filter_matches_total", &[filter], 1);
    }
}

// What we send.
impl Metrics {
    /// An automatic answer: its name in the configuration or `any`, and `owed`, `sent`, `dead`, or
    /// the label of the reason for which it was held back.
    pub fn auto_reply(&self, kind: &str, result: &'static str) {
        self.count("postroom_autoreplies_total", &[kind, result], 1);
    }

    /// A notification: label of `EventKind` or `digest`, and `owed`, `held`, `sent` or `dead`.
    /// Words that are neither count as `other`.
    pub fn notification(&self, event: &str, result: &'static str) {
        let known = crate::core::notify::EventKind::from_label(event);
        let digest = crate::core::render::digest::NAME;
        let other = if event == digest { digest } else { "other" };
        let event = known.map_or(other, |kind| kind.label());
        self.count("postroom_notifications_total", &[event, result], 1);
    }

    /// Something was committed of which people are told.
    pub fn owing(&self, owing: &Owing) {
        for (kind, name) in &owing.owed {
            match *kind {
                "autoReply" => self.auto_reply(name, "owed"),
                "notification" => self.notification(name, "owed"),
                _ => {}
            }
        }
        for event in &owing.held {
            self.notification(event, "held");
        }
    }

    /// How full the outbox is now.
    pub fn outbox(&self, counts: &OutboxCounts) {
        let now = Timestamp::now();
        self.set("postroom_outbox_messages", &["due"], counts.due as f64);
        self.set("postroom_outbox_messages", &["sent"], counts.sent as f64);
        self.set("postroom_outbox_messages", &["dead"], counts.dead as f64);
        let age = counts.oldest_due.map_or(0.0, |since| seconds(now) - seconds(since));
        self.set("postroom_outbox_oldest_pending_seconds", &[], age.max(0.0));
    }

    /// An attempt through this server: `sent`, `temporary`, `permanent`, or the cause for which
    /// the server could not be used.
    pub fn outbox_attempt(&self, server: &str, result: &'static str) {
        self.count("postroom_outbox_attempts_total", &[server, result], 1);
    }

    /// So often it is not known whether this server took a mail.
    pub fn outbox_ambiguous(&self, server: &str, times: u64) {
        if times > 0 {
            self.count("postroom_outbox_ambiguous_total", &[server], times);
        }
    }

    /// How many messages to webhooks there are.
    pub fn webhooks(&self, counts: &HookCounts) {
        self.set("postroom_webhook_messages", &["due"], counts.due as f64);
        self.set("postroom_webhook_messages", &["sent"], counts.sent as f64);
        self.set("postroom_webhook_messages", &["dead"], counts.dead as f64);
    }

    /// An attempt to tell this webhook: `sent`, `temporary`, `permanent`.
    pub fn webhook_attempt(&self, webhook: &str, result: &'static str) {
        self.count("postroom_webhook_attempts_total", &[webhook, result], 1);
    }

    /// Time from enqueueing a mail to a server taking it, in seconds.
    pub fn outbox_delivery_seconds(&self, secs: f64) {
        self.observe("postroom_outbox_delivery_seconds", &[], secs);
    }
}

// Trust, store, HTTP.
impl Metrics {
    /// When the access token of a profile expires, the first one of several; `None` if nobody who
    /// is in use has one.
    pub fn oauth_token_expiry(&self, profile: &str, at: Option<Timestamp>) {
        let name = "postroom_oauth_access_token_expiry_timestamp_seconds";
        match at {
            Some(at) => self.set(name, &[profile], seconds(at)),
            None => self.unset(name, &[profile]),
        }
    }

    /// When the refresh token of an account or server was issued.
    pub fn oauth_refresh_issued(&self, kind: &'static str, name: &str, at: Timestamp) {
        let metric = "postroom_oauth_refresh_token_issued_timestamp_seconds";
        self.set(metric, &[kind, name], seconds(at));
    }

    /// When it ends.
    pub fn oauth_refresh_expiry(&self, kind: &'static str, name: &str, at: Timestamp) {
        let metric = "postroom_oauth_refresh_token_expiry_timestamp_seconds";
        self.set(metric, &[kind, name], seconds(at));
    }

    /// Whether a person must sign in for an account or server.
    pub fn oauth_sign_in_required(&self, kind: &'static str, name: &str, wanted: bool) {
        let metric = "postroom_oauth_sign_in_required";
        self.set(metric, &[kind, name], f64::from(u8::from(wanted)));
    }

    /// Nobody needs to sign in for an account or server that is not in use.
    pub fn oauth_no_sign_in_required(&self, kind: &'static str, name: &str) {
        self.unset("postroom_oauth_sign_in_required", &[kind, name]);
    }

    /// Nobody wants to know how the sign-in of this account or server is.
    pub fn oauth_unwatched(&self, kind: &'static str, name: &str) {
        self.oauth_no_sign_in_required(kind, name);
        self.unset("postroom_oauth_refresh_token_issued_timestamp_seconds", &[kind, name]);
        self.unset("postroom_oauth_refresh_token_expiry_timestamp_seconds", &[kind, name]);
    }

    /// An access token was asked for: `ok`, or the label of the error.
    pub fn oauth_refresh(&self, profile: &str, result: &'static str) {
        self.count("postroom_oauth_refreshes_total", &[profile, result], 1);
    }

    /// When the client secret of a profile expires.
    pub fn oauth_secret_expiry(&self, profile: &str, unix_secs: i64) {
        let name = "postroom_oauth_client_secret_expiry_timestamp_seconds";
        self.set(name, &[profile], unix_secs as f64);
    }

    /// When the certificate of a server expires: `mailAccount` or `smtp`, and its name.
    pub fn tls_expiry(&self, kind: &'static str, name: &str, unix_secs: i64) {
        let metric = "postroom_tls_peer_cert_expiry_timestamp_seconds";
        self.set(metric, &[kind, name], unix_secs as f64);
    }

    /// A commit of the store: its duration in seconds and how many operations shared it.
    pub fn commit(&self, secs: f64, batch: usize) {
        self.observe("postroom_store_commit_duration_seconds", &[], secs);
        self.observe("postroom_store_commit_batch", &[], batch as f64);
    }

    /// Size of the store on disk.
    pub fn store_size(&self, bytes: u64) {
        self.set("postroom_store_size_bytes", &[], bytes as f64);
    }

    /// Articles that the search finds only by looking at them one by one.
    pub fn search_unread(&self, articles: u64) {
        self.set("postroom_search_unread_articles", &[], articles as f64);
    }

    /// Room that is left on the disk of the store.
    pub fn store_free(&self, bytes: u64) {
        self.set("postroom_store_free_bytes", &[], bytes as f64);
    }

    /// A request was answered. `route` is the declared path, never the one that was asked for.
    pub fn http_request(&self, route: &str, method: &str, status: u16, secs: f64) {
        let labels = [route, method, &status.to_string()];
        self.count("postroom_http_requests_total", &labels, 1);
        self.observe("postroom_http_request_duration_seconds", &[route], secs);
    }

    /// A connection was refused or closed: `address`, `full`, `displaced` or `slowReader`.
    pub fn http_refused(&self, reason: &'static str) {
        self.count("postroom_http_connections_refused_total", &[reason], 1);
    }

    /// Somebody tried to sign in on the page.
    pub fn sign_in(&self, method: &str, result: &str) {
        self.count("postroom_sign_ins_total", &[method, result], 1);
    }

    /// Everything in the text format of Prometheus.
    pub fn text(&self) -> String {
        self.pages().collect()
    }

    /// [`Metrics::text`] in pieces of whole lines, each made when it is asked for: of ten thousand
    /// accounts the whole is several megabytes.
    pub fn pages(&self) -> impl Iterator<Item = String> + Send + 'static {
        let (all, accounts) = (self.clone(), self.clone());
        let general = std::iter::once_with(move || {
            let mut buffer = Vec::new();
            TextEncoder::new()
                .encode(&all.0.registry.gather(), &mut buffer)
                .expect("what was registered can be written");
            String::from_utf8(buffer).expect("names, labels and help are text")
        });
        let rows = ALL.iter().filter(|row| is_of_accounts(row));
        let of_accounts = rows.map(move |row| accounts.0.accounts.page(row));
        general.chain(of_accounts).filter(|page| !page.is_empty())
    }
}

// What can be read from a revision.
impl Metrics {
    /// Of those that changed: there may be ten thousand.
    fn describe_accounts(&self, edit: &Edit<'_>) {
        let changed = &edit.accounts.new;
        self.0.accounts.enter(changed.keys().copied());
        for account in changed.values() {
            self.0.accounts.remove(self.0.rows["postroom_account_info"], &account.name);
            let labels = [switch(account.state), source_type(account)];
            self.set_account("postroom_account_info", &account.name, &labels, 1.0);
            if let Poll::Every(every) = account.poll {
                self.account_poll_interval(&account.name, every.as_secs_f64());
            }
        }
    }

    fn describe_insecure(&self, edit: &Edit<'_>) {
        let show = |kind, name: &str, insecure| match insecure {
            true => self.set("postroom_tls_insecure", &[kind, name], 1.0),
            false => self.unset("postroom_tls_insecure", &[kind, name]),
        };
        for account in edit.accounts.new.values() {
            let insecure = account_tls(account).is_some_and(|tls| tls.insecure);
            show("mailAccount", &account.name, insecure);
        }
        for server in edit.desired.smtp.values() {
            let insecure = match &server.route {
                SmtpRoute::Smtp { endpoint, .. } => endpoint.tls.insecure,
                _ => false,
            };
            show("smtp", &server.name, insecure);
        }
    }

    fn describe_secrets(&self, config: &Config) {
        self.clear("postroom_oauth_client_secret_expiry_timestamp_seconds");
        for (name, profile) in &config.oauth2.profiles {
            let Some(date) = profile.secret_expires else { continue };
            if let Ok(end) = date.to_zoned(jiff::tz::TimeZone::UTC) {
                self.oauth_secret_expiry(name, end.timestamp().as_second());
            }
        }
    }

    fn describe_tokens(&self, config: &Config) {
        self.clear("postroom_api_token_expiry_timestamp_seconds");
        for token in config.api_tokens.values() {
            let after = token.expires.and_then(|last_day| last_day.tomorrow().ok());
            let end = after.and_then(|day| day.to_zoned(config.desk.time_zone.clone()).ok());
            if let Some(end) = end.filter(|_| token.state == Switch::Enabled) {
                let name = "postroom_api_token_expiry_timestamp_seconds";
                self.set(name, &[&token.name], seconds(end.timestamp()));
            }
        }
    }

    fn forget_undeclared(&self, config: &Config) {
        self.0.accounts.keep(&config.accounts);
        self.forget_named("mailAccount", |name| !config.accounts.contains_key(name));
        self.forget("server", |name| !config.smtp.contains_key(name));
        self.forget("webhook", |name| !config.webhooks.contains_key(name));
        self.forget_named("smtp", |name| !config.smtp.contains_key(name));
        self.forget("queue", |name| !config.queues.contains_key(name));
        self.forget("profile", |name| !config.oauth2.profiles.contains_key(name));
        let filters: BTreeSet<&str> =
            config.filters.iter().map(|filter| filter.name.as_str()).collect();
        self.forget("filter", |name| !filters.contains(name));
    }
}

// The one place that touches series.
impl Metrics {
    fn count(&self, name: &str, labels: &[&str], by: u64) {
        self.0.counters[name].with_label_values(labels).inc_by(by);
    }

    fn set(&self, name: &str, labels: &[&str], value: f64) {
        self.0.gauges[name].with_label_values(labels).set(value);
    }

    fn unset(&self, name: &str, labels: &[&str]) {
        // Absent is just as well.
        let _ = self.0.gauges[name].remove_label_values(labels);
    }

    fn count_account(&self, name: &str, account: &str, more: &[&'static str]) {
        self.0.accounts.update(self.0.rows[name], account, more, |count| count + 1.0);
    }

    fn set_account(&self, name: &str, account: &str, more: &[&'static str], value: f64) {
        self.0.accounts.update(self.0.rows[name], account, more, |_| value);
    }

    fn observe(&self, name: &str, labels: &[&str], value: f64) {
        self.0.histograms[name].with_label_values(labels).observe(value);
    }

    fn clear(&self, name: &str) {
        self.0.gauges[name].reset();
    }

    /// Removes every series in which this label has a value to be forgotten.
    fn forget(&self, label: &str, gone: impl Fn(&str) -> bool) {
        self.forget_where(label, |labels| gone(labels[label].as_str()));
    }

    /// Removes every series of `{kind, name}` with this kind and a name to be forgotten.
    fn forget_named(&self, kind: &str, gone: impl Fn(&str) -> bool) {
        self.forget_where("name", |labels| {
            labels.get("kind").is_some_and(|value| value == kind) && gone(labels["name"].as_str())
        });
    }

    fn forget_where(&self, label: &str, gone: impl Fn(&HashMap<&str, String>) -> bool) {
        for (name, row) in &self.0.rows {
            if !row.labels.contains(&label) || is_of_accounts(row) {
                continue;
            }
            match row.kind {
                Counter => remove_series(&self.0.counters[name], &gone),
                Gauge => remove_series(&self.0.gauges[name], &gone),
                Histogram(_) => remove_series(&self.0.histograms[name], &gone),
            }
        }
    }
}

fn remove_series<B: MetricVecBuilder>(
    vec: &MetricVec<B>,
    gone: &impl Fn(&HashMap<&str, String>) -> bool,
) where
    MetricVec<B>: Collector,
{
    for family in vec.collect() {
        for metric in family.get_metric() {
            let pairs = metric.get_label().iter();
            let labels = pairs.map(|pair| (pair.name(), pair.value().to_owned())).collect();
            if gone(&labels) {
                // It may have been removed by somebody else in between: just as well.
                let _ = vec.remove(&labels);
            }
        }
    }
}

impl Families {
    fn from_rows(rows: &'static [MetricRow]) -> Families {
        // No prefix on the registry: it would rename `process_*` as well.
        let mut families = Families {
            registry: Registry::new(),
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
            histograms: BTreeMap::new(),
            rows: rows.iter().map(|row| (row.name, row)).collect(),
            accounts: AccountSeries::default(),
        };
        for row in rows.iter().filter(|row| !is_of_accounts(row)) {
            families.add(row);
        }
        #[cfg(target_os = "linux")]
        families.register(prometheus::process_collector::ProcessCollector::for_self());
        families
    }

    fn add(&mut self, row: &'static MetricRow) {
        let shape = "the list of metrics has valid names";
        match row.kind {
            Counter => {
                let vec = IntCounterVec::new(Opts::new(row.name, row.help), row.labels);
                let vec = vec.expect(shape);
                self.register(vec.clone());
                // A series without labels is there from the start, so that its rate is known.
                row.labels.is_empty().then(|| vec.with_label_values::<&str>(&[]));
                self.counters.insert(row.name, vec);
            }
            Gauge => {
                let vec = GaugeVec::new(Opts::new(row.name, row.help), row.labels).expect(shape);
                self.register(vec.clone());
                row.labels.is_empty().then(|| vec.with_label_values::<&str>(&[]));
                self.gauges.insert(row.name, vec);
            }
            Histogram(buckets) => {
                let opts = HistogramOpts::new(row.name, row.help).buckets(buckets.bounds());
                let vec = HistogramVec::new(opts, row.labels).expect(shape);
                self.register(vec.clone());
                row.labels.is_empty().then(|| vec.with_label_values::<&str>(&[]));
                self.histograms.insert(row.name, vec);
            }
        }
    }

    fn register(&self, collector: impl Collector + 'static) {
        let added = self.registry.register(Box::new(collector));
        added.expect("each metric stands in the list once");
    }
}

impl Buckets {
    fn bounds(self) -> Vec<f64> {
        match self {
            Buckets::Seconds => {
                vec![0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]
            }
            Buckets::Waits => vec![
                1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 14_400.0,
                86_400.0, 432_000.0,
            ],
            Buckets::Batch => vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0],
        }
    }
}

impl MetricRow {
    /// The type as Prometheus calls it.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Counter => "counter",
            Gauge => "gauge",
            Histogram(_) => "histogram",
        }
    }
}

/// The page `docs/metrics.md`.
pub fn documentation() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         `GET /metrics` answers in the text format of Prometheus. Labels hold names from the\n\
         configuration or fixed words, never an address, a subject or a ticket number; the series\n\
         of an object disappear with it. `process_*` are there as everywhere.\n\n\
         This page is made from the list in `src/metrics.rs`.\n\n\
         | metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for row in ALL {
        let labels = row.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>();
        let (name, kind, labels) = (row.name, row.type_name(), labels.join(", "));
        page.push_str(&format!("| `{name}` | {kind} | {labels} | {} |\n", row.help));
    }
    page
}

fn seconds(at: Timestamp) -> f64 {
    at.as_microsecond() as f64 / 1e6
}

fn resources(config: &Config) -> BTreeMap<(&'static str, &'static str), usize> {
    let mut counts = BTreeMap::new();
    let mut add = |kind, states: &mut dyn Iterator<Item = Switch>| {
        // One look per kind and state: of some kinds there are ten thousand objects.
        let mut of_kind = [(Switch::Enabled, 0), (Switch::Disabled, 0), (Switch::Paused, 0)];
        for state in states {
            of_kind.iter_mut().filter(|(known, _)| *known == state).for_each(|(_, n)| *n += 1);
        }
        let found = of_kind.into_iter().filter(|(_, count)| *count > 0);
        counts.extend(found.map(|(state, count)| ((kind, switch(state)), count)));
    };
    add("mailAccounts", &mut config.accounts.values().map(|it| it.state));
    add("smtp", &mut config.smtp.values().map(|it| it.state));
    add("senders", &mut config.senders.values().map(|it| it.state));
    add("queues", &mut config.queues.values().map(|it| it.state));
    add("systemAddresses", &mut config.system_addresses.values().map(|it| it.state));
    add("filters", &mut config.filters.iter().map(|it| it.state));
    add("autoReplies", &mut config.auto_replies.values().map(|it| it.state));
    add("users", &mut config.users.values().map(|it| it.state));
    add("apiTokens", &mut config.api_tokens.values().map(|it| it.state));
    add("webhooks", &mut config.webhooks.values().map(|it| it.state));
    add("customers", &mut config.customers.values().map(|_| Switch::Enabled));
    add("oauth2Profiles", &mut config.oauth2.profiles.values().map(|_| Switch::Enabled));
    counts
}

fn switch(state: Switch) -> &'static str {
    match state {
        Switch::Enabled => "enabled",
        Switch::Disabled => "disabled",
        Switch::Paused => "paused",
    }
}

/// The `type` of an account as it is written in YAML.
fn source_type(account: &Account) -> &'static str {
    use crate::core::config::Login;
    match &account.connection {
        Source::Imap { login: Login::OAuth2 { .. }, .. } => "imapoauth2",
        Source::Imap { endpoint, .. } => match endpoint.security {
            Security::Plain => "imap",
            Security::Tls => "imaps",
            Security::StartTls => "imaptls",
        },
        Source::Pop3 { login: Login::OAuth2 { .. }, .. } => "pop3oauth2",
        Source::Pop3 { endpoint, .. } => match endpoint.security {
            Security::Plain => "pop3",
            Security::Tls => "pop3s",
            Security::StartTls => "pop3tls",
        },
        Source::Graph { .. } => "graph",
        Source::Maildir { .. } => "maildir",
    }
}

fn account_tls(account: &Account) -> Option<&TlsOptions> {
    match &account.connection {
        Source::Imap { endpoint, .. }
        | Source::Pop3 { endpoint, .. }
        | Source::Graph { endpoint, .. } => Some(&endpoint.tls),
        Source::Maildir { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_removed_account_disappear() {
        let metrics = Metrics::default();
        for account in ["support", "sales"] {
            metrics.account_up(account, true);
            metrics.poll_run(account, "success");
            metrics.poll_run(account, "failure");
            metrics.tls_expiry("mailAccount", account, 1);
        }
        metrics.tls_expiry("smtp", "sales", 1);
        metrics.account_removed("sales");
        let text = metrics.text();
        assert!(text.contains("account=\"support\""));
        assert!(!text.contains("account=\"sales\""));
        assert!(!text.contains("kind=\"mailAccount\",name=\"sales\""));
        assert!(text.contains("kind=\"smtp\",name=\"sales\""), "another kind of the same name");
    }

    #[test]
    fn a_new_revision_replaces_the_old_one() {
        let metrics = Metrics::default();
        metrics.account_up("gone", true);
        metrics.outbox_attempt("gone", "sent");
        metrics.filter_matched("gone");
        let nothing = Config::default();
        let edit = Edit::of(&nothing, &nothing);
        metrics.config_applied("aaaaaaaaaaaaaaaa", &edit);
        metrics.config_applied("000000000010ffff", &edit);
        let text = metrics.text();
        assert!(!text.contains("gone"), "{text}");
        assert!(!text.contains("aaaaaaaaaaaaaaaa"));
        assert!(text.contains("postroom_config_hash 16\n"));
    }

    #[test]
    fn unknown_events_are_one_series() {
        let metrics = Metrics::default();
        metrics.notification("eve@customer.example", "owed");
        assert!(!metrics.text().contains("eve@"));
    }

    #[test]
    fn names_say_what_they_are() {
        for row in ALL {
            assert!(row.name.starts_with("postroom_"), "{}", row.name);
            assert_eq!(row.name.ends_with("_total"), row.kind == Counter, "{}", row.name);
            assert!(!row.help.ends_with('.'), "{}", row.name);
        }
    }
}

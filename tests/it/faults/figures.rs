//! What a live daemon measures of itself.

use std::collections::BTreeSet;

use postroom::metrics::{ALL, MetricKind};

use super::{desk, mail, metric};
use crate::daemon::{Daemon, until};
use crate::metrics::check_with_promtool;
use crate::process::ask;
use crate::server::{imap, say};

/// Metrics that have a value only with what is not in this test. Other live daemons show them: a
/// renumbered mailbox and TLS in `peers_daemon`, profiles and sign-ins in `peers_oauth`, a person at
/// the page in `browser_oidc`, a refused connection in `http_flood`, a webhook in `webhooks`, a worker that panics in `secrets`; and an
/// outbox shows answers that were lost.
const ABSENT: &[&str] = &[
    "postroom_account_failing",
    "postroom_account_uidvalidity_changes_total",
    "postroom_http_connections_refused_total",
    "postroom_intake_suspects_total",
    "postroom_oauth_access_token_expiry_timestamp_seconds",
    "postroom_oauth_client_secret_expiry_timestamp_seconds",
    "postroom_oauth_refresh_token_expiry_timestamp_seconds",
    "postroom_oauth_refresh_token_issued_timestamp_seconds",
    "postroom_oauth_refreshes_total",
    "postroom_oauth_sign_in_required",
    "postroom_outbox_ambiguous_total",
    "postroom_sign_ins_total",
    "postroom_tls_peer_cert_expiry_timestamp_seconds",
    "postroom_webhook_attempts_total",
    "postroom_worker_restarts_total",
];

const FILTER: &str = "filters:\n  vip: {order: 1, match: [{header: Subject, regex: vip}], set: {priority: 5 very high}}\n";
const TOKENS: &str = "apiTokens:\n  ci: {sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, role: viewer, expires: 2099-06-30}\n";
const USERS: &str = "users:\n  alice: {email: alice@desk.example, name: Alice, role: user, subscriptions: {queues: [support], events: [ticketCreated]}}\n";

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_has_a_value_and_prometheus_has_no_complaint() {
    let healthy = imap::proper().start().await;
    let broken = imap::proper().but("NOOP", say("nonsense\r\n")).start().await;
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, crate::server::PASSWORD).unwrap();
    let account = |name: &str, port: u16| {
        format!(
            "  {name}: {{type: imap, host: localhost, port: {port}, username: {name}, password: {{file: {}}}, \
             dispatch: {{by: queue, queue: closed}}, since: all, afterFetch: keep, idle: \"off\", pollInterval: 1s}}\n",
            password.display()
        )
    };
    let accounts = account("remote", healthy.port) + &account("broken", broken.port);
    let rest = format!("{FILTER}{TOKENS}{USERS}");
    let accounts = accounts.replacen("dispatch", "tls: {insecure: true}, dispatch", 1);
    let with =
        desk(&accounts).replace("queues:\n", "queues:\n  closed: {state: disabled}\n") + &rest;
    let daemon = Daemon::start(&with).await;
    daemon.deliver("1", &mail("eve@customer.example", 1, "vip", ""));
    daemon.deliver(
        "2",
        &mail("eve@customer.example", 2, "Broadcast", "Auto-Submitted: auto-generated\r\n"),
    );
    daemon.mails(4).await;
    daemon.deliver("3", &mail("eve@customer.example", 1, "vip", ""));
    daemon.mails(5).await;
    daemon.write(&(with.clone() + "\n# another revision\n"));
    let addr = daemon.app().addr();
    ask(addr, "GET", "/-/healthy", "", "").await;
    until("everything to be sent and counted", || {
        let failed = metric(&daemon, "postroom_account_up{account=\"broken\"}") == Some(0.0);
        let sent = daemon.app().handle().store.outbox_counts().unwrap().due == 0;
        let sized = metric(&daemon, "postroom_store_size_bytes").is_some();
        let again =
            metric(&daemon, "postroom_config_reloads_total{result=\"applied\",trigger=\"file\"}");
        (failed && sent && sized && again.is_some()).then_some(())
    })
    .await;
    let (status, answer) = ask(addr, "GET", "/metrics", "", "").await;
    assert_eq!(status, 200);
    let text = answer.split_once("\r\n\r\n").unwrap().1;
    let missing: BTreeSet<&str> = ALL
        .iter()
        .filter(|row| {
            let sample = match row.kind {
                MetricKind::Histogram(_) => format!("{}_count", row.name),
                MetricKind::Counter | MetricKind::Gauge => row.name.to_owned(),
            };
            !text.lines().any(|line| {
                line.strip_prefix(&sample).is_some_and(|rest| rest.starts_with(['{', ' ']))
            })
        })
        .map(|row| row.name)
        .collect();
    assert_eq!(missing, ABSENT.iter().copied().collect());
    assert!(!text.contains("customer.example"), "no address is a label");
    assert!(text.contains("postroom_autoreplies_total{kind=\"thanks\",result=\"owed\"} "));
    assert_eq!(metric(&daemon, "postroom_intake_duplicates_total{key=\"bytes\"}"), Some(1.0));
    assert_eq!(
        metric(&daemon, "postroom_intake_disabled_queue_total{queue=\"closed\"}"),
        Some(2.0)
    );
    // Until the end of the last day.
    assert_eq!(
        metric(&daemon, "postroom_api_token_expiry_timestamp_seconds{token=\"ci\"}"),
        Some(4_086_547_200.0)
    );
    check_with_promtool(text);

    daemon.write(&desk(""));
    // What runs is swapped first; its series go right after, and stay away.
    let gone = ["\"remote\"", "\"broken\"", "\"vip\"", "\"closed\"", "\"ci\""];
    until("the series of what is gone to disappear", || {
        let text = daemon.app().handle().metrics.text();
        let one = daemon.app().handle().running.load().config.accounts.len() == 1;
        (one && !gone.iter().any(|label| text.contains(label))).then_some(())
    })
    .await;
}

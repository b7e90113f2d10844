//! The list of metrics, its page, and what Prometheus says of it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postroom::core::config::{
    Account, AfterFetch, ApiToken, Config, Dispatch, Endpoint, Login, Only, Oversize, Poll, Role,
    Security, Since, SmtpRoute, SmtpServer, Source, Switch, Text, TlsOptions,
};
use postroom::core::plan::Edit;
use postroom::metrics::{self, ALL, MetricKind, Metrics};
use postroom::store::{HookCounts, OutboxCounts};

use crate::needed;

/// Every series moved once.
fn busy() -> Metrics {
    let metrics = Metrics::default();
    let mut config = Config::default();
    config.smtp.insert("relay".into(), insecure_server());
    Arc::make_mut(&mut config.accounts).insert("support".into(), Arc::new(maildir()));
    config.api_tokens.insert("ci".into(), token());
    metrics.config_applied("0123456789abcdef0123", &Edit::of(&Config::default(), &config));
    metrics.reload("start", "applied");
    metrics.reconcile_action("mailAccounts", "create");
    metrics.worker_restarted("poller", "panic");
    metrics.account_up("support", true);
    metrics.account_authenticated("support", true);
    metrics.account_last_success("support", 1_763_800_000.5);
    metrics.account_poll_interval("support", 600.0);
    metrics.account_failures("support", 0);
    metrics.account_failing("support", None, Some("protocol"));
    metrics.account_backlog("support", 3);
    metrics.epoch_changed("support");
    metrics.poll_run("support", "success");
    metrics.poll_error("imap", "protocol");
    metrics.poll_seconds("imap", 0.2);
    metrics.intake("created");
    metrics.suspect("healthy");
    metrics.duplicate("bytes");
    metrics.quarantine(1);
    metrics.intake_lag(4.0);
    metrics.intake_stage("judge", 0.001);
    metrics.disabled_queue("old \"queue\"\n窓口");
    metrics.routed("recipient");
    metrics.filter_matched("vip");
    metrics.auto_reply("thanks", "owed");
    metrics.notification("ticketCreated", "sent");
    metrics.outbox(&OutboxCounts::default());
    metrics.outbox_attempt("relay", "sent");
    metrics.outbox_ambiguous("relay", 1);
    metrics.outbox_delivery_seconds(1.5);
    metrics.webhooks(&HookCounts::default());
    metrics.webhook_attempt("chat", "sent");
    metrics.oauth_token_expiry("m365", Some(Timestamp::UNIX_EPOCH));
    metrics.oauth_refresh("m365", "ok");
    metrics.oauth_refresh_issued("mailAccount", "a", Timestamp::UNIX_EPOCH);
    metrics.oauth_refresh_expiry("mailAccount", "a", Timestamp::UNIX_EPOCH);
    metrics.oauth_sign_in_required("mailAccount", "a", true);
    metrics.oauth_secret_expiry("m365", 1_800_000_000);
    metrics.tls_expiry("smtp", "relay", 1_800_000_000);
    metrics.commit(0.004, 12);
    metrics.store_size(1 << 20);
    metrics.search_unread(2);
    metrics.store_free(1 << 30);
    metrics.http_request("/metrics", "GET", 200, 0.001);
    metrics.sign_in("password", "wrong");
    metrics.http_refused("full");
    metrics
}

fn token() -> ApiToken {
    ApiToken {
        name: "ci".into(),
        sha256: [0; 32],
        role: Role::Viewer,
        expires: Some(jiff::civil::date(2099, 6, 30)),
        state: Switch::Enabled,
    }
}

fn insecure_server() -> SmtpServer {
    let endpoint = Endpoint {
        host: Text::Plain("smtp.example".into()),
        port: 25,
        security: Security::StartTls,
        tls: TlsOptions { insecure: true, ..TlsOptions::default() },
        connect_timeout: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
    };
    let route = SmtpRoute::Smtp { endpoint, login: Login::None };
    SmtpServer {
        name: "relay".into(),
        route,
        connections: 1,
        helo_name: None,
        state: Switch::Enabled,
    }
}

/// An account that needs no server.
pub fn maildir() -> Account {
    Account {
        name: "support".into(),
        connection: Source::Maildir { path: "/mail".into() },
        poll: Poll::Every(Duration::from_secs(60)),
        idle: false,
        only: Only::All,
        since: Since::Linked,
        max_size_bytes: 1,
        oversize: Oversize::HeadersOnly,
        after_fetch: AfterFetch::Keep,
        dispatch: Dispatch::Recipient,
        trusted: false,
        state: Switch::Paused,
    }
}

#[test]
fn every_metric_of_the_list_can_be_moved() {
    let text = busy().text();
    for row in ALL {
        let sample = match row.kind {
            MetricKind::Histogram(_) => format!("\n{}_count", row.name),
            MetricKind::Counter | MetricKind::Gauge => format!("\n{}", row.name),
        };
        assert!(text.contains(&sample), "{} has no sample", row.name);
    }
    assert!(text.contains("\nprocess_"), "what every process has");
    let paused = r#"postroom_account_info{account="support",state="paused",type="maildir"} 1"#;
    assert!(text.contains(paused), "{text}");
}

#[test]
fn the_page_is_current() {
    crate::http::check_page("docs/metrics.md", &metrics::documentation());
}

#[test]
fn promtool_has_no_remark() {
    check_with_promtool(&busy().text());
}

/// Fails with what `promtool` finds in these metrics, if it is installed.
#[track_caller]
pub fn check_with_promtool(text: &str) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Some(mut child) = needed::found(child.ok(), "promtool is not installed") else { return };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

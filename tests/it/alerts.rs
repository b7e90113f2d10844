//! The alerts: what Prometheus says of them, that each has a case and a page, that they and the
//! dashboard name only what is measured, and that one of them really fires.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use postroom::core::reply::Suppression;
use postroom::metrics::{ALL, MetricRow};
use serde_json::Value;

use crate::needed;
use crate::peers::Dovecot;
use crate::process::{Program, ask};
use crate::server::PASSWORD;

/// Labels that a scrape adds to ours.
const OF_THE_SCRAPE: [&str; 4] = ["job", "instance", "namespace", "le"];
/// An alert on real servers that takes longer than this does not come.
const PATIENCE: Duration = Duration::from_secs(60);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// All alerts of the chart.
fn alerts() -> Vec<Value> {
    let rules = yaml(&read("charts/postroom/files/alerts.yaml"));
    let groups = rules["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
}

fn names() -> BTreeSet<String> {
    alerts().iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect()
}

/// Runs a program of Prometheus; `None` and a word about it if it is not installed.
fn run(program: &str, arguments: &[&str], folder: &Path) -> Option<Output> {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    needed::found(output.ok(), &format!("{program} is not installed"))
}

#[test]
fn prometheus_understands_them_and_they_fire_when_they_should() {
    let folder = root().join("tests/alerts");
    for arguments in [
        ["check", "rules", "../../charts/postroom/files/alerts.yaml"],
        ["test", "rules", "alerts_test.yaml"],
    ] {
        let Some(output) = run("promtool", &arguments, &folder) else { return };
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn each_has_a_case_and_a_page() {
    let cases = yaml(&read("tests/alerts/alerts_test.yaml"));
    let cases = cases["tests"].as_array().unwrap().iter();
    let cases: BTreeSet<String> =
        cases.map(|case| case["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names(), cases);
    let index = read("docs/runbooks/README.md");
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        let path = format!("docs/runbooks/{name}.md");
        assert_eq!(alert["annotations"]["runbook_url"], path);
        let page = read(&path);
        for part in [&format!("# {name}\n"), "\nWhat still works: ", "\n## Look\n", "\n## Mend\n"] {
            assert!(page.contains(part), "{path} lacks {part:?}");
        }
        assert!(index.contains(&format!("[{name}]({name}.md)")), "{name} is not in the index");
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
    }
    let pages = std::fs::read_dir(root().join("docs/runbooks")).unwrap();
    let pages: BTreeSet<String> = pages
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".md", ""))
        .filter(|name| name != "README")
        .collect();
    assert_eq!(names(), pages, "a page without an alert");
}

/// Each level of each alert, not its name alone: once it is quiet, and once it fires.
#[test]
fn each_level_fires_in_its_case_and_is_quiet_in_it() {
    let cases = yaml(&read("tests/alerts/alerts_test.yaml"));
    let cases = cases["tests"].as_array().unwrap();
    for alert in alerts() {
        let (name, severity) = (&alert["alert"], alert["labels"]["severity"].as_str().unwrap());
        let case = cases.iter().find(|case| case["name"] == *name).unwrap();
        let asked = format!("alertname={name}");
        let looks = case["promql_expr_test"].as_array().unwrap().iter();
        let looks: Vec<&Value> =
            looks.filter(|look| look["expr"].as_str().unwrap().contains(&asked)).collect();
        let samples = |look: &&Value| look["exp_samples"].as_array().unwrap().clone();
        assert!(looks.iter().any(|look| samples(look).is_empty()), "{name} is never quiet");
        let level = format!("severity=\"{severity}\"");
        let fires = |sample: &Value| sample["labels"].as_str().unwrap().contains(&level);
        let all = looks.iter().flat_map(samples).collect::<Vec<_>>();
        assert!(all.iter().any(fires), "{name} never fires as {severity}");
    }
}

/// Whether an answer that was held back for this reason speaks of a loop. A new reason does not
/// compile until somebody has thought of that.
fn speaks_of_a_loop(reason: &Suppression) -> bool {
    match reason {
        Suppression::Loop
        | Suppression::OwnAddress
        | Suppression::PerDay
        | Suppression::PerThreeHours
        | Suppression::PerTicket
        | Suppression::PerSubject
        | Suppression::PerHour => true,
        // Every desk sees these all day.
        Suppression::AutoSubmitted
        | Suppression::NullReturnPath
        | Suppression::MailingList
        | Suppression::Precedence
        | Suppression::VendorHeader
        | Suppression::AutomaticSubject
        | Suppression::Report
        | Suppression::Robot
        | Suppression::Agent
        | Suppression::NoAddress
        | Suppression::Filter
        | Suppression::Undeliverable
        | Suppression::Complained
        | Suppression::UnknownReplyTo
        | Suppression::Unauthenticated => false,
    }
}

#[test]
fn a_loop_is_known_by_each_of_its_reasons() {
    let all = [
        Suppression::Loop,
        Suppression::OwnAddress,
        Suppression::PerDay,
        Suppression::PerThreeHours,
        Suppression::PerTicket,
        Suppression::PerSubject,
        Suppression::PerHour,
    ];
    assert!(all.iter().all(speaks_of_a_loop));
    let alerts = alerts();
    let alert = alerts.iter().find(|alert| alert["alert"] == "PostroomMailLoop").unwrap();
    let counted = regex::Regex::new("result=~\"([^\"]*)\"").unwrap();
    let counted = counted.captures(alert["expr"].as_str().unwrap()).unwrap();
    let labels: Vec<&str> = all.iter().map(Suppression::label).collect();
    assert_eq!(counted[1], labels.join("|"));
}

/// The row of the list that a series belongs to.
fn row(series: &str) -> Option<&'static MetricRow> {
    let stem = ["_bucket", "_count", "_sum"].iter().find_map(|end| series.strip_suffix(end));
    ALL.iter().find(|row| row.name == series || Some(row.name) == stem)
}

/// Checks that an expression names only series and labels that are measured.
#[track_caller]
fn check(expression: &str) {
    let series = regex::Regex::new(r"(postroom_[a-z_]+)(\{[^}]*\})?").unwrap();
    let label = regex::Regex::new(r"([a-z_]+)\s*(?:=|!=|=~|!~)\s*\x22").unwrap();
    let mut found = 0;
    for captures in series.captures_iter(expression) {
        let row = row(&captures[1]).unwrap_or_else(|| panic!("{}: {expression}", &captures[1]));
        let selector = captures.get(2).map_or("", |part| part.as_str());
        for name in label.captures_iter(selector) {
            let known = row.labels.contains(&&name[1]) || OF_THE_SCRAPE.contains(&&name[1]);
            assert!(known, "{} has no label {}: {expression}", row.name, &name[1]);
        }
        found += 1;
    }
    assert!(found > 0 || expression.contains("process_"), "{expression}");
}

/// Every text beneath a key of this name.
fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key).and_then(Value::as_str));
            fields.values().for_each(|value| texts(value, key, found));
        }
        Value::Array(items) => items.iter().for_each(|value| texts(value, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn alerts_and_dashboard_name_what_is_measured() {
    for alert in alerts() {
        check(alert["expr"].as_str().unwrap());
    }
    let dashboard: Value =
        serde_json::from_str(&read("charts/postroom/files/dashboard.json")).unwrap();
    let mut expressions = Vec::new();
    texts(&dashboard, "expr", &mut expressions);
    assert!(expressions.len() > 20, "{}", expressions.len());
    expressions.iter().for_each(|expression| check(expression));
}

#[test]
fn panels_of_the_dashboard_do_not_overlap() {
    let dashboard: Value =
        serde_json::from_str(&read("charts/postroom/files/dashboard.json")).unwrap();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies over another", panel["title"]);
            }
        }
    }
}

/// A Prometheus of its own, killed with the value.
struct Prometheus {
    child: Child,
    addr: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes this address and judges our alerts many times a second, with patience cut short.
    async fn start(target: SocketAddr) -> Option<Prometheus> {
        let folder = tempfile::tempdir().unwrap();
        run("prometheus", &["--version"], folder.path())?;
        let path = |name: &str| folder.path().join(name);
        let patience = regex::Regex::new(r"(?m)^(        for: ).*$").unwrap();
        let rules = read("charts/postroom/files/alerts.yaml");
        std::fs::write(path("alerts.yaml"), &*patience.replace_all(&rules, "${1}1s")).unwrap();
        let config = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}\n\
             rule_files: [alerts.yaml]\n\
             scrape_configs:\n  - {{job_name: postroom, static_configs: [{{targets: [\"{target}\"]}}]}}\n"
        );
        std::fs::write(path("prometheus.yml"), config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let addr = ([127, 0, 0, 1], port).into();
        Some(Prometheus { child, addr, _folder: folder })
    }

    /// Alerts that fire now: name and account. Nothing while it does not answer yet.
    async fn firing(&self) -> BTreeSet<(String, String)> {
        let up = tokio::net::TcpStream::connect(self.addr).await.is_ok();
        let answer = match up {
            true => ask(self.addr, "GET", "/api/v1/alerts", "", "").await.1,
            false => return BTreeSet::new(),
        };
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let Ok(answer) = serde_json::from_str::<Value>(body) else { return BTreeSet::new() };
        let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        firing
            .map(|alert| (text(&alert["labels"]["alertname"]), text(&alert["labels"]["account"])))
            .collect()
    }

    /// The value of a series, if there is one.
    async fn value(&self, series: &str) -> Option<String> {
        tokio::net::TcpStream::connect(self.addr).await.ok()?;
        let path = format!("/api/v1/query?query={series}");
        let answer = ask(self.addr, "GET", &path, "", "").await.1;
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        Some(answer["data"]["result"][0]["value"][1].as_str()?.to_owned())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a look gives something.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_fires_when_the_server_of_an_account_stops() {
    let Some(dovecot) = Dovecot::start() else { return };
    dovecot.add_user("support", PASSWORD);
    let password: PathBuf = dovecot.maildir("support").join("../password");
    std::fs::write(&password, PASSWORD).unwrap();
    let yaml = format!(
        "version: 1\nmailAccounts:\n  support: {{type: imap, host: localhost, port: {}, username: support, \
         password: {{file: {}}}, dispatch: {{by: queue, queue: Raw}}, afterFetch: keep, idle: \"off\", \
         pollInterval: 1s}}\n  spare: {{type: maildir, path: {{dir}}/mail, dispatch: {{by: queue, queue: Raw}}, \
         afterFetch: keep, pollInterval: 1s}}\n",
        dovecot.imap,
        password.display()
    );
    let desk = Program::start(&yaml, &[]).await;
    let Some(prometheus) = Prometheus::start(desk.addr).await else { return };
    let up = "postroom_account_up%7Baccount=%22support%22%7D";
    until("a first scrape", async || {
        prometheus.value(up).await.filter(|value| value == "1").map(drop)
    })
    .await;
    let down = |account: &str| ("PostroomAccountDown".to_owned(), account.to_owned());
    assert!(!prometheus.firing().await.contains(&down("support")), "all is well still");
    drop(dovecot);
    let firing = until("the alert", async || {
        let firing = prometheus.firing().await;
        firing.contains(&down("support")).then_some(firing)
    })
    .await;
    assert!(!firing.contains(&down("spare")), "the other account is well: {firing:?}");
}

//! What becomes of a sign-in as time passes and names change.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use postroom::app::Trigger;
use postroom::config;
use postroom::core::config::Config;
use postroom::metrics::Metrics;
use postroom::run::clock::Clock;
use postroom::run::tokens::{Holder, TokenParts, Tokens};
use postroom::secret::Secrets;
use postroom::store::Store;
use secrecy::SecretString;

use crate::daemon::{Daemon, until};
use crate::server::certificates::Authority;
use crate::server::graph::StandIn;
use crate::server::issuer::Issuer;

/// Where the browser would be sent back to.
const CALLBACK: &str = "http://127.0.0.1/oauth2/callback";
/// Where the account is read, and what is kept of it.
const STORED: &str = "oauth2/mailAccount/";

/// Signs in; the issuer takes any code.
async fn sign_in(tokens: &Tokens, config: &Arc<Config>, account: &str) {
    try_to_sign_in(tokens, config, account).await.unwrap();
}

async fn try_to_sign_in(
    tokens: &Tokens,
    config: &Arc<Config>,
    account: &str,
) -> Result<Holder, String> {
    let holder = Holder::of_account(&config.accounts[account]).unwrap();
    let begun = tokens.begin_code(config, &holder, CALLBACK).unwrap();
    let (_, state) = begun.url.split_once("&state=").unwrap();
    let state = state.split('&').next().unwrap();
    tokens.finish_code(config, state, Ok(SecretString::from("a-code"))).await
}

fn write_secrets(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("client"), "client-secret").unwrap();
    std::fs::write(folder.join("seal"), "a-key-that-is-long-enough-0123456789").unwrap();
}

fn yaml(issuer: &Issuer, more: &str, accounts: &str) -> String {
    format!(
        "version: 1\noauth2:\n  sealKey: {{secret: seal}}\n  providers:\n{}{more}  profiles:\n    \
         m: {{provider: p, clientId: desk, clientSecret: {{secret: client}}, \
         secretExpires: 2027-06-30, grant: authorizationCode}}\nmailAccounts:\n{accounts}",
        issuer.provider()
    )
}

/// Accounts with a sign-in, by name and state.
fn declared(accounts: &[(&str, &str)]) -> String {
    let line = |(name, state): &(&str, &str)| {
        format!(
            "  {name}: {{type: graph, host: localhost, oauth2Profile: m, username: {name}@example.com, \
             dispatch: {{by: recipient}}, afterFetch: delete, state: {state}}}\n"
        )
    };
    accounts.iter().map(line).collect()
}

fn loaded(folder: &Path, yaml: &str) -> Arc<Config> {
    let file = folder.join("desk.yaml");
    std::fs::write(&file, yaml).unwrap();
    let loaded = config::load(&[file]);
    Arc::new(loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems)))
}

/// Tokens with a clock that a test turns.
struct World {
    issuer: Issuer,
    clock: Clock,
    metrics: Metrics,
    tokens: Tokens,
    config: Arc<Config>,
    folder: tempfile::TempDir,
}

impl World {
    /// `more` is said of the provider.
    async fn new(more: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        write_secrets(folder.path());
        let issuer = Issuer::start(3600, true).await;
        let config = loaded(folder.path(), &yaml(&issuer, more, &declared(&[("box", "enabled")])));
        let clock = Clock::standing_at("2027-01-01T00:00:00Z".parse().unwrap());
        let metrics = Metrics::default();
        let tokens = Tokens::new(TokenParts {
            store: Some(Store::open(&folder.path().join("data")).unwrap()),
            secrets: Secrets { directory: Some(folder.path().to_owned()) },
            metrics: metrics.clone(),
            clock: clock.clone(),
        });
        World { issuer, clock, metrics, tokens, config, folder }
    }

    /// From now on these accounts are declared, each in this state.
    fn declare(&mut self, more: &str, accounts: &[(&str, &str)]) {
        self.config = loaded(self.folder.path(), &yaml(&self.issuer, more, &declared(accounts)));
    }

    async fn gets_token(&self, account: &str) -> bool {
        let holder = Holder::of_account(&self.config.accounts[account]).unwrap();
        self.tokens.access(&self.config, &holder).await.is_ok()
    }

    /// Lines of the metrics that begin like this.
    async fn measured(&self, start: &str) -> Vec<String> {
        self.tokens.look_ahead(&self.config).await;
        let text = self.metrics.text();
        text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
    }

    async fn sign_in(&self) {
        sign_in(&self.tokens, &self.config, "box").await;
    }

    /// What is said on this day.
    async fn warnings_at(&self, day: &str) -> Vec<String> {
        let at: Timestamp = format!("{day}T12:00:00Z").parse().unwrap();
        self.clock.turn(at.duration_since(self.clock.now()));
        self.tokens.look_ahead(&self.config).await;
        self.tokens.warnings()
    }
}

const COMMAND: &str = "run `postroom oauth login m --account box`";

#[tokio::test]
async fn a_sign_in_that_nobody_uses_is_told_of_before_it_ends() {
    let world = World::new("      refreshTokenLife: 90d\n").await;
    world.sign_in().await;
    let nothing = Vec::<String>::new();
    assert_eq!(world.warnings_at("2027-01-01").await, nothing);
    assert_eq!(world.warnings_at("2027-03-01").await, nothing);
    let told = |when: &str| {
        vec![format!("the sign-in of mailAccount \"box\" {when} (2027-04-01): {COMMAND}")]
    };
    assert_eq!(world.warnings_at("2027-03-05").await, told("ends in 26 days"));
    let line = "postroom_oauth_refresh_token_expiry_timestamp_seconds{kind=\"mailAccount\",name=\"box\"} 1806537600";
    assert!(world.metrics.text().contains(line), "{}", world.metrics.text());
    assert_eq!(world.warnings_at("2027-03-28").await, told("ends in 3 days"));
    assert_eq!(world.warnings_at("2027-04-02").await, told("has ended"));
    world.sign_in().await;
    assert_eq!(world.warnings_at("2027-04-03").await, nothing);
    // One that is used is given another one, which lives as long again.
    world.clock.turn(SignedDuration::from_hours(24 * 80));
    let holder = Holder::of_account(&world.config.accounts["box"]).unwrap();
    world.tokens.access(&world.config, &holder).await.unwrap();
    assert_eq!(world.issuer.asked().last().unwrap(), "refresh_token");
    let told = world.warnings_at("2027-06-23").await;
    let [secret] = &told[..] else { panic!("{told:?}") };
    assert!(secret.starts_with("the client secret of profile \"m\" ends in 7 days (2027-06-30)"));
}

#[tokio::test]
async fn what_the_provider_says_counts_and_what_is_renewed_each_hour_is_no_news() {
    let world = World::new("").await;
    world.issuer.says_refresh_life(604_800);
    world.sign_in().await;
    assert_eq!(world.warnings_at("2027-01-03").await, Vec::<String>::new());
    assert_eq!(
        world.warnings_at("2027-01-06").await,
        [format!("the sign-in of mailAccount \"box\" ends tomorrow (2027-01-08): {COMMAND}")]
    );
    let world = World::new("").await;
    world.issuer.says_refresh_life(7_200);
    world.sign_in().await;
    let day = "2027-01-01";
    world.tokens.look_ahead(&world.config).await;
    assert_eq!(world.tokens.warnings(), Vec::<String>::new());
    assert_eq!(
        world.warnings_at(day).await,
        [format!("the sign-in of mailAccount \"box\" has ended ({day}): {COMMAND}")]
    );
}

/// What lasts for months, so that its end is told.
const MONTHS: &str = "      refreshTokenLife: 90d\n";
const REQUIRED: &str = "postroom_oauth_sign_in_required{";
const ACCESS: &str = "postroom_oauth_access_token_expiry_timestamp_seconds{";
const REFRESH: &str = "postroom_oauth_refresh_token_";

#[tokio::test]
async fn a_paused_account_is_told_of_and_a_disabled_one_is_not() {
    let mut world = World::new(MONTHS).await;
    world.sign_in().await;
    assert_eq!(world.measured(ACCESS).await.len(), 1);
    world.declare(MONTHS, &[("box", "paused")]);
    // Its access token ends, which is no trouble to anybody.
    assert_eq!(world.measured(ACCESS).await, Vec::<String>::new());
    assert_eq!(world.measured(REFRESH).await.len(), 2);
    let words = "the sign-in of mailAccount \"box\", which is paused, ends in 26 days (2027-04-01)";
    assert_eq!(world.warnings_at("2027-03-05").await, [format!("{words}: {COMMAND}")]);
    assert_eq!(world.issuer.asked(), ["authorization_code"], "nobody refreshes for it");
    world.declare(MONTHS, &[("box", "disabled")]);
    assert_eq!(world.warnings_at("2027-03-06").await, Vec::<String>::new());
    assert_eq!(world.measured(REFRESH).await, Vec::<String>::new());
    // What the command advises works while it is paused, and it goes on where it was.
    world.declare(MONTHS, &[("box", "paused")]);
    world.sign_in().await;
    assert_eq!(world.warnings_at("2027-03-07").await, Vec::<String>::new());
    world.declare(MONTHS, &[("box", "enabled")]);
    assert!(world.gets_token("box").await);
}

#[tokio::test]
async fn nobody_must_sign_in_for_a_paused_account() {
    let mut world = World::new("").await;
    for state in ["paused", "disabled"] {
        world.declare("", &[("box", "enabled")]);
        assert!(!world.gets_token("box").await);
        let required = "postroom_oauth_sign_in_required{kind=\"mailAccount\",name=\"box\"} 1";
        assert_eq!(world.measured(REQUIRED).await, [required]);
        assert!(world.tokens.standing(&world.config).await[0].failed.is_some());
        world.declare("", &[("box", state)]);
        assert_eq!(world.measured(REQUIRED).await, Vec::<String>::new(), "{state}");
        let standing = world.tokens.standing(&world.config).await;
        assert!(standing.iter().all(|it| it.paused && it.failed.is_none()), "{state}");
        assert_eq!(standing.len(), usize::from(state == "paused"));
    }
}

/// One account of a profile whose token cannot be renewed is not hidden by another one's.
#[tokio::test]
async fn the_first_token_of_a_profile_to_end_is_measured() {
    let mut world = World::new("").await;
    world.declare("", &[("box", "enabled"), ("late", "enabled")]);
    world.sign_in().await;
    let first = world.measured(ACCESS).await;
    world.clock.turn(SignedDuration::from_mins(30));
    sign_in(&world.tokens, &world.config, "late").await;
    assert_eq!(world.measured(ACCESS).await, first);
    world.declare("", &[("box", "paused"), ("late", "enabled")]);
    assert_ne!(world.measured(ACCESS).await, first);
}

/// The refresh token before the last one is kept until a mail server has taken what the last one
/// brought, and is shown when the last one does not count.
#[tokio::test]
async fn the_refresh_token_before_is_kept_until_the_first_success() {
    let world = World::new("").await;
    let holder = Holder::of_account(&world.config.accounts["box"]).unwrap();
    let refreshes = || world.issuer.asked().iter().filter(|it| *it == "refresh_token").count();
    world.sign_in().await;
    world.clock.turn(SignedDuration::from_hours(2));
    assert!(world.gets_token("box").await);
    // Nobody has taken that token yet, and the provider does not know what it gave.
    world.issuer.loses_the_last();
    world.clock.turn(SignedDuration::from_hours(2));
    assert!(world.gets_token("box").await);
    assert_eq!(refreshes(), 3, "the last one and the one before were shown");
    // A mail server took it: there is nothing to go back to.
    world.tokens.accepted(&world.config, &holder).await;
    world.issuer.loses_the_last();
    world.clock.turn(SignedDuration::from_hours(2));
    let error = world.tokens.access(&world.config, &holder).await.unwrap_err();
    assert_eq!(error.why.reason(), "ReauthorizationRequired");
    assert_eq!(refreshes(), 4);
}

#[tokio::test]
async fn somebody_else_than_the_declared_user_is_refused() {
    let world = World::new("").await;
    world.issuer.signs_in("admin@example.com");
    let refused = try_to_sign_in(&world.tokens, &world.config, "box").await.unwrap_err();
    assert!(refused.contains("admin@example.com signed in, and box@example.com is"), "{refused}");
    assert!(!world.gets_token("box").await, "nothing of it is kept");
    world.issuer.signs_in("BOX@example.com");
    world.sign_in().await;
    assert!(world.gets_token("box").await);
}

#[tokio::test]
async fn only_where_somebody_signs_in_is_somebody_told_to() {
    let ended = r#"{"error": "invalid_grant", "error_description": "AADSTS700082: it ended"}"#;
    let blocked = r#"{"error": "invalid_grant", "error_codes": [53003]}"#;
    let why = async |world: &World| {
        world.clock.turn(SignedDuration::from_hours(2));
        let holder = Holder::of_account(&world.config.accounts["box"]).unwrap();
        let error = world.tokens.access(&world.config, &holder).await.unwrap_err();
        (error.why.reason(), error.message.contains("oauth login"))
    };
    let mut world = World::new("").await;
    world.sign_in().await;
    world.issuer.refuses(ended);
    assert_eq!(why(&world).await, ("ReauthorizationRequired", true));
    world.issuer.refuses(blocked);
    assert_eq!(why(&world).await, ("AdministratorRequired", false));
    let measured = world.measured("postroom_oauth_sign_in_required").await;
    assert!(measured.iter().all(|line| line.ends_with(" 0")), "{measured:?}");
    let text = yaml(&world.issuer, "", &declared(&[("box", "enabled")]));
    let text = text.replace("authorizationCode", "clientCredentials");
    world.config = loaded(world.folder.path(), &text);
    for refusal in [ended, blocked, r#"{"error": "interaction_required"}"#] {
        world.issuer.refuses(refusal);
        assert_eq!(why(&world).await, ("AdministratorRequired", false), "{refusal}");
    }
}

#[tokio::test]
async fn a_sign_in_that_would_end_soon_fails() {
    let world = World::new("").await;
    world.issuer.gives_no_refresh_token();
    let said = try_to_sign_in(&world.tokens, &world.config, "box").await.unwrap_err();
    assert_eq!(said, "the provider gave no refresh token, so the sign-in would end soon");
    assert!(!world.gets_token("box").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_asks_the_daemon_for_sign_ins_near_their_end() {
    let issuer = Issuer::start(3600, true).await;
    issuer.says_refresh_life(25 * 86_400);
    let mut daemon = Daemon::prepare(&yaml(&issuer, "", &declared(&[("box", "paused")])));
    write_secrets(&daemon.path("secrets"));
    let days = SignedDuration::from_hours(20 * 24);
    daemon.clock = Clock::standing_at(Timestamp::now() - days);
    daemon.again().await;
    let config = daemon.app().handle().running.load().config.clone();
    sign_in(&daemon.app().handle().tokens, &config, "box").await;
    let url = format!("http://{}", daemon.app().addr());
    let check = |more: &[&str], url: &str, expected: i32| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
        command.args(["check", "--strict", "--url", url, "-c"]).arg(daemon.path("config"));
        let output = command.arg("--data").arg(daemon.path("data")).args(more).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(output.status.code(), Some(expected), "{said}");
        said
    };
    assert!(!check(&[], &url, 0).contains("the sign-in"));
    let said = check(&["--with-sign-ins"], &url, 3);
    assert!(said.contains("mailAccounts.box.oauth2Profile: the sign-in ends in 4 days"), "{said}");
    assert!(said.contains("sign in now: `postroom oauth login m --account box`"), "{said}");
    check(&["--with-sign-ins"], "http://127.0.0.1:1", 69);
    // Asked directly, the daemon says the same.
    let token = std::fs::read_to_string(daemon.path("data/api-token")).unwrap();
    let yaml = std::fs::read(daemon.path("config/desk.yaml")).unwrap();
    let ask = async |query: &str| -> String {
        let asked = hyper::Request::post(format!("/api/v1/check{query}"))
            .header("host", daemon.app().addr().to_string())
            .header("authorization", format!("Bearer {}", token.trim()))
            .body(http_body_util::Full::new(hyper::body::Bytes::from(yaml.clone())))
            .unwrap();
        answered(daemon.app().addr(), asked).await
    };
    assert!(ask("?withSignIns=true").await.contains("the sign-in ends in 4 days"));
    assert!(!ask("").await.contains("the sign-in"));
}

/// What is answered to one request over one connection.
async fn answered(
    address: std::net::SocketAddr,
    asked: hyper::Request<http_body_util::Full<hyper::body::Bytes>>,
) -> String {
    use http_body_util::BodyExt;
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let body = sender.send_request(asked).await.unwrap().into_body();
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// A mailbox at the stand-in for Microsoft Graph, read as a person who has signed in.
fn account(name: &str, service: &StandIn, folder: &Path) -> String {
    format!(
        "  {name}: {{type: graph, host: localhost, port: {}, tls: {{ca: \"{}/ca.pem\"}}, \
         oauth2Profile: m, username: desk@example.com, dispatch: {{by: recipient}}, since: all, \
         afterFetch: delete, pollInterval: 1s}}\n",
        service.port,
        folder.display()
    )
}

fn mail(number: usize) -> String {
    format!(
        "From: eve@cust.test\r\nTo: support@desk.test\r\nSubject: mail {number}\r\n\
         Message-ID: <{number}@cust.test>\r\n\r\nHelp {number}.\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_account_keeps_its_sign_in() {
    let scratch = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.write(scratch.path());
    let service = StandIn::start(authority.issue(&["localhost"], 2099).server()).await;
    // It rotates, and takes everything away if an old refresh token is shown.
    let issuer = Issuer::start(1, true).await;
    let before = yaml(&issuer, "", &account("info", &service, scratch.path()));
    let after = yaml(&issuer, "", &account("support", &service, scratch.path()))
        + "moved: [{kind: mailAccount, from: info, to: support}]\n";
    let mut daemon = Daemon::prepare(&before);
    write_secrets(&daemon.path("secrets"));
    daemon.again().await;
    let config = daemon.app().handle().running.load().config.clone();
    sign_in(&daemon.app().handle().tokens, &config, "info").await;
    service.deliver("M0=", &mail(0));
    daemon.mails(1).await;

    daemon.write(&after);
    daemon.app().handle().reload(Trigger::Http, false).await.unwrap();
    service.deliver("M1=", &mail(1));
    let mails = daemon.mails(2).await;
    assert_eq!(mails[1].account, "support");
    let store = daemon.app().handle().store.clone();
    assert_eq!(store.grant(&format!("{STORED}info")).unwrap(), None);
    assert!(store.grant(&format!("{STORED}support")).unwrap().is_some());
    drop(store);
    let refreshes = || issuer.asked().iter().filter(|grant| *grant == "refresh_token").count();
    until("a refresh under the new name", || (refreshes() > 0).then_some(())).await;

    // And what is stored under the new name is good after a restart.
    daemon.stop().await;
    daemon.again().await;
    service.deliver("M2=", &mail(2));
    daemon.mails(3).await;
    until("an empty folder", || service.ids("F-inbox==").is_empty().then_some(())).await;
    let sign_ins = issuer.asked().iter().filter(|grant| *grant == "authorization_code").count();
    assert_eq!(sign_ins, 1);
}

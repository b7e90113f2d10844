//! What becomes of a sign-in as time passes and names change.

use std::path::Path;
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
    let holder = Holder::of_account(&config.accounts[account]).unwrap();
    let begun = tokens.begin_code(config, &holder, CALLBACK).unwrap();
    let (_, state) = begun.url.split_once("&state=").unwrap();
    let state = state.split('&').next().unwrap();
    tokens.finish_code(config, state, Ok(SecretString::from("a-code"))).await.unwrap();
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

/// Tokens with a clock that a test turns.
struct World {
    issuer: Issuer,
    clock: Clock,
    metrics: Metrics,
    tokens: Tokens,
    config: Arc<Config>,
    _folder: tempfile::TempDir,
}

impl World {
    /// `more` is said of the provider.
    async fn new(more: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        write_secrets(folder.path());
        let issuer = Issuer::start(3600, true).await;
        let account = "  box: {type: graph, host: localhost, oauth2Profile: m, username: \
                       desk@example.com, dispatch: {by: recipient}, afterFetch: delete}\n";
        let file = folder.path().join("desk.yaml");
        std::fs::write(&file, yaml(&issuer, more, account)).unwrap();
        let loaded = config::load(&[file]);
        let config = Arc::new(loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems)));
        let clock = Clock::standing_at("2027-01-01T00:00:00Z".parse().unwrap());
        let metrics = Metrics::default();
        let tokens = Tokens::new(TokenParts {
            store: Some(Store::open(&folder.path().join("data")).unwrap()),
            secrets: Secrets { directory: Some(folder.path().to_owned()) },
            metrics: metrics.clone(),
            clock: clock.clone(),
        });
        World { issuer, clock, metrics, tokens, config, _folder: folder }
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

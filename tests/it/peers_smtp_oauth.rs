//! Sending with access tokens, by servers that others wrote: npm `smtp-server` with XOAUTH2, and
//! Dovecot's submission service with XOAUTH2 and OAUTHBEARER; the tokens are those of npm
//! `oidc-provider`, which both ask about each.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use postroom::config;
use postroom::core::config::Config;
use postroom::metrics::Metrics;
use postroom::run::board::ConditionKind;
use postroom::run::tokens::{Holder, TokenParts, Tokens};
use postroom::secret::Secrets;
use secrecy::SecretString;

use crate::issuer::{Introspecting, Issuer, browse_until};
use crate::needed;
use crate::outbox::Desk;
use crate::peers_smtp::{self, Peer};
use crate::sink::{Script, Sink};
use crate::transport::run;

/// Where the browser would be sent back to.
const CALLBACK: &str = "http://127.0.0.1/oauth2/callback";
/// Where Debian puts Dovecot's submission service.
const SUBMISSION: &str = "/usr/lib/dovecot/submission";
/// Older than a token must be before one that is refused is replaced, and than a connection may
/// lie idle.
const LATER: SignedDuration = SignedDuration::from_secs(60);

/// A server that takes tokens.
enum Server {
    /// Says itself what it took.
    Npm(Peer),
    /// Hands on what it took to a sink.
    Dovecot { peer: Box<Introspecting>, port: u16, sink: Sink },
}

impl Server {
    fn npm(issuer: &Issuer, security: &str) -> Option<Server> {
        let introspection = issuer.introspection();
        peers_smtp::peer(security, &[("INTROSPECTION", &introspection)]).map(Server::Npm)
    }

    async fn dovecot(issuer: &Issuer, mechanism: &str) -> Option<Server> {
        let there = Path::new(SUBMISSION).exists();
        if !needed::is_there(there, &format!("{SUBMISSION} is not installed")) {
            return None;
        }
        let sink = Sink::start(Script::default()).await;
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let submission = format!(
            "protocols = imap pop3 submission\n\
             submission_relay_host = 127.0.0.1\nsubmission_relay_port = {}\n\
             service submission-login {{\n  inet_listener submission {{\n    port = {port}\n  }}\n}}\n",
            sink.addr.port()
        );
        let peer = Box::new(Introspecting::start(issuer, mechanism, &submission)?);
        Some(Server::Dovecot { peer, port, sink })
    }

    fn declared(&self) -> (&'static str, u16, PathBuf) {
        match self {
            Server::Npm(peer) => ("smtps", peer.port, peer.ca()),
            Server::Dovecot { peer, port, .. } => ("smtptls", *port, peer.dovecot.ca()),
        }
    }

    /// Texts that arrived, in order.
    fn arrived(&self) -> Vec<String> {
        let mails: Vec<String> = match self {
            Server::Npm(peer) => {
                let said = peer.node.said();
                said.iter().filter_map(|one| Some(one["mail"].as_str()?.to_owned())).collect()
            }
            Server::Dovecot { sink, .. } => {
                let arrived = sink.arrived();
                arrived.iter().map(|one| String::from_utf8_lossy(&one.mail).into_owned()).collect()
            }
        };
        let text = |mail: &String| {
            let words = ["first", "second", "third"].into_iter();
            words.filter(|word| mail.contains(word)).collect::<Vec<_>>().join(" and ")
        };
        mails.iter().map(text).collect()
    }
}

/// A desk that sends through this server as alice, with real tokens.
struct Scene {
    desk: Desk,
    config: Arc<Config>,
    holder: Holder,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new(issuer: &Issuer, server: &Server, login: &str) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        for secret in ["desk", "robot"] {
            std::fs::write(folder.path().join(secret), format!("CANARY-{secret}")).unwrap();
        }
        std::fs::write(folder.path().join("seal"), "CANARY-seal-key-0123456789abcdef").unwrap();
        let declared = declared(issuer, server, login, folder.path());
        let mut desk = Desk::open(declared.smtp.values().cloned().collect());
        let config =
            Config { oauth2: declared.oauth2, ..Config::clone(&desk.config.lock().unwrap()) };
        let config = Arc::new(config);
        *desk.config.lock().unwrap() = config.clone();
        desk.secrets = Secrets { directory: Some(folder.path().to_owned()) };
        desk.tokens = Tokens::new(TokenParts {
            store: Some(desk.store.clone()),
            secrets: desk.secrets.clone(),
            metrics: Metrics::default(),
            clock: desk.clock.clone(),
        });
        let holder = Holder::of_server(&config.smtp["cloud"]).unwrap();
        Scene { desk, config, holder, _folder: folder }
    }

    async fn sign_in(&self) {
        let begun = self.desk.tokens.begin_code(&self.config, &self.holder, CALLBACK).unwrap();
        let back = browse_until(&begun.url, CALLBACK).await;
        let field = |name: &str| {
            let (_, query) = back.split_once('?').unwrap();
            let found = query.split('&').find_map(|field| field.strip_prefix(name));
            found.unwrap_or_else(|| panic!("no {name} in {back}")).to_owned()
        };
        let code = SecretString::from(field("code="));
        let state = field("state=");
        self.desk.tokens.finish_code(&self.config, &state, Ok(code)).await.unwrap();
    }

    /// Owes a mail with this word for somebody of its own.
    async fn owe(&self, word: &str) {
        let ticket = self.desk.ticket().await;
        self.desk.owe(&ticket, word, &[&format!("{word}@customer.test")]).await;
    }

    async fn until_it_waits(&self, failures: u32) {
        let authenticated = |desk: &Desk| desk.condition("cloud", ConditionKind::Authenticated);
        self.desk
            .until("the server is left alone", |desk| {
                desk.failures("cloud") >= failures && authenticated(desk) == Some(false)
            })
            .await;
    }

    fn sent(&self, word: &str) -> bool {
        self.desk.how(&format!("{word}@customer.test")) == ["sent"]
    }

    async fn until_sent(&self, word: &str) {
        self.desk.until(word, |_| self.sent(word)).await;
    }
}

/// Who the server is asked as.
const PERSON: &str = "username: alice@mail.test, oauth2Profile: person";
const ROBOT: &str = "username: support@mail.test, oauth2Profile: robot";

fn declared(issuer: &Issuer, server: &Server, login: &str, folder: &Path) -> Config {
    let (kind, port, ca) = server.declared();
    let yaml = format!(
        r#"version: 1
oauth2:
  sealKey: {{secret: seal}}
  providers:
    login:
      authUrl: "{url}/auth"
      tokenUrl: "{url}/token"
      allowPrivate: true
      authParams: {{prompt: consent}}
      smtp: {{scopes: [openid, offline_access, mail]}}
    robots: {{authUrl: "{url}/auth", tokenUrl: "{url}/token", clientAuth: post, allowPrivate: true, smtp: {{scopes: [mail]}}}}
  profiles:
    robot: {{provider: robots, clientId: robot, clientSecret: {{secret: robot}}, grant: clientCredentials}}
    person: {{provider: login, clientId: desk, clientSecret: {{secret: desk}}, grant: authorizationCode}}
smtp:
  cloud: {{type: {kind}, host: localhost, port: {port}, tls: {{ca: "{ca}"}}, auth: {{{login}}}}}
"#,
        url = issuer.url(""),
        ca = ca.display(),
    );
    let file = folder.join("desk.yaml");
    std::fs::write(&file, yaml).unwrap();
    let loaded = config::load(&[file]);
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
}

/// Nothing is sent before somebody signs in, and then at once; a token that the server refuses is
/// replaced, and each mail arrives once.
async fn life(issuer: &Issuer, server: &Server) {
    let mut scene = Scene::new(issuer, server, PERSON);
    scene.desk.start();

    scene.owe("first").await;
    scene.until_it_waits(1).await;
    assert!(!scene.sent("first"));
    assert_eq!(server.arrived(), Vec::<String>::new());
    // The clock stands still: no pause ends by itself.
    scene.sign_in().await;
    scene.until_sent("first").await;

    // The server refuses the token we have. It is replaced once, and nothing is left alone.
    assert_eq!(issuer.post("/test/end-access").await, "ended");
    scene.desk.turn(LATER);
    let refreshes = issuer.answered("refresh_token", 200);
    scene.owe("second").await;
    scene.until_sent("second").await;
    assert_eq!(issuer.answered("refresh_token", 200), refreshes + 1);
    assert_eq!(scene.desk.failures("cloud"), 0);

    // Nothing helps but a person.
    assert_eq!(issuer.post("/test/end").await, "ended");
    scene.desk.turn(LATER);
    scene.owe("third").await;
    scene.until_it_waits(1).await;
    assert!(!scene.sent("third"));
    scene.sign_in().await;
    scene.until_sent("third").await;

    scene.desk.end().await;
    assert_eq!(server.arrived(), ["first", "second", "third"], "each once");
}

/// Client credentials: nobody signs in.
async fn sends_for_itself(issuer: &Issuer, server: &Server) {
    let mut scene = Scene::new(issuer, server, ROBOT);
    scene.desk.start();
    scene.owe("first").await;
    scene.until_sent("first").await;
    scene.desk.end().await;
    assert_eq!(server.arrived(), ["first"]);
}

#[test]
fn an_application_sends_for_itself() {
    run(async {
        let Some(issuer) = Issuer::start(&[]) else { return };
        let Some(server) = Server::npm(&issuer, "tls") else { return };
        sends_for_itself(&issuer, &server).await;
        let Some(server) = Server::dovecot(&issuer, "oauthbearer").await else { return };
        sends_for_itself(&issuer, &server).await;
    });
}

#[test]
fn smtp_server_of_npm_with_xoauth2() {
    run(async {
        let Some(issuer) = Issuer::start(&[]) else { return };
        let Some(server) = Server::npm(&issuer, "tls") else { return };
        life(&issuer, &server).await;
        let Server::Npm(peer) = &server else { unreachable!() };
        let said = peer.node.said();
        let refused = said.iter().filter(|one| one["refused"] == "alice@mail.test").count();
        assert!(refused >= 1, "the challenge was answered: {said:?}");
    });
}

#[test]
fn submission_of_dovecot_with_xoauth2() {
    through_dovecot("xoauth2");
}

#[test]
fn submission_of_dovecot_with_oauthbearer() {
    through_dovecot("oauthbearer");
}

fn through_dovecot(mechanism: &str) {
    run(async {
        let Some(issuer) = Issuer::start(&[]) else { return };
        let Some(server) = Server::dovecot(&issuer, mechanism).await else { return };
        life(&issuer, &server).await;
    });
}

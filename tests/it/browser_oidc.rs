//! Signing in at a real OpenID provider in a real browser.

use postroom::core::config::TlsOptions;
use postroom::net::http::{Client, Request};
use postroom::net::reach::Reach;

use crate::browser::{Browser, ENTER};
use crate::daemon::Daemon;
use crate::node::Node;

/// The provider, ended with the test.
pub struct Provider {
    /// Its address.
    pub issuer: String,
    _node: Node,
}

impl Provider {
    /// Starts one, or says what is not installed.
    pub fn start(claims: &str) -> Option<Provider> {
        let (node, first) = Node::start("openid.mjs", &[("CLAIMS", claims)])?;
        Some(Provider { issuer: first["issuer"].as_str().unwrap().to_owned(), _node: node })
    }
}

/// A desk whose people sign in at this provider.
async fn desk(oidc: &str) -> Daemon {
    let mut daemon = Daemon::prepare(&format!(
        "version: 1
signIn: {{oidc: {oidc}}}
users:
  alice: {{email: alice@corp.example, name: Alice}}
  carol: {{email: unverified@corp.example}}
"
    ));
    std::fs::create_dir_all(daemon.path("secrets")).unwrap();
    std::fs::write(daemon.path("secrets/oidc"), "a + secret/%\n").unwrap();
    daemon.again().await;
    daemon
}

fn url(daemon: &Daemon, path: &str) -> String {
    format!("http://{}{path}", daemon.app().addr())
}

/// Goes to the provider and says there who one is.
fn sign_in_as(daemon: &Daemon, browser: &Browser, who: &str) {
    browser.forget();
    browser.open(&url(daemon, "/me"));
    browser.click("a[href^='/sign-in/oidc']");
    browser.fill("input[name=who]", who);
    browser.press(ENTER);
    browser.until("the way back", || browser.url().contains(&url(daemon, "/")).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_the_provider_are_users_by_their_verified_address() {
    let (Some(provider), Some(browser)) = (Provider::start("token"), Browser::start()) else {
        return;
    };
    let oidc = format!(
        "{{issuer: '{}', name: Corp, clientId: desk, clientSecret: {{secret: oidc}}, allowPrivate: true}}",
        provider.issuer
    );
    let daemon = desk(&oidc).await;
    browser.open(&url(&daemon, "/"));
    assert_eq!(browser.text("a.main"), "Sign in with Corp");
    assert!(browser.all("#password").is_empty(), "nobody has a password here");

    sign_in_as(&daemon, &browser, "alice@corp.example");
    assert_eq!(browser.path(), "/me", "back where one wanted to go");
    assert!(browser.text("dl.facts").contains("alice@corp.example"));

    for (who, said) in [
        ("mallory@corp.example", "no user of this desk"),
        ("unverified@corp.example", "no user of this desk"),
        ("deny", "did not sign you in"),
    ] {
        sign_in_as(&daemon, &browser, who);
        assert!(
            browser.text(".notice.bad").contains(said),
            "{who}: {}",
            browser.text(".notice.bad")
        );
        browser.open(&url(&daemon, "/me"));
        assert!(browser.path().starts_with("/sign-in"), "{who} is not in");
    }

    // The way back counts once, and only for the browser that went.
    let back = "/sign-in/oidc/callback?code=stolen&state=guessed";
    browser.open(&url(&daemon, back));
    assert!(browser.text(".notice.bad").contains("has ended"));
    let metrics = daemon.app().handle().metrics.text();
    for (result, count) in [("ok", 1), ("unknown", 2), ("failed", 1), ("expired", 1)] {
        let line =
            format!("postroom_sign_ins_total{{method=\"oidc\",result=\"{result}\"}} {count}");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}

/// More than were kept in memory at a time when attempts were.
const STRANGERS: usize = 1_200;

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_begin_to_sign_in_displace_nobody() {
    let (Some(provider), Some(browser)) = (Provider::start("token"), Browser::start()) else {
        return;
    };
    let oidc = format!(
        "{{issuer: '{}', clientId: desk, clientSecret: {{secret: oidc}}, allowPrivate: true}}",
        provider.issuer
    );
    let mut daemon = desk(&oidc).await;
    browser.forget();
    browser.open(&url(&daemon, "/me"));
    browser.click("a[href^='/sign-in/oidc']");
    browser.until("the form of the provider", || {
        browser.url().contains(&provider.issuer).then_some(())
    });
    let client = Client::new(TlsOptions::default(), Reach::Private);
    for _ in 0..STRANGERS {
        let answer = client.ask(Request::get(url(&daemon, "/sign-in/oidc"))).await.unwrap();
        assert_eq!(answer.status, 303);
    }
    browser.fill("input[name=who]", "alice@corp.example");
    browser.press(ENTER);
    browser.until("the way back", || browser.url().contains(&url(&daemon, "/")).then_some(()));
    assert_eq!(browser.path(), "/me", "{}", browser.text("main"));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_may_name_the_user() {
    let (Some(provider), Some(browser)) = (Provider::start("userinfo"), Browser::start()) else {
        return;
    };
    let oidc = format!(
        "{{issuer: '{}', clientId: lean, userClaim: preferred_username, allowPrivate: true}}",
        provider.issuer
    );
    let daemon = desk(&oidc).await;
    // Signed with another algorithm, and the claim is told by the userinfo endpoint alone.
    sign_in_as(&daemon, &browser, "alice@somewhere.else");
    assert_eq!(browser.path(), "/me");
    assert!(browser.text("dl.facts").contains("alice@corp.example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_lets_nobody_in() {
    let Some(browser) = Browser::start() else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let private = format!("{{issuer: 'http://127.0.0.1:{port}', clientId: desk}}");
    let gone = format!("{{issuer: 'http://127.0.0.1:{port}', clientId: desk, allowPrivate: true}}");
    for oidc in [private, gone] {
        let daemon = desk(&oidc).await;
        browser.open(&url(&daemon, "/sign-in/oidc"));
        assert!(browser.text(".notice.bad").contains("did not sign you in"), "{oidc}");
    }
}

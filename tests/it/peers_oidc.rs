//! Attempts to sign in at a real OpenID provider (npm `oidc-provider`) that come back in a way they
//! should not: the attempt stands in a sealed cookie, which a browser may change, keep or pass on.

use axum::http::StatusCode;
use jiff::SignedDuration;
use postroom::core::config::{Config, Oidc, Text, TlsOptions};
use postroom::run::clock::Clock;

use crate::browser_oidc::Provider;
use crate::http::Desk;
use crate::http_desk::reconfigure;
use crate::pages::get;

/// An attempt as its browser has it after it was sent to the provider.
struct Begun {
    cookie: String,
    state: String,
}

/// A desk whose people sign in at this provider. Its clock stands still.
fn desk(provider: &Provider) -> Desk {
    let desk = Desk::with_clock(Clock::standing_at("2026-11-25T09:00:00Z".parse().unwrap()));
    reconfigure(&desk, |config| declare(config, provider));
    desk
}

fn declare(config: &mut Config, provider: &Provider) {
    config.sign_in.oidc = Some(Oidc {
        issuer: provider.issuer.clone(),
        name: "Corp".into(),
        client_id: Text::Plain("lean".into()),
        client_secret: None,
        scopes: vec!["openid".into(), "email".into()],
        user_claim: None,
        allow_private: true,
        tls: TlsOptions::default(),
    });
}

async fn begin(desk: &Desk) -> Begun {
    let (status, headers, _) = desk.ask(get("/sign-in/oidc?next=/me", None)).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let cookie = &headers["set-cookie"];
    assert!(cookie.contains("; Max-Age=600; HttpOnly; SameSite=Lax"), "{cookie}");
    let (_, state) = headers["location"].split_once("&state=").unwrap();
    let state = state.split('&').next().unwrap().to_owned();
    assert!(!cookie.contains(&state), "the cookie can be read");
    Begun { cookie: cookie.split(';').next().unwrap().to_owned(), state }
}

/// How coming back ends, as it is counted: `failed` if the attempt was accepted, because the provider
/// does not know the code; `expired` if the attempt was refused before the provider was asked.
async fn back(desk: &Desk, cookie: Option<&str>, state: &str) -> &'static str {
    let before = counts(desk);
    let path = format!("/sign-in/oidc/callback?code=a-code&state={state}");
    let (status, headers, _) = desk.ask(get(&path, cookie)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let cleared = &headers["set-cookie"];
    assert!(cleared.starts_with("postroom-attempt=; Path=/; Max-Age=0"), "{cleared}");
    let after = counts(desk);
    match (after[0] - before[0], after[1] - before[1]) {
        (1, 0) => "failed",
        (0, 1) => "expired",
        counted => panic!("{counted:?}"),
    }
}

fn counts(desk: &Desk) -> [u64; 2] {
    let text = desk.handle.metrics.text();
    ["failed", "expired"].map(|result| {
        let name = format!("postroom_sign_ins_total{{method=\"oidc\",result=\"{result}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse().unwrap())
    })
}

#[tokio::test]
async fn an_attempt_counts_once_and_for_its_own_browser() {
    let Some(provider) = Provider::start("token") else { return };
    let desk = desk(&provider);
    let (one, other) = (begin(&desk).await, begin(&desk).await);
    assert_eq!(back(&desk, None, &one.state).await, "expired", "no cookie");
    assert_eq!(back(&desk, Some(&other.cookie), &one.state).await, "expired", "another browser");
    assert_eq!(back(&desk, Some(&one.cookie), "").await, "expired", "no state");
    // None of this has used the attempt up.
    assert_eq!(back(&desk, Some(&one.cookie), &one.state).await, "failed");
    assert_eq!(back(&desk, Some(&one.cookie), &one.state).await, "expired", "again");
    assert_eq!(back(&desk, Some(&other.cookie), &other.state).await, "failed");
}

#[tokio::test]
async fn an_attempt_that_was_changed_is_refused() {
    let Some(provider) = Provider::start("token") else { return };
    let desk = desk(&provider);
    let begun = begin(&desk).await;
    let (name, value) = begun.cookie.split_once('=').unwrap();
    for at in (0..value.len()).step_by(7) {
        let other = if value.as_bytes()[at] == b'A' { "B" } else { "A" };
        let changed = format!("{name}={}{other}{}", &value[..at], &value[at + 1..]);
        assert_eq!(back(&desk, Some(&changed), &begun.state).await, "expired", "byte {at}");
    }
    let twice = format!("{0}; {0}", begun.cookie);
    assert_eq!(back(&desk, Some(&twice), &begun.state).await, "expired", "two cookies");
    // One of another desk is sealed with another key.
    let elsewhere = self::desk(&provider);
    assert_eq!(back(&elsewhere, Some(&begun.cookie), &begun.state).await, "expired");
    assert_eq!(back(&desk, Some(&begun.cookie), &begun.state).await, "failed");
}

#[tokio::test]
async fn an_attempt_ends_after_ten_minutes() {
    let Some(provider) = Provider::start("token") else { return };
    let desk = desk(&provider);
    let (late, in_time) = (begin(&desk).await, begin(&desk).await);
    desk.handle.clock.turn(SignedDuration::from_secs(599));
    assert_eq!(back(&desk, Some(&in_time.cookie), &in_time.state).await, "failed");
    desk.handle.clock.turn(SignedDuration::from_secs(1));
    assert_eq!(back(&desk, Some(&late.cookie), &late.state).await, "expired");
}

#[tokio::test]
async fn an_attempt_at_another_provider_is_refused() {
    let (Some(first), Some(second)) = (Provider::start("token"), Provider::start("token")) else {
        return;
    };
    let desk = desk(&first);
    let (begun, again) = (begin(&desk).await, begin(&desk).await);
    reconfigure(&desk, |config| declare(config, &second));
    assert_eq!(back(&desk, Some(&begun.cookie), &begun.state).await, "expired");
    reconfigure(&desk, |config| declare(config, &first));
    assert_eq!(back(&desk, Some(&again.cookie), &again.state).await, "failed");
}

#[tokio::test]
async fn an_attempt_survives_a_restart() {
    let Some(provider) = Provider::start("token") else { return };
    let desk = Desk::new();
    reconfigure(&desk, |config| declare(config, &provider));
    let begun = begin(&desk).await;
    let desk = desk.again().await;
    reconfigure(&desk, |config| declare(config, &provider));
    assert_eq!(back(&desk, Some(&begun.cookie), &begun.state).await, "failed");
}

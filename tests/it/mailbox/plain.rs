//! A password by the mechanism PLAIN (RFC 4616), where LOGIN or USER cannot be used.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postroom::core::config::Security;

use super::{Protocol, SECONDS, Safe, work, work_plainly};
use crate::server::certificates::Authority;
use crate::server::imap::capabilities;
use crate::server::{Behaviour, PASSWORD, endpoint, imap, pop3, say};

fn response() -> String {
    STANDARD.encode(format!("\0desk@example.com\0{PASSWORD}"))
}

/// Works under TLS; what the server heard.
async fn heard_under_tls(protocol: Protocol, behaviour: Behaviour) -> (Result<(), String>, String) {
    let authority = Authority::new();
    let server = behaviour.with_tls(authority.issue(&["localhost"], 2099).server(), true);
    let server = server.start().await;
    let safe = Safe::new();
    let ca = authority.write(safe.0.path());
    let account = protocol.account(endpoint(server.port, Security::Tls, Some(&ca)));
    let worked = work(&account, &safe.secrets()).await;
    let worked = worked.map(drop).map_err(|error| {
        let shown = format!("{} {error} {error:?}", error.label());
        assert!(!shown.contains("CANARY") && !shown.contains(&response()), "{shown}");
        format!("{}: {error}", error.label())
    });
    let heard = server.heard();
    assert_eq!(heard.plain, "");
    (worked, heard.encrypted)
}

#[tokio::test]
async fn imap_plain_rides_along_or_follows_the_request() {
    let (inline, asked) =
        (format!("AUTHENTICATE PLAIN {}\r\n", response()), "AUTHENTICATE PLAIN\r\n");
    for (offered, expected) in [
        ("LOGINDISABLED AUTH=PLAIN SASL-IR UIDPLUS IDLE", inline.as_str()),
        ("LOGINDISABLED AUTH=PLAIN UIDPLUS IDLE", asked),
        ("LOGINDISABLED AUTH=CRAM-MD5 AUTH=plain UIDPLUS IDLE", asked),
    ] {
        let behaviour = imap::proper()
            .but("CAPABILITY", capabilities(offered))
            .but("AUTHENTICATE PLAIN", say("+ \r\n"))
            .but("AUTHENTICATE PLAIN ", say("%T OK welcome\r\n"));
        // The response to the request has no tag of its own.
        let answer = Box::leak(response().into_boxed_str());
        let behaviour = behaviour.but(answer, say("%T OK welcome\r\n"));
        let (worked, heard) = heard_under_tls(Protocol::Imap, behaviour).await;
        worked.unwrap();
        assert!(heard.contains(expected) && !heard.contains(" LOGIN "), "{offered}: {heard}");
        assert!(heard.contains(&response()), "{heard}");
    }
}

#[tokio::test]
async fn imap_plain_where_login_is_no_command() {
    let behaviour = imap::proper()
        .but("CAPABILITY", capabilities("AUTH=PLAIN SASL-IR UIDPLUS IDLE"))
        .but("LOGIN", say("%T BAD unknown command\r\n"))
        .but("AUTHENTICATE PLAIN ", say("%T OK welcome\r\n"));
    let (worked, heard) = heard_under_tls(Protocol::Imap, behaviour).await;
    worked.unwrap();
    assert!(heard.contains("AUTHENTICATE PLAIN "), "{heard}");
}

#[tokio::test]
async fn imap_plain_that_is_refused_says_so_without_the_password() {
    let said = format!("%T NO no such user {} {PASSWORD}\r\n", response());
    for (answer, label) in [
        (said.as_str(), "login"),
        ("%T NO [UNAVAILABLE] later\r\n", "busy"),
        ("%T BAD what?\r\n", "refused"),
        ("+ \r\n", "protocol"),
    ] {
        let behaviour = imap::proper()
            .but("CAPABILITY", capabilities("LOGINDISABLED AUTH=PLAIN SASL-IR"))
            .but("AUTHENTICATE PLAIN ", say(answer))
            .but("*", say("+ \r\n"));
        let (worked, _) = heard_under_tls(Protocol::Imap, behaviour).await;
        let error = worked.unwrap_err();
        assert!(error.starts_with(label), "{answer}: {error}");
    }
}

#[tokio::test]
async fn imap_without_any_mechanism_names_those_that_are_offered() {
    for (offered, named) in [
        ("LOGINDISABLED AUTH=NTLM AUTH=GSSAPI", "only GSSAPI, NTLM"),
        ("LOGINDISABLED", "no other mechanism"),
        ("LOGINDISABLED AUTH=SCRAM-SHA-256", "only SCRAM-SHA-256"),
    ] {
        let behaviour = imap::proper().but("CAPABILITY", capabilities(offered));
        let (worked, heard) = heard_under_tls(Protocol::Imap, behaviour).await;
        let error = worked.unwrap_err();
        assert!(error.starts_with("login: ") && error.contains(named), "{error}");
        assert!(!error.contains("declare the account with TLS"), "{error}");
        assert!(!heard.contains("desk@example.com"), "{heard}");
    }
}

#[tokio::test]
async fn pop3_plain_where_user_is_no_command() {
    let answer = Box::leak(response().into_boxed_str());
    let behaviour = || {
        pop3::proper()
            .but("CAPA", say("+OK\r\nSASL CRAM-MD5 PLAIN\r\nUIDL\r\n.\r\n"))
            .but("USER", say("-ERR unknown command\r\n"))
            .but("AUTH PLAIN", say("+ \r\n"))
            .but("AUTH PLAIN ", say("+OK welcome\r\n"))
    };
    let (worked, heard) = heard_under_tls(Protocol::Pop3, behaviour()).await;
    worked.unwrap();
    assert!(heard.contains(&format!("AUTH PLAIN {answer}\r\n")), "{heard}");
    let refused = behaviour().but("AUTH PLAIN ", say(&format!("-ERR no {PASSWORD} {answer}\r\n")));
    let (worked, _) = heard_under_tls(Protocol::Pop3, refused).await;
    assert!(worked.unwrap_err().starts_with("login: "));
    let without = behaviour().but("CAPA", say("+OK\r\nUIDL\r\n.\r\n"));
    let (worked, heard) = heard_under_tls(Protocol::Pop3, without).await;
    assert!(worked.unwrap_err().contains("unknown command"));
    assert!(!heard.contains("AUTH"), "{heard}");
}

#[tokio::test]
async fn plain_within_this_machine_needs_no_tls() {
    let behaviour = imap::proper()
        .but("CAPABILITY", capabilities("LOGINDISABLED AUTH=PLAIN SASL-IR UIDPLUS IDLE"))
        .but("AUTHENTICATE PLAIN ", say("%T OK welcome\r\n"));
    work_plainly(Protocol::Imap, behaviour, SECONDS).await.unwrap();
}

//! Token servers that do everything but give a token: what comes of each.

use std::time::{Duration, Instant};

use postroom::core::config::{ClientAuth, TlsOptions};
use postroom::net::http::Client;
use postroom::net::reach::Reach;
use postroom::oauth::{self, Purpose, Registration};
use postroom::secret::Secrets;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::transport::run;

/// What must be in no error.
const CANARY: &str = "CANARY-refresh-token-71c3";

/// How a server behaves.
enum Server {
    /// Answers with this text.
    Says(String),
    /// Sends the head, then one byte per second.
    Drips,
    /// Sends the head, then ten megabytes.
    Floods,
}

fn answer(status: &str, more: &str, body: &str) -> Server {
    Server::Says(format!("HTTP/1.1 {status}\r\n{more}content-length: {}\r\n\r\n{body}", body.len()))
}

fn token(rest: &str) -> Server {
    answer("200 OK", "", &format!(r#"{{"access_token":"a","token_type":"Bearer"{rest}}}"#))
}

/// Asks such a server to refresh, and says what came of it.
async fn refresh(server: Server, reach: Reach) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = [0; 4096];
        let _ = stream.read(&mut heard).await;
        match server {
            Server::Says(text) => drop(stream.write_all(text.as_bytes()).await),
            Server::Drips => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n").await;
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Server::Floods => {
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n").await;
                let block = [b'{'; 65536];
                for _ in 0..160 {
                    if stream.write_all(&block).await.is_err() {
                        break;
                    }
                }
            }
        }
    });
    let registration = Registration {
        auth_url: String::new(),
        token_url: format!("http://127.0.0.1:{port}/token"),
        device_url: None,
        client_auth: ClientAuth::Post,
        auth_params: Vec::new(),
        client_id: "desk".into(),
        client_secret: Some(SecretString::from("CANARY-client-secret")),
        scopes: Vec::new(),
    };
    let client = Client::new(TlsOptions::default(), reach);
    let began = Instant::now();
    let result = oauth::refresh(&client, &registration, &SecretString::from(CANARY)).await;
    assert!(began.elapsed() < oauth::WITHIN + Duration::from_secs(5));
    serving.abort();
    match result {
        Ok(tokens) => format!(
            "token for {} s, refresh token {}",
            tokens.life.as_secs(),
            tokens.refresh.map_or("stays".to_owned(), |it| it.expose_secret().to_owned())
        ),
        Err(error) => {
            assert!(!format!("{error} {error:?}").contains("CANARY"), "{error:?}");
            format!("{}: {error}", error.label())
        }
    }
}

#[test]
fn what_comes_of_each() {
    const UNUSABLE: &str = "answer: the provider's answer cannot be used: ";
    let table: Vec<(&str, Server, String)> = vec![
        (
            "HTML",
            answer("200 OK", "", "<html>maintenance</html>"),
            format!("{UNUSABLE}it is not JSON"),
        ),
        (
            "500",
            answer("500 Internal Server Error", "", "oops"),
            "busy: the provider answered with status 500".into(),
        ),
        (
            "10 MB",
            Server::Floods,
            "too_large: 127.0.0.1 answered with more than 65536 bytes".into(),
        ),
        ("drip", Server::Drips, "timeout: 127.0.0.1 did not answer within 15s".into()),
        (
            "redirect",
            answer("302 Found", "location: http://169.254.169.254/latest\r\n", ""),
            format!("{UNUSABLE}it is a redirect, which is never followed"),
        ),
        ("lives 0", token(r#","expires_in":0"#), "token for 60 s, refresh token stays".into()),
        ("lives -1", token(r#","expires_in":-1"#), "token for 60 s, refresh token stays".into()),
        (
            "lives 1e12",
            token(r#","expires_in":1e12"#),
            "token for 86400 s, refresh token stays".into(),
        ),
        ("no refresh token", token(""), "token for 3600 s, refresh token stays".into()),
        (
            "rotates",
            token(r#","expires_in":300,"refresh_token":"next""#),
            "token for 300 s, refresh token next".into(),
        ),
        (
            "repeats what we sent",
            answer(
                "400 Bad Request",
                "",
                &format!(r#"{{"error":"invalid_grant","error_description":"no {CANARY}"}}"#),
            ),
            "sign_in: the provider wants a person to sign in (invalid_grant)".into(),
        ),
        (
            "odd type",
            answer("200 OK", "", r#"{"access_token":"a","token_type":"mac"}"#),
            format!("{UNUSABLE}it is no Bearer token"),
        ),
    ];
    run(async {
        let rows = table.into_iter().map(|(name, server, expected)| async move {
            (name, refresh(server, Reach::Private).await, expected)
        });
        for (name, found, expected) in futures_util::future::join_all(rows).await {
            assert_eq!(found, expected, "{name}");
        }
        let guarded = refresh(token(""), Reach::Public).await;
        assert!(guarded.starts_with("private: 127.0.0.1 leads to 127.0.0.1"), "{guarded}");
    });
}

/// Where the known providers are asked, and for what: a person first, then a program alone.
#[test]
fn what_the_known_providers_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("desk.yaml");
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    let profile = |name: &str, provider: &str, grant: &str| {
        format!(
            "    {name}: {{provider: {provider}, clientId: desk, clientSecret: {{secret: secret}}, \
             grant: {grant}{}}}\n",
            if provider == "microsoft" { ", tenant: contoso.example" } else { "" }
        )
    };
    let yaml = format!(
        "version: 1\noauth2:\n  sealKey: {{secret: secret}}\n  profiles:\n{}{}{}",
        profile("person", "microsoft", "authorizationCode"),
        profile("app", "microsoft", "clientCredentials"),
        profile("gmail", "google", "authorizationCode"),
    );
    std::fs::write(&file, yaml).unwrap();
    let loaded = postroom::config::load(&[file]);
    let oauth2 = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems)).oauth2;
    let secrets = Secrets { directory: Some(folder.path().to_owned()) };
    const MICROSOFT: &str = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token";
    const GOOGLE: &str = "https://oauth2.googleapis.com/token";
    const OFFICE: &str = "offline_access https://outlook.office.com";
    const APP: &str = "https://outlook.office365.com/.default";
    const GRAPH: &str = "https://graph.microsoft.com";
    let table = [
        ("person", "imap", MICROSOFT, format!("{OFFICE}/IMAP.AccessAsUser.All")),
        ("person", "pop3", MICROSOFT, format!("{OFFICE}/POP.AccessAsUser.All")),
        ("person", "smtp", MICROSOFT, format!("{OFFICE}/SMTP.Send")),
        (
            "person",
            "graph",
            MICROSOFT,
            format!("openid profile offline_access {GRAPH}/Mail.ReadWrite"),
        ),
        ("app", "imap", MICROSOFT, APP.to_owned()),
        ("app", "pop3", MICROSOFT, APP.to_owned()),
        ("app", "smtp", MICROSOFT, APP.to_owned()),
        ("app", "graph", MICROSOFT, format!("{GRAPH}/.default")),
        ("gmail", "imap", GOOGLE, "https://mail.google.com/".to_owned()),
        ("gmail", "pop3", GOOGLE, "https://mail.google.com/".to_owned()),
        ("gmail", "smtp", GOOGLE, "https://mail.google.com/".to_owned()),
    ];
    for (profile, service, url, scopes) in table {
        let purpose = Purpose { service, sends: service == "smtp", shared: false };
        let found = oauth::registration(&oauth2, profile, purpose, &secrets).unwrap();
        assert_eq!((found.token_url.as_str(), found.scopes.join(" ")), (url, scopes), "{service}");
    }
    let scopes = |profile: &str, sends, shared| {
        let purpose = Purpose { service: "graph", sends, shared };
        oauth::registration(&oauth2, profile, purpose, &secrets).unwrap().scopes.join(" ")
    };
    let asked = |rest: &str| format!("openid profile offline_access {}", rest.replace('G', GRAPH));
    assert_eq!(scopes("person", true, false), asked("G/Mail.ReadWrite G/Mail.Send"));
    assert_eq!(scopes("person", false, true), asked("G/Mail.ReadWrite.Shared"));
    assert_eq!(scopes("person", true, true), asked("G/Mail.ReadWrite.Shared G/Mail.Send.Shared"));
    assert_eq!(scopes("app", true, true), format!("{GRAPH}/.default"));
}

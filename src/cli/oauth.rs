//! `postroom oauth`: signing in, and how everybody stands.
//!
//! Architecture invariant: the command never sees a token. It brings the person to the provider
//! and the code to the daemon, which redeems and keeps it.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, Subcommand};
use hyper::{Method, Uri};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::client::{Client, ServerArgs, segment};
use super::output::{Format, clean};
use super::{Exit, Failure, output, page, wait_for};
use crate::http::dto::oauth::{CodeRequest, SignInRequest, SignInView, StandingView};
use crate::http::dto::status::DoneView;

/// Path to which the browser comes back on this machine; the same as the daemon's.
const CALLBACK: &str = "/oauth2/callback";
/// Pause between two questions whether the person is done.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Longest time a person may take.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// Longest request of a browser. Bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Time for a browser to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Options of `oauth`.
#[derive(Args)]
pub struct OauthArgs {
    #[command(subcommand)]
    command: OauthCommand,
}

#[derive(Subcommand)]
enum OauthCommand {
    /// Sign in for a mail account or an SMTP server
    #[command(
        after_help = "The daemon must run. It redeems the code and keeps the tokens, encrypted; \
                            this command never\nsees them. The browser comes back to the daemon if that \
                            was started with --external-url, else to\nthis machine.\n\n\
                            Examples:\n  postroom oauth login m365 --account support\n  \
                            postroom oauth login m365 --account support --device\n  \
                            postroom oauth login m365 --smtp relay"
    )]
    Login {
        /// Profile of `oauth2.profiles`
        #[arg(value_name = "PROFILE")]
        profile: String,
        /// Mail account that needs the tokens
        #[arg(long, value_name = "NAME", required_unless_present = "smtp")]
        account: Option<String>,
        /// SMTP server that needs the tokens
        #[arg(long, value_name = "NAME", conflicts_with = "account")]
        smtp: Option<String>,
        /// Sign in on another device: shows a code to type there
        #[arg(long)]
        device: bool,
        /// Have the browser come back to this machine although the daemon has an external URL
        #[arg(long, conflicts_with = "device")]
        loopback: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Say who is signed in, and when each thing expires
    #[command(after_help = "Ends with 0 if everybody has what is needed and with 1 if not.\n\n\
                            Example:\n  postroom oauth status")]
    Status {
        #[command(flatten)]
        server: ServerArgs,
        /// How to write the answer
        #[arg(long, value_name = "FORMAT", default_value = "human")]
        format: Format,
    },
}

/// Signs in, or says how everybody stands.
pub fn run(args: OauthArgs) -> Result<Exit, Failure> {
    match args.command {
        OauthCommand::Login { profile, account, smtp, device, loopback, server } => {
            let request =
                SignInRequest { profile, account, smtp, device, loopback, redirect: None };
            let client = server.client()?;
            wait_for(async move {
                match tokio::time::timeout(PATIENCE, sign_in(&client, request)).await {
                    Ok(done) => done,
                    Err(_) => Err(Failure::new("nobody signed in in time")),
                }
            })?;
            Ok(Exit::Fine)
        }
        OauthCommand::Status { server, format } => status(&server, format),
    }
}

async fn sign_in(client: &Client, mut request: SignInRequest) -> Result<(), Failure> {
    let listener = if request.device { None } else { Some(listen().await?) };
    if let Some(listener) = &listener {
        let address = listener.local_addr().map_err(|error| Failure::new(error.to_string()))?;
        request.redirect = Some(format!("http://localhost:{}{CALLBACK}", address.port()));
    }
    let begun: SignInView =
        client.send(Method::POST, "/api/v1/oauth/logins", Some(&json!(request))).await?;
    output::print(&invitation(&begun));
    let done = match listener.filter(|_| !begun.via_daemon) {
        Some(listener) => bring_code(client, &listener, &begun).await?,
        None => watch(client, &begun).await?,
    };
    output::print(&format!("{}\n", clean(&done.done)));
    Ok(())
}

fn invitation(begun: &SignInView) -> String {
    match &begun.user_code {
        Some(code) => format!(
            "open {} on any device\nand type the code {}\nwaiting until {} ...\n",
            clean(&begun.url),
            clean(code),
            clean(&begun.ends)
        ),
        None => format!("open this page and sign in:\n{}\nwaiting ...\n", clean(&begun.url)),
    }
}

/// Asks the daemon until the person is done.
async fn watch(client: &Client, begun: &SignInView) -> Result<DoneView, Failure> {
    let path = format!("/api/v1/oauth/logins/{}", segment(&begun.id));
    loop {
        let done: DoneView = client.get(&path).await?;
        if done.done != "waiting" {
            return Ok(done);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn listen() -> Result<TcpListener, Failure> {
    TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| Failure::new(format!("could not wait for the browser: {error}")))
}

/// Waits for the browser and brings its code to the daemon.
async fn bring_code(
    client: &Client,
    listener: &TcpListener,
    begun: &SignInView,
) -> Result<DoneView, Failure> {
    let state = parameter(&begun.url, "state").unwrap_or_default();
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        let heard = tokio::time::timeout(REQUEST_TIMEOUT, request_target(&mut stream)).await;
        let Some(target) = heard.ok().flatten() else { continue };
        // Browsers also ask for an icon; a foreign state is not ours to bring.
        let ours = target.split('?').next() == Some(CALLBACK)
            && parameter(&target, "state").as_deref() == Some(state.as_str());
        if !ours {
            answer(&mut stream, "404 Not Found", "This is not the page.\n").await;
            continue;
        }
        let request = CodeRequest {
            state,
            code: parameter(&target, "code"),
            error: parameter(&target, "error"),
        };
        let done: Result<DoneView, Failure> =
            client.send(Method::POST, "/api/v1/oauth/codes", Some(&json!(request))).await;
        let (status, text) = match &done {
            Ok(_) => ("200 OK", "Signed in. You can close this window.\n"),
            Err(_) => ("400 Bad Request", "This did not work. The terminal says why.\n"),
        };
        answer(&mut stream, status, text).await;
        return done;
    }
}

/// Path and query of a request (RFC 9112 section 3).
async fn request_target(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|part| part == b"\r\n\r\n") {
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
        if bytes.len() > REQUEST_BYTES_MAX {
            return None;
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    let mut words = text.lines().next()?.split(' ');
    (words.next() == Some("GET")).then(|| words.next().map(str::to_owned)).flatten()
}

async fn answer(stream: &mut TcpStream, status: &str, text: &str) {
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    // The person may have closed the window.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A parameter of the query of a URL.
fn parameter(url: &str, name: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| decoded(value))
}

/// Undoes the encoding of a form (`application/x-www-form-urlencoded`).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn status(server: &ServerArgs, format: Format) -> Result<Exit, Failure> {
    let client = server.client()?;
    let all: Vec<StandingView> = wait_for(page::every(&client, "/api/v1/oauth"))?;
    match format {
        Format::Json => output::json(&all),
        Format::Human => output::print(&table(&all)),
    }
    let well = all.iter().all(|one| one.reason.is_none());
    Ok(if well { Exit::Fine } else { Exit::Failed })
}

fn table(all: &[StandingView]) -> String {
    if all.is_empty() {
        return "nobody logs in with OAuth2\n".into();
    }
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let row = |one: &StandingView| {
        vec![
            one.kind.clone(),
            one.name.clone(),
            one.profile.clone(),
            one.grant.clone(),
            or_none(&one.signed_in),
            or_none(&one.access_ends),
            or_none(&one.refresh_ends),
            or_none(&one.secret_expires),
            one.reason.clone().unwrap_or_else(|| if one.paused { "paused" } else { "ok" }.into()),
        ]
    };
    let head = [
        "KIND",
        "NAME",
        "PROFILE",
        "GRANT",
        "SIGNED IN",
        "ACCESS ENDS",
        "SIGN-IN ENDS",
        "SECRET ENDS",
        "STATE",
    ];
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let mut text = output::table(&head, &rows);
    // Many may share one client secret.
    let warnings: BTreeSet<&String> = all.iter().flat_map(|one| &one.warnings).collect();
    for warning in warnings {
        text.push_str(&format!("warning: {}\n", clean(warning)));
    }
    for one in all {
        if let Some(message) = &one.message {
            text.push_str(&format!("{} {}: {}\n", one.kind, clean(&one.name), clean(message)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_query() {
        let url = "/oauth2/callback?code=a%2Bb+c&state=x";
        assert_eq!(parameter(url, "code").as_deref(), Some("a+b c"));
        assert_eq!(parameter(url, "state").as_deref(), Some("x"));
        assert_eq!(parameter(url, "error"), None);
        assert_eq!(parameter("/x?code=%zz", "code"), None);
    }
}

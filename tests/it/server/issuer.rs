//! A token endpoint for tests (RFC 6749): it gives tokens to whoever asks, and is as strict about
//! refresh tokens as the strictest. What real ones do is tested against `oidc-provider`.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpListener;

use super::graph::TOKEN;
use super::json;

/// A running one. Its access tokens are those of the Graph stand-in.
pub struct Issuer {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    rotates: bool,
    /// Seconds that an access token lives.
    life: u64,
    /// Seconds that it says a refresh token lives.
    refresh_life: Option<u64>,
    /// Number of the refresh token that is valid; `None` when somebody must sign in.
    current: Option<u64>,
    issued: u64,
    /// Whether one that is shown again is refused, and nothing more.
    lenient: bool,
    /// Whether a sign-in brings a refresh token.
    lasting: bool,
    /// Who signs in, as the ID token says.
    person: Option<String>,
    /// What it answers instead.
    refusal: Option<String>,
    /// Grants that were asked for.
    asked: Vec<String>,
}

impl Issuer {
    /// One whose access tokens live for so many seconds. If it rotates, each refresh takes the
    /// refresh token away, and one that is shown again ends everything.
    pub async fn start(life: u64, rotates: bool) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            rotates,
            life,
            refresh_life: None,
            current: None,
            issued: 0,
            lenient: false,
            lasting: true,
            person: None,
            refusal: None,
            asked: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        let task = json::serve(listener, move |request| {
            let form = String::from_utf8_lossy(&request.body);
            shared.lock().unwrap().answer(&form)
        });
        Issuer { port, state, task }
    }

    /// From now on it says how many seconds a refresh token lives.
    pub fn says_refresh_life(&self, secs: u64) {
        self.state.lock().unwrap().refresh_life = Some(secs);
    }

    /// It has lost what it gave last, as one that was restored from a copy; from now on it refuses
    /// refresh tokens that it does not know, and ends nothing.
    pub fn loses_the_last(&self) {
        let mut state = self.state.lock().unwrap();
        state.current = state.current.map(|number| number - 1);
        state.lenient = true;
    }

    /// From now on this is who signs in.
    pub fn signs_in(&self, person: &str) {
        self.state.lock().unwrap().person = Some(person.to_owned());
    }

    /// From now on it answers this body, with status 400.
    pub fn refuses(&self, body: &str) {
        self.state.lock().unwrap().refusal = Some(body.to_owned());
    }

    /// From now on a sign-in brings no refresh token.
    pub fn gives_no_refresh_token(&self) {
        self.state.lock().unwrap().lasting = false;
    }

    /// Grants it was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// A provider `p`, as YAML declares it.
    pub fn provider(&self) -> String {
        let port = self.port;
        format!(
            "    p:\n      authUrl: http://127.0.0.1:{port}/authorize\n      \
             tokenUrl: http://127.0.0.1:{port}/token\n      allowPrivate: true\n      \
             imap: {{scopes: [mail]}}\n      smtp: {{scopes: [mail]}}\n      \
             graph: {{scopes: [\".default\"]}}\n"
        )
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn answer(&mut self, form: &str) -> (u16, String) {
        let field = |name: &str| form.split('&').find_map(|field| field.strip_prefix(name));
        let grant = field("grant_type=").unwrap_or_default().to_owned();
        self.asked.push(grant.clone());
        if let Some(refusal) = &self.refusal {
            return (400, refusal.clone());
        }
        match grant.as_str() {
            "client_credentials" => self.tokens(false),
            "authorization_code" => self.tokens(self.lasting),
            "refresh_token" => {
                let valid = self.current.map(refresh_token);
                if valid.is_none() || valid.as_deref() != field("refresh_token=") {
                    if !self.lenient {
                        self.current = None;
                    }
                    return (400, r#"{"error": "invalid_grant"}"#.to_owned());
                }
                self.tokens(self.rotates)
            }
            _ => (400, r#"{"error": "unsupported_grant_type"}"#.to_owned()),
        }
    }

    fn tokens(&mut self, with_refresh: bool) -> (u16, String) {
        let mut refresh = String::new();
        if with_refresh {
            self.issued += 1;
            self.current = Some(self.issued);
            refresh = format!(r#", "refresh_token": "{}""#, refresh_token(self.issued));
            if let Some(secs) = self.refresh_life {
                refresh += &format!(r#", "refresh_token_expires_in": {secs}"#);
            }
        }
        if let Some(person) = &self.person {
            let claims = format!(r#"{{"preferred_username": "{person}", "oid": "1-2-3"}}"#);
            refresh += &format!(r#", "id_token": "h.{}.s""#, URL_SAFE_NO_PAD.encode(claims));
        }
        let life = self.life;
        let body = format!(
            r#"{{"access_token": "{TOKEN}", "token_type": "Bearer", "expires_in": {life}{refresh}}}"#
        );
        (200, body)
    }
}

fn refresh_token(number: u64) -> String {
    format!("CANARY-refresh-{number}-end")
}

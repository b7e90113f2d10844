//! An OAuth2 server in which everybody consents (npm `oidc-provider`), a browser for it, and a
//! Dovecot that asks it about each token.

use std::collections::BTreeMap;

use postroom::core::config::TlsOptions;
use postroom::net::http::{Client, Method, Request};
use postroom::net::reach::Reach;
use secrecy::SecretString;
use serde_json::Value;

use crate::node::{Node, port};
use crate::peers::Dovecot;

/// A running one.
pub struct Issuer {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    node: Node,
}

impl Issuer {
    /// Starts one, or says what is missing. `variables` as the head of the script explains.
    pub fn start(variables: &[(&str, &str)]) -> Option<Issuer> {
        let (node, first) = Node::start("oidc.mjs", variables)?;
        Some(Issuer { port: port(&first), node })
    }

    /// Its address.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Where it is asked about tokens, with the name and password for that.
    pub fn introspection(&self) -> String {
        format!("http://dovecot:dovecot@127.0.0.1:{}/token/introspection", self.port)
    }

    /// Asks for something that only tests may.
    pub async fn post(&self, path: &str) -> String {
        let answer = near().ask(Request::new(Method::POST, self.url(path))).await.unwrap();
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    /// A token for support@mail.test.
    pub async fn token(&self) -> SecretString {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", "robot"),
            ("client_secret", "CANARY-robot"),
            ("scope", "mail"),
        ];
        let answer = near().ask(Request::form(self.url("/token"), &fields)).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        SecretString::from(answer["access_token"].as_str().unwrap())
    }

    /// How often this grant was answered with this status.
    pub fn answered(&self, grant: &str, status: u16) -> usize {
        let said = self.node.said();
        said.iter().filter(|one| one["grant"] == grant && one["status"] == status).count()
    }

    /// Every token and code that was ever issued, and the client secrets.
    pub fn secrets(&self) -> Vec<String> {
        let said = self.node.said();
        let issued = said.iter().filter_map(|one| one["secrets"].as_array()).flatten();
        let mut all: Vec<String> =
            issued.filter_map(|one| one.as_str().map(str::to_owned)).collect();
        all.extend(["CANARY-desk", "CANARY-robot"].map(str::to_owned));
        all
    }
}

fn near() -> Client {
    Client::new(TlsOptions::default(), Reach::Private)
}

/// A browser without a window: follows redirects and keeps cookies, until the callback. Answers
/// with the last page.
pub async fn browse(url: &str) -> String {
    match follow(url, None).await {
        Ended::Page(page) => page,
        Ended::Callback(url) => panic!("nobody wanted to stop at {url}"),
    }
}

/// The same, but stops before the redirect that begins like this, and answers with its address.
pub async fn browse_until(url: &str, callback: &str) -> String {
    match follow(url, Some(callback)).await {
        Ended::Callback(url) => url,
        Ended::Page(page) => panic!("it ended with a page: {page}"),
    }
}

enum Ended {
    Page(String),
    Callback(String),
}

async fn follow(url: &str, callback: Option<&str>) -> Ended {
    let client = near();
    let mut jar = BTreeMap::new();
    let mut url = url.to_owned();
    for _ in 0..12 {
        let cookies: Vec<String> =
            jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::get(&url);
        if !cookies.is_empty() {
            request = request.header("cookie", &cookies.join("; "));
        }
        let answer = client.ask(request).await.unwrap();
        for cookie in answer.headers.get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            jar.insert(name.to_owned(), value.to_owned());
        }
        let Some(next) = answer.header("location") else {
            return Ended::Page(String::from_utf8_lossy(&answer.body).into_owned());
        };
        let base: String = url.split('/').take(3).collect::<Vec<_>>().join("/");
        url = if next.starts_with('/') { format!("{base}{next}") } else { next.to_owned() };
        if callback.is_some_and(|callback| url.starts_with(callback)) {
            return Ended::Callback(url);
        }
    }
    panic!("too many redirects");
}

/// A Dovecot that asks an issuer about each token (RFC 7662).
pub struct Introspecting {
    /// The server.
    pub dovecot: Dovecot,
    _settings: tempfile::TempDir,
}

impl Introspecting {
    /// Starts one with these mechanisms, and with settings behind its own.
    pub fn start(issuer: &Issuer, mechanisms: &str, more: &str) -> Option<Introspecting> {
        use std::os::unix::fs::PermissionsExt;
        let settings = tempfile::tempdir().unwrap();
        std::fs::set_permissions(settings.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let file = settings.path().join("oauth2.conf");
        let text = format!(
            "introspection_mode = post\nintrospection_url = {}\n\
             username_attribute = username\nusername_format = %u\nactive_attribute = active\n\
             active_value = true\nscope = mail\ntimeout_msecs = 10000\n",
            issuer.introspection()
        );
        std::fs::write(&file, text).unwrap();
        let dovecot = Dovecot::start_with(&format!(
            "auth_mechanisms = plain {mechanisms}\n\
             passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {}\n}}\n\
             {more}",
            file.display()
        ))?;
        for user in ["support@mail.test", "alice@mail.test", "bob@mail.test", "shared@mail.test"] {
            dovecot.add_user(user, "unused");
        }
        Some(Introspecting { dovecot, _settings: settings })
    }
}

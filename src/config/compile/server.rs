//! What accounts and SMTP servers have in common: endpoint, TLS, login.

use std::path::PathBuf;
use std::time::Duration;

use super::oauth2::provider_of;
use super::{Context, value};
use crate::config::problem::Scope;
use crate::config::rule;
use crate::config::spec::oauth2::{Provider, Service};
use crate::config::spec::smtp::Tls;
use crate::config::spec::text::{DurationText, NameText, SecretReference, TextOrReference};
use crate::core::config::{Endpoint, Login, Security, Text, TlsOptions};
use crate::core::fingerprint::Fingerprint;

/// Time for a step if nothing is written.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// Shortest time for a step.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// Parts of an endpoint as written.
pub struct Written<'a> {
    /// Host.
    pub host: Option<&'a TextOrReference>,
    /// Host that serves those who name none.
    pub host_default: Option<&'a str>,
    /// Port, and the one to take if none is written.
    pub port: (Option<u16>, u16),
    /// Certificates and names.
    pub tls: Option<&'a Tls>,
    /// Until the connection stands.
    pub connect_timeout: Option<&'a DurationText>,
    /// For each step after that.
    pub timeout: Option<&'a DurationText>,
}

/// An endpoint; a missing host is reported.
pub fn endpoint(written: Written<'_>, security: Security, scope: &Scope<'_>) -> Option<Endpoint> {
    let tls_scope = scope.at("tls");
    let tls = written.tls.map(|tls| tls_options(tls, security, &tls_scope)).unwrap_or_default();
    let seconds = |text: Option<&DurationText>, key: &str| {
        let read = |text| value::duration(text, TIMEOUT_MIN, &scope.at(key));
        text.and_then(read).unwrap_or(TIMEOUT_DEFAULT)
    };
    let connect_timeout = seconds(written.connect_timeout, "connectTimeout");
    let timeout = seconds(written.timeout, "timeout");
    let host = host(written.host, written.host_default, scope)?;
    let port = written.port.0.unwrap_or(written.port.1);
    Some(Endpoint { host, port, security, tls, connect_timeout, timeout })
}

/// A host: as written, else the provider's. A host with blanks, slashes or a port is reported.
pub fn host(
    written: Option<&TextOrReference>,
    default: Option<&str>,
    scope: &Scope<'_>,
) -> Option<Text> {
    let Some(written) = written else {
        let default = default.map(|host| Text::Plain(host.to_owned()));
        if default.is_none() {
            scope.error_at_key("key \"host\" is missing", "add `host:`");
        }
        return default;
    };
    let host = value::text(written, &scope.at("host"))?;
    if let Text::Plain(name) = &host {
        let colons = name.matches(':').count();
        if name.contains(['/', ' ', '@']) || colons == 1 {
            let hint = "the port is written as `port:`, the encryption follows from `type:`";
            scope.at("host").error("must be a host name or address alone", hint);
            return None;
        }
    }
    Some(host)
}

/// What to write at `tls.pin`.
const PIN: &str =
    "`postroom probe` prints it, and `openssl x509 -fingerprint -sha256 -noout -in FILE`";

/// Certificates and names.
pub fn tls_options(tls: &Tls, security: Security, scope: &Scope<'_>) -> TlsOptions {
    if security == Security::Plain {
        scope.lint_at_key(
            rule::IDLE_TLS,
            "has no effect: this type does not encrypt",
            "choose a type with TLS",
        );
    }
    if tls.insecure {
        scope.at("insecure").lint(
            rule::INSECURE_TLS,
            "certificates are not verified: anybody in between can read and change the mail",
            "trust the server's own root with `ca:` instead",
        );
    }
    if tls.client_cert.is_some() != tls.client_key.is_some() {
        scope.error_at_key("clientCert and clientKey are written together or not at all", "");
    }
    let fingerprint = |(index, text): (usize, &String)| {
        let read: Result<Fingerprint, _> = text.parse();
        read.map_err(|error| scope.at("pin").at(&index.to_string()).error(error.to_string(), PIN))
            .ok()
    };
    let client = tls.client_cert.as_ref().zip(tls.client_key.as_ref());
    TlsOptions {
        ca: tls.ca.as_ref().map(PathBuf::from),
        client: client.map(|(cert, key)| (PathBuf::from(cert), PathBuf::from(key))),
        server_name: tls.server_name.clone(),
        pin: tls.pin.iter().enumerate().filter_map(fingerprint).collect(),
        insecure: tls.insecure,
    }
}

/// A login with name and password; a missing part is reported.
pub fn password_login(
    username: Option<&TextOrReference>,
    password: Option<&SecretReference>,
    scope: &Scope<'_>,
) -> Option<Login> {
    if username.is_none() {
        scope.error_at_key("key \"username\" is missing", "add `username:`");
    }
    if password.is_none() {
        let hint = "add `password: {secret: NAME}`, `{env: NAME}` or `{file: PATH}`";
        scope.error_at_key("key \"password\" is missing", hint);
    }
    let username = value::text(username?, &scope.at("username"))?;
    let password = value::secret(password?, &scope.at("password"))?;
    Some(Login::Password { username, password })
}

/// A login with a token; a missing part or profile is reported.
pub fn oauth2_login(
    context: &Context<'_>,
    username: Option<&TextOrReference>,
    profile: Option<&NameText>,
    mailbox: Option<&TextOrReference>,
    scope: &Scope<'_>,
) -> Option<Login> {
    if username.is_none() {
        scope.error_at_key("key \"username\" is missing", "add `username:`");
    }
    if profile.is_none() {
        let hint = "name one of oauth2.profiles";
        scope.error_at_key("key \"oauth2Profile\" is missing", hint);
    }
    let profile = &profile?.0;
    let at = scope.at("oauth2Profile");
    let profiles = &context.united.profiles;
    let known = context.must_exist("profile", "oauth2.profiles", profiles, profile, &at);
    let username = value::text(username?, &scope.at("username"))?;
    let mailbox = mailbox.and_then(|mailbox| value::text(mailbox, &scope.at("mailbox")));
    known.then(|| Login::OAuth2 { username, profile: profile.clone(), mailbox })
}

/// What the provider of a profile offers for a protocol.
pub fn service(
    context: &Context<'_>,
    profile: Option<&NameText>,
    of: impl Fn(Provider) -> Option<Service>,
) -> Service {
    let profile = profile.and_then(|profile| context.united.profiles.get(profile.0.as_str()));
    let provider = profile.and_then(|profile| provider_of(context, &profile.provider));
    provider.and_then(of).unwrap_or_default()
}

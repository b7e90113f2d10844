//! `smtp`: servers that take our mail.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text::{DurationText, NameText, SecretReference, TextOrReference};
use super::words::Switch;

/// A server that takes our mail.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SmtpServer {
    /// How mail leaves us. The port follows from it unless `port` is given.
    #[serde(rename = "type")]
    pub kind: SmtpKind,
    /// Host name or address, plain or a reference. For `smtp`, `smtps`, `smtptls` and `graph`; with
    /// an `auth.oauth2Profile` it may be left to the provider.
    pub host: Option<TextOrReference>,
    /// TCP port. Default 25, 465, 587 or 443, by `type`.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// How we log in. Without it, not at all. `graph` needs an `oauth2Profile` here.
    pub auth: Option<SmtpAuth>,
    /// With an `oauth2Profile`: whose mailbox sends, if it is not that of `auth.username`, who signs
    /// in. A shared mailbox is named here. Plain or a reference.
    pub mailbox: Option<TextOrReference>,
    /// For `smtp`, `smtps` and `smtptls`: the name by which we greet the server (EHLO). Default: the
    /// host of `--external-url`, else the domain of a sender that goes through this server, else
    /// our IP address. smtp-relay.gmail.com wants a name of yours.
    pub helo_name: Option<NameText>,
    /// Certificates and names.
    pub tls: Option<Tls>,
    /// Time until the TCP connection stands. Default `60s`.
    pub connect_timeout: Option<DurationText>,
    /// Time for each step after that. Default `60s`.
    pub timeout: Option<DurationText>,
    /// Connections kept open at a time. Default 4.
    #[schemars(range(min = 1, max = 100))]
    pub connections: Option<u32>,
    /// For `file`: the directory that takes an `.eml` and an envelope `.json` for each mail,
    /// relative to this file.
    pub directory: Option<String>,
    /// For `sendmail`: the program, as an absolute path. Default `/usr/sbin/sendmail`.
    pub command: Option<String>,
    /// Switch. Default `enabled`.
    pub state: Option<Switch>,
    /// For the reader of this file.
    pub comment: Option<String>,
}

/// How mail leaves us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SmtpKind {
    /// SMTP without encryption, port 25.
    Smtp,
    /// SMTP over TLS, port 465.
    Smtps,
    /// SMTP with STARTTLS, port 587. Missing or refused STARTTLS ends the connection.
    Smtptls,
    /// Microsoft Graph, port 443.
    Graph,
    /// Files in a directory.
    File,
    /// The local `sendmail` command.
    Sendmail,
}

/// How we log in at an SMTP server: a password or an OAuth2 profile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SmtpAuth {
    /// Account name, plain or a reference.
    pub username: TextOrReference,
    /// Where the password is found.
    pub password: Option<SecretReference>,
    /// Name of a profile of `oauth2.profiles`, instead of a password.
    #[serde(rename = "oauth2Profile")]
    pub oauth2_profile: Option<NameText>,
}

/// Settings of TLS beyond "verify with the system's roots".
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// Roots to trust instead of the system's: path of a PEM file, relative to this file. A
    /// certificate in it is also accepted as the server's own, as with a self-signed one.
    pub ca: Option<String>,
    /// SHA-256 fingerprints of the server's certificate, as `openssl x509 -fingerprint -sha256` and
    /// `postroom probe` print them. Its name and dates are still checked. Without `ca` no other
    /// certificate is accepted; for a change of certificates, write both.
    #[serde(default)]
    pub pin: Vec<String>,
    /// Our certificate chain: path of a PEM file, relative to this file. Needs `clientKey`.
    pub client_cert: Option<String>,
    /// Key of our certificate: path of a PEM file, relative to this file. Needs `clientCert`.
    pub client_key: Option<String>,
    /// Name expected in the certificate, if it is not the host.
    pub server_name: Option<String>,
    /// `true` accepts any certificate. Anybody in between can then read and change the mail.
    #[serde(default)]
    pub insecure: bool,
}

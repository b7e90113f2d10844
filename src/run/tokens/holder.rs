//! Who needs tokens: a mail account or an SMTP server with an OAuth2 profile.

use super::failure::{TokenError, Why};
use crate::core::config::{
    Account, Config, Grant, Login, Moved, MovedKind, OAuth2, SmtpRoute, SmtpServer, Source, Switch,
    Text,
};
use crate::oauth::Purpose;
use crate::run::board::Kind;

/// Who needs a token, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What it is.
    pub kind: Kind,
    /// Its name in the configuration.
    pub name: String,
    /// Profile of `oauth2.profiles`.
    pub profile: String,
    /// Who signs in.
    pub username: Text,
    /// Protocol, as the provider's services are named: `imap`, `pop3`, `smtp`, `graph`.
    pub service: &'static str,
    /// Whether the mailbox is another one than the user's own.
    pub shared: bool,
}

impl Holder {
    /// The account, if it logs in with a token.
    pub fn of_account(account: &Account) -> Option<Holder> {
        let (login, service) = match &account.connection {
            Source::Imap { login, .. } => (login, "imap"),
            Source::Pop3 { login, .. } => (login, "pop3"),
            Source::Graph { login, .. } => (login, "graph"),
            Source::Maildir { .. } => return None,
        };
        Holder::of(Kind::MailAccount, &account.name, login, service)
    }

    /// The server, if it wants a login with a token.
    pub fn of_server(server: &SmtpServer) -> Option<Holder> {
        match &server.route {
            SmtpRoute::Smtp { login, .. } => Holder::of(Kind::Smtp, &server.name, login, "smtp"),
            SmtpRoute::Graph { login, .. } => Holder::of(Kind::Smtp, &server.name, login, "graph"),
            SmtpRoute::File { .. } | SmtpRoute::Sendmail { .. } => None,
        }
    }

    fn of(kind: Kind, name: &str, login: &Login, service: &'static str) -> Option<Holder> {
        match login {
            Login::None | Login::Password { .. } => None,
            Login::OAuth2 { username, profile, .. } => Some(Holder {
                kind,
                name: name.to_owned(),
                profile: profile.clone(),
                username: username.clone(),
                service,
                shared: login.is_for_another(),
            }),
        }
    }

    /// What its tokens are for.
    pub fn purpose(&self) -> Purpose {
        let sends = self.kind == Kind::Smtp;
        Purpose { service: self.service, sends, shared: self.shared }
    }

    /// How its profile gets tokens; `None` if the profile is not declared.
    pub fn way(&self, oauth2: &OAuth2) -> Option<Grant> {
        oauth2.profiles.get(&self.profile).map(|profile| profile.grant)
    }

    /// Under which name its tokens are kept. Tokens of client credentials belong to nobody, so all
    /// who ask for the same share them.
    pub fn key(&self, oauth2: &OAuth2) -> String {
        match self.way(oauth2) {
            Some(Grant::ClientCredentials) => format!("app/{}/{}", self.profile, self.service),
            Some(Grant::AuthorizationCode | Grant::DeviceCode) | None => {
                format!("oauth2/{}/{}", self.kind.word(), self.name)
            }
        }
    }

    /// The same under old names, if it was renamed (`moved`).
    pub fn formers(&self, config: &Config) -> Vec<Holder> {
        let is_it = |moved: &&Moved| match self.kind {
            Kind::MailAccount => moved.kind == MovedKind::MailAccount && moved.to == self.name,
            Kind::Smtp => false,
        };
        let former = |moved: &Moved| Holder { name: moved.from.clone(), ..self.clone() };
        config.moved.iter().filter(is_it).map(former).collect()
    }

    /// What a person types to sign in.
    pub fn command(&self) -> String {
        let option = match self.kind {
            Kind::MailAccount => "account",
            Kind::Smtp => "smtp",
        };
        format!("postroom oauth login {} --{option} {}", self.profile, self.name)
    }

    pub(super) fn undeclared(&self) -> TokenError {
        let message = format!("profile {:?} is not declared any more", self.profile);
        TokenError::new(Why::Declared, message, "declare it under oauth2.profiles")
    }
}

/// All that are in this state.
pub fn all(config: &Config, state: Switch) -> Vec<Holder> {
    let accounts = config.accounts.values().filter(|account| account.state == state);
    let servers = config.smtp.values().filter(|server| server.state == state);
    let accounts = accounts.filter_map(|account| Holder::of_account(account));
    accounts.chain(servers.filter_map(Holder::of_server)).collect()
}

//! Servers and logins of accounts and SMTP servers, for the rules that look at them.

use super::{Found, Subject};
use crate::core::config::{
    Account, Config, Endpoint, Login, SecretRef, Security, SmtpRoute, Source, Switch, Text,
};

/// Where an account fetches, if it fetches from a server.
pub fn server(account: &Account) -> Option<(&Endpoint, &Login)> {
    match &account.connection {
        Source::Imap { endpoint, login, .. } | Source::Pop3 { endpoint, login } => {
            Some((endpoint, login))
        }
        Source::Graph { .. } | Source::Maildir { .. } => None,
    }
}

/// Accounts whose password would be read by whoever listens. SMTP servers are looked at while
/// compiling.
pub fn cleartext(subject: &Subject<'_>, found: &mut Vec<Found>) {
    for (name, account) in subject.config.accounts.iter() {
        let Some((endpoint, Login::Password { .. })) = server(account) else { continue };
        if endpoint.security == Security::Plain
            && !is_here(&endpoint.host)
            && account.state != Switch::Disabled
        {
            found.push(Found::at_key(
                &["mailAccounts", name],
                "sends the password without encryption",
                "use the type of the same protocol that ends in s or tls",
            ));
        }
    }
}

fn is_here(host: &Text) -> bool {
    match host {
        Text::Plain(host) => {
            host == "localhost"
                || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Text::Reference(_) => false,
    }
}

/// Every secret that objects in use refer to, each with its path.
pub fn secrets(config: &Config) -> Vec<(Vec<String>, &SecretRef)> {
    let mut all = Vec::new();
    let mut add = |path: &[&str], secret| {
        all.push((path.iter().map(|step| (*step).to_owned()).collect(), secret));
    };
    for (name, account) in config.accounts.iter().filter(|(_, it)| it.state == Switch::Enabled) {
        if let Some((_, Login::Password { password, .. })) = server(account) {
            add(&["mailAccounts", name, "password"], password);
        }
    }
    for (name, server) in config.smtp.iter().filter(|(_, it)| it.state == Switch::Enabled) {
        if let SmtpRoute::Smtp { login: Login::Password { password, .. }, .. } = &server.route {
            add(&["smtp", name, "auth", "password"], password);
        }
    }
    for (name, hook) in config.webhooks.iter().filter(|(_, it)| it.state == Switch::Enabled) {
        add(&["webhooks", name, "secret"], &hook.secret);
        if let Text::Reference(reference) = &hook.url {
            add(&["webhooks", name, "url"], reference);
        }
    }
    for (name, user) in config.users.iter().filter(|(_, it)| it.state == Switch::Enabled) {
        if let Some(hash) = &user.password_hash {
            add(&["users", name, "passwordHash"], hash);
        }
    }
    if let Some(key) = &config.oauth2.seal_key {
        add(&["oauth2", "sealKey"], key);
    }
    for (name, profile) in &config.oauth2.profiles {
        if let Some(secret) = &profile.client_secret {
            add(&["oauth2", "profiles", name, "clientSecret"], secret);
        }
        if let Text::Reference(reference) = &profile.client_id {
            add(&["oauth2", "profiles", name, "clientId"], reference);
        }
    }
    all
}

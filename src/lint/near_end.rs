//! Certificates, client secrets and tokens that end soon.

use std::path::Path;

use jiff::civil::Date;

use super::{Found, Rule, SignIn, Subject, auth, certificate};
use crate::config::Severity;
use crate::core::config::{Account, Login, SmtpRoute, SmtpServer, Source, Switch, TlsOptions};
use crate::core::ending::{self, Stage};
use crate::regular;

/// The rule.
pub const RULE: Rule = Rule {
    id: "near-its-end",
    severity: Severity::Warning,
    title: "a certificate, client secret or token ends within 30 days",
    about: "Looked at are `secretExpires` of OAuth2 profiles, `expires` of API tokens, and the \
            client certificates (`tls.clientCert`) that can be read here. Renew them, and write the \
            new day. Sign-ins of people are known to the running daemon only: with \
            `check --with-sign-ins` it is asked for theirs. It tells the same in its log, in \
            `postroom status` and in metrics.",
    failing: "smtp:\n\
              \x20 relay: {type: smtps, host: mail.example.com, tls: {clientCert: ends-soon.pem, clientKey: ends-soon.key}}\n\
              senders: {default: {from: desk@example.com, via: [relay]}}\n\
              apiTokens:\n\
              \x20 ci: {sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, role: viewer, expires: 2026-12-01}\n",
    passing: "smtp:\n\
              \x20 relay: {type: smtps, host: mail.example.com, tls: {clientCert: ends-late.pem, clientKey: ends-late.key}}\n\
              senders: {default: {from: desk@example.com, via: [relay]}}\n\
              apiTokens:\n\
              \x20 ci: {sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, role: viewer, expires: 2099-12-01}\n",
    find: Some(find),
};

fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    let sign_ins = subject.around.sign_ins.iter();
    found.extend(sign_ins.filter_map(|sign_in| of_sign_in(subject, sign_in)));
    let config = subject.config;
    let today = subject.around.today;
    let mut tell = |path: &[&str], what: &str, end: Date| {
        let Some(days) = days_left(today, end) else { return };
        let hint = match ending::stage(days) {
            Some(Stage::Urgent | Stage::Over) => "renew it now, and write the new day",
            Some(Stage::Soon) | None => "renew it, and write the new day",
        };
        found.push(Found::at(path, format!("{what} {} ({end})", ending::words(days)), hint));
    };
    for (name, profile) in &config.oauth2.profiles {
        if let Some(end) = profile.secret_expires {
            let path = ["oauth2", "profiles", name, "secretExpires"];
            tell(&path, "the client secret", end);
        }
    }
    for (name, token) in config.api_tokens.iter().filter(|(_, it)| it.state == Switch::Enabled) {
        if let Some(end) = token.expires {
            tell(&["apiTokens", name, "expires"], "the token", end);
        }
    }
    if !subject.around.certificates {
        return;
    }
    for (name, account) in config.accounts.iter().filter(|(_, it)| it.state == Switch::Enabled) {
        let options = auth::server(account).map(|(endpoint, _)| &endpoint.tls);
        if let Some(end) = options.and_then(end_of_certificate) {
            tell(&["mailAccounts", name, "tls", "clientCert"], "the certificate", end);
        }
    }
    for (name, server) in config.smtp.iter().filter(|(_, it)| it.state == Switch::Enabled) {
        let SmtpRoute::Smtp { endpoint, .. } = &server.route else { continue };
        if let Some(end) = end_of_certificate(&endpoint.tls) {
            tell(&["smtp", name, "tls", "clientCert"], "the certificate", end);
        }
    }
}

/// A sign-in that ends soon, of one that the files declare as well.
fn of_sign_in(subject: &Subject<'_>, sign_in: &SignIn) -> Option<Found> {
    let (config, name) = (subject.config, sign_in.name.as_str());
    let (path, option, login) = if sign_in.server {
        let login = of_server(config.smtp.get(name)?)?;
        (vec!["smtp", name, "auth", "oauth2Profile"], "smtp", login)
    } else {
        let login = of_account(config.accounts.get(name)?)?;
        (vec!["mailAccounts", name, "oauth2Profile"], "account", login)
    };
    let Login::OAuth2 { profile, .. } = login else { return None };
    // What was given to one profile is of no use to another.
    if *profile != sign_in.profile {
        return None;
    }
    let urgency = match ending::stage(sign_in.days)? {
        Stage::Urgent | Stage::Over => "sign in now",
        Stage::Soon => "sign in",
    };
    let hint = format!("{urgency}: `postroom oauth login {profile} --{option} {name}`");
    Some(Found::at(
        &path,
        format!("the sign-in {} ({})", ending::words(sign_in.days), sign_in.ends),
        hint,
    ))
}

fn of_account(account: &Account) -> Option<&Login> {
    match &account.connection {
        Source::Imap { login, .. } | Source::Pop3 { login, .. } | Source::Graph { login, .. } => {
            Some(login)
        }
        Source::Maildir { .. } => None,
    }
}

fn of_server(server: &SmtpServer) -> Option<&Login> {
    match &server.route {
        SmtpRoute::Smtp { login, .. } | SmtpRoute::Graph { login, .. } => Some(login),
        SmtpRoute::File { .. } | SmtpRoute::Sendmail { .. } => None,
    }
}

fn days_left(today: Date, end: Date) -> Option<i64> {
    let days = i64::from((end - today).get_days());
    ending::stage(days).map(|_| days)
}

/// The last day of a client certificate that can be read here.
fn end_of_certificate(tls: &TlsOptions) -> Option<Date> {
    let (file, _) = tls.client.as_ref()?;
    read_end(file)
}

fn read_end(file: &Path) -> Option<Date> {
    let bytes = regular::read(file, certificate::FILE_BYTES_MAX).ok()?;
    certificate::last_day(str::from_utf8(&bytes).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(end: &str, expected: Option<i64>) {
        let today = jiff::civil::date(2026, 11, 25);
        assert_eq!(days_left(today, end.parse().unwrap()), expected);
    }

    #[test]
    fn how_soon() {
        check("2025-01-01", Some(-693));
        check("2026-11-24", Some(-1));
        check("2026-11-25", Some(0));
        check("2026-12-25", Some(30));
        check("2026-12-26", None);
        check("2027-01-01", None);
        check("2999-01-01", None);
    }
}

//! `smtp`.

use std::path::PathBuf;

use super::account::{GRAPH_HOST, GRAPH_PORT};
use super::server::{self, Written};
use super::{Context, value};
use crate::config::problem::Scope;
use crate::config::rule;
use crate::config::spec;
use crate::config::spec::smtp::{SmtpAuth, SmtpKind};
use crate::config::spec::text::TextOrReference;
use crate::core::config::{Login, Security, SmtpRoute, SmtpServer, Text};

/// Connections kept open if nothing is written.
const CONNECTIONS_DEFAULT: usize = 4;
/// Hosts that allow fewer, and how many. Microsoft 365 answers more than three to one mailbox with
/// `432 4.3.2 Concurrent connections limit exceeded`
/// (learn.microsoft.com/exchange/troubleshoot/email-delivery/smtp-submission-improvements).
const CONNECTIONS_OF_HOSTS: [(&str, usize); 1] = [("smtp.office365.com", 3)];
/// Program of type `sendmail` if none is written.
const SENDMAIL: &str = "/usr/sbin/sendmail";

/// A server that takes our mail.
pub fn server(
    context: &Context<'_>,
    name: &str,
    spec: &spec::SmtpServer,
    scope: &Scope<'_>,
) -> Option<SmtpServer> {
    foreign_keys(spec, scope);
    let route = match spec.kind {
        SmtpKind::Smtp => smtp(context, spec, Security::Plain, 25, scope),
        SmtpKind::Smtps => smtp(context, spec, Security::Tls, 465, scope),
        SmtpKind::Smtptls => smtp(context, spec, Security::StartTls, 587, scope),
        SmtpKind::Graph => graph(context, spec, scope),
        SmtpKind::File => file(spec, scope),
        SmtpKind::Sendmail => {
            let command = PathBuf::from(spec.command.as_deref().unwrap_or(SENDMAIL));
            Some(SmtpRoute::Sendmail { command })
        }
    }?;
    let connections = match spec.connections {
        Some(number) => number as usize,
        None => connections_of(&route),
    };
    Some(SmtpServer {
        name: name.to_owned(),
        route,
        connections,
        helo_name: spec.helo_name.as_ref().map(|name| name.0.clone()),
        state: value::switch(spec.state),
    })
}

/// Connections kept open to a server for which none are written.
fn connections_of(route: &SmtpRoute) -> usize {
    let SmtpRoute::Smtp { endpoint, .. } = route else { return CONNECTIONS_DEFAULT };
    let Text::Plain(host) = &endpoint.host else { return CONNECTIONS_DEFAULT };
    let known = CONNECTIONS_OF_HOSTS.iter().find(|(known, _)| host.eq_ignore_ascii_case(known));
    known.map_or(CONNECTIONS_DEFAULT, |(_, connections)| *connections)
}

fn smtp(
    context: &Context<'_>,
    spec: &spec::SmtpServer,
    security: Security,
    port: u16,
    scope: &Scope<'_>,
) -> Option<SmtpRoute> {
    let profile = spec.auth.as_ref().and_then(|auth| auth.oauth2_profile.as_ref());
    let service = server::service(context, profile, |provider| provider.smtp);
    let written = Written {
        host: spec.host.as_ref(),
        host_default: service.host.as_deref(),
        port: (spec.port.or(service.port), port),
        tls: spec.tls.as_ref(),
        connect_timeout: spec.connect_timeout.as_ref(),
        timeout: spec.timeout.as_ref(),
    };
    let endpoint = server::endpoint(written, security, scope);
    let login = match &spec.auth {
        Some(auth) => login(context, auth, spec.mailbox.as_ref(), security, &scope.at("auth")),
        None => Some(Login::None),
    };
    Some(SmtpRoute::Smtp { endpoint: endpoint?, login: login? })
}

fn graph(context: &Context<'_>, spec: &spec::SmtpServer, scope: &Scope<'_>) -> Option<SmtpRoute> {
    let auth = spec.auth.as_ref();
    let profile = auth.and_then(|auth| auth.oauth2_profile.as_ref());
    if profile.is_none() {
        let hint = "write `auth: {username: ADDRESS, oauth2Profile: NAME}`";
        scope.error_at_key("Microsoft Graph needs an OAuth2 profile", hint);
    }
    let service = server::service(context, profile, |provider| provider.graph);
    let written = Written {
        host: spec.host.as_ref(),
        host_default: service.host.as_deref().or(Some(GRAPH_HOST)),
        port: (spec.port.or(service.port), GRAPH_PORT),
        tls: spec.tls.as_ref(),
        connect_timeout: spec.connect_timeout.as_ref(),
        timeout: spec.timeout.as_ref(),
    };
    let endpoint = server::endpoint(written, Security::Tls, scope);
    let mailbox = spec.mailbox.as_ref();
    profile?;
    let login = login(context, auth?, mailbox, Security::Tls, &scope.at("auth"));
    Some(SmtpRoute::Graph { endpoint: endpoint?, login: login? })
}

fn login(
    context: &Context<'_>,
    auth: &SmtpAuth,
    mailbox: Option<&TextOrReference>,
    security: Security,
    scope: &Scope<'_>,
) -> Option<Login> {
    if security == Security::Plain {
        scope.lint_at_key(
            rule::CLEARTEXT_LOGIN,
            "sends the credential without encryption",
            "use smtps or smtptls",
        );
    }
    if auth.oauth2_profile.is_none() {
        return server::password_login(Some(&auth.username), auth.password.as_ref(), scope);
    }
    if auth.password.is_some() {
        scope.at("password").error_at_key("stands beside oauth2Profile", "remove one of the two");
    }
    let profile = auth.oauth2_profile.as_ref();
    server::oauth2_login(context, Some(&auth.username), profile, mailbox, scope)
}

fn file(spec: &spec::SmtpServer, scope: &Scope<'_>) -> Option<SmtpRoute> {
    let Some(directory) = spec.directory.as_ref().filter(|path| !path.is_empty()) else {
        scope.error_at_key(
            "key \"directory\" is missing",
            "name the directory that takes the mails",
        );
        return None;
    };
    Some(SmtpRoute::File { directory: PathBuf::from(directory) })
}

/// Keys that mean nothing for this type would be read as if they did.
fn foreign_keys(spec: &spec::SmtpServer, scope: &Scope<'_>) {
    use SmtpKind::{Graph, Smtp, Smtps, Smtptls};
    let network = matches!(spec.kind, Smtp | Smtps | Smtptls | Graph);
    let token = spec.auth.as_ref().is_some_and(|auth| auth.oauth2_profile.is_some());
    let keys = [
        ("host", spec.host.is_some(), network),
        ("port", spec.port.is_some(), network),
        ("auth", spec.auth.is_some(), network),
        ("mailbox", spec.mailbox.is_some(), network && token),
        ("heloName", spec.helo_name.is_some(), network && spec.kind != Graph),
        ("tls", spec.tls.is_some(), network),
        ("directory", spec.directory.is_some(), spec.kind == SmtpKind::File),
        ("command", spec.command.is_some(), spec.kind == SmtpKind::Sendmail),
    ];
    for (key, written, allowed) in keys {
        if written && !allowed {
            scope.at(key).error_at_key("does not belong to this type", "remove it");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::config::{Endpoint, TlsOptions};

    #[track_caller]
    fn check(host: &str, expected: usize) {
        let endpoint = Endpoint {
            host: Text::Plain(host.into()),
            port: 587,
            security: Security::StartTls,
            tls: TlsOptions::default(),
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        };
        let route = SmtpRoute::Smtp { endpoint, login: Login::None };
        assert_eq!(connections_of(&route), expected);
    }

    #[test]
    fn some_hosts_allow_fewer_connections() {
        check("SMTP.office365.com", 3);
        check("mail.example.com", CONNECTIONS_DEFAULT);
    }
}

//! The running configuration as JSON, with secrets as references.
//!
//! Architecture invariant: every field is named here one by one. What is added to the
//! configuration does not show until somebody decides that it may.

use serde_json::{Map, Value, json};

use super::routes::role_name;
use crate::core::config::{
    Account, AfterFetch, Answer, Cc, Config, Customers, Dedupe, Dispatch, Endpoint, Login, Poll,
    Queue, SecretRef, Security, SmtpRoute, SmtpServer, Source, Switch, Text, WebhookTexts,
};

/// The whole configuration.
pub fn config(config: &Config) -> Value {
    json!({
        "desk": {
            "name": config.desk.name,
            "hook": config.desk.hook,
            "systemId": config.desk.system_id,
        },
        "intake": {
            "customers": match config.intake.customers {
                Customers::Open => "open",
                Customers::Declared => "declared",
            },
            "dedupe": match config.intake.dedupe {
                Dedupe::Account => "account",
                Dedupe::Global => "global",
            },
            "cc": match config.intake.cc {
                Cc::Participants => "participants",
                Cc::Ignore => "ignore",
            },
            "answer": match config.intake.answer {
                Answer::Everybody => "everybody",
                Answer::Authenticated => "authenticated",
            },
            "authservId": config.intake.authserv_id,
            "proofValidFor": config.intake.proof_valid_for.as_secs(),
            "internalMarker": config.intake.internal_marker,
        },
        "limits": {
            "autoRepliesPerDay": config.limits.auto_replies_per_day,
            "autoRepliesPerThreeHours": config.limits.auto_replies_per_three_hours,
            "autoRepliesPerTicket": config.limits.auto_replies_per_ticket,
            "autoRepliesPerSubject": config.limits.auto_replies_per_subject,
            "autoRepliesPerHour": config.limits.auto_replies_per_hour,
            "notificationsPerHour": config.limits.notifications_per_hour,
            "connectionsPerHost": config.limits.connections_per_host,
        },
        "mailAccounts": map(config.accounts.iter(), |it| account(it)),
        "smtp": map(config.smtp.iter(), smtp),
        "senders": map(config.senders.iter(), |sender| json!({
            "from": sender.from.as_str(),
            "fromName": sender.from_name,
            "envelopeFrom": sender.envelope_from.as_ref().map(|it| it.as_str()),
            "via": sender.via,
            "state": switch(sender.state),
        })),
        "oauth2": {
            "sealKey": config.oauth2.seal_key.as_ref().map(secret),
            "providers": map(config.oauth2.providers.iter(), |provider| json!({
                "authUrl": provider.auth_url,
                "tokenUrl": provider.token_url,
                "deviceUrl": provider.device_url,
                "refreshTokenLife": provider.refresh_token_life.map(|life| life.as_secs()),
                "allowPrivate": provider.allow_private,
            })),
            "profiles": map(config.oauth2.profiles.iter(), |profile| json!({
                "provider": profile.provider,
                "tenant": profile.tenant,
                "clientId": text(&profile.client_id),
                "clientSecret": profile.client_secret.as_ref().map(secret),
                "secretExpires": profile.secret_expires.map(|date| date.to_string()),
            })),
        },
        "queues": map(config.queues.iter(), queue),
        "systemAddresses": map(config.system_addresses.iter(), |address| json!({
            "name": address.name,
            "queue": address.queue,
            "state": switch(address.state),
        })),
        "filters": config.filters.iter().map(|filter| json!({
            "name": filter.name,
            "order": filter.order,
            "conditions": filter.conditions.len(),
            "stop": filter.stop,
            "state": switch(filter.state),
        })).collect::<Vec<_>>(),
        "autoReplies": map(config.auto_replies.iter(), |reply| json!({
            "from": reply.from.as_str(),
            "state": switch(reply.state),
        })),
        "customers": config.customers.len(),
        "signIn": json!({ "oidc": config.sign_in.oidc.as_ref().map(|oidc| json!({
            "issuer": oidc.issuer,
            "name": oidc.name,
            "scopes": oidc.scopes,
            "userClaim": oidc.user_claim,
            "allowPrivate": oidc.allow_private,
        })) }),
        "users": map(config.users.iter(), |user| json!({
            "email": user.email.as_str(),
            "name": user.full_name,
            "role": role_name(user.role),
            "queues": user.subscriptions.queues,
            "events": user.subscriptions.events.keys().map(|event| event.label()).collect::<Vec<_>>(),
            "mineOnly": user.subscriptions.mine_only,
            "digest": user.subscriptions.digest.map(|time| time.to_string()),
            "quietHours": user.subscriptions.quiet_hours.map(|hours| json!({
                "from": hours.from.to_string(),
                "to": hours.to.to_string(),
            })),
            "urgent": user.subscriptions.urgent.map(|priority| priority.label()),
            "timeZone": user.time_zone.iana_name(),
            "state": switch(user.state),
        })),
        // Not even the hash: it could be tried against words.
        "webhooks": map(config.webhooks.iter(), |webhook| json!({
            "url": text(&webhook.url),
            "events": webhook.events.iter().map(|event| event.label()).collect::<Vec<_>>(),
            "queues": webhook.queues,
            "secret": secret(&webhook.secret),
            "texts": match webhook.texts {
                WebhookTexts::None => "none",
                WebhookTexts::Public => "public",
                WebhookTexts::All => "all",
            },
            "allowPrivate": webhook.allow_private,
            "insecure": webhook.tls.insecure,
            "state": switch(webhook.state),
        })),
        "apiTokens": map(config.api_tokens.iter(), |token| json!({
            "role": role_name(token.role),
            "expires": token.expires.map(|date| date.to_string()),
            "state": switch(token.state),
        })),
    })
}

fn account(account: &Account) -> Value {
    json!({
        "connection": source(&account.connection),
        "poll": match &account.poll {
            Poll::Every(every) => json!({ "everySeconds": every.as_secs() }),
            Poll::Cron(expression) => json!({ "schedule": expression }),
        },
        "idle": account.idle,
        "maxSizeBytes": account.max_size_bytes,
        "afterFetch": match &account.after_fetch {
            AfterFetch::Delete => json!("delete"),
            AfterFetch::Seen => json!("seen"),
            AfterFetch::Move(folder) => json!({ "move": folder }),
            AfterFetch::Keep => json!("keep"),
        },
        "dispatch": match &account.dispatch {
            Dispatch::Recipient => json!({ "by": "recipient" }),
            Dispatch::Queue(queue) => json!({ "by": "queue", "queue": queue }),
        },
        "trusted": account.trusted,
        "state": switch(account.state),
    })
}

fn source(source: &Source) -> Value {
    match source {
        Source::Imap { endpoint: at, login: by, folder } => {
            json!({ "protocol": "imap", "endpoint": endpoint(at), "login": login(by), "folder": folder })
        }
        Source::Pop3 { endpoint: at, login: by } => {
            json!({ "protocol": "pop3", "endpoint": endpoint(at), "login": login(by) })
        }
        Source::Graph { endpoint: at, login: by, folder } => {
            json!({ "protocol": "graph", "endpoint": endpoint(at), "login": login(by), "folder": folder })
        }
        Source::Maildir { path } => json!({ "protocol": "maildir", "path": path }),
    }
}

fn smtp(server: &SmtpServer) -> Value {
    let route = match &server.route {
        SmtpRoute::Smtp { endpoint: at, login: by }
        | SmtpRoute::Graph { endpoint: at, login: by } => {
            json!({ "endpoint": endpoint(at), "login": login(by) })
        }
        SmtpRoute::File { directory } => json!({ "directory": directory }),
        SmtpRoute::Sendmail { command } => json!({ "command": command }),
    };
    json!({ "route": route, "connections": server.connections, "state": switch(server.state) })
}

fn endpoint(endpoint: &Endpoint) -> Value {
    let security = match endpoint.security {
        Security::Plain => "plain",
        Security::Tls => "tls",
        Security::StartTls => "starttls",
    };
    json!({
        "host": text(&endpoint.host),
        "port": endpoint.port,
        "security": security,
        "insecure": endpoint.tls.insecure,
        "timeoutSeconds": endpoint.timeout.as_secs(),
    })
}

fn login(login: &Login) -> Value {
    match login {
        Login::None => Value::Null,
        Login::Password { username, password } => {
            json!({ "username": text(username), "password": secret(password) })
        }
        Login::OAuth2 { username, profile, mailbox } => json!({
            "username": text(username),
            "oauth2Profile": profile,
            "mailbox": mailbox.as_ref().map(text),
        }),
    }
}

fn queue(queue: &Queue) -> Value {
    json!({
        "sender": queue.sender,
        "autoReplies": {
            "new": queue.auto_replies.new,
            "followUp": queue.auto_replies.follow_up,
            "reject": queue.auto_replies.reject,
            "newTicket": queue.auto_replies.new_ticket,
        },
        "answer": queue.answer.keys().map(|language| language.code()).collect::<Vec<_>>(),
        "lockTimeoutSeconds": queue.lock_timeout.map(|timeout| timeout.as_secs()),
        "state": switch(queue.state),
    })
}

fn text(text: &Text) -> Value {
    match text {
        Text::Plain(plain) => plain.clone().into(),
        Text::Reference(reference) => secret(reference),
    }
}

/// The reference, never the value.
fn secret(reference: &SecretRef) -> Value {
    match reference {
        SecretRef::Env(name) => json!({ "env": name }),
        SecretRef::File(path) => json!({ "file": path }),
        SecretRef::Named(name) => json!({ "secret": name }),
    }
}

fn switch(state: Switch) -> &'static str {
    match state {
        Switch::Enabled => "enabled",
        Switch::Disabled => "disabled",
        Switch::Paused => "paused",
    }
}

fn map<'a, K: ToString + 'a, V: 'a>(
    entries: impl Iterator<Item = (&'a K, &'a V)>,
    shown: impl Fn(&V) -> Value,
) -> Value {
    entries.map(|(key, value)| (key.to_string(), shown(value))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_references() {
        let password = SecretRef::Named("imap".into());
        let username = Text::Plain("desk".into());
        let shown = login(&Login::Password { username, password });
        assert_eq!(shown, json!({ "username": "desk", "password": { "secret": "imap" } }));
    }
}

//! `webhooks`.

use super::{Context, server, value};
use crate::config::problem::Scope;
use crate::config::spec;
use crate::config::spec::webhook::Texts;
use crate::core::config::{
    QUEUE_OF_LAST_RESORT, Security, Text, TlsOptions, Webhook, WebhookTexts,
};
use crate::core::webhook::HookEvent;

/// Beginnings of URLs that lead to this machine.
const LOCAL: [&str; 3] = ["http://localhost", "http://127.0.0.1", "http://[::1]"];

/// A program that is told of events of tickets.
pub fn webhook(
    context: &Context<'_>,
    name: &str,
    spec: &spec::Webhook,
    scope: &Scope<'_>,
) -> Option<Webhook> {
    let url = value::text(&spec.url, &scope.at("url"));
    if let Some(Text::Plain(url)) = &url {
        check_url(url, spec.allow_private.unwrap_or(false), &scope.at("url"));
    }
    let at = scope.at("queues");
    for (index, queue) in spec.queues.iter().flatten().enumerate() {
        if queue != QUEUE_OF_LAST_RESORT {
            let index = index.to_string();
            context.must_exist("queue", "queues", &context.united.queues, queue, &at.at(&index));
        }
    }
    let events = match &spec.events {
        None => HookEvent::ALL.into_iter().collect(),
        Some(events) => events.iter().map(|event| event.0).collect(),
    };
    let tls = spec.tls.as_ref();
    let secret = value::secret(&spec.secret, &scope.at("secret"));
    Some(Webhook {
        name: name.to_owned(),
        url: url?,
        events,
        queues: spec.queues.as_ref().map(|queues| queues.iter().cloned().collect()),
        secret: secret?,
        texts: match spec.texts {
            None | Some(Texts::None) => WebhookTexts::None,
            Some(Texts::Public) => WebhookTexts::Public,
            Some(Texts::All) => WebhookTexts::All,
        },
        allow_private: spec.allow_private.unwrap_or(false),
        tls: tls.map_or_else(TlsOptions::default, |tls| {
            server::tls_options(tls, Security::Tls, &scope.at("tls"))
        }),
        state: value::switch(spec.state),
    })
}

/// What is told travels over this URL: it is encrypted, except to this machine itself.
fn check_url(url: &str, allow_private: bool, scope: &Scope<'_>) {
    let local = LOCAL.into_iter().any(|start| {
        url.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    });
    let odd = url.chars().any(|c| c.is_control() || c.is_whitespace()) || url.contains('@');
    if odd || !(url.starts_with("https://") && url.len() > "https://".len() || local) {
        scope.error("must be an https:// URL", "plain http is allowed to localhost only");
    } else if local && !allow_private {
        scope.error("leads to this machine", "write `allowPrivate: true` if that is meant");
    }
}

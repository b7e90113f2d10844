//! Programs that ask us or are told by us: API tokens and webhooks.

use std::collections::BTreeSet;

use super::people::role;
use super::{End, Kind, Start, Told, names};
use crate::core::config::{ApiToken, Webhook, WebhookTexts};

pub(in super::super) const API_TOKEN: Kind<ApiToken> = Kind {
    name: "apiTokens",
    state: |token| token.state,
    begins: |_, token, _| {
        let until = token.expires.map(|date| format!(" until {date}")).unwrap_or_default();
        format!("accepted as {}{until}", role(token.role))
    },
    ends: |_, _, _| "no longer accepted: whoever uses it is refused".into(),
    differs: |_, old, new| token(old, new),
    follows: "",
};

pub(in super::super) const WEBHOOK: Kind<Webhook> = Kind {
    name: "webhooks",
    state: |webhook| webhook.state,
    begins: |_, _, start| match start {
        Start::New => "is told from the next event on".into(),
        Start::Again => "is told what it is owed, then from the next event on".into(),
    },
    ends: |_, _, end| match end {
        End::Gone => "is told nothing more; what it is owed is given up after 5 days".into(),
        End::Disabled => "hears of nothing that happens; what it is owed already waits".into(),
        End::Paused => "is told nothing meanwhile, and of all of it afterwards".into(),
    },
    differs: |_, old, new| webhook(old, new),
    follows: "",
};

fn token(old: &ApiToken, new: &ApiToken) -> Told {
    let mut told = Told::default();
    told.when(old.sha256 != new.sha256, || {
        "another token is accepted, the one before is refused".into()
    });
    told.when(old.role != new.role, || {
        format!("may do what {} may, was {}", role(new.role), role(old.role))
    });
    told.when(old.expires != new.expires, || match new.expires {
        Some(date) => format!("accepted until {date}"),
        None => "accepted without an end".into(),
    });
    told
}

fn webhook(old: &Webhook, new: &Webhook) -> Told {
    let mut told = Told::default();
    told.when(old.url != new.url, || "told at another place, also what it is owed already".into());
    let labels = |webhook: &Webhook| -> BTreeSet<String> {
        webhook.events.iter().map(|event| event.label().to_owned()).collect()
    };
    told.sentences.extend(hears(&labels(old), &labels(new), "of "));
    told.sentences.extend(match (&old.queues, &new.queues) {
        (before, after) if before == after => Vec::new(),
        (Some(_) | None, None) => vec!["hears of tickets of all queues".into()],
        (None, Some(queues)) => {
            vec![format!("hears only of queues {}", names(queues.iter().map(String::as_str)))]
        }
        (Some(before), Some(after)) => hears(before, after, "of queue "),
    });
    told.when(old.secret != new.secret, || {
        "messages are signed with the secret that is found elsewhere".into()
    });
    told.when(old.texts != new.texts, || match new.texts {
        WebhookTexts::None => "sees no texts of articles".into(),
        WebhookTexts::Public => "sees the texts that customers may see".into(),
        WebhookTexts::All => "sees all texts, also internal notes".into(),
    });
    told.when(old.allow_private != new.allow_private, || match new.allow_private {
        true => "its URL may lead into a private network".into(),
        false => "a URL that leads into a private network is refused".into(),
    });
    told.when(old.tls != new.tls, || match (old.tls.insecure, new.tls.insecure) {
        (false, true) => "CERTIFICATES ARE NOT VERIFIED: anybody in between can read along".into(),
        (true, false) => "certificates are verified again".into(),
        (true, true) | (false, false) => "tls changes from the next message on".into(),
    });
    told
}

fn hears(old: &BTreeSet<String>, new: &BTreeSet<String>, of: &str) -> Vec<String> {
    let mut told = Told::default();
    let list = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        let left: Vec<&str> = one.difference(other).map(String::as_str).collect();
        (!left.is_empty()).then(|| names(left))
    };
    let (more, less) = (list(new, old), list(old, new));
    told.sentences.extend(more.map(|more| format!("hears also {of}{more}")));
    told.sentences.extend(less.map(|less| format!("no longer hears {of}{less}")));
    told.sentences
}

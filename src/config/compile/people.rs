//! `customers`, `users` and `apiTokens`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, value};
use crate::config::problem::Scope;
use crate::config::spec;
use crate::config::spec::user::Events;
use crate::config::spec::words::Channel;
use crate::core::config::{
    ApiToken, Channels, CustomerProfile, Language, Role, Subscriptions, User,
};

/// A customer.
pub fn customer(spec: &spec::Customer) -> CustomerProfile {
    CustomerProfile {
        name: spec.name.clone(),
        company: spec.company.clone(),
        language: spec.language.map(value::language),
    }
}

/// An agent. `language` is the desk's.
pub fn user(
    context: &Context<'_>,
    language: Language,
    name: &str,
    spec: &spec::User,
    scope: &Scope<'_>,
) -> Option<User> {
    let subscriptions = spec
        .subscriptions
        .as_ref()
        .map(|written| subscriptions(context, written, &scope.at("subscriptions")))
        .unwrap_or_default();
    Some(User {
        name: name.to_owned(),
        email: value::address(&spec.email, &scope.at("email"))?,
        full_name: spec.name.clone().unwrap_or_else(|| name.to_owned()),
        language: spec.language.map_or(language, value::language),
        role: spec.role.map_or(Role::User, value::role),
        password_hash: spec
            .password_hash
            .as_ref()
            .and_then(|reference| value::secret(reference, &scope.at("passwordHash"))),
        subscriptions,
        state: value::switch(spec.state),
    })
}

/// A token.
pub fn api_token(name: &str, spec: &spec::ApiToken, scope: &Scope<'_>) -> Option<ApiToken> {
    let expires = spec.expires.as_ref().and_then(|day| value::date(day, &scope.at("expires")));
    Some(ApiToken {
        name: name.to_owned(),
        sha256: digest(&spec.sha256.0)?,
        role: value::role(spec.role),
        expires,
        state: value::switch(spec.state),
    })
}

fn subscriptions(
    context: &Context<'_>,
    spec: &spec::user::Subscriptions,
    scope: &Scope<'_>,
) -> Subscriptions {
    let at = scope.at("queues");
    for (index, queue) in spec.queues.iter().enumerate() {
        if queue != crate::core::config::QUEUE_OF_LAST_RESORT {
            let index = index.to_string();
            context.must_exist("queue", "queues", &context.united.queues, queue, &at.at(&index));
        }
    }
    let both = Channels { mail: true, web: true };
    let events: BTreeMap<_, _> = match &spec.events {
        Events::List(list) => list.iter().map(|event| (event.0, both)).collect(),
        Events::Map(map) => map.iter().map(|(event, list)| (event.0, channels(list))).collect(),
    };
    Subscriptions { queues: spec.queues.iter().cloned().collect::<BTreeSet<_>>(), events }
}

fn channels(list: &[Channel]) -> Channels {
    Channels { mail: list.contains(&Channel::Mail), web: list.contains(&Channel::Web) }
}

/// Bytes of 64 hexadecimal digits; the schema has counted them.
fn digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

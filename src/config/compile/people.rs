//! `customers`, `users` and `apiTokens`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Time;

use super::{Context, value};
use crate::config::problem::Scope;
use crate::config::spec;
use crate::config::spec::user::Events;
use crate::config::spec::words::{Channel, EventName};
use crate::core::calendar::QuietHours;
use crate::core::config::{
    ApiToken, Channels, CustomerProfile, Desk, QUEUE_OF_LAST_RESORT, Role, Subscriptions, User,
    Wish,
};

/// A customer.
pub fn customer(spec: &spec::Customer) -> CustomerProfile {
    CustomerProfile {
        name: spec.name.clone(),
        company: spec.company.clone(),
        language: spec.language.map(value::language),
    }
}

/// An agent.
pub fn user(
    context: &Context<'_>,
    desk: &Desk,
    name: &str,
    spec: &spec::User,
    scope: &Scope<'_>,
) -> Option<User> {
    let zone = spec.time_zone.as_ref();
    let subscriptions = spec
        .subscriptions
        .as_ref()
        .map(|written| subscriptions(context, written, &scope.at("subscriptions")))
        .unwrap_or_default();
    Some(User {
        name: name.to_owned(),
        email: value::address(&spec.email, &scope.at("email"))?,
        full_name: spec.name.clone().unwrap_or_else(|| name.to_owned()),
        language: spec.language.map_or(desk.language, value::language),
        time_zone: zone
            .and_then(|name| value::time_zone(name, &scope.at("timeZone")))
            .unwrap_or_else(|| desk.time_zone.clone()),
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
        if queue != QUEUE_OF_LAST_RESORT {
            let index = index.to_string();
            context.must_exist("queue", "queues", &context.united.queues, queue, &at.at(&index));
        }
    }
    let events = scope.at("events");
    let one = |(event, written): (&EventName, &spec::user::Wish)| {
        (event.0, wish(context, written, &events.at(event.0.label())))
    };
    let events: BTreeMap<_, _> = match &spec.events {
        Events::List(list) => list.iter().map(|event| (event.0, BOTH.into())).collect(),
        Events::Map(map) => map.iter().map(one).collect(),
    };
    let digest = spec.digest.as_ref();
    let quiet = spec.quiet_hours.as_ref();
    Subscriptions {
        queues: spec.queues.iter().cloned().collect::<BTreeSet<_>>(),
        events,
        mine_only: spec.mine_only.unwrap_or(false),
        digest: digest.and_then(|text| daily(text, &scope.at("digest"))),
        quiet_hours: quiet.and_then(|hours| quiet_hours(hours, &scope.at("quietHours"))),
        urgent: spec.urgent.map(|priority| priority.0),
    }
}

/// What an event reaches a user by unless he says otherwise.
const BOTH: Channels = Channels { mail: true, web: true };

fn wish(context: &Context<'_>, spec: &spec::user::Wish, scope: &Scope<'_>) -> Wish {
    let exact = match spec {
        spec::user::Wish::Channels(list) => return channels(list).into(),
        spec::user::Wish::Exact(exact) => exact,
    };
    let at = scope.at("queues");
    for queue in exact.queues.keys().filter(|queue| *queue != QUEUE_OF_LAST_RESORT) {
        context.must_exist("queue", "queues", &context.united.queues, queue, &at.at(queue));
    }
    let by_queue = exact.queues.iter().map(|(queue, list)| (queue.clone(), channels(list)));
    Wish {
        channels: exact.channels.as_ref().map_or(BOTH, |list| channels(list)),
        queues: by_queue.collect(),
        mine_only: exact.mine_only,
        at_once: exact.digest == Some(false),
    }
}

/// `daily 08:00`.
fn daily(text: &str, scope: &Scope<'_>) -> Option<Time> {
    let time = text.strip_prefix("daily ").and_then(clock);
    if time.is_none() {
        scope.error("is no time for a digest", "write it as `daily 08:00`");
    }
    time
}

fn quiet_hours(spec: &spec::user::QuietHours, scope: &Scope<'_>) -> Option<QuietHours> {
    let read = |text: &str, key: &str| {
        let time = clock(text);
        if time.is_none() {
            scope.at(key).error("is no time of the day", "write hours and minutes, as \"22:00\"");
        }
        time
    };
    let (from, to) = (read(&spec.from, "from"), read(&spec.to, "to"));
    let hours = QuietHours { from: from?, to: to? };
    if hours.from == hours.to {
        scope.error(
            "begin and end at the same time",
            "leave the channel `mail` out to get no mail at all",
        );
        return None;
    }
    Some(hours)
}

/// Hours and minutes of a day, as `08:00`.
fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let shaped = (1..=2).contains(&hour.len()) && minute.len() == 2;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    if !shaped || !digits {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
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

//! People: customers and users.

use std::collections::{BTreeMap, BTreeSet};

use super::{Both, End, Kind, Start, Told, names};
use crate::core::config::{
    Channels, CustomerProfile, Customers, Role, Subscriptions, Switch, User,
};
use crate::core::number::counted;

pub(in super::super) const CUSTOMER: Kind<CustomerProfile> = Kind {
    name: "customers",
    state: |_| Switch::Enabled,
    begins: |both, _, _: Start| match both.new.intake.customers {
        Customers::Open => "known from the next mail on".into(),
        Customers::Declared => "mail from this address makes tickets from now on".into(),
    },
    ends: |both, _, _: End| match both.new.intake.customers {
        Customers::Open => {
            "no longer known by declaration; may write as before; tickets stay".into()
        }
        Customers::Declared => "new mail from this address is quarantined; tickets stay".into(),
    },
    differs: |_, old, new| customer(old, new),
    follows: "",
};

pub(in super::super) const USER: Kind<User> = Kind {
    name: "users",
    state: |user| user.state,
    begins: |both, user, _| {
        let signs_in = match (&user.password_hash, &both.new.sign_in.oidc) {
            (Some(_), _) | (None, Some(_)) => "may sign in",
            (None, None) => "cannot sign in (no passwordHash)",
        };
        let hears = match subscribed(&user.subscriptions, str::to_owned).len() {
            0 => "hears of nothing".to_owned(),
            count => format!("hears of {}", counted(count, "subscription")),
        };
        let role = role(user.role);
        format!("role {role}; {signs_in}; {hears}; mail from {} is an agent's", user.email)
    },
    ends: |_, user, end| {
        let email = &user.email;
        match end {
            End::Gone => format!(
                "signed out; told nothing more, also not what waits for a digest; tickets keep the \
                 name; mail from {email} is a customer's"
            ),
            End::Disabled => format!(
                "signed out; told nothing more, also not what waits for a digest; gets no new \
                 tickets; mail from {email} is a customer's"
            ),
            End::Paused => format!(
                "signed out; not told of what happens meanwhile; what waits for a digest waits \
                 on; gets no new tickets; mail from {email} is still an agent's"
            ),
        }
    },
    differs: user,
    follows: "tickets owned and watched and what waits for a digest follow; signed out",
};

fn customer(old: &CustomerProfile, new: &CustomerProfile) -> Told {
    let mut told = Told::default();
    told.when(old.name != new.name, || match &new.name {
        Some(name) => format!("called {name} in new tickets; those there keep the name"),
        None => "called in new tickets as the mail says".into(),
    });
    told.when(old.company != new.company, || match &new.company {
        Some(company) => format!("of {company} in new tickets; those there keep the company"),
        None => "without a company in new tickets".into(),
    });
    told.when(old.language != new.language, || match new.language {
        Some(language) => format!("written to in {}", language.code()),
        None => "written to in the language of the mail, or the desk's".into(),
    });
    told
}

fn user(both: Both<'_>, old: &User, new: &User) -> Told {
    let mut told = Told::default();
    told.sentences.extend(subscriptions(both, &old.subscriptions, &new.subscriptions));
    told.when(old.email != new.email, || {
        format!(
            "notifications go to {}; mail from there is an agent's, from {} a customer's",
            new.email, old.email
        )
    });
    told.when(old.role != new.role, || {
        format!("role {}, was {}; signed out", role(new.role), role(old.role))
    });
    told.when(old.password_hash != new.password_hash, || match &new.password_hash {
        Some(_) => {
            "password hash is read elsewhere; signed out in minutes unless it is the same".into()
        }
        None => "no longer signs in with a password; signed out in minutes".into(),
    });
    told.when(old.full_name != new.full_name, || format!("called {}", new.full_name));
    told.when(old.language != new.language, || {
        format!("notifications and page in {}", new.language.code())
    });
    told.when(old.time_zone != new.time_zone, || {
        let zone = new.time_zone.iana_name().unwrap_or("UTC");
        format!("digest and quiet hours by the clocks of {zone}")
    });
    told
}

/// What a user hears of more or less, and when.
fn subscriptions(both: Both<'_>, old: &Subscriptions, new: &Subscriptions) -> Vec<String> {
    let mut told = Told::default();
    let before = subscribed(old, |queue| both.called_now(queue).to_owned());
    let after = subscribed(new, str::to_owned);
    let more = difference(&after, &before);
    told.when(!more.is_empty(), || format!("hears of {}", names(more.iter().map(String::as_str))));
    let less = difference(&before, &after);
    told.when(!less.is_empty(), || {
        format!("no longer hears of {}", names(less.iter().map(String::as_str)))
    });
    let otherwise: Vec<String> = after
        .iter()
        .filter(|(what, way)| before.get(*what).is_some_and(|before| before != *way))
        .map(|(what, way)| format!("{what} {way}"))
        .collect();
    told.when(!otherwise.is_empty(), || {
        format!("hears otherwise of {}", names(otherwise.iter().map(String::as_str)))
    });
    told.when(old.digest != new.digest, || match new.digest {
        Some(at) => format!("mails are collected and sent as one, daily {}", at.strftime("%H:%M")),
        None => {
            "each mail is sent by itself; what was collected goes out when the hour is over".into()
        }
    });
    told.when(old.quiet_hours != new.quiet_hours, || match new.quiet_hours {
        Some(quiet) => {
            let (from, to) = (quiet.from.strftime("%H:%M"), quiet.to.strftime("%H:%M"));
            format!("new mails wait from {from} to {to}")
        }
        None => "new mails no longer wait for the end of quiet hours".into(),
    });
    told.when(old.urgent != new.urgent, || match new.urgent {
        Some(priority) => {
            format!("mails about priority {} or higher do not wait", priority.label())
        }
        None => "also urgent mails wait".into(),
    });
    told.sentences
}

fn difference(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
    one.keys().filter(|what| !other.contains_key(*what)).cloned().collect()
}

/// Each event and queue that a user is told of, with the way.
pub(in super::super) fn subscribed(
    all: &Subscriptions,
    called: impl Fn(&str) -> String,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (event, wish) in &all.events {
        let queues: BTreeSet<&str> =
            all.queues.iter().chain(wish.queues.keys()).map(String::as_str).collect();
        let mine_only = wish.mine_only.unwrap_or(all.mine_only);
        let mut note = |place: String, channels: &Channels| {
            if channels.any() {
                let at_once = if wish.at_once { ", at once" } else { "" };
                let mine = if mine_only { ", own tickets only" } else { "" };
                let way = format!("{}{mine}{at_once}", ways(channels));
                found.insert(format!("{}{place}", event.label()), way);
            }
        };
        for queue in &queues {
            note(
                format!(" in {}", called(queue)),
                wish.queues.get(*queue).unwrap_or(&wish.channels),
            );
        }
        if queues.is_empty() {
            // Of one's own tickets, whichever queue they are in.
            note(String::new(), &wish.channels);
        }
    }
    found
}

fn ways(channels: &Channels) -> &'static str {
    match (channels.mail, channels.web) {
        (true, true) => "by mail and bell",
        (true, false) => "by mail",
        (false, true) => "by bell",
        (false, false) => "not at all",
    }
}

/// A role as in YAML.
pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::User => "user",
        Role::Manager => "manager",
        Role::Admin => "admin",
    }
}

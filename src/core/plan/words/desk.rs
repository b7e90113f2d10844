//! Parts of which there is one, and texts of notifications.

use super::{Both, End, Kind, Start, Told, change, differing, time};
use crate::core::config::{
    Answer, Cc, Customers, Dedupe, Desk, Intake, Limits, NotificationText, Oidc, SignIn, Switch,
};

pub(in super::super) const NOTIFICATION: Kind<NotificationText> = Kind {
    name: "notifications",
    state: |_| Switch::Enabled,
    begins: |_, _, _: Start| "replaces the built-in text from the next notification on".into(),
    ends: |_, _, _: End| "the built-in text is used from the next notification on".into(),
    differs: |_, old, new| {
        let texts =
            differing(&[("subject", old.subject != new.subject), ("text", old.text != new.text)]);
        let sentence = format!("{} from the next notification on", change(&texts));
        Told { sentences: vec![sentence], ..Told::default() }
    },
    follows: "",
};

pub(in super::super) fn desk(old: &Desk, new: &Desk) -> Told {
    let mut told = Told::default();
    told.when(old.name != new.name, || format!("mails and the page say {}", new.name));
    told.when(old.hook != new.hook, || {
        format!(
            "subjects carry [{}NUMBER]; a reply with the old tag joins its ticket by its \
             references, and without them makes a new one",
            new.hook
        )
    });
    told.when(old.system_id != new.system_id, || {
        format!("new tickets are numbered with {}; those there keep their numbers", new.system_id)
    });
    told.when(old.language != new.language, || {
        format!("texts are in {} where nothing better is known", new.language.code())
    });
    told.when(old.time_zone != new.time_zone, || {
        let zone = new.time_zone.iana_name().unwrap_or("UTC");
        format!(
            "days of ticket numbers and of tokens, schedules of accounts and times on the page go \
             by the clocks of {zone}"
        )
    });
    told
}

pub(in super::super) fn intake(old: &Intake, new: &Intake) -> Told {
    let mut told = Told::default();
    told.when(old.customers != new.customers, || match new.customers {
        Customers::Open => {
            "everybody's mail makes tickets; what is in quarantine stays until it is released".into()
        }
        Customers::Declared => {
            "mail of senders that are not declared is quarantined, also to tickets they take part in"
                .into()
        }
    });
    told.when(old.dedupe != new.dedupe, || match new.dedupe {
        Dedupe::Account => "the same mail in two accounts makes two tickets".into(),
        Dedupe::Global => "the same mail in two accounts makes one ticket".into(),
    });
    told.when(old.cc != new.cc, || match new.cc {
        Cc::Participants => "who stands in To and Cc of a customer's mail takes part".into(),
        Cc::Ignore => {
            "who stands in To and Cc of a customer's mail no longer takes part; those who do stay"
                .into()
        }
    });
    told.when(old.answer != new.answer, || match new.answer {
        Answer::Everybody => "everybody's mail is answered automatically".into(),
        Answer::Authenticated => {
            "only mail that our own mail server calls authentic is answered automatically".into()
        }
    });
    told.when(old.authserv_id != new.authserv_id, || match &new.authserv_id {
        Some(server) => format!("what {server} says of agents' mail is believed"),
        None => "no server is believed about agents' mail: it is not proved to be theirs".into(),
    });
    told.when(old.proof_valid_for != new.proof_valid_for, || {
        let within = time(new.proof_valid_for);
        format!("answers to notifications prove their agents for {within} after the last change")
    });
    told.when(old.internal_marker != new.internal_marker, || match &new.internal_marker {
        Some(word) => {
            format!("agents' mail that begins with {word} stays inside, with another word not")
        }
        None => "no word keeps agents' mail inside: it goes on to customers".into(),
    });
    told
}

pub(in super::super) fn limits(old: &Limits, new: &Limits) -> Told {
    let mut told = Told::default();
    let mut number = |name: &str, old: u64, new: u64| {
        told.when(old != new, || format!("{name} {new}, was {old}"));
    };
    let wide = u64::from;
    number("autoRepliesPerDay", wide(old.auto_replies_per_day), wide(new.auto_replies_per_day));
    number(
        "autoRepliesPerThreeHours",
        wide(old.auto_replies_per_three_hours),
        wide(new.auto_replies_per_three_hours),
    );
    number(
        "autoRepliesPerTicket",
        wide(old.auto_replies_per_ticket),
        wide(new.auto_replies_per_ticket),
    );
    number(
        "autoRepliesPerSubject",
        wide(old.auto_replies_per_subject),
        wide(new.auto_replies_per_subject),
    );
    number("autoRepliesPerHour", wide(old.auto_replies_per_hour), wide(new.auto_replies_per_hour));
    let addresses = old.auto_replies_per_address.keys().chain(new.auto_replies_per_address.keys());
    for address in addresses.collect::<std::collections::BTreeSet<_>>() {
        let of = |limits: &Limits| {
            let own = limits.auto_replies_per_address.get(address).copied();
            own.unwrap_or(limits.auto_replies_per_day)
        };
        number(&format!("autoRepliesPerAddress {address}"), wide(of(old)), wide(of(new)));
    }
    let answers = !told.sentences.is_empty();
    told.when(answers, || "counts at once, with the answers that were sent already".into());
    told.when(old.notifications_per_hour != new.notifications_per_hour, || {
        let (before, after) = (old.notifications_per_hour, new.notifications_per_hour);
        format!(
            "a user gets {after} notifications in an hour, was {before}, and the rest as one mail"
        )
    });
    told.when(old.connections_per_host != new.connections_per_host, || {
        let (before, after) = (old.connections_per_host, new.connections_per_host);
        format!("connectionsPerHost {after}, was {before}, for connections from now on")
    });
    told
}

pub(in super::super) fn sign_in(both: Both<'_>) -> Told {
    let SignIn { oidc: old } = &both.old.sign_in;
    let SignIn { oidc: new } = &both.new.sign_in;
    let mut told = Told::default();
    let sentences = match (old, new) {
        (None, None) => Vec::new(),
        (None, Some(new)) => vec![format!("people of {} may sign in as users", new.issuer)],
        (Some(old), None) => vec![format!(
            "people of {} no longer sign in there; who is signed in by it is signed out in minutes",
            old.issuer
        )],
        (Some(old), Some(new)) => oidc(old, new),
    };
    told.sentences.extend(sentences);
    told
}

fn oidc(old: &Oidc, new: &Oidc) -> Vec<String> {
    let mut told = Told::default();
    told.when(old.issuer != new.issuer, || {
        format!(
            "people sign in at {}; who is signed in by {} is signed out in minutes",
            new.issuer, old.issuer
        )
    });
    told.when(old.user_claim != new.user_claim, || {
        let claim = new.user_claim.as_deref().unwrap_or("email (verified)");
        format!("users are found by the claim {claim} from the next sign-in on")
    });
    let others = differing(&[
        ("name", old.name != new.name),
        ("clientId", old.client_id != new.client_id),
        ("clientSecret", old.client_secret != new.client_secret),
        ("scopes", old.scopes != new.scopes),
        ("allowPrivate", old.allow_private != new.allow_private),
        ("tls", old.tls != new.tls),
    ]);
    told.when(!others.is_empty(), || format!("{} from the next sign-in on", change(&others)));
    told.when(old.issuer == new.issuer, || "who is signed in stays so".into());
    told.sentences
}

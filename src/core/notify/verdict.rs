//! Whether somebody who is invited is told, how and when, and which place in the configuration
//! decides it.

use super::invitation::Invitation;
use super::{EventKind, Notice, Rule, Scene, Wait};
use crate::core::address::Address;
use crate::core::config::{Channels, Switch, User, Wish};
use crate::core::digest;
use crate::core::ticket::{Actor, Watcher};

/// Whether somebody is told of an event, and what decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What happened.
    pub event: EventKind,
    /// User name, or the customer's address.
    pub who: String,
    /// Whether this is a customer.
    pub customer: bool,
    /// In which role, as in [`Notice::role`]; `None`: the person has no part in it.
    pub role: Option<String>,
    /// How, or why not.
    pub told: Result<Notice, Not>,
    /// Places in the configuration that decided, the most telling last.
    pub rules: Vec<Rule>,
}

/// Why somebody is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Not {
    /// He is not declared any more.
    Undeclared,
    /// He is disabled or paused.
    SwitchedOff,
    /// He did it himself.
    OwnAction,
    /// He does not subscribe to the event.
    NotSubscribed,
    /// He subscribes over no channel, or over none for this queue.
    Silenced,
    /// He only wants to hear of his own tickets, and this one is of his queue.
    MineOnly,
    /// The mail would come back: the address is one of ours.
    OwnAddress,
    /// Somebody else gets the mail at the same address.
    SameAddress(String),
    /// Customers do not see it, or must not be written to because a program wrote it.
    NotForCustomers,
    /// It is told to those who work in the queue, and he does not.
    OtherQueue,
    /// It is told to owner, responsible or watchers, and he is none of them.
    NotConcerned,
}

impl Not {
    /// Name in the API.
    pub fn label(&self) -> &'static str {
        match self {
            Not::Undeclared => "undeclared",
            Not::SwitchedOff => "switchedOff",
            Not::OwnAction => "ownAction",
            Not::NotSubscribed => "notSubscribed",
            Not::Silenced => "silenced",
            Not::MineOnly => "mineOnly",
            Not::OwnAddress => "ownAddress",
            Not::SameAddress(_) => "sameAddress",
            Not::NotForCustomers => "notForCustomers",
            Not::OtherQueue => "otherQueue",
            Not::NotConcerned => "notConcerned",
        }
    }

    /// In words that follow a name.
    pub fn words(&self) -> String {
        match self {
            Not::Undeclared => "is not declared any more".into(),
            Not::SwitchedOff => "is disabled or paused".into(),
            Not::OwnAction => "did it himself".into(),
            Not::NotSubscribed => "does not subscribe to this event".into(),
            Not::Silenced => "subscribes to this event over no channel here".into(),
            Not::MineOnly => "only wants to hear of his own tickets".into(),
            Not::OwnAddress => "has an address of this desk: the mail would come back".into(),
            Not::SameAddress(who) => format!("has the address of {who}, who gets the mail"),
            Not::NotForCustomers => "is a customer and is not told of this".into(),
            Not::OtherQueue => "does not work in the ticket's queue".into(),
            Not::NotConcerned => "has no part in the ticket that this is told to".into(),
        }
    }
}

/// How, or why not, with the places that decided.
pub(super) type Judged<T> = (Result<T, Not>, Vec<Rule>);

impl Scene<'_> {
    /// Whether somebody who is invited is told.
    pub(super) fn verdict(
        &self,
        event: EventKind,
        invitation: &Invitation,
        actor: &Actor,
    ) -> Verdict {
        let role = invitation.role.clone();
        let (who, customer, (told, mut rules)) = match &invitation.who {
            Watcher::Agent(name) => {
                let judged = match self.config.users.get(name) {
                    Some(user) => self.agent(event, user, invitation, actor),
                    None => (Err(Not::Undeclared), Vec::new()),
                };
                (name.clone(), false, judged)
            }
            Watcher::Customer(_) if invitation.barred => {
                let judged = (Err(Not::NotForCustomers), Vec::new());
                (invitation.who.to_string(), true, judged)
            }
            Watcher::Customer(address) => {
                let notice = self.customer_notice(event, address, role.clone());
                (address.to_string(), true, (Ok(notice), Vec::new()))
            }
        };
        let told = told.and_then(|notice| self.without_ours(notice, &mut rules));
        Verdict { event, who, customer, role: Some(role), told, rules }
    }

    fn agent(
        &self,
        event: EventKind,
        user: &User,
        invitation: &Invitation,
        actor: &Actor,
    ) -> Judged<Notice> {
        let (wants, mut rules) = wants(event, user, &self.after.queue, actor);
        let (wish, channels) = match wants {
            Ok(wants) => wants,
            Err(not) => return (Err(not), rules),
        };
        if invitation.by_queue && wish.mine_only.unwrap_or(user.subscriptions.mine_only) {
            rules.push(match wish.mine_only {
                Some(_) => rule(user, &["subscriptions", "events", event.label(), "mineOnly"]),
                None => rule(user, &["subscriptions", "mineOnly"]),
            });
            return (Err(Not::MineOnly), rules);
        }
        let notice = Notice {
            event,
            who: user.name.clone(),
            address: user.email.clone(),
            name: if user.full_name.is_empty() { &user.name } else { &user.full_name }.clone(),
            language: user.language,
            channels,
            wait: if channels.mail { self.wait(user, wish, &mut rules) } else { Wait::No },
            role: invitation.role.clone(),
            rule: rules.first().cloned(),
            customer: false,
        };
        (Ok(notice), rules)
    }

    /// What a user's mail waits for.
    fn wait(&self, user: &User, wish: &Wish, rules: &mut Vec<Rule>) -> Wait {
        let wants = &user.subscriptions;
        let waits = wants.urgent.is_none_or(|urgent| self.after.priority < urgent);
        let digest = wants.digest.filter(|_| waits && !wish.at_once);
        let quiet = wants.quiet_hours.filter(|_| waits);
        if digest.is_some() {
            rules.push(rule(user, &["subscriptions", "digest"]));
            return Wait::Digest(digest::next(user, self.now));
        }
        let quiet_end = quiet.and_then(|hours| hours.end(&user.time_zone, self.now));
        let goes_out = quiet_end.unwrap_or(self.now);
        if self.full.hold(&self.config.limits, &user.name, goes_out) {
            rules.push(Rule(["limits", "notificationsPerHour"].map(str::to_owned).into()));
            return Wait::FullHour(digest::next(user, self.now));
        }
        match quiet_end {
            Some(end) => {
                rules.push(rule(user, &["subscriptions", "quietHours"]));
                Wait::QuietHours(end)
            }
            None => Wait::No,
        }
    }

    /// A mail to ourselves would come back as a follow-up.
    fn without_ours(&self, mut notice: Notice, rules: &mut Vec<Rule>) -> Result<Notice, Not> {
        if self.config.system_addresses.contains_key(&notice.address) {
            notice.channels.mail = false;
            notice.wait = Wait::No;
            if !notice.channels.any() {
                let path = ["systemAddresses".to_owned(), notice.address.to_string()];
                rules.push(Rule(path.into()));
                return Err(Not::OwnAddress);
            }
        }
        Ok(notice)
    }

    fn customer_notice(&self, event: EventKind, address: &Address, role: String) -> Notice {
        let profile = self.config.customers.get(address);
        let on_ticket = self.after.customer.as_ref().filter(|one| one.address == *address);
        let name = profile
            .and_then(|profile| profile.name.clone())
            .or_else(|| on_ticket.map(|customer| customer.name.clone()))
            .unwrap_or_default();
        let language =
            profile.and_then(|profile| profile.language).unwrap_or(self.config.desk.language);
        Notice {
            event,
            who: address.to_string(),
            address: address.clone(),
            name,
            language,
            channels: Channels { mail: true, web: false },
            wait: Wait::No,
            role,
            rule: None,
            customer: true,
        }
    }
}

/// What a user wants to hear of an event in a queue, and over which channels.
pub(super) fn wants<'a>(
    event: EventKind,
    user: &'a User,
    queue: &str,
    actor: &Actor,
) -> Judged<(&'a Wish, Channels)> {
    let events = || rule(user, &["subscriptions", "events", event.label()]);
    if matches!(actor, Actor::Agent(agent) if *agent == user.name) {
        return (Err(Not::OwnAction), Vec::new());
    }
    if user.state != Switch::Enabled {
        return (Err(Not::SwitchedOff), vec![rule(user, &["state"])]);
    }
    let Some(wish) = user.subscriptions.events.get(&event) else {
        return (Err(Not::NotSubscribed), vec![events()]);
    };
    let (channels, rule) = match wish.queues.get(queue) {
        Some(channels) => {
            let path = ["subscriptions", "events", event.label(), "queues", queue];
            (*channels, rule(user, &path))
        }
        None => (wish.channels, events()),
    };
    let told = if channels.any() { Ok((wish, channels)) } else { Err(Not::Silenced) };
    (told, vec![rule])
}

/// A place in what is declared of a user.
pub(super) fn rule(user: &User, path: &[&str]) -> Rule {
    let keys = ["users", user.name.as_str()].into_iter().chain(path.iter().copied());
    Rule(keys.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::config::{Config, CustomerProfile, Language};
    use crate::core::notify::audience;
    use crate::core::notify::hours::{FullHours, Hour};
    use crate::core::notify::trying::{
        address, agent, check, check_with, config, eve, event, followed_up, free, full, mail,
        night, note, noted, now, owned, ticket, wish, words,
    };
    use crate::core::ticket::{Priority, Ticket, What};

    #[test]
    fn agents_are_not_told_of_what_they_did() {
        for name in ["alice", "bob", "dave"] {
            let events = [event(agent(name), noted()), event(agent(name), followed_up(false))];
            let told = audience(
                &config(),
                Some(&full()),
                &full(),
                &events,
                &[mail(), note(true)],
                &free(),
                now(),
            );
            assert!(told.iter().all(|notice| notice.who != name), "{name}");
            assert!(!told.is_empty());
        }
    }

    #[test]
    fn customers_are_told_of_what_they_did() {
        let watched = Ticket { owner: None, responsible: None, ..full() };
        check(
            &watched,
            eve(),
            followed_up(true),
            &["followUpLocked dave: watcher", "followUpLocked eve@cust.test: watcher"],
        );
    }

    #[test]
    fn only_enabled_users_who_subscribed() {
        let mut config = config();
        config.users.get_mut("alice").unwrap().state = Switch::Disabled;
        config.users.get_mut("bob").unwrap().state = Switch::Paused;
        let dave = config.users.get_mut("dave").unwrap();
        dave.subscriptions.events.remove(&EventKind::NoteAdded);
        let noted = vec![event(agent("carol"), noted())];
        check_with(&config, Some(&full()), &full(), noted, &[]);
    }

    #[test]
    fn users_who_are_gone() {
        let orphaned = Ticket { owner: Some("zoe".into()), ..ticket() };
        check(&orphaned, agent("carol"), noted(), &[]);
    }

    #[test]
    fn no_mail_to_ourselves() {
        let mut config = config();
        let alice = config.users.get_mut("alice").unwrap();
        alice.email = address("support@desk.test");
        let events = [event(agent("bob"), noted())];
        let told = |config: &Config| {
            audience(config, Some(&owned()), &owned(), &events, &[], &free(), now())
        };
        assert_eq!(told(&config), []);
        // The bell leaves no mail.
        let both = Channels { mail: true, web: true };
        let alice = config.users.get_mut("alice").unwrap();
        alice.subscriptions.events.insert(EventKind::NoteAdded, both.into());
        assert_eq!(told(&config)[0].channels, Channels { mail: false, web: true });
    }

    #[test]
    fn language_and_name_of_a_customer() {
        let mut config = config();
        let profile = CustomerProfile { language: Some(Language::Ja), ..Default::default() };
        Arc::make_mut(&mut config.customers).insert(address("eve@cust.test"), profile);
        let watched = Ticket { owner: None, responsible: None, ..full() };
        let events = [event(eve(), followed_up(true))];
        let told = audience(&config, Some(&watched), &watched, &events, &[mail()], &free(), now());
        let notice = told.iter().find(|notice| notice.customer).unwrap();
        assert_eq!((notice.language, notice.name.as_str()), (Language::Ja, "Eve Example"));
    }

    /// What a change of alice's wishes makes of a ticket created in `support` at six in the
    /// morning: over which channels she is told, and when.
    #[track_caller]
    fn check_wish(change: impl FnOnce(&mut User), expected: &str) {
        check_in(&free(), change, expected);
    }

    /// The same with an hour that is full.
    #[track_caller]
    fn check_full(hour: &str, change: impl FnOnce(&mut User), expected: &str) {
        let hour = Hour::of(hour.parse().unwrap());
        check_in(&FullHours([((hour, "alice".to_owned()), 100)].into()), change, expected);
    }

    #[track_caller]
    fn check_in(full_hours: &FullHours, change: impl FnOnce(&mut User), expected: &str) {
        let mut config = config();
        change(config.users.get_mut("alice").unwrap());
        let urgent = Ticket { priority: Priority::VeryHigh, ..full() };
        let told = |ticket: &Ticket| {
            let events = [event(eve(), What::Created)];
            let told = audience(&config, None, ticket, &events, &[], full_hours, now());
            let alice = told.iter().find(|notice| notice.who == "alice");
            alice.map_or("not".to_owned(), |notice| {
                let mail = match notice.wait {
                    _ if !notice.channels.mail => "",
                    Wait::No => "mail",
                    Wait::QuietHours(at) => &format!("mail after {at}"),
                    Wait::Digest(at) => &format!("mail in digest of {at}"),
                    Wait::FullHour(at) => &format!("mail with others at {at}"),
                };
                let bell = if notice.channels.web { "bell" } else { "" };
                format!("{mail} {bell}").trim().to_owned()
            })
        };
        assert_eq!(format!("{}; urgent {}", told(&full()), told(&urgent)), expected);
    }

    const BELL: Channels = Channels { mail: false, web: true };
    const NONE: Channels = Channels { mail: false, web: false };

    #[test]
    fn channels_queue_by_queue() {
        let of = |queue: &str, channels| {
            let queue = queue.to_owned();
            move |user: &mut User| {
                wish(user).queues.insert(queue, channels);
            }
        };
        check_wish(of("support", BELL), "bell; urgent bell");
        check_wish(of("support", NONE), "not; urgent not");
        check_wish(of("sales", NONE), "mail bell; urgent mail bell");
        // A queue that is named with a channel counts as one she works in.
        let only_here = |user: &mut User| {
            user.subscriptions.queues.clear();
            wish(user).queues.insert("support".into(), BELL);
        };
        check_wish(only_here, "bell; urgent bell");
    }

    #[test]
    fn only_what_is_mine() {
        check_wish(|user| user.subscriptions.mine_only = true, "not; urgent not");
        let but_this = |user: &mut User| {
            user.subscriptions.mine_only = true;
            wish(user).mine_only = Some(false);
        };
        check_wish(but_this, "mail bell; urgent mail bell");
        check_wish(|user| wish(user).mine_only = Some(true), "not; urgent not");
        let mut config = config();
        config.users.get_mut("alice").unwrap().subscriptions.mine_only = true;
        let events = [event(eve(), followed_up(false))];
        let told = audience(&config, Some(&owned()), &owned(), &events, &[mail()], &free(), now());
        assert!(words(&told).contains(&"followUpUnlocked alice: owner".to_owned()));
    }

    #[test]
    fn quiet_hours() {
        let after = "mail after 2026-11-22T07:00:00Z bell";
        check_wish(night, &format!("{after}; urgent {after}"));
        let urgent = |user: &mut User| {
            night(user);
            user.subscriptions.urgent = Some(Priority::High);
        };
        check_wish(urgent, &format!("{after}; urgent mail bell"));
        // It is three in the afternoon in Tokyo.
        let in_tokyo = |user: &mut User| {
            night(user);
            user.time_zone = jiff::tz::TimeZone::get("Asia/Tokyo").unwrap();
        };
        check_wish(in_tokyo, "mail bell; urgent mail bell");
    }

    #[test]
    fn a_digest_comes_before_quiet_hours() {
        let digest = |user: &mut User| {
            night(user);
            user.subscriptions.digest = Some(jiff::civil::time(5, 0, 0, 0));
        };
        let at = "mail in digest of 2026-11-23T05:00:00Z bell";
        check_wish(digest, &format!("{at}; urgent {at}"));
        let at_once = |user: &mut User| {
            digest(user);
            wish(user).at_once = true;
        };
        let after = "mail after 2026-11-22T07:00:00Z bell";
        check_wish(at_once, &format!("{after}; urgent {after}"));
    }

    #[test]
    fn a_full_hour() {
        let (six, seven) = ("2026-11-22T06:00:00Z", "2026-11-22T07:00:00Z");
        let both = |user: &mut User| {
            wish(user);
        };
        let held = format!("mail with others at {seven} bell");
        check_full(six, both, &format!("{held}; urgent {held}"));
        check_full(seven, both, "mail bell; urgent mail bell");
        let only_bell = |user: &mut User| wish(user).channels = BELL;
        check_full(six, only_bell, "bell; urgent bell");
    }

    #[test]
    fn a_full_hour_and_quiet_hours() {
        let (six, seven) = ("2026-11-22T06:00:00Z", "2026-11-22T07:00:00Z");
        let urgent = |user: &mut User| {
            night(user);
            user.subscriptions.urgent = Some(Priority::High);
        };
        // What waits until seven has a place in this hour, and none in one that is full.
        let after = format!("mail after {seven} bell");
        check_full(six, urgent, &format!("{after}; urgent mail with others at {seven} bell"));
        let held = format!("mail with others at {seven} bell");
        check_full(seven, urgent, &format!("{held}; urgent mail bell"));
    }

    #[test]
    fn a_full_hour_and_a_digest() {
        let at_once = |user: &mut User| {
            user.subscriptions.digest = Some(jiff::civil::time(5, 0, 0, 0));
            wish(user).at_once = true;
        };
        let held = "mail with others at 2026-11-23T05:00:00Z bell";
        check_full("2026-11-22T06:00:00Z", at_once, &format!("{held}; urgent {held}"));
    }
}

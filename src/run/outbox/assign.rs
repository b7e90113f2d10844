//! Which of the due mails go to which server now, and which must wait until when.
//!
//! Architecture invariant: a function of its arguments. What it returns is carried out without
//! further thought.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::lane::Lane;
use crate::core::address::Address;
use crate::core::config::{Config, Switch};
use crate::core::outgoing::{Delivery, Outgoing, OutgoingId};
use crate::core::ticket::TicketId;

/// How long a mail waits whose sender or servers are not declared, in seconds.
pub const UNDECLARED_SECS: i64 = 300;

/// A transfer that takes longer than this makes its server a slow one, in seconds.
const SLOW_SECS: i64 = 5;

/// How long mails make room that wait for a slow server in a crowd, in seconds.
const MAKE_ROOM_SECS: i64 = 30;

/// Mails of one ticket to one recipient arrive in the order in which they were owed.
pub type Pair = (TicketId, Address);

/// The pair of a mail; mails without a ticket have no order.
pub fn pair(mail: &Outgoing) -> Option<Pair> {
    mail.ticket.map(|ticket| (ticket, mail.recipient.clone()))
}

/// What is known when mails are handed out.
pub struct View<'a> {
    /// Senders and servers.
    pub config: &'a Config,
    /// How the servers are doing; one without an entry was never used.
    pub lanes: &'a BTreeMap<String, Lane>,
    /// Mails that are being sent, or whose result is not committed.
    pub in_flight: &'a BTreeMap<OutgoingId, Option<Pair>>,
    /// First mail of a pair that waits for its next attempt, and until when.
    pub heads: &'a BTreeMap<Pair, (OutgoingId, Timestamp)>,
    /// How often a mail has brought a working connection down.
    pub strikes: &'a BTreeMap<OutgoingId, u32>,
    /// Whether more mails are due than were looked at.
    pub crowded: bool,
    /// Now.
    pub now: Timestamp,
}

/// What to do.
#[derive(Debug, PartialEq, Default)]
pub struct Assignment {
    /// Server and mail.
    pub send: Vec<(String, Outgoing)>,
    /// Mails that must wait, with their next time and the reason.
    pub postpone: Vec<(Outgoing, Delivery)>,
}

/// Hands out due mails.
pub fn assign(mut due: Vec<Outgoing>, view: &View) -> Assignment {
    due.retain(|mail| !view.in_flight.contains_key(&mail.id));
    due.sort_by_key(|mail| mail.id);
    let mut assignment = Assignment::default();
    let mut first = Vec::new();
    let mut seen: BTreeSet<Pair> = view.in_flight.values().flatten().cloned().collect();
    for mail in due {
        match pair(&mail) {
            None => first.push(mail),
            Some(pair) => match waiting_head(view, &pair, mail.id) {
                Some(until) => assignment.postpone.push(put_off(mail, until, None)),
                None if seen.insert(pair) => first.push(mail),
                None => {}
            },
        }
    }
    // A mail that brings connections down is tried when the others are through.
    first.sort_by_key(|mail| (view.strikes.get(&mail.id).copied().unwrap_or(0), mail.id));
    let mut given: BTreeMap<String, usize> = BTreeMap::new();
    for mail in first {
        match route(&mail.sender, doubt(&mail), view, &given) {
            Route::Through(server) => {
                *given.entry(server.clone()).or_default() += 1;
                assignment.send.push((server, mail));
            }
            Route::WhenFree => {}
            Route::NotBefore(until, reason) => {
                assignment.postpone.push(put_off(mail, until, reason));
            }
        }
    }
    assignment
}

/// Whether any sender could send now: then it is worth looking for its mails behind others.
pub fn anybody_can_send(view: &View) -> bool {
    let nothing_given = BTreeMap::new();
    let free = |name: &String| matches!(route(name, None, view, &nothing_given), Route::Through(_));
    view.config.senders.keys().any(free)
}

/// Where the mails of a sender can go now.
enum Route {
    /// Through this server.
    Through(String),
    /// Its server is busy with others.
    WhenFree,
    /// Nowhere before this time, for this reason.
    NotBefore(Timestamp, Option<String>),
}

/// The server that may have taken the mail already, and must say first whether it has.
fn doubt(mail: &Outgoing) -> Option<&str> {
    match &mail.delivery {
        Delivery::Due { doubt, .. } => doubt.as_deref(),
        Delivery::Sent { .. } | Delivery::Dead { .. } => None,
    }
}

fn route(name: &str, doubt: Option<&str>, view: &View, given: &BTreeMap<String, usize>) -> Route {
    let later = |secs| view.now + SignedDuration::from_secs(secs);
    let undeclared = |reason: String| Route::NotBefore(later(UNDECLARED_SECS), Some(reason));
    let Some(sender) = view.config.senders.get(name) else {
        return undeclared(format!("sender {name:?} is not declared"));
    };
    if sender.state != Switch::Enabled {
        return undeclared(format!("sender {name:?} is not enabled"));
    }
    let unused = Lane::default();
    let mut earliest: Option<(Timestamp, String)> = None;
    // Once it is declared no more, there is nobody to ask.
    let doubt = doubt.filter(|name| view.config.smtp.contains_key(*name));
    let via = sender.via.iter().filter(|name| doubt.is_none_or(|server| *name == server));
    for server in via.filter_map(|name| view.config.smtp.get(name)) {
        if server.state != Switch::Enabled {
            continue;
        }
        let lane = view.lanes.get(&server.name).unwrap_or(&unused);
        let paused = lane.paused(view.now).map(|until| (until, lane.reason.as_str()));
        if let Some((until, reason)) = paused.or_else(|| lane.paused_for(name, view.now)) {
            if earliest.as_ref().is_none_or(|(before, _)| until < *before) {
                earliest = Some((until, format!("{}: {reason}", server.name)));
            }
            continue;
        }
        if lane.room(server.connections, view.now) > given.get(&server.name).copied().unwrap_or(0) {
            return Route::Through(server.name.clone());
        }
        // The next server is for when this one is down, not for when it is busy.
        let slow = lane.busy_since.is_some_and(|since| since < later(-SLOW_SECS));
        let makes_room = view.crowded && slow;
        return if makes_room {
            Route::NotBefore(later(MAKE_ROOM_SECS), None)
        } else {
            Route::WhenFree
        };
    }
    match earliest {
        Some((until, reason)) => Route::NotBefore(until, Some(reason)),
        None => undeclared(format!("sender {name:?} has no server that is enabled")),
    }
}

/// Until when an earlier mail of the pair waits.
fn waiting_head(view: &View, pair: &Pair, id: OutgoingId) -> Option<Timestamp> {
    let (head, until) = view.heads.get(pair)?;
    (*head < id && *until > view.now).then_some(*until)
}

/// The mail is as due as before, only later: no attempt is held against it.
fn put_off(mail: Outgoing, at: Timestamp, reason: Option<String>) -> (Outgoing, Delivery) {
    let (attempts, before, doubt) = match &mail.delivery {
        Delivery::Due { attempts, last_error, doubt, .. } => {
            (*attempts, last_error.clone(), doubt.clone())
        }
        Delivery::Sent { .. } | Delivery::Dead { .. } => (0, None, None),
    };
    (mail, Delivery::Due { attempts, at, last_error: reason.or(before), doubt })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::{Sender, SmtpRoute, SmtpServer};
    use crate::core::outgoing::OutgoingKind;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    /// Mail 12 of ticket 1 to eve: `mail(12, 1, "eve")`.
    fn mail(id: u64, ticket: u64, to: &str) -> Outgoing {
        Outgoing {
            id: OutgoingId(id),
            ticket: Some(TicketId(ticket)),
            kind: OutgoingKind::Reply,
            sender: "default".into(),
            envelope_from: None,
            recipient: Address::parse(&format!("{to}@customer.test")).unwrap(),
            message_id: format!("{id}@desk.test"),
            raw: Vec::new(),
            created: at(0),
            delivery: Delivery::Due { attempts: 0, at: at(0), last_error: None, doubt: None },
        }
    }

    /// The world of most tests: `default` goes through `relay` and then `backup`.
    struct World {
        config: Config,
        lanes: BTreeMap<String, Lane>,
        in_flight: BTreeMap<OutgoingId, Option<Pair>>,
        heads: BTreeMap<Pair, (OutgoingId, Timestamp)>,
        strikes: BTreeMap<OutgoingId, u32>,
        crowded: bool,
    }

    impl World {
        /// At second 10.
        fn view(&self) -> View<'_> {
            View {
                config: &self.config,
                lanes: &self.lanes,
                in_flight: &self.in_flight,
                heads: &self.heads,
                strikes: &self.strikes,
                crowded: self.crowded,
                now: at(10),
            }
        }
    }

    fn world() -> World {
        let server = |name: &str| SmtpServer {
            name: name.into(),
            route: SmtpRoute::File { directory: "/nonexistent".into() },
            connections: 2,
            helo_name: None,
            state: Switch::Enabled,
        };
        let sender = Sender {
            name: "default".into(),
            from_name: String::new(),
            from: Address::parse("desk@desk.test").unwrap(),
            envelope_from: None,
            via: vec!["relay".into(), "backup".into()],
            state: Switch::Enabled,
        };
        let mut config = Config::default();
        for name in ["relay", "backup"] {
            config.smtp.insert(name.into(), server(name));
        }
        config.senders.insert("default".into(), sender);
        World {
            config,
            lanes: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            heads: BTreeMap::new(),
            strikes: BTreeMap::new(),
            crowded: false,
        }
    }

    fn paused(until: i64) -> Lane {
        Lane {
            failures: 1,
            paused_until: Some(at(until)),
            reason: "down".into(),
            ..Lane::default()
        }
    }

    /// At second 10: which mail goes where, and which waits until when and why.
    #[track_caller]
    fn check(world: &World, due: Vec<Outgoing>, expected: &[&str]) {
        let assignment = assign(due, &world.view());
        let mut shown: Vec<String> = assignment
            .send
            .iter()
            .map(|(server, mail)| format!("{} {server}", mail.id.0))
            .collect();
        for (mail, delivery) in &assignment.postpone {
            let Delivery::Due { attempts, at, last_error, .. } = delivery else {
                panic!("{delivery:?}")
            };
            assert_eq!(*attempts, 0);
            let why = last_error.as_deref().unwrap_or("-");
            shown.push(format!("{} waits until {}: {why}", mail.id.0, at.as_second()));
        }
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_mail_in_doubt_waits_for_the_server_that_can_tell() {
        let mut world = world();
        let doubtful = |server: &str| Outgoing {
            delivery: Delivery::Due {
                attempts: 1,
                at: at(0),
                last_error: None,
                doubt: Some(server.into()),
            },
            ..mail(1, 1, "a")
        };
        check(&world, vec![doubtful("backup")], &["1 backup"]);
        check(&world, vec![doubtful("gone")], &["1 relay"]);
        world.lanes.entry("relay".into()).or_default().failed("connect", "down", at(10), 0.5);
        check(&world, vec![mail(1, 1, "a")], &["1 backup"]);
        let Assignment { send, postpone } = assign(vec![doubtful("relay")], &world.view());
        assert_eq!(send, []);
        let Delivery::Due { doubt, .. } = &postpone[0].1 else { panic!("{postpone:?}") };
        assert_eq!(doubt.as_deref(), Some("relay"));
    }

    #[test]
    fn the_first_server_takes_what_it_has_connections_for() {
        let due = vec![mail(3, 3, "c"), mail(1, 1, "a"), mail(2, 2, "b")];
        check(&world(), due, &["1 relay", "2 relay"]);
    }

    #[test]
    fn one_mail_of_a_pair_at_a_time() {
        let due = vec![mail(1, 1, "eve"), mail(2, 1, "eve"), mail(3, 1, "bob")];
        check(&world(), due, &["1 relay", "3 relay"]);
    }

    #[test]
    fn a_pair_in_flight_waits() {
        let mut world = world();
        world.in_flight.insert(OutgoingId(1), pair(&mail(1, 1, "eve")));
        let due = vec![mail(1, 1, "eve"), mail(2, 1, "eve"), mail(3, 2, "eve")];
        check(&world, due, &["3 relay"]);
    }

    #[test]
    fn a_head_that_waits_holds_back_only_its_pair() {
        let mut world = world();
        let pair = pair(&mail(1, 1, "eve")).unwrap();
        world.heads.insert(pair, (OutgoingId(1), at(60)));
        let due = vec![mail(2, 1, "eve"), mail(3, 1, "bob")];
        check(&world, due, &["3 relay", "2 waits until 60: -"]);
    }

    #[test]
    fn a_head_whose_time_has_come_holds_nobody_back() {
        let mut world = world();
        let pair = pair(&mail(1, 1, "eve")).unwrap();
        world.heads.insert(pair, (OutgoingId(1), at(10)));
        check(&world, vec![mail(2, 1, "eve")], &["2 relay"]);
    }

    #[test]
    fn mails_without_a_ticket_have_no_order() {
        let loose = |id| Outgoing { ticket: None, ..mail(id, 0, "eve") };
        check(&world(), vec![loose(1), loose(2)], &["1 relay", "2 relay"]);
    }

    #[test]
    fn the_next_server_when_the_first_is_down() {
        let mut world = world();
        world.lanes.insert("relay".into(), paused(20));
        check(&world, vec![mail(1, 1, "eve")], &["1 backup"]);
    }

    #[test]
    fn not_the_next_server_when_the_first_is_busy() {
        let mut world = world();
        world.lanes.insert("relay".into(), Lane { busy: 2, ..Lane::default() });
        check(&world, vec![mail(1, 1, "eve")], &[]);
    }

    #[test]
    fn all_are_down() {
        let mut world = world();
        world.lanes.insert("relay".into(), paused(30));
        world.lanes.insert("backup".into(), paused(20));
        check(&world, vec![mail(1, 1, "eve")], &["1 waits until 20: backup: down"]);
    }

    #[test]
    fn a_sender_that_the_first_server_refuses_goes_through_the_next() {
        let mut world = world();
        let mut lane = Lane::default();
        lane.refused_sender("default", "553 not owned", at(10));
        world.lanes.insert("relay".into(), lane);
        check(&world, vec![mail(1, 1, "eve")], &["1 backup"]);
        world.config.smtp.remove("backup");
        let waits = "1 waits until 910: relay: 553 not owned";
        check(&world, vec![mail(1, 1, "eve")], &[waits]);
    }

    #[test]
    fn one_mail_tries_a_server_that_was_down() {
        let mut world = world();
        world.lanes.insert("relay".into(), paused(9));
        let due = vec![mail(1, 1, "eve"), mail(2, 2, "bob")];
        check(&world, due, &["1 relay"]);
    }

    #[test]
    fn not_with_a_mail_that_brought_it_down() {
        let mut world = world();
        world.lanes.insert("relay".into(), paused(9));
        world.strikes.insert(OutgoingId(1), 1);
        let due = vec![mail(1, 1, "eve"), mail(2, 2, "bob")];
        check(&world, due, &["2 relay"]);
    }

    #[test]
    fn what_is_not_declared_any_more() {
        let mut world = world();
        let due = || vec![mail(1, 1, "eve")];
        world.config.smtp.get_mut("relay").unwrap().state = Switch::Paused;
        check(&world, due(), &["1 backup"]);
        world.config.smtp.clear();
        let why = "1 waits until 310: sender \"default\" has no server that is enabled";
        check(&world, due(), &[why]);
        world.config.senders.get_mut("default").unwrap().state = Switch::Disabled;
        check(&world, due(), &["1 waits until 310: sender \"default\" is not enabled"]);
        world.config.senders.clear();
        check(&world, due(), &["1 waits until 310: sender \"default\" is not declared"]);
    }

    #[test]
    fn a_crowd_before_a_slow_server_makes_room() {
        let mut world = world();
        let lane = Lane { busy: 2, busy_since: Some(at(1)), ..Lane::default() };
        world.lanes.insert("relay".into(), lane);
        check(&world, vec![mail(1, 1, "eve")], &[]);
        world.crowded = true;
        check(&world, vec![mail(1, 1, "eve")], &["1 waits until 40: -"]);
    }
}

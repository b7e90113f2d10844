//! Lists and the search over tickets that real mails and commands made: against plain readings of
//! all tickets, after restarts, without its index, and with a damaged one.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use postroom::config;
use postroom::core::address::Address;
use postroom::core::config::Config;
use postroom::core::intake::judge;
use postroom::core::mail::{Digest, parse};
use postroom::core::ticket::{Actor, Command, Priority, State, Ticket};
use postroom::store::{SortBy, Spool, Store, TicketQuery, ToRecord};

use super::mails::{account, address, at, location};
use super::sound;

const CONFIG: &str = r#"
version: 1
desk: {name: Desk, hook: "Ticket#", systemId: "10"}
senders: {default: {from: "Desk <desk@acme.test>", via: [files]}}
smtp: {files: {type: file, directory: /nowhere}}
queues: {support: {}, sales: {}, 経理: {}}
systemAddresses:
  support@acme.test: {name: Support, queue: support}
  sales@acme.test: {name: Sales, queue: sales}
  keiri@acme.test: {name: 経理, queue: 経理}
users:
  alice: {email: alice@acme.test, role: user}
  bob: {email: bob@acme.test, role: user}
"#;

/// A desk with a real store.
pub(super) struct Desk {
    directory: tempfile::TempDir,
    store: Option<Store>,
    config: Arc<Config>,
    mails: usize,
}

impl Desk {
    pub(super) fn new() -> Desk {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("desk.yaml");
        fs::write(&file, CONFIG).unwrap();
        let loaded = config::load(&[file]);
        assert_eq!(loaded.problems, []);
        let store = Some(Store::open(&directory.path().join("data")).unwrap());
        let config = Arc::new(loaded.config.unwrap());
        Desk { directory, store, config, mails: 0 }
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn data(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    /// Closes the store, does something to its files, and opens it again.
    pub(super) fn reopen(&mut self, meanwhile: impl FnOnce(&Path)) {
        self.store = None;
        meanwhile(&self.data());
        self.store = Some(Store::open(&self.data()).unwrap());
    }

    /// A mail comes in; the number of its ticket.
    pub(super) async fn mail(&mut self, from: &str, to: &str, subject: &str, text: &str) -> String {
        self.mails += 1;
        let number = self.mails;
        let raw = format!(
            "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{number}@cust.test>\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        );
        let place = location(&format!("INBOX/7/{number}"));
        let raw = Arc::new(raw.into_bytes());
        let spool = Spool { location: place.clone(), raw: raw.clone(), headers_only: false };
        self.store().spool("one", vec![spool]).await.unwrap();
        let account = account("one");
        let judgement = judge(&self.config, &account, &parse(&raw));
        let mail = ToRecord {
            config: self.config.clone(),
            account,
            location: place,
            digest: Digest::of(&raw),
            judgement: Ok(Box::new(judgement)),
            now: at(number as i64),
            released: None,
        };
        self.store().record(vec![mail]).await.unwrap().remove(0).ticket.unwrap()
    }

    pub(super) async fn order(&self, number: &str, command: Command, now: Timestamp) {
        let actor = Actor::Agent("alice".into());
        let done = self.store().command(self.config.clone(), number, vec![command], actor, now);
        done.await.unwrap();
    }

    fn find(&self, text: &str) -> Vec<String> {
        let query = TicketQuery {
            text: Some(text.into()),
            hook: "Ticket#".into(),
            ..TicketQuery::default()
        };
        let page = self.store().tickets(&query, None, 100).unwrap();
        page.items.into_iter().map(|ticket| ticket.number).collect()
    }

    fn indexed(&self) {
        self.store().index_now().unwrap();
    }
}

/// Looks for a text and expects the tickets of these numbers.
#[track_caller]
fn check(desk: &Desk, text: &str, expected: &[&String]) {
    assert_eq!(desk.find(text).iter().collect::<Vec<_>>(), expected, "{text}");
}

/// Expects the tickets of these numbers to be those of a customer.
#[track_caller]
fn check_of(desk: &Desk, customer: &str, expected: &[&String]) {
    let query = TicketQuery { customer: Some(address(customer)), ..TicketQuery::default() };
    let found = desk.store().tickets(&query, None, 10).unwrap().items;
    assert_eq!(found.iter().map(|ticket| &ticket.number).collect::<Vec<_>>(), expected);
}

// The search.

#[tokio::test]
async fn tickets_are_found_by_what_stands_in_them() {
    let mut desk = Desk::new();
    let to = "support@acme.test";
    let jam = desk.mail("鈴木 <suzuki@kyaku.test>", to, "複合機", "紙詰まりが直りません。").await;
    let vpn = desk.mail("Eve <eve@cust.test>", to, "VPN down", "The tunnel drops.").await;
    desk.order(&vpn, note("ask 鈴木 about the ﾄﾝﾈﾙ"), at(100)).await;
    // Found before and after the index has read it.
    for _ in 0..2 {
        check(&desk, "紙詰まり", &[&jam]);
        check(&desk, "suzuki@kyaku.test", &[&jam]);
        check(&desk, "tunn", &[&vpn]);
        check(&desk, "トンネル", &[&vpn]);
        check(&desk, "鈴木", &[&vpn, &jam]);
        check(&desk, "vpn トンネル eve", &[&vpn]);
        check(&desk, &format!("[Ticket#{jam}]"), &[&jam]);
        check(&desk, "unnel", &[]);
        check(&desk, "紙詰まり vpn", &[]);
        desk.indexed();
    }
    desk.order(&vpn, Command::SetTitle("Gateway replaced".into()), at(101)).await;
    for _ in 0..2 {
        check(&desk, "gateway", &[&vpn]);
        desk.indexed();
    }
    sound(desk.store());
}

fn note(text: &str) -> Command {
    Command::Note { subject: String::new(), text: text.into(), visible_for_customer: false }
}

#[tokio::test]
async fn a_customer_has_his_tickets() {
    let mut desk = Desk::new();
    let eve = desk.mail("Eve <eve@cust.test>", "support@acme.test", "one", "text").await;
    let bob = desk.mail("Bob <bob@cust.test>", "support@acme.test", "two", "eve@cust.test").await;
    for _ in 0..2 {
        check_of(&desk, "eve@cust.test", &[&eve]);
        desk.indexed();
    }
    desk.order(&bob, Command::SetCustomer(address("eve@cust.test")), at(50)).await;
    for _ in 0..2 {
        check_of(&desk, "eve@cust.test", &[&bob, &eve]);
        check_of(&desk, "bob@cust.test", &[]);
        desk.indexed();
    }
    sound(desk.store());
}

/// Whatever became of its file, the index is whole again.
#[tokio::test]
async fn an_index_that_is_gone_or_damaged_is_made_again() {
    let mut desk = Desk::new();
    let old = desk.mail("Eve <eve@cust.test>", "support@acme.test", "old", "firewood").await;
    desk.indexed();
    // What the search has read need not be told again: the rebuild reads the tickets themselves.
    desk.store().clean(at(9_999_999)).await.unwrap();
    let index = |data: &Path| data.join("search.redb");
    let copy = desk.directory.path().join("older.redb");
    desk.reopen(|data| {
        fs::copy(index(data), &copy).unwrap();
    });
    let new = desk.mail("Eve <eve@cust.test>", "support@acme.test", "new", "firetruck").await;
    desk.indexed();
    let (gone, damaged) = (
        |data: &Path| fs::remove_file(index(data)).unwrap(),
        |data: &Path| {
            fs::write(index(data), b"not a database").unwrap();
        },
    );
    let older = |data: &Path| {
        fs::copy(&copy, index(data)).unwrap();
    };
    let ways: [&dyn Fn(&Path); 3] = [&gone, &damaged, &older];
    for way in ways {
        desk.reopen(way);
        desk.indexed();
        check(&desk, "fire", &[&new, &old]);
        sound(desk.store());
    }
}

#[tokio::test]
async fn an_index_of_another_store_or_ahead_of_this_one_is_not_used() {
    let mut desk = Desk::new();
    desk.mail("Eve <eve@cust.test>", "support@acme.test", "one", "firewood").await;
    desk.indexed();
    let backup = desk.directory.path().join("backup");
    desk.store().backup(&backup).await.unwrap();
    let two = desk.mail("Eve <eve@cust.test>", "support@acme.test", "two", "firetruck").await;
    desk.indexed();
    // The store is put back to where it was before the second mail; the index is not.
    desk.reopen(|data| {
        fs::copy(backup.join("postroom.redb"), data.join("postroom.redb")).unwrap();
    });
    let again = desk.mail("Eve <eve@cust.test>", "support@acme.test", "three", "brigade").await;
    desk.indexed();
    assert_eq!(again, two, "the number is free again");
    check(&desk, "brigade", &[&again]);
    check(&desk, "firetruck", &[]);
    sound(desk.store());

    let mut other = Desk::new();
    let number = other.mail("Eve <eve@cust.test>", "support@acme.test", "x", "lantern").await;
    other.indexed();
    let foreign = desk.data().join("search.redb");
    desk.store = None;
    other.reopen(|data| {
        fs::copy(foreign, data.join("search.redb")).unwrap();
    });
    other.indexed();
    check(&other, "lantern", &[&number]);
    check(&other, "firewood", &[]);
}

#[tokio::test]
async fn the_search_finds_all_of_many() {
    let mut desk = Desk::new();
    for number in 0..1_100 {
        let text = if number % 2 == 0 { "common even 偶数" } else { "common odd 奇数" };
        desk.mail("Eve <eve@cust.test>", "support@acme.test", &format!("no{number}"), text).await;
    }
    desk.indexed();
    let all = |text: &str| {
        let query = TicketQuery { text: Some(text.into()), ..TicketQuery::default() };
        everything(desk.store(), &query, 97).len()
    };
    assert_eq!(all("common"), 1_100);
    assert_eq!(all("even"), 550);
    assert_eq!(all("奇数"), 550);
    assert_eq!(all("common no12"), 11);
    assert_eq!(desk.find("no1099 odd").len(), 1);
    sound(desk.store());
}

// Lists.

fn everything(store: &Store, query: &TicketQuery, limit: usize) -> Vec<Ticket> {
    let (mut tickets, mut after) = (Vec::new(), None);
    loop {
        let page = store.tickets(query, after, limit).unwrap();
        tickets.extend(page.items);
        after = page.next;
        if after.is_none() {
            return tickets;
        }
    }
}

/// A desk with tickets in all queues and states, with owners and priorities.
async fn busy_desk() -> Desk {
    let mut desk = Desk::new();
    let addresses = ["support@acme.test", "sales@acme.test", "keiri@acme.test", "x@y.test"];
    for number in 0..60_i64 {
        let from = format!("C <c{}@cust.test>", number % 3);
        let to = addresses[number as usize % 4];
        let ticket = desk.mail(&from, to, &format!("t{number}"), "text").await;
        // A spread that is the same in every run; several changes share an instant.
        let dice = number * 7_919 % 101;
        let now = at(1_000 + dice / 7);
        let states = [
            State::Open,
            State::Resolved,
            State::Closed { successful: true },
            State::Closed { successful: false },
        ];
        if let Some(state) = states.get(dice as usize % 6).copied() {
            let state = Command::SetState { state, pending_until: None };
            desk.order(&ticket, state, now).await;
        }
        if dice % 3 == 0 {
            let owner = if dice % 2 == 0 { "alice" } else { "bob" };
            desk.order(&ticket, Command::SetOwner(Some(owner.into())), now).await;
        }
        let priority = Priority::ALL[dice as usize % 5];
        desk.order(&ticket, Command::SetPriority(priority), now).await;
        if dice % 11 == 0 {
            desk.order(&ticket, Command::SetQueue("sales".into()), at(2_000)).await;
        }
    }
    desk
}

#[tokio::test]
async fn every_list_is_what_reading_all_tickets_gives() {
    let desk = busy_desk().await;
    desk.indexed();
    let all = everything(desk.store(), &TicketQuery::default(), 1_000);
    assert_eq!(all.len(), 60);
    let queues = [None, Some("support"), Some("sales"), Some("経理"), Some("Raw"), Some("none")];
    let states = [vec![], vec![State::New], vec![State::Open, State::Closed { successful: true }]];
    let owners = [None, Some("alice"), Some("")];
    let customers: [Option<Address>; 2] = [None, Some(address("c1@cust.test"))];
    for queue in queues {
        for states in &states {
            for owner in owners {
                for customer in &customers {
                    for sort in [SortBy::Created, SortBy::Updated, SortBy::Priority] {
                        for ascending in [false, true] {
                            let query = TicketQuery {
                                queue: queue.map(Into::into),
                                states: states.clone(),
                                owner: owner.map(Into::into),
                                customer: customer.clone(),
                                sort,
                                ascending,
                                ..TicketQuery::default()
                            };
                            compare(desk.store(), &query, &all);
                        }
                    }
                }
            }
        }
    }
    sound(desk.store());
}

fn compare(store: &Store, query: &TicketQuery, all: &[Ticket]) {
    let mut expected: Vec<&Ticket> = all.iter().filter(|ticket| fits(query, ticket)).collect();
    expected.sort_by_key(|ticket| match query.sort {
        SortBy::Created => (None, None, ticket.id),
        SortBy::Updated => (None, Some(ticket.updated), ticket.id),
        SortBy::Priority => (Some(ticket.priority), Some(ticket.updated), ticket.id),
    });
    if !query.ascending {
        expected.reverse();
    }
    for limit in [7, 1_000] {
        let found = everything(store, query, limit);
        let found: Vec<_> = found.iter().map(|ticket| &ticket.title).collect();
        let expected: Vec<_> = expected.iter().map(|ticket| &ticket.title).collect();
        assert_eq!(found, expected, "{query:?}");
    }
}

fn fits(query: &TicketQuery, ticket: &Ticket) -> bool {
    let customer = ticket.customer.as_ref().map(|customer| &customer.address);
    query.queue.as_ref().is_none_or(|queue| *queue == ticket.queue)
        && (query.states.is_empty() || query.states.contains(&ticket.state))
        && query.owner.as_ref().is_none_or(|owner| ticket.owner.as_deref().unwrap_or("") == owner)
        && query.customer.as_ref().is_none_or(|wanted| customer == Some(wanted))
}

#[tokio::test]
async fn counts_are_what_reading_all_tickets_gives() {
    let desk = busy_desk().await;
    let all = everything(desk.store(), &TicketQuery::default(), 1_000);
    let counts = desk.store().queue_counts().unwrap();
    assert_eq!(counts.iter().map(|count| count.tickets).sum::<u64>(), 60);
    for count in counts {
        let same = |ticket: &&Ticket| ticket.queue == count.queue && ticket.state == count.state;
        assert_eq!(count.tickets, all.iter().filter(same).count() as u64, "{count:?}");
        assert_ne!(count.tickets, 0, "{count:?}");
    }
}

/// A page goes on where the last one ended, also when tickets move meanwhile.
#[tokio::test]
async fn a_page_goes_on_where_the_last_one_ended() {
    let mut desk = Desk::new();
    for number in 0..4 {
        desk.mail("e@cust.test", "support@acme.test", &format!("t{number}"), "text").await;
    }
    let query = TicketQuery { sort: SortBy::Updated, ..TicketQuery::default() };
    let first = desk.store().tickets(&query, None, 2).unwrap();
    let last = &first.items[1];
    assert_eq!((first.items[0].title.as_str(), last.title.as_str()), ("t3", "t2"));
    // The last of the page moves to the top.
    desk.order(&last.number, Command::SetPriority(Priority::High), at(500)).await;
    let cursor = first.next.unwrap().to_string().parse().unwrap();
    let second = desk.store().tickets(&query, Some(cursor), 5).unwrap();
    let titles: Vec<_> = second.items.iter().map(|ticket| ticket.title.as_str()).collect();
    assert_eq!((titles, second.next), (vec!["t1", "t0"], None));
}

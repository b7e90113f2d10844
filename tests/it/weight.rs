//! How heavy pages are when what they show is long: with style, script and icon each stays under
//! 60 kB.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::Method;
use postroom::config::{Problem, Severity};
use postroom::core::address::Address;
use postroom::core::config::{Channels, Language, Queue, Role, Sender, Switch};
use postroom::core::notify::EventKind;
use postroom::core::outgoing::Delivery;
use postroom::core::ticket::{Actor, Command};
use postroom::http::routes::{self, Access, Payload, Route};
use postroom::run::board::{ConditionKind, Kind};
use postroom::store::OutboxFilter;

use crate::http::{Desk, record_mail};
use crate::http_desk::reconfigure;
use crate::pages::{Signed, get};

/// Bytes of a page with everything that it loads by itself.
const PAGE_BYTES_MAX: usize = 60_000;
/// Agents, and queues, of a desk that has many.
const PEOPLE: usize = 20;
/// A long line, three bytes to each of its 900 characters.
const LONG: &str = "複合機の紙詰まりについての問い合わせ";

/// A mail of somebody with a long name and a long subject.
fn mail(number: usize, subject: &str, text: &str) -> String {
    let name = "長い名前".repeat(20);
    format!(
        "From: \"{name} {number}\" <person-{number}@{}.example>\r\nTo: desk@desk.example\r\n\
         Subject: {subject}\r\nMessage-ID: <{number}@customer.example>\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n",
        "department".repeat(5)
    )
}

/// Weighs a page that must be light.
async fn weigh(desk: &Desk, user: &str, path: &str) -> (usize, String) {
    let (bytes, page) = measure(desk, user, path).await;
    assert!(bytes < PAGE_BYTES_MAX, "{path} as {user} has {bytes} bytes");
    (bytes, page)
}

/// The page and every file that it names.
async fn measure(desk: &Desk, user: &str, path: &str) -> (usize, String) {
    let signed = Signed::of(desk, user).await;
    let (status, _, body) = desk.ask(get(path, Some(&signed.cookie))).await;
    assert_eq!(status, 200, "{path}");
    let page = String::from_utf8(body).unwrap();
    let mut bytes = page.len();
    let names = page.split('"').filter(|part| part.starts_with("/assets/"));
    for asset in names.collect::<BTreeSet<_>>() {
        let (status, _, body) = desk.ask(get(asset, None)).await;
        assert_eq!(status, 200, "{asset}");
        bytes += body.len();
    }
    println!("{path} as {user}: {bytes} bytes, of these {} of the page itself", page.len());
    (bytes, page)
}

#[tokio::test]
async fn fifty_tickets_with_long_titles() {
    let desk = Desk::new();
    let subject = LONG.repeat(50);
    for number in 0..55 {
        record_mail(&desk, &format!("new/{number}"), &mail(number, &subject, "x")).await;
    }
    for user in ["vera", "mona"] {
        let (_, page) = weigh(&desk, user, "/").await;
        assert_eq!(page.matches("data-row").count(), 40);
        assert_eq!(
            weigh(&desk, user, "/customers").await.1.matches("href=\"/customers/").count(),
            50
        );
        weigh(&desk, user, "/mails").await;
    }
}

#[tokio::test]
async fn a_ticket_of_a_hundred_articles() {
    let desk = Desk::new();
    reconfigure(&desk, |config| {
        let around = format!("{}\n{{{{ text }}}}\n{}", LONG.repeat(10), LONG.repeat(10));
        config.queues.get_mut("Raw").unwrap().answer = [(Language::Ja, around)].into();
        config.users.get_mut("adam").unwrap().language = Language::Ja;
    });
    let number = record_mail(&desk, "new/0", &mail(0, &LONG.repeat(50), &LONG.repeat(40))).await;
    let config = desk.handle.running.load().config.clone();
    for count in 1..100 {
        let command = Command::Note {
            subject: LONG.repeat(50),
            text: format!("{count} {}", LONG.repeat(40)),
            visible_for_customer: false,
        };
        let actor = Actor::Agent("ulla".into());
        let now = desk.handle.clock.now();
        let done = desk.handle.store.command(config.clone(), &number, vec![command], actor, now);
        done.await.unwrap();
    }
    for user in ["vera", "ulla", "adam"] {
        let (_, page) = weigh(&desk, user, &format!("/tickets/{number}")).await;
        assert!(page.contains("99 複合機"), "the newest is shown with its text");
        for other in ["?page=1", "?history=60"] {
            weigh(&desk, user, &format!("/tickets/{number}{other}")).await;
        }
        // Each of them can be read, whatever page it is on.
        let first = format!("/tickets/{number}?page=1&article=1");
        assert!(weigh(&desk, user, &first).await.1.contains("複合機の紙詰まり"));
    }
}

/// Pages whose address leads to something, by their route.
fn address(route: &str, number: &str, mail: u64, article: u64) -> String {
    route
        .replace("/mails/{id}", &format!("/mails/{mail}"))
        .replace("{number}", number)
        .replace("{id}", &article.to_string())
        .replace("{address}", "person@customer.example")
}

/// Everything that a desk can have much of: long names, lines without end, errors that say a lot.
async fn full() -> (Desk, String) {
    let desk = Desk::new();
    let long = LONG.repeat(20);
    reconfigure(&desk, |config| {
        for number in 0..PEOPLE {
            let mut user = config.users["vera"].clone();
            user.name = format!("agent-{number}");
            user.full_name = format!("{number} {}", "長い名前".repeat(3));
            config.users.insert(user.name.clone(), user);
            let queue = Queue::named(&format!("queue-{number}-department"));
            config.queues.insert(queue.name.clone(), queue);
        }
        let sender = Sender {
            name: "default".into(),
            from_name: "Desk".into(),
            from: Address::parse("desk@desk.example").unwrap(),
            envelope_from: None,
            via: vec!["nowhere".into()],
            state: Switch::Enabled,
        };
        config.senders.insert(sender.name.clone(), sender);
        for name in ["vera", "mona", "adam"] {
            let user = config.users.get_mut(name).unwrap();
            let all = Channels { mail: true, web: true };
            user.subscriptions.queues.insert("Raw".into());
            user.subscriptions.events.insert(EventKind::TicketCreated, all.into());
        }
        config.users.get_mut("mona").unwrap().language = Language::Ja;
    });
    let mut number = String::new();
    for count in 0..60 {
        let letter = format!(
            "From: \"{}\" <person@customer.example>\r\nTo: desk@desk.example\r\nSubject: {count} {long}\r\n\
             Message-ID: <{count}@customer.example>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n",
            "長い名前".repeat(20),
            "<&\">".repeat(1_000)
        );
        number = record_mail(&desk, &format!("new/{count}"), &letter).await;
    }
    // One whose source is long. It has no ticket of its own.
    let source = format!(
        "From: x@y.example\r\nSubject: {long}\r\nIn-Reply-To: <59@customer.example>\r\n\r\n{}",
        "<&\">\u{202E}".repeat(20_000)
    );
    record_mail(&desk, "new/long", &source).await;
    for mail in desk.handle.store.outbox(OutboxFilter::All, None, 100).unwrap().items {
        let at = desk.handle.clock.now();
        let dead = Delivery::Dead { at, reason: format!("550 {long}") };
        desk.handle.store.delivered(vec![(mail.id, dead)]).await.unwrap();
    }
    for count in 0..200 {
        for kind in [Kind::MailAccount, Kind::Smtp] {
            let name = format!("account-{count}-{}", "department".repeat(5));
            let said = format!("could not connect: {long}");
            let now = desk.handle.clock.now();
            desk.handle.board.update(kind, &name, |object| {
                for (condition, status) in [
                    (ConditionKind::Ready, false),
                    (ConditionKind::Reachable, false),
                    (ConditionKind::Authenticated, true),
                    (ConditionKind::Suspended, false),
                ] {
                    object.set(condition, Some(status), "ConnectionRefused", &said, now);
                }
            });
        }
    }
    let problem = |line: usize| Problem {
        severity: Severity::Error,
        file: "desk.yaml".into(),
        line,
        column: 5,
        path: format!("queues.{}", "department".repeat(10)),
        message: long.clone(),
        hint: long.clone(),
        rule: None,
    };
    desk.handle.rejected.store(Arc::new((0..500).map(problem).collect()));
    (desk, number)
}

#[tokio::test]
async fn every_page_of_a_full_desk() {
    let (desk, number) = full().await;
    let mail = desk.handle.store.mails(None, 1).unwrap().items[0].id.0;
    let article = desk.handle.store.ticket(&number).unwrap().unwrap().articles[0].id.0;
    let html = |route: &Route| matches!(route.gives, Payload::Bytes("text/html"));
    let (mut weighed, mut heavy) = (0, Vec::new());
    for route in routes::all() {
        let page = matches!(route.access, Access::Page(Some(_))) && route.method == Method::GET;
        // What a stranger wrote as HTML is as long as he wrote it, in a frame of its own.
        if !page || !html(&route) || route.path.ends_with("/html") {
            continue;
        }
        for user in ["adam", "mona"] {
            let path = address(route.path, &number, mail, article);
            if user == "mona" && route.access == Access::Page(Some(Role::Admin)) {
                continue;
            }
            let (bytes, _) = measure(&desk, user, &path).await;
            if bytes >= PAGE_BYTES_MAX {
                heavy.push((path, bytes));
            }
            weighed += 1;
        }
    }
    assert!(heavy.is_empty(), "{heavy:?}");
    assert!(weighed >= 24, "only {weighed} pages were weighed");
}

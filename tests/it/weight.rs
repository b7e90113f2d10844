//! How heavy pages are when what they show is long: with style, script and icon each stays under
//! 60 kB.

use std::collections::BTreeSet;

use postroom::core::config::Language;
use postroom::core::ticket::{Actor, Command};

use crate::http::{Desk, record_mail};
use crate::http_desk::reconfigure;
use crate::pages::{Signed, get};

/// Bytes of a page with everything that it loads by itself.
const PAGE_BYTES_MAX: usize = 60_000;
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

/// The page and every file that it names.
async fn weigh(desk: &Desk, user: &str, path: &str) -> (usize, String) {
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
    assert!(bytes < PAGE_BYTES_MAX, "{path} as {user} has {bytes} bytes");
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
        assert_eq!(page.matches("data-row").count(), 50);
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

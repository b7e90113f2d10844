//! Pages in a real browser when everything on them is long: queues, names, subjects without a space,
//! answers of servers. Nothing is wider than its screen, on a desk or in a hand, and no row of a list
//! is stretched to many lines by one of its cells.

use std::path::PathBuf;

use postroom::core::address::Address;
use postroom::core::ticket::{Actor, Command, Priority, State, Watcher};
use postroom::password;
use secrecy::SecretString;

use crate::browser::{Browser, ENTER};
use crate::daemon::{Daemon, until};

const PASSWORD: &str = "correct horse battery";
/// Widths of the screens, in pixels.
const WIDTHS: [u32; 2] = [1280, 390];
/// Pixels of the bar at the top of a wide screen: one line.
const BAR_PIXELS_MAX: u64 = 64;
/// Pixels of a row of a list on a wide screen: about four lines.
const ROW_PIXELS_MAX: u64 = 120;
/// Mails that become tickets.
const TICKETS: usize = 24;

const DESK: &str = "version: 1
desk: {name: サンプル株式会社 情報システム部門 お問い合わせ窓口, language: ja, timeZone: Asia/Tokyo}
mailAccounts:
  support: {type: maildir, path: '{dir}/mail', dispatch: {by: recipient}, pollInterval: 1s, afterFetch: keep, since: all, maxSize: 64KiB, oversize: quarantine}
  a-mailbox-with-a-name-that-somebody-thought-about-for-a-long-time: {type: imap, host: localhost, port: 1, username: desk, password: {secret: hash}, dispatch: {by: recipient}, afterFetch: keep}
queues:
  support: {sender: default}
  お問い合わせ（一般・製品・修理・返品・請求）: {sender: default}
  second-level-support-for-customers-abroad: {sender: default}
  Verwaltungsangelegenheitenbearbeitungsstelle: {}
  sales: {}
  billing: {}
systemAddresses:
  support@corp.example: {name: サポート窓口, queue: support}
  long@corp.example: {name: Long, queue: お問い合わせ（一般・製品・修理・返品・請求）}
  abroad@corp.example: {name: Abroad, queue: second-level-support-for-customers-abroad}
smtp:
  relay-of-the-data-centre-in-the-north: {type: smtp, host: 127.0.0.1, port: 1}
senders:
  default: {from: Desk <notify@corp.example>, via: [relay-of-the-data-centre-in-the-north]}
users:
  adam: {email: adam@corp.example, name: Adam Bartholomew Featherstonehaugh-Cholmondeley, language: en, role: admin, passwordHash: {secret: hash}, subscriptions: {queues: [support], events: {ticketCreated: [web, mail]}}}
  kenji: {email: kenji@corp.example, name: 勅使河原 健二郎左衛門, language: ja, role: admin, passwordHash: {secret: hash}, subscriptions: {queues: [support], events: {ticketCreated: [web, mail]}}}
";

/// Pages of an administrator.
const PAGES: &[&str] = &[
    "/",
    "/?q=nothing-of-that-name",
    "/me",
    "/notifications",
    "/customers",
    "/customers/{customer}",
    "/tickets/{number}",
    "/tickets/{number}?html=1",
    "/tickets/{number}/audience?event=followUpUnlocked",
    "/tickets/0",
    "/mails",
    "/mails/1",
    "/mails/{large}",
    "/quarantine",
    "/outbox",
    "/accounts",
    "/configuration",
];

/// A subject, in turn: Japanese without a space, one word of Latin letters, and a common one.
fn subject(number: usize) -> String {
    match number % 4 {
        0 => "【至急】三階の複合機で紙詰まりが直らず請求書を印刷できないため至急ご対応をお願いいたします".repeat(2),
        1 => "Re: Fwd: ".to_owned() + &"Donaudampfschifffahrtsgesellschaft".repeat(5),
        2 => format!("Printer on floor {number} is out of paper"),
        _ => "見積依頼".to_owned(),
    }
}

fn customer(number: usize) -> String {
    match number % 3 {
        0 => format!("a.person.with.a.long.address.{number}@{}.example", "department.of".repeat(3)),
        _ => format!("eve{number}@customer.example"),
    }
}

fn mail(number: usize, text: &str) -> String {
    let queue = ["support", "long", "abroad"][number % 3];
    format!(
        "From: =?UTF-8?B?5Yuf5L2/5rKz5Y6f5aSq6YOO5bem6KGb6ZaA5bC+?= <{}>\r\n\
         To: {queue}@corp.example, {}\r\nSubject: {}\r\nMessage-ID: <{number}@{}.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n\
         --b\r\nContent-Type: application/octet-stream\r\n\
         Content-Disposition: attachment; filename=\"{}.pdf\"\r\n\r\nx\r\n--b--\r\n",
        customer(number),
        (0..12).map(|at| format!("colleague{at}@customer.example")).collect::<Vec<_>>().join(", "),
        subject(number),
        "host".repeat(20),
        "scan_of_the_contract_".repeat(8),
    )
}

/// A text with lines that cannot be broken at a space.
fn text(number: usize) -> String {
    format!(
        "お世話になっております。サンプル株式会社の勅使河原です。\r\n\r\n{}\r\n\
         https://customer.example/{}\r\n\r\n> 前回\r\n> 一\r\n> 二\r\n> 三\r\n{number}",
        "三階の複合機で紙詰まりが直りません。".repeat(8),
        "path/".repeat(60)
    )
}

/// A desk full of what is long, the number of a ticket on which everything has happened, and the
/// mail that was too large.
async fn desk() -> (Daemon, String, u64) {
    let mut daemon = Daemon::prepare(DESK);
    let hash = password::hash(&SecretString::from(PASSWORD)).unwrap();
    std::fs::create_dir_all(daemon.path("secrets")).unwrap();
    std::fs::write(daemon.path("secrets/hash"), hash).unwrap();
    daemon.again().await;
    for number in 0..TICKETS {
        daemon.deliver(&format!("{number:03}"), mail(number, &text(number)).as_bytes());
    }
    daemon.mails(TICKETS).await;
    daemon.deliver("large", mail(TICKETS, &"x".repeat(70_000)).as_bytes());
    let mails = daemon.mails(TICKETS + 1).await;
    let large = mails.last().unwrap().id.0;
    let tickets: Vec<String> = mails.iter().filter_map(|mail| mail.ticket.clone()).collect();
    assert_eq!(tickets.len(), TICKETS);
    let (first, others) = tickets.split_first().unwrap();
    work(&daemon, first).await;
    for (number, at) in others.iter().zip([Priority::VeryHigh, Priority::High, Priority::Low]) {
        let owner = Command::SetOwner(Some("adam".into()));
        command(&daemon, number, vec![owner, Command::SetPriority(at), Command::SetLock(true)])
            .await;
    }
    daemon.write(&DESK.replace(
        "  billing: {}\n",
        &format!(
            "  billing: {{autoReplies: {{new: {}}}}}\n",
            "a-reply-that-nobody-declared-".repeat(6)
        ),
    ));
    daemon.app().handle().reload(postroom::app::Trigger::Http, false).await;
    until("a mail that could not go out", || {
        let store = &daemon.app().handle().store;
        let owed = store.outbox(postroom::store::OutboxFilter::Due, None, 100).unwrap().items;
        owed.iter().any(|mail| format!("{:?}", mail.delivery).contains("refused")).then_some(())
    })
    .await;
    (daemon, first.clone(), large)
}

/// Everything that can happen to a ticket and makes its page longer.
async fn work(daemon: &Daemon, number: &str) {
    let address = |text: &str| Address::parse(text).unwrap();
    let commands = vec![
        Command::SetOwner(Some("kenji".into())),
        Command::SetResponsible(Some("adam".into())),
        Command::SetLock(true),
        Command::SetPriority(Priority::VeryHigh),
        Command::SetState { state: State::Open, pending_until: None },
        Command::Watch(Watcher::Agent("adam".into())),
        Command::Watch(Watcher::Customer(address(&customer(3)))),
        Command::Note { subject: subject(1), text: text(1), visible_for_customer: false },
        Command::Reply { text: text(2), to: Vec::new(), cc: Vec::new(), subject: None },
    ];
    command(daemon, number, commands).await;
}

async fn command(daemon: &Daemon, number: &str, commands: Vec<Command>) {
    let handle = daemon.app().handle();
    let config = handle.running.load().config.clone();
    let actor = Actor::Agent("adam".into());
    let now = handle.clock.now();
    handle.store.command(config, number, commands, actor, now).await.unwrap();
}

fn sign_in(daemon: &Daemon, browser: &Browser, name: &str) {
    browser.forget();
    browser.open(&format!("http://{}/sign-in", daemon.app().addr()));
    browser.fill("#name", name);
    browser.fill("#password", PASSWORD);
    browser.press(ENTER);
    browser.find(".bar");
}

/// What sticks out of the screen to the right, or has to be pushed sideways to be read.
fn too_wide(browser: &Browser) -> String {
    let found = browser.script(
        "const root = document.documentElement;
         const boxes = [root, ...document.querySelectorAll('.scroll')];
         const wide = boxes.filter((it) => it.scrollWidth > it.clientWidth + 1);
         const out = wide.flatMap((box) => {
           const edge = box.getBoundingClientRect().left + box.clientWidth;
           return [...box.querySelectorAll('*')]
             .filter((it) => it.getBoundingClientRect().right > edge + 1)
             .map((it) => it.outerHTML.slice(0, 120));
         });
         return wide.length ? `${wide[0].scrollWidth} of ${wide[0].clientWidth} pixels: `
           + out.slice(0, 8).join(' | ') : '';",
    );
    found.as_str().unwrap().to_owned()
}

/// Pixels of the highest element of these; 0 if there is none.
fn highest(browser: &Browser, css: &str) -> u64 {
    let found = browser.script(&format!(
        "return Math.ceil(Math.max(0, ...[...document.querySelectorAll('{css}')]
           .map((it) => it.getBoundingClientRect().height)))"
    ));
    found.as_u64().unwrap()
}

/// Shows a page to whoever asks for it: `POSTROOM_SCREENSHOTS=DIR`, whole.
fn shoot(browser: &Browser, name: &str, width: u32) {
    let Some(folder) = std::env::var_os("POSTROOM_SCREENSHOTS").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    let height = browser.script("return document.documentElement.scrollHeight").as_u64().unwrap();
    let height = u32::try_from(height).unwrap().clamp(800, 2600);
    for (look, dark) in [("", false), ("-dark", true)] {
        browser.look(width, height, dark);
        browser.screenshot(&folder.join(format!("long-{name}-{width}{look}.png")));
    }
    browser.look(width, 800, false);
}

/// One box ticks all tickets of the page, and is not ticked itself when one of them is not.
fn ticks_all(daemon: &Daemon, browser: &Browser) {
    browser.look(WIDTHS[0], 800, false);
    browser.open(&format!("http://{}/", daemon.app().addr()));
    let ticked = || browser.all("input[name=ticket]:checked").len();
    browser.click("[data-all]");
    assert_eq!(ticked(), TICKETS);
    browser.click("tbody tr:nth-child(2) input[name=ticket]");
    assert_eq!(ticked(), TICKETS - 1);
    assert!(browser.all("[data-all]:checked").is_empty(), "one of them is not ticked");
    browser.click("[data-all]");
    browser.click("[data-all]");
    assert_eq!(ticked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_is_wider_than_its_screen() {
    let Some(browser) = Browser::start() else { return };
    let (daemon, number, large) = desk().await;
    for user in ["adam", "kenji"] {
        sign_in(&daemon, &browser, user);
        for page in PAGES {
            let path = page
                .replace("{number}", &number)
                .replace("{large}", &large.to_string())
                .replace("{customer}", &customer(0));
            for width in WIDTHS {
                browser.look(width, 800, false);
                browser.open(&format!("http://{}{path}", daemon.app().addr()));
                browser.find("main h1");
                let name = page.replace(['/', '?', '=', '{', '}'], "-");
                shoot(&browser, &format!("{user}{name}"), width);
                let wide = too_wide(&browser);
                assert_eq!(wide, "", "{page} as {user} at {width}");
                if width == WIDTHS[0] {
                    let (bar, row) = (highest(&browser, ".bar"), highest(&browser, "tbody tr"));
                    assert!(bar <= BAR_PIXELS_MAX, "{page} as {user}: a bar of {bar} pixels");
                    assert!(row <= ROW_PIXELS_MAX, "{page} as {user}: a row of {row} pixels");
                } else if let Some(found) = browser.accessibility() {
                    assert!(found.is_empty(), "{page} as {user} at {width}: {found:#?}");
                }
            }
        }
    }
    ticks_all(&daemon, &browser);
}

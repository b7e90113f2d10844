//! The frame and the administrators' pages in a real browser.

use std::path::PathBuf;

use postroom::password;
use secrecy::SecretString;

use crate::browser::{Browser, ENTER};
use crate::daemon::Daemon;

const PASSWORD: &str = "correct horse battery";

const DESK: &str = "version: 1
desk: {name: ACME Helpdesk}
mailAccounts:
  support: {type: maildir, path: '{dir}/mail', dispatch: {by: queue, queue: support}, pollInterval: 1s, afterFetch: keep, since: all}
queues:
  support: {}
smtp:
  files: {type: file, directory: '{dir}/outgoing'}
senders:
  default: {from: Desk <notify@corp.example>, via: [files]}
users:
  adam: {email: adam@corp.example, name: Adam Admin, role: admin, passwordHash: {secret: adam}, subscriptions: {queues: [support], events: {ticketCreated: [web]}}}
  kenji: {email: kenji@corp.example, name: 鈴木 健二, language: ja, role: manager, passwordHash: {secret: adam}}
";

/// A desk on which everybody has [`PASSWORD`], and a browser; `None` without one.
async fn desk() -> Option<(Daemon, Browser)> {
    let browser = Browser::start()?;
    let daemon = Daemon::prepare(DESK);
    let hash = password::hash(&SecretString::from(PASSWORD)).unwrap();
    std::fs::create_dir_all(daemon.path("secrets")).unwrap();
    std::fs::write(daemon.path("secrets/adam"), hash).unwrap();
    let mut daemon = daemon;
    daemon.again().await;
    Some((daemon, browser))
}

fn url(daemon: &Daemon, path: &str) -> String {
    format!("http://{}{path}", daemon.app().addr())
}

/// Signs in by keyboard alone: the field for the name has the focus.
fn sign_in(daemon: &Daemon, browser: &Browser, name: &str) {
    browser.forget();
    browser.open(&url(daemon, "/sign-in"));
    browser.press(name);
    browser.fill("#password", PASSWORD);
    browser.press(ENTER);
    browser.find(".bar");
}

/// Shows a page to the developer who asks for it: `POSTROOM_SCREENSHOTS=DIR`.
fn shoot(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("POSTROOM_SCREENSHOTS").map(PathBuf::from) {
        std::fs::create_dir_all(&folder).unwrap();
        for (look, width, dark) in
            [("wide", 1280, false), ("dark", 1280, true), ("narrow", 390, false)]
        {
            browser.look(width, 800, dark);
            browser.screenshot(&folder.join(format!("{name}-{look}.png")));
        }
        browser.look(1280, 800, false);
    }
}

fn check_accessible(browser: &Browser, page: &str) {
    for dark in [false, true] {
        browser.look(1280, 800, dark);
        if let Some(found) = browser.accessibility() {
            assert!(found.is_empty(), "{page}, dark: {dark}: {found:#?}");
        }
    }
    browser.look(1280, 800, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_accessible_and_quiet() {
    let Some((daemon, browser)) = desk().await else { return };
    daemon.deliver("1", b"From: Eve <eve@customer.example>\r\nTo: desk@corp.example\r\nSubject: printer\r\nMessage-ID: <1@customer.example>\r\n\r\nIt burns.\r\n");
    daemon.mails(1).await;
    browser.open(&url(&daemon, "/"));
    assert_eq!(browser.path(), "/sign-in", "nobody is signed in");
    check_accessible(&browser, "/sign-in");
    shoot(&browser, "sign-in");
    for (user, pages) in [("adam", ["/", "/me"].as_slice()), ("kenji", ["/", "/me"].as_slice())] {
        sign_in(&daemon, &browser, user);
        for page in pages {
            browser.open(&url(&daemon, page));
            browser.find("main h1");
            check_accessible(&browser, page);
            let name = page.trim_matches('/').replace('/', "-");
            shoot(&browser, &format!("{user}-{}", if name.is_empty() { "home" } else { &name }));
        }
    }
    browser.press("/");
    let focus = browser.script("return document.activeElement.name");
    assert_eq!(focus, "q", "the key of the search");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_and_out_by_hand() {
    let Some((daemon, browser)) = desk().await else { return };
    browser.open(&url(&daemon, "/me"));
    browser.fill("#name", "adam");
    browser.fill("#password", "wrong horse");
    browser.click("button[type=submit]");
    assert_eq!(browser.text(".notice"), "User name or password is wrong.");
    assert_eq!(browser.script("return document.querySelector('#name').value"), "adam");
    browser.fill("#password", PASSWORD);
    browser.click("button[type=submit]");
    assert_eq!(browser.path(), "/me", "back where one wanted to go");
    let cookies = browser.script("return document.cookie");
    assert_eq!(cookies, "", "no script sees the cookie");
    browser.click(".menu summary");
    browser.click(".menu form button");
    assert_eq!(browser.text(".notice"), "You are signed out.");
    browser.open(&url(&daemon, "/me"));
    assert!(browser.path().starts_with("/sign-in"), "{}", browser.path());
}

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
  support: {type: maildir, path: '{dir}/mail', dispatch: {by: queue, queue: support}, pollInterval: 1s, afterFetch: keep, since: all, maxSize: 1KiB, oversize: quarantine}
  broken: {type: imap, host: 127.0.0.1, port: 1, username: desk, password: {secret: adam}, dispatch: {by: recipient}, afterFetch: keep}
queues:
  support:
    answer:
      en: |
        Dear {{ customer.name }},

        {{ text }}

        Kind regards
        {{ agent.name }}
      ja: |
        {{ customer.name }} 様

        {{ text }}

        {{ agent.name }}
smtp:
  files: {type: file, directory: '{dir}/outgoing'}
senders:
  default: {from: Desk <notify@corp.example>, via: [files]}
users:
  adam: {email: adam@corp.example, name: Adam Admin, role: admin, passwordHash: {secret: adam}, subscriptions: {queues: [support], events: {ticketCreated: [web, mail]}}}
  kenji: {email: kenji@corp.example, name: 鈴木 健二, language: ja, role: admin, passwordHash: {secret: adam}}
";

/// What an administrator sees.
const ADMIN_PAGES: &[&str] = &[
    "/",
    "/me",
    "/notifications",
    "/customers",
    "/customers/eve@customer.example",
    "/customers?q=nobody",
    "/tickets/{number}",
    "/tickets/{number}/audience",
    "/mails",
    "/mails/1",
    "/mails/2",
    "/quarantine",
    "/outbox",
    "/accounts",
    "/configuration",
];

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

fn mail(subject: &str, text: &str, id: u32) -> Vec<u8> {
    format!(
        "From: Eve <eve@customer.example>\r\nTo: desk@corp.example\r\nSubject: {subject}\r\n\
         Message-ID: <{id}@customer.example>\r\n\r\n{text}\r\n"
    )
    .into_bytes()
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

/// Shows a page to the developer who asks for it: `POSTROOM_SCREENSHOTS=DIR`. Where the files of
/// the test lie is of no interest.
fn shoot(daemon: &Daemon, browser: &Browser, name: &str) {
    let scratch = serde_json::Value::from(daemon.path("").to_string_lossy());
    browser.script(&format!(
        "const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
         while (walk.nextNode()) {{
           walk.currentNode.data = walk.currentNode.data.replaceAll({scratch}, '/etc/postroom/');
         }}"
    ));
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
    daemon.deliver("1", &mail("printer", "It burns.", 1));
    let number = daemon.mails(1).await[0].ticket.clone().unwrap();
    daemon.deliver("2", &mail("請求書について", &"x".repeat(2000), 2));
    daemon.mails(2).await;
    browser.open(&url(&daemon, "/"));
    assert_eq!(browser.path(), "/sign-in", "nobody is signed in");
    check_accessible(&browser, "/sign-in");
    shoot(&daemon, &browser, "sign-in");
    for user in ["adam", "kenji"] {
        sign_in(&daemon, &browser, user);
        for page in ADMIN_PAGES {
            let page = &page.replace("{number}", &number);
            browser.open(&url(&daemon, page));
            browser.find("main h1");
            check_accessible(&browser, page);
            let name = page.replace(&number, "").replace(['/', '@', '?', '='], "-");
            let name = name.trim_matches('-');
            shoot(
                &daemon,
                &browser,
                &format!("{user}-{}", if name.is_empty() { "home" } else { name }),
            );
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
    browser.find(".bar");
    assert_eq!(browser.path(), "/me", "back where one wanted to go");
    let cookies = browser.script("return document.cookie");
    assert_eq!(cookies, "", "no script sees the cookie");
    browser.click(".menu summary");
    browser.click(".menu form button");
    assert_eq!(browser.text(".notice"), "You are signed out.");
    browser.open(&url(&daemon, "/me"));
    assert!(browser.path().starts_with("/sign-in"), "{}", browser.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_sees_to_a_mail_and_an_account() {
    let Some((daemon, browser)) = desk().await else { return };
    daemon.deliver("1", &mail("too large", &"x".repeat(2000), 1));
    daemon.mails(1).await;
    sign_in(&daemon, &browser, "kenji");
    browser.open(&url(&daemon, "/mails"));
    browser.choose("select[name=outcome]", "created");
    browser.click("form.filters button");
    assert_eq!(browser.text(".empty"), "ありません。", "no mail was created");
    browser.choose("select[name=outcome]", "quarantined");
    browser.click("form.filters button");
    browser.click("tbody tr a");
    assert_eq!(browser.path(), "/mails/1");
    assert!(browser.text("ol.trace").contains("larger than the account takes"));
    browser.click("button.danger");
    let asked = browser.alert();
    assert!(asked.contains("解放せずに"), "{asked}");
    assert_eq!(browser.text(".notice"), "メールを一覧から外しました。");

    browser.open(&url(&daemon, "/accounts"));
    browser.until("the broken account", || {
        browser.open(&url(&daemon, "/accounts"));
        browser.all(".badge.bad").into_iter().next()
    });
    browser.click("form[action='/accounts/broken/test'] button");
    assert!(browser.text(".notice.bad").contains("失敗しました"));
    browser.open(&url(&daemon, "/accounts"));
    browser.click("form[action='/accounts/support/test'] button");
    assert_eq!(browser.text(".notice"), "すべて正常です。");
    browser.open(&url(&daemon, "/accounts"));
    browser.click("form[action='/accounts/support/fetch'] button");
    assert_eq!(browser.text(".notice"), "メールボックスを確認しています。");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_revision_is_shown_with_its_place() {
    let Some((daemon, browser)) = desk().await else { return };
    sign_in(&daemon, &browser, "adam");
    daemon.write(&DESK.replace("queues:\n", "queues:\n  sales: {colour: red}\n"));
    browser.open(&url(&daemon, "/configuration"));
    browser.click("form[action='/configuration/reload'] button");
    assert!(browser.text(".notice").contains("refused"), "{}", browser.text(".notice"));
    let problems = browser.text("tbody");
    assert!(problems.contains("desk.yaml:7:") && problems.contains("colour"), "{problems}");
    daemon.write(&DESK.replace("queues:\n", "queues:\n  sales: {}\n"));
    browser.click("form[action='/configuration/reload'] button");
    let changes = browser.text("tbody");
    assert!(changes.contains("queues.sales"), "{changes}");
}

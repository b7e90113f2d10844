//! The frame and the administrators' pages in a real browser.

use axum::http::Method;
use postroom::core::config::TlsOptions;
use postroom::http::routes::{self, Access, Payload};
use postroom::net::http::{Client, Request};
use postroom::net::reach::Reach;
use postroom::password;
use secrecy::SecretString;

use crate::browser::{Browser, ENTER, TAB};
use crate::daemon::Daemon;
use crate::pictures;

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

/// What an administrator sees: the path, the route that it belongs to, and its picture in the
/// documentation if that is taken here.
const ADMIN_PAGES: &[(&str, &str, Option<&str>)] = &[
    ("/", "/", None),
    ("/me", "/me", Some("me")),
    ("/notifications", "/notifications", Some("notifications")),
    ("/customers", "/customers", Some("customers")),
    ("/customers/eve@customer.example", "/customers/{address}", Some("customer")),
    ("/customers?q=nobody", "/customers", None),
    ("/?q=nobody", "/", None),
    ("/tickets/{number}", "/tickets/{number}", None),
    ("/tickets/{number}/audience", "/tickets/{number}/audience", Some("audience")),
    ("/tickets/0", "/tickets/{number}", None),
    ("/mails", "/mails", Some("mails")),
    ("/mails/1", "/mails/{id}", Some("mail")),
    ("/mails/2", "/mails/{id}", None),
    ("/quarantine", "/quarantine", Some("quarantine")),
    ("/outbox", "/outbox", Some("outbox")),
    ("/accounts", "/accounts", Some("accounts")),
    ("/configuration", "/configuration", Some("configuration")),
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

/// Takes pictures of a page. Where the files of the test lie is of no interest.
fn shoot(daemon: &Daemon, browser: &Browser, name: &str) {
    let scratch = serde_json::Value::from(daemon.path("").to_string_lossy());
    browser.script(&format!(
        "const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
         while (walk.nextNode()) {{
           walk.currentNode.data = walk.currentNode.data.replaceAll({scratch}, '/etc/postroom/');
         }}"
    ));
    pictures::take(browser, name);
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

/// The other pages are looked at where something is done on them.
#[test]
fn every_page_is_looked_at() {
    for route in routes::all() {
        let page = matches!(route.access, Access::Page(Some(_))) && route.method == Method::GET;
        let html = matches!(route.gives, Payload::Bytes("text/html"));
        // The frame of a mail is no page of ours; hostile mails are opened in it.
        if page && html && !route.path.ends_with("/html") {
            assert!(ADMIN_PAGES.iter().any(|page| page.1 == route.path), "{}", route.path);
        }
    }
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
    browser.speak("ja");
    browser.open(&url(&daemon, "/sign-in"));
    assert_eq!(browser.script("return document.documentElement.lang"), "ja");
    check_accessible(&browser, "/sign-in in Japanese");
    shoot(&daemon, &browser, "sign-in-ja");
    for (user, language) in [("adam", "en"), ("kenji", "ja")] {
        sign_in(&daemon, &browser, user);
        for (path, _, picture) in ADMIN_PAGES {
            let path = &path.replace("{number}", &number);
            browser.open(&url(&daemon, path));
            browser.find("main h1");
            assert_eq!(browser.script("return document.documentElement.lang"), language);
            check_accessible(&browser, &format!("{path} of {user}"));
            if let Some(picture) = picture {
                let of = if language == "en" { "" } else { "-ja" };
                shoot(&daemon, &browser, &format!("{picture}{of}"));
            }
        }
    }
    browser.press("/");
    let focus = browser.script("return document.activeElement.name");
    assert_eq!(focus, "q", "the key of the search");
}

/// Everything on a page that takes the focus, and shows it badly: no ring, one that something cuts
/// off, or one whose contrast with what is around it is under 3 (WCAG 2.2, 1.4.11 and 2.4.13).
const BADLY_FOCUSED: &str = "
    const rgb = (text) => text.match(/[0-9.]+/g).map(Number);
    const light = (text) => {
      const [r, g, b] = rgb(text).map((it) => it / 255)
        .map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (a, b) =>
      (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
    const above = (it) => it.parentElement ? [it.parentElement, ...above(it.parentElement)] : [];
    for (const it of document.querySelectorAll('details')) it.open = true;
    const stops = [...document.querySelectorAll(
      'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex=\"0\"]')]
      .filter((it) => it.checkVisibility());
    const bad = [];
    for (const it of stops) {
      it.focus();
      const style = getComputedStyle(it);
      const out = parseFloat(style.outlineWidth) + parseFloat(style.outlineOffset);
      const ring = it.getBoundingClientRect();
      const ground = above(it).map((that) => getComputedStyle(that).backgroundColor)
        .find((colour) => rgb(colour).length < 4 || rgb(colour)[3] === 1);
      const cut = above(it).some((that) => {
        const box = that.getBoundingClientRect();
        return that !== document.documentElement && getComputedStyle(that).overflowX !== 'visible'
          && (ring.left - out < box.left - 0.5 || ring.top - out < box.top - 0.5);
      });
      const shown = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
      if (document.activeElement !== it || !shown || cut || contrast(style.outlineColor, ground) < 3) {
        bad.push(`${it.outerHTML.slice(0, 100)}: ${style.outline} on ${ground}, cut: ${cut}`);
      }
    }
    return [stops.length, bad];";

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_by_keys_sees_where_he_is() {
    let Some((daemon, browser)) = desk().await else { return };
    daemon.deliver("1", &mail("printer", "It burns.", 1));
    let number = daemon.mails(1).await[0].ticket.clone().unwrap();
    daemon.deliver("2", &mail("large", &"x".repeat(2000), 2));
    daemon.mails(2).await;
    sign_in(&daemon, &browser, "adam");
    for dark in [false, true] {
        browser.look(1280, 800, dark);
        for (path, ..) in ADMIN_PAGES {
            let path = &path.replace("{number}", &number);
            browser.open(&url(&daemon, path));
            browser.find("main h1");
            // From here on the browser takes it that somebody goes by keys.
            browser.press(TAB);
            let found = browser.script(BADLY_FOCUSED);
            assert!(found[0].as_u64().unwrap() >= 10, "{path}: {found}");
            let bad = found[1].as_array().unwrap();
            assert!(bad.is_empty(), "{path}, dark: {dark}: {bad:#?}");
        }
        // A ring that is taken away is missed.
        browser.script("document.querySelector('.bar nav a').style.outline = 'none'");
        assert_eq!(browser.script(BADLY_FOCUSED)[1].as_array().unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_paper_stands_what_is_read_and_nothing_to_press() {
    let Some((daemon, browser)) = desk().await else { return };
    daemon.deliver("1", &mail("printer", "It burns.", 1));
    let number = daemon.mails(1).await[0].ticket.clone().unwrap();
    sign_in(&daemon, &browser, "adam");
    browser.devtools("Emulation.setEmulatedMedia", serde_json::json!({ "media": "print" }));
    let seen = |css: &str| {
        let count = format!(
            "return [...document.querySelectorAll('{css}')].filter((it) => it.checkVisibility()).length"
        );
        browser.script(&count)
    };
    for (path, read) in
        [("/", "table.tickets td.title"), (&*format!("/tickets/{number}"), "article .text")]
    {
        browser.open(&url(&daemon, path));
        browser.find("main h1");
        assert_eq!(seen(read), 1, "{path}");
        assert_eq!(seen(".bar, input, select, textarea, button, .button"), 0, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_which_line_decided_who_is_told() {
    let Some((daemon, browser)) = desk().await else { return };
    daemon.deliver("1", &mail("printer", "It burns.", 1));
    let number = daemon.mails(1).await[0].ticket.clone().unwrap();
    sign_in(&daemon, &browser, "adam");
    browser.open(&url(&daemon, &format!("/tickets/{number}")));
    browser.click(&format!("a[href='/tickets/{number}/audience']"));
    let line = DESK.lines().position(|line| line.contains("  adam:")).unwrap() + 1;
    let told = browser.text("main tbody tr:nth-child(1)");
    assert!(told.starts_with("Adam Admin") && told.contains("you work in queue support"), "{told}");
    assert!(told.contains("users.adam.subscriptions.events.ticketCreated"), "{told}");
    assert!(told.contains(&format!("desk.yaml:{line}")), "{told}");
    let other = browser.text("main tbody tr:nth-child(2)");
    assert!(other.starts_with("鈴木 健二") && other.contains("users.kenji"), "{other}");
    browser.choose("select[name=by]", "adam");
    browser.click("form.filters button");
    assert!(
        browser.text("main table").contains("did it himself"),
        "{}",
        browser.text("main table")
    );
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
    assert!(browser.text(".empty").contains("該当するメール"), "no mail was created");
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

/// Anybody can write the address of an agent into From, and whoever reads the ticket must see that.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whom_nothing_proves_is_shown_as_not_verified() {
    let Some((daemon, browser)) = desk().await else { return };
    let from_agent = mail("from an agent", "please pay", 11);
    let from_agent = String::from_utf8(from_agent).unwrap();
    let from_agent = from_agent.replace("Eve <eve@customer.example>", "Adam <adam@corp.example>");
    daemon.deliver("11", from_agent.as_bytes());
    daemon.deliver("12", &mail("from a customer", "please help", 12));
    let numbers: Vec<(String, String)> = daemon
        .mails(2)
        .await
        .iter()
        .map(|mail| daemon.ticket(mail).ticket)
        .map(|ticket| (ticket.title, ticket.number))
        .collect();
    let number = |title: &str| &numbers.iter().find(|(known, _)| known == title).unwrap().1;
    let badges = |name: &str, title: &str| {
        sign_in(&daemon, &browser, name);
        browser.open(&url(&daemon, &format!("/tickets/{}", number(title))));
        browser.find("article");
        let written = browser.script(
            "return [...document.querySelectorAll('article header .badge')].map(it => it.textContent)",
        );
        serde_json::from_value::<Vec<String>>(written).unwrap()
    };
    let doubted = badges("adam", "from an agent");
    assert!(doubted.contains(&"not verified".to_owned()), "{doubted:?}");
    let doubted = badges("kenji", "from an agent");
    assert!(doubted.contains(&"本人未確認".to_owned()), "{doubted:?}");
    let plain = badges("adam", "from a customer");
    assert!(!plain.is_empty() && !plain.contains(&"not verified".to_owned()), "{plain:?}");
    let token = std::fs::read_to_string(daemon.path("data/api-token")).unwrap();
    let client = Client::new(TlsOptions::default(), Reach::Private);
    for (title, expected) in [("from an agent", Some(false)), ("from a customer", None)] {
        let path = format!("/api/v1/tickets/{}", number(title));
        let token = SecretString::from(token.trim().to_owned());
        let answer = client.ask(Request::get(url(&daemon, &path)).bearer(&token)).await.unwrap();
        let ticket: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(ticket["articles"][0]["verified"].as_bool(), expected, "{title}: {ticket}");
    }
}

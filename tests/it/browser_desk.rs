//! Work on tickets in a real browser: a case from the mail to its end, several people at one desk,
//! and mails that want to do harm.

use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postroom::password;
use secrecy::SecretString;

use crate::browser::{Browser, ENTER, TAB};
use crate::daemon::{Daemon, until};
use crate::pictures;

const PASSWORD: &str = "correct horse battery";
/// Hostile mails that are opened.
const HOSTILE_MAILS: usize = 300;
/// Frames that are open at the same time.
const FRAMES_AT_ONCE: usize = 25;
/// Bytes of a page.
const PAGE_BYTES_MAX: usize = 60_000;

const DESK: &str = "version: 1
desk: {name: ACME Helpdesk, language: ja, timeZone: Asia/Tokyo}
mailAccounts:
  support: {type: maildir, path: '{dir}/mail', dispatch: {by: recipient}, pollInterval: 1s, afterFetch: keep, since: all}
queues:
  support:
    sender: default
    followUp: {closed: reopen}
    answer:
      ja: |
        {{ customer.name }} 様

        {{ text }}

        {{ agent.name }}
  sales: {sender: default}
systemAddresses:
  support@corp.example: {name: サポート窓口, queue: support}
  sales@corp.example: {name: 営業, queue: sales}
smtp:
  files: {type: file, directory: '{dir}/outgoing'}
senders:
  default: {from: Desk <notify@corp.example>, via: [files]}
users:
  alice: {email: alice@corp.example, name: Alice Agent, language: en, role: user, passwordHash: {secret: hash}, subscriptions: {queues: [support], events: {followUpLocked: [web, mail], lockTimeout: [web, mail]}}}
  kenji: {email: kenji@corp.example, name: 鈴木 健二, language: ja, role: manager, passwordHash: {secret: hash}, subscriptions: {queues: [support]}}
  vera: {email: vera@corp.example, name: Vera Viewer, language: en, role: viewer, passwordHash: {secret: hash}}
";

/// A desk on which everybody has [`PASSWORD`].
async fn desk() -> Daemon {
    let mut daemon = Daemon::prepare(DESK);
    let hash = password::hash(&SecretString::from(PASSWORD)).unwrap();
    std::fs::create_dir_all(daemon.path("secrets")).unwrap();
    std::fs::write(daemon.path("secrets/hash"), hash).unwrap();
    daemon.again().await;
    daemon
}

fn url(daemon: &Daemon, path: &str) -> String {
    format!("http://{}{path}", daemon.app().addr())
}

fn sign_in(daemon: &Daemon, browser: &Browser, name: &str) {
    browser.forget();
    browser.open(&url(daemon, "/sign-in"));
    browser.fill("#name", name);
    browser.fill("#password", PASSWORD);
    browser.press(ENTER);
    browser.find(".bar");
}

fn accessible(browser: &Browser, page: &str) {
    for dark in [false, true] {
        browser.look(1280, 900, dark);
        if let Some(found) = browser.accessibility() {
            assert!(found.is_empty(), "{page}, dark: {dark}: {found:#?}");
        }
    }
    browser.look(1280, 900, false);
}

/// The page with what it loads by itself is small.
fn small(browser: &Browser, page: &str) {
    let bytes = browser.script(
        "return performance.getEntriesByType('navigation')
           .concat(performance.getEntriesByType('resource'))
           .reduce((sum, it) => sum + it.decodedBodySize, 0)",
    );
    let bytes = bytes.as_u64().unwrap() as usize;
    println!("{page}: {bytes} bytes");
    assert!(bytes > 0 && bytes < PAGE_BYTES_MAX, "{page} has {bytes} bytes");
}

/// The first mail to this address in the outgoing folder that is not among those known.
async fn sent_to(daemon: &Daemon, address: &str, known: &mut Vec<PathBuf>) -> String {
    let outgoing = daemon.path("outgoing");
    let header = format!("To: {address}");
    let what = format!("a mail to {address}");
    let found = until(&what, || {
        let entries = std::fs::read_dir(&outgoing).ok()?;
        let mails = entries.flatten().map(|entry| entry.path());
        let mut mails = mails.filter(|path| path.extension().is_some_and(|it| it == "eml"));
        mails.find_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            let fits = text.contains(&header) || text.contains(&format!("<{address}>"));
            (fits && !known.contains(&path)).then_some((path, text))
        })
    });
    let (path, text) = found.await;
    known.push(path);
    text
}

/// A header field, unfolded (RFC 5322 section 2.2.3).
fn header(mail: &str, name: &str) -> String {
    let unfolded = mail.replace("\r\n ", " ").replace("\r\n\t", " ");
    let line = unfolded.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {mail}")).trim().to_owned()
}

const QUESTION: &str = "From: =?UTF-8?B?5bGx55Sw?= <yamada@kyaku.example>
To: support@corp.example
Subject: =?UTF-8?B?6KSH5ZCI5qmf44Gr44Gk44GE44Gm?=
Message-ID: <frage-1@kyaku.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=utf-8

お世話になっております。
三階の複合機で紙詰まりが直りません。
手順は https://kyaku.example/manual を見ました。

> 前回の件
> 一行目
> 二行目
> 三行目
--b
Content-Type: application/pdf; name=scan.pdf
Content-Disposition: attachment; filename=scan.pdf

%PDF-1.4 not really
--b--
";

#[tokio::test(flavor = "multi_thread")]
async fn a_case_from_the_mail_to_its_end() {
    let Some(browser) = Browser::start() else { return };
    let daemon = desk().await;
    daemon.deliver("1", QUESTION.replace('\n', "\r\n").as_bytes());
    for number in 2..8 {
        let mail = format!(
            "From: Eve <eve{number}@customer.example>\r\nTo: sales@corp.example\r\nSubject: offer {number}\r\n\
             Message-ID: <{number}@customer.example>\r\n\r\nPlease send your prices.\r\n"
        );
        daemon.deliver(&number.to_string(), mail.as_bytes());
    }
    daemon.mails(7).await;
    let mut known = Vec::new();

    // Finds the ticket by a word in its text, and reads it.
    sign_in(&daemon, &browser, "alice");
    small(&browser, "/");
    accessible(&browser, "/");
    pictures::take(&browser, "tickets");
    browser.press("/紙詰まり");
    browser.press(ENTER);
    browser
        .until("the only hit", || (browser.all("table.tickets tbody tr").len() == 1).then_some(()));
    pictures::take(&browser, "search");
    browser.click("table.tickets td.title a");
    assert!(browser.text(".article .text").contains("三階の複合機で紙詰まりが直りません"));
    assert_eq!(browser.text("details.quoted summary"), "4 lines quoted");
    assert_eq!(browser.all("a[href='https://kyaku.example/manual'][rel~=noopener]").len(), 1);
    assert_eq!(browser.text(".attachments a"), "scan.pdf");
    small(&browser, "ticket");
    accessible(&browser, "ticket");
    pictures::take(&browser, "ticket");
    let ticket = browser.path();

    // Takes it, and answers.
    browser.click(".hand button[data-key=t]");
    assert_eq!(browser.text(".notice"), "This ticket is yours now.");
    assert!(browser.text("aside dl.facts").contains("Alice Agent"), "it is hers");
    browser.press("r");
    browser.press("トレイ2を開けてください。");
    browser.choose("#reply select[name=state]", "open");
    let letter = "山田 様\n\nトレイ2を開けてください。\n\nAlice Agent";
    browser.click(".around summary");
    assert_eq!(browser.text(".around .letter"), letter, "seen while it is written");
    browser.click("#reply button[formaction]");
    assert_eq!(browser.text(".preview .letter"), letter, "seen before it is sent");
    assert_eq!(browser.all("article.article").len(), 1, "nothing was sent");
    small(&browser, "preview");
    accessible(&browser, "preview");
    pictures::take(&browser, "preview");
    browser.click("#reply button.main");
    assert_eq!(browser.text("article.article.agent .text"), letter);

    // The mail is threaded, from the address of the queue, with the number in its subject.
    let answer = sent_to(&daemon, "yamada@kyaku.example", &mut known).await;
    assert_eq!(header(&answer, "In-Reply-To"), "<frage-1@kyaku.example>");
    assert!(header(&answer, "References").contains("<frage-1@kyaku.example>"));
    assert!(header(&answer, "From").contains("support@corp.example"), "{answer}");
    let number = ticket.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();

    // The customer answers, and the bell of the owner rings.
    let id = header(&answer, "Message-ID");
    let follow_up = format!(
        "From: yamada@kyaku.example\r\nTo: support@corp.example\r\nSubject: Re: x\r\n\
         Message-ID: <frage-2@kyaku.example>\r\nIn-Reply-To: {id}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n直りました。\r\n"
    );
    daemon.deliver("9", follow_up.as_bytes());
    daemon.mails(8).await;
    browser.open(&url(&daemon, &format!("/tickets/{number}")));
    assert!(browser.text(".bell .count").starts_with('1'));
    assert_eq!(browser.all("article.article.customer").len(), 2);
    let told = sent_to(&daemon, "alice@corp.example", &mut known).await;
    assert!(told.contains(&number), "{told}");

    // A colleague closes it: the owner, who had it locked, hears of it.
    sign_in(&daemon, &browser, "kenji");
    pictures::take(&browser, "tickets-ja");
    browser.open(&url(&daemon, &format!("/tickets/{number}")));
    pictures::take(&browser, "ticket-ja");
    accessible(&browser, "ticket in Japanese");
    browser.click("aside details.card summary");
    browser.choose("aside select[name=state]", "closed successful");
    browser.click("aside form[action$='/change'] button");
    assert_eq!(browser.text(".notice"), "変更しました。");
    let told = sent_to(&daemon, "alice@corp.example", &mut known).await;
    assert!(told.contains(&number), "{told}");
    let bells = daemon.app().handle().store.bells("alice", None, 10).unwrap().items;
    let events: Vec<&str> = bells.iter().map(|bell| bell.event.as_str()).collect();
    assert_eq!(events, ["lockTimeout", "followUpLocked"]);
    let stored = daemon.app().handle().store.ticket(&number).unwrap().unwrap();
    assert!(stored.ticket.state.is_closed());
    browser.click("details.history summary");
    pictures::take(&browser, "history-ja");

    // The owner sees it at the bell, with the reason and the line that asks for it.
    sign_in(&daemon, &browser, "alice");
    assert!(browser.text(".bell .count").starts_with('2'));
    browser.click(".bell");
    let first = browser.text("main tbody tr");
    assert!(first.contains("The lock of your ticket ended") && first.contains(&number), "{first}");
    assert!(first.contains("owner") && first.contains("users.alice.subscriptions"), "{first}");
}

/// Steps with the key that are enough for every page.
const TABS_MAX: usize = 100;

/// Goes on with the key until the focus is where this selector says.
#[track_caller]
fn tab_to(browser: &Browser, css: &str) {
    for _ in 0..TABS_MAX {
        let css = serde_json::Value::from(css);
        if browser.script(&format!("return document.activeElement.matches({css})")) == true {
            // Whoever goes by keys must see where he is.
            let seen = "return getComputedStyle(document.activeElement).outlineStyle";
            assert_ne!(browser.script(seen), "none", "{css} shows no focus");
            return;
        }
        browser.press(TAB);
    }
    panic!("{css} is not reached in {}", browser.url());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_by_keyboard_alone() {
    let Some(browser) = Browser::start() else { return };
    let daemon = desk().await;
    daemon.deliver("1", QUESTION.replace('\n', "\r\n").as_bytes());
    let other = "From: Eve <eve@customer.example>\r\nTo: sales@corp.example\r\nSubject: offer\r\n\
                 Message-ID: <2@customer.example>\r\n\r\nPlease send your prices.\r\n";
    daemon.deliver("2", other.as_bytes());
    let mails = daemon.mails(2).await;
    browser.open(&url(&daemon, "/"));
    // The field for the name has the focus.
    browser.press(&format!("alice{TAB}{PASSWORD}{ENTER}"));
    browser.find(".bar");
    browser.press(&format!("/紙詰まり{ENTER}"));
    let hits =
        || browser.path().contains("q=").then(|| browser.all("table.tickets tbody tr").len());
    browser.until("the only hit", || (hits() == Some(1)).then_some(()));
    browser.press(&format!("j{ENTER}"));
    browser.find("article.article");

    // Takes it, and makes it urgent.
    browser.press("t");
    assert_eq!(browser.text(".notice"), "This ticket is yours now.");
    tab_to(&browser, "aside details.card summary");
    browser.press(ENTER);
    tab_to(&browser, "aside select[name=priority]");
    browser.press("5");
    tab_to(&browser, "aside details form[action$='/change'] button");
    browser.press(ENTER);
    browser.until("the priority", || {
        browser.text("aside dl.facts").contains("5 very high").then_some(())
    });
    // Answers, and notes something.
    browser.press("rトレイ2を開けてください。");
    tab_to(&browser, "#reply button.main");
    browser.press(ENTER);
    assert!(browser.text("article.agent .text").contains("トレイ2を開けてください。"));
    browser.press("nremember the tray");
    tab_to(&browser, "form[action$='/note'] button");
    browser.press(ENTER);
    browser.until("the note", || (browser.all("article.agent").len() == 2).then_some(()));
    // Leaves.
    tab_to(&browser, ".menu summary");
    browser.press(ENTER);
    tab_to(&browser, ".menu form button");
    browser.press(ENTER);
    assert_eq!(browser.text(".notice"), "You are signed out.");

    let number = mails.iter().find(|mail| mail.subject != "offer").unwrap().ticket.clone().unwrap();
    let stored = daemon.app().handle().store.ticket(&number).unwrap().unwrap();
    assert_eq!(stored.ticket.owner.as_deref(), Some("alice"));
    let sent = sent_to(&daemon, "yamada@kyaku.example", &mut Vec::new()).await;
    assert_eq!(header(&sent, "In-Reply-To"), "<frage-1@kyaku.example>");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_morning_by_keyboard_from_ticket_to_ticket() {
    let Some(browser) = Browser::start() else { return };
    let daemon = desk().await;
    for number in 0..3 {
        let mail = format!(
            "From: Eve <eve@customer.example>\r\nTo: support@corp.example\r\nSubject: case {number}\r\n\
             Message-ID: <{number}@customer.example>\r\n\r\nText {number}.\r\n"
        );
        daemon.deliver(&number.to_string(), mail.as_bytes());
        daemon.mails(number + 1).await;
    }
    sign_in(&daemon, &browser, "alice");
    browser.open(&url(&daemon, "/?queue=support&order=oldest"));
    // Enter in a box ticks it, and is no command.
    browser.script("document.querySelector('tbody input[name=ticket]').focus()");
    for ticked in [1, 0] {
        browser.press(ENTER);
        assert_eq!(browser.all("tbody input:checked").len(), ticked);
    }
    browser.script("document.activeElement.blur()");
    assert_eq!(browser.path(), "/?queue=support&order=oldest");
    browser.press(&format!("j{ENTER}"));
    let heading = |text: &str| {
        let seen = || browser.all("main h1 small").first().map(|_| browser.text("main h1"));
        browser.until(text, || seen().filter(|shown| shown.contains(text)));
    };
    heading("case 0");
    browser.press("t");
    assert_eq!(browser.text(".notice"), "This ticket is yours now.");
    assert_eq!(browser.text(".trail a[rel=next]"), "Next: case 1 →");
    browser.press("]");
    heading("case 1");
    browser.press("]");
    heading("case 2");
    assert!(browser.all(".trail a[rel=next]").is_empty(), "the last of the list");
    browser.press("u");
    browser.until("the list", || browser.path().starts_with("/?queue").then_some(()));
    assert_eq!(browser.path(), "/?queue=support&order=oldest");
    // One click in the list, too.
    assert_eq!(browser.all("button[name=take]").len(), 2, "one of three is hers");
    browser.click("tbody button[name=take]");
    browser.until("two of hers", || (browser.all("button[name=take]").len() == 1).then_some(()));
    browser.click(".queues a[href*='owner=mine']");
    browser.until("her own", || (browser.all("table.tickets tbody tr").len() == 2).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tickets_at_once_and_everything_without_script() {
    let Some(browser) = Browser::start() else { return };
    let daemon = desk().await;
    for number in 0..4 {
        let mail = format!(
            "From: Eve <eve@customer.example>\r\nTo: support@corp.example\r\nSubject: case {number}\r\n\
             Message-ID: <{number}@customer.example>\r\n\r\nText {number}.\r\n"
        );
        daemon.deliver(&number.to_string(), mail.as_bytes());
    }
    daemon.mails(4).await;
    browser.devtools("Emulation.setScriptExecutionDisabled", serde_json::json!({ "value": true }));
    sign_in(&daemon, &browser, "alice");
    browser.click("tbody tr:nth-child(1) input[name=ticket]");
    browser.click("tbody tr:nth-child(2) input[name=ticket]");
    browser.choose(".bulk select", "sales");
    browser.click(".bulk button[value=move]");
    assert_eq!(browser.text(".notice"), "Done.");
    let counts = |queue: &str| {
        let counts = daemon.app().handle().store.queue_counts().unwrap();
        let of = counts.iter().filter(|count| count.queue == queue && !count.state.is_closed());
        of.map(|count| count.tickets).sum::<u64>()
    };
    assert_eq!((counts("support"), counts("sales")), (2, 2));
    browser.click("tbody tr:nth-child(3) input[name=ticket]");
    browser.click(".bulk button[value=close]");
    let rows = || browser.all("table.tickets tbody tr").len();
    browser.until("a closed ticket to be listed no longer", || (rows() == 3).then_some(()));

    // A note, a watch, and a merge.
    let open = |nth: usize| browser.click(&format!("tbody tr:nth-child({nth}) td.title a"));
    open(1);
    browser.click("summary[data-key-open=n]");
    browser.fill("#note-text", "internal remark");
    browser.click("form[action$='/note'] button");
    assert_eq!(browser.text("article.agent .text"), "internal remark");
    assert_eq!(browser.text("article.agent .badge.warn"), "not for the customer");
    browser.click("form[action$='/watch'] button");
    assert_eq!(browser.text("aside ul.plain bdi"), "Alice Agent");
    let main = browser.text("h1 small").trim_start_matches("Ticket#").to_owned();
    browser.open(&url(&daemon, "/"));
    open(2);
    browser.click("aside details:last-of-type summary");
    browser.fill("input[name=into]", &main);
    browser.click("form[action$='/merge'] button");
    assert!(browser.text(".notice.warn").contains(&main));
    // What is refused is said, and what was written is still there.
    browser.open(&url(&daemon, &format!("/tickets/{main}")));
    browser.fill("#reply input[name=to]", "nobody");
    browser.fill("#reply-text", "a long answer");
    browser.click("#reply button.main");
    assert!(browser.text(".notice.bad").contains("nobody"), "{}", browser.text(".notice.bad"));
    assert_eq!(browser.text("#reply-text"), "a long answer");

    // Who only reads has nothing to press.
    sign_in(&daemon, &browser, "vera");
    assert_eq!(browser.all(".bulk, input[name=ticket]").len(), 0);
    open(1);
    browser.find("article.article");
    assert_eq!(browser.all("main form").len(), 0);
}

// Mails that want to do harm.

/// Counts whoever comes.
struct Trap {
    port: u16,
    visits: Arc<AtomicUsize>,
}

impl Trap {
    fn set() -> Trap {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let visits = Arc::new(AtomicUsize::new(0));
        let counted = visits.clone();
        std::thread::spawn(move || {
            for visitor in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                if let Ok(mut visitor) = visitor {
                    visitor.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                    let _ = visitor.read(&mut [0; 1024]);
                }
            }
        });
        Trap { port, visits }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

/// What a script would do to be noticed. Without quotes, so that it fits everywhere.
const SCRIPT: &str = "parent.postMessage(1,String.fromCharCode(42));new/**/Image().src=URL";

/// Ways to run something or to load something. `JS` is the script, `URL` an address of the trap.
const PAYLOADS: &[&str] = &[
    "<script>JS</script>",
    "<script src=\"URL\"></script>",
    "<SCRIPT/x>JS</SCRIPT\t\n>",
    "<scr<script>ipt>JS</scr</script>ipt>",
    "<img src=x onerror=\"JS\">",
    "<img src=\"URL\">",
    "<img src=\"\" srcset=\"URL 1x\">",
    "<img src=x:x onerror=JS >",
    "<img/src=\"URL\"/alt=>",
    "<img src=\"cid:x\" onload=JS onerror=JS>",
    "<picture><source srcset=\"URL\"><img></picture>",
    "<svg onload=\"JS\"></svg>",
    "<svg><script>JS</script></svg>",
    "<svg><animate onbegin=\"JS\" attributeName=x dur=1s></svg>",
    "<svg><image href=\"URL\" xlink:href=\"URL\"/></svg>",
    "<svg><use href=\"URL#x\"/></svg>",
    "<svg><style>@import 'URL';</style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=\"JS\"></style></mglyph></table></mtext></math>",
    "<iframe src=\"URL\"></iframe>",
    "<iframe srcdoc=\"<script>JS</script><img src='URL'>\"></iframe>",
    "<iframe src=\"javascript:JS\"></iframe>",
    "<frameset><frame src=\"URL\"></frameset>",
    "<object data=\"URL\"></object>",
    "<embed src=\"URL\">",
    "<applet code=\"URL\"></applet>",
    "<link rel=stylesheet href=\"URL\">",
    "<link rel=preconnect href=\"URL\"><link rel=dns-prefetch href=\"URL\">",
    "<link rel=preload as=image href=\"URL\"><link rel=prefetch href=\"URL\">",
    "<link rel=icon href=\"URL\"><link rel=modulepreload href=\"URL\">",
    "<style>@import url(\"URL\");</style>",
    "<style>body{background:url(URL)} *{list-style:url('URL')}</style>",
    "<style>@font-face{font-family:x;src:url(URL)} *{font-family:x}</style>",
    "<div style=\"background:url(URL)\">x</div>",
    "<div style=\"background:u\\72l(URL)\">x</div>",
    "<div style=\"background-image:image-set('URL' 1x)\">x</div>",
    "<div style=\"--a:url(URL);background:var(--a)\">x</div>",
    "<div style=\"content:url(&quot;URL&quot;)\">x</div>",
    "<ul style=\"list-style-image:url(URL)\"><li>x</ul>",
    "<table background=\"URL\"><tr><td background=\"URL\">x</table>",
    "<body background=\"URL\" onload=\"JS\">",
    "<meta http-equiv=refresh content=\"0;url=URL\">",
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src *\"><img src=\"URL\">",
    "<base href=\"URL\"><img src=y>",
    "<form action=\"URL\"><input autofocus onfocus=\"JS\"><button>x</button></form>",
    "<input type=image src=\"URL\">",
    "<video src=\"URL\" poster=\"URL\" autoplay onloadstart=\"JS\"></video>",
    "<audio src=\"URL\" autoplay onerror=\"JS\"></audio>",
    "<video><source onerror=\"JS\" src=\"URL\"><track src=\"URL\" default></video>",
    "<details open ontoggle=\"JS\"><summary>x</summary></details>",
    "<marquee onstart=\"JS\">x</marquee>",
    "<a href=\"javascript:JS\" autofocus onfocus=\"JS\" tabindex=1>x</a>",
    "<a href=\"java&#10;script:JS\" ping=\"URL\">x</a>",
    "<div onmouseover=\"JS\" style=\"position:fixed;inset:0\" onpointerenter=\"JS\">x</div>",
    "<div style=\"animation-name:x\" onanimationstart=\"JS\">x</div>",
    "<noscript><p title=\"</noscript><img src=x onerror=JS>\"></noscript>",
    "<textarea><img title=\"</textarea><img src=x onerror=JS>\"></textarea>",
    "<title><img title=\"</title><img src=x onerror=JS>\"></title>",
    "<!--><img src=x onerror=\"JS\">-->",
    "<!--[if gte IE 4]><script>JS</script><![endif]-->",
    "<![CDATA[<img src=x onerror=\"JS\">]]>",
    "<?xml version=\"1.0\"?><x:script xmlns:x=\"http://www.w3.org/1999/xhtml\">JS</x:script>",
    "<template><img src=\"URL\"></template><slot onslotchange=\"JS\"></slot>",
    "<portal src=\"URL\"></portal><fencedframe src=\"URL\"></fencedframe>",
    "<img src=\"//evil.test:PORT/p.gif\"><link rel=preconnect href=\"//evil.test:PORT\">",
    "<script type=speculationrules>{\"prefetch\":[{\"source\":\"list\",\"urls\":[\"URL\"]}]}</script>",
];

/// Ways in which a payload is wrapped.
const WRAPPERS: &[&str] = &[
    "<html><body>Dear agent, HERE please look.</body></html>",
    "<table><tr><td><p>HERE</table>",
    "<div><b><i>HERE",
    "<p title='HERE'>x</p>HERE",
    "<html><head>HERE</head><body>text</body></html>",
];

fn hostile(number: usize, trap: &Trap) -> String {
    let payload = PAYLOADS[number % PAYLOADS.len()];
    let wrapper = WRAPPERS[number / PAYLOADS.len() % WRAPPERS.len()];
    let host = if number.is_multiple_of(2) { "127.0.0.1" } else { "evil.test" };
    let address = format!("http://{host}:{}/{number}", trap.port);
    let script = SCRIPT.replace("URL", &format!("String.fromCharCode({})", codes(&address)));
    let html = wrapper
        .replace("HERE", payload)
        .replace("JS", &script)
        .replace("URL", &address)
        .replace("PORT", &trap.port.to_string());
    format!(
        "From: Mallory <m@evil.test>\r\nTo: support@corp.example\r\nSubject: hostile {number}\r\n\
         Message-ID: <{number}@evil.test>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n"
    )
}

fn codes(text: &str) -> String {
    text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",")
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_mails_run_nothing_and_load_nothing() {
    let rules = "--host-resolver-rules=MAP evil.test 127.0.0.1";
    let Some(browser) = Browser::start_with(&[rules]) else { return };
    let trap = Trap::set();
    let daemon = desk().await;
    for number in 0..HOSTILE_MAILS {
        daemon.deliver(&format!("{number:03}"), hostile(number, &trap).as_bytes());
    }
    let mails = daemon.mails(HOSTILE_MAILS).await;

    // The trap works: the same things, opened as a page of their own, run and load.
    let control = hostile(0, &trap).split_once("\r\n\r\n").unwrap().1.to_owned()
        + &format!("<img src=http://evil.test:{}/control>", trap.port);
    std::fs::write(daemon.path("control.html"), control).unwrap();
    browser.open(&format!("file://{}", daemon.path("control.html").display()));
    browser.until("the control to be noticed", || (trap.visits() >= 2).then_some(()));

    sign_in(&daemon, &browser, "alice");
    let first = daemon.ticket(&mails[0]);
    let article = first.articles[0].id.0;
    browser.open(&url(&daemon, &format!("/tickets/{}?html={article}", first.ticket.number)));
    browser.find("article iframe[sandbox]");
    let before = trap.visits();
    browser.script(
        "window.ran = 0; addEventListener('message', () => { window.ran += 1; });
         window.model = document.querySelector('article iframe').cloneNode(false);",
    );
    let paths: Vec<String> = mails
        .iter()
        .map(|mail| {
            let ticket = daemon.ticket(mail);
            format!("/tickets/{}/articles/{}/html", ticket.ticket.number, ticket.articles[0].id.0)
        })
        .collect();
    for paths in paths.chunks(FRAMES_AT_ONCE) {
        // Frames as the page makes them; all of them loaded, then left open for a while.
        let opened = browser.script_async(&format!(
            "const done = arguments[arguments.length - 1];
             for (const frame of document.querySelectorAll('iframe')) frame.remove();
             const paths = {};
             Promise.all(paths.map((path) => new Promise((loaded) => {{
               const frame = model.cloneNode(false);
               frame.onload = loaded; frame.src = path;
               document.querySelector('main').append(frame);
             }}))).then(() => setTimeout(() => done(paths.length), 300));",
            serde_json::to_string(paths).unwrap()
        ));
        assert_eq!(opened, paths.len());
    }
    assert_eq!(browser.script("return window.ran"), 0, "scripts ran");
    assert_eq!(trap.visits() - before, 0, "network requests");
    assert_eq!(browser.script("return document.title.includes('hostile 0')"), true);
    println!("{} hostile mails: 0 scripts, 0 requests", paths.len());

    // What the frame shows is the mail all the same.
    browser.open(&url(&daemon, &format!("/tickets/{}?html={article}", first.ticket.number)));
    browser.frame(Some("article iframe"));
    assert!(browser.text("body").contains("Dear agent,"));
    browser.frame(None);
    pictures::take(&browser, "html");
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_a_mail_are_shown_and_its_names_are_harmless() {
    let Some(browser) = Browser::start() else { return };
    let daemon = desk().await;
    let mail = "From: \"support@corp.example\" <eve@р\u{430}ypal.example>\r\nTo: support@corp.example\r\n\
        Subject: inv\u{202e}fdp.exe\r\nMessage-ID: <p@x.test>\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\n\
        Content-Type: text/html; charset=utf-8\r\n\r\n<p>logo: <img src=\"cid:logo@x\" alt=logo></p>\r\n--b\r\n\
        Content-Type: image/png; name=\"../../etc/logo.png\"\r\nContent-ID: <logo@x>\r\nContent-Transfer-Encoding: base64\r\n\r\n\
        iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==\r\n--b\r\n\
        Content-Type: text/html; name=\"x.html\"\r\nContent-Disposition: attachment; filename=\"x.html\"\r\n\r\n\
        <script>document.title='ran'</script>\r\n--b--\r\n";
    daemon.deliver("1", mail.as_bytes());
    let mails = daemon.mails(1).await;
    let ticket = daemon.ticket(&mails[0]);
    let (number, article) = (&ticket.ticket.number, ticket.articles[0].id.0);
    sign_in(&daemon, &browser, "alice");
    browser.open(&url(&daemon, &format!("/tickets/{number}?html={article}")));
    assert!(browser.text("h1").contains("U+202E"), "{}", browser.text("h1"));
    assert!(browser.text("article header .badge.bad").contains("xn--"), "the real address");
    browser.frame(Some("article iframe"));
    // Nothing may run in the frame, so its picture is looked at from outside: by its size.
    browser.find("img[src^='data:image/png;base64,']");
    browser.frame(None);
    pictures::take(&browser, "doubtful");
    let answer = browser.script_async(&format!(
        "const done = arguments[arguments.length - 1];
         fetch('/tickets/{number}/articles/{article}/attachments/1').then((answer) => done([
           answer.status, answer.headers.get('content-type'), answer.headers.get('content-disposition'),
           answer.headers.get('x-content-type-options')]), (error) => done([String(error)]));"
    ));
    // The content policy of the page lets no script fetch; the browser's own download does.
    assert!(answer[0].as_str().is_some_and(|error| error.contains("Failed to fetch")), "{answer}");
}

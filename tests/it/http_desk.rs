//! Customers, several tickets at once, and what else the page can do, through the interface and on
//! the page, against the real router and a real store.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, header};
use jiff::Timestamp;
use postroom::core::address::Address;
use postroom::core::config::{CustomerProfile, Language, Queue};
use postroom::core::notify::EventKind;
use postroom::run::clock::Clock;
use postroom::run::daemon::Running;
use serde_json::{Value, json};

use crate::http::{Desk, json as ask, record, request};
use crate::pages::Signed;

/// Changes what runs.
pub fn reconfigure(desk: &Desk, change: impl FnOnce(&mut postroom::core::config::Config)) {
    let running = desk.handle.running.load_full();
    let mut config = (*running.config).clone();
    change(&mut config);
    desk.handle.running.store(Arc::new(Running {
        revision: running.revision.clone(),
        applied: running.applied,
        config: Arc::new(config),
        changes: Vec::new(),
    }));
}

fn declare(desk: &Desk, address: &str, name: &str, language: Option<Language>) {
    let profile = CustomerProfile { name: Some(name.into()), language, ..Default::default() };
    reconfigure(desk, |config| {
        Arc::make_mut(&mut config.customers).insert(Address::parse(address).unwrap(), profile);
    });
}

/// What a page of ours says to this user.
async fn page(desk: &Desk, user: &str, path: &str) -> (u16, String) {
    let signed = Signed::of(desk, user).await;
    let (status, _, body) = desk.ask(crate::pages::get(path, Some(&signed.cookie))).await;
    (status.as_u16(), String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn customers_are_declared_or_remembered() {
    let desk = Desk::new();
    let number = record(&desk).await;
    declare(&desk, "ada@a.test", "Ada", Some(Language::Ja));
    declare(&desk, "zoe@z.test", "Zoe", None);
    let addresses = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|one| one["address"].as_str().unwrap().to_owned()).collect()
    };
    // All of them in pages of one.
    let (mut path, mut found) = ("/api/v1/customers?limit=1".to_owned(), Vec::new());
    for _ in 0..5 {
        let (status, page) = ask(&desk, Method::GET, &path, "").await;
        assert_eq!(status, 200);
        found.extend(addresses(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/customers?limit=1&cursor={next}");
    }
    assert_eq!(found, ["ada@a.test", "eve@customer.example", "zoe@z.test"]);
    let (_, sought) = ask(&desk, Method::GET, "/api/v1/customers?q=ADA", "").await;
    assert_eq!(addresses(&sought), ["ada@a.test"]);

    let (status, eve) = ask(&desk, Method::GET, "/api/v1/customers/Eve@customer.example", "").await;
    assert_eq!(status, 200);
    assert_eq!(eve["customer"]["tickets"], 1);
    assert_eq!(eve["customer"]["declared"], false);
    assert!(eve["customer"]["firstSeen"].is_string() && eve["customer"]["lastSeen"].is_string());
    assert_eq!(eve["tickets"]["items"][0]["number"], number.as_str());
    let (_, ada) = ask(&desk, Method::GET, "/api/v1/customers/ada@a.test", "").await;
    assert_eq!(ada["customer"]["language"], "ja");
    assert_eq!(ada["customer"]["firstSeen"], Value::Null);
    // What is declared comes before what he wrote.
    declare(&desk, "eve@customer.example", "Eve Declared", None);
    let (_, eve) = ask(&desk, Method::GET, "/api/v1/customers/eve@customer.example", "").await;
    assert_eq!(
        (eve["customer"]["name"].as_str(), eve["customer"]["tickets"].as_u64()),
        (Some("Eve Declared"), Some(1))
    );
    for missing in ["nobody@a.test", "nonsense"] {
        let path = format!("/api/v1/customers/{missing}");
        assert_eq!(ask(&desk, Method::GET, &path, "").await.0, 404, "{missing}");
    }
}

#[tokio::test]
async fn customers_who_never_wrote_are_listed_to_the_last() {
    let desk = Desk::new();
    let names = ["a", "b", "c", "d", "e"].map(|name| format!("{name}@a.test"));
    for name in &names {
        declare(&desk, name, "somebody", None);
    }
    for (limit, words) in [(1, ""), (2, ""), (2, "&q=some"), (5, "")] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/customers?limit={limit}{words}{cursor}");
            let (_, page) = ask(&desk, Method::GET, &path, "").await;
            let items = page["items"].as_array().unwrap();
            assert!(!items.is_empty() && items.len() <= limit, "{path}: {page}");
            found.extend(items.iter().map(|one| one["address"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, names, "{limit} {words}");
    }
}

#[tokio::test]
async fn the_page_shows_customers_and_leads_to_them() {
    let desk = Desk::new();
    let number = record(&desk).await;
    let (_, ticket) = page(&desk, "vera", &format!("/tickets/{number}")).await;
    assert!(ticket.contains("href=\"/customers/eve%40customer.example\""), "{ticket}");
    let (status, eve) = page(&desk, "vera", "/customers/eve%40customer.example").await;
    assert!(status == 200 && eve.contains(&format!("/tickets/{number}")), "{eve}");
    let (_, list) = page(&desk, "vera", "/customers?q=eve").await;
    assert!(list.contains("/customers/eve%40customer.example"), "{list}");
    let (_, none) = page(&desk, "vera", "/customers?q=nobody").await;
    assert!(!none.contains("eve%40") && none.contains("No customer has all these words."));
    assert_eq!(page(&desk, "vera", "/customers/nobody@a.test").await.0, 404);
}

#[tokio::test]
async fn several_tickets_are_changed_each_for_itself() {
    let desk = Desk::new();
    let number = record(&desk).await;
    let bulk = async |key: &str, body: Value| {
        let mut asked = request(&Method::POST, "/api/v1/tickets/bulk", Some("user-token"));
        if !key.is_empty() {
            asked.headers_mut().insert("idempotency-key", key.parse().unwrap());
        }
        *asked.body_mut() = Body::from(body.to_string());
        let (status, _, body) = desk.ask(asked).await;
        (status.as_u16(), serde_json::from_slice::<Value>(&body).unwrap())
    };
    let events = || desk.handle.store.ticket(&number).unwrap().unwrap().events.len();
    let close = json!({"tickets": [number, "20200101100000"], "change": {"state": "closed"}});
    let (status, first) = bulk("k", close.clone()).await;
    assert_eq!(status, 200);
    let items = first["items"].as_array().unwrap();
    assert_eq!((&items[0]["status"], &items[1]["status"]), (&json!(200), &json!(404)));
    assert_eq!(items[0]["ticket"]["state"], "closed successful");
    assert_eq!(items[1]["problem"], "there is no ticket \"20200101100000\"");
    // Again: the same answer, and nothing happens to the ticket.
    let after = events();
    let reopen = json!({"tickets": [number], "change": {"state": "open"}});
    assert_eq!(bulk("", reopen.clone()).await.0, 200);
    let reopened = events();
    assert!(reopened > after);
    assert_eq!(bulk("k", close).await, (200, first));
    assert_eq!(events(), reopened, "the key was used before");
    assert_eq!(bulk("k", reopen).await.0, 422, "another request with that key");

    for refused in [
        json!({"tickets": [], "change": {"state": "open"}}),
        json!({"tickets": [number], "change": {}}),
        json!({"tickets": vec!["1"; 101], "change": {"lock": true}}),
        json!({"tickets": [number], "change": {"state": "gone"}}),
    ] {
        assert_eq!(bulk("", refused.clone()).await.0, 422, "{refused}");
    }
    let elsewhere = json!({"tickets": [number], "change": {"queue": "nowhere"}});
    assert_eq!(bulk("", elsewhere).await.1["items"][0]["status"], 422);
}

#[tokio::test]
async fn mails_are_filtered_and_fetched() {
    let desk = Desk::new();
    record(&desk).await;
    let count = async |query: &str| {
        let (status, page) = ask(&desk, Method::GET, &format!("/api/v1/mails?{query}"), "").await;
        (status, page["items"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(count("outcome=created").await, (200, 1));
    assert_eq!(count("outcome=followUp").await, (200, 0));
    assert_eq!(count("account=nobody").await, (200, 0));
    assert_eq!(count("outcome=burned").await.0, 422);
    let (_, mails) = ask(&desk, Method::GET, "/api/v1/mails", "").await;
    let path = format!("/api/v1/mails/{}/raw", mails["items"][0]["id"]);
    let raw = |token| desk.ask(request(&Method::GET, &path, Some(token)));
    assert_eq!(raw("user-token").await.0, 403);
    let (status, headers, bytes) = raw("manager-token").await;
    assert!(status == 200 && bytes.starts_with(b"From: "), "{headers:?}");
    assert_eq!(headers[header::CONTENT_TYPE.as_str()], "message/rfc822");
    let (_, queues) = ask(&desk, Method::GET, "/api/v1/queues", "").await;
    assert_eq!(queues["items"], json!([{"queue": "Raw", "state": "new", "tickets": 1}]));
    // In pages of one, each row once; a queue that is empty is named.
    reconfigure(&desk, |config| {
        let queue = Queue::named("a queue & more");
        config.queues.insert(queue.name.clone(), queue);
    });
    let (_, first) = ask(&desk, Method::GET, "/api/v1/queues?limit=1", "").await;
    assert_eq!(first["items"], json!([{"queue": "Raw", "state": "new", "tickets": 1}]));
    let next = postroom::net::http::percent_encoded(first["next"].as_str().unwrap());
    let path = format!("/api/v1/queues?limit=1&cursor={next}");
    let (_, second) = ask(&desk, Method::GET, &path, "").await;
    let empty = json!({"queue": "a queue & more", "state": "new", "tickets": 0});
    assert_eq!(second, json!({"items": [empty]}));
    let (_, oauth) = ask(&desk, Method::GET, "/api/v1/oauth", "").await;
    assert_eq!(oauth, json!({"items": []}), "nobody logs in with a token");
}

#[tokio::test]
async fn an_audience_is_a_page_for_managers() {
    let desk = Desk::new();
    let number = record(&desk).await;
    reconfigure(&desk, |config| {
        let ulla = config.users.get_mut("ulla").unwrap();
        let all = postroom::core::config::Channels { mail: true, web: true };
        ulla.subscriptions.queues.insert("Raw".into());
        ulla.subscriptions.events.insert(EventKind::TicketCreated, all.into());
        config.users.get_mut("mona").unwrap().language = Language::Ja;
    });
    let path = format!("/tickets/{number}/audience");
    assert_eq!(page(&desk, "ulla", &path).await.0, 403);
    let (status, told) = page(&desk, "adam", &format!("{path}?event=ticketCreated")).await;
    assert_eq!(status, 200);
    let at = |text: &str, who: &str| text.find(who).unwrap_or_else(|| panic!("{who}: {text}"));
    assert!(at(&told, ">ULLA</th>") < at(&told, ">ADAM</th>"), "those who are told come first");
    assert!(told.contains("users.ulla.subscriptions") && told.contains("at once"), "{told}");
    let own = format!("{path}?event=ticketCreated&by=ulla");
    assert!(page(&desk, "adam", &own).await.1.contains("did it himself"));
    assert!(page(&desk, "mona", &own).await.1.contains("本人が行った操作です"));
    let (_, ticket) = page(&desk, "adam", &format!("/tickets/{number}")).await;
    assert!(ticket.contains(&format!("href=\"{path}\"")));
    let (_, ticket) = page(&desk, "ulla", &format!("/tickets/{number}")).await;
    assert!(!ticket.contains(&format!("href=\"{path}\"")));
}

#[tokio::test]
async fn what_is_done_bears_the_time_of_the_daemon() {
    let later: Timestamp = "2031-01-01T00:00:00Z".parse().unwrap();
    let desk = Desk::with_clock(Clock::standing_at(later));
    let number = record(&desk).await;
    let path = format!("/api/v1/tickets/{number}/notes");
    let (status, ticket) = ask(&desk, Method::POST, &path, r#"{"text": "look"}"#).await;
    assert_eq!((status, ticket["updated"].as_str()), (200, Some(later.to_string().as_str())));
}

#[tokio::test]
async fn an_answer_is_seen_before_it_is_sent() {
    let desk = Desk::new();
    let number = record(&desk).await;
    reconfigure(&desk, |config| {
        let text = "Dear {{ customer.name }},\n{{ text }}\nYours, {{ agent.name }}";
        config.queues.get_mut("Raw").unwrap().answer = [(Language::En, text.into())].into();
    });
    let articles = || desk.handle.store.ticket(&number).unwrap().unwrap().articles.len();
    let before = articles();
    let path = format!("/api/v1/tickets/{number}/replies/preview");
    let (status, shown) = ask(&desk, Method::POST, &path, r#"{"text": "It works."}"#).await;
    assert_eq!(status, 200);
    let sent = "Dear Eve,\nIt works.\nYours, manager-token";
    assert_eq!(
        (shown["text"].as_str(), shown["to"].clone()),
        (Some(sent), json!(["eve@customer.example"]))
    );
    assert_eq!(shown["subject"], format!("[Ticket#{number}] the printer burns"));
    assert_eq!(ask(&desk, Method::POST, &path, r#"{"text": " "}"#).await.0, 422);

    // On the page, without script: all that was written is there again, and nothing was sent.
    let signed = Signed::of(&desk, "ulla").await;
    let form = format!(
        "csrf={}&text=It+%3Cworks%3E.&to=max%40customer.example&cc=&state=resolved",
        signed.csrf
    );
    let path = format!("/tickets/{number}/preview");
    let post = crate::pages::post(&path, Some(&signed.cookie), &form);
    let (status, _, body) = desk.ask(post).await;
    let page = String::from_utf8(body).unwrap();
    assert_eq!(status, 200);
    assert!(page.contains("It &lt;works&gt;.\nYours, ULLA"), "{page}");
    assert!(
        page.contains("value=\"max@customer.example\"")
            && page.contains("value=\"resolved\" selected")
    );
    // What stands around it is there before anything is written, too.
    let ticket = self::page(&desk, "ulla", &format!("/tickets/{number}")).await.1;
    assert!(ticket.contains("data-mirror=\"reply-text\"") && ticket.contains("Yours, ULLA"));
    assert_eq!(articles(), before);
}

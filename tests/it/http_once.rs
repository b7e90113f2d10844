//! Requests with a key: one effect, however often they are made, also when the daemon was ended or
//! killed in between.

use axum::body::Body;
use axum::http::{Method, header};
use postroom::core::address::Address;
use postroom::core::config::{Sender, Switch};
use postroom::core::mail::Digest;
use postroom::core::outgoing::{Delivery, OutgoingId};
use postroom::store::{Claim, Once, OutboxFilter};
use serde_json::{Value, json};

use crate::http::{Desk, record, request};

/// Asks with this key and answers with status and body.
async fn keyed(desk: &Desk, token: &str, path: &str, key: &str, body: &Value) -> (u16, Value) {
    let mut asked = request(&Method::POST, path, Some(token));
    asked.headers_mut().insert("idempotency-key", key.parse().unwrap());
    *asked.body_mut() = Body::from(body.to_string());
    let (status, headers, body) = desk.ask(asked).await;
    assert!(headers[header::CONTENT_TYPE.as_str()].contains("json"), "{headers:?}");
    (status.as_u16(), serde_json::from_slice(&body).unwrap())
}

const BULK: &str = "/api/v1/tickets/bulk";

/// How much has happened to a ticket.
fn events(desk: &Desk, number: &str) -> usize {
    desk.handle.store.ticket(number).unwrap().unwrap().events.len()
}

#[tokio::test]
async fn a_key_belongs_to_its_request_also_when_the_first_ticket_was_refused() {
    let desk = Desk::new();
    let number = record(&desk).await;
    let missing = "20200101100000";
    let close = json!({"tickets": [missing, number], "change": {"state": "closed"}});
    let first = keyed(&desk, "user-token", BULK, "k", &close).await;
    assert_eq!(first.0, 200);
    assert_eq!(first.1["items"][0]["status"], 404);
    assert_eq!(first.1["items"][1]["status"], 200);
    let after = events(&desk, &number);
    // Another request with it does nothing at all, whichever of its tickets could be changed.
    for other in [
        json!({"tickets": [missing, number], "change": {"state": "open"}}),
        json!({"tickets": [number], "change": {"state": "open"}}),
        json!({"tickets": [missing, number, number], "change": {"state": "closed"}}),
    ] {
        let (status, problem) = keyed(&desk, "user-token", BULK, "k", &other).await;
        assert_eq!((status, events(&desk, &number)), (422, after), "{problem}");
    }
    // Nor does another route, in either direction.
    let notes = format!("/api/v1/tickets/{number}/notes");
    let note = json!({"text": "look"});
    assert_eq!(keyed(&desk, "user-token", &notes, "k", &note).await.0, 422);
    assert_eq!(keyed(&desk, "user-token", &notes, "n", &note).await.0, 200);
    assert_eq!(keyed(&desk, "user-token", BULK, "n", &close).await.0, 422);
    // The same is answered as before, also by the next daemon.
    assert_eq!(keyed(&desk, "user-token", BULK, "k", &close).await, first);
    let noted = events(&desk, &number);
    let desk = desk.again().await;
    assert_eq!(keyed(&desk, "user-token", BULK, "k", &close).await, first);
    assert_eq!(keyed(&desk, "user-token", &notes, "n", &note).await.0, 200);
    assert_eq!(events(&desk, &number), noted, "nothing was done again");
    // Another token has keys of its own.
    assert_eq!(
        keyed(
            &desk,
            "admin-token",
            BULK,
            "k",
            &json!({"tickets": [number], "change": {"lock": true}})
        )
        .await
        .0,
        200
    );
    assert!(desk.handle.store.verify().unwrap().is_empty());
}

/// A desk with an owed mail, and its identity.
async fn owing() -> (Desk, u64) {
    let desk = Desk::new();
    let number = record(&desk).await;
    crate::http_desk::reconfigure(&desk, |config| {
        let sender = Sender {
            name: "default".into(),
            from_name: "Desk".into(),
            from: Address::parse("desk@desk.example").unwrap(),
            envelope_from: None,
            via: vec!["nowhere".into()],
            state: Switch::Enabled,
        };
        config.senders.insert(sender.name.clone(), sender);
    });
    let path = format!("/api/v1/tickets/{number}/replies");
    assert_eq!(keyed(&desk, "user-token", &path, "r", &json!({"text": "It works."})).await.0, 200);
    let owed = desk.handle.store.outbox(OutboxFilter::All, None, 2).unwrap().items;
    assert_eq!(owed.len(), 1, "{owed:?}");
    (desk, owed[0].id.0)
}

fn state(desk: &Desk, id: u64) -> &'static str {
    let owed = desk.handle.store.outbox(OutboxFilter::All, Some(OutgoingId(id + 1)), 1).unwrap();
    match owed.items[0].delivery {
        Delivery::Due { .. } => "due",
        Delivery::Sent { .. } => "sent",
        Delivery::Dead { .. } => "dead",
    }
}

/// What happens to the mail between two requests.
async fn give_up(desk: &Desk, id: u64) {
    let at = desk.handle.clock.now();
    let dead = Delivery::Dead { at, reason: "refused".into() };
    desk.handle.store.delivered(vec![(OutgoingId(id), dead)]).await.unwrap();
}

#[tokio::test]
async fn what_is_not_about_a_ticket_is_done_once_too() {
    let (desk, id) = owing().await;
    give_up(&desk, id).await;
    let path = format!("/api/v1/outbox/{id}/retry");
    let none = json!({});
    let first = keyed(&desk, "manager-token", &path, "k", &none).await;
    assert_eq!((first.0, state(&desk, id)), (200, "due"));
    give_up(&desk, id).await;
    assert_eq!(keyed(&desk, "manager-token", &path, "k", &none).await, first);
    assert_eq!(state(&desk, id), "dead", "it was not tried again");
    let desk = desk.again().await;
    assert_eq!(keyed(&desk, "manager-token", &path, "k", &none).await, first);
    assert_eq!(state(&desk, id), "dead", "nor by the next daemon");
    // Who may not do it gets no answer of somebody who may.
    assert_eq!(keyed(&desk, "viewer-token", &path, "k", &none).await.0, 403);
    assert_eq!(keyed(&desk, "manager-token", &path, "another", &none).await.0, 200);
    assert_eq!(state(&desk, id), "due");
}

#[tokio::test]
async fn what_was_refused_may_be_tried_again() {
    let desk = Desk::new();
    let path = "/api/v1/quarantine/1/release";
    let released = |key| keyed(&desk, "manager-token", path, key, &Value::Null);
    assert_eq!(released("k").await.0, 404);
    assert_eq!(released("k").await.0, 404, "and is no other request for that");
    for key in ["", "\"\""] {
        assert_eq!(released(key).await.0, 400, "{key:?}");
    }
}

#[tokio::test]
async fn who_was_killed_before_the_answer_was_kept_does_it_again_and_nobody_else() {
    let (desk, id) = owing().await;
    give_up(&desk, id).await;
    let path = format!("/api/v1/outbox/{id}/retry");
    // The claim is committed, and the daemon is gone before the effect.
    let once = Once {
        key: Digest::of(b"Token(\"manager-token\") k"),
        request: Digest::of(format!("POST {path}\n{{}}").as_bytes()),
    };
    let now = desk.handle.clock.now();
    assert_eq!(desk.handle.store.claim(once, now).await.unwrap(), Claim::New);
    let desk = desk.again().await;
    let (status, _) = keyed(&desk, "manager-token", &path, "k", &json!({"other": 1})).await;
    assert_eq!((status, state(&desk, id)), (422, "dead"), "the key is taken");
    let (status, _) = keyed(&desk, "manager-token", &path, "k", &json!({})).await;
    assert_eq!((status, state(&desk, id)), (200, "due"));
}

#[tokio::test]
async fn requests_with_one_key_wait_for_each_other() {
    let (desk, id) = owing().await;
    give_up(&desk, id).await;
    let path = format!("/api/v1/outbox/{id}/retry");
    let none = json!({});
    let many = (0..20).map(|_| keyed(&desk, "manager-token", &path, "k", &none));
    let answers = futures_util::future::join_all(many).await;
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 200), "{answers:?}");
}

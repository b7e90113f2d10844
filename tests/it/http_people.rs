//! Who asks, the people of the desk, and the HTML of their mails, against the real router.

use axum::http::Method;
use postroom::http::routes::{self, Access};
use serde_json::Value;

use crate::http::{Desk, ROLES, json, record, record_mail, request};
use crate::pages::{Signed, get};

async fn ask(desk: &Desk, token: &str, path: &str) -> (u16, Value) {
    let (status, _, body) = desk.ask(request(&Method::GET, path, Some(token))).await;
    (status.as_u16(), serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_token_learns_what_it_opens() {
    let mut desk = Desk::new();
    let answering = desk.answer_reloads();
    for (token, role) in ROLES {
        let (status, me) = ask(&desk, token, "/api/v1/me").await;
        assert_eq!((status, &me["token"]), (200, &token.into()));
        assert_eq!(me["role"], routes::role_name(role));
        let may = me["may"].as_array().unwrap();
        for route in routes::all() {
            let Access::Role(needed) = route.access else { continue };
            let named = may
                .iter()
                .any(|one| one["method"] == route.method.as_str() && one["path"] == route.path);
            assert_eq!(named, role >= needed, "{token}: {} {}", route.method, route.path);
        }
    }
    answering.abort();
}

#[tokio::test]
async fn the_people_of_the_desk_and_their_bells() {
    let desk = Desk::new();
    crate::http_desk::reconfigure(&desk, |config| {
        let ulla = config.users.get_mut("ulla").unwrap();
        let bell = postroom::core::config::Channels { mail: false, web: true };
        ulla.subscriptions.queues.insert("Raw".into());
        let created = postroom::core::notify::EventKind::TicketCreated;
        ulla.subscriptions.events.insert(created, bell.into());
    });
    record(&desk).await;
    let (_, people) = ask(&desk, "viewer-token", "/api/v1/users").await;
    let names: Vec<&str> = people["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["adam", "mona", "ulla", "vera"]);
    assert!(!people.to_string().contains('@'), "addresses are for those who work: {people}");
    let (_, first) = ask(&desk, "viewer-token", "/api/v1/users?limit=3").await;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["next"]), (3, &"ulla".into()));
    let (_, last) = ask(&desk, "viewer-token", "/api/v1/users?limit=3&cursor=ulla").await;
    assert_eq!((&last["items"][0]["name"], &last["next"]), (&"vera".into(), &Value::Null));
    let (status, ulla) = ask(&desk, "user-token", "/api/v1/users/ulla").await;
    assert_eq!(
        (status, &ulla["unread"], &ulla["email"]),
        (200, &1.into(), &"ulla@agents.test".into())
    );
    assert_eq!(ask(&desk, "user-token", "/api/v1/users/adam").await.1["unread"], 0);
    assert_eq!(ask(&desk, "user-token", "/api/v1/users/nobody").await.0, 404);
}

#[tokio::test]
async fn an_administrator_ends_the_sessions_of_somebody() {
    let desk = Desk::new();
    let (first, second) = (Signed::of(&desk, "ulla").await, Signed::of(&desk, "ulla").await);
    let other = Signed::of(&desk, "vera").await;
    let me = async |signed: &Signed| desk.status(get("/me", Some(&signed.cookie))).await;
    assert_eq!((me(&first).await, me(&second).await), (200, 200));
    let path = "/api/v1/users/ulla/sessions";
    let end = |path: &str, token| desk.status(request(&Method::DELETE, path, Some(token)));
    assert_eq!(end(path, "manager-token").await, 403);
    assert_eq!(end(path, "admin-token").await, 200);
    assert_eq!((me(&first).await, me(&second).await, me(&other).await), (303, 303, 200));
    assert_eq!(end(path, "admin-token").await, 200, "and again");
    assert_eq!(end("/api/v1/users/nobody/sessions", "admin-token").await, 404);
}

const LETTER: &str = "From: Eve <eve@customer.example>\r\nTo: support@desk.example\r\n\
    Subject: html\r\nMessage-ID: <h@customer.example>\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/html; charset=utf-8\r\n\r\n\
    <p onclick=\"x()\">Hello <b>agent</b></p><script>x()</script><img src=\"http://evil.example/p.gif\">\r\n";

#[tokio::test]
async fn the_html_of_a_mail_is_harmless_for_programs_too() {
    let desk = Desk::new();
    let number = record_mail(&desk, "new/html", LETTER).await;
    let path = format!("/api/v1/tickets/{number}/articles/1/html");
    let (status, headers, body) =
        desk.ask(request(&Method::GET, &path, Some("viewer-token"))).await;
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    let policy = &headers["content-security-policy"];
    assert!(policy.starts_with("sandbox; default-src 'none'"), "{policy}");
    assert_eq!(headers["x-frame-options"], "DENY");
    assert!(body.contains("Hello <b>agent</b>"), "{body}");
    for word in ["script", "onclick", "evil.example"] {
        assert!(!body.contains(word), "{word}: {body}");
    }
    let plain = record(&desk).await;
    let (_, ticket) = json(&desk, Method::GET, &format!("/api/v1/tickets/{plain}"), "").await;
    let id = &ticket["articles"][0]["id"];
    let path = format!("/api/v1/tickets/{plain}/articles/{id}/html");
    assert_eq!(ask(&desk, "viewer-token", &path).await.0, 404, "it is plain text");
}

//! Daily work on the page, without a browser: taking tickets, going through a list, and what names
//! that strangers or files give cannot do.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use postroom::core::address::Address;
use postroom::core::config::{CustomerProfile, Queue};
use postroom::core::ticket::{Actor, Command, Ticket, Watcher};
use postroom::http::routes::{self, Access, Payload};

use crate::http::{Desk, record_mail};
use crate::http_desk::reconfigure;
use crate::pages::{Signed, get, post};

async fn open(desk: &Desk, user: &str, path: &str) -> (u16, String) {
    let signed = Signed::of(desk, user).await;
    let (status, _, body) = desk.ask(get(path, Some(&signed.cookie))).await;
    (status.as_u16(), String::from_utf8(body).unwrap())
}

/// Sends a form: status, where it leads, and the page.
async fn send(desk: &Desk, user: &str, path: &str, form: &str) -> (u16, String, String) {
    let signed = Signed::of(desk, user).await;
    let form = format!("csrf={}&{form}", signed.csrf);
    let (status, headers, body) = desk.ask(post(path, Some(&signed.cookie), &form)).await;
    let location = headers.get("location").cloned().unwrap_or_default();
    (status.as_u16(), location, String::from_utf8(body).unwrap())
}

fn ticket(desk: &Desk, number: &str) -> Ticket {
    desk.handle.store.ticket(number).unwrap().unwrap().ticket
}

/// Tickets named by their order.
async fn tickets(desk: &Desk, count: usize) -> Vec<String> {
    let mut numbers = Vec::new();
    for at in 0..count {
        let mail = format!(
            "From: eve@customer.example\r\nTo: desk@desk.example\r\nSubject: case {at}\r\n\
             Message-ID: <{at}@customer.example>\r\n\r\nText.\r\n"
        );
        numbers.push(record_mail(desk, &format!("new/{at}"), &mail).await);
    }
    numbers
}

/// Where the link to the next ticket leads.
fn next(page: &str) -> Option<String> {
    let link = page.split("rel=\"next\"").nth(1)?.split("href=\"").nth(1)?.split('"').next()?;
    Some(link.replace("&amp;", "&"))
}

#[tokio::test]
async fn a_ticket_is_taken_once() {
    let desk = Desk::new();
    let numbers = tickets(&desk, 2).await;
    let path = format!("/tickets/{}/change", numbers[0]);
    let (status, location, _) = send(&desk, "ulla", &path, "take=yes").await;
    assert_eq!((status, location), (303, format!("/tickets/{}?said=taken", numbers[0])));
    let taken = ticket(&desk, &numbers[0]);
    assert_eq!(taken.owner.as_deref(), Some("ulla"));
    assert!(taken.locked_since.is_some());
    // Who had the page open from before is told who was faster.
    let (status, _, page) = send(&desk, "mona", &path, "take=yes").await;
    assert_eq!(status, 422);
    assert!(page.contains("has it locked already"), "{page}");
    assert_eq!(ticket(&desk, &numbers[0]).owner.as_deref(), Some("ulla"));
    // In a list, too, and there the others are taken.
    let form = format!("back=/&do=take&ticket={}&ticket={}", numbers[0], numbers[1]);
    let (_, location, _) = send(&desk, "mona", "/tickets/bulk", &form).await;
    assert_eq!(location, format!("/?failed={}", numbers[0]));
    assert_eq!(ticket(&desk, &numbers[1]).owner.as_deref(), Some("mona"));
    // Giving it back.
    let (status, ..) = send(&desk, "ulla", &path, "owner=&lock=no").await;
    assert_eq!(status, 303);
    let given = ticket(&desk, &numbers[0]);
    assert_eq!((given.owner, given.locked_since), (None, None));
    let form = format!("back=/&take={}&ticket={}&queue=", numbers[0], numbers[1]);
    send(&desk, "ulla", "/tickets/bulk", &form).await;
    assert_eq!(ticket(&desk, &numbers[0]).owner.as_deref(), Some("ulla"));
    assert_eq!(ticket(&desk, &numbers[1]).owner.as_deref(), Some("mona"), "only the one pressed");
}

#[tokio::test]
async fn nothing_moves_without_a_queue_to_move_to() {
    let desk = Desk::new();
    let numbers = tickets(&desk, 1).await;
    for (form, said) in
        [("do=move&queue=", "nowhere"), ("do=move&queue=Raw", "none"), ("do=take", "none")]
    {
        let ticked = if said == "none" { "" } else { numbers[0].as_str() };
        let form = format!("{form}&ticket={ticked}&back=/?order=oldest");
        let form = if ticked.is_empty() { form.replace("&ticket=", "") } else { form };
        let (_, location, _) = send(&desk, "ulla", "/tickets/bulk", &form).await;
        assert_eq!(location, format!("/?order=oldest&said={said}"));
        assert_eq!(open(&desk, "ulla", &location).await.0, 200);
    }
    let form = format!("do=nothing&back=/?order=oldest&ticket={}", numbers[0]);
    let (_, location, _) = send(&desk, "ulla", "/tickets/bulk", &form).await;
    assert_eq!(location, "/?order=oldest");
    let form = format!("do=delete&ticket={}", numbers[0]);
    assert_eq!(send(&desk, "ulla", "/tickets/bulk", &form).await.0, 422);
}

#[tokio::test]
async fn from_ticket_to_ticket_through_a_list() {
    let desk = Desk::new();
    let numbers = tickets(&desk, 4).await;
    let (_, list) = open(&desk, "ulla", "/?order=oldest").await;
    let first = format!("/tickets/{}?list=order%3Doldest", numbers[0]);
    assert!(list.contains(&format!("href=\"{first}\"")), "{list}");
    let (_, page) = open(&desk, "ulla", &first).await;
    assert!(page.contains("href=\"/?order=oldest\""), "the way back: {page}");
    let mut seen = vec![numbers[0].clone()];
    let mut link = next(&page);
    while let Some(path) = link {
        seen.push(path.split(['/', '?']).nth(2).unwrap().to_owned());
        link = next(&open(&desk, "ulla", &path).await.1);
    }
    assert_eq!(seen, numbers);
}

#[tokio::test]
async fn what_is_done_to_a_ticket_does_not_lose_the_place() {
    let desk = Desk::new();
    let numbers = tickets(&desk, 4).await;
    // By the last change, oldest first: whatever is done puts the ticket to the end of the list.
    let second = format!("/tickets/{}?list=order%3Dwaiting", numbers[1]);
    let (_, page) = open(&desk, "ulla", &second).await;
    let at = page.split("name=\"at\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let change = format!("/tickets/{}/change", numbers[1]);
    for form in ["take=yes", "priority=4+high", "state=closed+successful"] {
        let form = format!("{form}&list=order%3Dwaiting&at={at}");
        let (status, location, _) = send(&desk, "ulla", &change, &form).await;
        assert_eq!(status, 303);
        let (_, page) = open(&desk, "ulla", &location).await;
        let link = next(&page).unwrap();
        assert_eq!(link, format!("/tickets/{}?list=order%3Dwaiting", numbers[2]));
    }
    // What is refused stays there, too.
    let note = format!("/tickets/{}/note", numbers[1]);
    let form = format!("text=&list=order%3Dwaiting&at={at}");
    let (status, _, page) = send(&desk, "ulla", &note, &form).await;
    assert_eq!((status, next(&page).is_some()), (422, true));
}

#[tokio::test]
async fn a_ticket_that_was_opened_from_no_list_has_no_next() {
    let desk = Desk::new();
    let numbers = tickets(&desk, 2).await;
    let long = "x".repeat(200);
    for list in ["", "?list=", "?at=0.1.2", &format!("?list={long}")] {
        let (status, page) = open(&desk, "ulla", &format!("/tickets/{}{list}", numbers[0])).await;
        assert_eq!((status, next(&page)), (200, None), "{list}");
        assert!(page.contains("href=\"/\""));
    }
    // What cannot be asked for is no reason to hide the ticket.
    for list in ["state%3Dnonsense", "customer%3Dnobody", "%22%3E%3Cscript%3E&at=%22%3E"] {
        let path = format!("/tickets/{}?list={list}", numbers[0]);
        let (status, page) = open(&desk, "ulla", &path).await;
        assert_eq!(status, 200);
        assert!(!page.contains("<script>"), "{page}");
    }
}

#[tokio::test]
async fn an_answer_goes_to_the_customer_and_to_all_if_that_is_asked_for() {
    let desk = Desk::new();
    let mail = "From: eve@customer.example\r\nTo: max@customer.example\r\n\
                Cc: boss@customer.example\r\nSubject: case\r\nMessage-ID: <1@customer.example>\r\n\r\nx\r\n";
    let number = record_mail(&desk, "new/1", mail).await;
    let field = |page: &str| {
        let rest = page.split("name=\"cc\"").nth(1).unwrap();
        rest.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let (_, page) = open(&desk, "ulla", &format!("/tickets/{number}?list=all")).await;
    assert_eq!(field(&page), "");
    for other in ["boss@customer.example", "max@customer.example"] {
        assert!(page.contains(&format!("<bdi>{other}</bdi>")), "{other} takes part: {page}");
    }
    let all = format!("/tickets/{number}?all=1&amp;list=all#reply");
    assert!(page.contains(&format!("href=\"{all}\"")), "{page}");
    let (_, page) = open(&desk, "ulla", &format!("/tickets/{number}?all=1")).await;
    assert_eq!(field(&page), "boss@customer.example, max@customer.example");
    // Who only reads sends nothing.
    let (_, page) = open(&desk, "vera", &format!("/tickets/{number}?all=1")).await;
    assert!(!page.contains("name=\"cc\""));
    // What was written is not written over.
    let path = format!("/tickets/{number}/preview?all=1");
    let (_, _, page) = send(&desk, "ulla", &path, "text=x&to=eve@customer.example&cc=").await;
    assert_eq!(field(&page), "");
}

/// What a name must not become on any page.
const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";

fn hostile(name: &str) -> String {
    format!("{name} {HOSTILE}")
}

/// A desk on which everything that has a name has a hostile one.
async fn hostile_desk() -> (Desk, String) {
    let desk = Desk::new();
    reconfigure(&desk, |config| {
        config.desk.name = hostile("desk");
        config.desk.hook = hostile("hook");
        let queue = Queue::named(&hostile("queue"));
        config.queues.insert(queue.name.clone(), queue);
        for user in config.users.values_mut() {
            user.full_name = hostile("user");
        }
        let address = Address::parse("eve@customer.example").unwrap();
        let profile = CustomerProfile {
            name: Some(hostile("customer")),
            company: Some(hostile("company")),
            language: None,
        };
        Arc::make_mut(&mut config.customers).insert(address, profile);
    });
    let mail = format!(
        "From: \"{}\" <eve@customer.example>\r\nTo: desk@desk.example\r\nSubject: {HOSTILE}\r\n\
         Message-ID: <1{HOSTILE}@customer.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{HOSTILE}\r\n\
         javascript:alert(1) https://x.example/{HOSTILE}\r\n--b\r\n\
         Content-Type: text/html; name=\"{}\"\r\n\
         Content-Disposition: attachment; filename=\"{}\"\r\n\r\n{HOSTILE}\r\n--b--\r\n",
        HOSTILE.replace('"', ""),
        HOSTILE.replace('"', ""),
        HOSTILE.replace('"', "")
    );
    let number = record_mail(&desk, &format!("new/{HOSTILE}"), &mail).await;
    let config = desk.handle.running.load().config.clone();
    let commands = vec![
        Command::SetQueue(hostile("queue")),
        Command::SetTitle(hostile("title")),
        Command::Take,
        Command::Watch(Watcher::Agent("mona".into())),
        Command::Note {
            subject: hostile("note"),
            text: hostile("note"),
            visible_for_customer: true,
        },
        Command::DeliveryFailed {
            to: Address::parse("eve@customer.example").unwrap(),
            reason: hostile("550"),
        },
    ];
    let (actor, now) = (Actor::Agent("ulla".into()), desk.handle.clock.now());
    desk.handle.store.command(config, &number, commands, actor, now).await.unwrap();
    (desk, number)
}

/// Every address that a page leads to or loads.
fn addresses(page: &str) -> impl Iterator<Item = &str> {
    let begins = [" href=\"", " src=\"", " action=\"", " formaction=\""];
    begins.into_iter().flat_map(|begin| {
        page.split(begin).skip(1).map(|rest| rest.split('"').next().unwrap_or_default())
    })
}

#[tokio::test]
async fn no_name_becomes_part_of_a_page() {
    let (desk, number) = hostile_desk().await;
    let mail = desk.handle.store.mails(None, 1).unwrap().items[0].id.0;
    let mut shown = 0;
    for route in routes::all() {
        let page = matches!(route.access, Access::Page(Some(_)));
        let html = matches!(route.gives, Payload::Bytes("text/html"));
        if !page
            || !html
            || route.method != axum::http::Method::GET
            || route.path.ends_with("/html")
        {
            continue;
        }
        let path = route.path.replace("/mails/{id}", &format!("/mails/{mail}"));
        let path = match path.contains('{') {
            true => path.replace("{number}", &number).replace("{address}", "eve@customer.example"),
            false => path,
        };
        let queue = "%22%3E%3Cscript%3Ealert(1)";
        for more in ["", &format!("?queue={queue}&q={queue}&owner={queue}&list=queue%3D{queue}")] {
            let (status, body) = open(&desk, "adam", &format!("{path}{more}")).await;
            assert!(status == 200 || status == 422, "{path}{more} answers {status}");
            for word in ["<script>", "<img src=x", "'><"] {
                assert!(!body.contains(word), "{path}{more} has {word}: {body}");
            }
            for address in addresses(&body) {
                let ours = address.starts_with(['/', '#']) && !address.starts_with("//");
                assert!(ours || address.starts_with("https://x.example/"), "{path}: {address}");
            }
            shown += body.matches("&lt;script&gt;").count();
        }
    }
    assert!(shown > 40, "the names were on the pages: {shown}");
}

#[tokio::test]
async fn a_mistyped_address_is_a_page_for_people_only() {
    let desk = Desk::new();
    let signed = Signed::of(&desk, "ulla").await;
    let ask = async |path: &str, accept: &str, cookie: Option<&str>| {
        let mut asked = get(path, cookie);
        asked.headers_mut().insert(header::ACCEPT, accept.parse().unwrap());
        let (status, headers, body) = desk.ask(asked).await;
        (status, headers["content-type"].clone(), String::from_utf8(body).unwrap())
    };
    for path in ["/ticket", "/tickets/", "/sign-out"] {
        let expected = if path == "/sign-out" {
            StatusCode::METHOD_NOT_ALLOWED
        } else {
            StatusCode::NOT_FOUND
        };
        let (status, kind, body) = ask(path, "text/html,*/*", Some(&signed.cookie)).await;
        assert_eq!((status, kind.as_str()), (expected, "text/html; charset=utf-8"), "{path}");
        assert!(body.contains("There is nothing here.") && !body.contains("openapi"), "{body}");
        assert!(body.contains("class=\"bar\""), "the way on");
        let (status, kind, body) = ask(path, "text/html", None).await;
        assert_eq!((status, kind.as_str()), (expected, "text/html; charset=utf-8"));
        assert!(!body.contains("class=\"bar\""), "nobody is signed in");
        let (status, kind, _) = ask(path, "application/json", None).await;
        assert_eq!((status, kind.as_str()), (expected, "application/problem+json"));
    }
    let (_, kind, _) = ask("/api/v1/ticket", "text/html", None).await;
    assert_eq!(kind, "application/problem+json");
}

//! Reading and sending through Microsoft Graph, against the stand-in of `server/graph.rs`, and
//! every way in which the service can fail us.

use std::time::Duration;

use postroom::core::address::Address;
use postroom::core::config::{
    Account, AfterFetch, Login, Security, SmtpRoute, SmtpServer, Source, Switch, Text,
};
use postroom::core::outgoing::{Attempt, Delivery, Outgoing, OutgoingId, OutgoingKind, after};
use postroom::mailbox::{self, Fetched, Mailbox, MailboxError};
use postroom::secret::Secrets;
use postroom::transport;
use postroom::transport::Earlier;
use postroom::transport::programs::Programs;
use secrecy::SecretString;

use crate::daemon::{Daemon, until};
use crate::listing::List;
use crate::server::certificates::Authority;
use crate::server::graph::{Fault, StandIn, TOKEN, refusal, wait};
use crate::server::issuer::Issuer;
use crate::server::{account, endpoint};

/// The stand-in, and an account that reads from it.
struct World {
    service: StandIn,
    folder: tempfile::TempDir,
    account: Account,
    /// Time for a step when sending, if it is another one.
    send_timeout: Option<Duration>,
}

impl World {
    /// With so many messages in the inbox, `M0=` the oldest.
    async fn new(messages: usize) -> World {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        authority.write(folder.path());
        let service = StandIn::start(authority.issue(&["localhost"], 2099).server()).await;
        for number in 0..messages {
            service.deliver(&format!("M{number}="), &mail(number));
        }
        let account = account(source(&service, &folder, None, "INBOX"));
        World { service, folder, account, send_timeout: None }
    }

    fn reading(mut self, mailbox: Option<&str>, folder: &str) -> World {
        self.account.connection = source(&self.service, &self.folder, mailbox, folder);
        self
    }

    fn timeout(mut self, within: Duration) -> World {
        let Source::Graph { endpoint, .. } = &mut self.account.connection else { unreachable!() };
        endpoint.timeout = within;
        self
    }

    async fn open(&self) -> Result<Box<dyn Mailbox>, MailboxError> {
        let token = SecretString::from(TOKEN.to_owned());
        mailbox::open(&self.account, &Secrets::default(), Some(&token)).await
    }

    /// Everything a poller does in one session.
    async fn work(&self, after: &AfterFetch) -> Result<Vec<Fetched>, MailboxError> {
        let mut mailbox = self.open().await?;
        let entries = mailbox.list().await?.entries;
        let fetched = mailbox.fetch(&entries, 1024 * 1024).await?;
        mailbox.done(&entries, after).await?;
        mailbox.close().await?;
        assert_eq!(self.service.state().violations, Vec::<String>::new());
        Ok(fetched)
    }

    fn server(&self) -> SmtpServer {
        let ca = self.folder.path().join("ca.pem");
        let mut endpoint = endpoint(self.service.port, Security::Tls, Some(&ca));
        endpoint.timeout = self.send_timeout.unwrap_or(endpoint.timeout);
        let route = SmtpRoute::Graph { endpoint, login: login(Some("shared@example.com")) };
        SmtpServer {
            name: "graph".into(),
            route,
            connections: 1,
            helo_name: None,
            state: Switch::Enabled,
        }
    }

    async fn send(&self, mail: &Outgoing) -> Attempt {
        self.send_after(mail, Earlier::Nothing).await
    }

    async fn send_after(&self, mail: &Outgoing, earlier: Earlier) -> Attempt {
        let token = SecretString::from(TOKEN.to_owned());
        let opened = transport::open(
            &self.server(),
            &Secrets::default(),
            &Programs::default(),
            Some(&token),
        )
        .await;
        let mut connection = opened.unwrap_or_else(|attempt| panic!("{attempt:?}"));
        let attempt = connection.send(mail, earlier).await;
        let down = matches!(attempt, Attempt::ServerDown { .. } | Attempt::InDoubt { .. });
        assert_eq!(connection.usable(), !down);
        assert!(!format!("{attempt:?}").contains("CANARY"), "{attempt:?}");
        attempt
    }
}

fn login(mailbox: Option<&str>) -> Login {
    Login::OAuth2 {
        username: Text::Plain("desk@example.com".into()),
        profile: "m365".into(),
        mailbox: mailbox.map(|name| Text::Plain(name.into())),
    }
}

fn source(
    service: &StandIn,
    scratch: &tempfile::TempDir,
    mailbox: Option<&str>,
    folder: &str,
) -> Source {
    let ca = scratch.path().join("ca.pem");
    Source::Graph {
        endpoint: endpoint(service.port, Security::Tls, Some(&ca)),
        login: login(mailbox),
        folder: folder.into(),
    }
}

fn mail(number: usize) -> String {
    format!("From: eve@cust.test\r\nSubject: mail {number}\r\n\r\n\u{1F600} {number}\r\n")
}

#[tokio::test]
async fn a_folder_of_several_pages_is_read_and_emptied() {
    let world = World::new(25).await;
    let fetched = world.work(&AfterFetch::Delete).await.unwrap();
    let expected: Vec<Fetched> =
        (0..25).map(|number| Fetched::Mail(mail(number).into_bytes())).collect();
    assert_eq!(fetched, expected, "oldest first, byte for byte");
    assert_eq!(world.service.ids("F-inbox=="), Vec::<String>::new());
    assert_eq!(world.work(&AfterFetch::Delete).await.unwrap(), []);
}

#[tokio::test]
async fn what_a_listing_tells() {
    let world = World::new(2).await;
    world.service.state().messages[1].seen = true;
    world.service.state().messages[1].size = None;
    let listing = world.open().await.unwrap().list().await.unwrap();
    assert_eq!(listing.epoch, "F-inbox==");
    let shown: Vec<_> = listing
        .entries
        .iter()
        .map(|entry| (entry.location.0.as_str(), entry.seen, entry.size_bytes, entry.arrived))
        .collect();
    let size = mail(0).len() as u64 + 700;
    let at = |text: &str| Some(text.parse().unwrap());
    assert_eq!(
        shown,
        [
            ("M0=", false, Some(size), at("2026-07-01T00:00:00Z")),
            ("M1=", true, None, at("2026-07-01T01:00:00Z")),
        ]
    );
}

#[tokio::test]
async fn a_mail_is_marked_or_moved() {
    let world = World::new(2).await.reading(Some("shared@example.com"), "inbox");
    world.work(&AfterFetch::Seen).await.unwrap();
    assert!(world.service.state().messages.iter().all(|message| message.seen));
    world.work(&AfterFetch::Move("Inbox/Done's".into())).await.unwrap();
    assert_eq!(world.service.ids("F-done"), ["M0=", "M1="]);
    let calls = world.service.state().calls.clone();
    let own = |call: &String| {
        call.contains(" /v1.0/users/shared@example.com/") || call == "POST /v1.0/$batch"
    };
    assert!(calls.iter().all(own), "{calls:#?}");
}

#[tokio::test]
async fn folders_are_found_by_name_and_path() {
    let cases = [
        ("INBOX", Some("F-inbox==")),
        ("Inbox", Some("F-inbox==")),
        ("archive", Some("F-archive")),
        ("受信トレイ", Some("F-inbox==")),
        ("受信トレイ/Done's", Some("F-done")),
        ("inbox/done's", Some("F-done")),
        ("Desk", Some("F-desk")),
        ("Desk/None", None),
        ("Done's", None),
        ("../../me", None),
        ("", None),
        ("x' or '1' eq '1", None),
    ];
    for (path, expected) in cases {
        let world = World::new(0).await.reading(None, path);
        match (world.open().await, expected) {
            (Ok(mut mailbox), Some(id)) => assert_eq!(mailbox.list().await.unwrap().epoch, id),
            (Err(error), None) => assert_eq!(error.label(), "folder", "{path}: {error}"),
            (Ok(_), None) => panic!("{path} was found"),
            (Err(error), Some(_)) => panic!("{path}: {error}"),
        }
    }
    let world = World::new(0).await.reading(Some("nobody@example.com"), "INBOX");
    let error = world.open().await.err().unwrap();
    assert_eq!(error.label(), "folder");
    assert!(error.to_string().contains("ErrorInvalidUser"), "{error}");
}

#[tokio::test]
async fn what_the_support_asks_for_is_kept() {
    let body = format!(r#"{{"error": {{"code": "x", "message": "{}"}}}}"#, "word ".repeat(100));
    let headers = vec![("request-id", "7b3c-1".to_owned())];
    let world = World::new(1).await;
    world.service.trouble(LIST, Fault::Answer(500, headers.clone(), body.clone()), 1);
    let error = world.work(&AfterFetch::Keep).await.unwrap_err().to_string();
    assert!(error.contains("(request-id 7b3c-1)") && error.len() < 300, "{error}");
    world.service.trouble("sendMail", Fault::Answer(400, headers, body), 1);
    let attempt = world.send(&owed("eve@cust.test", "To: eve@cust.test\r\n")).await;
    let Attempt::Permanent(words) = attempt else { panic!("{attempt:?}") };
    assert!(words.ends_with("(request-id 7b3c-1)"), "{words}");
}

/// With this fault at calls that contain this, the work ends with this error and nothing is done
/// to any mail.
#[track_caller]
fn check(call: &str, fault: Fault, label: &str) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    let (call, label) = (call.to_owned(), label.to_owned());
    async move {
        let within = if label == "timeout" { 700 } else { 20_000 };
        let world = World::new(12).await.timeout(Duration::from_millis(within));
        world.service.trouble(&call, fault.clone(), usize::MAX);
        let result = world.work(&AfterFetch::Delete).await;
        let found = result.as_ref().map_or_else(MailboxError::label, |_| "nothing");
        assert_eq!(found, label, "{place}: {call} answered by {fault:?}: {result:?}");
        if let Err(error) = &result {
            let (shown, debug) = (error.to_string(), format!("{error:?}"));
            assert!(!shown.contains("CANARY") && !debug.contains("CANARY"), "{shown}");
            assert!(!shown.contains('\n') && shown.len() < 600, "{shown}");
            assert_eq!(world.service.ids("F-inbox==").len(), 12, "{place}");
        }
    }
}

fn page(body: &str) -> Fault {
    Fault::Answer(200, vec![("content-type", "application/json".into())], body.to_owned())
}

const OPEN: &str = "/mailFolders/inbox?";
const LIST: &str = "/messages?";
const SECOND_PAGE: &str = "$skip=10";
const FETCH: &str = "/M7=/$value";

#[tokio::test]
async fn refusals() {
    for call in [OPEN, LIST, SECOND_PAGE, FETCH] {
        check(call, refusal(401, "InvalidAuthenticationToken"), "login").await;
        if call != FETCH {
            check(call, refusal(403, "ErrorAccessDenied"), "login").await;
        }
        check(call, refusal(500, "ErrorInternalServerError"), "refused").await;
        check(call, wait(429, "3600"), "busy").await;
        check(call, wait(503, "3600"), "busy").await;
    }
    check(OPEN, refusal(404, "ErrorItemNotFound"), "folder").await;
    check(LIST, refusal(400, "BadRequest"), "refused").await;
    check(SECOND_PAGE, refusal(410, "SyncStateNotFound"), "protocol").await;
    check("DELETE", refusal(412, "ErrorIrresolvableConflict"), "refused").await;
    check("DELETE", refusal(403, "ErrorAccessDenied"), "login").await;
    check("DELETE", wait(429, "3600"), "busy").await;
}

#[tokio::test]
async fn answers_that_are_none() {
    let elsewhere = vec![("location", "https://evil.test/".to_owned())];
    let html = || vec![("content-type", "text/html; charset=utf-8".to_owned())];
    for call in [OPEN, LIST, SECOND_PAGE, FETCH] {
        check(call, Fault::Half, "lost").await;
        check(call, Fault::HalfUnframed, "protocol").await;
        check(call, Fault::Bytes(String::new()), "lost").await;
        check(call, Fault::Bytes("+OK POP3 ready\r\n".into()), "lost").await;
        check(call, Fault::Answer(302, elsewhere.clone(), String::new()), "refused").await;
        check(call, Fault::Answer(200, html(), "<p>Please sign in</p>".into()), "protocol").await;
        check(call, Fault::Answer(204, html(), String::new()), "protocol").await;
    }
    for call in [OPEN, LIST, SECOND_PAGE] {
        check(call, page("{}"), "protocol").await;
        check(call, page("[[[[[[[["), "protocol").await;
        check(call, page(&"[".repeat(100_000)), "protocol").await;
        check(call, page("{\"error\": {\"code\": \"x\"}}"), "protocol").await;
        check(call, Fault::Endless, "protocol").await;
    }
    // Ids go into addresses and into the ledger.
    for id in ["", "a b", "a\\u0000b", &"x".repeat(2_000)] {
        check(LIST, page(&format!("{{\"value\": [{{\"id\": \"{id}\"}}]}}")), "protocol").await;
        check(OPEN, page(&format!("{{\"id\": \"{id}\"}}")), "protocol").await;
    }
    check(FETCH, page("{}"), "protocol").await;
}

#[tokio::test]
async fn silence() {
    for call in [OPEN, LIST, SECOND_PAGE, "/M7=/$value", "DELETE"] {
        check(call, Fault::Hang, "timeout").await;
        check(call, Fault::Drip, "timeout").await;
    }
}

/// With this fault at so many calls, everything is read and emptied all the same.
async fn check_survived(call: &str, fault: Fault, times: usize) {
    let world = World::new(12).await;
    world.service.trouble(call, fault.clone(), times);
    let result = world.work(&AfterFetch::Delete).await;
    let fetched = result.unwrap_or_else(|error| panic!("{call}, {fault:?}: {error}"));
    let mails = fetched.iter().filter(|one| matches!(one, Fetched::Mail(_))).count();
    assert_eq!(mails, 12, "{call}, {fault:?}");
    assert_eq!(world.service.ids("F-inbox=="), Vec::<String>::new());
}

#[tokio::test]
async fn what_passes() {
    // Waits of a tenth of a second, the shortest we do.
    for call in [OPEN, LIST, SECOND_PAGE, "$value", "DELETE"] {
        check_survived(call, wait(429, "0"), 3).await;
        check_survived(call, wait(503, "0"), 3).await;
    }
    check_survived(SECOND_PAGE, refusal(410, "SyncStateNotFound"), 2).await;
    check_survived("DELETE", refusal(412, "ErrorIrresolvableConflict"), 2).await;
    check_survived("DELETE", Fault::TakenAway, 3).await;
}

#[tokio::test]
async fn a_refusal_of_one_mail_is_the_trouble_of_that_mail() {
    let world = World::new(12).await;
    world.service.trouble("/M7=/$value", refusal(403, "ErrorAccessDenied"), 1);
    let fetched = world.work(&AfterFetch::Keep).await.unwrap();
    let missing = |one: &&Fetched| **one == Fetched::Missing;
    assert_eq!(fetched.iter().filter(missing).count(), 1);
    world.service.trouble("DELETE /v1.0/users/desk@example.com/messages/M3=", refusal(403, "x"), 1);
    world.work(&AfterFetch::Delete).await.unwrap();
    assert_eq!(world.service.ids("F-inbox=="), ["M3="]);
    // It is gone, and the service words it like this (msgraph-sdk-dotnet issue 3047).
    world.service.trouble("DELETE", refusal(403, "ErrorCannotDeleteObject"), 1);
    world.work(&AfterFetch::Delete).await.unwrap();
}

#[tokio::test]
async fn a_mail_that_cannot_be_converted_is_put_together_from_its_parts() {
    let world = World::new(3).await;
    let failed = || refusal(500, "ErrorMimeContentConversionFailed");
    world.service.trouble("/M1=/$value", failed(), usize::MAX);
    let fetched = world.work(&AfterFetch::Keep).await.unwrap();
    let Fetched::Mail(raw) = &fetched[1] else { panic!("{:?}", fetched[1]) };
    let read = postroom::core::mail::parse(raw);
    assert!(String::from_utf8_lossy(raw).starts_with("From: eve@cust.test\r\nSubject: mail 1\r\n"));
    assert!(read.text.contains("\u{1F600} 1"), "{}", read.text);
    // What is not given whole is not given, and the others are.
    world.service.state().messages[1].attachments = serde_json::json!([{ "name": "item" }]);
    let fetched = world.work(&AfterFetch::Keep).await.unwrap();
    assert_eq!(fetched[1], Fetched::Missing);
    assert!(matches!(fetched[2], Fetched::Mail(_)));
    world.service.trouble("/M1=/attachments", refusal(500, "ErrorItemCorrupt"), usize::MAX);
    assert_eq!(world.work(&AfterFetch::Keep).await.unwrap()[1], Fetched::Missing);
}

#[tokio::test]
async fn pages_shrink_until_the_service_can_give_them() {
    let world = World::new(25).await;
    world.service.state().page_asked_max = 100;
    assert_eq!(world.open().await.unwrap().list().await.unwrap().entries.len(), 25);
    let calls = world.service.state().calls.clone();
    let tops = [500, 250, 125, 62]
        .map(|top| calls.iter().filter(|call| call.contains(&format!("$top={top}&"))).count());
    assert_eq!(tops, [1, 1, 1, 3], "{calls:#?}");
}

#[tokio::test]
async fn a_service_that_cannot_count_is_believed_without() {
    let world = World::new(25).await;
    world.service.state().counts = false;
    assert_eq!(world.open().await.unwrap().list().await.unwrap().entries.len(), 25);
}

#[tokio::test]
async fn a_token_that_ends_during_a_session_is_renewed_in_it() {
    let world = World::new(3).await;
    let mut mailbox = world.open().await.unwrap();
    let entries = mailbox.list().await.unwrap().entries;
    world.service.state().token = "another".into();
    mailbox.renew_with(std::sync::Arc::new(|refused| {
        assert_eq!(secrecy::ExposeSecret::expose_secret(&refused), TOKEN);
        Box::pin(async { Some(SecretString::from("another")) })
    }));
    let fetched = mailbox.fetch(&entries, 1024).await.unwrap();
    assert!(fetched.iter().all(|one| matches!(one, Fetched::Mail(_))), "{fetched:?}");
    // One that is refused as well is refused.
    world.service.state().token = "a third".into();
    mailbox.renew_with(std::sync::Arc::new(|refused| Box::pin(async { Some(refused) })));
    assert_eq!(mailbox.fetch(&entries, 1024).await.unwrap_err().label(), "login");
}

#[tokio::test(flavor = "multi_thread")]
async fn four_calls_at_a_time_reach_a_mailbox() {
    let world = World::new(20).await;
    let mut mailbox = world.open().await.unwrap();
    let mut second = world.open().await.unwrap();
    let entries = mailbox.list().await.unwrap().entries;
    let (one, two) = tokio::join!(mailbox.fetch(&entries, 1024), second.fetch(&entries, 1024));
    assert_eq!((one.unwrap().len(), two.unwrap().len()), (20, 20));
    assert_eq!(world.service.state().most_at_once, 4);
}

#[tokio::test]
async fn a_long_wait_is_told_and_not_sat_out() {
    let world = World::new(1).await;
    world.service.trouble(LIST, wait(429, "900"), 1);
    let error = world.work(&AfterFetch::Keep).await.unwrap_err();
    assert!(matches!(error, MailboxError::Busy { retry_after } if retry_after.as_secs() == 900));
    world.service.trouble(LIST, wait(503, "18446744073709551615"), 1);
    let error = world.work(&AfterFetch::Keep).await.unwrap_err();
    assert!(matches!(error, MailboxError::Busy { retry_after } if retry_after.as_secs() == 3_600));
}

#[tokio::test]
async fn a_lost_answer_to_delete_is_asked_again_by_the_next_session() {
    let world = World::new(3).await;
    world.service.trouble("DELETE", Fault::Lost, 1);
    let error = world.work(&AfterFetch::Delete).await.unwrap_err();
    assert_eq!(error.label(), "lost");
    world.work(&AfterFetch::Delete).await.unwrap();
    assert_eq!(world.service.ids("F-inbox=="), Vec::<String>::new());
}

#[tokio::test]
async fn the_token_follows_no_link_to_another_server() {
    let foreign = World::new(0).await;
    let world = World::new(1).await;
    let link =
        format!("https://localhost:{}/v1.0/users/desk@example.com/messages", foreign.service.port);
    let body = format!("{{\"value\": [], \"@odata.nextLink\": \"{link}\"}}");
    world.service.trouble(LIST, page(&body), 1);
    let error = world.work(&AfterFetch::Delete).await.unwrap_err();
    assert_eq!(error.label(), "protocol");
    let location = vec![("location", link)];
    world.service.trouble(LIST, Fault::Answer(307, location, String::new()), 1);
    assert_eq!(world.work(&AfterFetch::Delete).await.unwrap_err().label(), "refused");
    assert_eq!(foreign.service.state().calls, Vec::<String>::new());
}

#[tokio::test]
async fn pages_that_lead_round_in_a_circle_end() {
    let world = World::new(1).await;
    let link = format!(
        "https://localhost:{}/v1.0/users/desk@example.com/messages?again",
        world.service.port
    );
    let body = format!("{{\"value\": [], \"@odata.nextLink\": \"{link}\"}}");
    world.service.trouble("/messages?", page(&body), usize::MAX);
    let error = world.work(&AfterFetch::Delete).await.unwrap_err();
    assert!(error.to_string().contains("circle"), "{error}");
}

#[tokio::test]
async fn a_folder_that_shrinks_while_it_is_listed_is_listed_anew() {
    let world = World::new(25).await;
    world.service.trouble(SECOND_PAGE, Fault::TakenAway, 1);
    let listing = world.open().await.unwrap().list().await.unwrap();
    let ids: Vec<String> = (1..25).map(|number| format!("M{number}=")).collect();
    let listed: Vec<&str> = listing.entries.iter().map(|one| one.location.0.as_str()).collect();
    assert_eq!(listed, ids);
}

#[tokio::test]
async fn a_mail_that_a_person_has_moved_away_is_left_alone() {
    let world = World::new(2).await;
    let mut mailbox = world.open().await.unwrap();
    let entries = mailbox.list().await.unwrap().entries;
    world.service.state().messages[0].folder = "F-desk".into();
    let fetched = mailbox.fetch(&entries, 1024).await.unwrap();
    assert_eq!(fetched, [Fetched::Missing, Fetched::Mail(mail(1).into_bytes())]);
    mailbox.done(&entries, &AfterFetch::Delete).await.unwrap();
    assert_eq!(world.service.ids("F-desk"), ["M0="]);
    assert_eq!(world.service.ids("F-inbox=="), Vec::<String>::new());
}

#[tokio::test]
async fn of_a_large_mail_the_header_is_fetched() {
    let world = World::new(2).await;
    // One is too large by what the store says, the other by what comes.
    world.service.state().messages[0].size = Some(5_000_000);
    let mut large = mail(1).into_bytes();
    large.resize(100_000, b'x');
    world.service.state().messages[1].raw = large;
    let mut mailbox = world.open().await.unwrap();
    let entries = mailbox.list().await.unwrap().entries;
    let fetched = mailbox.fetch(&entries, 50_000).await.unwrap();
    let header = |number: usize| {
        format!("From: eve@cust.test\r\nSubject: mail {number}\r\n\r\n").into_bytes()
    };
    assert_eq!(
        fetched,
        [
            Fetched::Oversize { header: header(0), size_bytes: 5_000_000 },
            Fetched::Oversize { header: header(1), size_bytes: 50_001 },
        ]
    );
    // Header lines come from the mail: none can become two.
    let lines = r#"{"internetMessageHeaders": [{"name": "Subject", "value": "a\r\nX-Evil: 1"},
        {"name": "X:\r\n", "value": "b"}, {"name": "", "value": "c"}]}"#;
    world.service.trouble("$select=internetMessageHeaders", page(lines), 1);
    let fetched = mailbox.fetch(&entries[..1], 50_000).await.unwrap();
    let header = b"Subject: a  X-Evil: 1\r\nX: b\r\n\r\n".to_vec();
    assert_eq!(fetched, [Fetched::Oversize { header, size_bytes: 5_000_000 }]);
}

fn owed(to: &str, header: &str) -> Outgoing {
    Outgoing {
        id: OutgoingId(1),
        ticket: None,
        kind: OutgoingKind::Reply,
        sender: "default".into(),
        envelope_from: None,
        recipient: Address::parse(to).unwrap(),
        message_id: "1@desk.test".into(),
        raw: format!("{header}Message-ID: <1@desk.test>\r\n\r\nこんにちは\r\n").into_bytes(),
        created: jiff::Timestamp::UNIX_EPOCH,
        delivery: Delivery::Due {
            attempts: 0,
            at: jiff::Timestamp::UNIX_EPOCH,
            last_error: None,
            doubt: None,
        },
    }
}

#[tokio::test]
async fn a_mail_reaches_its_one_recipient() {
    let world = World::new(0).await;
    let both = "From: desk@desk.test\r\nTo: eve@cust.test\r\nCc: boss@cust.test\r\n";
    for to in ["eve@cust.test", "boss@cust.test"] {
        assert_eq!(world.send(&owed(to, both)).await, Attempt::Sent);
    }
    let state = world.service.state();
    assert_eq!(state.calls, ["POST /v1.0/users/shared@example.com/sendMail"; 2]);
    assert_eq!(state.violations, Vec::<String>::new());
    let rest = "\r\n\r\nこんにちは\r\n";
    let sent =
        |to: &str| format!("From: desk@desk.test\r\nMessage-ID: <1@desk.test>\r\nTo: <{to}>{rest}");
    assert_eq!(state.sent, [sent("eve@cust.test"), sent("boss@cust.test")]);
}

/// With this answer, sending ends so.
async fn check_send(fault: Fault, expected: &str) {
    let world = World::new(0).await;
    world.service.trouble("sendMail", fault.clone(), usize::MAX);
    let attempt = world.send(&owed("eve@cust.test", "To: eve@cust.test\r\n")).await;
    let shown = match &attempt {
        Attempt::Sent => "sent",
        Attempt::Temporary(_) => "temporary",
        Attempt::Permanent(_) => "permanent",
        Attempt::InDoubt { server, .. } => {
            assert_eq!(server, "graph");
            "in doubt"
        }
        Attempt::ServerDown { cause, .. } => cause,
    };
    assert_eq!(shown, expected, "{fault:?}: {attempt:?}");
}

#[tokio::test]
async fn sending_fails_in_the_right_way() {
    check_send(refusal(400, "ErrorInvalidRecipients"), "permanent").await;
    check_send(refusal(413, ""), "permanent").await;
    check_send(refusal(403, "ErrorSendAsDenied"), "temporary").await;
    check_send(refusal(401, "InvalidAuthenticationToken"), "auth").await;
    check_send(refusal(403, "ErrorAccessDenied"), "auth").await;
    check_send(refusal(404, "ErrorInvalidUser"), "auth").await;
    check_send(refusal(500, "ErrorInternalServerError"), "in doubt").await;
    check_send(refusal(504, "UnknownError"), "in doubt").await;
    check_send(refusal(503, ""), "in doubt").await;
    check_send(refusal(429, "ApplicationThrottled"), "in doubt").await;
    check_send(refusal(409, "ErrorIrresolvableConflict"), "in doubt").await;
    check_send(Fault::CarriedOut(504, vec![("retry-after", "1".into())]), "in doubt").await;
    check_send(wait(429, "900"), "throttled").await;
    check_send(wait(503, "900"), "throttled").await;
    check_send(Fault::Lost, "in doubt").await;
    check_send(Fault::Bytes("220 smtp\r\n".into()), "in doubt").await;
}

#[tokio::test]
async fn a_mail_that_may_have_been_sent_is_looked_for_first() {
    let mail = owed("eve@cust.test", "To: eve@cust.test\r\n");
    let world = World::new(0).await;
    assert_eq!(world.send_after(&mail, Earlier::InDoubt).await, Attempt::Sent);
    assert_eq!(world.service.state().sent.len(), 1, "it was not there");
    assert_eq!(world.send_after(&mail, Earlier::InDoubt).await, Attempt::Sent);
    assert_eq!(world.send_after(&mail, Earlier::Perhaps).await, Attempt::Sent);
    assert_eq!(world.service.state().sent.len(), 1, "it was there");
    // The service does not say: the mail waits.
    world.service.state().sent.clear();
    for fault in [refusal(500, "x"), wait(429, "900"), Fault::Lost, page("{}")] {
        world.service.trouble("internetMessageId", fault.clone(), usize::MAX);
        let attempt = world.send_after(&mail, Earlier::InDoubt).await;
        assert!(matches!(attempt, Attempt::ServerDown { .. }), "{fault:?}: {attempt:?}");
        world.service.state().faults.clear();
    }
    assert_eq!(world.service.state().sent, Vec::<String>::new());
}

#[tokio::test]
async fn with_the_permission_to_send_alone_a_mail_in_doubt_is_not_sent_again() {
    let mail = owed("eve@cust.test", "To: eve@cust.test\r\n");
    let world = World::new(0).await;
    world.service.state().hides_mailbox = true;
    let attempt = world.send_after(&mail, Earlier::InDoubt).await;
    let Attempt::Temporary(words) = attempt else { panic!("{attempt:?}") };
    assert!(words.contains("Mail.ReadWrite"), "{words}");
    assert_eq!(world.service.state().sent, Vec::<String>::new());
    // One that is only old, because the desk was down, goes out.
    assert_eq!(world.send_after(&mail, Earlier::Perhaps).await, Attempt::Sent);
}

#[tokio::test]
async fn a_wait_that_the_service_asks_for_is_kept_and_the_mail_looked_for() {
    let mail = owed("eve@cust.test", "To: eve@cust.test\r\n");
    let world = World::new(0).await;
    world.service.trouble("sendMail", wait(429, "0"), 1);
    world.service.trouble("sendMail", wait(503, "0"), 1);
    assert_eq!(world.send(&mail).await, Attempt::Sent);
    assert_eq!(world.service.state().sent.len(), 1);
    world.service.state().sent.clear();
    world.service.trouble("sendMail", Fault::CarriedOut(429, vec![("retry-after", "0".into())]), 1);
    assert_eq!(world.send(&mail).await, Attempt::Sent);
    assert_eq!(world.service.state().sent.len(), 1);
}

/// Numbers that look random and are the same in each run (xorshift, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// Whatever the service answers, and whether or not it carried the call out, no mail is sent twice,
/// and what counts as sent was sent.
#[tokio::test]
async fn no_mail_is_sent_twice_by_any_answer() {
    const STATUSES: [u16; 22] = [
        200, 202, 204, 302, 400, 401, 403, 404, 408, 409, 412, 413, 423, 429, 500, 501, 502, 503,
        504, 507, 509, 599,
    ];
    let mut world = World::new(0).await;
    world.send_timeout = Some(Duration::from_millis(500));
    let mut numbers = Numbers(0x5EED);
    let (mut sent, mut doubts) = (0, 0);
    for number in 0..150 {
        let mut mail = owed("eve@cust.test", "To: eve@cust.test\r\n");
        mail.message_id = format!("{number}@desk.test");
        mail.raw = format!("To: eve@cust.test\r\nMessage-ID: <{number}@desk.test>\r\n\r\nHi\r\n")
            .into_bytes();
        let faults = numbers.below(6);
        for _ in 0..faults {
            let status = STATUSES[numbers.below(STATUSES.len())];
            let wait = match numbers.below(3) {
                0 => vec![("retry-after", "0".to_owned())],
                _ => Vec::new(),
            };
            let fault = match numbers.below(12) {
                0 => Fault::Lost,
                1 => Fault::Half,
                2 => Fault::Bytes("garbage".into()),
                3 if number % 10 == 0 => Fault::Hang,
                4..8 => Fault::CarriedOut(status, wait),
                _ => Fault::Answer(status, wait, String::new()),
            };
            // What says that it went well is believed; then it must have.
            let lie = matches!(&fault, Fault::Answer(status, ..) if (200..300).contains(status));
            world.service.trouble("sendMail", if lie { Fault::Lost } else { fault }, 1);
        }
        let mut earlier = Earlier::Nothing;
        for _ in 0..20 {
            let attempt = world.send_after(&mail, earlier).await;
            mail.delivery = after(&mail, &attempt, jiff::Timestamp::UNIX_EPOCH, 0.5);
            let Delivery::Due { doubt, .. } = &mail.delivery else { break };
            doubts += usize::from(doubt.is_some());
            earlier = if doubt.is_some() { Earlier::InDoubt } else { Earlier::Perhaps };
        }
        world.service.state().faults.clear();
        let line = format!("Message-ID: <{number}@desk.test>\r\n");
        let copies = world.service.state().sent.iter().filter(|mail| mail.contains(&line)).count();
        match &mail.delivery {
            Delivery::Sent { .. } => {
                assert_eq!(copies, 1, "{number}");
                sent += 1;
            }
            Delivery::Dead { .. } => assert!(copies <= 1, "{number}"),
            Delivery::Due { .. } => panic!("{number}: {:?}", mail.delivery),
        }
    }
    assert!(sent > 75 && doubts > 50, "{sent} {doubts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_reads_and_answers_each_mail_once() {
    let world = World::new(0).await;
    let (port, issuer) = (world.service.port, Issuer::start(3600, false).await);
    let folder = world.folder.path().display();
    std::fs::write(world.folder.path().join("client"), "client-secret").unwrap();
    let to_desk = |number: usize| {
        format!(
            "From: eve@cust.test\r\nTo: support@desk.test\r\nSubject: mail {number}\r\n\
             Message-ID: <{number}@cust.test>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\nHelp {number}.\r\n"
        )
    };
    for number in 0..12 {
        world.service.deliver(&format!("M{number}="), &to_desk(number));
    }
    // The first commits stand while the service does not listen: nothing may come twice.
    world.service.trouble("DELETE", Fault::Lost, 1);
    world.service.trouble("DELETE", refusal(500, "ErrorInternalServerError"), 3);
    let yaml = format!(
        r#"version: 1
oauth2:
  providers:
{provider}  profiles:
    m: {{provider: p, clientId: desk, clientSecret: {{file: "{folder}/client"}}, grant: clientCredentials}}
mailAccounts:
  cloud: {{type: graph, host: localhost, port: {port}, tls: {{ca: "{folder}/ca.pem"}}, oauth2Profile: m, username: desk@example.com, since: all, afterFetch: delete, pollInterval: 1s}}
smtp:
  cloud: {{type: graph, host: localhost, port: {port}, tls: {{ca: "{folder}/ca.pem"}}, auth: {{username: desk@example.com, oauth2Profile: m}}}}
senders:
  default: {{from: support@desk.test, via: [cloud]}}
queues: {{support: {{autoReplies: {{new: thanks}}}}}}
systemAddresses:
  support@desk.test: {{queue: support}}
autoReplies:
  thanks: {{from: support@desk.test, subject: {{en: Received}}, text: {{en: "Your number is {{{{ ticket.number }}}}."}}}}
limits: {{autoRepliesPerDay: 1000}}
"#,
        provider = issuer.provider(),
    );
    let mut daemon = Daemon::start(&yaml).await;
    daemon.mails(12).await;
    // Once more from the start, with what is on the server by now.
    daemon.stop().await;
    daemon.again().await;
    until("an empty folder", || world.service.ids("F-inbox==").is_empty().then_some(())).await;
    assert_eq!(daemon.mails(12).await.len(), 12);
    let sent = until("ten answers", || {
        let sent = world.service.state().sent.clone();
        (sent.len() >= 10).then_some(sent)
    })
    .await;
    assert!(sent.iter().all(|mail| mail.contains("To: eve@cust.test")), "{sent:#?}");
    // One token for the account and the server, and one more after the restart.
    assert_eq!(issuer.asked(), ["client_credentials"; 2]);
    assert_eq!(world.service.state().violations, Vec::<String>::new());
}

#[tokio::test]
async fn parts_of_a_batch_fail_by_themselves() {
    let asked = "/messages/M3=?$select=parentFolderId";
    for (fault, times) in [(wait(429, "0"), 2), (wait(503, "0"), 1), (wait(504, "0"), 1)] {
        check_survived(asked, fault, times).await;
    }
    check(asked, wait(429, "3600"), "busy").await;
    check(asked, refusal(500, "ErrorInternalServerError"), "refused").await;
    check(asked, Fault::Answer(200, Vec::new(), "[]".into()), "protocol").await;
    check("$batch", page("{\"responses\": []}"), "protocol").await;
}

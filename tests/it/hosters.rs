//! Sending through servers that behave as those of large hosters were reported to behave. Each test
//! names the report. They are strict where others are not, and say what they refuse in words of
//! their own: no mail is lost, and no recipient is marked, for a trouble that is ours.

use jiff::SignedDuration;
use postroom::core::config::{AutoReply, Config, Language, Switch};
use postroom::run::board::{ConditionKind, Kind};

use crate::outbox::Desk;
use crate::sink::{Do, Script, Sink};
use crate::transport::run;

const CUSTOMER: &str = "carol@customer.test";

/// A desk that answers each new ticket automatically, with the null sender.
fn answering(servers: Vec<postroom::core::config::SmtpServer>) -> Desk {
    let desk = Desk::open(servers);
    change(&desk, |config| {
        let reply = AutoReply {
            name: "thanks".into(),
            from: config.senders["default"].from.clone(),
            envelope_from: None,
            subject: [(Language::En, "We got it".to_owned())].into(),
            text: [(Language::En, "Thank you.".to_owned())].into(),
            state: Switch::Enabled,
        };
        config.auto_replies.insert("thanks".into(), reply);
        let sender = config.senders.get_mut("default").unwrap();
        sender.envelope_from = None;
        let queue = config.queues.get_mut("Raw").unwrap();
        queue.auto_replies.new = Some("thanks".into());
    });
    desk
}

fn change(desk: &Desk, change: impl FnOnce(&mut Config)) {
    let mut running = desk.config.lock().unwrap();
    let mut config = (**running).clone();
    change(&mut config);
    *running = std::sync::Arc::new(config);
}

fn rules(rules: &[(&'static str, Do)]) -> Script {
    Script { rules: rules.to_vec(), ..Script::default() }
}

/// Senders of the mails that arrived, without the parameters of MAIL.
fn envelope_senders(sink: &Sink) -> Vec<String> {
    let sender = |from: &str| from.split(' ').next().unwrap_or_default().to_owned();
    sink.arrived().iter().map(|mail| sender(&mail.from)).collect()
}

fn undeliverable(desk: &Desk, ticket: &str) -> usize {
    desk.store.ticket(ticket).unwrap().unwrap().ticket.undeliverable.len()
}

/// Why a server is ready, or not.
fn reason(desk: &Desk) -> &'static str {
    let objects = desk.board.all();
    let status = objects.iter().find(|object| object.kind == Kind::Smtp).unwrap();
    let ready = status.conditions.iter().find(|known| known.kind == ConditionKind::Ready);
    ready.unwrap().reason
}

fn attempts_with_null(sink: &Sink) -> usize {
    sink.lines().iter().filter(|line| line.starts_with("MAIL FROM:<>")).count()
}

/// Automatic mail to two customers through a server that refuses the null sender in this way.
fn check_null_sender(script: Script) {
    run(async move {
        let sink = Sink::start(script).await;
        let mut desk = answering(vec![sink.server("relay")]);
        let first = desk.ticket().await;
        desk.start();
        desk.until_nothing_is_due().await;
        assert_eq!(desk.how(CUSTOMER), ["sent"]);
        assert_eq!(reason(&desk), "NullSenderRefused");
        // From then on it is not tried any more.
        let second = desk.ticket().await;
        desk.until_nothing_is_due().await;
        assert_eq!(desk.how(CUSTOMER), ["sent", "sent"]);
        assert_eq!(envelope_senders(&sink), ["<desk@desk.test>", "<desk@desk.test>"]);
        assert_eq!(attempts_with_null(&sink), 1);
        assert_eq!(undeliverable(&desk, &first) + undeliverable(&desk, &second), 0);
        assert_eq!(sink.violations(), Vec::<String>::new());
        desk.end().await;
    });
}

/// Amazon SES: docker-mailserver/docker-mailserver#2403.
#[test]
fn null_sender_refused_by_amazon_ses() {
    let refusal = Do::Say("501 Invalid MAIL FROM address provided");
    check_null_sender(rules(&[("MAIL FROM:<>", refusal)]));
}

/// The same without PIPELINING, and by a server that hangs up.
#[test]
fn null_sender_refused_step_by_step() {
    for refusal in [Do::Say("501 Invalid MAIL FROM"), Do::SayAndHangUp("501 Invalid MAIL FROM")] {
        let script = rules(&[("MAIL FROM:<>", refusal)]);
        check_null_sender(Script { offers: vec![], ..script });
    }
}

/// 163.com: splitbrain/dokuwiki-plugin-smtp#1.
#[test]
fn null_sender_refused_by_163() {
    let refusal = Do::Say("553 Mail from must equal authorized user");
    check_null_sender(rules(&[("MAIL FROM:<>", refusal)]));
}

/// A server that refuses every sender is not one that refuses the null sender, and the mail is not
/// tried without end.
#[test]
fn a_server_that_refuses_every_sender() {
    run(async {
        let sink = Sink::start(rules(&[("MAIL", Do::Say("501 not from here"))])).await;
        let mut desk = answering(vec![sink.server("relay")]);
        desk.ticket().await;
        desk.start();
        desk.until_nothing_is_due().await;
        assert_eq!(desk.how(CUSTOMER), ["dead: 501 not from here"]);
        assert_eq!(sink.lines().iter().filter(|line| line.starts_with("MAIL")).count(), 2);
        desk.end().await;
    });
}

/// A quota that is used up: the mail waits, nobody is marked, and it goes out when there is quota.
#[track_caller]
fn check_quota(place: &'static str, refusal: &'static str, cause: &'static str) {
    run(async move {
        let sink = Sink::start(rules(&[(place, Do::Say(refusal))])).await;
        let mut desk = Desk::open(vec![sink.server("relay")]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["eve@customer.test"]).await;
        desk.start();
        let waits = [format!("due 0: relay: {refusal}")];
        desk.until("it waits", |desk| desk.how("eve@customer.test") == waits).await;
        assert_eq!(reason(&desk), cause);
        assert_eq!(desk.condition("relay", ConditionKind::Authenticated), Some(true));
        // One look an hour at most, and a day later the mail has not failed.
        let before = sink.connections();
        desk.turn(SignedDuration::from_mins(10));
        desk.until("it waits", |desk| desk.how("eve@customer.test") == waits).await;
        assert_eq!(sink.connections(), before, "the server is left alone for 15 minutes");
        assert_eq!(undeliverable(&desk, &ticket), 0);
        sink.now(|script| script.rules.clear());
        desk.turn(SignedDuration::from_hours(2));
        desk.until_nothing_is_due().await;
        assert_eq!(desk.how("eve@customer.test"), ["sent"]);
        assert_eq!(sink.arrived().len(), 1);
        desk.end().await;
    });
}

/// Gmail: gen-smtp/gen_smtp#140, PHPMailer/PHPMailer#2113.
#[test]
fn quota_of_gmail() {
    check_quota("END", "550 5.4.5 Daily user sending quota exceeded. x - gsmtp", "quota");
}

/// Google Workspace relay: support.google.com/a/answer/3726730.
#[test]
fn quota_of_the_relay_of_google_workspace() {
    check_quota("MAIL", "550 5.7.1 Daily SMTP relay limit exceeded for customer.", "quota");
}

/// Exchange Online: MicrosoftDocs/OfficeDocs-Support#1150.
#[test]
fn quota_of_exchange_online() {
    let words = "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException";
    check_quota("END", words, "quota");
}

/// Zotonic's relay: zotonic/zotonic#3508.
#[test]
fn quota_of_a_relay_that_says_try_again() {
    check_quota("RCPT", "554 5.7.0 Sending limit exceeded. Try again later", "quota");
}

/// Amazon SES: hcengineering/platform#8899.
#[test]
fn account_paused_by_amazon_ses() {
    check_quota("END", "554 Sending paused for this account.", "policy");
}

/// A quota is that of one server: the next in `via` takes over.
#[test]
fn the_next_server_sends_when_the_quota_of_the_first_is_used_up() {
    run(async {
        let refusal = Do::Say("550 5.4.5 Daily user sending limit exceeded");
        let relay = Sink::start(rules(&[("END", refusal)])).await;
        let backup = Sink::start(Script::default()).await;
        let mut desk = Desk::open(vec![relay.server("relay"), backup.server("backup")]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["eve@customer.test", "bob@customer.test"]).await;
        desk.start();
        desk.until_nothing_is_due().await;
        assert_eq!(backup.arrived().len(), 2);
        assert_eq!(undeliverable(&desk, &ticket), 0);
        desk.end().await;
    });
}

/// A refusal that looks like a quota and is that of one mail does not stop the others for good: after
/// three of them the mail alone waits.
#[test]
fn a_mail_that_is_refused_like_a_quota_stops_nobody() {
    run(async {
        let refusal = Do::Say("554 5.7.0 rate limit exceeded");
        let sink = Sink::start(rules(&[("RCPT TO:<odd@", refusal)])).await;
        let mut desk = Desk::open(vec![sink.server("relay")]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["odd@customer.test"]).await;
        desk.start();
        for failures in 1..=3 {
            desk.until("refused", |desk| desk.failures("relay") >= failures).await;
            if failures < 3 {
                desk.turn(SignedDuration::from_hours(2));
            }
        }
        let counted = ["due 1: 554 5.7.0 rate limit exceeded"];
        desk.until("an attempt counts", |desk| desk.how("odd@customer.test") == counted).await;
        desk.owe(&ticket, "hello", &["eve@customer.test"]).await;
        desk.turn(SignedDuration::from_hours(2));
        desk.until("others go first", |desk| desk.how("eve@customer.test") == ["sent"]).await;
        // As others got through, its next refusal pauses nothing.
        let twice = ["due 2: 554 5.7.0 rate limit exceeded"];
        desk.until("it is refused", |desk| desk.how("odd@customer.test") == twice).await;
        desk.owe(&ticket, "hello", &["bob@customer.test"]).await;
        desk.until("others go", |desk| desk.how("bob@customer.test") == ["sent"]).await;
        desk.end().await;
    });
}

/// Exchange refuses a sender that the login does not own ("SendAsDenied"), Postfix does with
/// `reject_sender_login_mismatch`: no recipient is to blame, and other senders are not either.
#[test]
fn a_sender_that_is_not_ours() {
    run(async {
        let refusal = Do::Say(
            "553 5.7.1 <bounce@desk.test>: Sender address rejected: not owned by user desk",
        );
        let sink = Sink::start(rules(&[("RCPT", refusal)])).await;
        let mut desk = Desk::open(vec![sink.server("relay")]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["eve@customer.test"]).await;
        desk.start();
        let waits = |desk: &Desk| desk.how("eve@customer.test")[0].starts_with("due 0: relay: 553");
        desk.until("it waits", waits).await;
        assert_eq!(undeliverable(&desk, &ticket), 0);
        // A changed declaration is tried at once.
        sink.now(|script| script.rules.clear());
        change(&desk, |config| {
            config.senders.get_mut("default").unwrap().envelope_from = None;
        });
        desk.turn(SignedDuration::from_secs(1));
        desk.until_nothing_is_due().await;
        assert_eq!(desk.how("eve@customer.test"), ["sent"]);
        desk.end().await;
    });
}

/// A server that counts logins says so with 454 (RFC 4954 section 6; Gmail "Too many login attempts"):
/// that is no wrong password, and it is left alone for a minute.
#[test]
fn a_login_that_is_refused_for_now_is_no_wrong_password() {
    run(async {
        let script = Script {
            offers: vec!["AUTH PLAIN"],
            rules: vec![("AUTH", Do::Say("454 4.7.0 Too many login attempts"))],
            ..Script::default()
        };
        let sink = Sink::start(script).await;
        let password = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(password.path(), "right").unwrap();
        let server = sink.server_with_password("relay", password.path());
        let mut desk = Desk::open(vec![server]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["eve@customer.test"]).await;
        desk.start();
        desk.until("it failed", |desk| desk.failures("relay") > 0).await;
        assert_eq!(reason(&desk), "busy");
        assert_eq!(desk.condition("relay", ConditionKind::Authenticated), None);
        let waits = ["due 0: relay: 454 4.7.0 Too many login attempts"];
        desk.until("it waits", |desk| desk.how("eve@customer.test") == waits).await;
        let before = sink.connections();
        desk.turn(SignedDuration::from_secs(40));
        desk.until("it waits", |desk| desk.how("eve@customer.test") == waits).await;
        assert_eq!(sink.connections(), before);
        sink.now(|script| script.rules.clear());
        desk.turn(SignedDuration::from_mins(5));
        desk.until_nothing_is_due().await;
        desk.end().await;
    });
}

/// A mail to this address of a carrier, through a server with this script. Answers with the arguments
/// of RCPT that were accepted, and how the mail is.
async fn to_carrier(script: Script, recipient: &str) -> (Vec<String>, Vec<String>, String) {
    let sink = Sink::start(script).await;
    let mut desk = Desk::open(vec![sink.server("relay")]);
    let ticket = desk.ticket().await;
    desk.owe(&ticket, "hello", &[recipient]).await;
    desk.start();
    desk.until_nothing_is_due().await;
    let arrived = sink.arrived();
    let accepted = arrived.iter().flat_map(|mail| mail.to.clone()).collect();
    let mail = arrived.first().map(|mail| String::from_utf8_lossy(&mail.mail).into_owned());
    let how = desk.how(recipient);
    desk.end().await;
    (accepted, how, mail.unwrap_or_default())
}

/// Japanese carriers gave out addresses with dots that RFC 5321 allows in quotes only. Strict servers:
/// KumoCorp/kumomta#77; with quotes they arrive: exceedone/exment#800.
#[test]
fn addresses_of_carriers_go_out_in_quotes() {
    run(async {
        let strict = rules(&[("RCPT TO:<foo", Do::Say("501 5.1.3 Bad recipient address syntax"))]);
        let (to, how, mail) = to_carrier(strict, "foo..bar.@docomo.example").await;
        assert_eq!(how, ["sent"]);
        assert_eq!(to, ["<\"foo..bar.\"@docomo.example>"]);
        assert!(mail.contains("To: \"foo..bar.\"@docomo.example\r\n"), "{mail}");
    });
}

/// A server that does not know the quotes gets the address once as people write it.
#[test]
fn addresses_of_carriers_go_out_bare_where_quotes_are_refused() {
    run(async {
        for refusal in ["501 5.1.3 Bad syntax", "553 5.1.3 not a valid RFC-5321 address"] {
            let lax = rules(&[("RCPT TO:<\"", Do::Say(refusal))]);
            let (to, how, _) = to_carrier(lax, ".lead@ezweb.example").await;
            assert_eq!(how, ["sent"]);
            assert_eq!(to, ["<.lead@ezweb.example>"]);
        }
        // An unknown recipient is one, however it is written.
        let unknown = rules(&[("RCPT", Do::Say("550 5.1.1 no such user"))]);
        let (to, how, _) = to_carrier(unknown, ".lead@ezweb.example").await;
        assert_eq!((to.len(), how), (0, vec!["dead: 550 5.1.1 no such user".to_owned()]));
    });
}

/// RFC 5321 section 2.4: the case of a local part is the recipient's. Tokens in addresses for answers
/// depend on it: go-gitea/gitea#36184.
#[test]
fn local_parts_go_out_as_they_were_written() {
    run(async {
        let to = "Reply+AaBbCc.Token@Reply.C.example";
        let (accepted, how, mail) = to_carrier(Script::default(), to).await;
        assert_eq!(how, ["sent"]);
        assert_eq!(accepted, ["<Reply+AaBbCc.Token@reply.c.example>"]);
        assert!(mail.contains("To: Reply+AaBbCc.Token@reply.c.example\r\n"), "{mail}");
    });
}

/// smtp-relay.gmail.com closes the connection after `EHLO [127.0.0.1]`: repoze/repoze.sendmail#50,
/// calcom/cal.com#5254. A name of ours is accepted.
#[test]
fn the_greeting_has_a_name() {
    run(async {
        let refusal = Do::SayAndHangUp("421 4.7.0 Try again later, closing connection. (EHLO)");
        let sink = Sink::start(rules(&[("EHLO [", refusal)])).await;
        for (declared, expected) in [(None, "desk.test"), (Some("mx.desk.test"), "mx.desk.test")] {
            let mut server = sink.server("relay");
            server.helo_name = declared.map(str::to_owned);
            let mut desk = Desk::open(vec![server]);
            let ticket = desk.ticket().await;
            desk.owe(&ticket, "hello", &["eve@customer.test"]).await;
            desk.start();
            desk.until_nothing_is_due().await;
            desk.end().await;
            let ehlo = format!("EHLO {expected}");
            assert!(sink.lines().contains(&ehlo), "{:?}", sink.lines());
        }
        assert_eq!(sink.arrived().len(), 2);
    });
}

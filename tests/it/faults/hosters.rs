//! Reading from servers that behave as those of large hosters were reported to behave. Each test
//! names the report.

use postroom::core::intake::Outcome;
use postroom::run::board::ConditionKind;

use super::servers::{Ward, check_reason, is_ready};
use super::{condition, desk, metric, of, records};
use crate::daemon::{Daemon, until};
use crate::server::imap::capabilities;
use crate::server::{Act, Behaviour, imap, say};

const SELECTED: &str = "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n%T OK [READ-WRITE] open\r\n";

/// What a server does from now on in this session, after it has said this.
fn then(said: &str, command: &'static str, acts: Vec<Act>) -> Vec<Act> {
    vec![Act::Say(said.into()), Act::FromNow(command, acts)]
}

/// A desk that reads from this one server.
async fn reading(behaviour: Behaviour, after: &'static str) -> (Ward, Daemon) {
    let mut ward = Ward::new();
    ward.admit("odd", "imap", imap::proper(), behaviour).await;
    ward.move_to(after);
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    (ward, daemon)
}

async fn until_taken(daemon: &Daemon, mails: usize) {
    until("the mails", || (of(&records(daemon), "odd").len() == mails).then_some(())).await;
}

async fn until_reason(daemon: &Daemon, expected: &str) {
    let reason = || condition(daemon, "odd", ConditionKind::Ready).map(|(_, reason, _)| reason);
    until(expected, || reason().filter(|reason| reason == expected)).await;
    check_reason(daemon, "odd", expected);
}

/// NetEase (163.com, 126.com, yeah.net) opens no folder for a client that has not said its name:
/// pimalaya/himalaya#651, mjs/imapclient#544, roundcube/roundcubemail#9414.
#[tokio::test(flavor = "multi_thread")]
async fn netease_wants_to_know_the_program() {
    let unsafe_login = "%T NO SELECT Unsafe Login. Please contact kefu@188.com for help\r\n";
    let netease = imap::proper()
        .but("CAPABILITY", capabilities("ID UIDPLUS MOVE"))
        .but("SELECT", say(unsafe_login))
        .but("ID (", then("* ID NIL\r\n%T OK done\r\n", "SELECT", say(SELECTED)));
    let (ward, daemon) = reading(netease, "delete").await;
    until_taken(&daemon, 2).await;
    let heard = ward.plain("odd");
    let version = env!("CARGO_PKG_VERSION");
    let said = format!(" ID (\"name\" \"Postroom\" \"version\" \"{version}\")\r\n");
    assert!(heard.contains(&said), "{heard}");
    assert!(heard.find(" LOGIN ").unwrap() < heard.find(&said).unwrap(), "{heard}");
}

/// The same where ID is offered only before the login, and where it is refused: it is no reason to
/// read nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_refused_matters_to_nobody() {
    let server = imap::proper()
        .but("CAPABILITY", capabilities("ID"))
        .but("LOGIN", then("%T OK welcome\r\n", "CAPABILITY", capabilities("UIDPLUS MOVE")))
        .but("ID (", say("%T NO we do not care\r\n"));
    let (ward, daemon) = reading(server, "delete").await;
    until_taken(&daemon, 2).await;
    assert!(ward.plain("odd").contains(" ID ("));
}

/// A client that is refused all the same is told that the login is the trouble, not the folder.
#[tokio::test(flavor = "multi_thread")]
async fn unsafe_login_is_a_matter_of_the_login() {
    let server = imap::proper().but("SELECT", say("%T NO SELECT Unsafe Login.\r\n"));
    let (_ward, daemon) = reading(server, "delete").await;
    until_reason(&daemon, "LoginRefused").await;
}

/// Exchange Online says OK to the login and BAD to every folder where IMAP is off, or the permission
/// or the mailbox is missing: jstedfast/MailKit#1494, getmail6/getmail6#214.
#[tokio::test(flavor = "multi_thread")]
async fn authenticated_but_not_connected_is_a_matter_of_the_login() {
    let words = "%T BAD User is authenticated but not connected.\r\n";
    let server = imap::proper().but("SELECT", say(words)).but("LIST", say(words));
    let (_ward, daemon) = reading(server, "delete").await;
    until_reason(&daemon, "LoginRefused").await;
}

/// A folder is missing if the server says so by a code (RFC 5530, RFC 3501), or lists everything
/// but this one (Courier says it in words only).
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_missing_only_if_the_server_says_so() {
    let there = "* LIST () \"/\" INBOX\r\n%T OK\r\n";
    for (refusal, list, expected) in [
        ("%T NO [NONEXISTENT] Unknown Mailbox: Nowhere (Failure)\r\n", there, "FolderMissing"),
        ("%T NO [TRYCREATE] no\r\n", there, "FolderMissing"),
        (
            "%T NO Mailbox does not exist, or must be subscribed to.\r\n",
            "%T OK\r\n",
            "FolderMissing",
        ),
        ("%T NO Mailbox is locked\r\n", there, "CommandRefused"),
        ("%T NO Mailbox is locked\r\n", "%T NO not now\r\n", "CommandRefused"),
        ("%T NO [UNAVAILABLE] backend is down\r\n", there, "ServerBusy"),
    ] {
        let server = imap::proper().but("SELECT", say(refusal)).but("LIST", say(list));
        let (_ward, daemon) = reading(server, "delete").await;
        until_reason(&daemon, expected).await;
    }
}

/// A server that has had enough of us is left alone for a minute and says nothing about the password.
/// Gmail: gilleslamiral/imapsync#61, chatwoot/chatwoot#6082; Yahoo `[LIMIT]`; Exchange Online.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_left_alone_and_the_password_is_not_suspected() {
    for (place, words) in [
        ("LOGIN", "%T NO [ALERT] Too many simultaneous connections. (Failure)\r\n"),
        ("LOGIN", "%T NO [OVERQUOTA] Account exceeded command or bandwidth limits.\r\n"),
        ("LOGIN", "%T NO [LIMIT] LOGIN Rate limit hit.\r\n"),
        ("LOGIN", "%T NO [UNAVAILABLE] LOGIN Server error\r\n"),
        ("LOGIN", "* BYE [ALERT] Too many simultaneous connections. (Failure)\r\n"),
        ("SELECT", "%T BAD Request is throttled. Suggested Backoff Time: 61000 milliseconds\r\n"),
        ("FETCH", "%T NO [OVERQUOTA] Account exceeded command or bandwidth limits.\r\n"),
    ] {
        let server = imap::proper().but(place, say(words));
        let (ward, daemon) = reading(server, "delete").await;
        until_reason(&daemon, "ServerBusy").await;
        let login = condition(&daemon, "odd", ConditionKind::Authenticated);
        assert!(login.is_none_or(|(accepted, ..)| accepted), "{words}");
        let all = daemon.app().handle().board.all();
        let status = all.iter().find(|status| status.name == "odd").unwrap();
        let pause = status.next_poll.unwrap().duration_since(jiff::Timestamp::now());
        assert!(pause.as_secs() >= 40, "{words}: {pause}");
        assert_eq!(ward.plain("odd").matches(" LOGIN ").count(), 1, "{words}");
    }
}

/// A folder for fetched mails that is missing is made: a label of Gmail that nobody has made.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_folder_for_moved_mails_is_made() {
    let gmail = imap::proper()
        .but("UID MOVE", say("%T NO [TRYCREATE] No folder Done (Failure)\r\n"))
        .but("LIST", say("%T OK\r\n"))
        .but("LIST \"\" \"INBOX\"", say("* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\n%T OK\r\n"))
        .but("CREATE \"Done\"", then("%T OK\r\n", "UID MOVE", say("%T OK moved\r\n")))
        .but("SUBSCRIBE", say("%T OK\r\n"));
    let (ward, daemon) = reading(gmail, "{move: Done}").await;
    until_taken(&daemon, 2).await;
    until("a move", || ward.plain("odd").contains("SUBSCRIBE \"Done\"").then_some(())).await;
    until("an account that is ready", || is_ready(&daemon, "odd").then_some(())).await;
    let heard = ward.plain("odd");
    let first = heard.split("LOGOUT").next().unwrap();
    assert_eq!(first.matches("UID MOVE 11:12 \"Done\"").count(), 2, "{heard}");
}

/// Courier and Cyrus keep the folders of a person beneath INBOX (RFC 2342): `Done` is `INBOX.Done`.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_for_moved_mails_beneath_inbox() {
    let inbox = "* LIST (\\HasChildren) \".\" \"INBOX\"\r\n%T OK\r\n";
    let there = "* LIST () \".\" \"INBOX.Done\"\r\n%T OK\r\n";
    let courier = || {
        imap::proper()
            .but("UID MOVE", say("%T NO [TRYCREATE] Mailbox does not exist\r\n"))
            .but("UID MOVE 11:12 \"INBOX.Done\"", say("%T OK moved\r\n"))
            .but("LIST", say("%T OK\r\n"))
            .but("LIST \"\" \"INBOX\"", say(inbox))
            .but("CREATE", say("%T NO Invalid mailbox name.\r\n"))
    };
    // It is there already.
    let server = courier().but("LIST \"\" \"INBOX.Done\"", say(there));
    let (ward, daemon) = reading(server, "{move: Done}").await;
    until_taken(&daemon, 2).await;
    until("an account that is ready", || is_ready(&daemon, "odd").then_some(())).await;
    let heard = ward.plain("odd");
    assert!(
        heard.contains("UID MOVE 11:12 \"INBOX.Done\"") && !heard.contains("CREATE"),
        "{heard}"
    );
    // It is made there.
    let server = courier().but("CREATE \"INBOX.Done\"", say("%T OK\r\n"));
    let (ward, daemon) = reading(server, "{move: Done}").await;
    until_taken(&daemon, 2).await;
    until("an account that is ready", || is_ready(&daemon, "odd").then_some(())).await;
    let heard = ward.plain("odd");
    assert!(heard.contains("UID MOVE 11:12 \"INBOX.Done\""), "{heard}");
}

/// Mails that cannot be moved keep no new mail waiting: the session goes on, and the status says it.
/// Without MOVE, the folder into which the server looked is closed again.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_move_ends_no_session() {
    for (offered, refusing) in [("UIDPLUS MOVE", "UID MOVE"), ("UIDPLUS", "EXAMINE")] {
        let no = "%T NO [NOPERM] not yours\r\n";
        let server = imap::with_folders(offered).but(refusing, say(no)).but("CREATE", say(no));
        let (ward, daemon) = reading(server, "{move: Done}").await;
        until_taken(&daemon, 2).await;
        until_reason(&daemon, "CommandRefused").await;
        assert_eq!(metric(&daemon, "postroom_account_up{account=\"odd\"}"), Some(1.0));
        let looks = "postroom_poll_runs_total{account=\"odd\",result=\"success\"}";
        until("more looks", || metric(&daemon, looks).filter(|looks| *looks >= 3.0)).await;
        let failed = "postroom_poll_runs_total{account=\"odd\",result=\"failure\"}";
        assert_eq!(metric(&daemon, failed).unwrap_or(0.0), 0.0);
        let heard = ward.plain("odd");
        let sessions: Vec<&str> = heard.split("LOGOUT").collect();
        assert!(sessions.len() >= 2, "{heard}");
        let last_select = sessions[0].rfind("SELECT \"INBOX\"").unwrap();
        assert!(sessions[0].rfind("EXAMINE").is_none_or(|at| at < last_select), "{heard}");
    }
}

/// Gmail gives an account 2,500 MB a day (support.google.com/a/answer/1071518): while nothing has
/// come or gone, nothing is listed. News are seen all the same, and so is a removed mail.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_is_not_listed_again() {
    let selected = |exists: u32, next: u32| {
        say(&format!(
            "* {exists} EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT {next}] ok\r\n%T OK open\r\n"
        ))
    };
    let (ward, daemon) = reading(imap::proper().but("SELECT", selected(2, 13)), "keep").await;
    until_taken(&daemon, 2).await;
    let sessions = || ward.plain("odd").matches("LOGOUT").count();
    until("six sessions", || (sessions() >= 6).then_some(())).await;
    // One that takes the mails in, and one that finds nothing to do.
    assert_eq!(ward.plain("odd").matches(" FETCH 1:2 ").count(), 2);
    // A look that a person asks for is a real one.
    assert!(daemon.app().handle().fetch_now("odd").await);
    let listings = || ward.plain("odd").matches(" FETCH 1:2 ").count();
    until("a listing", || (listings() == 3).then_some(())).await;
    // A third mail.
    let third = "Subject: three\r\n\r\n3\r\n";
    let size = third.len();
    let line = |number: u32, uid: u32, bytes: usize| {
        format!("* {number} FETCH (UID {uid} RFC822.SIZE {bytes} FLAGS ())\r\n")
    };
    let sizes = imap::MAILS.map(str::len);
    let listing =
        line(1, 11, sizes[0]) + &line(2, 12, sizes[1]) + &line(3, 13, size) + "%T OK listed\r\n";
    let body = format!("* 3 FETCH (UID 13 BODY[] {{{size}}}\r\n{third})\r\n%T OK\r\n");
    let later = imap::proper()
        .but("SELECT", selected(3, 14))
        .but("FETCH 1:3", say(&listing))
        .but("UID FETCH 13 ", say(&body));
    ward.now("odd", later);
    until_taken(&daemon, 3).await;
    let known = records(&daemon);
    assert!(of(&known, "odd").iter().all(|mail| mail.outcome == Outcome::Created), "{known:?}");
    // One mail is gone: the ledger must learn of it.
    ward.now("odd", imap::proper().but("SELECT", selected(2, 14)));
    let before = listings();
    until("a listing", || (listings() > before).then_some(())).await;
}

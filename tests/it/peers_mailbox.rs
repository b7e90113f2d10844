//! Mailboxes against a real Dovecot: all ways in, all that is done after a fetch.

use std::time::{Duration, Instant};

use postroom::core::config::{Account, AfterFetch, Endpoint, Security, Source};
use postroom::mailbox::{self, Fetched, Mailbox, MailboxError, Woken};
use postroom::secret::Secrets;

use crate::listing::{List, Listing};
use crate::peers::Dovecot;
use crate::server::{PASSWORD, account, endpoint, login};

const USER: &str = "desk";
const SIZE_MAX: u64 = 100 * 1024 * 1024;

/// A Dovecot with one user, and what is needed to log in.
struct Desk {
    dovecot: Dovecot,
    safe: tempfile::TempDir,
}

impl Desk {
    fn start() -> Option<Desk> {
        Dovecot::start().map(Desk::with)
    }

    fn start_with(settings: &str) -> Option<Desk> {
        Dovecot::start_with(settings).map(Desk::with)
    }

    fn with(dovecot: Dovecot) -> Desk {
        dovecot.add_user(USER, PASSWORD);
        let safe = tempfile::tempdir().unwrap();
        std::fs::write(safe.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        Desk { dovecot, safe }
    }

    fn endpoint(&self, port: u16, security: Security) -> Endpoint {
        endpoint(port, security, Some(&self.dovecot.ca()))
    }

    fn imap(&self, folder: &str) -> Account {
        self.imap_at(self.endpoint(self.dovecot.imaps, Security::Tls), folder)
    }

    fn imap_at(&self, endpoint: Endpoint, folder: &str) -> Account {
        account(Source::Imap { endpoint, login: login(USER), folder: folder.into() })
    }

    fn pop3(&self) -> Account {
        self.pop3_at(self.endpoint(self.dovecot.pop3s, Security::Tls))
    }

    fn pop3_at(&self, endpoint: Endpoint) -> Account {
        account(Source::Pop3 { endpoint, login: login(USER) })
    }

    /// The six types of accounts.
    fn six(&self) -> [Account; 6] {
        let dovecot = &self.dovecot;
        [
            self.imap_at(self.endpoint(dovecot.imap, Security::Plain), "INBOX"),
            self.imap_at(self.endpoint(dovecot.imaps, Security::Tls), "INBOX"),
            self.imap_at(self.endpoint(dovecot.imap, Security::StartTls), "INBOX"),
            self.pop3_at(self.endpoint(dovecot.pop3, Security::Plain)),
            self.pop3_at(self.endpoint(dovecot.pop3s, Security::Tls)),
            self.pop3_at(self.endpoint(dovecot.pop3, Security::StartTls)),
        ]
    }

    async fn open(&self, account: &Account) -> Result<Box<dyn Mailbox>, MailboxError> {
        let secrets = Secrets { directory: Some(self.safe.path().to_owned()) };
        mailbox::open(account, &secrets, None).await
    }

    async fn opened(&self, account: &Account) -> Box<dyn Mailbox> {
        self.open(account).await.unwrap()
    }

    fn deliver(&self, mail: &str) {
        self.dovecot.deliver(USER, mail.as_bytes());
    }
}

fn mail(number: usize) -> String {
    format!(
        "From: eve@customer.example\r\nTo: desk@example.com\r\nSubject: question {number}\r\n\
         Message-ID: <{number}@customer.example>\r\n\r\nWhere is my order {number}?\r\n.dot\r\n"
    )
}

async fn bodies(mailbox: &mut dyn Mailbox) -> Vec<String> {
    let listing = mailbox.list().await.unwrap();
    let fetched = mailbox.fetch(&listing.entries, SIZE_MAX).await.unwrap();
    let text = |fetched| match fetched {
        Fetched::Mail(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    };
    fetched.into_iter().map(text).collect()
}

#[tokio::test]
async fn all_six_types_fetch_the_same() {
    let Some(desk) = Desk::start() else { return };
    let mails: Vec<String> = (1..=3).map(mail).collect();
    mails.iter().for_each(|mail| desk.deliver(mail));
    for account in desk.six() {
        let mut mailbox = desk.opened(&account).await;
        assert_eq!(bodies(mailbox.as_mut()).await, mails, "{:?}", account.connection);
        let listing = mailbox.list().await.unwrap();
        mailbox.done(&listing.entries, &AfterFetch::Keep).await.unwrap();
        mailbox.close().await.unwrap();
        // A second session knows the messages by the same names.
        let again = desk.opened(&account).await.list().await.unwrap();
        let names = |listing: &Listing| {
            listing.entries.iter().map(|entry| entry.location.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&again), names(&listing));
        assert_eq!(again.epoch, listing.epoch);
    }
    assert_eq!(desk.dovecot.count(USER, ""), 3);
}

#[tokio::test]
async fn wrong_password_is_a_refused_login() {
    let Some(desk) = Desk::start() else { return };
    std::fs::write(desk.safe.path().join("password"), "CANARY-wrong").unwrap();
    for account in desk.six() {
        let Err(error) = desk.open(&account).await else { panic!("logged in") };
        assert_eq!(error.label(), "login", "{error}");
        assert!(!error.to_string().contains("CANARY"));
    }
}

#[tokio::test]
async fn unknown_authority_and_wrong_name_are_refused() {
    let Some(desk) = Desk::start() else { return };
    for account in desk.six() {
        for change in [
            |endpoint: &mut Endpoint| endpoint.tls.ca = None,
            |endpoint: &mut Endpoint| endpoint.tls.server_name = Some("mail.example.com".into()),
        ] {
            let mut account = account.clone();
            let (Source::Imap { endpoint, .. } | Source::Pop3 { endpoint, .. }) =
                &mut account.connection
            else {
                unreachable!()
            };
            change(endpoint);
            let plain = endpoint.security == Security::Plain;
            let label = desk.open(&account).await.map_or_else(|error| error.label(), |_| "nothing");
            assert_eq!(label, if plain { "nothing" } else { "certificate" });
        }
    }
}

#[tokio::test]
async fn client_certificate() {
    let settings = "ssl_ca = <%RUN%/ca.pem\nssl_require_crl = no\nssl_verify_client_cert = yes\n\
                    auth_ssl_require_client_cert = yes\n";
    let Some(desk) = Desk::start_with(settings) else { return };
    desk.deliver(&mail(1));
    let mut account = desk.imap("INBOX");
    assert!(desk.open(&account).await.is_err(), "logged in without a certificate");
    let Source::Imap { endpoint, .. } = &mut account.connection else { unreachable!() };
    endpoint.tls.client = Some(desk.dovecot.client());
    let mut mailbox = desk.opened(&account).await;
    assert_eq!(bodies(mailbox.as_mut()).await, [mail(1)]);
    let expires = mailbox.certificate_expires().unwrap();
    assert_eq!(expires.to_string(), "2099-01-01T00:00:00Z");
}

#[tokio::test]
async fn imap_deletes_what_it_was_told_to() {
    let Some(desk) = Desk::start() else { return };
    (1..=3).for_each(|number| desk.deliver(&mail(number)));
    let mut mailbox = desk.opened(&desk.imap("INBOX")).await;
    let entries = mailbox.list().await.unwrap().entries;
    let two = [entries[0].clone(), entries[2].clone()];
    mailbox.done(&two, &AfterFetch::Delete).await.unwrap();
    mailbox.done(&two, &AfterFetch::Delete).await.unwrap();
    assert_eq!(mailbox.list().await.unwrap().entries, entries[1..2]);
    assert_eq!(bodies(mailbox.as_mut()).await, [mail(2)]);
    assert_eq!(desk.dovecot.count(USER, ""), 1);
}

#[tokio::test]
async fn imap_marks_as_seen_and_fetching_does_not() {
    let Some(desk) = Desk::start() else { return };
    (1..=2).for_each(|number| desk.deliver(&mail(number)));
    let mut mailbox = desk.opened(&desk.imap("INBOX")).await;
    bodies(mailbox.as_mut()).await;
    let entries = mailbox.list().await.unwrap().entries;
    assert!(entries.iter().all(|entry| !entry.seen));
    mailbox.done(&entries[..1], &AfterFetch::Seen).await.unwrap();
    let entries = mailbox.list().await.unwrap().entries;
    assert_eq!(entries.iter().map(|entry| entry.seen).collect::<Vec<_>>(), [true, false]);
    assert!(entries.iter().all(|entry| entry.arrived.is_some()));
}

#[tokio::test]
async fn imap_moves() {
    let Some(desk) = Desk::start() else { return };
    (1..=2).for_each(|number| desk.deliver(&mail(number)));
    let mut mailbox = desk.opened(&desk.imap("INBOX")).await;
    let entries = mailbox.list().await.unwrap().entries;
    let to = AfterFetch::Move("Done".into());
    mailbox.done(&entries[..1], &to).await.unwrap();
    mailbox.done(&entries[..1], &to).await.unwrap();
    assert_eq!(bodies(mailbox.as_mut()).await, [mail(2)]);
    let mut done = desk.opened(&desk.imap("Done")).await;
    assert_eq!(bodies(done.as_mut()).await, [mail(1)]);
    // A folder that is missing is made; one that cannot be made ends no session.
    assert_eq!(mailbox.find_target("None").await.unwrap(), None);
    let error = mailbox.done(&entries[1..], &AfterFetch::Move("a//b".into())).await.unwrap_err();
    assert!(matches!(error, MailboxError::Refused { .. }), "{error}");
    assert_eq!(bodies(mailbox.as_mut()).await, [mail(2)]);
    mailbox.done(&entries[1..], &AfterFetch::Move("None".into())).await.unwrap();
    assert_eq!(mailbox.find_target("None").await.unwrap().as_deref(), Some("None"));
    assert_eq!(mailbox.list().await.unwrap().entries, []);
    assert_eq!(bodies(desk.opened(&desk.imap("None")).await.as_mut()).await, [mail(2)]);
}

#[tokio::test]
async fn imap_moves_beneath_inbox() {
    // As Courier, and Cyrus as it was shipped for long.
    let prefix = "namespace inbox {\n  prefix = INBOX.\n  separator = .\n  inbox = yes\n}\n";
    for capability in ["UIDPLUS MOVE", "UIDPLUS"] {
        let only =
            format!("{prefix}protocol imap {{\n  imap_capability = IMAP4rev1 {capability}\n}}\n");
        let Some(desk) = Desk::start_with(&only) else { return };
        (1..=2).for_each(|number| desk.deliver(&mail(number)));
        let mut mailbox = desk.opened(&desk.imap("INBOX")).await;
        let entries = mailbox.list().await.unwrap().entries;
        let to = AfterFetch::Move("Finished".into());
        mailbox.done(&entries[..1], &to).await.unwrap();
        assert_eq!(bodies(mailbox.as_mut()).await, [mail(2)]);
        let found = mailbox.find_target("Finished").await.unwrap();
        assert_eq!(found.as_deref(), Some("INBOX.Finished"));
        // In the next session it is there already.
        let mut mailbox = desk.opened(&desk.imap("INBOX")).await;
        let entries = mailbox.list().await.unwrap().entries;
        mailbox.done(&entries, &to).await.unwrap();
        let mut done = desk.opened(&desk.imap("INBOX.Finished")).await;
        assert_eq!(bodies(done.as_mut()).await, [mail(1), mail(2)]);
    }
}

#[tokio::test]
async fn imap_moves_without_move_and_uidplus() {
    let only = "protocol imap {\n  imap_capability = IMAP4rev1 UIDPLUS\n}\n";
    let Some(desk) = Desk::start_with(only) else { return };
    (1..=3).for_each(|number| desk.deliver(&mail(number)));
    let mut mailbox = desk.opened(&desk.imap("INBOX")).await;
    assert!(!mailbox.can_wait());
    let entries = mailbox.list().await.unwrap().entries;
    mailbox.done(&entries[..2], &AfterFetch::Move("Done".into())).await.unwrap();
    assert_eq!(bodies(mailbox.as_mut()).await, [mail(3)]);
    // As if a first attempt had been cut between COPY and STORE: the mail is here and there.
    desk.deliver(&mail(1));
    let entries = mailbox.list().await.unwrap().entries;
    mailbox.done(&entries, &AfterFetch::Move("Done".into())).await.unwrap();
    assert_eq!(mailbox.list().await.unwrap().entries, []);
    assert_eq!(desk.dovecot.count(USER, ".Done"), 3);
}

#[tokio::test]
async fn imap_deletes_without_uidplus() {
    let only = "protocol imap {\n  imap_capability = IMAP4rev1 MOVE\n}\n\
                namespace inbox {\n  mailbox Papierkorb {\n    auto = create\n    \
                special_use = \\Trash\n  }\n}\n";
    let Some(desk) = Desk::start_with(only) else { return };
    desk.deliver(&mail(1));
    let mut mailbox = desk.opened(&desk.imap("INBOX")).await;
    let entries = mailbox.list().await.unwrap().entries;
    mailbox.done(&entries, &AfterFetch::Delete).await.unwrap();
    assert_eq!(desk.dovecot.count(USER, ".Papierkorb"), 1);
    assert_eq!(desk.dovecot.count(USER, ""), 0);
}

#[tokio::test]
async fn imap_folder_names_in_japanese() {
    let settings = "namespace inbox {\n  mailbox 処理済 {\n    auto = create\n  }\n}\n";
    let Some(desk) = Desk::start_with(settings) else { return };
    desk.deliver(&mail(1));
    let mut mailbox = desk.opened(&desk.imap("INBOX")).await;
    let entries = mailbox.list().await.unwrap().entries;
    mailbox.done(&entries, &AfterFetch::Move("処理済".into())).await.unwrap();
    let mut folder = desk.opened(&desk.imap("処理済")).await;
    assert_eq!(bodies(folder.as_mut()).await, [mail(1)]);
    let Err(error) = desk.open(&desk.imap("未処理")).await else { panic!("opened") };
    assert_eq!(error.label(), "folder");
    assert!(error.to_string().contains("未処理"), "{error}");
}

#[tokio::test]
async fn imap_idle_wakes_and_the_session_goes_on() {
    let Some(desk) = Desk::start() else { return };
    let mut mailbox = desk.opened(&desk.imap("INBOX")).await;
    assert!(mailbox.can_wait());
    assert_eq!(mailbox.list().await.unwrap().entries, []);
    let over = mailbox.wait(Duration::from_millis(50)).await.unwrap();
    assert_eq!(over, Woken::Timeout);
    let (woken, ()) = tokio::join!(mailbox.wait(Duration::from_secs(60)), async {
        desk.deliver(&mail(1));
    });
    assert_eq!(woken.unwrap(), Woken::News);
    assert_eq!(bodies(mailbox.as_mut()).await, [mail(1)]);
    // Announced by the way, while another command ran: the next wait ends at once.
    let mut account = desk.imap("INBOX");
    account.idle = false;
    assert!(!desk.opened(&account).await.can_wait());
}

#[tokio::test]
async fn imap_validity_changes_with_the_index() {
    let Some(desk) = Desk::start() else { return };
    desk.deliver(&mail(1));
    let account = desk.imap("INBOX");
    let mut mailbox = desk.opened(&account).await;
    let before = mailbox.list().await.unwrap();
    mailbox.close().await.unwrap();
    // UIDVALIDITY is the second at which Dovecot makes the list anew.
    let begun = Instant::now();
    let after = loop {
        for entry in std::fs::read_dir(desk.dovecot.maildir(USER)).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("dovecot") {
                let _ = std::fs::remove_file(path);
            }
        }
        let after = desk.opened(&account).await.list().await.unwrap();
        if after.epoch != before.epoch || begun.elapsed() > Duration::from_secs(20) {
            break after;
        }
    };
    assert_ne!(after.epoch, before.epoch);
    assert_ne!(after.entries[0].location, before.entries[0].location);
}

#[tokio::test]
async fn large_mail_comes_whole_and_too_large_mail_as_header() {
    let Some(desk) = Desk::start() else { return };
    let line = "x".repeat(98) + "\r\n";
    let large = mail(1) + &line.repeat(200_000);
    desk.deliver(&large);
    desk.deliver(&mail(2));
    for account in [desk.imap("INBOX"), desk.pop3()] {
        let mut mailbox = desk.opened(&account).await;
        let entries = mailbox.list().await.unwrap().entries;
        assert_eq!(entries[0].size_bytes, Some(large.len() as u64));
        let fetched = mailbox.fetch(&entries, SIZE_MAX).await.unwrap();
        let [Fetched::Mail(first), Fetched::Mail(second)] = &fetched[..] else { panic!() };
        assert!(first == large.as_bytes() && second == mail(2).as_bytes());
        let fetched = mailbox.fetch(&entries, 1024 * 1024).await.unwrap();
        let [Fetched::Oversize { header, size_bytes }, Fetched::Mail(_)] = &fetched[..] else {
            panic!()
        };
        assert_eq!(*size_bytes, large.len() as u64);
        let expected = mail(1);
        let expected = &expected[..expected.find("\r\n\r\n").unwrap() + 4];
        assert_eq!(String::from_utf8_lossy(header), expected);
    }
}

#[tokio::test]
async fn pop3_deletes_at_the_goodbye_and_not_before() {
    let Some(desk) = Desk::start() else { return };
    (1..=3).for_each(|number| desk.deliver(&mail(number)));
    let account = desk.pop3();
    let mut cut = desk.opened(&account).await;
    let entries = cut.list().await.unwrap().entries;
    cut.done(&entries, &AfterFetch::Delete).await.unwrap();
    drop(cut);
    assert_eq!(desk.dovecot.count(USER, ""), 3);
    let mut mailbox = desk.opened(&account).await;
    let entries = mailbox.list().await.unwrap().entries;
    mailbox.done(&entries[..2], &AfterFetch::Delete).await.unwrap();
    mailbox.done(&entries[..2], &AfterFetch::Delete).await.unwrap();
    mailbox.close().await.unwrap();
    assert_eq!(desk.dovecot.count(USER, ""), 1);
    let mut mailbox = desk.opened(&account).await;
    assert_eq!(bodies(mailbox.as_mut()).await, [mail(3)]);
}

#[tokio::test]
async fn maildir_like_the_server_sees_it() {
    let Some(desk) = Desk::start() else { return };
    (1..=4).for_each(|number| desk.deliver(&mail(number)));
    let local = account(Source::Maildir { path: desk.dovecot.maildir(USER) });
    let mut mailbox = desk.opened(&local).await;
    let entries = mailbox.list().await.unwrap().entries;
    mailbox.done(&entries[..1], &AfterFetch::Delete).await.unwrap();
    mailbox.done(&entries[1..2], &AfterFetch::Seen).await.unwrap();
    mailbox.done(&entries[2..3], &AfterFetch::Move("処理済/2026".into())).await.unwrap();
    mailbox.done(&entries[3..], &AfterFetch::Keep).await.unwrap();
    mailbox.done(&entries[..3], &AfterFetch::Delete).await.unwrap();
    assert_eq!(bodies(mailbox.as_mut()).await, [mail(4)]);
}

/// Rates of a whole mailbox, in release: `cargo test --release --test it -- --ignored rates`.
#[tokio::test]
#[ignore = "takes a while and says something only in release"]
async fn rates() {
    const MAILS: usize = 10_000;
    let Some(desk) = Desk::start() else { return };
    let body = "Lorem ipsum dolor sit amet, consectetur adipisci elit.\r\n".repeat(34);
    (0..MAILS).for_each(|number| desk.deliver(&(mail(number) + &body)));
    for account in [desk.imap("INBOX"), desk.pop3()] {
        let mut mailbox = desk.opened(&account).await;
        let begun = Instant::now();
        let entries = mailbox.list().await.unwrap().entries;
        println!("listed {} in {:?}", entries.len(), begun.elapsed());
        assert_eq!(entries.len(), MAILS);
        for round in 1..=2 {
            let begun = Instant::now();
            for chunk in entries.chunks(500) {
                let fetched = mailbox.fetch(chunk, SIZE_MAX).await.unwrap();
                assert!(fetched.iter().all(|fetched| matches!(fetched, Fetched::Mail(_))));
            }
            let rate = MAILS as f64 / begun.elapsed().as_secs_f64();
            println!("round {round}: {rate:.0} mails/s of 2 KB");
        }
    }
    let line = "x".repeat(98) + "\r\n";
    desk.deliver(&(mail(MAILS) + &line.repeat(500_000)));
    for account in [desk.imap("INBOX"), desk.pop3()] {
        let mut mailbox = desk.opened(&account).await;
        let entries = mailbox.list().await.unwrap().entries;
        assert_eq!(entries.len(), MAILS + 1);
        peak_kilobytes();
        let before = peak_kilobytes();
        let begun = Instant::now();
        let fetched = mailbox.fetch(&entries[MAILS..], SIZE_MAX).await.unwrap();
        assert!(matches!(&fetched[..], [Fetched::Mail(_)]));
        println!(
            "50 MB in {:?}, {} kB more at its peak",
            begun.elapsed(),
            peak_kilobytes() - before
        );
    }
}

/// Largest resident memory since this was last called.
fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let peak = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    peak
}

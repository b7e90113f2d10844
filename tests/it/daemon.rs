//! A daemon for tests: the whole of it, in this process, on a free port, in a scratch folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postroom::app::{self, App, OnInvalid, Options, StartError};
use postroom::run::clock::Clock;
use postroom::store::{MailRecord, OutboxFilter, TicketView};
use tokio::time::Instant;

/// A test that waits longer than this for something has found a fault.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running daemon with its folder.
pub struct Daemon {
    /// Everything it reads and writes lies beneath.
    pub folder: tempfile::TempDir,
    /// The time in it; the system's unless another was given before it started.
    pub clock: Clock,
    /// Programs that it may run to send mail.
    pub allow_sendmail: Vec<PathBuf>,
    app: Option<App>,
}

impl Daemon {
    /// Starts one with this configuration. `{dir}` in it is replaced by the scratch folder.
    pub async fn start(yaml: &str) -> Daemon {
        let mut daemon = Daemon::prepare(yaml);
        daemon.again().await;
        daemon
    }

    /// Makes its folder with this configuration; [`Daemon::again`] starts it.
    pub fn prepare(yaml: &str) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        for kind in ["new", "cur", "tmp"] {
            fs::create_dir_all(folder.path().join("mail").join(kind)).unwrap();
        }
        let daemon = Daemon { folder, clock: Clock::real(), allow_sendmail: Vec::new(), app: None };
        daemon.write(yaml);
        daemon
    }

    /// Starts it again in the same folder.
    pub async fn again(&mut self) {
        assert!(self.app.is_none(), "it runs already");
        self.app = Some(app::start(self.options()).await.unwrap());
    }

    /// Tries to start it in the same folder.
    pub async fn try_again(&mut self) -> Result<(), StartError> {
        self.app = Some(app::start(self.options()).await?);
        Ok(())
    }

    /// Ends it as SIGTERM would.
    pub async fn stop(&mut self) {
        self.app.take().expect("it runs").stop().await;
    }

    /// The running daemon.
    pub fn app(&self) -> &App {
        self.app.as_ref().expect("it runs")
    }

    /// Replaces its configuration, in one rename.
    pub fn write(&self, yaml: &str) {
        let text = yaml.replace("{dir}", &self.path("").display().to_string());
        let config = self.path("config");
        fs::create_dir_all(&config).unwrap();
        fs::write(config.join(".desk.new"), text).unwrap();
        fs::rename(config.join(".desk.new"), config.join("desk.yaml")).unwrap();
    }

    /// A path beneath its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Delivers a mail into the Maildir `mail`, as a delivery agent would.
    pub fn deliver(&self, name: &str, mail: &[u8]) {
        deliver(&self.path("mail"), name, mail);
    }

    /// Waits until this many mails are recorded, and answers with them, oldest first.
    pub async fn mails(&self, count: usize) -> Vec<MailRecord> {
        let store = self.app().handle().store.clone();
        let mut records = until(&format!("{count} mails"), || {
            let records = store.mails(None, 10_000).unwrap().items;
            (records.len() >= count).then_some(records)
        })
        .await;
        records.reverse();
        records
    }

    /// The ticket of a recorded mail.
    pub fn ticket(&self, mail: &MailRecord) -> TicketView {
        let number = mail.ticket.as_deref().expect("the mail has a ticket");
        self.app().handle().store.ticket(number).unwrap().expect("the ticket exists")
    }

    /// Recipients of all owed mails, oldest first.
    pub fn owed(&self) -> Vec<String> {
        let page = self.app().handle().store.outbox(OutboxFilter::All, None, 10_000).unwrap();
        page.items.iter().rev().map(|mail| mail.recipient.to_string()).collect()
    }

    fn options(&self) -> Options {
        Options {
            config: vec![self.path("config")],
            data: self.path("data"),
            listen: ([127, 0, 0, 1], 0).into(),
            secrets_dir: Some(self.path("secrets")),
            external_url: None,
            allow_sendmail: self.allow_sendmail.clone(),
            trusted_proxies: Vec::new(),
            clock: self.clock.clone(),
            on_invalid: OnInvalid::LastGood,
            allow_mass_delete: false,
        }
    }
}

/// Delivers a mail into a Maildir: written in `tmp`, moved to `new`.
pub fn deliver(maildir: &Path, name: &str, mail: &[u8]) {
    fs::write(maildir.join("tmp").join(name), mail).unwrap();
    fs::rename(maildir.join("tmp").join(name), maildir.join("new").join(name)).unwrap();
}

/// Waits until a look gives something.
pub async fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look).await
}

/// The same of something that is much work.
pub async fn until_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < patience, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

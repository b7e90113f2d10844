//! A mailbox in the cloud for the program to die over: the stand-in for Microsoft Graph, and who
//! gives tokens for it.

use tokio::runtime::Runtime;

use super::Mail;
use crate::server::certificates::Authority;
use crate::server::graph::StandIn;
use crate::server::issuer::Issuer;

/// Both, with the runtime they live on.
pub struct Cloud {
    /// The mailbox.
    pub service: StandIn,
    /// Who gives the tokens.
    pub issuer: Issuer,
    /// What the account does with a mail that was fetched.
    after: &'static str,
    grant: &'static str,
    folder: tempfile::TempDir,
    /// Where both run. Last, as it must outlive them.
    _runtime: Runtime,
}

impl Cloud {
    /// For a program that gets its tokens alone.
    pub fn new(after: &'static str) -> Cloud {
        Cloud::with(after, "clientCredentials", |runtime| {
            runtime.block_on(Issuer::start(3600, false))
        })
    }

    /// For a person; a token lives for a second. If the issuer rotates, an old refresh token ends
    /// everything.
    pub fn of_a_person(rotates: bool) -> Cloud {
        Cloud::with("delete", "authorizationCode", |runtime| {
            runtime.block_on(Issuer::start(1, rotates))
        })
    }

    fn with(
        after: &'static str,
        grant: &'static str,
        issuer: impl Fn(&Runtime) -> Issuer,
    ) -> Cloud {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        authority.write(folder.path());
        std::fs::write(folder.path().join("client"), "client-secret").unwrap();
        std::fs::write(folder.path().join("seal"), "a-key-that-is-long-enough-0123456789").unwrap();
        let tls = authority.issue(&["localhost"], 2099).server();
        let service = runtime.block_on(StandIn::start(tls));
        let issuer = issuer(&runtime);
        Cloud { service, issuer, after, grant, folder, _runtime: runtime }
    }

    /// The account `box`, and what it needs.
    pub fn accounts(&self) -> String {
        let (port, after, grant) = (self.service.port, self.after, self.grant);
        let folder = self.folder.path().display();
        format!(
            "  box: {{type: graph, host: localhost, port: {port}, tls: {{ca: \"{folder}/ca.pem\"}}, \
             oauth2Profile: m, username: desk@example.com, dispatch: {{by: recipient}}, since: all, \
             afterFetch: {after}, pollInterval: 1s}}\n\
             oauth2:\n  sealKey: {{file: \"{folder}/seal\"}}\n  providers:\n{}  profiles:\n    \
             m: {{provider: p, clientId: desk, clientSecret: {{file: \"{folder}/client\"}}, grant: {grant}}}",
            self.issuer.provider()
        )
    }

    /// Puts a mail into the inbox.
    pub fn deliver(&self, mail: &Mail) {
        self.service.deliver(&id(mail.number), std::str::from_utf8(&mail.raw).unwrap());
    }

    /// Mails of the inbox that nothing was done to.
    pub fn lying(&self) -> usize {
        let state = self.service.state();
        let within = state.messages.iter().filter(|mail| mail.folder == "F-inbox==");
        within.filter(|mail| self.after != "seen" || !mail.seen).count()
    }

    /// So many mails were delivered: each is where it is to be, and no call lacked anything.
    #[track_caller]
    pub fn check(&self, count: usize) {
        let all: Vec<String> = (0..count).map(id).collect();
        let expected = |folder: &str| match (self.after, folder) {
            ("seen", "F-inbox==") | ("{move: Archive}", "F-archive") => all.clone(),
            _ => Vec::new(),
        };
        for folder in ["F-inbox==", "F-archive"] {
            assert_eq!(self.service.ids(folder), expected(folder), "{} {folder}", self.after);
        }
        assert_eq!(self.service.state().violations, Vec::<String>::new());
    }
}

fn id(number: usize) -> String {
    format!("M{number:02}=")
}

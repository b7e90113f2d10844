//! Dovecot as elsewhere in these tests, and as hosters set up its POP3.

use std::path::{Path, PathBuf};

use super::exim::{Exim, Transport, USER};
use super::{Ports, Server};
use crate::peers;
use crate::server::PASSWORD;

/// A way to set up Dovecot.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// What the matrix calls it.
    pub name: &'static str,
    settings: &'static str,
    mbox: bool,
    /// Whether all mails of the matrix have the same UIDL.
    pub shares_uidl: bool,
}

/// With which everything else is tested.
pub const USUAL: Variant =
    Variant { name: "Dovecot", settings: "", mbox: false, shares_uidl: false };

/// What differs between POP3 servers that run Dovecot.
pub const POP3: [Variant; 5] = [
    Variant {
        name: "Dovecot, UIDL of X-UIDL headers",
        settings: "protocol pop3 {
  pop3_reuse_xuidl = yes
}
",
        mbox: false,
        shares_uidl: true,
    },
    Variant {
        name: "Dovecot, UIDL of file names, session locks",
        settings: "protocol pop3 {
  pop3_uidl_format = %f
  pop3_lock_session = yes
}
",
        mbox: false,
        shares_uidl: false,
    },
    Variant {
        name: "Dovecot, UIDL of GUIDs, flags untouched",
        settings: "protocol pop3 {
  pop3_uidl_format = %g
  pop3_no_flag_updates = yes
}
",
        mbox: false,
        shares_uidl: false,
    },
    Variant {
        name: "Dovecot, UIDL of UIDs, deleted by keyword",
        settings: "protocol pop3 {
  pop3_uidl_format = %u
  pop3_delete_type = flag
  pop3_deleted_flag = \"$POP3Deleted\"
}
",
        mbox: false,
        shares_uidl: false,
    },
    Variant {
        name: "Dovecot over mbox, UIDL of headers",
        settings: "mail_location = mbox:~/mbox:INBOX=~/inbox
protocol pop3 {
  pop3_uidl_format = %m
}
",
        mbox: true,
        shares_uidl: false,
    },
];

/// A running Dovecot.
pub struct Dovecot {
    variant: Variant,
    server: peers::Dovecot,
    exim: Exim,
}

impl Dovecot {
    /// Starts one with these users, or says that it is not installed.
    pub fn start(packages: &Path, variant: Variant, users: &[String]) -> Option<Dovecot> {
        let server = peers::Dovecot::start_with(variant.settings)?;
        users.iter().for_each(|user| server.add_user(user, PASSWORD));
        let maildir = server.maildir(USER);
        let inbox = maildir.with_file_name("inbox").display().to_string();
        let maildir = maildir.display().to_string();
        let transport =
            if variant.mbox { Transport::Mbox(&inbox) } else { Transport::Maildir(&maildir) };
        let exim = Exim::new(packages, users, &transport);
        Some(Dovecot { variant, server, exim })
    }
}

impl Server for Dovecot {
    fn name(&self) -> &'static str {
        self.variant.name
    }

    fn ports(&self) -> Ports {
        let peers::Dovecot { imap, imaps, pop3, pop3s, .. } = self.server;
        Ports { imap, imaps, pop3, pop3s }
    }

    fn ca(&self) -> PathBuf {
        self.server.ca()
    }

    fn done(&self) -> &'static str {
        "Done"
    }

    fn exim(&self) -> &Exim {
        &self.exim
    }
}

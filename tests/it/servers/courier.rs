//! Courier IMAP and POP3 over Maildirs, with the settings of Debian's `/etc/courier`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::exim::{Exim, Transport, USER};
use super::sandbox::{Running, Sandbox};
use super::{Ports, Server, until_up};
use crate::peers::give_away;
use crate::server::PASSWORD;
use crate::server::certificates::Authority;

/// What Debian's `imapd`, `imapd-ssl`, `pop3d`, `pop3d-ssl` and their start scripts do.
const START: &str = r#"
set -a
. /etc/courier/authdaemonrc
COURIERTLS="$PACKAGES/usr/bin/couriertls"
TLS_CERTFILE="$ROOT/courier.pem"
TLS_VERIFYPEER=NONE
IMAP_CAPABILITY="IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"
IMAP_CAPABILITY_TLS="$IMAP_CAPABILITY AUTH=PLAIN"
IMAP_KEYWORDS=1
IMAP_ACL=1
IMAP_IDLE_TIMEOUT=60
IMAP_MAILBOX_SANITY_CHECK=1
IMAP_USELOCKS=1
IMAP_TRASHFOLDERNAME=Trash
IMAP_EMPTYTRASH=Trash:7
IMAP_MOVE_EXPUNGE_TO_TRASH=0
IMAP_TLS_REQUIRED=0
POP3_TLS_REQUIRED=0
listen() { "$PACKAGES/usr/sbin/couriertcpd" -address=127.0.0.1 -maxprocs=200 -maxperip=200 -nodnslookup -noidentlookup "$@"; }
imap="$PACKAGES/usr/lib/courier/courier/imaplogin $PACKAGES/usr/bin/imapd Maildir"
pop3="$PACKAGES/usr/lib/courier/courier/courierpop3login $PACKAGES/usr/lib/courier/courier/courierpop3d Maildir"
"$PACKAGES/usr/lib/courier/courier-authlib/authdaemond" &
(IMAP_STARTTLS=YES listen $IMAP $imap) &
(IMAP_TLS=1 listen $IMAPS "$COURIERTLS" -server -tcpd $imap) &
(POP3_STARTTLS=YES listen $POP3 $pop3) &
(POP3_TLS=1 POP3_STARTTLS=NO listen $POP3S "$COURIERTLS" -server -tcpd $pop3) &
wait
"#;

/// A running Courier.
pub struct Courier {
    ports: Ports,
    exim: Exim,
    _running: Running,
    sandbox: Sandbox,
}

impl Courier {
    /// Starts one with these users.
    pub fn start(packages: &Path, users: &[String]) -> Courier {
        let sandbox = Sandbox::new(packages);
        sandbox.folder("run/courier/authdaemon");
        let authority = Authority::new();
        authority.write(&sandbox.path(""));
        let issued = authority.issue(&["localhost", "127.0.0.1"], 2099);
        sandbox.write("courier.pem", &(issued.key + &issued.certificate));
        sandbox.folder("etc/courier");
        sandbox.write(
            "etc/courier/authdaemonrc",
            "authmodulelist=authuserdb\nauthmodulelistorig=authuserdb\ndaemons=5\n\
             authdaemonvar=/run/courier/authdaemon\n",
        );
        let homes = sandbox.folder("mail");
        for user in users {
            for part in ["tmp", "new", "cur"] {
                sandbox.folder(&format!("mail/{user}/Maildir/{part}"));
                sandbox.folder(&format!("mail/{user}/Maildir/.Done/{part}"));
            }
            sandbox.write(&format!("mail/{user}/Maildir/.Done/maildirfolder"), "");
        }
        write_users(&sandbox, users, &homes);
        let maildirs = homes.join(USER).join("Maildir").display().to_string();
        let exim = Exim::new(packages, users, &Transport::Maildir(&maildirs));
        let (ports, running) = until_up("courier", |ports| {
            let variables = [
                ("IMAP", ports.imap),
                ("IMAPS", ports.imaps),
                ("POP3", ports.pop3),
                ("POP3S", ports.pop3s),
            ];
            let mut command = sandbox.command("sh");
            command.args(["-c", START]).env("PACKAGES", packages).env("ROOT", sandbox.path(""));
            command.envs(variables.map(|(name, port)| (name, port.to_string())));
            (sandbox.start(&mut command), sandbox.log())
        });
        Courier { ports, exim, _running: running, sandbox }
    }
}

impl Server for Courier {
    fn name(&self) -> &'static str {
        "Courier"
    }

    fn ports(&self) -> Ports {
        self.ports
    }

    fn ca(&self) -> PathBuf {
        self.sandbox.path("ca.pem")
    }

    fn done(&self) -> &'static str {
        "INBOX.Done"
    }

    fn exim(&self) -> &Exim {
        &self.exim
    }
}

/// Writes the database of users as `makeuserdb` does.
fn write_users(sandbox: &Sandbox, users: &[String], homes: &Path) {
    let (uid, gid) = super::sandbox::owner();
    let hashed = hashed(PASSWORD);
    let line = |fields: &dyn Fn(&str) -> String| {
        users.iter().map(|user| format!("{user}\t{}\n", fields(user))).collect::<String>()
    };
    let open = line(&|user| {
        let home = homes.join(user).display().to_string();
        format!("uid={uid}|gid={gid}|home={home}|mail={home}/Maildir|_=")
    });
    let shadow = line(&|_| format!("systempw={hashed}"));
    for (name, lines) in [("userdb.dat", open), ("userdbshadow.dat", shadow)] {
        let path = sandbox.path("etc/courier").join(name);
        let program = sandbox.packaged("usr/lib/courier/courier-authlib/makedatprog");
        let mut command = sandbox.command(program);
        command.arg("-").arg(path.with_extension("next")).arg(&path);
        // A line with a dot ends it, as in SMTP.
        piped(&mut command, &(lines + ".\n"));
        give_away(&path);
        assert!(fs::metadata(&path).unwrap().len() > 0);
    }
}

/// A password as crypt(5) has it.
fn hashed(password: &str) -> String {
    piped(Command::new("openssl").args(["passwd", "-5", "-stdin"]), &format!("{password}\n"))
        .trim()
        .to_owned()
}

/// What a program makes of this input.
fn piped(command: &mut Command, input: &str) -> String {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

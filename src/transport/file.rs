//! Leaves each mail as a file, for tests, demonstrations and programs that take it from there.
//!
//! `<time>-<id>.eml` holds the mail, `<time>-<id>.json` its envelope. The `.json` appears first,
//! so whoever waits for `.eml` files finds both. Names follow from the mail alone: a mail that is
//! written again after a crash replaces itself and is there once.
//!
//! Architecture invariant: a reader never sees half a file; nothing from a mail is in a name.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::down;
use crate::core::outgoing::{Attempt, Outgoing};

/// The directory that mails are left in.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the directory if there is none.
    pub async fn open(directory: &Path) -> Result<Folder, Attempt> {
        match fs::create_dir_all(directory).await {
            Ok(()) => Ok(Folder(directory.to_owned())),
            Err(error) => Err(unusable(directory, &error)),
        }
    }

    /// Writes one mail and its envelope.
    pub async fn write(&self, mail: &Outgoing) -> Attempt {
        let name = name(mail);
        let written = async {
            self.place(&format!("{name}.json"), envelope(mail).as_bytes()).await?;
            self.place(&format!("{name}.eml"), &mail.raw).await?;
            fs::File::open(&self.0).await?.sync_all().await
        };
        match written.await {
            Ok(()) => Attempt::Sent,
            Err(error) => unusable(&self.0, &error),
        }
    }

    /// Writes under a temporary name, then renames: at that instant the file is there, whole.
    async fn place(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.0.join(format!(".{name}.tmp"));
        let mut file = fs::File::create(&unfinished).await?;
        file.write_all(bytes).await?;
        file.sync_all().await?;
        fs::rename(&unfinished, self.0.join(name)).await
    }
}

fn name(mail: &Outgoing) -> String {
    format!("{}-{:010}", mail.created.strftime("%Y%m%dT%H%M%SZ"), mail.id.0)
}

fn envelope(mail: &Outgoing) -> String {
    let envelope = serde_json::json!({
        "from": mail.envelope_from.as_ref().map(|address| address.as_str()),
        "to": mail.recipient.as_str(),
        "kind": mail.kind.label(),
        "ticket": mail.ticket.map(|ticket| ticket.0),
        "messageId": mail.message_id,
    });
    format!("{envelope:#}\n")
}

fn unusable(directory: &Path, error: &io::Error) -> Attempt {
    down("disk", format!("could not write to {}: {error}", directory.display()))
}

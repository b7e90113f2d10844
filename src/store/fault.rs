//! What goes wrong inside the store, and what of it concerns whom.
//!
//! Architecture invariant: redb's errors end here; outside they are [`StoreError`].

use std::io;

use super::StoreError;

/// Something went wrong inside the store.
#[derive(Debug)]
pub(super) enum Fault {
    /// The engine or its file failed: nothing of the transaction counts.
    Engine(redb::Error),
    /// A file beside the engine failed: nothing of the transaction counts.
    Disk {
        /// What was being done, such as `write segment 3`.
        doing: String,
        /// What the system said.
        error: io::Error,
    },
    /// Something stored cannot be read or does not fit: concerns only who needs it.
    Row(String),
}

impl Fault {
    /// Whether the whole transaction is lost, not only the job that met it.
    pub(super) fn ends_batch(&self) -> bool {
        match self {
            Fault::Engine(_) | Fault::Disk { .. } => true,
            Fault::Row(_) => false,
        }
    }

    /// Wraps an error of the file system.
    pub(super) fn disk(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Fault {
        let doing = doing.into();
        move |error| Fault::Disk { doing, error }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> StoreError {
        match fault {
            Fault::Engine(redb::Error::Io(error)) => told("write the database", &error),
            Fault::Engine(redb::Error::DatabaseAlreadyOpen) => {
                StoreError::InUse("database".to_owned())
            }
            Fault::Engine(redb::Error::PreviousIo) => {
                StoreError::Failed("an earlier write failed; the database is reopened".to_owned())
            }
            Fault::Engine(error) => StoreError::Failed(error.to_string()),
            Fault::Disk { doing, error } => told(&doing, &error),
            Fault::Row(text) => StoreError::Failed(text),
        }
    }
}

fn told(doing: &str, error: &io::Error) -> StoreError {
    let text = format!("could not {doing}: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull(text),
        _ => StoreError::Failed(text),
    }
}

macro_rules! engine_errors {
    ($($error:ty),*) => {
        $(impl From<$error> for Fault {
            fn from(error: $error) -> Fault {
                Fault::Engine(error.into())
            }
        })*
    };
}

engine_errors!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError
);

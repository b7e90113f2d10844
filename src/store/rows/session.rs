//! Row of a session.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Row;
use crate::store::Session;

/// A session; its key is the hash of what the browser keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct SessionRow {
    pub user: String,
    pub role: String,
    pub proof: String,
    pub began: Timestamp,
    pub seen: Timestamp,
}

impl Row for SessionRow {
    const NAME: &'static str = "session";
}

impl From<Session> for SessionRow {
    fn from(session: Session) -> SessionRow {
        let Session { user, role, proof, began, seen } = session;
        SessionRow { user, role, proof, began, seen }
    }
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Session {
        let SessionRow { user, role, proof, began, seen } = row;
        Session { user, role, proof, began, seen }
    }
}

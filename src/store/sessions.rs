//! Sessions of people on the page, by the hash of what their browser keeps.
//!
//! Architecture invariant: what the browser keeps is never stored, so that whoever reads the
//! store cannot sign in with it. Whether a session still counts is decided by `http::session`.

use jiff::Timestamp;
use redb::ReadableTable;

use super::fault::Fault;
use super::rows::{SessionRow, decode, encode};
use super::tables::View;
use super::transaction::Tx;
use super::{Session, SessionKey};

/// Sessions of one user; the one that was not seen for longest makes room.
pub(super) const SESSIONS_OF_USER_MAX: usize = 20;

/// One session.
pub(super) fn get(view: &View, key: &SessionKey) -> Result<Option<Session>, Fault> {
    let row = view.sessions.get(&key.0)?;
    row.map(|row| Ok(decode::<SessionRow>(row.value())?.into())).transpose()
}

impl Tx<'_> {
    /// Begins a session.
    pub(super) fn begin_session(
        &mut self,
        key: &SessionKey,
        session: &Session,
    ) -> Result<(), Fault> {
        let mut others = self.sessions(|other| other.user == session.user)?;
        others.sort_by_key(|(_, other)| std::cmp::Reverse(other.seen));
        for (key, _) in others.iter().skip(SESSIONS_OF_USER_MAX - 1) {
            self.tables.sessions.remove(key)?;
        }
        self.tables
            .sessions
            .insert(&key.0, encode(&SessionRow::from(session.clone())).as_slice())?;
        Ok(())
    }

    /// Notes that a session was used; does nothing to one that has ended meanwhile.
    pub(super) fn see_session(&mut self, key: &SessionKey, now: Timestamp) -> Result<(), Fault> {
        let Some(row) = self.tables.sessions.get(&key.0)?.map(|row| row.value().to_vec()) else {
            return Ok(());
        };
        let row = SessionRow { seen: now, ..decode(&row)? };
        self.tables.sessions.insert(&key.0, encode(&row).as_slice())?;
        Ok(())
    }

    /// Ends one session.
    pub(super) fn end_session(&mut self, key: &SessionKey) -> Result<(), Fault> {
        self.tables.sessions.remove(&key.0)?;
        Ok(())
    }

    /// Ends those that this says; answers how many.
    pub(super) fn end_sessions(
        &mut self,
        which: impl Fn(&SessionRow) -> bool,
    ) -> Result<u64, Fault> {
        let ending = self.sessions(which)?;
        for (key, _) in &ending {
            self.tables.sessions.remove(key)?;
        }
        Ok(ending.len() as u64)
    }

    fn sessions(
        &self,
        which: impl Fn(&SessionRow) -> bool,
    ) -> Result<Vec<([u8; 32], SessionRow)>, Fault> {
        let mut found = Vec::new();
        for row in self.tables.sessions.iter()? {
            let (key, row) = row?;
            let row = decode::<SessionRow>(row.value())?;
            if which(&row) {
                found.push((*key.value(), row));
            }
        }
        Ok(found)
    }
}

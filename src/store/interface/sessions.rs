//! Sessions on the page.

use jiff::Timestamp;

use crate::store::{Session, SessionKey, Store, StoreError, sessions};

impl Store {
    /// Begins a session. A user has at most twenty; the one not seen for longest makes room.
    pub async fn begin_session(&self, key: SessionKey, session: Session) -> Result<(), StoreError> {
        self.write(0, 0, move |tx| tx.begin_session(&key, &session)).await
    }

    /// One session.
    pub fn session(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        self.view(|view| sessions::get(view, key))
    }

    /// Notes that a session was used. One that has ended stays ended.
    pub async fn see_session(&self, key: SessionKey, now: Timestamp) -> Result<(), StoreError> {
        self.write(0, 0, move |tx| tx.see_session(&key, now)).await
    }

    /// Ends one session.
    pub async fn end_session(&self, key: SessionKey) -> Result<(), StoreError> {
        self.write(0, 0, move |tx| tx.end_session(&key)).await
    }

    /// Ends all sessions of a user; answers how many.
    pub async fn end_sessions_of(&self, user: &str) -> Result<u64, StoreError> {
        let user = user.to_owned();
        self.write(0, 0, move |tx| tx.end_sessions(|session| session.user == user)).await
    }
}

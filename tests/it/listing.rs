//! A look at a whole mailbox that is known to be small.

use async_trait::async_trait;
use postroom::mailbox::{Entry, Mailbox, MailboxError, Scope};

/// A whole mailbox; an incomplete listing is an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Everything that lies there, oldest first.
    pub entries: Vec<Entry>,
    /// See [`Mailbox::epoch`].
    pub epoch: String,
}

/// Looks at everything and keeps it.
#[async_trait]
pub trait List {
    async fn list(&mut self) -> Result<Listing, MailboxError>;
}

#[async_trait]
impl<M: Mailbox + ?Sized> List for M {
    async fn list(&mut self) -> Result<Listing, MailboxError> {
        self.look(Scope::All).await?;
        let mut entries = Vec::new();
        loop {
            let page = self.page().await?;
            if page.is_empty() {
                return Ok(Listing { entries, epoch: self.epoch() });
            }
            entries.extend(page);
        }
    }
}

//! Who may see, add and remove whom as a watcher of a ticket: one rule for page and API.
//!
//! | role | sees | adds and removes |
//! |---|---|---|
//! | viewer | himself, customers | nobody |
//! | user | himself, customers | himself, customers |
//! | manager, admin | everybody | everybody |
//!
//! Everything else that a role may do stands in the table of routes.

use super::config::Role;
use super::ticket::{Event, Watcher, What};

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// What he may do.
    pub role: Role,
    /// User name; a token is nobody.
    pub user: Option<&'a str>,
}

impl Asker<'_> {
    /// Whether he may see that somebody follows a ticket.
    pub fn sees(&self, who: &Watcher) -> bool {
        match who {
            Watcher::Customer(_) => true,
            Watcher::Agent(name) => self.user == Some(name) || self.role >= Role::Manager,
        }
    }

    /// Whether he may add and remove somebody.
    pub fn changes(&self, who: &Watcher) -> bool {
        self.role >= Role::User && self.sees(who)
    }

    /// Whether they may see mails as they came or went. Those hold Message-IDs of ours: who has one
    /// can join its ticket, and with a notification's write as its agent.
    pub fn sees_source(&self) -> bool {
        self.role >= Role::Manager
    }

    /// Whether they may have this attachment: a mail, or its header in a report, is source.
    pub fn sees_attachment(&self, content_type: &str) -> bool {
        let content_type = content_type.to_ascii_lowercase();
        let source = content_type.starts_with("message/") || content_type == "text/rfc822-headers";
        self.sees_source() || !source
    }

    /// Whether he may see this of a ticket's history: not who else follows it.
    pub fn sees_event(&self, event: &Event) -> bool {
        match &event.what {
            What::WatcherAdded { who } | What::WatcherRemoved { who } => self.sees(who),
            What::Created
            | What::ArticleAdded { .. }
            | What::FollowedUp { .. }
            | What::FollowUpRejected { .. }
            | What::State { .. }
            | What::Queue { .. }
            | What::Priority { .. }
            | What::Title { .. }
            | What::Owner { .. }
            | What::Responsible { .. }
            | What::Customer { .. }
            | What::Locked
            | What::Unlocked
            | What::LockTimedOut
            | What::PendingReached
            | What::MergedInto { .. }
            | What::MergedFrom { .. }
            | What::Linked { .. }
            | What::AutoReplyOwed { .. }
            | What::AutoReplySuppressed { .. }
            | What::Notified { .. }
            | What::DeliveryFailed { .. }
            | What::Complained { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::address::Address;

    /// What alice of this role may do to alice, to bob and to a customer: `s`ee, `c`hange.
    #[track_caller]
    fn check(role: Role, user: Option<&str>, expected: [&str; 3]) {
        let asker = Asker { role, user };
        let customer = Watcher::Customer(Address::parse("eve@cust.test").unwrap());
        let all = [Watcher::Agent("alice".into()), Watcher::Agent("bob".into()), customer];
        let may = all.map(|who| match (asker.sees(&who), asker.changes(&who)) {
            (true, true) => "sc",
            (true, false) => "s",
            (false, true) => "c",
            (false, false) => "",
        });
        assert_eq!(may, expected, "{role:?} {user:?}");
    }

    #[test]
    fn each_role() {
        check(Role::Viewer, Some("alice"), ["s", "", "s"]);
        check(Role::User, Some("alice"), ["sc", "", "sc"]);
        check(Role::Manager, Some("alice"), ["sc", "sc", "sc"]);
        check(Role::Admin, Some("alice"), ["sc", "sc", "sc"]);
    }

    #[test]
    fn mails_as_they_came_are_for_managers() {
        for (role, source) in
            [(Role::Viewer, false), (Role::User, false), (Role::Manager, true), (Role::Admin, true)]
        {
            let asker = Asker { role, user: Some("alice") };
            assert_eq!(asker.sees_source(), source, "{role:?}");
            for kind in ["message/rfc822", "Message/Delivery-Status", "text/rfc822-headers"] {
                assert_eq!(asker.sees_attachment(kind), source, "{role:?} {kind}");
            }
            assert!(asker.sees_attachment("application/pdf"), "{role:?}");
        }
    }

    #[test]
    fn a_token_is_nobody() {
        check(Role::Viewer, None, ["", "", "s"]);
        check(Role::User, None, ["", "", "sc"]);
        check(Role::Manager, None, ["sc", "sc", "sc"]);
    }
}

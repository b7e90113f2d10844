//! Who a mail goes out as: the names and addresses of ours that it carries.
//!
//! Architecture invariant: nothing here looks at the mail itself; queue and configuration decide.

use crate::core::address::Address;
use crate::core::config::{Config, Sender, Switch, SystemAddress};
use crate::core::ticket::Ticket;

/// Name of the sender for queues that name none.
pub const SENDER_DEFAULT: &str = "default";

/// Who a mail goes out as.
pub struct Identity<'a> {
    /// Display name of the header From.
    pub name: &'a str,
    /// Address of the header From.
    pub from: &'a Address,
    /// Where answers go, if not to From.
    pub reply_to: Option<&'a Address>,
    /// Envelope sender, as declared.
    pub envelope_from: Option<&'a Address>,
    /// Name of the sender it goes through.
    pub sender: &'a str,
}

/// Notifications go out as the sender, else as the address of the queue.
pub fn notifying<'a>(config: &'a Config, ticket: &Ticket) -> Option<Identity<'a>> {
    let as_sender = |sender: &'a Sender| Identity {
        name: &sender.from_name,
        from: &sender.from,
        reply_to: None,
        envelope_from: sender.envelope_from.as_ref(),
        sender: &sender.name,
    };
    sender(config, ticket)
        .map(as_sender)
        .or_else(|| queue_address(config, ticket).map(as_queue_address))
}

/// Letters go out as the address of the queue, so that the answer comes back to the desk, else as
/// the sender; answers then go to any address that leads back.
pub fn writing<'a>(config: &'a Config, ticket: &Ticket) -> Option<Identity<'a>> {
    let sender = sender(config, ticket);
    if let Some(address) = queue_address(config, ticket) {
        let mut identity = as_queue_address(address);
        identity.sender = sender.map_or(SENDER_DEFAULT, |sender| &sender.name);
        identity.envelope_from = sender.and_then(|sender| sender.envelope_from.as_ref());
        return Some(identity);
    }
    let sender = sender?;
    let leads_back = config.system_addresses.contains_key(&sender.from);
    let any = config.system_addresses.values().find(|one| is_public(one));
    Some(Identity {
        name: &sender.from_name,
        from: &sender.from,
        reply_to: any.filter(|_| !leads_back).map(|one| &one.address),
        envelope_from: sender.envelope_from.as_ref(),
        sender: &sender.name,
    })
}

/// Without a sender the mail waits in the outbox for one called `default`.
fn as_queue_address(address: &SystemAddress) -> Identity<'_> {
    Identity {
        name: &address.name,
        from: &address.address,
        reply_to: None,
        envelope_from: None,
        sender: SENDER_DEFAULT,
    }
}

/// The sender of mails that are about no ticket.
pub fn of_desk(config: &Config) -> Option<&Sender> {
    let default = || config.senders.get(SENDER_DEFAULT).into_iter().chain(config.senders.values());
    default()
        .find(|sender| sender.state == Switch::Enabled)
        .or_else(|| default().find(|sender| sender.state == Switch::Paused))
}

/// The sender of a ticket's mails: its queue's, else the default one, else any. Enabled ones
/// first; with a paused one the mail waits in the outbox.
pub fn sender<'a>(config: &'a Config, ticket: &Ticket) -> Option<&'a Sender> {
    let of_queue = config.queues.get(&ticket.queue).and_then(|queue| queue.sender.as_ref());
    let candidates = || {
        let named = of_queue.map(String::as_str).into_iter().chain([SENDER_DEFAULT]);
        named.filter_map(|name| config.senders.get(name)).chain(config.senders.values())
    };
    candidates()
        .find(|sender| sender.state == Switch::Enabled)
        .or_else(|| candidates().find(|sender| sender.state == Switch::Paused))
}

/// The first enabled address of ours that leads to the ticket's queue. What customers see is never
/// an address for agents only.
fn queue_address<'a>(config: &'a Config, ticket: &Ticket) -> Option<&'a SystemAddress> {
    let leads_here = |one: &&SystemAddress| one.queue == ticket.queue && is_public(one);
    config.system_addresses.values().map(AsRef::as_ref).find(leads_here)
}

fn is_public(address: &SystemAddress) -> bool {
    address.state == Switch::Enabled && !address.internal
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::ticket::samples::{address, config, sender as sample_sender, ticket};

    /// What a change of the configuration makes of `sender` and From.
    #[track_caller]
    fn check(
        identity: for<'a> fn(&'a Config, &Ticket) -> Option<Identity<'a>>,
        change: impl FnOnce(&mut Config),
        expected: Option<(&str, &str)>,
    ) {
        let mut config = config();
        change(&mut config);
        let found = identity(&config, &ticket());
        assert_eq!(found.map(|one| (one.sender, one.from.as_str())), expected);
    }

    fn add_sender(config: &mut Config, name: &str, state: Switch) {
        config.senders.insert(name.into(), Sender { state, ..sample_sender(name) });
    }

    /// The queue gets a sender of its own, in this state.
    fn own(state: Switch) -> impl FnOnce(&mut Config) {
        move |config| {
            add_sender(config, "own", state);
            config.queues.get_mut("support").unwrap().sender = Some("own".into());
        }
    }

    /// There is only one sender, in this state, and it is not the default.
    fn only(state: Switch) -> impl FnOnce(&mut Config) {
        move |config| {
            config.senders.clear();
            add_sender(config, "x", state);
        }
    }

    fn nothing(config: &mut Config) {
        config.senders.clear();
        Arc::make_mut(&mut config.system_addresses).clear();
    }

    const DEFAULT: Option<(&str, &str)> = Some(("default", "default@notify.test"));
    const OWN: Option<(&str, &str)> = Some(("own", "own@notify.test"));
    const OTHER: Option<(&str, &str)> = Some(("x", "x@notify.test"));

    #[test]
    fn notifications_go_out_as_the_sender() {
        check(notifying, |_| {}, DEFAULT);
        check(notifying, own(Switch::Enabled), OWN);
        check(notifying, own(Switch::Disabled), DEFAULT);
        check(notifying, own(Switch::Paused), DEFAULT);
        check(notifying, only(Switch::Enabled), OTHER);
    }

    #[test]
    fn with_a_paused_sender_mail_waits() {
        check(notifying, only(Switch::Paused), OTHER);
    }

    #[test]
    fn without_a_sender_the_queue_speaks() {
        check(notifying, only(Switch::Disabled), Some(("default", "support@desk.test")));
        check(notifying, nothing, None);
    }

    #[test]
    fn customers_never_see_an_internal_address() {
        let internal = |config: &mut Config| {
            Arc::make_mut(&mut config.system_addresses)
                .values_mut()
                .for_each(|one| Arc::make_mut(one).internal = true);
        };
        check(writing, internal, DEFAULT);
        let mut config = config();
        internal(&mut config);
        assert_eq!(writing(&config, &ticket()).unwrap().reply_to, None);
    }

    #[test]
    fn letters_go_out_as_the_queue() {
        check(writing, |_| {}, Some(("default", "support@desk.test")));
        check(writing, own(Switch::Enabled), Some(("own", "support@desk.test")));
        check(writing, only(Switch::Disabled), Some(("default", "support@desk.test")));
        check(writing, nothing, None);
    }

    #[test]
    fn without_an_address_of_the_queue_answers_go_to_another_one() {
        let mut config = config();
        let ours = Arc::make_mut(&mut config.system_addresses)
            .get_mut(&address("support@desk.test"))
            .unwrap();
        Arc::make_mut(ours).state = Switch::Disabled;
        let identity = writing(&config, &ticket()).unwrap();
        assert_eq!(identity.from, &address("default@notify.test"));
        assert_eq!(identity.reply_to, Some(&address("sales@desk.test")));
        // A sender that is an address of ours needs no other.
        config.senders.get_mut("default").unwrap().from = address("sales@desk.test");
        assert_eq!(writing(&config, &ticket()).unwrap().reply_to, None);
    }
}

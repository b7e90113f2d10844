//! Which queue a new ticket goes to, and why.
//!
//! Architecture invariant: the queue chosen is always one of the configuration. A queue or an
//! address that is switched off never makes a mail go missing.

use super::config::{Account, Config, Dispatch, QUEUE_OF_LAST_RESORT, Switch};
use super::filter::Settings;
use super::header;
use super::mail::Mail;

/// Headers in which a system address is looked for, in this order.
pub const RECIPIENT_HEADERS: [&str; 7] =
    ["Resent-To", "Envelope-To", "To", "Cc", "Delivered-To", "X-Original-To", "X-Envelope-To"];

/// The queue of a new ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Name of the queue; it exists.
    pub queue: String,
    /// Which rule chose it.
    pub by: RoutedBy,
    /// The rule in words, such as `To: support@acme.example`.
    pub why: String,
}

/// Which rule chose a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutedBy {
    /// A filter or a trusted control header.
    Filter,
    /// The account's fixed queue.
    Account,
    /// A system address among the recipients.
    Recipient,
    /// Nothing matched.
    LastResort,
}

impl RoutedBy {
    /// Label for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            RoutedBy::Filter => "filter",
            RoutedBy::Account => "account",
            RoutedBy::Recipient => "recipient",
            RoutedBy::LastResort => "lastResort",
        }
    }
}

/// Chooses the queue of a new ticket: a filter's (or trusted control header's) beats the
/// account's, that beats the first enabled system address among the recipients.
pub fn route(config: &Config, account: &Account, mail: &Mail, settings: &Settings) -> Route {
    by_filter(config, settings)
        .or_else(|| by_account(config, account))
        .or_else(|| by_recipient(config, mail))
        .unwrap_or_else(last_resort)
}

fn by_filter(config: &Config, settings: &Settings) -> Option<Route> {
    let queue = known(config, settings.queue.as_deref()?)?;
    Some(Route { queue, by: RoutedBy::Filter, why: "set by a filter or control header".into() })
}

fn by_account(config: &Config, account: &Account) -> Option<Route> {
    match &account.dispatch {
        Dispatch::Recipient => None,
        Dispatch::Queue(queue) => {
            let queue = known(config, queue)?;
            let why = format!("account {} dispatches to it", account.name);
            Some(Route { queue, by: RoutedBy::Account, why })
        }
    }
}

fn by_recipient(config: &Config, mail: &Mail) -> Option<Route> {
    RECIPIENT_HEADERS.into_iter().find_map(|name| by_header(config, mail, name))
}

fn by_header(config: &Config, mail: &Mail, name: &str) -> Option<Route> {
    header::addresses(mail, name).into_iter().find_map(|address| {
        let ours = config.system_addresses.get(&address)?;
        let enabled = ours.state == Switch::Enabled;
        let queue = known(config, &ours.queue).filter(|_| enabled)?;
        Some(Route { queue, by: RoutedBy::Recipient, why: format!("{name}: {address}") })
    })
}

fn last_resort() -> Route {
    let why = "no filter, account or system address chose another".into();
    Route { queue: QUEUE_OF_LAST_RESORT.into(), by: RoutedBy::LastResort, why }
}

fn known(config: &Config, queue: &str) -> Option<String> {
    config.queues.contains_key(queue).then(|| queue.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{account, config, mail};
    use super::*;

    #[track_caller]
    fn check(headers: &str, expected: (&str, RoutedBy)) {
        let route = route(&config(), &account(), &mail(headers), &Settings::default());
        assert_eq!((route.queue.as_str(), route.by), expected, "{}", route.why);
    }

    #[test]
    fn first_system_address() {
        check("To: support@corp.example", ("support", RoutedBy::Recipient));
        check("To: Sales <SALES@corp.example>", ("sales", RoutedBy::Recipient));
        check("To: x@else.example\nCc: sales@corp.example", ("sales", RoutedBy::Recipient));
    }

    #[test]
    fn order_of_headers() {
        let both = "X-Original-To: sales@corp.example\nTo: support@corp.example";
        check(both, ("support", RoutedBy::Recipient));
        let both = "To: support@corp.example\nResent-To: sales@corp.example";
        check(both, ("sales", RoutedBy::Recipient));
        check("X-Envelope-To: sales@corp.example", ("sales", RoutedBy::Recipient));
    }

    #[test]
    fn disabled_addresses_receive_nothing() {
        check("To: old@corp.example", ("Raw", RoutedBy::LastResort));
        check("To: old@corp.example, sales@corp.example", ("sales", RoutedBy::Recipient));
    }

    #[test]
    fn nothing_matches() {
        check("", ("Raw", RoutedBy::LastResort));
        check("To: \"sales@corp.example\" <x@else.example>", ("Raw", RoutedBy::LastResort));
    }

    #[test]
    fn filter_beats_account_beats_recipient() {
        let mut account = account();
        account.dispatch = Dispatch::Queue("misc".into());
        let mail = mail("To: sales@corp.example");
        let mut settings = Settings::default();
        let found = route(&config(), &account, &mail, &settings);
        assert_eq!((found.queue.as_str(), found.by), ("misc", RoutedBy::Account));
        settings.queue = Some("support".into());
        let found = route(&config(), &account, &mail, &settings);
        assert_eq!((found.queue.as_str(), found.by), ("support", RoutedBy::Filter));
        settings.queue = Some("no such queue".into());
        let found = route(&config(), &account, &mail, &settings);
        assert_eq!((found.queue.as_str(), found.by), ("misc", RoutedBy::Account));
    }
}

//! May we answer this mail by ourselves, and if not, why not.

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::filter::Settings;
use super::intake::{Answered, SenderOfMail};
use super::mail::Mail;

/// Why a mail is not answered automatically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suppression {
    /// `Auto-Submitted` is not `no` (RFC 3834 section 5).
    AutoSubmitted,
    /// The return path is null (RFC 3834 section 2).
    NullReturnPath,
    /// A `List-*` header (RFC 2369, RFC 2919).
    MailingList,
    /// `Precedence: bulk`, `list` or `junk`.
    Precedence,
    /// `X-Auto-Response-Suppress`, `X-Autoreply`, `X-No-Loop` and their kin.
    VendorHeader,
    /// `X-Loop`.
    Loop,
    /// A delivery report or disposition notification.
    Report,
    /// The local part belongs to a robot: mailer-daemon, postmaster, noreply.
    Robot,
    /// The sender is one of our addresses.
    OwnAddress,
    /// The sender is an agent.
    Agent,
    /// There is no address to answer to.
    NoAddress,
    /// A filter or control header said so.
    Filter,
    /// The daily bound of this address is reached.
    PerDay,
    /// The three-hour bound of this address is reached.
    PerThreeHours,
    /// Mail to this address failed for good before.
    Undeliverable,
}

impl Suppression {
    /// Label for metrics and history.
    pub fn label(&self) -> &'static str {
        match self {
            Suppression::AutoSubmitted => "autoSubmitted",
            Suppression::NullReturnPath => "nullReturnPath",
            Suppression::MailingList => "mailingList",
            Suppression::Precedence => "precedence",
            Suppression::VendorHeader => "vendorHeader",
            Suppression::Loop => "loop",
            Suppression::Report => "report",
            Suppression::Robot => "robot",
            Suppression::OwnAddress => "ownAddress",
            Suppression::Agent => "agent",
            Suppression::NoAddress => "noAddress",
            Suppression::Filter => "filter",
            Suppression::PerDay => "perDay",
            Suppression::PerThreeHours => "perThreeHours",
            Suppression::Undeliverable => "undeliverable",
        }
    }
}

/// What speaks against an answer, as far as mail and configuration tell.
pub fn suppression(
    config: &Config,
    mail: &Mail,
    sender: &SenderOfMail,
    settings: &Settings,
) -> Option<Suppression> {
    todo!()
}

/// What speaks against it, given how often this address was answered.
pub fn over_limit(
    config: &Config,
    sender: &SenderOfMail,
    answered: Answered,
) -> Option<Suppression> {
    todo!()
}

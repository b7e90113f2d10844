//! The shapes that travel: what the API answers and takes, and what the commands read.
//!
//! Architecture invariant: these are neither core types nor stored rows, so that either can
//! change without changing the API. Unknown keys in what is sent to us are refused.

pub mod audience;
pub mod config;
pub mod customer;
pub mod mail;
pub mod notification;
pub mod oauth;
pub mod outbox;
pub mod people;
pub mod status;
pub mod ticket;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageView<T, C = u64> {
    /// The rows.
    pub items: Vec<T>,
    /// Pass this as `cursor` to get the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<C>,
}

/// One step of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhyView {
    /// What was decided: `filter`, `queue`, `followUp`, `autoReply`, ...
    pub step: String,
    /// With which result and for which reason.
    pub text: String,
}

impl From<&crate::core::intake::Why> for WhyView {
    fn from(why: &crate::core::intake::Why) -> WhyView {
        WhyView { step: why.step.clone(), text: why.text.clone() }
    }
}

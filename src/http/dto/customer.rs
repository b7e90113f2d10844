//! Customers, declared and remembered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PageView;
use super::ticket::TicketView;
use crate::core::address::Address;
use crate::core::config::CustomerProfile;
use crate::store::RememberedCustomer;

/// What is known of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownCustomerView {
    /// Address.
    pub address: String,
    /// Name; may be empty.
    pub name: String,
    /// Company, if known.
    pub company: Option<String>,
    /// Language he is written to in, as declared or as he wrote: `en` or `ja`; the desk's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether he stands in the configuration.
    pub declared: bool,
    /// When his first ticket was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<String>,
    /// When he last wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// How many tickets are his.
    pub tickets: u64,
}

/// A customer with his history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerDetail {
    /// The customer.
    pub customer: KnownCustomerView,
    /// His tickets, last changed first; `next` is a cursor of this very route.
    pub tickets: PageView<TicketView, String>,
}

impl KnownCustomerView {
    /// What is declared comes before what is remembered.
    pub fn of(
        address: &Address,
        declared: Option<&CustomerProfile>,
        remembered: Option<&RememberedCustomer>,
    ) -> KnownCustomerView {
        let name = declared.and_then(|profile| profile.name.clone());
        let company = declared.and_then(|profile| profile.company.clone());
        let language = declared.and_then(|profile| profile.language);
        let seen = remembered.map(|known| (known.first.to_string(), known.last.to_string()));
        let (first_seen, last_seen) = seen.unzip();
        KnownCustomerView {
            address: address.to_string(),
            name: name.or(remembered.map(|known| known.name.clone())).unwrap_or_default(),
            company: company.or(remembered.and_then(|known| known.company.clone())),
            language: language
                .or(remembered.and_then(|known| known.language))
                .map(|language| language.code().into()),
            declared: declared.is_some(),
            first_seen,
            last_seen,
            tickets: remembered.map_or(0, |known| known.tickets),
        }
    }
}

//! What a list of tickets is asked for, in the query of its page.

use crate::core::config::Config;
use crate::core::ticket::State as TicketState;
use crate::http::api::tickets as rules;
use crate::http::form::{Form, link};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::store::{SortBy, TicketQuery};

/// Bytes of a list in the address of one of its tickets: it stands there once for each row.
const PACKED_BYTES_MAX: usize = 120;
/// The list without a filter, packed.
const WHOLE: &str = "all";

/// States of tickets that somebody has to do something about.
pub const UNFINISHED: [TicketState; 3] =
    [TicketState::New, TicketState::Open, TicketState::Pending];
/// Orders by their names in the query.
pub const ORDERS: [(&str, SortBy, bool); 5] = [
    ("updated", SortBy::Updated, false),
    ("waiting", SortBy::Updated, true),
    ("created", SortBy::Created, false),
    ("oldest", SortBy::Created, true),
    ("priority", SortBy::Priority, false),
];

/// What is asked for, as it stands in the query.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Empty for all.
    pub queue: &'a str,
    /// A state, `any`, or empty: not finished, or any where words are looked for.
    pub state: &'a str,
    /// `mine`, `nobody`, a user, or empty for anybody.
    pub owner: &'a str,
    /// An address, or empty.
    pub customer: &'a str,
    /// What is looked for.
    pub words: &'a str,
    /// One of [`ORDERS`].
    pub order: &'a str,
    /// Where the page begins; empty for the first.
    pub cursor: &'a str,
}

impl<'a> Asked<'a> {
    /// Reads it.
    pub fn of(form: &'a Form) -> Asked<'a> {
        Asked {
            queue: form.text("queue"),
            state: form.text("state"),
            owner: form.text("owner"),
            customer: form.text("customer").trim(),
            words: form.text("q").trim(),
            order: form.text("order"),
            cursor: form.text("cursor"),
        }
    }

    /// As the store is asked.
    pub fn query(&self, reader: &SignedIn, config: &Config) -> Result<TicketQuery, Problem> {
        let finds = !self.words.is_empty() || !self.customer.is_empty();
        let order = ORDERS.iter().find(|order| order.0 == self.order).unwrap_or(&ORDERS[0]);
        Ok(TicketQuery {
            queue: Some(self.queue).filter(|queue| !queue.is_empty()).map(str::to_owned),
            states: match self.state {
                "" if finds => Vec::new(),
                "" => UNFINISHED.to_vec(),
                "any" => Vec::new(),
                label => vec![rules::state(label)?],
            },
            owner: match self.owner {
                "" => None,
                "mine" => Some(reader.user.clone()),
                "nobody" => Some(String::new()),
                name => Some(name.to_owned()),
            },
            customer: match self.customer {
                "" => None,
                text => Some(rules::address(text)?),
            },
            text: Some(self.words).filter(|words| !words.is_empty()).map(str::to_owned),
            hook: config.desk.hook.clone(),
            sort: order.1,
            ascending: order.2,
        })
    }

    /// This listing, with one thing changed.
    pub fn link(&self, changed: (&str, &str)) -> String {
        let all = [
            ("queue", self.queue),
            ("state", self.state),
            ("owner", self.owner),
            ("customer", self.customer),
            ("q", self.words),
            ("order", self.order),
            ("cursor", ""),
        ];
        link("/", &all.map(|(name, value)| if name == changed.0 { changed } else { (name, value) }))
    }

    /// This listing as it goes along to its tickets; `None` if it is too long for that.
    pub fn packed(&self) -> Option<String> {
        let link = self.link(("cursor", ""));
        let query = link.trim_start_matches("/?");
        let packed = if query == "/" { WHOLE } else { query };
        (packed.len() <= PACKED_BYTES_MAX).then(|| packed.to_owned())
    }

    /// What was packed, as a form to read it from.
    pub fn unpacked(packed: &str) -> Option<Form> {
        let fits = !packed.is_empty() && packed.len() <= PACKED_BYTES_MAX;
        fits.then(|| Form::parse(packed.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Option<&str>) {
        let form = Form::parse(query.as_bytes());
        let packed = Asked::of(&form).packed();
        assert_eq!(packed.as_deref(), expected);
        if let Some(packed) = packed {
            let again = Asked::unpacked(&packed).unwrap();
            assert_eq!(Asked::of(&again).packed(), Some(packed), "what is packed stays the same");
        }
    }

    #[test]
    fn a_list_goes_along_to_its_tickets() {
        check("", Some("all"));
        check("cursor=0.1.2", Some("all"));
        check("order=waiting&queue=a+b&said=done", Some("queue=a+b&order=waiting"));
        check("q=%E7%B4%99", Some("q=%E7%B4%99"));
        check(&format!("q={}", "x".repeat(118)), Some(&format!("q={}", "x".repeat(118))));
        check(&format!("q={}", "x".repeat(119)), None);
    }

    #[test]
    fn nothing_is_no_list() {
        assert_eq!(Asked::unpacked(""), None);
        assert_eq!(Asked::unpacked(&"x".repeat(121)), None);
    }
}

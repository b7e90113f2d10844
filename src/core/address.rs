//! Mail addresses, compared the way people expect: without regard to case.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest address we accept. RFC 5321 section 4.5.3.1.3 allows 256 octets for a path.
pub const ADDRESS_BYTES_MAX: usize = 254;

/// An address in lower case, without display name, comments or angle brackets.
///
/// Local parts that the RFC forbids but that carriers hand out (`foo..bar@docomo.ne.jp`) are
/// accepted; control characters, spaces and angle brackets never are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

impl Address {
    /// Reads an address; `None` if it cannot be one.
    pub fn parse(text: &str) -> Option<Address> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@')?;
        let fits = text.len() <= ADDRESS_BYTES_MAX && !local.is_empty() && !domain.is_empty();
        let sign = |c: char| matches!(c, '<' | '>' | ',' | ';' | '"' | '\\' | '(' | ')');
        let clean = |c: char| !c.is_control() && !c.is_whitespace() && !sign(c);
        let shaped = text.chars().all(clean) && !local.contains('@');
        (fits && shaped).then(|| Address(text.to_lowercase()))
    }

    /// The address as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.0
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Address, String> {
        Address::parse(&text).ok_or_else(|| format!("{text:?} is not a mail address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(Address::parse(text).as_ref().map(Address::as_str), expected);
    }

    #[test]
    fn lower_case() {
        check("Eve@Cust.Example", Some("eve@cust.example"));
    }

    #[test]
    fn carriers_with_odd_dots() {
        check("foo..bar.@docomo.ne.jp", Some("foo..bar.@docomo.ne.jp"));
    }

    #[test]
    fn nothing_that_could_end_a_protocol_line() {
        check("a@x.test\r\nRCPT TO:<b@x>", None);
        check("a b@x.test", None);
        check("<a@x.test>", None);
        check("a@b@x.test", None);
    }

    #[test]
    fn both_sides_are_needed() {
        check("postmaster", None);
        check("@x.test", None);
        check("a@", None);
    }
}

//! Mail addresses, compared the way people expect: without regard to case; sent as they were
//! written.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// Longest address we accept. RFC 5321 section 4.5.3.1.3 allows 256 octets for a path.
pub const ADDRESS_BYTES_MAX: usize = 254;

/// An address without display name, comments, quotes or angle brackets. Two that differ in case only
/// are equal.
///
/// Local parts that the RFC forbids but that carriers hand out (`foo..bar@docomo.ne.jp`) are
/// accepted; control characters, spaces and angle brackets never are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// In lower case.
    lower: String,
    /// With the local part as it was written, if that has other letters: RFC 5321 section 2.4 leaves
    /// their case to the server that keeps the mailbox.
    written: Option<Box<str>>,
}

impl Address {
    /// Reads an address; `None` if it cannot be one.
    pub fn parse(text: &str) -> Option<Address> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@')?;
        let local = unquoted(local);
        let fits = text.len() <= ADDRESS_BYTES_MAX && !local.is_empty() && !domain.is_empty();
        let sign = |c: char| matches!(c, '<' | '>' | ',' | ';' | '"' | '\\' | '(' | ')');
        let clean = |c: char| !c.is_control() && !c.is_whitespace() && !sign(c);
        let shaped = local.chars().chain(domain.chars()).all(clean) && !local.contains('@');
        if !fits || !shaped {
            return None;
        }
        let domain = domain.to_lowercase();
        let lower = format!("{}@{domain}", local.to_lowercase());
        let written = format!("{local}@{domain}");
        let written = (written != lower).then(|| written.into_boxed_str());
        Some(Address { lower, written })
    }

    /// The address as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.lower
    }

    /// The address with its local part as it was written.
    pub fn as_written(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.lower)
    }

    /// What stands before the `@`, in lower case.
    pub fn local(&self) -> &str {
        self.lower.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// What stands before the `@`, as it was written.
    pub fn local_as_written(&self) -> &str {
        self.as_written().rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The same as it goes into a command or a header: in quotes where it is no dot-atom (RFC 5321
    /// section 4.1.2, RFC 5322 section 3.4.1). It holds no character that would need more.
    pub fn local_quoted(&self) -> String {
        let local = self.local_as_written();
        if self.needs_quotes() { format!("\"{local}\"") } else { local.to_owned() }
    }

    /// Whether its local part is no dot-atom, such as `foo..bar.`.
    pub fn needs_quotes(&self) -> bool {
        !self.local().split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.lower.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// A local part without the quotes around it.
fn unquoted(local: &str) -> &str {
    local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(local)
}

/// `atext` of RFC 5322 section 3.2.3, with what RFC 6531 section 3.3 adds.
fn is_atom(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii()
}

impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        self.lower == other.lower
    }
}

impl Eq for Address {}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Address) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Address) -> Ordering {
        self.lower.cmp(&other.lower)
    }
}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lower.hash(state);
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.lower).finish()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lower)
    }
}

impl From<Address> for String {
    /// As it was written: what is stored is sent later.
    fn from(address: Address) -> String {
        address.written.map_or(address.lower, String::from)
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
    fn case_is_kept_for_sending_only() {
        let written = Address::parse("Reply+AaBb.Token@Reply.C.Example").unwrap();
        let lower = Address::parse("reply+aabb.token@reply.c.example").unwrap();
        assert_eq!(written, lower);
        assert_eq!(written.cmp(&lower), Ordering::Equal);
        assert_eq!(written.as_written(), "Reply+AaBb.Token@reply.c.example");
        assert_eq!(written.as_str(), lower.as_written());
        // Stored and read again.
        let again = Address::try_from(String::from(written.clone())).unwrap();
        assert_eq!(again.as_written(), written.as_written());
    }

    #[test]
    fn quotes_only_where_they_are_needed() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Address::parse(text).unwrap().local_quoted(), expected);
        };
        check("Eve.O'Neil+x@c.example", "Eve.O'Neil+x");
        check("受付@c.example", "受付");
        check("foo..bar.@docomo.example", "\"foo..bar.\"");
        check(".lead@ezweb.example", "\".lead\"");
        check("\"a..b\"@docomo.example", "\"a..b\"");
        check("\"eve\"@c.example", "eve");
        check("a:b@c.example", "\"a:b\"");
        assert_eq!(Address::parse("\"\"@c.example"), None);
        assert_eq!(Address::parse("\"a b\"@c.example"), None);
        assert_eq!(Address::parse("\"a\"b\"@c.example"), None);
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

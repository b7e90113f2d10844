//! What a mail server of ours says about who really sent a mail: `Authentication-Results`
//! (RFC 8601).
//!
//! Architecture invariant: only the topmost field of the configured server counts. Fields are put
//! before those that a mail brings along (RFC 8601 section 4.1), so one that a stranger wrote
//! stands below it and is never looked at. Linear in the field, whoever wrote it.

use super::address::Address;
use super::header;
use super::mail::Mail;

/// Results of one field that are looked at.
const RESULTS_MAX: usize = 100;

/// By which method the server `authserv_id` authenticated the domain of the mail's only author.
///
/// DMARC counts if it speaks of the domain in From (RFC 7489), DKIM if the domain that signed is
/// that domain or one above it (RFC 6376). `None`: not at all.
pub fn method(mail: &Mail, authserv_id: &str) -> Option<&'static str> {
    let author = only_author(mail)?;
    let field = header::values(mail, "Authentication-Results")
        .map(|value| without_comments(header::cut(value)))
        .find(|field| server(field).eq_ignore_ascii_case(authserv_id))?;
    let results: Vec<&str> = field.split(';').skip(1).take(RESULTS_MAX).collect();
    let says = |test: fn(&str, &str) -> bool| results.iter().any(|one| test(one, author.domain()));
    if says(is_dmarc_pass) {
        Some("dmarc")
    } else if says(is_dkim_pass) {
        Some("dkim")
    } else {
        None
    }
}

/// The address in From, if there is only one: what is said of a mail with several authors may
/// have been meant of another one (RFC 7489 section 6.6.1).
fn only_author(mail: &Mail) -> Option<&Address> {
    let once = header::values(mail, "From").count() == 1;
    match mail.from.as_slice() {
        [author] if once => author.address.as_ref(),
        [] | [_] | [_, _, ..] => None,
    }
}

/// The server that wrote a field; a version may follow its name.
fn server(field: &str) -> &str {
    let first = field.split(';').next().unwrap_or("");
    first.split_whitespace().next().unwrap_or("")
}

fn is_dmarc_pass(result: &str, domain: &str) -> bool {
    is_pass(result, "dmarc")
        && property(result, "header.from").is_some_and(|from| from.eq_ignore_ascii_case(domain))
}

fn is_dkim_pass(result: &str, domain: &str) -> bool {
    let signer = property(result, "header.d").or_else(|| {
        let identity = property(result, "header.i")?;
        identity.rsplit_once('@').map(|(_, domain)| domain)
    });
    is_pass(result, "dkim") && signer.is_some_and(|signer| is_within(domain, signer))
}

/// Whether a domain is this one or lies beneath it. What has no dot signs for nobody.
fn is_within(domain: &str, above: &str) -> bool {
    let (domain, above) = (domain.to_ascii_lowercase(), above.to_ascii_lowercase());
    let beneath = || domain.strip_suffix(&above).is_some_and(|rest| rest.ends_with('.'));
    above.contains('.') && (domain == above || beneath())
}

/// `method=pass` or `method/version=pass` at the beginning of a result.
fn is_pass(result: &str, method: &str) -> bool {
    let first = result.split_whitespace().next().unwrap_or("");
    let Some((name, value)) = first.split_once('=') else { return false };
    let name = name.split('/').next().unwrap_or("");
    name.eq_ignore_ascii_case(method) && value.eq_ignore_ascii_case("pass")
}

fn property<'a>(result: &'a str, name: &str) -> Option<&'a str> {
    let pairs = result.split_whitespace().skip(1).filter_map(|word| word.split_once('='));
    let mut named = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value)
}

/// The field without comments (which nest, RFC 5322 section 3.2.2), with a stroke for what is
/// quoted, and without blanks around `=`: neither may pretend to be a result.
fn without_comments(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let (mut depth, mut quoted, mut escaped, mut after_equals) = (0_usize, false, false, false);
    for c in value.chars() {
        if escaped {
            escaped = false;
        } else if c == '\\' && (quoted || depth > 0) {
            escaped = true;
        } else if c == '"' && depth == 0 {
            if quoted {
                plain.push('_');
                after_equals = false;
            }
            quoted = !quoted;
        } else if quoted {
            // What stands here is text.
        } else if c == '(' {
            depth += 1;
        } else if depth > 0 {
            depth -= usize::from(c == ')');
        } else if c == '=' {
            plain.truncate(plain.trim_end().len());
            plain.push(c);
            after_equals = true;
        } else if !(after_equals && c.is_whitespace()) {
            plain.push(c);
            after_equals = false;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::samples::mail;
    use super::*;

    /// Fields of a mail of anna@agents.example, topmost first.
    #[track_caller]
    fn check(fields: &[&str], expected: Option<&str>) {
        let mut headers = String::new();
        for field in fields {
            headers.push_str(&format!("Authentication-Results: {field}\n"));
        }
        headers.push_str("From: Anna <anna@agents.example>");
        assert_eq!(method(&mail(&headers), "mx.corp.example"), expected, "{fields:?}");
    }

    #[test]
    fn what_authenticates() {
        let dmarc = "mx.corp.example; spf=fail; dmarc=pass (p=reject) header.from=agents.example";
        check(&[dmarc], Some("dmarc"));
        check(&["MX.corp.example 1; DMARC=Pass header.from=AGENTS.example"], Some("dmarc"));
        check(&["mx.corp.example; dkim=pass header.d=agents.example header.s=k"], Some("dkim"));
        check(&["mx.corp.example; dkim=pass header.i=@agents.example"], Some("dkim"));
        check(
            &["mx.corp.example; dkim/1 = pass reason=\"ok\" header.i=anna@agents.example"],
            Some("dkim"),
        );
    }

    #[test]
    fn a_domain_above_may_sign() {
        assert!(is_within("mail.agents.example", "agents.example"));
        assert!(!is_within("agents.example", "mail.agents.example"));
        assert!(!is_within("evil-agents.example", "agents.example"));
        assert!(!is_within("agents.example", "example"));
    }

    #[test]
    fn what_does_not() {
        check(&[], None);
        check(&["mx.corp.example; none"], None);
        check(&["mx.corp.example; dmarc=fail header.from=agents.example"], None);
        check(&["mx.corp.example; dmarc=pass header.from=evil.example"], None);
        check(&["mx.corp.example; dmarc=pass"], None);
        check(&["mx.corp.example; dkim=pass header.d=evil.example"], None);
        check(&["mx.corp.example; spf=pass smtp.mailfrom=anna@agents.example"], None);
    }

    #[test]
    fn other_servers_prove_nothing() {
        check(&["evil.example; dmarc=pass header.from=agents.example"], None);
        check(&["dmarc=pass header.from=agents.example"], None);
    }

    #[test]
    fn a_forged_one_below_is_not_looked_at() {
        let forged = "mx.corp.example; dmarc=pass header.from=agents.example";
        check(&["mx.corp.example; dmarc=fail header.from=agents.example", forged], None);
        check(&["evil.example; dmarc=none", forged], Some("dmarc"));
    }

    #[test]
    fn comments_and_quotes_say_nothing() {
        check(&["mx.corp.example; spf=fail (; dmarc=pass header.from=agents.example)"], None);
        check(&["mx.corp.example; spf=fail (a (b) ; dmarc=pass header.from=agents.example)"], None);
        check(
            &["mx.corp.example; spf=fail reason=\"; dmarc=pass header.from=agents.example\""],
            None,
        );
        check(&["mx.corp.example; dmarc=fail (\\) ; dmarc=pass header.from=agents.example)"], None);
    }

    #[test]
    fn two_authors_prove_nothing() {
        let headers = "Authentication-Results: mx.corp.example; dmarc=pass header.from=agents.example\n\
                       From: anna@agents.example, eve@cust.example";
        assert_eq!(method(&mail(headers), "mx.corp.example"), None);
        let headers = "Authentication-Results: mx.corp.example; dmarc=pass header.from=agents.example\n\
                       From: anna@agents.example\nFrom: eve@cust.example";
        assert_eq!(method(&mail(headers), "mx.corp.example"), None);
    }
}

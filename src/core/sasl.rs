//! How an access token is shown to a mail server: `OAUTHBEARER` (RFC 7628) and `XOAUTH2`, which
//! Google and Microsoft describe. And a password: `PLAIN` (RFC 4616).
//!
//! The first two are one message from us. A server that does not like it answers with a challenge that says
//! why, and waits for one more message before it says no.

/// A mechanism of SASL (RFC 4422) that takes an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 7628.
    OauthBearer,
    /// <https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>
    Xoauth2,
}

/// Characters of a server's reason that are kept.
const REASON_CHARS_MAX: usize = 200;

impl Mechanism {
    /// The one to use of those a server offers; the standard before the habit.
    pub fn choose(offers: impl Fn(&str) -> bool) -> Option<Mechanism> {
        [Mechanism::OauthBearer, Mechanism::Xoauth2].into_iter().find(|one| offers(one.name()))
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::OauthBearer => "OAUTHBEARER",
            Mechanism::Xoauth2 => "XOAUTH2",
        }
    }

    /// What we send first, before base64. Contains the token.
    pub fn initial_response(self, username: &str, host: &str, port: u16, token: &str) -> String {
        match self {
            // RFC 7628 section 3.1 with the name written as RFC 5801 section 4 asks.
            Mechanism::OauthBearer => {
                let name = username.replace('=', "=3D").replace(',', "=2C");
                format!("n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01")
            }
            Mechanism::Xoauth2 => format!("user={username}\x01auth=Bearer {token}\x01\x01"),
        }
    }

    /// What we answer to the challenge that says why we are refused, already in base64: RFC 7628
    /// section 3.2.3 wants a single 0x01, XOAUTH2 an empty message.
    pub fn farewell(self) -> &'static str {
        match self {
            Mechanism::OauthBearer => "AQ==",
            Mechanism::Xoauth2 => "",
        }
    }
}

/// The only message of the mechanism PLAIN (RFC 4616 section 2), before base64: no identity beside
/// the one that logs in. Contains the password.
pub fn plain(username: &str, password: &str) -> String {
    format!("\0{username}\0{password}")
}

/// Why a server does not take the token: the `status` of its challenge (RFC 7628 section 3.2.2).
pub fn reason(challenge: &[u8]) -> Option<String> {
    let text: serde_json::Value = serde_json::from_slice(challenge).ok()?;
    let status = text.get("status")?.as_str()?;
    let plain = |c: &char| c.is_ascii_graphic() || *c == ' ';
    let status: String = status.chars().filter(plain).take(REASON_CHARS_MAX).collect();
    (!status.is_empty()).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let message = |mechanism: Mechanism| mechanism.initial_response("d,e=sk", "mx", 993, "tok");
        assert_eq!(
            message(Mechanism::OauthBearer),
            "n,a=d=2Ce=3Dsk,\x01host=mx\x01port=993\x01auth=Bearer tok\x01\x01"
        );
        assert_eq!(plain("desk", "pass word"), "\0desk\0pass word");
        assert_eq!(message(Mechanism::Xoauth2), "user=d,e=sk\x01auth=Bearer tok\x01\x01");
    }

    #[track_caller]
    fn check(offered: &[&str], expected: Option<Mechanism>) {
        assert_eq!(Mechanism::choose(|name| offered.contains(&name)), expected);
    }

    #[test]
    fn the_standard_goes_before_the_habit() {
        check(&["PLAIN", "XOAUTH2", "OAUTHBEARER"], Some(Mechanism::OauthBearer));
        check(&["PLAIN", "XOAUTH2"], Some(Mechanism::Xoauth2));
        check(&["PLAIN", "LOGIN"], None);
    }

    #[test]
    fn reasons() {
        let said = |text: &str| reason(text.as_bytes());
        assert_eq!(said(r#"{"status":"401","schemes":"bearer"}"#).as_deref(), Some("401"));
        assert_eq!(said(r#"{"status":"invalid_token"}"#).as_deref(), Some("invalid_token"));
        assert_eq!(said(r#"{"status":"\u001b\n"}"#), None);
        assert_eq!(said("<html>"), None);
    }
}

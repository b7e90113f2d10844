//! Words of a server that has had enough of us for now. They say nothing against the password and
//! nothing about the folder, and a server that counts our logins must not be asked again at once.
//!
//! Architecture invariant: decides from words; knows no connection.

use std::time::Duration;

use crate::mailbox::MailboxError;

/// How long such a server is left alone at least. Failures in a row double it.
const WAIT: Duration = Duration::from_secs(60);
/// Longest time that a server may ask for.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// Codes for an account that has used up what it may do: Gmail (chatwoot/chatwoot#6082), Exchange
/// Online.
const CODES: [&str; 2] = ["[OVERQUOTA]", "[THROTTLED]"];
/// Codes of RFC 5530 that mean the same of a login or a folder that is to be opened, where there is
/// no message and no quota of a mailbox that they could be about; `[LIMIT]` and `[UNAVAILABLE]` as
/// Yahoo sends them.
const CODES_AT_LOGIN: [&str; 4] = ["[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]"];
/// The same without a code, in lower case.
const PHRASES: [&str; 7] = [
    // Gmail, `[ALERT]`: gilleslamiral/imapsync#61.
    "too many simultaneous connections",
    // Dovecot, `mail_max_userip_connections`.
    "maximum number of connections",
    "too many connections",
    "too many login attempts",
    // Gmail: chatwoot/chatwoot#6082.
    "bandwidth limits",
    // Exchange Online.
    "request is throttled",
    BACKOFF,
];
/// What Exchange Online says before a number of milliseconds.
const BACKOFF: &str = "suggested backoff time:";

/// Where the words were said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum During {
    /// The login, the opening of a folder, a goodbye.
    Entry,
    /// A command about messages.
    Work,
}

/// The error for words of a busy server; `None` if they are others. `shown` are the words as they may
/// be repeated.
pub(super) fn error(words: &str, shown: &str, during: During) -> Option<MailboxError> {
    let retry_after = wait(words, during)?;
    Some(MailboxError::Throttled { message: shown.to_owned(), retry_after })
}

fn wait(words: &str, during: During) -> Option<Duration> {
    let code =
        |code: &&str| words.get(..code.len()).is_some_and(|head| head.eq_ignore_ascii_case(code));
    let lower = words.to_lowercase();
    let named = CODES.iter().any(&code)
        || (during == During::Entry && CODES_AT_LOGIN.iter().any(code))
        || PHRASES.iter().any(|phrase| lower.contains(phrase));
    named.then(|| asked_for(&lower).unwrap_or(WAIT).clamp(WAIT, WAIT_MAX))
}

/// `Suggested Backoff Time: 299992 milliseconds`.
fn asked_for(words: &str) -> Option<Duration> {
    let (_, rest) = words.split_once(BACKOFF)?;
    let millis = rest.split_whitespace().next()?.trim_end_matches(['.', ',']);
    millis.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &str, during: During, expected_secs: Option<u64>) {
        assert_eq!(wait(words, during), expected_secs.map(Duration::from_secs), "{words}");
    }

    #[test]
    fn busy() {
        for words in [
            "Too many simultaneous connections. (Failure)",
            "[OVERQUOTA] Account exceeded command or bandwidth limits.",
            "[throttled] later",
            "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        ] {
            check(words, During::Entry, Some(60));
            check(words, During::Work, Some(60));
        }
        check("[UNAVAILABLE] try again", During::Entry, Some(60));
        check("[LIMIT] LOGIN rate limit hit", During::Entry, Some(60));
    }

    #[test]
    fn the_time_that_is_asked_for() {
        let asked =
            |n: u64| format!("Request is throttled. Suggested Backoff Time: {n} milliseconds");
        check(&asked(299_000), During::Work, Some(299));
        check(&asked(5), During::Work, Some(60));
        check(&asked(u64::MAX), During::Work, Some(3600));
    }

    #[test]
    fn other_words() {
        check("[AUTHENTICATIONFAILED] Invalid credentials (Failure)", During::Entry, None);
        check("not now", During::Entry, None);
        // One message that cannot be given, RFC 5530 section 3.
        check("[SERVERBUG] cannot read this one", During::Work, None);
        check("[LIMIT] too many flags", During::Work, None);
        check("", During::Entry, None);
    }
}

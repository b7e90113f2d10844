//! Whether an agent wants his mail to stay inside: he writes to an internal address, or begins
//! with the marker.
//!
//! Architecture invariant: where one thing says internal and another does not, it is internal.
//! Nothing of what he wrote is lost but the marker itself, and that is in the raw mail.

use super::SenderOfMail;
use crate::core::config::Config;
use crate::core::mail::Mail;

/// What was found.
pub(super) struct Internal {
    /// Why it is internal, if it is.
    pub(super) why: Option<String>,
    /// Its text, without the marker.
    pub(super) text: String,
}

/// Looks at addresses and text of a mail; only an agent's can be internal.
pub(super) fn look(config: &Config, mail: &Mail, sender: &SenderOfMail) -> Internal {
    if sender.agent.is_none() {
        return Internal { why: None, text: mail.text.clone() };
    }
    let marker = config.intake.internal_marker.as_deref();
    let unmarked = marker.and_then(|marker| without_marker(&mail.text, marker));
    let by_marker =
        || unmarked.is_some().then(|| format!("it begins with {}", marker.unwrap_or("")));
    Internal {
        why: by_address(config, mail).or_else(by_marker),
        text: unmarked.unwrap_or_else(|| mail.text.clone()),
    }
}

fn by_address(config: &Config, mail: &Mail) -> Option<String> {
    let named = mail.to.iter().chain(&mail.cc).filter_map(|mailbox| mailbox.address.as_ref());
    let mut internal = named
        .filter(|address| config.system_addresses.get(address).is_some_and(|ours| ours.internal));
    internal.next().map(|address| format!("it is addressed to {address}"))
}

/// The text behind the marker, if it begins with it: as a word, in any case of ASCII letters. A
/// line that holds nothing else goes with it.
fn without_marker(text: &str, marker: &str) -> Option<String> {
    let begun = text.trim_start();
    let head = begun.get(..marker.len())?;
    let rest = &begun[marker.len()..];
    let is_word = rest.chars().next().is_none_or(char::is_whitespace);
    let found = head.eq_ignore_ascii_case(marker) && is_word;
    found.then(|| rest.trim_start_matches([' ', '\t']).trim_start_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(without_marker(text, "#internal").as_deref(), expected);
    }

    #[test]
    fn the_marker_is_cut() {
        check("#internal\nCall her.\n", Some("Call her.\n"));
        check("\r\n  #Internal  \r\n\r\nCall her.", Some("Call her."));
        check("#internal Call her.", Some("Call her."));
        check("#internal", Some(""));
    }

    #[test]
    fn other_words_are_not_the_marker() {
        check("", None);
        check("#internally\nCall her.", None);
        check("Call her. #internal", None);
        check("Hello\n#internal\n", None);
        check("#intern\u{e9}l", None);
    }

    #[test]
    fn a_marker_in_japanese() {
        assert_eq!(without_marker("社内用\n確認中", "社内用").as_deref(), Some("確認中"));
        assert_eq!(without_marker("社", "社内用"), None);
    }
}

//! Single values: words, durations, sizes, dates, addresses, references.

use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::problem::Scope;
use crate::config::spec::text::{
    DateText, DurationText, SecretReference, SizeText, TextOr, TextOrReference,
};
use crate::config::spec::words;
use crate::core::address::Address;
use crate::core::config::{Language, Role, SecretRef, Switch, Text};

/// Longest name of an object. Bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// Names stand in metrics, logs and links.
pub fn check_name(name: &str, scope: &Scope<'_>) {
    let odd = name.trim() != name || name.chars().any(|c| c.is_control() || "/\"'<>".contains(c));
    if name.is_empty() || name.len() > NAME_BYTES_MAX || odd {
        scope.error_at_key(
            "is not usable as a name",
            "up to 128 bytes without quotes, `/`, `<`, `>` and blanks at the ends",
        );
    }
}

/// A switch, enabled if nothing is written.
pub fn switch(word: Option<words::Switch>) -> Switch {
    match word.unwrap_or_default() {
        words::Switch::Enabled => Switch::Enabled,
        words::Switch::Disabled => Switch::Disabled,
        words::Switch::Paused => Switch::Paused,
    }
}

/// A language.
pub fn language(word: words::Language) -> Language {
    match word {
        words::Language::En => Language::En,
        words::Language::Ja => Language::Ja,
    }
}

/// A role.
pub fn role(word: words::Role) -> Role {
    match word {
        words::Role::Viewer => Role::Viewer,
        words::Role::User => Role::User,
        words::Role::Manager => Role::Manager,
        words::Role::Admin => Role::Admin,
    }
}

/// A duration of at least `least`; anything shorter is reported.
pub fn duration(text: &DurationText, least: Duration, scope: &Scope<'_>) -> Option<Duration> {
    let Some(duration) = read_duration(&text.0) else {
        scope.error("must be a duration such as 30s or 10m", "");
        return None;
    };
    if duration < least {
        scope.error(format!("is too short; at least {}", show(least)), "");
        return None;
    }
    if duration > DURATION_MAX {
        scope.error("is too long; at most 3650d", "");
        return None;
    }
    Some(duration)
}

/// Longest duration: ten years.
pub const DURATION_MAX: Duration = Duration::from_secs(3650 * 86_400);

/// A duration in text of the right form.
pub fn read_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    Some(match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        "h" => Duration::from_secs(number * 3_600),
        "d" => Duration::from_secs(number * 86_400),
        _ => return None,
    })
}

fn show(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{}ms", duration.as_millis()),
        secs => format!("{secs}s"),
    }
}

/// A number of bytes.
pub fn size(text: &SizeText) -> Option<u64> {
    let (number, unit) = split_unit(&text.0)?;
    let factor: u64 = match unit {
        "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Digits and what stands behind them. The schema allows nine digits, so nothing overflows.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// A day; one that no calendar has is reported.
pub fn date(text: &DateText, scope: &Scope<'_>) -> Option<Date> {
    read_date(&text.0, scope)
}

/// A day in text of the right form.
pub fn read_date(text: &str, scope: &Scope<'_>) -> Option<Date> {
    let date = text.parse().ok();
    if date.is_none() {
        scope.error("is not a day of the calendar", "");
    }
    date
}

/// An address; anything else is reported.
pub fn address(text: &str, scope: &Scope<'_>) -> Option<Address> {
    let address = Address::parse(text);
    if address.is_none() {
        scope.error("is not a mail address", "write it as name@example.com");
    }
    address
}

/// A reference to a secret. The schema has seen to it that exactly one part is there.
pub fn secret(reference: &SecretReference, scope: &Scope<'_>) -> Option<SecretRef> {
    match reference {
        SecretReference { env: Some(name), .. } => Some(SecretRef::Env(name.0.clone())),
        SecretReference { file: Some(path), .. } if path.is_empty() => {
            scope.at("file").error("is empty", "write the path of a file");
            None
        }
        SecretReference { file: Some(path), .. } => Some(SecretRef::File(PathBuf::from(path))),
        SecretReference { secret: Some(name), .. } if name.0.contains("..") => {
            scope.at("secret").error("must be a plain file name", "");
            None
        }
        SecretReference { secret: Some(name), .. } => Some(SecretRef::Named(name.0.clone())),
        SecretReference { env: None, file: None, secret: None } => None,
    }
}

/// Plain text or a reference. Plain text that is empty or holds control characters is reported.
pub fn text(text: &TextOrReference, scope: &Scope<'_>) -> Option<Text> {
    match text {
        TextOr::Plain(text) if text.trim().is_empty() => {
            scope.error("is empty", "");
            None
        }
        TextOr::Plain(text) if text.chars().any(char::is_control) => {
            scope.error("holds a line end or another control character", "");
            None
        }
        TextOr::Plain(text) => Some(Text::Plain(text.clone())),
        TextOr::Other(reference) => secret(reference, scope).map(Text::Reference),
    }
}

/// A time zone by its name.
pub fn time_zone(name: &str, scope: &Scope<'_>) -> Option<TimeZone> {
    let zone = TimeZone::get(name).ok();
    if zone.is_none() {
        scope.error("is not a known time zone", "write a name such as Asia/Tokyo or UTC");
    }
    zone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_duration(text: &str, millis: Option<u128>) {
        assert_eq!(read_duration(text).map(|d| d.as_millis()), millis);
    }

    #[test]
    fn durations() {
        check_duration("500ms", Some(500));
        check_duration("10m", Some(600_000));
        check_duration("30d", Some(30 * 86_400_000));
        check_duration("999999999d", Some(999_999_999 * 86_400_000));
        check_duration("10", None);
        check_duration("", None);
    }

    #[track_caller]
    fn check_size(text: &str, bytes: Option<u64>) {
        assert_eq!(size(&SizeText(text.into())), bytes);
    }

    #[test]
    fn sizes() {
        check_size("32MiB", Some(32 << 20));
        check_size("500kB", Some(500_000));
        check_size("999999999GiB", Some(999_999_999 << 30));
    }
}

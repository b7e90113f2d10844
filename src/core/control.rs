//! Control headers: settings that a trusted account's mails bring along, `X-OTOBO-Queue: sales`.
//!
//! Architecture invariant: on an account that is not trusted these headers do not exist; nothing
//! that decides ever sees them. A value that cannot be read is left out with a reason.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

use super::config::{Config, When};
use super::filter::{Filtered, Settings};
use super::intake::Why;
use super::mail::Mail;
use super::ticket::{AuthorKind, Priority, State};

/// What the names of control headers begin with; the first is the one people bring along, the
/// second our own name for it.
const PREFIXES: [&str; 2] = ["x-otobo-", "x-postroom-"];
/// What follows the prefix where a header counts for follow-ups only.
const FOLLOW_UP: &str = "followup-";
/// Control headers read from one mail.
const HEADERS_MAX: usize = 200;
/// Characters of a value that are kept.
const VALUE_CHARS_MAX: usize = 1_000;

/// The mail as deciding may see it: without control headers if the account is not trusted.
pub fn cut(mail: &Mail, trusted: bool) -> Cow<'_, Mail> {
    let carries = mail.headers.iter().any(|field| key(&field.name).is_some());
    if trusted || !carries {
        return Cow::Borrowed(mail);
    }
    let mut cut = mail.clone();
    cut.headers.retain(|field| key(&field.name).is_none());
    Cow::Owned(cut)
}

/// What the control headers of a trusted mail set. Of repeated ones the first counts.
pub fn read(config: &Config, mail: &Mail) -> Filtered {
    let mut read = Filtered::default();
    let mut seen = std::collections::BTreeSet::new();
    let fields = mail.headers.iter().filter_map(|field| Some((key(&field.name)?, field)));
    for (key, field) in fields.take(HEADERS_MAX) {
        if !seen.insert(key.clone()) {
            continue;
        }
        let value = one_line(&field.value);
        let (target, key) = match key.strip_prefix(FOLLOW_UP) {
            Some(key) => (&mut read.on_follow_up, key),
            None => (&mut read.settings, key.as_str()),
        };
        let text = match set(config, target, key, &value) {
            Ok(()) => format!("{}: {value}", field.name.trim()),
            Err(problem) => format!("{}: not taken: {problem}", field.name.trim()),
        };
        read.why.push(Why::new("control", text));
    }
    let mut why = Vec::new();
    read.settings = read.settings.declared(config, "control headers", &mut why);
    read.on_follow_up = read.on_follow_up.declared(config, "control headers", &mut why);
    read.why.append(&mut why);
    read
}

/// What follows the prefix in the name of a control header, in lower case.
fn key(name: &str) -> Option<String> {
    let name = name.trim().to_ascii_lowercase();
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).map(str::to_owned)
}

fn set(config: &Config, target: &mut Settings, key: &str, value: &str) -> Result<(), String> {
    let text = || Some(value.to_owned());
    match key {
        "queue" => target.queue = text(),
        "priority" => target.priority = Some(known(Priority::from_label(value), value)?),
        "state" => target.state = Some(known(state(value), value)?),
        "state-pendingtime" | "pendingtime" => {
            target.pending_time = Some(known(when(config, value), value)?);
        }
        "lock" => target.lock = Some(known(lock(value), value)?),
        "owner" => target.owner = text(),
        "responsible" => target.responsible = text(),
        "title" => target.title = text(),
        "customeruser" | "customer" => target.customer = text(),
        "customerno" | "company" => target.company = text(),
        "ignore" => target.ignore = Some(known(flag(value), value)?),
        // `no` says that this header asks for nothing; whether the mail is answered is then up to
        // the rules. To answer in spite of Precedence there is `AutoReply: allow`.
        "loop" => {
            target.auto_reply = known(flag(value), value)?.then_some(false).or(target.auto_reply);
        }
        "autoreply" => target.auto_reply = Some(known(auto_reply(value), value)?),
        "sendertype" => target.sender_type = Some(known(sender_type(value), value)?),
        "isvisibleforcustomer" | "visibleforcustomer" => {
            target.visible_for_customer = Some(known(flag(value), value)?);
        }
        _ => return set_field(target, key, value),
    }
    Ok(())
}

fn set_field(target: &mut Settings, key: &str, value: &str) -> Result<(), String> {
    let name = key.strip_prefix("dynamicfield-").or_else(|| key.strip_prefix("field-"));
    let name = name.filter(|name| !name.is_empty()).ok_or("not a control header we know")?;
    target.fields.insert(name.into(), value.into());
    Ok(())
}

fn known<T>(read: Option<T>, value: &str) -> Result<T, String> {
    read.ok_or_else(|| format!("cannot read {value:?}"))
}

/// A state by its label, also by the labels of pending states that people bring along.
fn state(value: &str) -> Option<State> {
    let value = value.to_lowercase();
    let pending = value.starts_with("pending");
    if pending { Some(State::Pending) } else { State::from_label(&value) }
}

fn lock(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "lock" | "locked" => Some(true),
        "unlock" | "unlocked" => Some(false),
        other => flag(other),
    }
}

fn flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" => Some(true),
        "no" | "false" | "0" => Some(false),
        _ => None,
    }
}

fn auto_reply(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "allow" => Some(true),
        "never" => Some(false),
        _ => None,
    }
}

fn sender_type(value: &str) -> Option<AuthorKind> {
    match value.to_ascii_lowercase().as_str() {
        "agent" => Some(AuthorKind::Agent),
        "customer" => Some(AuthorKind::Customer),
        "system" => Some(AuthorKind::System),
        _ => None,
    }
}

/// An instant (`2026-12-01T10:00:00Z`), a time in the desk's zone (`2026-12-01 10:00:00`), or a
/// span (`+2h`, `+30m`, `+7d`).
fn when(config: &Config, value: &str) -> Option<When> {
    if let Some(span) = value.strip_prefix('+') {
        return span_of(span).map(When::In);
    }
    if let Ok(at) = value.parse::<Timestamp>() {
        return Some(When::At(at));
    }
    let local: DateTime = value.parse().ok()?;
    let zoned = local.to_zoned(config.desk.time_zone.clone()).ok()?;
    Some(When::At(zoned.timestamp()))
}

fn span_of(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let count: u32 = text[..text.len() - unit.len_utf8()].trim().parse().ok()?;
    Some(SignedDuration::from_secs(i64::from(count) * seconds))
}

fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = text.chars().take(VALUE_CHARS_MAX).map(plain).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{config, mail};
    use super::*;

    #[track_caller]
    fn check(headers: &str, expected: &str, later: &str) {
        let read = read(&config(), &mail(headers));
        assert_eq!(read.settings.describe(), expected, "{:?}", read.why);
        assert_eq!(read.on_follow_up.describe(), later, "{:?}", read.why);
    }

    #[test]
    fn all_of_them() {
        check(
            "X-OTOBO-Queue: sales\nX-OTOBO-Priority: 5 very high",
            "queue sales, priority 5 very high",
            "",
        );
        check(
            "X-OTOBO-State: closed successful\nX-OTOBO-Lock: lock",
            "state closed successful, lock yes",
            "",
        );
        check("X-OTOBO-Owner: anna\nX-OTOBO-Responsible: ben", "owner anna, responsible ben", "");
        check("X-OTOBO-Title: New title", "title New title", "");
        check(
            "X-OTOBO-CustomerUser: eve@cust.example\nX-OTOBO-CustomerNo: ACME",
            "customer eve@cust.example, company ACME",
            "",
        );
        check("X-OTOBO-Ignore: yes", "ignore yes", "");
        check(
            "X-OTOBO-SenderType: agent\nX-OTOBO-IsVisibleForCustomer: 0",
            "sender type agent, visible for customer no",
            "",
        );
        check("X-OTOBO-DynamicField-Room: 12", "field.room 12", "");
        check("x-postroom-queue: sales", "queue sales", "");
    }

    #[test]
    fn loops() {
        check("X-OTOBO-Loop: yes", "auto-reply no", "");
        check("X-OTOBO-Loop: no", "", "");
        check("X-Postroom-AutoReply: allow", "auto-reply yes", "");
    }

    #[test]
    fn follow_ups() {
        check("X-OTOBO-FollowUp-Queue: sales", "", "queue sales");
        check("X-OTOBO-FollowUp-State: open\nX-OTOBO-State: new", "state new", "state open");
    }

    #[test]
    fn pending_times() {
        check("X-OTOBO-State-PendingTime: +2h", "pending for 2h", "");
        check(
            "X-OTOBO-State-PendingTime: 2026-12-01 10:00:00",
            "pending until 2026-12-01T10:00:00Z",
            "",
        );
        check(
            "X-OTOBO-State-PendingTime: 2026-12-01T10:00:00+09:00",
            "pending until 2026-12-01T01:00:00Z",
            "",
        );
        check("X-OTOBO-State-PendingTime: soon", "", "");
        check("X-OTOBO-State-PendingTime: +99999999999d", "", "");
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        check("X-OTOBO-Priority: 9 silly", "", "");
        check("X-OTOBO-Queue: nowhere", "", "");
        check("X-OTOBO-Owner: nobody", "", "");
        check("X-OTOBO-State: merged", "", "");
        check("X-OTOBO-Shoe: 44", "", "");
    }

    #[test]
    fn first_of_repeated_ones_counts() {
        check("X-OTOBO-Title: one\nx-otobo-TITLE: two", "title one", "");
    }

    #[track_caller]
    fn check_cut(headers: &str, trusted: bool, left: usize) {
        let mail = mail(headers);
        assert_eq!(cut(&mail, trusted).headers.len(), left);
    }

    #[test]
    fn untrusted_mails_lose_them() {
        check_cut(
            "Subject: x\nX-OTOBO-Queue: a\nx-otobo-queue: b\nX-OTOBO-FollowUp-Queue: c",
            false,
            1,
        );
        check_cut("X-Postroom-Queue: a\nX-OTOBO-: b\nx-OtObO-Queue : c", false, 0);
        check_cut("X-OTOBO-Queue: a", true, 1);
        check_cut("X-Not-OTOBO-Queue: a", false, 1);
    }
}

//! What an appointment is about (RFC 5545), in a few lines.
//!
//! Architecture invariant: reads the first event only, at most so many lines; times are shown as
//! they are written there, never converted.

use crate::core::config::Language;

/// Lines of a calendar that are looked at.
const LINES_MAX: usize = 2_000;
/// Longest value that is shown, in characters.
const VALUE_CHARS_MAX: usize = 300;

/// What is said of the first event.
#[derive(Default)]
struct Event {
    method: String,
    status: String,
    summary: String,
    start: String,
    end: String,
    place: String,
    organizer: String,
}

/// A few lines about the first event; `None` if there is none.
pub fn summary(source: &str, language: Language) -> Option<String> {
    let event = read(source)?;
    let [title, when, place, organizer] = match language {
        Language::En => ["Appointment", "When", "Where", "Organizer"],
        Language::Ja => ["予定", "日時", "場所", "主催者"],
    };
    let kind = kind(&event, language);
    let title = if kind.is_empty() { title.to_owned() } else { format!("{title} ({kind})") };
    let when_said = match (event.start.as_str(), event.end.as_str()) {
        (start, "") => start.to_owned(),
        (start, end) => format!("{start} – {end}"),
    };
    let lines = [
        (title.as_str(), event.summary.as_str()),
        (when, &when_said),
        (place, &event.place),
        (organizer, &event.organizer),
    ];
    let said = lines.iter().filter(|(_, value)| !value.is_empty());
    Some(said.map(|(name, value)| format!("{name}: {value}\n")).collect())
}

/// What the sender wants with it (RFC 5546 section 1.4).
fn kind(event: &Event, language: Language) -> &'static str {
    let cancelled = event.status.eq_ignore_ascii_case("cancelled");
    let [invitation, reply, cancellation] = match language {
        Language::En => ["invitation", "reply", "cancelled"],
        Language::Ja => ["招待", "返信", "中止"],
    };
    match event.method.to_ascii_uppercase().as_str() {
        "CANCEL" => cancellation,
        _ if cancelled => cancellation,
        "REQUEST" => invitation,
        "REPLY" | "COUNTER" | "DECLINECOUNTER" => reply,
        _ => "",
    }
}

fn read(source: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut inside = false;
    for line in unfolded(source).iter().take(LINES_MAX) {
        let Some((name, parameters, value)) = property(line) else { continue };
        match (name.as_str(), inside) {
            ("BEGIN", false)
                if matches!(value.to_ascii_uppercase().as_str(), "VEVENT" | "VTODO") =>
            {
                inside = true;
            }
            // What stands in an alarm of the event is not about the event.
            ("BEGIN" | "END", true) => break,
            ("METHOD", false) => event.method = text(value),
            ("SUMMARY", true) => event.summary = text(value),
            ("LOCATION", true) => event.place = text(value),
            ("STATUS", true) => event.status = text(value),
            ("DTSTART", true) => event.start = time(value, parameters),
            ("DTEND" | "DUE", true) => event.end = time(value, parameters),
            ("ORGANIZER", true) => event.organizer = person(value, parameters),
            _ => {}
        }
    }
    inside.then_some(event)
}

/// Lines that were folded (RFC 5545 section 3.1), joined.
fn unfolded(source: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in source.lines().take(LINES_MAX) {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(more), Some(last)) => last.push_str(more),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// Name in upper case, parameters, value.
fn property(line: &str) -> Option<(String, &str, &str)> {
    let mut quoted = false;
    let colon = line.find(|c| {
        quoted ^= c == '"';
        c == ':' && !quoted
    })?;
    let (head, value) = (&line[..colon], &line[colon + 1..]);
    let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
    Some((name.trim().to_ascii_uppercase(), parameters, value))
}

/// The value of a parameter.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let mut quoted = false;
    let ends = |c: char| {
        quoted ^= c == '"';
        c == ';' && !quoted
    };
    let pairs = parameters.split(ends).filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(known, _)| known.trim().eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.trim_matches('"'))
}

/// A text without its escapes (RFC 5545 section 3.3.11), on one line.
fn text(value: &str) -> String {
    let mut plain = String::new();
    let mut escaped = false;
    for c in value.trim().chars().take(VALUE_CHARS_MAX) {
        match (escaped, c) {
            (true, 'n' | 'N') => plain.push(' '),
            (false, '\\') => {}
            _ => plain.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    plain
}

/// `20261130T100000Z` as `2026-11-30 10:00 UTC`; a zone is named as it is written.
fn time(value: &str, parameters: &str) -> String {
    let value = value.trim();
    let digits = |range: std::ops::Range<usize>| {
        value.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let [Some(year), Some(month), Some(day)] = [digits(0..4), digits(4..6), digits(6..8)] else {
        return text(value);
    };
    let zone = match parameter(parameters, "TZID") {
        _ if value.ends_with('Z') => " UTC".to_owned(),
        Some(zone) => format!(" {}", text(zone)),
        None => String::new(),
    };
    match (digits(9..11), digits(11..13)) {
        (Some(hour), Some(minute)) => format!("{year}-{month}-{day} {hour}:{minute}{zone}"),
        _ => format!("{year}-{month}-{day}"),
    }
}

/// `CN` with the address.
fn person(value: &str, parameters: &str) -> String {
    let value = text(value);
    let address = match value.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => &value[7..],
        _ => value.as_str(),
    };
    match parameter(parameters, "CN").map(text).filter(|name| !name.is_empty() && name != address) {
        Some(name) => format!("{name} <{address}>"),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITATION: &str = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\n\
        SUMMARY:Lift inspection\\, floor\r\n  3\r\nDTSTART;TZID=Asia/Tokyo:20261202T100000\r\n\
        DTEND;TZID=Asia/Tokyo:20261202T113000\r\nLOCATION:Lobby\r\n\
        ORGANIZER;CN=\"Eve; Example\":mailto:eve@customer.example\r\nBEGIN:VALARM\r\n\
        SUMMARY:not this\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    #[test]
    fn an_invitation_in_both_languages() {
        assert_eq!(
            summary(INVITATION, Language::En).as_deref(),
            Some(
                "Appointment (invitation): Lift inspection, floor 3\n\
                 When: 2026-12-02 10:00 Asia/Tokyo – 2026-12-02 11:30 Asia/Tokyo\nWhere: Lobby\n\
                 Organizer: Eve; Example <eve@customer.example>\n"
            )
        );
        let japanese = summary(INVITATION, Language::Ja).expect("an event");
        assert!(japanese.starts_with("予定 (招待): Lift"));
    }

    #[test]
    fn whole_days_and_oddities() {
        let event =
            |lines: &str| summary(&format!("BEGIN:VEVENT\n{lines}\nEND:VEVENT\n"), Language::En);
        assert_eq!(
            event("DTSTART;VALUE=DATE:20261202\nSTATUS:CANCELLED\nSUMMARY:x").as_deref(),
            Some("Appointment (cancelled): x\nWhen: 2026-12-02\n")
        );
        assert_eq!(
            event("DTSTART:20261202T080000Z\nSUMMARY:x").as_deref(),
            Some("Appointment: x\nWhen: 2026-12-02 08:00 UTC\n")
        );
        assert_eq!(
            event("DTSTART:soon\nSUMMARY:é").as_deref(),
            Some("Appointment: é\nWhen: soon\n")
        );
        assert_eq!(summary("BEGIN:VCALENDAR\nEND:VCALENDAR\n", Language::En), None);
        assert_eq!(summary("", Language::En), None);
    }
}

//! Filters: conditions on a mail, and what they set when all of them hold.
//!
//! Architecture invariant: the expressions run in linear time on texts of bounded length, and
//! what a capture brings in from a mail never names anything that the configuration does not
//! declare. One filter can neither stop the next one nor lose a mail.

mod captures;
pub mod examine;
pub mod follows;
mod settings;

use std::borrow::Cow;
use std::collections::BTreeMap;

use regex::Regex;

use super::address::Address;
use super::config::{Config, Switch, When};
use super::header;
use super::intake::Why;
use super::mail::Mail;
use super::ticket::{AuthorKind, Priority, State};

use captures::Captures;
pub use captures::unfilled;

/// Text of one field that conditions look at. Longer fields are cut here.
pub const FIELD_BYTES_MAX: usize = header::FIELD_BYTES_MAX;
/// Compiled size of one regular expression. Larger ones are refused at load.
pub const REGEX_BYTES_MAX: usize = 1 << 18;

/// A rule on incoming mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// Its name in the configuration.
    pub name: String,
    /// Place in the order; ties go by name.
    pub order: i64,
    /// All must hold. Not empty.
    pub conditions: Vec<Condition>,
    /// What it sets.
    pub set: Settings,
    /// What it sets on a follow-up.
    pub on_follow_up: Settings,
    /// Whether later filters are skipped when it matches.
    pub stop: bool,
    /// Switch.
    pub state: Switch,
}

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Where it looks.
    pub look_at: LookAt,
    /// What must be found there.
    pub test: Test,
    /// Whether it must not be found.
    pub not: bool,
}

/// Where a condition looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookAt {
    /// A header field by name, in any case; absent is the empty text.
    Header(String),
    /// The text of the mail.
    Body,
    /// The file name of each attachment.
    AttachmentName,
    /// The name of the account it came through.
    Account,
}

/// What must be found.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// The expression matches somewhere in the text.
    Regex(Pattern),
    /// The expression matches one of the addresses as a whole.
    Address(Pattern),
}

/// A compiled expression, compared by its source.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

/// What filters and control headers can set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Queue of a new ticket; on a follow-up, where the ticket moves.
    pub queue: Option<String>,
    /// Priority.
    pub priority: Option<Priority>,
    /// State.
    pub state: Option<State>,
    /// When a pending ticket wakes up.
    pub pending_time: Option<When>,
    /// Locked or not.
    pub lock: Option<bool>,
    /// Owner, a user name.
    pub owner: Option<String>,
    /// Responsible agent, a user name.
    pub responsible: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// Customer, an address.
    pub customer: Option<String>,
    /// Company of the customer.
    pub company: Option<String>,
    /// Who is taken for the author.
    pub sender_type: Option<AuthorKind>,
    /// Whether the customer may see the article.
    pub visible_for_customer: Option<bool>,
    /// The mail makes nothing.
    pub ignore: Option<bool>,
    /// `false` never answers, `true` answers in spite of Precedence or a list header.
    pub auto_reply: Option<bool>,
    /// Free fields.
    pub fields: BTreeMap<String, String>,
}

/// What all filters together made of a mail.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filtered {
    /// Names of those that matched, in order.
    pub matched: Vec<String>,
    /// What they set, captures filled in.
    pub settings: Settings,
    /// What they set on a follow-up.
    pub on_follow_up: Settings,
    /// Each step in words.
    pub why: Vec<Why>,
}

impl Pattern {
    /// Compiles with a bound on size: case-insensitive, unanchored.
    pub fn search(source: &str) -> Result<Pattern, String> {
        Pattern::build(source, source)
    }

    /// Compiles with a bound on size: case-insensitive, the whole text must match.
    pub fn whole(source: &str) -> Result<Pattern, String> {
        Pattern::build(source, &format!("^(?:{source})$"))
    }

    /// The source as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The compiled expression.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }

    fn build(source: &str, text: &str) -> Result<Pattern, String> {
        let regex = regex::RegexBuilder::new(text)
            .case_insensitive(true)
            .size_limit(REGEX_BYTES_MAX)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Pattern { source: source.into(), regex })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.source == other.source && self.regex.as_str() == other.regex.as_str()
    }
}

/// Runs the enabled filters over a mail, in order.
///
/// `initial` is what trusted control headers set; filters overwrite it, later ones earlier ones.
pub fn run(config: &Config, account: &str, mail: &Mail, initial: Filtered) -> Filtered {
    let mut filtered = initial;
    for filter in config.filters.iter().filter(|filter| filter.state == Switch::Enabled) {
        let Some(captures) = matches(filter, account, mail) else { continue };
        apply(config, filter, &captures, &mut filtered);
        if filter.stop {
            filtered.why.push(Why::new("filter", format!("{} stops the run", filter.name)));
            break;
        }
    }
    filtered
}

fn apply(config: &Config, filter: &Filter, captures: &Captures, filtered: &mut Filtered) {
    let mut why = Vec::new();
    let set = filter.set.filled(captures).declared(config, &filter.name, &mut why);
    let later = filter.on_follow_up.filled(captures).declared(config, &filter.name, &mut why);
    let name = &filter.name;
    let text = match (set.describe(), later.describe()) {
        (set, later) if set.is_empty() && later.is_empty() => format!("{name} matches"),
        (set, later) if later.is_empty() => format!("{name} sets {set}"),
        (set, later) if set.is_empty() => format!("{name} sets on a follow-up {later}"),
        (set, later) => format!("{name} sets {set}; on a follow-up {later}"),
    };
    filtered.matched.push(filter.name.clone());
    filtered.settings.overwrite(set);
    filtered.on_follow_up.overwrite(later);
    filtered.why.push(Why::new("filter", text));
    filtered.why.append(&mut why);
}

/// What the conditions captured, if all of them hold.
fn matches(filter: &Filter, account: &str, mail: &Mail) -> Option<Captures> {
    let mut captures = Captures::default();
    for condition in &filter.conditions {
        let found = find(condition, account, mail);
        match (found, condition.not) {
            (Some(found), false) => captures.add(found),
            (None, true) => {}
            (Some(_), true) | (None, false) => return None,
        }
    }
    Some(captures)
}

/// What one condition finds, whether or not it should.
fn find(condition: &Condition, account: &str, mail: &Mail) -> Option<Captures> {
    let (pattern, texts) = match &condition.test {
        Test::Regex(pattern) => (pattern, texts(&condition.look_at, account, mail)),
        Test::Address(pattern) => (pattern, addresses(&condition.look_at, account, mail)),
    };
    texts.iter().find_map(|text| Captures::of(pattern.regex(), text))
}

fn texts<'a>(look_at: &LookAt, account: &'a str, mail: &'a Mail) -> Vec<Cow<'a, str>> {
    match look_at {
        LookAt::Header(name) => vec![header::text(mail, name)],
        LookAt::Body => vec![header::cut(&mail.text).into()],
        LookAt::AttachmentName if mail.attachments.is_empty() => vec!["".into()],
        LookAt::AttachmentName => {
            mail.attachments.iter().map(|part| header::cut(&part.name).into()).collect()
        }
        LookAt::Account => vec![account.into()],
    }
}

fn addresses<'a>(look_at: &LookAt, account: &'a str, mail: &'a Mail) -> Vec<Cow<'a, str>> {
    let as_text = |address: Address| Cow::Owned(address.as_str().to_owned());
    match look_at {
        LookAt::Header(name) => header::addresses(mail, name).into_iter().map(as_text).collect(),
        LookAt::Body | LookAt::AttachmentName | LookAt::Account => texts(look_at, account, mail),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{config, mail};
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    fn on(header: &str, test: Test) -> Condition {
        Condition { look_at: LookAt::Header(header.into()), test, not: false }
    }

    fn regex(header: &str, pattern: &str) -> Condition {
        on(header, Test::Regex(Pattern::search(pattern).unwrap()))
    }

    fn address(header: &str, pattern: &str) -> Condition {
        on(header, Test::Address(Pattern::whole(pattern).unwrap()))
    }

    fn not(condition: Condition) -> Condition {
        Condition { not: true, ..condition }
    }

    fn title(title: &str) -> Settings {
        Settings { title: Some(title.into()), ..Settings::default() }
    }

    fn filter(name: &str, conditions: Vec<Condition>, set: Settings) -> Filter {
        let (on_follow_up, state) = (Settings::default(), Switch::Enabled);
        Filter { name: name.into(), order: 1, conditions, set, on_follow_up, stop: false, state }
    }

    fn run_all(filters: Vec<Filter>, mail: &Mail) -> Filtered {
        let filters = filters.into_iter().map(Into::into).collect();
        let config = Config { filters, ..config() };
        run(&config, "support", mail, Filtered::default())
    }

    #[track_caller]
    fn check(conditions: Vec<Condition>, headers: &str, expected: bool) {
        let filtered = run_all(vec![filter("a", conditions, title("t"))], &mail(headers));
        assert_eq!(!filtered.matched.is_empty(), expected);
    }

    #[track_caller]
    fn check_title(conditions: Vec<Condition>, value: &str, headers: &str, expected: &str) {
        let filtered = run_all(vec![filter("a", conditions, title(value))], &mail(headers));
        assert_eq!(filtered.settings.title.as_deref(), Some(expected), "{:?}", filtered.why);
    }

    #[test]
    fn expressions_look_anywhere_in_any_case() {
        check(vec![regex("From", "@mon\\.example")], "From: bot@MON.example", true);
        check(vec![regex("subject", "障害")], "Subject: 障害の通知", true);
        check(vec![regex("Subject", "^alert$")], "Subject: an alert", false);
    }

    #[test]
    fn all_conditions_must_hold() {
        let both = vec![regex("Subject", "printer"), regex("From", "nobody")];
        check(both.clone(), "Subject: Printer broken\nFrom: eve@cust.example", false);
        check(both, "Subject: Printer broken\nFrom: nobody@cust.example", true);
    }

    #[test]
    fn absent_headers_are_empty() {
        check(vec![not(regex("X-Custom", "yes"))], "Subject: x", true);
        check(vec![regex("X-Custom", "^$")], "Subject: x", true);
        check(vec![not(address("X-Custom", ".*"))], "Subject: x", true);
    }

    #[test]
    fn repeated_headers_are_lines() {
        check(vec![regex("X-Tag", "one\\ntwo")], "X-Tag: one\nX-Tag: two", true);
    }

    #[test]
    fn addresses_match_as_a_whole() {
        check(vec![address("From", "bot@mon\\.example")], "From: Bot <bot@mon.example>", true);
        check(vec![address("From", "bot@mon\\.example")], "From: robot@mon.example", false);
        check(vec![address("To", "b@x\\.test|c@x\\.test")], "To: a@x.test, C@x.test", true);
        check(vec![address("Delivered-To", "c@x\\.test")], "Delivered-To: <c@x.test>", true);
        check(vec![address("From", "a@x\\.test")], "From: \"a@x.test\" <b@x.test>", false);
    }

    #[test]
    fn body_attachments_and_account() {
        let mut mail = mail("Subject: x");
        mail.text = "line1\nserver: db7\n".into();
        mail.attachments.push(super::super::samples::attachment("invoice.pdf"));
        let look = |look_at, pattern: &str| {
            let test = Test::Regex(Pattern::search(pattern).unwrap());
            let condition = Condition { look_at, test, not: false };
            !run_all(vec![filter("a", vec![condition], title("t"))], &mail).matched.is_empty()
        };
        assert!(look(LookAt::Body, "server:\\s+(\\w+)"));
        assert!(look(LookAt::AttachmentName, "^invoice\\.pdf$"));
        assert!(!look(LookAt::AttachmentName, "^$"));
        assert!(look(LookAt::Account, "^support$"));
    }

    #[test]
    fn captures_fill_values() {
        let subject = "Subject: Alert from host-42 down";
        let host = || vec![regex("Subject", "from (?<host>\\S+) (down|up)")];
        check_title(host(), "Host: {{ host }}", subject, "Host: host-42");
        check_title(host(), "{{1}} and {{ 1 }} {{ 2 }}", subject, "host-42 and host-42 down");
        check_title(host(), "{{ 0 }}", subject, "from host-42 down");
        check_title(host(), "{ host }} {{", subject, "{ host }} {{");
    }

    #[test]
    fn captures_are_numbered_over_all_conditions() {
        let two = vec![regex("Subject", "(a)(b)?"), not(regex("From", "(z)")), regex("To", "(c)")];
        check_title(two, "{{ 1 }}-{{ 2 }}-{{ 3 }}", "Subject: ax\nTo: c@x.test", "a--c");
    }

    #[test]
    fn captured_text_is_taken_as_it_is() {
        let subject = "Subject: from {{2}}\u{7} down";
        check_title(vec![regex("Subject", "from (.+) (down)")], "{{ 1 }}", subject, "{{2}}");
    }

    #[test]
    fn captures_name_only_what_is_declared() {
        let by_subject = |queue: &str| {
            let set = Settings { queue: Some(queue.into()), ..Settings::default() };
            filter("a", vec![regex("Subject", "to (\\w+)")], set)
        };
        let found = run_all(vec![by_subject("{{ 1 }}")], &mail("Subject: to sales"));
        assert_eq!(found.settings.queue.as_deref(), Some("sales"));
        let first = filter(
            "first",
            vec![regex("Subject", "")],
            Settings { queue: Some("support".into()), ..Settings::default() },
        );
        let found = run_all(vec![first, by_subject("{{ 1 }}")], &mail("Subject: to nowhere"));
        assert_eq!(found.settings.queue.as_deref(), Some("support"));
        assert!(found.why.iter().any(|why| why.text.contains("nowhere")), "{:?}", found.why);
    }

    #[test]
    fn later_filters_overwrite_and_stop_ends() {
        let all = || vec![regex("Subject", "")];
        let mut first = filter("first", all(), title("one"));
        let second = filter("second", all(), title("two"));
        let found = run_all(vec![first.clone(), second.clone()], &mail(""));
        assert_eq!(found.settings.title.as_deref(), Some("two"));
        first.stop = true;
        let found = run_all(vec![first.clone(), second.clone()], &mail(""));
        assert_eq!((found.settings.title.as_deref(), found.matched.len()), (Some("one"), 1));
        first.state = Switch::Disabled;
        let found = run_all(vec![first, second], &mail(""));
        assert_eq!(found.matched, ["second"]);
    }

    #[test]
    fn expressions_that_grow_are_refused() {
        assert!(Pattern::search("(a{1000}){1000}").is_err());
        assert!(Pattern::search("(\\pL{200}){200}").is_err());
        assert!(Pattern::search("(?=a)").is_err());
        assert!(Pattern::search("(a)\\1").is_err());
    }

    /// What one search through a megabyte may take in a debug build on a busy machine. An engine
    /// that tries again from every place, let alone in every way, needs hours.
    const SEARCH_TIME_MAX: Duration = Duration::from_secs(20);

    /// A hostile expression finds nothing in a megabyte of what it is hostile to, and soon.
    #[track_caller]
    fn check_soon(pattern: &'static str, unit: &'static str) {
        let (done, result) = mpsc::channel();
        std::thread::spawn(move || {
            let text = unit.repeat((1 << 20) / unit.len());
            let pattern = Pattern::search(pattern).unwrap();
            done.send(Captures::of(pattern.regex(), &text).is_some())
        });
        let found = result.recv_timeout(SEARCH_TIME_MAX);
        assert_eq!(found, Ok(false), "{pattern} on {unit:?} over and over");
    }

    #[test]
    fn expressions_run_in_linear_time() {
        check_soon("(x+x+)+y", "x");
        check_soon("(.*)*y", "x");
        check_soon("x{1,100}x{1,100}y", "x");
        check_soon("(x|xx)+$y", "x");
        check_soon("^(([a-z])+.)+[0-9]([a-z])+$", "x");
        check_soon("(\\w+\\s?)*!$", "word ");
        check_soon("^(\\s+)*!$", " \t");
        check_soon("([\\pL&&[^y]]+[\\pL--[xyz]]*)*y$", "障害x");
    }

    #[test]
    fn texts_are_cut() {
        let long = |end: &str| format!("{}{end}", "x".repeat(FIELD_BYTES_MAX - 3));
        let look = |look_at: LookAt, text: &str| {
            let mut mail = mail(&format!("Subject: {text}"));
            mail.text = text.to_owned();
            mail.attachments.push(super::super::samples::attachment(text));
            let test = Test::Regex(Pattern::search("end").unwrap());
            let condition = Condition { look_at, test, not: false };
            !run_all(vec![filter("a", vec![condition], title("t"))], &mail).matched.is_empty()
        };
        for look_at in [LookAt::Header("Subject".into()), LookAt::Body, LookAt::AttachmentName] {
            assert!(look(look_at.clone(), &long("end")), "{look_at:?}");
            assert!(!look(look_at.clone(), &long("xend")), "{look_at:?}");
        }
    }

    #[track_caller]
    fn check_unfilled(text: &str, expected: &[&str]) {
        let conditions = vec![
            regex("Subject", "(?<host>a)(b)"),
            not(regex("Subject", "(?<gone>c)")),
            address("From", "(.*)"),
        ];
        assert_eq!(unfilled(text, &conditions), expected);
    }

    #[test]
    fn placeholders_without_a_capture() {
        check_unfilled("{{ host }} {{ 0 }} {{ 1 }} {{ 2 }} {{ 3 }}", &[]);
        check_unfilled("{{ 4 }} {{ gone }} {{ Host }}", &["4", "gone", "Host"]);
        check_unfilled("no placeholder {{", &[]);
        let only_not = [not(regex("Subject", "(a)"))];
        assert_eq!(unfilled("{{ 0 }}{{ 1 }}", &only_not), ["0", "1"]);
    }
}

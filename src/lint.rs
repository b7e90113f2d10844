//! Rules beyond "it loads": what is written, is allowed, and is hardly meant.
//!
//! A rule is one file: what it looks for, and an example that it finds and one that it does not.
//! The table of all becomes `docs/lint.md`, and a test runs the examples. Some rules are found
//! while compiling (see `config::rule`); here they have their words and examples only.
//!
//! Architecture invariant: a finding is never an error, nothing here changes what runs, and what
//! cannot be proved from the files is not said. The clock and the secrets come in from outside.

mod auth;
mod certificate;
mod deaf_subscription;
mod deletes_mail;
mod found_by_compile;
mod mail_loop;
mod near_end;
mod never_matches;
pub mod page;
mod runs_program;
mod same_folder;
mod secret;
mod sender_without_server;
mod shadowed_filter;
mod stale_allow;
mod unreachable_filter;
mod unused_object;
mod unwanted_login;

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::config::places::Places;
use crate::config::problem::{dotted, nearest};
use crate::config::{Loaded, Problem, Severity, allow};
use crate::core::config::Config;
use crate::secret::Secrets;

/// Findings of one rule that are told, besides those that are allowed; nobody reads more.
const TOLD_PER_RULE_MAX: usize = 100;

/// What to look for.
pub struct Rule {
    /// Its name, in reports and in comments that allow it.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// Why that matters and what to do, for the page.
    pub about: &'static str,
    /// Files in which it finds something.
    pub failing: &'static str,
    /// The same, mended.
    pub passing: &'static str,
    /// Looks for it; `None` if compiling does.
    pub find: Option<fn(&Subject<'_>, &mut Vec<Found>)>,
}

/// All rules, by name.
pub const RULES: &[&Rule] = &[
    &stale_allow::BAD,
    &found_by_compile::CLEARTEXT_LOGIN,
    &deaf_subscription::RULE,
    &deletes_mail::RULE,
    &found_by_compile::DISABLED_QUEUE,
    &found_by_compile::IDLE_FILTER,
    &found_by_compile::IDLE_TLS,
    &found_by_compile::INSECURE_TLS,
    &mail_loop::RULE,
    &near_end::RULE,
    &never_matches::RULE,
    &found_by_compile::NO_SENDER,
    &runs_program::RULE,
    &same_folder::RULE,
    &secret::MISSING,
    &secret::READABLE,
    &sender_without_server::RULE,
    &shadowed_filter::RULE,
    &stale_allow::RULE,
    &unreachable_filter::RULE,
    &unused_object::RULE,
    &unwanted_login::RULE,
];

/// What the files cannot say by themselves.
#[derive(Debug, Clone)]
pub struct Around {
    /// Today.
    pub today: Date,
    /// Where secrets are, if they are to be looked at: `None` where they are not expected, such as
    /// on a machine that only checks files.
    pub secrets: Option<Secrets>,
    /// Whether certificates that the files name may be read: not where a stranger wrote the names.
    pub certificates: bool,
    /// Sign-ins of people that are near their end, as a running daemon knows them.
    pub sign_ins: Vec<SignIn>,
}

/// A sign-in of a person that is near its end.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// Of an SMTP server, or else of a mail account.
    pub server: bool,
    /// Its name.
    pub name: String,
    /// Profile it was given to.
    pub profile: String,
    /// When it ends.
    pub ends: Date,
    /// Whole days until then.
    pub days: i64,
}

/// What a rule may look at.
pub struct Subject<'a> {
    /// What would run.
    pub config: &'a Config,
    /// What the files cannot say.
    pub around: &'a Around,
}

/// What a rule found.
pub struct Found {
    path: Vec<String>,
    at_key: bool,
    message: String,
    hint: String,
}

impl Found {
    /// Something about the object at this path.
    fn at_key(path: &[&str], message: impl Into<String>, hint: impl Into<String>) -> Found {
        let path = path.iter().map(|step| (*step).to_owned()).collect();
        Found { path, at_key: true, message: message.into(), hint: hint.into() }
    }

    /// Something about the value at this path.
    fn at(path: &[&str], message: impl Into<String>, hint: impl Into<String>) -> Found {
        Found { at_key: false, ..Found::at_key(path, message, hint) }
    }
}

/// Adds what the rules find to a set of files that loads; with errors in it, nothing is added.
pub fn add(loaded: &mut Loaded, around: &Around) {
    let Some(config) = &loaded.config else { return };
    let subject = Subject { config, around };
    let files = std::mem::take(&mut loaded.files);
    let places = Places::of(&files);
    let mut problems = Vec::new();
    for rule in RULES {
        let Some(find) = rule.find else { continue };
        let mut found = Vec::new();
        find(&subject, &mut found);
        problems.extend(found.into_iter().map(|found| placed(found, rule, &places)));
    }
    let allowances = allow::read(&files);
    let (kept, allowed) = allow::sort_out(problems, &allowances, &places);
    loaded.allowed.extend(allowed);
    for found in kept.chunk_by(|a, b| a.rule == b.rule) {
        tell(found, &mut loaded.problems);
    }
    let about_allowances = stale_allow::find(loaded, &allowances, &places);
    loaded.problems.extend(about_allowances);
    let place = |problem: &Problem| (problem.file.clone(), problem.line, problem.column);
    loaded.problems.sort_by_key(place);
    loaded.files = files;
}

/// Tells the first findings of a rule, and at the last of them how many more there are.
fn tell(found: &[Problem], problems: &mut Vec<Problem>) {
    let (told, more) = found.split_at(found.len().min(TOLD_PER_RULE_MAX));
    problems.extend_from_slice(told);
    if let Some(last) = told.last().filter(|_| !more.is_empty()) {
        let message = format!("is one of many: {} more are not shown", more.len());
        problems.push(Problem { message, ..last.clone() });
    }
}

/// The rule of this name.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id).copied()
}

/// What to do about a rule that does not exist.
pub fn hint_of_rules(written: &str) -> String {
    match nearest(written, RULES.iter().map(|rule| rule.id)) {
        Some(id) => format!("did you mean {id:?}?"),
        None => "`postroom check --explain all` lists the rules".into(),
    }
}

/// An object is declared once in all files, so the first place at which the path exists is it. What
/// is left to a default stands nowhere: then it is the place of what it belongs to.
fn placed(found: Found, rule: &Rule, places: &Places<'_>) -> Problem {
    let above =
        || (1..found.path.len()).rev().find_map(|end| places.first(&found.path[..end], true));
    let place = places.first(&found.path, found.at_key).or_else(above);
    let (file, (line, column)) = place.unwrap_or_default();
    Problem {
        severity: rule.severity,
        file: file.to_owned(),
        line,
        column,
        path: dotted(&found.path),
        message: found.message,
        hint: found.hint,
        rule: Some(rule.id),
    }
}

/// Names as a sentence lists them.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.into_iter().collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TODAY: Date = jiff::civil::date(2026, 11, 25);

    /// The folder in which the examples are at home.
    fn home() -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for (name, mode) in [("imap", 0o600), ("smtp", 0o600), ("open", 0o644)] {
            let path = folder.path().join(name);
            std::fs::write(&path, "s3cret").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        certificate(folder.path(), "ends-soon", 2026);
        certificate(folder.path(), "ends-late", 2029);
        folder
    }

    /// A certificate that ends on the 4th of December.
    fn certificate(folder: &Path, name: &str, year: i32) {
        let mut parameters = rcgen::CertificateParams::new(vec!["desk.example".into()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(year, 12, 4);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn linted(folder: &Path, yaml: &str) -> Loaded {
        let path = folder.join("desk.yaml");
        std::fs::write(&path, format!("version: 1\n{yaml}")).unwrap();
        let mut loaded = crate::config::load(&[path]);
        let secrets = Some(Secrets { directory: Some(folder.to_owned()) });
        add(
            &mut loaded,
            &Around { today: TODAY, secrets, certificates: true, sign_ins: Vec::new() },
        );
        let errors = loaded.problems.iter().filter(|it| it.severity == Severity::Error);
        assert_eq!(errors.collect::<Vec<_>>(), Vec::<&Problem>::new(), "{yaml}");
        loaded
    }

    #[test]
    fn each_rule_finds_its_failing_example_and_not_the_passing_one() {
        let home = home();
        for rule in RULES {
            let found = linted(home.path(), rule.failing).problems;
            let of_rule: Vec<&Problem> =
                found.iter().filter(|problem| problem.rule == Some(rule.id)).collect();
            assert!(!of_rule.is_empty(), "{} finds nothing in its example: {found:#?}", rule.id);
            for problem in &of_rule {
                assert_eq!(problem.severity, rule.severity, "{problem}");
                assert!(problem.line > 1 && !problem.hint.is_empty(), "{problem}");
            }
            // Nobody learns from an example that has other faults, notes apart.
            let passing = linted(home.path(), rule.passing).problems;
            let others = |problem: &&Problem| problem.severity == Severity::Warning;
            let faults: Vec<&Problem> = passing.iter().filter(others).collect();
            assert_eq!(faults, Vec::<&Problem>::new(), "{}", rule.id);
            assert!(passing.iter().all(|problem| problem.rule != Some(rule.id)), "{}", rule.id);
        }
    }

    #[test]
    fn rules_stand_by_name_and_once() {
        assert!(RULES.windows(2).all(|pair| pair[0].id < pair[1].id));
    }

    #[test]
    fn each_finding_can_be_allowed() {
        let home = home();
        for rule in RULES.iter().filter(|rule| rule.id != "bad-allow" && rule.id != "stale-allow") {
            let yaml = format!("x-allow: {{{}: it is meant}}\n{}", rule.id, rule.failing);
            let loaded = linted(home.path(), &yaml);
            assert!(loaded.problems.iter().all(|it| it.rule != Some(rule.id)), "{}", rule.id);
            assert!(
                loaded.allowed.iter().any(|it| it.problem.rule == Some(rule.id)),
                "{}",
                rule.id
            );
        }
    }

    #[test]
    fn many_findings_are_counted() {
        let servers: String =
            (0..130).map(|number| format!("  s{number}: {{type: sendmail}}\n")).collect();
        let home = home();
        let loaded = linted(home.path(), &format!("smtp:\n{servers}"));
        let of_rule = |it: &&Problem| it.rule == Some("unused-object");
        assert_eq!(loaded.problems.iter().filter(of_rule).count(), TOLD_PER_RULE_MAX + 1);
        let last = loaded.problems.iter().find(|it| it.message.contains("30 more"));
        assert!(last.is_some_and(|it| it.line > 1), "{last:?}");
    }

    #[test]
    fn what_is_allowed_hides_nothing() {
        let allowed = "  # postroom: allow unused-object for emergencies\n";
        let server = |number| format!("  s{number}: {{type: sendmail}}\n");
        let servers: String =
            (0..130)
                .map(|number| {
                    if number < 120 {
                        format!("{allowed}{}", server(number))
                    } else {
                        server(number)
                    }
                })
                .collect();
        let loaded = linted(home().path(), &format!("smtp:\n{servers}"));
        let of_rule = |it: &&Problem| it.rule == Some("unused-object");
        assert_eq!(loaded.problems.iter().filter(of_rule).count(), 10);
        assert_eq!(loaded.allowed.len(), 120);
    }

    const SIGNED_IN: &str = "oauth2:\n\
        \x20 sealKey: {env: SEAL}\n\
        \x20 profiles: {m365: {provider: microsoft, clientId: a, grant: deviceCode}}\n\
        mailAccounts:\n\
        \x20 desk: {type: graph, oauth2Profile: m365, username: a@b.test, dispatch: {by: recipient}, afterFetch: keep}\n\
        smtp:\n\
        \x20 relay: {type: smtptls, auth: {username: a@b.test, oauth2Profile: m365}}\n\
        senders: {default: {from: a@b.test, via: [relay]}}\n";

    #[track_caller]
    fn check_sign_in(server: bool, name: &str, profile: &str, days: i64, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desk.yaml");
        std::fs::write(&path, format!("version: 1\n{SIGNED_IN}")).unwrap();
        let mut loaded = crate::config::load(&[path]);
        let ends = jiff::civil::date(2026, 12, 1);
        let (name, profile) = (name.to_owned(), profile.to_owned());
        let sign_ins = vec![SignIn { server, name, profile, ends, days }];
        add(&mut loaded, &Around { today: TODAY, secrets: None, certificates: false, sign_ins });
        let of_rule = loaded.problems.iter().filter(|it| it.rule == Some("near-its-end"));
        let told: Vec<String> = of_rule
            .map(|it| {
                format!(
                    "{}: {} {}: {}; {}",
                    it.line,
                    it.path,
                    it.severity.label(),
                    it.message,
                    it.hint
                )
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn sign_ins_that_a_daemon_knows() {
        let desk = "6: mailAccounts.desk.oauth2Profile warning: the sign-in ends in 26 days \
                    (2026-12-01); sign in: `postroom oauth login m365 --account desk`";
        check_sign_in(false, "desk", "m365", 26, &[desk]);
        let relay = "8: smtp.relay.auth.oauth2Profile warning: the sign-in ends in 7 days \
                     (2026-12-01); sign in now: `postroom oauth login m365 --smtp relay`";
        check_sign_in(true, "relay", "m365", 7, &[relay]);
        // Of what the files do not declare, or declare otherwise, nothing is said.
        check_sign_in(false, "relay", "m365", 7, &[]);
        check_sign_in(false, "desk", "other", 7, &[]);
    }

    #[test]
    fn files_that_do_not_load_are_not_judged() {
        let mut loaded = crate::config::load_saved(&[("a.yaml".into(), "version: 2\n".into())]);
        let before = loaded.problems.clone();
        add(
            &mut loaded,
            &Around { today: TODAY, secrets: None, certificates: false, sign_ins: Vec::new() },
        );
        assert_eq!(loaded.problems, before);
    }
}

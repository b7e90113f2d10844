//! Allowances that say nothing, or that are no longer needed.

use super::{Rule, hint_of_rules, rule};
use crate::config::allow::Allowance;
use crate::config::places::Places;
use crate::config::{Loaded, Problem, Severity};

/// An allowance that allows nothing.
pub const RULE: Rule = Rule {
    id: "stale-allow",
    severity: Severity::Note,
    title: "an allowance that allows nothing",
    about: "What it allowed is gone, or stands elsewhere now. Remove it, so that it does not hide \
            the next finding. Rules that look at secrets and days may find nothing on one machine \
            and something on another; their allowances are left alone.",
    failing: "queues:\n\
              \x20 # postroom: allow disabled-queue until the team has moved\n\
              \x20 support: {}\n",
    passing: "queues:\n\
              \x20 support: {}\n",
    find: None,
};

/// An allowance that is none.
pub const BAD: Rule = Rule {
    id: "bad-allow",
    severity: Severity::Warning,
    title: "an allowance without a reason, or of no rule",
    about: "Write the name of a rule and a reason: `# postroom: allow RULE because of this`. \
            Without both nothing is allowed.",
    failing: "queues:\n\
              \x20 # postroom: allow disabled-queue\n\
              \x20 support: {}\n",
    passing: "queues: {old: {state: disabled}}\n\
              filters:\n\
              \x20 # postroom: allow disabled-queue the last mails shall stay together\n\
              \x20 printers: {order: 1, match: [{header: Subject, regex: printer}], set: {queue: old}}\n",
    find: None,
};

/// Rules whose findings depend on the machine and the day.
const NOT_EVERYWHERE: [&str; 3] = ["secret-missing", "secret-readable", "near-its-end"];

/// What is wrong with the allowances of these files, once all rules were heard.
pub fn find(loaded: &Loaded, allowances: &[Allowance], places: &Places<'_>) -> Vec<Problem> {
    allowances.iter().filter_map(|allowance| judge(loaded, places, allowance)).collect()
}

fn judge(loaded: &Loaded, places: &Places<'_>, allowance: &Allowance) -> Option<Problem> {
    let problem = |of: &Rule, message: String, hint: String| Problem {
        severity: of.severity,
        file: allowance.file.clone(),
        line: allowance.line,
        column: 1,
        path: String::new(),
        message,
        hint,
        rule: Some(of.id),
    };
    let name = &allowance.rule;
    if rule(name).is_none() {
        let message = format!("allows {name:?}, which is no rule");
        return Some(problem(&BAD, message, hint_of_rules(name)));
    }
    if allowance.reason.is_empty() {
        let message = format!("allows {name:?} without a reason");
        return Some(problem(&BAD, message, "write the reason behind the rule".into()));
    }
    let needed = loaded.allowed.iter().any(|it| allowance.covers(&it.problem, places));
    if needed || NOT_EVERYWHERE.contains(&name.as_str()) {
        return None;
    }
    let message = format!("allows {name:?}, which finds nothing here");
    Some(problem(&RULE, message, "remove it".into()))
}

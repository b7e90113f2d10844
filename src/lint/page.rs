//! `docs/lint.md`, made from the table of rules.
//!
//! Architecture invariant: what a person reads about a rule is what the test of its examples runs.

use super::{RULES, Rule};

const PREFACE: &str = "# Lint\n\n\
<!-- Made from src/lint/; rewrite with `UPDATE=1 cargo test --test it docs`. -->\n\n\
`postroom check` first says whether the files load. If they do, it also says what is allowed and\n\
hardly meant. A *warning* ends `check --strict` with 3; a *note* never does. On the terminal\n\
`postroom check --explain mail-loop` shows what this page says, `--explain all` lists the rules.\n\n\
A finding that is meant is allowed where it stands, with a reason, by a comment on the line above\n\
the object or the value, or at the end of its line:\n\n\
```yaml\n\
smtp:\n\
\x20 # postroom: allow unused-object the second relay is for the day the first one fails\n\
\x20 spare: {type: file, directory: spare}\n\
```\n\n\
or for a whole file:\n\n\
```yaml\n\
x-allow: {deletes-mail: the mail server keeps every mail for a year}\n\
```\n\n\
An allowance without a reason, of a rule that does not exist, or that allows nothing is reported\n\
itself. Errors cannot be allowed. In SARIF what is allowed stands as a suppressed result.\n\n\
| rule | severity | finds |\n|---|---|---|\n";

/// The whole page.
pub fn page() -> String {
    let rows = RULES.iter().map(|rule| {
        let Rule { id, severity, title, .. } = rule;
        format!("| [`{id}`](#{id}) | {} | {title} |\n", severity.label())
    });
    let sections = RULES.iter().map(|rule| section(rule));
    format!("{PREFACE}{}{}", rows.collect::<String>(), sections.collect::<String>())
}

/// What the page says about one rule.
pub fn section(rule: &Rule) -> String {
    let Rule { id, severity, title, about, failing, passing, .. } = rule;
    let severity = match severity.label() {
        "note" => "A note",
        _ => "A warning",
    };
    format!(
        "\n## {id}\n\n{severity}: {title}.\n\n{about}\n\nFound:\n\n```yaml\n{failing}```\n\n\
         Not found:\n\n```yaml\n{passing}```\n"
    )
}

//! SARIF 2.1.0 (OASIS standard of 27 March 2020) for code scanning.

use serde_json::{Value, json};

use crate::config::{Loaded, Problem, Severity};
use crate::lint::{RULES, Rule};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// Rule of everything that keeps the files from being loaded.
const INVALID: &str = "invalid";

/// One run with all results; what is allowed stands there as suppressed.
pub fn log(loaded: &Loaded) -> Value {
    let found = loaded.problems.iter().map(result);
    let allowed = loaded.allowed.iter().map(|allowed| {
        let mut result = result(&allowed.problem);
        result["suppressions"] = json!([{ "kind": "inSource", "justification": allowed.reason }]);
        result
    });
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "postroom",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": found.chain(allowed).collect::<Vec<Value>>(),
        }],
    })
}

fn rules() -> Vec<Value> {
    let invalid = json!({
        "id": INVALID,
        "shortDescription": { "text": "the files cannot be loaded" },
        "defaultConfiguration": { "level": "error" },
    });
    std::iter::once(invalid).chain(RULES.iter().map(|it| rule(it))).collect()
}

fn rule(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": rule.about },
        "help": { "text": rule.about, "markdown": crate::lint::page::section(rule).trim() },
        "defaultConfiguration": { "level": rule.severity.label() },
    })
}

fn result(problem: &Problem) -> Value {
    let path = if problem.path.is_empty() { "" } else { ": " };
    let hint = if problem.hint.is_empty() { "" } else { "\nhint: " };
    let text = format!("{}{path}{}{hint}{}", problem.path, problem.message, problem.hint);
    let id = problem.rule.unwrap_or(INVALID);
    let index = RULES.iter().position(|rule| rule.id == id).map_or(0, |index| index + 1);
    json!({
        "ruleId": id,
        "ruleIndex": index,
        "level": level(problem.severity),
        "message": { "text": text },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&problem.file) },
                // Both count from 1 (sections 3.30.5 and 3.30.6).
                "region": { "startLine": problem.line.max(1), "startColumn": problem.column.max(1) },
            },
            "logicalLocations": [{ "fullyQualifiedName": problem.path }],
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// A path as a relative reference of RFC 3986.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let encoded = path.trim_start_matches("./").bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::problem;
    use super::*;
    use crate::config::Allowed;

    #[test]
    fn one_result() {
        let mut loaded = crate::config::load_saved(&[("a.yaml".into(), "version: 1\n".into())]);
        loaded.problems = vec![problem(Severity::Error)];
        let of_rule = Problem { rule: Some("idle-tls"), ..problem(Severity::Warning) };
        loaded.allowed = vec![Allowed { problem: of_rule, reason: "meant".into() }];
        let run = &log(&loaded)["runs"][0];
        let [first, second] = [&run["results"][0], &run["results"][1]];
        let place = &first["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%2Cb.yaml");
        assert_eq!(place["region"], json!({ "startLine": 3, "startColumn": 5 }));
        assert_eq!(second["suppressions"][0]["justification"], "meant");
        let index = second["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], "idle-tls");
    }
}

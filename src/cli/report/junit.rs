//! JUnit XML, as CI servers read it.

use std::collections::BTreeMap;

use crate::config::{Loaded, Severity};

/// One test case.
pub struct Case {
    /// What it belongs to: a file.
    pub class: String,
    /// What it shows.
    pub name: String,
    /// What is not as it must be; empty if all is well.
    pub failures: Vec<String>,
    /// What else there is to say.
    pub said: String,
    /// How long it took.
    pub seconds: f64,
}

/// A suite of cases.
pub fn suite(name: &str, cases: &[Case]) -> String {
    let failed = cases.iter().filter(|case| !case.failures.is_empty()).count();
    let seconds: f64 = cases.iter().map(|case| case.seconds).sum();
    let counts = format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\"", cases.len());
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n\
         \x20 <testsuite name=\"{}\" {counts} skipped=\"0\" time=\"{seconds:.3}\">\n",
        escaped(name)
    );
    cases.iter().for_each(|case| xml.push_str(&element(case)));
    xml + "  </testsuite>\n</testsuites>\n"
}

fn element(case: &Case) -> String {
    let Case { class, name, failures, said, seconds } = case;
    let (class, name) = (escaped(class), escaped(name));
    let head = format!("    <testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\"");
    if failures.is_empty() && said.is_empty() {
        return format!("{head}/>\n");
    }
    let mut body = String::new();
    if let Some(first) = failures.first() {
        let all = escaped(&failures.join("\n"));
        body += &format!("      <failure message=\"{}\">{all}</failure>\n", escaped(first));
    }
    if !said.is_empty() {
        body += &format!("      <system-out>{}</system-out>\n", escaped(said));
    }
    format!("{head}>\n{body}    </testcase>\n")
}

/// Each file is a case; its errors and warnings are failures, its notes are said.
pub fn problems(loaded: &Loaded) -> String {
    let names = loaded.files.iter().map(|(name, _)| name.as_str());
    let with_problems = loaded.problems.iter().map(|problem| problem.file.as_str());
    let mut files: BTreeMap<&str, (Vec<String>, String)> = BTreeMap::new();
    for name in names.chain(with_problems) {
        files.entry(name).or_default();
    }
    for problem in &loaded.problems {
        let (failures, said) = files.entry(&problem.file).or_default();
        match problem.severity {
            Severity::Error | Severity::Warning => failures.push(problem.to_string()),
            Severity::Note => *said += &format!("{problem}\n"),
        }
    }
    let case = |(file, (failures, said)): (&str, (Vec<String>, String))| Case {
        class: "postroom.check".into(),
        name: file.to_owned(),
        failures,
        said,
        seconds: 0.0,
    };
    suite("postroom check", &files.into_iter().map(case).collect::<Vec<_>>())
}

/// Characters that XML 1.0 does not allow are replaced (section 2.2).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written() {
        let case = |failures: &[&str]| Case {
            class: "a.yaml".into(),
            name: "<b> & \"c\"\u{1}".into(),
            failures: failures.iter().map(|it| (*it).to_owned()).collect(),
            said: String::new(),
            seconds: 0.25,
        };
        let xml = suite("tests", &[case(&[]), case(&["queue is a, not b", "more"])]);
        assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
        assert!(
            xml.contains("name=\"&lt;b&gt; &amp; &quot;c&quot;\u{fffd}\" time=\"0.250\"/>"),
            "{xml}"
        );
        assert!(
            xml.contains(
                "<failure message=\"queue is a, not b\">queue is a, not b&#10;more</failure>"
            ),
            "{xml}"
        );
    }
}

//! Templates: what they may use, and how they are filled in.
//!
//! Architecture invariant: values are data, never templates: nothing that came by mail is ever
//! compiled. A template that names something unknown fails instead of leaving a hole, and neither
//! its running time nor its result grows beyond a bound.

use std::io;
use std::sync::LazyLock;

use super::texts;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

/// Steps a template may take.
const FUEL_STEPS: u64 = 50_000;
/// Bytes a filled-in template may have.
const RESULT_BYTES_MAX: usize = 256 * 1024;
/// Characters of an error message about a template.
const ERROR_CHARS_MAX: usize = 500;

/// Fills a template in.
pub fn fill(source: &str, page: &impl Serialize) -> Result<String, String> {
    let template = ENVIRONMENT.template_from_named_str(NAME, source).map_err(said)?;
    run(&template, page)
}

/// Fills a built-in text in, by its name in [`texts::BUILT_IN`].
pub fn fill_built_in(name: &str, page: &impl Serialize) -> Option<String> {
    run(&ENVIRONMENT.get_template(name).ok()?, page).ok()
}

/// Name of a template in messages about it. Not `.html`: nothing is escaped.
const NAME: &str = "template";

/// Made once: building it costs more than filling a template in.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL_STEPS));
    for (name, source) in texts::BUILT_IN {
        environment.add_template(name, source).expect("built-in texts compile: tested below");
    }
    environment
});

fn run(template: &minijinja::Template<'_, '_>, page: &impl Serialize) -> Result<String, String> {
    let mut sheet = Sheet(Vec::with_capacity(1024));
    template.render_captured_to(Serde(page), &mut sheet).map_err(said)?;
    String::from_utf8(sheet.0).map_err(|_| "the result is no text".into())
}

/// minijinja's message with its line, on one line.
fn said(error: minijinja::Error) -> String {
    let detail = match (error.kind(), error.detail()) {
        (ErrorKind::WriteFailure, _) => "the result is longer than 256 KiB".to_owned(),
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    };
    let line = error.line().map_or_else(String::new, |line| format!("line {line}: "));
    super::clean::line(&format!("{line}{detail}"), ERROR_CHARS_MAX)
}

/// Paper of bounded size.
struct Sheet(Vec<u8>);

impl io::Write for Sheet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > RESULT_BYTES_MAX {
            return Err(io::Error::other("the result is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::sample;
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: Result<&str, &str>) {
        let filled = fill(source, &sample());
        match expected {
            Ok(text) => assert_eq!(filled.as_deref(), Ok(text)),
            Err(part) => {
                let error = filled.expect_err("this template is wrong");
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn everything_documented_can_be_named() {
        check("{{ ticket.number }} {{ ticket.queue }}", Ok("2026112210000018 support"));
        check("{{ customer.name }} at {{ desk.name }}", Ok("Eve Example at Helpdesk"));
        check("{{ article.quoted }}", Ok("> It does not print."));
    }

    #[test]
    fn a_misspelt_name_is_an_error_with_its_line() {
        check("one\n{{ ticket.numbr }}", Err("line 2"));
        check("{{ tickte.number }}", Err("line 1"));
        check("{% if %}", Err("line 1"));
    }

    #[test]
    fn nothing_is_escaped() {
        let mut page = sample();
        page.ticket.title = "<b> & 'c'".into();
        assert_eq!(fill("{{ ticket.title }}", &page).as_deref(), Ok("<b> & 'c'"));
    }

    #[test]
    fn values_are_never_templates() {
        let mut page = sample();
        page.ticket.title = "{{ desk.name }}{% for %}".into();
        assert_eq!(fill("{{ ticket.title }}", &page).as_deref(), Ok("{{ desk.name }}{% for %}"));
    }

    #[test]
    fn endless_templates_end() {
        let loops = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        check(loops, Err("fuel"));
    }

    #[test]
    fn large_results_are_refused() {
        check("{% for a in range(1000) %}{{ 'x' * 1000 }}{% endfor %}", Err("longer"));
    }
}

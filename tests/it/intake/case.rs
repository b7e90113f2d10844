//! The form of a golden file.
//!
//! ```text
//! # What it shows, in a sentence.
//! queues:                                  sections of YAML that replace those of desk/
//!   support: {followUp: {closed: reject}}
//! --- mail                                 options: account=NAME charset=NAME times=N
//! From: Eve <eve@cust.example>
//! ...
//! --- agent anna: state t1 closed successful
//! --- headers                              of the mails that the step before owes
//! --- later 31d
//! --- expected
//! ...
//! ```
//! In mails `{{number t1}}` is the number of the first ticket, `{{sent t1}}` the Message-ID of
//! the last mail that we sent about it to somebody outside, `{{told t1}}` that of the last
//! notification, `{{i}}` counts repetitions.

/// One golden file.
pub struct Case {
    /// Everything before the expectation, as written.
    given: String,
    /// YAML.
    pub config: String,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// What is expected of it.
    pub expected: String,
}

/// One thing that happens.
pub enum Step {
    /// A mail arrives.
    Mail { account: String, charset: String, times: u32, text: String },
    /// An agent does something: `state t1 open`.
    Agent { name: String, action: String },
    /// The headers of the mails that the step before owes are shown.
    Headers,
    /// Time passes: `31d`, `2h`.
    Later { hours: i64 },
}

const MARK: &str = "--- ";
const EXPECTED: &str = "--- expected\n";

impl Case {
    /// Takes a file apart.
    pub fn read(text: &str) -> Result<Case, String> {
        let (given, expected) = match text.split_once(EXPECTED) {
            Some((given, expected)) => (given.to_owned(), expected.to_owned()),
            None => (text.to_owned(), String::new()),
        };
        let mut parts: Vec<String> = vec![String::new()];
        for line in given.split_inclusive('\n') {
            if line.starts_with(MARK) {
                parts.push(String::new());
            }
            parts.last_mut().expect("there is a first part").push_str(line);
        }
        let config = parts.remove(0);
        let steps = parts.iter().map(|part| step(part)).collect::<Result<_, _>>()?;
        Ok(Case { given, config, steps, expected })
    }

    /// The file with another expectation.
    pub fn with_expected(&self, expected: &str) -> String {
        format!("{}{EXPECTED}{expected}", self.given)
    }
}

fn step(part: &str) -> Result<Step, String> {
    let (mark, text) = part.split_once('\n').unwrap_or((part, ""));
    let mark = mark.trim_start_matches(MARK).trim();
    let (kind, rest) = mark.split_once(' ').unwrap_or((mark, ""));
    match kind {
        "mail" => Ok(mail(rest, text)),
        "agent" => {
            let (name, action) = rest.split_once(": ").ok_or(format!("no action in {mark:?}"))?;
            Ok(Step::Agent { name: name.into(), action: action.into() })
        }
        "headers" => Ok(Step::Headers),
        "later" => Ok(Step::Later { hours: hours(rest).ok_or(format!("no time in {mark:?}"))? }),
        other => Err(format!("unknown step {other:?}")),
    }
}

fn mail(options: &str, text: &str) -> Step {
    let option = |name: &str| {
        let mut words = options.split_whitespace().filter_map(|word| word.split_once('='));
        words.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    Step::Mail {
        account: option("account").unwrap_or_else(|| "inbox".into()),
        charset: option("charset").unwrap_or_else(|| "utf-8".into()),
        times: option("times").map_or(1, |times| times.parse().expect("times is a number")),
        text: text.into(),
    }
}

fn hours(text: &str) -> Option<i64> {
    let (count, factor) = match (text.strip_suffix('d'), text.strip_suffix('h')) {
        (Some(days), _) => (days, 24),
        (None, Some(hours)) => (hours, 1),
        (None, None) => return None,
    };
    Some(count.parse::<i64>().ok()? * factor)
}

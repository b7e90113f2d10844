//! Texts that stand in files of their own.

use std::collections::BTreeMap;

use crate::config::Home;
use crate::config::files::Files;
use crate::config::problem::{Findings, Scope};
use crate::config::spec::auto_reply::Texts as Written;
use crate::config::spec::text::{Template, TextOr};
use crate::config::spec::words;
use crate::config::unite::United;
use crate::core::config;
use crate::core::render;

use super::value;

/// Texts that stand in files, by document and path as written.
pub type Texts = BTreeMap<(usize, String), String>;

/// Reads all text files that are referred to; what cannot be read is reported.
pub fn read(united: &United<'_>, homes: &[Home], files: &mut Files, findings: &Findings) -> Texts {
    let mut texts = Texts::new();
    let top = Scope::top(findings, None);
    let mut object = |section: &'static str, name: &str, key: &str, written: &Written| {
        let home = united.home(section, name).or_else(|| united.home(section, ""));
        let Some(document) = home else { return };
        for (language, template) in written {
            let TextOr::Other(file) = template else { continue };
            match files.text(homes[document].file, &file.file) {
                Ok(text) => {
                    texts.insert((document, file.file.clone()), text);
                }
                Err(unread) => {
                    let (section, name) = (top.at(section), name);
                    let (object, language) = (section.at(name), label(*language));
                    object.at(key).at(language).at("file").error(unread.message, unread.hint);
                }
            }
        }
    };
    for (name, reply) in &united.auto_replies {
        object("autoReplies", name, "subject", &reply.subject);
        object("autoReplies", name, "text", &reply.text);
    }
    for (name, queue) in &united.queues {
        queue.answer.iter().for_each(|answer| object("queues", name, "answer", answer));
    }
    let defaults = united.defaults.queues.as_ref();
    if let Some(answer) = defaults.and_then(|queues| queues.answer.as_ref()) {
        object("defaults", "queues", "answer", answer);
    }
    for (event, notification) in &united.notifications {
        object("notifications", event.0.label(), "subject", &notification.subject);
        object("notifications", event.0.label(), "text", &notification.text);
    }
    texts
}

/// Templates of an object, each tried; broken ones are reported.
pub fn templates(
    texts: &Texts,
    document: Option<usize>,
    written: &Written,
    scope: &Scope<'_>,
) -> config::Texts {
    tried(texts, document, written, scope, render::try_template)
}

/// Templates of answers: each has a place for what the agent writes.
pub fn answers(
    texts: &Texts,
    document: Option<usize>,
    written: &Written,
    scope: &Scope<'_>,
) -> config::Texts {
    tried(texts, document, written, scope, render::try_answer)
}

fn tried(
    texts: &Texts,
    document: Option<usize>,
    written: &Written,
    scope: &Scope<'_>,
    attempt: fn(&str) -> Result<(), String>,
) -> config::Texts {
    let one = |(language, template): (&words::Language, &Template)| {
        let scope = scope.at(label(*language));
        let text = match template {
            TextOr::Plain(text) => text.clone(),
            // A file that could not be read was reported when it was.
            TextOr::Other(file) => texts.get(&(document?, file.file.clone()))?.clone(),
        };
        if text.trim().is_empty() {
            scope.error("is empty", "");
        }
        if let Err(reason) = attempt(&text) {
            scope.error(format!("is not a usable template: {reason}"), "");
        }
        Some((value::language(*language), text))
    };
    written.iter().filter_map(one).collect()
}

fn label(language: words::Language) -> &'static str {
    match language {
        words::Language::En => "en",
        words::Language::Ja => "ja",
    }
}

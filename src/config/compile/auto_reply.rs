//! `autoReplies` and `notifications`.

use std::collections::BTreeMap;

use super::{Context, text, value};
use crate::config::problem::{Scope, hint_of_names};
use crate::config::spec;
use crate::config::unite::Declared;
use crate::core::address::Address;
use crate::core::config::{AutoReply, NotificationText};
use crate::core::notify::EventKind;

/// An automatic answer.
pub fn auto_reply(
    context: &Context<'_>,
    name: &str,
    spec: &spec::AutoReply,
    scope: &Scope<'_>,
) -> Option<AutoReply> {
    let document = context.united.home("autoReplies", name);
    let subject = text::templates(context.texts, document, &spec.subject, &scope.at("subject"));
    for (language, template) in &spec.subject {
        if let spec::text::TextOr::Plain(line) = template
            && line.contains(['\n', '\r'])
        {
            let language = if *language == spec::words::Language::Ja { "ja" } else { "en" };
            scope.at("subject").at(language).error("must be one line", "");
        }
    }
    let text = text::templates(context.texts, document, &spec.text, &scope.at("text"));
    let envelope = spec.envelope_from.as_ref();
    let envelope_from = envelope.and_then(|a| value::address(a, &scope.at("envelopeFrom")));
    let from = from(context, &spec.from, &scope.at("from"))?;
    let state = value::switch(spec.state);
    Some(AutoReply { name: name.to_owned(), from, envelope_from, subject, text, state })
}

/// The sender of an automatic answer is an address of ours, so that the answer to it comes back.
fn from(context: &Context<'_>, written: &str, scope: &Scope<'_>) -> Option<Address> {
    let address = value::address(written, scope)?;
    let declared = &context.united.system_addresses;
    let same = |key: &str| key.trim().eq_ignore_ascii_case(address.as_str());
    let left_out = context.united.left_out("systemAddresses").any(same);
    // The quick look first: keys are mostly written as they are compared.
    if !declared.contains_key(address.as_str()) && !declared.keys().any(|k| same(k)) && !left_out {
        let names = declared.keys().copied();
        let hint = hint_of_names("system address", written, names);
        scope.error("is not one of systemAddresses", hint);
    }
    Some(address)
}

/// Texts that replace the built-in ones.
pub fn notifications(
    context: &Context<'_>,
    top: &Scope<'_>,
) -> BTreeMap<EventKind, NotificationText> {
    let section = top.at("notifications");
    let one = |(event, spec): (&spec::words::EventName, &Declared<'_, spec::Notification>)| {
        let scope = section.at(event.0.label());
        let document = Some(spec.document);
        let subject = text::templates(context.texts, document, &spec.subject, &scope.at("subject"));
        let text = text::templates(context.texts, document, &spec.text, &scope.at("text"));
        (event.0, NotificationText { subject, text })
    };
    context.united.notifications.iter().map(one).collect()
}

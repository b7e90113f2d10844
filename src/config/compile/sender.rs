//! `senders`.

use super::{Context, value};
use crate::config::problem::Scope;
use crate::config::spec;
use crate::core::address::Address;
use crate::core::config::Sender;

/// Who outgoing mail comes from.
pub fn sender(
    context: &Context<'_>,
    name: &str,
    spec: &spec::Sender,
    scope: &Scope<'_>,
) -> Option<Sender> {
    let via = scope.at("via");
    for (index, server) in spec.via.iter().enumerate() {
        let index = index.to_string();
        context.must_exist("smtp server", "smtp", &context.united.smtp, server, &via.at(&index));
    }
    let envelope = spec.envelope_from.as_ref();
    let envelope_from = envelope.and_then(|text| value::address(text, &scope.at("envelopeFrom")));
    let (from_name, from) = mailbox(&spec.from, &scope.at("from"))?;
    Some(Sender {
        name: name.to_owned(),
        from_name,
        from,
        envelope_from,
        via: spec.via.clone(),
        state: value::switch(spec.state),
    })
}

/// `Name <address>`, or the address alone; the name may stand in quotes.
fn mailbox(text: &str, scope: &Scope<'_>) -> Option<(String, Address)> {
    let (name, address) = match text.trim().strip_suffix('>').and_then(|t| t.rsplit_once('<')) {
        Some((name, address)) => (name.trim().trim_matches('"').trim(), address),
        None => ("", text),
    };
    if name.chars().any(char::is_control) {
        scope.error("holds a line end or another control character", "");
        return None;
    }
    let address = Address::parse(address);
    if address.is_none() {
        scope.error("is not a mail address", "write name@example.com or `Name <name@example.com>`");
    }
    Some((name.to_owned(), address?))
}

//! Defaults and examples, for people who fill in a file in an editor.
//!
//! The default of a key is said once, in its description; here it becomes `default` as well. A key
//! without one has an example.
//!
//! Architecture invariant: adds words for people only; what is valid does not change.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::config::document;

/// Begins the default in a description; a backtick ends it.
const DEFAULT: &str = "Default `";

/// Examples of keys that have no default, by name of the key.
const EXAMPLES: &[(&str, &str)] = &[
    ("account", "support"),
    ("address", "'.*@vip\\.example'"),
    ("agent", "alice"),
    ("appScopes", "[https://graph.example/.default]"),
    ("attachmentName", "'^invoice.*\\.pdf$'"),
    ("authUrl", "https://login.example/authorize"),
    ("authservId", "mx.example.com"),
    ("autoRepliesPerDay", "40"),
    ("autoRepliesPerHour", "1000"),
    ("autoRepliesPerSubject", "2"),
    ("autoRepliesPerThreeHours", "10"),
    ("autoRepliesPerTicket", "5"),
    ("autoReply", "thanks"),
    ("body", "'order [0-9]+'"),
    ("ca", "/etc/ssl/example-root.pem"),
    ("channels", "[mail]"),
    ("clientCert", "/run/secrets/client.pem"),
    ("clientId", "{env: M365_ID}"),
    ("clientKey", "/run/secrets/client.key"),
    ("comment", "kept for the audit"),
    ("company", "ACME"),
    ("connectTimeout", "60s"),
    ("connections", "2"),
    ("connectionsPerHost", "8"),
    ("customer", "eve@customer.example"),
    ("deviceUrl", "https://login.example/devicecode"),
    ("digest", "daily 08:00"),
    ("directory", "/var/lib/postroom/outgoing"),
    ("due", "[notification to alice@example.com]"),
    ("email", "alice@example.com"),
    ("env", "SMTP_PASSWORD"),
    ("envelopeFrom", "bounce@example.com"),
    ("events", "[ticketCreated, followUpUnlocked]"),
    ("expires", "2027-06-30"),
    ("file", "texts/thanks.en.txt"),
    ("filters", "[vip]"),
    ("followUp", "noted"),
    ("from", "support@example.com"),
    ("header", "Subject"),
    ("heloName", "desk.example.com"),
    ("host", "mail.example.com"),
    ("issuer", "https://id.example"),
    ("later", "2d"),
    ("lockTimeout", "2d"),
    ("mailbox", "desk@example.com"),
    ("match", "[{header: Subject, regex: printer}]"),
    ("maxSize", "32MiB"),
    ("moved", "[{kind: queue, from: old, to: new}]"),
    ("name", "ACME Helpdesk"),
    ("new", "thanks"),
    ("newTicket", "renewed"),
    ("note", "called back"),
    ("notificationsPerHour", "100"),
    ("notified", "[alice]"),
    ("oauth2Profile", "m365"),
    ("order", "100"),
    ("owed", "[autoReply to eve@customer.example]"),
    ("owner", "alice"),
    ("path", "/var/mail/desk/Maildir"),
    ("pendingTime", "+2h"),
    ("pollInterval", "10m"),
    ("port", "993"),
    ("proofValidFor", "90d"),
    ("provider", "microsoft"),
    ("queue", "support"),
    ("queues", "[support, sales]"),
    ("refreshTokenLife", "90d"),
    ("regex", "'^\\[ad\\]'"),
    ("reject", "closed"),
    ("reopenWithin", "30d"),
    ("reply", "Done."),
    ("responsible", "bob"),
    ("schedule", "'*/5 8-18 * * 1-5'"),
    ("scopes", "[offline_access, IMAP.AccessAsUser.All]"),
    ("secret", "smtp"),
    ("secretExpires", "2027-06-30"),
    ("sender", "default"),
    ("serverName", "mx.example.com"),
    ("sha256", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ("since", "2026-11-01"),
    ("steps", "[{later: 2d}]"),
    ("suppressed", "mailingList"),
    ("tenant", "contoso.example"),
    ("tests", "[{name: a mail, mail: {file: tests/a.eml, account: support}}]"),
    ("text", "\"From: eve@customer.example\\nSubject: Hello\\n\\nText\\n\""),
    ("ticket", "1"),
    ("timeZone", "Asia/Tokyo"),
    ("timeout", "60s"),
    ("title", "'Order {{ number }}'"),
    ("to", "support"),
    ("tokenUrl", "https://login.example/token"),
    ("url", "https://chat.example/hooks/desk"),
    ("userClaim", "email"),
    ("username", "support@example.com"),
    ("version", "1"),
    ("via", "[relay, backup]"),
];

/// Adds what can be added, to every key of every definition.
pub(super) fn annotate(schema: &mut Value) {
    let objects = objects(schema);
    keys(schema, &objects);
    let definitions = schema.get_mut("definitions").and_then(Value::as_object_mut);
    definitions.into_iter().flatten().for_each(|(_, definition)| keys(definition, &objects));
}

/// Takes away the descriptions of types that stand only behind keys with one of their own.
pub(super) fn leave_to_keys(schema: &mut Value) {
    let whole = schema.clone();
    let mut bare = BTreeSet::new();
    references(&whole, false, &mut bare);
    let definitions = schema.get_mut("definitions").and_then(Value::as_object_mut);
    for (name, definition) in definitions.into_iter().flatten() {
        if let Some(definition) = definition.as_object_mut().filter(|_| !bare.contains(name)) {
            definition.shift_remove("description");
        }
    }
}

/// Names of types that something refers to without a description.
fn references(schema: &Value, described: bool, bare: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            let own = map.get("description").is_some_and(Value::is_string);
            let name = map.get("$ref").and_then(Value::as_str);
            if let Some(name) = name.filter(|_| !described && !own) {
                bare.insert(name.rsplit('/').next().unwrap_or_default().to_owned());
            }
            for (key, value) in map {
                let behind = own && (key == "allOf" || key == "anyOf");
                references(value, behind, bare);
            }
        }
        Value::Array(list) => list.iter().for_each(|item| references(item, described, bare)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// References to types that are maps of keys: they show by themselves what they hold.
fn objects(schema: &Value) -> BTreeSet<String> {
    let definitions = schema.get("definitions").and_then(Value::as_object);
    let maps = definitions.into_iter().flatten().filter(|(_, it)| it.get("properties").is_some());
    maps.map(|(name, _)| format!("#/definitions/{name}")).collect()
}

fn leads_to(property: &Map<String, Value>, objects: &BTreeSet<String>) -> bool {
    let first = property.get("allOf").and_then(|all| all.get(0)).and_then(|it| it.get("$ref"));
    let name = property.get("$ref").or(first).and_then(Value::as_str);
    name.is_some_and(|name| objects.contains(name))
}

fn keys(definition: &mut Value, objects: &BTreeSet<String>) {
    let properties = definition.get_mut("properties").and_then(Value::as_object_mut);
    for (key, property) in properties.into_iter().flatten() {
        let description = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let stated = description.split_once(DEFAULT).and_then(|(_, rest)| rest.split_once('`'));
        // Where several words follow, the first alone is not the default.
        let stated = stated.filter(|(_, after)| !after.starts_with(','));
        let stated = stated.and_then(|(text, _)| read(text));
        let Some(property) = property.as_object_mut() else { continue };
        if let Some(default) = stated {
            property.insert("default".to_owned(), default);
        } else if let Some(example) = example(key).filter(|_| !leads_to(property, objects)) {
            property.insert("examples".to_owned(), json!([example]));
        }
    }
}

fn example(key: &str) -> Option<Value> {
    let (_, text) = EXAMPLES.iter().find(|(known, _)| *known == key)?;
    read(text)
}

fn read(yaml: &str) -> Option<Value> {
    document::parse(yaml).ok()?.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    /// What a property leads to.
    fn target<'a>(schema: &'a Value, property: &'a Value) -> &'a Value {
        let only = |key: &str| match property.get(key).and_then(Value::as_array)?.as_slice() {
            [one] => Some(one),
            _ => None,
        };
        if let Some(name) = property.get("$ref").and_then(Value::as_str) {
            let name = name.rsplit('/').next().unwrap();
            return target(schema, &schema["definitions"][name]);
        }
        only("allOf").or(only("anyOf")).map_or(property, |one| target(schema, one))
    }

    /// Whether an editor shows by itself what may stand there.
    fn speaks_for_itself(schema: &Value, property: &Value) -> bool {
        let target = target(schema, property);
        let has = |key: &str| target.get(key).is_some();
        has("enum")
            || has("oneOf")
            || has("properties")
            || has("additionalProperties")
            || target["type"] == "boolean"
    }

    #[test]
    fn every_key_has_a_description_and_a_default_or_an_example() {
        let schema = schema();
        let definitions = schema["definitions"].as_object().unwrap();
        let mut missing = Vec::new();
        for (name, definition) in
            definitions.iter().map(|(n, d)| (n.as_str(), d)).chain([("", &schema)])
        {
            for (key, property) in definition["properties"].as_object().into_iter().flatten() {
                let shown = property.get("default").or(property.get("examples")).is_some();
                if property.get("description").is_none()
                    || !shown && !speaks_for_itself(&schema, property)
                {
                    missing.push(format!("{name}.{key}"));
                }
            }
        }
        assert_eq!(missing, Vec::<String>::new(), "add an example to the table");
    }

    #[test]
    fn examples_stand_by_name() {
        assert!(EXAMPLES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (key, text) in EXAMPLES {
            assert!(example(key).is_some(), "{key}: {text}");
        }
    }

    #[test]
    fn defaults_come_from_the_description() {
        let schema = schema();
        let account = &schema["definitions"]["MailAccount"]["properties"];
        assert_eq!(account["folder"]["default"], "INBOX");
        assert_eq!(account["dispatch"]["default"], json!({ "by": "recipient" }));
        assert_eq!(account["trusted"]["default"], false);
        assert_eq!(schema["definitions"]["Desk"]["properties"]["systemId"]["default"], "10");
    }
}

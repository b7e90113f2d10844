//! Zammad: groups, addresses, channels, postmaster filters, agents.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Carried;
use super::export::{Export, Row};
use super::words;
use crate::cli::Failure;

/// Between two filters, so that others find room.
const ORDER_STEP: usize = 10;

/// Names by identity.
type Names = BTreeMap<i64, String>;

/// Everything that can be carried.
pub fn carry(export: &mut Export) -> Result<Carried, Failure> {
    let mut carried = Carried::default();
    let groups = groups(export, &mut carried)?;
    let channels = channels(export, &mut carried, &groups)?;
    addresses(export, &mut carried, &channels)?;
    filters(export, &mut carried, &groups)?;
    users(export, &mut carried)?;
    carried.note("triggers, macros, SLAs, templates and signatures are not carried");
    carried.note("automatic answers are triggers there: write them under `autoReplies`");
    Ok(carried)
}

fn groups(export: &mut Export, carried: &mut Carried) -> Result<Names, Failure> {
    let mut names = Names::new();
    for row in export.table("groups")? {
        let mut queue = json!({});
        match row.text("follow_up_possible").as_str() {
            "new_ticket" => queue["followUp"] = json!({ "closed": "newTicket" }),
            "new_ticket_after_certain_time" => {
                let days = row.id("reopen_time_in_days").unwrap_or(0);
                queue["followUp"] =
                    json!({ "closed": "reopen", "reopenWithin": format!("{days}d") });
            }
            _ => {}
        }
        active(&row, &mut queue);
        let name = carried.put("queues", &words::name(&row.text("name")), queue);
        names.extend(row.id("id").map(|id| (id, name)));
    }
    Ok(names)
}

fn active(row: &Row, object: &mut Value) {
    if !row.yes("active") {
        object["state"] = "disabled".into();
    }
}

/// Inbound becomes an account, outbound a server. Answers with the queue of each channel.
fn channels(export: &mut Export, carried: &mut Carried, groups: &Names) -> Result<Names, Failure> {
    let mut queues = Names::new();
    for row in export.table("channels")? {
        let area = row.text("area");
        if area != "Email::Account" {
            carried.note(format!("channel of {area}: is not carried"));
            continue;
        }
        let queue = row.id("group_id").and_then(|id| groups.get(&id));
        if let (Some(id), Some(queue)) = (row.id("id"), queue) {
            queues.insert(id, queue.clone());
        }
        let options = row.json("options");
        account(&row, &options["inbound"], queue, carried);
        server(&options["outbound"], carried);
    }
    Ok(queues)
}

fn account(row: &Row, inbound: &Value, queue: Option<&String>, carried: &mut Carried) {
    let options = &inbound["options"];
    let text = |key: &str| options[key].as_str().unwrap_or_default().to_owned();
    let (user, host) = (text("user"), text("host"));
    let encrypted = match &options["ssl"] {
        Value::Bool(ssl) => *ssl,
        Value::String(word) => word != "off" && word != "starttls",
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => true,
    };
    let starttls = options["ssl"] == "starttls";
    let adapter = inbound["adapter"].as_str().unwrap_or_default();
    let kind = match (adapter, encrypted, starttls) {
        ("imap", true, _) => "imaps",
        ("imap", false, true) => "imaptls",
        ("imap", false, false) => "imap",
        ("pop3", true, _) => "pop3s",
        ("pop3", false, true) => "pop3tls",
        ("pop3", false, false) => "pop3",
        _ => {
            carried.note(format!("inbound channel {user}: {adapter:?} is not carried"));
            return;
        }
    };
    let secret = words::secret(&user);
    let mut account = json!({
        "type": kind,
        "host": host,
        "username": user,
        "password": { "secret": secret },
    });
    let port = options["port"].as_u64().or_else(|| text("port").parse().ok());
    if let Some(port) = port {
        account["port"] = port.into();
    }
    let folder = text("folder");
    if adapter == "imap" && !folder.is_empty() && folder != "INBOX" {
        account["folder"] = folder.into();
    }
    account["dispatch"] = match queue {
        Some(queue) => json!({ "by": "queue", "queue": queue }),
        None => json!({ "by": "recipient" }),
    };
    let keeps = options["keep_on_server"] == true || options["keep_on_server"] == "true";
    account["afterFetch"] = match (keeps, adapter) {
        (true, "imap") => "seen".into(),
        (true, _) => "keep".into(),
        (false, _) => "delete".into(),
    };
    active(row, &mut account);
    let name = words::name(&user.replace('@', "-at-"));
    let name = carried.put("mailAccounts", &name, account);
    carried.note(format!("account {name}: put its password into the secret {secret:?}"));
}

/// The first server becomes the one that everything is sent through.
fn server(outbound: &Value, carried: &mut Carried) {
    let options = &outbound["options"];
    let text = |key: &str| options[key].as_str().unwrap_or_default().to_owned();
    let host = text("host");
    if outbound["adapter"] != "smtp" || host.is_empty() {
        return;
    }
    let same = |server: &Value| server["host"] == host.as_str();
    let servers = carried.sections.get("smtp").and_then(Value::as_object);
    if servers.is_some_and(|servers| servers.values().any(same)) {
        return;
    }
    let port = options["port"].as_u64().or_else(|| text("port").parse().ok()).unwrap_or(587);
    let kind = match port {
        465 => "smtps",
        25 => "smtp",
        _ => "smtptls",
    };
    let mut server = json!({ "type": kind, "host": host, "port": port });
    let user = text("user");
    if !user.is_empty() {
        let secret = format!("smtp-{}", words::secret(&user));
        carried.note(format!("smtp {host}: put its password into the secret {secret:?}"));
        server["auth"] = json!({ "username": user, "password": { "secret": secret } });
    }
    carried.put("smtp", &words::name(&host), server);
}

fn addresses(export: &mut Export, carried: &mut Carried, channels: &Names) -> Result<(), Failure> {
    let mut first = None;
    for row in export.table("email_addresses")? {
        let address = row.text("email").to_lowercase();
        let name = [row.text("name"), row.text("realname")];
        let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        let Some(queue) = row.id("channel_id").and_then(|id| channels.get(&id)) else {
            carried.note(format!("address {address}: its channel leads to no group"));
            continue;
        };
        let mut object = json!({ "name": name, "queue": queue });
        active(&row, &mut object);
        let address = carried.put("systemAddresses", &address, object);
        first.get_or_insert(address);
    }
    let servers = carried.sections.get("smtp").and_then(Value::as_object);
    let servers: Vec<String> = servers.into_iter().flat_map(|it| it.keys().cloned()).collect();
    if let (Some(from), false) = (first, servers.is_empty()) {
        carried.put("senders", "default", json!({ "from": from, "via": servers }));
        carried.note("senders.default sends as the first address: look whether that is meant");
    }
    Ok(())
}

fn filters(export: &mut Export, carried: &mut Carried, groups: &Names) -> Result<(), Failure> {
    let mut rows = export.table("postmaster_filters")?;
    // Zammad runs them by name.
    rows.sort_by_key(|row| row.text("name"));
    for (index, row) in rows.iter().enumerate() {
        let name = words::name(&row.text("name"));
        match filter(&name, row, carried, groups) {
            Some(mut filter) => {
                filter["order"] = ((index + 1) * ORDER_STEP).into();
                active(row, &mut filter);
                carried.put("filters", &name, filter);
            }
            None => carried.note(format!("filter {name}: is not carried")),
        }
    }
    Ok(())
}

fn filter(name: &str, row: &Row, carried: &mut Carried, groups: &Names) -> Option<Value> {
    let mut conditions = Vec::new();
    for (header, test) in row.json("match").as_object()? {
        conditions.push(condition(name, header, test, carried)?);
    }
    let mut set = json!({});
    for (key, value) in row.json("perform").as_object()? {
        let value = value.get("value").unwrap_or(value);
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match key.to_lowercase().as_str() {
            "x-zammad-ticket-group_id" => {
                match text.parse().ok().and_then(|id: i64| groups.get(&id)) {
                    Some(queue) => set["queue"] = queue.as_str().into(),
                    None => {
                        carried.note(format!("filter {name}: group {text} is not in the export"))
                    }
                }
            }
            "x-zammad-ticket-title" => set["title"] = text.into(),
            "x-zammad-ignore" => set["ignore"] = (text == "true" || text == "yes").into(),
            "x-zammad-ticket-priority_id" => match text.as_str() {
                "1" => set["priority"] = "2 low".into(),
                "2" => set["priority"] = "3 normal".into(),
                "3" => set["priority"] = "4 high".into(),
                _ => carried.note(format!("filter {name}: priority {text} is left out")),
            },
            _ => carried.note(format!("filter {name}: {key} is left out")),
        }
    }
    if conditions.is_empty() {
        return None;
    }
    let mut filter = json!({ "order": 0, "match": conditions });
    if set.as_object().is_some_and(|set| !set.is_empty()) {
        filter["set"] = set;
    }
    Some(filter)
}

fn condition(name: &str, header: &str, test: &Value, carried: &mut Carried) -> Option<Value> {
    let value = test["value"].as_str().unwrap_or_default();
    let (source, not) = match test["operator"].as_str().unwrap_or("contains") {
        "contains" => (regex::escape(value), false),
        "contains not" => (regex::escape(value), true),
        "is" => (format!("^{}$", regex::escape(value)), false),
        "is not" => (format!("^{}$", regex::escape(value)), true),
        "starts with" => (format!("^{}", regex::escape(value)), false),
        "ends with" => (format!("{}$", regex::escape(value)), false),
        "matches regex" => (value.to_owned(), false),
        "does not match regex" => (value.to_owned(), true),
        other => {
            carried.note(format!("filter {name}: operator {other:?} cannot be used"));
            return None;
        }
    };
    if let Err(reason) = words::expression(&source) {
        carried.note(format!("filter {name}: the expression of {header} cannot be used: {reason}"));
        return None;
    }
    let mut condition = match header.to_lowercase().as_str() {
        "body" => json!({ "body": source }),
        _ => json!({ "header": header, "regex": source }),
    };
    if not {
        condition["not"] = true.into();
    }
    Some(condition)
}

fn users(export: &mut Export, carried: &mut Carried) -> Result<(), Failure> {
    for row in export.table("users")? {
        let (login, email) = (row.text("login"), row.text("email"));
        if email.is_empty() {
            carried.note(format!("user {login}: has no address and is not carried"));
            continue;
        }
        let full = format!("{} {}", row.text("firstname"), row.text("lastname"));
        let mut user = json!({ "email": email, "name": full.trim() });
        active(&row, &mut user);
        carried.put("users", &words::name(&login), user);
    }
    carried.note("what users want to be told is not carried: add `subscriptions`, and roles");
    Ok(())
}

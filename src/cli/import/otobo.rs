//! OTOBO: accounts, queues, system addresses, filters, auto-replies, agents, customers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Carried;
use super::export::{Export, Row};
use super::words;
use crate::cli::Failure;
use crate::core::notify::EventKind;

/// Between two filters, so that others find room.
const ORDER_STEP: usize = 10;

/// Names by identity.
type Names = BTreeMap<i64, String>;

/// Everything that can be carried.
pub fn carry(export: &mut Export) -> Result<Carried, Failure> {
    let mut carried = Carried::default();
    let queues = queues(export, &mut carried)?;
    let addresses = addresses(export, &mut carried, &queues)?;
    auto_replies(export, &mut carried, &queues, &addresses)?;
    accounts(export, &mut carried, &queues)?;
    filters(export, &mut carried)?;
    users(export, &mut carried, &queues)?;
    customers(export, &mut carried);
    senders(&mut carried);
    Ok(carried)
}

/// Valid, invalid, invalid-temporarily.
fn state(row: &Row, object: &mut Value) {
    match row.id("valid_id") {
        Some(2) => object["state"] = "disabled".into(),
        Some(3) => object["state"] = "paused".into(),
        _ => {}
    }
}

fn comment(row: &Row, object: &mut Value) {
    let text = row.text("comments");
    if !text.is_empty() {
        object["comment"] = text.into();
    }
}

fn queues(export: &mut Export, carried: &mut Carried) -> Result<Names, Failure> {
    let mut names = Names::new();
    for row in export.table("queue")? {
        let mut queue = json!({});
        match row.id("follow_up_id") {
            Some(2) => queue["followUp"] = json!({ "closed": "reject" }),
            Some(3) => queue["followUp"] = json!({ "closed": "newTicket" }),
            _ => {}
        }
        if row.yes("follow_up_lock") {
            queue["followUp"]["lock"] = true.into();
        }
        if let Some(minutes) = row.id("unlock_timeout").filter(|minutes| *minutes > 0) {
            queue["lockTimeout"] = format!("{minutes}m").into();
        }
        state(&row, &mut queue);
        comment(&row, &mut queue);
        let name = carried.put("queues", &words::name(&row.text("name")), queue);
        names.extend(row.id("id").map(|id| (id, name)));
    }
    carried.note("escalation times, groups and permissions of queues are not carried");
    Ok(names)
}

fn addresses(export: &mut Export, carried: &mut Carried, queues: &Names) -> Result<Names, Failure> {
    let mut names = Names::new();
    for row in export.table("system_address")? {
        let address = row.text("value0").to_lowercase();
        let Some(queue) = row.id("queue_id").and_then(|id| queues.get(&id)) else {
            carried.note(format!("system address {address}: its queue is not in the export"));
            continue;
        };
        let mut object = json!({ "name": row.text("value1"), "queue": queue });
        state(&row, &mut object);
        comment(&row, &mut object);
        let name = carried.put("systemAddresses", &address, object);
        names.extend(row.id("id").map(|id| (id, name)));
    }
    Ok(names)
}

fn auto_replies(
    export: &mut Export,
    carried: &mut Carried,
    queues: &Names,
    addresses: &Names,
) -> Result<(), Failure> {
    let mut replies: BTreeMap<i64, (String, &str)> = BTreeMap::new();
    for row in export.table("auto_response")? {
        let name = words::name(&row.text("name"));
        let occasion = match row.id("type_id") {
            Some(1) => "new",
            Some(2) => "reject",
            Some(3) => "followUp",
            Some(4) => "newTicket",
            _ => {
                carried.note(format!("auto-reply {name}: its type is not known here"));
                continue;
            }
        };
        let Some(from) = row.id("system_address_id").and_then(|id| addresses.get(&id)) else {
            carried.note(format!("auto-reply {name}: its system address is not in the export"));
            continue;
        };
        let is_html = row.text("content_type").contains("html");
        let text = row.text("text0");
        let text = if is_html { words::plain(&text) } else { text };
        let (text, subject) =
            (template(&name, &text, carried), template(&name, &row.text("text1"), carried));
        let mut reply =
            json!({ "from": from, "subject": { "en": subject }, "text": { "en": text } });
        state(&row, &mut reply);
        let name = carried.put("autoReplies", &name, reply);
        replies.extend(row.id("id").map(|id| (id, (name, occasion))));
    }
    for row in export.table("queue_auto_response")? {
        let queue = row.id("queue_id").and_then(|id| queues.get(&id));
        let reply = row.id("auto_response_id").and_then(|id| replies.get(&id));
        if let (Some(queue), Some((reply, occasion))) = (queue, reply) {
            carried.sections["queues"][queue]["autoReplies"][*occasion] = reply.as_str().into();
        }
    }
    if !replies.is_empty() {
        carried.note("texts of auto-replies are taken for English; add other languages");
    }
    Ok(())
}

/// Tags of OTOBO as placeholders; what has no counterpart is left out and reported.
fn template(reply: &str, text: &str, carried: &mut Carried) -> String {
    let known = [
        ("TICKET_TicketNumber", "{{ ticket.number }}"),
        ("TICKET_Title", "{{ ticket.title }}"),
        ("TICKET_Queue", "{{ ticket.queue }}"),
        ("CUSTOMER_REALNAME", "{{ customer.name }}"),
        ("CUSTOMER_FROM", "{{ customer.name }}"),
        ("CUSTOMER_SUBJECT", "{{ article.subject }}"),
    ];
    let mut filled = String::new();
    let mut rest = text;
    while let Some(open) = rest.find("<OTOBO_") {
        filled.push_str(&rest[..open]);
        let Some(close) = rest[open..].find('>') else { break };
        let tag = &rest[open + "<OTOBO_".len()..open + close];
        match known.iter().find(|(name, _)| *name == without_count(tag)) {
            Some((_, placeholder)) => filled.push_str(placeholder),
            None => carried.note(format!("auto-reply {reply}: <OTOBO_{tag}> is left out")),
        }
        rest = &rest[open + close + 1..];
    }
    filled.push_str(rest);
    filled
}

/// The name of a tag without its count, as in `CUSTOMER_SUBJECT[24]`: a subject in an automatic
/// answer is bounded anyway.
fn without_count(tag: &str) -> &str {
    tag.split_once('[').map_or(tag, |(name, _)| name)
}

fn accounts(export: &mut Export, carried: &mut Carried, queues: &Names) -> Result<(), Failure> {
    for row in export.table("mail_account")? {
        let (login, host) = (row.text("login"), row.text("host"));
        let kind = row.text("account_type").to_lowercase();
        let name = words::name(&login.replace('@', "-at-"));
        let secret = words::secret(&login);
        let mut account = json!({ "type": kind, "host": host, "username": login });
        match kind.as_str() {
            "imap" | "imaps" | "imaptls" | "pop3" | "pop3s" | "pop3tls" => {
                account["password"] = json!({ "secret": secret });
                carried
                    .note(format!("account {name}: put its password into the secret {secret:?}"));
            }
            _ => {
                carried
                    .note(format!("account {name}: type {kind:?} is not carried; add it by hand"));
                continue;
            }
        }
        let folder = row.text("imap_folder");
        if kind.starts_with("imap") && !folder.is_empty() && folder != "INBOX" {
            account["folder"] = folder.into();
        }
        // A queue stands there only where mail is dispatched to it.
        account["dispatch"] = match row.id("queue_id").and_then(|id| queues.get(&id)) {
            Some(queue) => json!({ "by": "queue", "queue": queue }),
            None => json!({ "by": "recipient" }),
        };
        account["afterFetch"] = "delete".into();
        if row.yes("trusted") {
            account["trusted"] = true.into();
        }
        state(&row, &mut account);
        comment(&row, &mut account);
        carried.put("mailAccounts", &name, account);
    }
    Ok(())
}

/// OTOBO's name of what a filter sets, and ours.
const SETTINGS: [(&str, &str); 14] = [
    ("Queue", "queue"),
    ("Priority", "priority"),
    ("State", "state"),
    ("State-PendingTime", "pendingTime"),
    ("Lock", "lock"),
    ("Owner", "owner"),
    ("Responsible", "responsible"),
    ("Title", "title"),
    ("CustomerUser", "customer"),
    ("CustomerNo", "company"),
    ("SenderType", "senderType"),
    ("IsVisibleForCustomer", "visibleForCustomer"),
    ("Ignore", "ignore"),
    ("Loop", "autoReply"),
];

/// Rows of a filter, gathered by its name. OTOBO runs filters by name.
fn filters(export: &mut Export, carried: &mut Carried) -> Result<(), Failure> {
    let mut by_name: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in export.table("postmaster_filter")? {
        by_name.entry(row.text("f_name")).or_default().push(row);
    }
    for (index, (name, rows)) in by_name.into_iter().enumerate() {
        let name = words::name(&name);
        match filter(&name, &rows, carried) {
            Some(mut filter) => {
                filter["order"] = ((index + 1) * ORDER_STEP).into();
                carried.put("filters", &name, filter);
            }
            None => carried.note(format!("filter {name}: is not carried")),
        }
    }
    Ok(())
}

fn filter(name: &str, rows: &[Row], carried: &mut Carried) -> Option<Value> {
    let mut conditions = Vec::new();
    let mut set = json!({});
    let mut later = json!({});
    let captured = Captured::of(rows);
    for row in rows {
        let (key, value) = (row.text("f_key"), row.text("f_value"));
        if row.text("f_type").eq_ignore_ascii_case("match") {
            // A filter that matches more than it did is worse than none.
            conditions.push(condition(name, &key, &value, row.yes("f_not"), carried)?);
            continue;
        }
        let (key, into) = match key.strip_prefix("X-OTOBO-FollowUp-") {
            Some(key) => (key, &mut later),
            None => (key.strip_prefix("X-OTOBO-").unwrap_or(&key), &mut set),
        };
        let value = match captured.fill(&value) {
            Ok(value) => value,
            Err(missing) => {
                let why = format!("no condition captures {missing:?}");
                carried.note(format!("filter {name}: {key} = {value:?} is left out: {why}"));
                continue;
            }
        };
        match setting(key, &value) {
            Some((key, value)) => into[key] = value,
            None if key.eq_ignore_ascii_case("Loop") && !is_yes(&value) => {}
            None => carried.note(format!("filter {name}: {key} = {value:?} is left out")),
        }
    }
    if conditions.is_empty() {
        return None;
    }
    let mut filter = json!({ "order": 0, "match": conditions });
    if set.as_object().is_some_and(|set| !set.is_empty()) {
        filter["set"] = set;
    }
    if later.as_object().is_some_and(|later| !later.is_empty()) {
        filter["onFollowUp"] = later;
    }
    if rows.iter().any(|row| row.yes("f_stop")) {
        filter["stop"] = true.into();
    }
    Some(filter)
}

fn is_yes(value: &str) -> bool {
    ["yes", "1", "true"].contains(&value.to_lowercase().as_str())
}

/// What the conditions of a filter capture, and how OTOBO names it where it is set.
struct Captured {
    /// Whether there is a group; else all that was found stands for it.
    groups: bool,
    /// Names of groups.
    names: BTreeSet<String>,
    /// Whether anything is captured at all: a negated condition captures nothing.
    any: bool,
}

impl Captured {
    fn of(rows: &[Row]) -> Captured {
        let mut captured = Captured { groups: false, names: BTreeSet::new(), any: false };
        let matching = |row: &&Row| row.text("f_type").eq_ignore_ascii_case("match");
        for row in rows.iter().filter(matching).filter(|row| !row.yes("f_not")) {
            let value = row.text("f_value");
            captured.any = true;
            if let Ok(groups) = words::groups(expression_of(&value)) {
                captured.groups |= !groups.is_empty();
                captured.names.extend(groups.into_iter().flatten());
            }
        }
        captured
    }

    /// A value with our placeholders: `[***]` is the first group, or all that was found, and
    /// `[**\\name**]` the group of that name. Fails with the name that is not captured.
    fn fill(&self, value: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = value;
        while let Some(open) = rest.find(OPEN) {
            filled.push_str(&rest[..open]);
            rest = &rest[open..];
            let (placeholder, after) = if let Some(after) = rest.strip_prefix(FOUND) {
                (self.found()?, after)
            } else if let Some((name, after)) = rest[OPEN.len()..].split_once(CLOSE) {
                (self.named(name.trim_matches('\\'))?, after)
            } else {
                break;
            };
            filled.push_str(&placeholder);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn found(&self) -> Result<String, String> {
        match (self.any, self.groups) {
            (false, _) => Err(FOUND.to_owned()),
            (true, true) => Ok("{{ 1 }}".to_owned()),
            (true, false) => Ok("{{ 0 }}".to_owned()),
        }
    }

    fn named(&self, name: &str) -> Result<String, String> {
        match self.names.contains(name) {
            true => Ok(format!("{{{{ {name} }}}}")),
            false => Err(name.to_owned()),
        }
    }
}

/// How OTOBO writes what a condition found.
const FOUND: &str = "[***]";
/// What stands around the name of a group there.
const OPEN: &str = "[**";
const CLOSE: &str = "**]";

/// What the value of a condition begins with that is about addresses.
const ADDRESS: &str = "EMAILADDRESS:";

fn expression_of(value: &str) -> &str {
    value.strip_prefix(ADDRESS).unwrap_or(value)
}

fn condition(
    name: &str,
    key: &str,
    value: &str,
    not: bool,
    carried: &mut Carried,
) -> Option<Value> {
    let mut condition = match value.strip_prefix(ADDRESS) {
        Some(address) => json!({ "header": key, "address": address }),
        None if key.eq_ignore_ascii_case("body") => json!({ "body": value }),
        None => json!({ "header": key, "regex": value }),
    };
    if let Err(reason) = words::expression(expression_of(value)) {
        carried.note(format!("filter {name}: the expression of {key} cannot be used: {reason}"));
        return None;
    }
    if not {
        condition["not"] = true.into();
    }
    Some(condition)
}

fn setting(key: &str, value: &str) -> Option<(String, Value)> {
    if let Some(field) = key.strip_prefix("DynamicField-") {
        return Some((format!("field.{field}"), value.into()));
    }
    let (_, ours) = SETTINGS.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(key))?;
    let yes = is_yes(value);
    let value = match *ours {
        "ignore" | "visibleForCustomer" => yes.into(),
        // `X-OTOBO-Loop: no` asks for nothing.
        "autoReply" => yes.then_some("never")?.into(),
        "lock" => value.eq_ignore_ascii_case("lock").into(),
        "pendingTime" => pending(value)?.into(),
        "state" => match value {
            "pending reminder" | "pending auto close+" | "pending auto close-" => "pending".into(),
            "removed" | "merged" => return None,
            other => other.into(),
        },
        _ => value.into(),
    };
    Some(((*ours).to_owned(), value))
}

/// `+60m` stays; `+1d` as well; a bare number is seconds; an instant needs its zone.
fn pending(value: &str) -> Option<String> {
    let length = value.strip_prefix('+')?;
    let unit = length.find(|c: char| !c.is_ascii_digit());
    match unit {
        None => Some(format!("+{length}s")),
        Some(at) if ["s", "m", "h", "d"].contains(&&length[at..]) => Some(value.to_owned()),
        Some(_) => None,
    }
}

fn users(export: &mut Export, carried: &mut Carried, queues: &Names) -> Result<(), Failure> {
    let mut subscribed: BTreeMap<i64, Vec<&String>> = BTreeMap::new();
    for row in export.optional("personal_queues") {
        let queue = row.id("queue_id").and_then(|id| queues.get(&id));
        if let (Some(user), Some(queue)) = (row.id("user_id"), queue) {
            subscribed.entry(user).or_default().push(queue);
        }
    }
    for row in export.table("users")? {
        let (login, email) = (row.text("login"), row.text("email"));
        if email.is_empty() {
            carried.note(format!("user {login}: has no address and is not carried"));
            continue;
        }
        let full = format!("{} {}", row.text("first_name"), row.text("last_name"));
        let mut user = json!({ "email": email, "name": full.trim() });
        match row.text("language").as_str() {
            "ja" => user["language"] = "ja".into(),
            "" => {}
            language if language.starts_with("en") => user["language"] = "en".into(),
            language => {
                carried.note(format!("user {login}: language {language:?} has no texts here"));
            }
        }
        if let Some(queues) = row.id("id").and_then(|id| subscribed.get(&id)) {
            let events = EventKind::ALL.map(|event| event.label());
            user["subscriptions"] = json!({ "queues": queues, "events": events });
        }
        state(&row, &mut user);
        carried.put("users", &words::name(&login), user);
    }
    carried.note("roles of users are not carried: all become `user`; name managers and admins");
    carried.note("which notifications a user wants is not carried: all of their queues are");
    Ok(())
}

fn customers(export: &mut Export, carried: &mut Carried) {
    for row in export.optional("customer_user") {
        let address = row.text("email").to_lowercase();
        if address.is_empty() || row.id("valid_id").is_some_and(|id| id != 1) {
            continue;
        }
        let name = format!("{} {}", row.text("first_name"), row.text("last_name"));
        let mut customer = json!({ "name": name.trim() });
        let company = row.text("customer_id");
        if !company.is_empty() {
            customer["company"] = company.into();
        }
        carried.put("customers", &address, customer);
    }
}

/// Who sends is in SysConfig, not in a table.
fn senders(carried: &mut Carried) {
    let from = carried.sections.get("systemAddresses").and_then(Value::as_object);
    let Some(from) = from.and_then(|all| all.keys().next()).cloned() else { return };
    carried.put("smtp", "relay", json!({ "type": "sendmail" }));
    carried.put("senders", "default", json!({ "from": from, "via": ["relay"] }));
    carried.note("SysConfig is not carried: smtp.relay hands mail to the local sendmail, and senders.default sends as the first system address; write what SendmailModule and NotificationSenderEmail say");
}

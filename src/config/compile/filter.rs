//! `filters`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Context, each, value};
use crate::config::problem::Scope;
use crate::config::rule;
use crate::config::spec;
use crate::config::spec::filter::{AutoReplySetting, Condition as Written, SenderType};
use crate::core::address::Address;
use crate::core::config::When;
use crate::core::filter::{Condition, Filter, LookAt, Pattern, Settings, Test, unfilled};
use crate::core::ticket::AuthorKind;

/// Filters in the order they run: ascending `order`, ties by name.
pub fn filters(context: &Context<'_>, top: &Scope<'_>) -> Vec<Arc<Filter>> {
    if let Some(before) = context.whole("filters") {
        return before.filters.clone();
    }
    let before = context.again.iter().flat_map(|again| &again.config().filters);
    let before: BTreeMap<&str, &Arc<Filter>> =
        before.map(|filter| (filter.name.as_str(), filter)).collect();
    let mut filters: Vec<Arc<Filter>> =
        each(top, "filters", &context.united.filters, |name, spec, scope| {
            let again = context.again("filters", name, spec, || before.get(name).copied());
            again.or_else(|| filter(context, name, spec, scope).map(Arc::new))
        })
        .into_values()
        .collect();
    // Stable: the names were in order.
    filters.sort_by_key(|filter| filter.order);
    filters
}

fn filter(
    context: &Context<'_>,
    name: &str,
    spec: &spec::Filter,
    scope: &Scope<'_>,
) -> Option<Filter> {
    let list = scope.at("match");
    let mut conditions = Vec::new();
    for (index, written) in spec.conditions.iter().enumerate() {
        conditions.push(condition(written, &list.at(&index.to_string())));
    }
    let whole = conditions.iter().all(Option::is_some);
    let conditions: Vec<Condition> = conditions.into_iter().flatten().collect();
    // A broken condition would make its captures look as if they were missing.
    let known = whole.then_some(conditions.as_slice());
    let set = settings(context, &spec.set, known, &scope.at("set"));
    let on_follow_up = settings(context, &spec.on_follow_up, known, &scope.at("onFollowUp"));
    let nothing = set == Settings::default() && on_follow_up == Settings::default();
    if nothing && !spec.stop && spec.set.known.pending_time.is_none() {
        scope.lint_at_key(
            rule::IDLE_FILTER,
            "sets nothing and stops nothing",
            "add `set:` or remove the filter",
        );
    }
    whole.then(|| Filter {
        name: name.to_owned(),
        order: spec.order,
        conditions,
        set,
        on_follow_up,
        stop: spec.stop,
        state: value::switch(spec.state),
    })
}

/// One condition: exactly one place to look at, and what must be found there.
fn condition(spec: &Written, scope: &Scope<'_>) -> Option<Condition> {
    let elsewhere = [
        ("body", &spec.body, LookAt::Body),
        ("attachmentName", &spec.attachment_name, LookAt::AttachmentName),
        ("account", &spec.account, LookAt::Account),
    ];
    let places = elsewhere.iter().filter(|(_, pattern, _)| pattern.is_some()).count()
        + usize::from(spec.header.is_some());
    if places != 1 {
        scope.error("must look at exactly one of header, body, attachmentName and account", "");
        return None;
    }
    let (look_at, test) = match &spec.header {
        Some(header) => header_test(header, spec, scope)?,
        None => {
            if spec.regex.is_some() || spec.address.is_some() {
                let hint = "the expression stands behind body, attachmentName or account itself";
                scope.error("regex and address go with header alone", hint);
                return None;
            }
            let (key, pattern, look_at) =
                elsewhere.into_iter().find(|(_, pattern, _)| pattern.is_some())?;
            (look_at, Test::Regex(search(pattern.as_deref()?, &scope.at(key))?))
        }
    };
    Some(Condition { look_at, test, not: spec.not })
}

fn header_test(header: &str, spec: &Written, scope: &Scope<'_>) -> Option<(LookAt, Test)> {
    // RFC 5322 section 2.2: printable ASCII without colon.
    if header.is_empty() || !header.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        scope.at("header").error("is not the name of a header field", "write it without the colon");
        return None;
    }
    let test = match (&spec.regex, &spec.address) {
        (Some(regex), None) => Test::Regex(search(regex, &scope.at("regex"))?),
        (None, Some(address)) => {
            let at = scope.at("address");
            Test::Address(compiled(Pattern::whole(address), &at)?)
        }
        (None, None) | (Some(_), Some(_)) => {
            scope.error("must have exactly one of regex and address", "");
            return None;
        }
    };
    Some((LookAt::Header(header.to_owned()), test))
}

fn search(source: &str, scope: &Scope<'_>) -> Option<Pattern> {
    compiled(Pattern::search(source), scope)
}

fn compiled(pattern: Result<Pattern, String>, scope: &Scope<'_>) -> Option<Pattern> {
    match pattern {
        Ok(pattern) => Some(pattern),
        Err(reason) => {
            // The reason comes as a drawing of several lines; the last one says it.
            let last = reason.lines().last().unwrap_or_default();
            let short = last.trim().trim_start_matches("error: ").to_owned();
            let hint = match short.contains("look-around") || short.contains("backreference") {
                true => {
                    "expressions run in linear time: no look-around, no backreferences; use a second condition with `not: true`"
                }
                false => "",
            };
            scope.error(format!("is not a usable regular expression: {short}"), hint);
            None
        }
    }
}

fn settings(
    context: &Context<'_>,
    spec: &spec::filter::Settings,
    conditions: Option<&[Condition]>,
    scope: &Scope<'_>,
) -> Settings {
    let known = &spec.known;
    let text = |key: &str, text: &Option<String>| {
        if let (Some(text), Some(conditions)) = (text, conditions) {
            placeholders(text, conditions, &scope.at(key));
        }
        text.clone()
    };
    // What captures fill in is known only when a mail is there.
    let fixed = |text: &&String| !text.contains("{{");
    if let Some(queue) = known.queue.as_ref().filter(fixed) {
        context.target_queue(queue, &scope.at("queue"));
    }
    if let Some(owner) = known.owner.as_ref().filter(fixed) {
        context.user(owner, &scope.at("owner"));
    }
    if let Some(responsible) = known.responsible.as_ref().filter(fixed) {
        context.user(responsible, &scope.at("responsible"));
    }
    if known.customer.as_ref().filter(fixed).is_some_and(|c| Address::parse(c).is_none()) {
        scope.at("customer").error("is not a mail address", "write it as name@example.com");
    }
    let fields = spec.fields.iter().map(|(name, value)| {
        let key = format!("{}{name}", spec::filter::FIELD_PREFIX);
        if let Some(conditions) = conditions {
            placeholders(value, conditions, &scope.at(&key));
        }
        (name.clone(), value.clone())
    });
    Settings {
        queue: text("queue", &known.queue),
        priority: known.priority.map(|name| name.0),
        state: known.state.map(|name| name.0),
        pending_time: known
            .pending_time
            .as_ref()
            .and_then(|time| pending_time(time, &scope.at("pendingTime"))),
        lock: known.lock,
        owner: text("owner", &known.owner),
        responsible: text("responsible", &known.responsible),
        title: text("title", &known.title),
        customer: text("customer", &known.customer),
        company: text("company", &known.company),
        sender_type: known.sender_type.map(|word| match word {
            SenderType::Agent => AuthorKind::Agent,
            SenderType::Customer => AuthorKind::Customer,
            SenderType::System => AuthorKind::System,
        }),
        visible_for_customer: known.visible_for_customer,
        ignore: known.ignore,
        auto_reply: known.auto_reply.map(|word| word == AutoReplySetting::Allow),
        fields: fields.collect(),
    }
}

fn placeholders(text: &str, conditions: &[Condition], scope: &Scope<'_>) {
    for name in unfilled(text, conditions) {
        let hint = format!("add `(?<{name}>...)` to a regex of this filter");
        let hint = if name.bytes().all(|b| b.is_ascii_digit()) {
            "no regex of this filter has so many groups".to_owned()
        } else {
            hint
        };
        scope.error(format!("no condition captures {{{{ {name} }}}}"), hint);
    }
}

/// `+2h`, or an instant in text of the right form.
pub fn read_pending_time(text: &str) -> Option<When> {
    match text.strip_prefix('+') {
        Some(length) => value::read_duration(length)
            .filter(|length| *length <= value::DURATION_MAX)
            .and_then(|length| SignedDuration::try_from(length).ok())
            .map(When::In),
        None => {
            let instant = text.parse::<Timestamp>().or_else(|_| with_seconds(text).parse());
            instant.ok().map(When::At)
        }
    }
}

/// `+2h`, or an instant.
pub fn pending_time(text: &str, scope: &Scope<'_>) -> Option<When> {
    let read = read_pending_time(text);
    if read.is_none() {
        scope.error("is neither a time from now nor an instant", "write +2h or 2027-01-31T09:00Z");
    }
    read
}

/// `09:00Z` may be written without seconds.
fn with_seconds(text: &str) -> String {
    text.replace('Z', ":00Z")
}

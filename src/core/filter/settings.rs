//! What filters and control headers set: filled, checked against the configuration, put together.
//!
//! Architecture invariant: a value that names something undeclared is left out with a reason; it
//! never takes away what was set before.

use super::Settings;
use super::captures::Captures;
use crate::core::config::{Config, Switch, When};
use crate::core::intake::Why;
use crate::core::ticket::State;

impl Settings {
    /// These settings with captures put in for placeholders.
    pub(super) fn filled(&self, captures: &Captures) -> Settings {
        let fill = |text: &Option<String>| text.as_deref().map(|text| captures.fill(text));
        Settings {
            queue: fill(&self.queue),
            owner: fill(&self.owner),
            responsible: fill(&self.responsible),
            title: fill(&self.title),
            customer: fill(&self.customer),
            company: fill(&self.company),
            fields: self.fields.iter().map(|(k, v)| (k.clone(), captures.fill(v))).collect(),
            ..self.clone()
        }
    }

    /// These settings without values that name what is not declared. `by` is the filter or
    /// control headers, for the reasons.
    pub(crate) fn declared(mut self, config: &Config, by: &str, why: &mut Vec<Why>) -> Settings {
        let mut leave_out = |kind: &str, name: &str| {
            let text = format!("{by}: {kind} {name:?} is not declared; value ignored");
            why.push(Why::new("filter", text));
        };
        if let Some(queue) = self.queue.take_if(|queue| !config.queues.contains_key(queue)) {
            leave_out("queue", &queue);
        }
        let works =
            |name: &str| config.users.get(name).is_some_and(|user| user.state != Switch::Disabled);
        if let Some(owner) = self.owner.take_if(|owner| !works(owner)) {
            leave_out("user", &owner);
        }
        if let Some(responsible) = self.responsible.take_if(|name| !works(name)) {
            leave_out("user", &responsible);
        }
        if self.state.take_if(|state| *state == State::Merged).is_some() {
            why.push(Why::new("filter", format!("{by}: no mail makes a merged ticket; ignored")));
        }
        self
    }

    /// Takes over what is set in `later`.
    pub(crate) fn overwrite(&mut self, later: Settings) {
        let Settings {
            queue,
            priority,
            state,
            pending_time,
            lock,
            owner,
            responsible,
            title,
            customer,
            company,
            sender_type,
            visible_for_customer,
            ignore,
            auto_reply,
            fields,
        } = later;
        self.queue = queue.or(self.queue.take());
        self.priority = priority.or(self.priority);
        self.state = state.or(self.state);
        self.pending_time = pending_time.or(self.pending_time);
        self.lock = lock.or(self.lock);
        self.owner = owner.or(self.owner.take());
        self.responsible = responsible.or(self.responsible.take());
        self.title = title.or(self.title.take());
        self.customer = customer.or(self.customer.take());
        self.company = company.or(self.company.take());
        self.sender_type = sender_type.or(self.sender_type);
        self.visible_for_customer = visible_for_customer.or(self.visible_for_customer);
        self.ignore = ignore.or(self.ignore);
        self.auto_reply = auto_reply.or(self.auto_reply);
        self.fields.extend(fields);
    }

    /// What is set, in words; empty if nothing is.
    pub(crate) fn describe(&self) -> String {
        let text = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("{name} {value}"))
        };
        let flag = |name: &str, value: Option<bool>| {
            value.map(|value| format!("{name} {}", if value { "yes" } else { "no" }))
        };
        let pending = |when: When| match when {
            When::At(at) => format!("pending until {at}"),
            When::In(span) => format!("pending for {span:#}"),
        };
        let said = [
            text("queue", &self.queue),
            self.priority.map(|priority| format!("priority {}", priority.label())),
            self.state.map(|state| format!("state {}", state.label())),
            self.pending_time.map(pending),
            flag("lock", self.lock),
            text("owner", &self.owner),
            text("responsible", &self.responsible),
            text("title", &self.title),
            text("customer", &self.customer),
            text("company", &self.company),
            self.sender_type.map(|kind| format!("sender type {kind:?}").to_lowercase()),
            flag("visible for customer", self.visible_for_customer),
            flag("ignore", self.ignore),
            flag("auto-reply", self.auto_reply),
        ];
        let fields = self.fields.iter().map(|(name, value)| format!("field.{name} {value}"));
        said.into_iter().flatten().chain(fields).collect::<Vec<_>>().join(", ")
    }
}

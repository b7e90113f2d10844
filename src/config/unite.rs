//! Many documents → one: each object is declared once, wherever.
//!
//! Architecture invariant: the result does not depend on the order of the documents, except in
//! which of two places an error names first.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::Severity;
use super::problem::Finding;
use super::spec;

/// All documents of a set as one, with what is needed to find the place of an object again.
#[derive(Debug, Default)]
pub struct United {
    /// How the desk presents itself.
    pub desk: spec::Desk,
    /// Rules of intake.
    pub intake: spec::Intake,
    /// Bounds.
    pub limits: spec::Limits,
    /// Settings for objects without their own.
    pub defaults: spec::Defaults,
    /// Servers.
    pub smtp: BTreeMap<String, spec::SmtpServer>,
    /// Senders.
    pub senders: BTreeMap<String, spec::Sender>,
    /// OAuth2 providers.
    pub providers: BTreeMap<String, spec::oauth2::Provider>,
    /// OAuth2 profiles.
    pub profiles: BTreeMap<String, spec::oauth2::Profile>,
    /// Mail accounts.
    pub mail_accounts: BTreeMap<String, spec::MailAccount>,
    /// Queues.
    pub queues: BTreeMap<String, spec::Queue>,
    /// Our addresses.
    pub system_addresses: BTreeMap<String, spec::SystemAddress>,
    /// Filters.
    pub filters: BTreeMap<String, spec::Filter>,
    /// Automatic answers.
    pub auto_replies: BTreeMap<String, spec::AutoReply>,
    /// Customers.
    pub customers: BTreeMap<String, spec::Customer>,
    /// Agents.
    pub users: BTreeMap<String, spec::User>,
    /// Tokens.
    pub api_tokens: BTreeMap<String, spec::ApiToken>,
    /// Programs that are told.
    pub webhooks: BTreeMap<String, spec::Webhook>,
    /// Texts of notifications.
    pub notifications: BTreeMap<spec::words::EventName, spec::Notification>,
    /// Renames, each with its document and its index there.
    pub moved: Vec<(usize, usize, spec::Moved)>,
    /// Tests, each with its document and its index there.
    pub tests: Vec<(usize, usize, spec::Test)>,
    /// A part of a document could not be read at all, so that names may be missing.
    pub incomplete: bool,
    homes: HashMap<(&'static str, String), usize>,
    /// Names of objects that were left out, by section.
    left_out: HashMap<&'static str, Vec<String>>,
}

impl United {
    /// Adds a document; what was declared before is a finding.
    pub fn add(&mut self, number: usize, document: spec::Document, findings: &mut Vec<Finding>) {
        let mut homes = Homes { homes: &mut self.homes, number, findings };
        homes.single("desk", &mut self.desk, document.desk);
        homes.single("intake", &mut self.intake, document.intake);
        homes.single("limits", &mut self.limits, document.limits);
        homes.single("defaults", &mut self.defaults, document.defaults);
        homes.keyed("smtp", &mut self.smtp, document.smtp);
        homes.keyed("senders", &mut self.senders, document.senders);
        let oauth2 = document.oauth2.unwrap_or_default();
        homes.keyed("oauth2.providers", &mut self.providers, oauth2.providers);
        homes.keyed("oauth2.profiles", &mut self.profiles, oauth2.profiles);
        homes.keyed("mailAccounts", &mut self.mail_accounts, document.mail_accounts);
        homes.keyed("queues", &mut self.queues, document.queues);
        homes.keyed("systemAddresses", &mut self.system_addresses, document.system_addresses);
        homes.keyed("filters", &mut self.filters, document.filters);
        homes.keyed("autoReplies", &mut self.auto_replies, document.auto_replies);
        homes.keyed("customers", &mut self.customers, document.customers);
        homes.keyed("users", &mut self.users, document.users);
        homes.keyed("apiTokens", &mut self.api_tokens, document.api_tokens);
        homes.keyed("webhooks", &mut self.webhooks, document.webhooks);
        homes.keyed("notifications", &mut self.notifications, document.notifications);
        let moved = document.moved.into_iter().enumerate();
        self.moved.extend(moved.map(|(index, moved)| (number, index, moved)));
        let tests = document.tests.into_iter().enumerate();
        self.tests.extend(tests.map(|(index, test)| (number, index, test)));
    }

    /// Takes the object at a path out of a document that does not fit the schema, so that the
    /// rest can be read.
    pub fn leave_out(&mut self, document: &mut Value, path: &[String]) {
        let Some((section, rest)) = path.split_first() else {
            // Something at the top is missing, which can only be the version.
            document["version"] = 1.into();
            return;
        };
        if section == "version" {
            document["version"] = 1.into();
            return;
        }
        let (section, rest) = match rest.split_first() {
            Some((second, rest)) if section == "oauth2" => (format!("oauth2.{second}"), rest),
            _ => (section.clone(), rest),
        };
        let pointer = format!("/{}", section.replace('.', "/"));
        let known = SECTIONS.into_iter().find(|known| *known == section);
        let objects = document.pointer_mut(&pointer).and_then(Value::as_object_mut);
        match (objects, rest.first(), known) {
            (Some(objects), Some(name), Some(known)) if !SINGLES.contains(&known) => {
                objects.shift_remove(name);
                self.left_out.entry(known).or_default().push(name.clone());
            }
            _ => {
                if let Some(map) = document.as_object_mut() {
                    map.shift_remove(&path[0]);
                }
                // A misspelt section hides all its objects.
                self.incomplete |= known.is_none_or(|known| !SINGLES.contains(&known))
                    && !["moved", "tests"].contains(&section.as_str());
            }
        }
    }

    /// Names of a section that were declared but left out.
    pub fn left_out(&self, section: &'static str) -> impl Iterator<Item = &str> {
        self.left_out.get(section).into_iter().flatten().map(String::as_str)
    }

    /// The document in which an object was declared.
    pub fn home(&self, section: &'static str, name: &str) -> Option<usize> {
        self.homes.get(&(section, name.to_owned())).copied()
    }

    /// The document to which a path belongs.
    pub fn home_of(&self, path: &[String]) -> Option<usize> {
        let section = path.first()?;
        let section = match path.get(1) {
            Some(second) if section == "oauth2" => format!("oauth2.{second}"),
            _ => section.clone(),
        };
        let name_at = if section.starts_with("oauth2.") { 2 } else { 1 };
        let section = SECTIONS.into_iter().find(|known| *known == section)?;
        let named = path.get(name_at).and_then(|name| self.home(section, name));
        named.or_else(|| self.home(section, ""))
    }
}

/// Sections, as `homes` knows them.
const SECTIONS: [&str; 18] = [
    "desk",
    "intake",
    "limits",
    "defaults",
    "smtp",
    "senders",
    "oauth2.providers",
    "oauth2.profiles",
    "mailAccounts",
    "queues",
    "systemAddresses",
    "filters",
    "autoReplies",
    "customers",
    "users",
    "apiTokens",
    "webhooks",
    "notifications",
];

/// Sections that hold one object.
const SINGLES: [&str; 4] = ["desk", "intake", "limits", "defaults"];

/// A key of a section, as text.
trait Name: Ord {
    fn text(&self) -> String;
}

impl Name for String {
    fn text(&self) -> String {
        self.clone()
    }
}

impl Name for spec::words::EventName {
    fn text(&self) -> String {
        self.0.label().to_owned()
    }
}

struct Homes<'a> {
    homes: &'a mut HashMap<(&'static str, String), usize>,
    number: usize,
    findings: &'a mut Vec<Finding>,
}

impl Homes<'_> {
    fn single<T>(&mut self, section: &'static str, into: &mut T, from: Option<T>) {
        if let Some(from) = from
            && self.settle(section, String::new())
        {
            *into = from;
        }
    }

    fn keyed<K: Name, T>(
        &mut self,
        section: &'static str,
        into: &mut BTreeMap<K, T>,
        from: BTreeMap<K, T>,
    ) {
        for (key, value) in from {
            if self.settle(section, key.text()) {
                into.insert(key, value);
            }
        }
    }

    /// Whether this is the first declaration.
    fn settle(&mut self, section: &'static str, name: String) -> bool {
        let key = (section, name);
        let Some(first) = self.homes.get(&key).copied() else {
            self.homes.insert(key, self.number);
            return true;
        };
        let (section, name) = key;
        let mut path: Vec<String> = section.split('.').map(Into::into).collect();
        if !name.is_empty() {
            path.push(name);
        }
        self.findings.push(Finding {
            severity: Severity::Error,
            document: Some(self.number),
            path,
            at_key: true,
            message: format!("{DECLARED_TWICE}{first}"),
            hint: "remove one of the two; an object is declared once in all files together".into(),
            rule: None,
        });
        false
    }
}

/// Begins the message about a second declaration; the number of the first document follows, and
/// the loader puts its place there.
pub const DECLARED_TWICE: &str = "\u{1}";

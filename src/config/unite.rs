//! Many documents → one: each object is declared once, wherever.
//!
//! Architecture invariant: the result does not depend on the order of the documents, except in
//! which of two places an error names first.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use super::Severity;
use super::problem::Finding;
use super::read::ReadDocument;
use super::spec;

/// All documents of a set as one, with what is needed to find the place of an object again.
#[derive(Debug)]
pub struct United<'a> {
    /// How the desk presents itself.
    pub desk: &'a spec::Desk,
    /// Rules of intake.
    pub intake: &'a spec::Intake,
    /// Bounds.
    pub limits: &'a spec::Limits,
    /// How people sign in.
    pub sign_in: &'a spec::SignIn,
    /// Settings for objects without their own.
    pub defaults: &'a spec::Defaults,
    /// Servers.
    pub smtp: BTreeMap<&'a str, &'a spec::SmtpServer>,
    /// Senders.
    pub senders: BTreeMap<&'a str, &'a spec::Sender>,
    /// Key that encrypts tokens.
    pub seal_key: Option<&'a spec::text::SecretReference>,
    /// OAuth2 providers.
    pub providers: BTreeMap<&'a str, &'a spec::oauth2::Provider>,
    /// OAuth2 profiles.
    pub profiles: BTreeMap<&'a str, &'a spec::oauth2::Profile>,
    /// Mail accounts.
    pub mail_accounts: BTreeMap<&'a str, &'a spec::MailAccount>,
    /// Queues.
    pub queues: BTreeMap<&'a str, &'a spec::Queue>,
    /// Our addresses.
    pub system_addresses: BTreeMap<&'a str, &'a spec::SystemAddress>,
    /// Filters.
    pub filters: BTreeMap<&'a str, &'a spec::Filter>,
    /// Automatic answers.
    pub auto_replies: BTreeMap<&'a str, &'a spec::AutoReply>,
    /// Customers.
    pub customers: BTreeMap<&'a str, &'a spec::Customer>,
    /// Agents.
    pub users: BTreeMap<&'a str, &'a spec::User>,
    /// Tokens.
    pub api_tokens: BTreeMap<&'a str, &'a spec::ApiToken>,
    /// Programs that are told.
    pub webhooks: BTreeMap<&'a str, &'a spec::Webhook>,
    /// Texts of notifications.
    pub notifications: BTreeMap<spec::words::EventName, &'a spec::Notification>,
    /// Renames, each with its document and its index there.
    pub moved: Vec<(usize, usize, &'a spec::Moved)>,
    /// Tests, each with its document and its index there.
    pub tests: Vec<(usize, usize, &'a spec::Test)>,
    /// A part of a document could not be read at all, so that names may be missing.
    pub incomplete: bool,
    homes: HashMap<(&'static str, &'a str), usize>,
    /// Names of objects that were left out, by section.
    left_out: HashMap<&'static str, Vec<&'a str>>,
}

/// What holds where nobody writes anything.
#[derive(Default)]
struct Absent {
    desk: spec::Desk,
    intake: spec::Intake,
    limits: spec::Limits,
    sign_in: spec::SignIn,
    defaults: spec::Defaults,
}

static ABSENT: LazyLock<Absent> = LazyLock::new(Absent::default);

impl Default for United<'_> {
    fn default() -> Self {
        United {
            desk: &ABSENT.desk,
            intake: &ABSENT.intake,
            limits: &ABSENT.limits,
            sign_in: &ABSENT.sign_in,
            defaults: &ABSENT.defaults,
            smtp: BTreeMap::new(),
            senders: BTreeMap::new(),
            seal_key: None,
            providers: BTreeMap::new(),
            profiles: BTreeMap::new(),
            mail_accounts: BTreeMap::new(),
            queues: BTreeMap::new(),
            system_addresses: BTreeMap::new(),
            filters: BTreeMap::new(),
            auto_replies: BTreeMap::new(),
            customers: BTreeMap::new(),
            users: BTreeMap::new(),
            api_tokens: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            notifications: BTreeMap::new(),
            moved: Vec::new(),
            tests: Vec::new(),
            incomplete: false,
            homes: HashMap::new(),
            left_out: HashMap::new(),
        }
    }
}

impl<'a> United<'a> {
    /// Adds a document; what is wrong with it and what was declared before are findings.
    pub fn add(&mut self, number: usize, read: &'a ReadDocument, findings: &mut Vec<Finding>) {
        let here = |finding: &Finding| Finding { document: Some(number), ..finding.clone() };
        findings.extend(read.findings.iter().map(here));
        self.incomplete |= read.incomplete;
        for (section, name) in &read.left_out {
            self.left_out.entry(section).or_default().push(name);
        }
        let Some(document) = &read.spec else { return };
        let mut homes = Homes { homes: &mut self.homes, number, findings };
        homes.single("desk", &mut self.desk, &document.desk);
        homes.single("intake", &mut self.intake, &document.intake);
        homes.single("limits", &mut self.limits, &document.limits);
        homes.single("signIn", &mut self.sign_in, &document.sign_in);
        homes.single("defaults", &mut self.defaults, &document.defaults);
        homes.keyed("smtp", &mut self.smtp, &document.smtp);
        homes.keyed("senders", &mut self.senders, &document.senders);
        if let Some(oauth2) = &document.oauth2 {
            if let Some(key) = &oauth2.seal_key
                && homes.settle("oauth2.sealKey", "")
            {
                self.seal_key = Some(key);
            }
            homes.keyed("oauth2.providers", &mut self.providers, &oauth2.providers);
            homes.keyed("oauth2.profiles", &mut self.profiles, &oauth2.profiles);
        }
        homes.keyed("mailAccounts", &mut self.mail_accounts, &document.mail_accounts);
        homes.keyed("queues", &mut self.queues, &document.queues);
        homes.keyed("systemAddresses", &mut self.system_addresses, &document.system_addresses);
        homes.keyed("filters", &mut self.filters, &document.filters);
        homes.keyed("autoReplies", &mut self.auto_replies, &document.auto_replies);
        homes.keyed("customers", &mut self.customers, &document.customers);
        homes.keyed("users", &mut self.users, &document.users);
        homes.keyed("apiTokens", &mut self.api_tokens, &document.api_tokens);
        homes.keyed("webhooks", &mut self.webhooks, &document.webhooks);
        homes.keyed("notifications", &mut self.notifications, &document.notifications);
        let moved = document.moved.iter().enumerate();
        self.moved.extend(moved.map(|(index, moved)| (number, index, moved)));
        let tests = document.tests.iter().enumerate();
        self.tests.extend(tests.map(|(index, test)| (number, index, test)));
    }

    /// Names of a section that were declared but left out.
    pub fn left_out(&self, section: &'static str) -> impl Iterator<Item = &'a str> {
        self.left_out.get(section).into_iter().flatten().copied()
    }

    /// The document in which an object was declared.
    pub fn home(&self, section: &'static str, name: &str) -> Option<usize> {
        self.homes.get(&(section, name)).copied()
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
pub(super) const SECTIONS: [&str; 20] = [
    "desk",
    "intake",
    "limits",
    "signIn",
    "defaults",
    "smtp",
    "senders",
    "oauth2.sealKey",
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
pub(super) const SINGLES: [&str; 6] =
    ["desk", "intake", "limits", "signIn", "defaults", "oauth2.sealKey"];

/// A key of a section, as it is kept and as text.
trait Name {
    /// What it is found by.
    type Key<'a>: Ord
    where
        Self: 'a;
    fn key(&self) -> Self::Key<'_>;
    fn text(&self) -> &str;
}

impl Name for String {
    type Key<'a> = &'a str;
    fn key(&self) -> &str {
        self
    }
    fn text(&self) -> &str {
        self
    }
}

impl Name for spec::words::EventName {
    type Key<'a> = spec::words::EventName;
    fn key(&self) -> spec::words::EventName {
        *self
    }
    fn text(&self) -> &str {
        self.0.label()
    }
}

struct Homes<'h, 'a> {
    homes: &'h mut HashMap<(&'static str, &'a str), usize>,
    number: usize,
    findings: &'h mut Vec<Finding>,
}

impl<'a> Homes<'_, 'a> {
    fn single<T>(&mut self, section: &'static str, into: &mut &'a T, from: &'a Option<T>) {
        if let Some(from) = from
            && self.settle(section, "")
        {
            *into = from;
        }
    }

    fn keyed<K: Name, T>(
        &mut self,
        section: &'static str,
        into: &mut BTreeMap<K::Key<'a>, &'a T>,
        from: &'a BTreeMap<K, T>,
    ) {
        for (key, value) in from {
            if self.settle(section, key.text()) {
                into.insert(key.key(), value);
            }
        }
    }

    /// Whether this is the first declaration.
    fn settle(&mut self, section: &'static str, name: &'a str) -> bool {
        let key = (section, name);
        let Some(first) = self.homes.get(&key).copied() else {
            self.homes.insert(key, self.number);
            return true;
        };
        let (section, name) = key;
        let mut path: Vec<String> = section.split('.').map(Into::into).collect();
        if !name.is_empty() {
            path.push(name.to_owned());
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

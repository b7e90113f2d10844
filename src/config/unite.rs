//! Many documents → one: each object is declared once, wherever.
//!
//! Architecture invariant: the result does not depend on the order of the documents, except in
//! which of two places an error names first.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::LazyLock;

use super::Severity;
use super::problem::Finding;
use super::read::ReadDocument;
use super::spec;

/// The objects of a section, by name.
pub type Section<'a, T> = BTreeMap<&'a str, Declared<'a, T>>;

/// What is written of an object, and in which document.
#[derive(Debug)]
pub struct Declared<'a, T> {
    /// What is written.
    pub spec: &'a T,
    /// Index of the document in the set.
    pub document: usize,
}

impl<T> Deref for Declared<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.spec
    }
}

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
    pub smtp: Section<'a, spec::SmtpServer>,
    /// Senders.
    pub senders: Section<'a, spec::Sender>,
    /// Key that encrypts tokens.
    pub seal_key: Option<&'a spec::text::SecretReference>,
    /// OAuth2 providers.
    pub providers: Section<'a, spec::oauth2::Provider>,
    /// OAuth2 profiles.
    pub profiles: Section<'a, spec::oauth2::Profile>,
    /// Mail accounts.
    pub mail_accounts: Section<'a, spec::MailAccount>,
    /// Queues.
    pub queues: Section<'a, spec::Queue>,
    /// Our addresses.
    pub system_addresses: Section<'a, spec::SystemAddress>,
    /// Filters.
    pub filters: Section<'a, spec::Filter>,
    /// Automatic answers.
    pub auto_replies: Section<'a, spec::AutoReply>,
    /// Customers.
    pub customers: Section<'a, spec::Customer>,
    /// Agents.
    pub users: Section<'a, spec::User>,
    /// Tokens.
    pub api_tokens: Section<'a, spec::ApiToken>,
    /// Programs that are told.
    pub webhooks: Section<'a, spec::Webhook>,
    /// Texts of notifications.
    pub notifications: BTreeMap<spec::words::EventName, Declared<'a, spec::Notification>>,
    /// Renames, each with its document and its index there.
    pub moved: Vec<(usize, usize, &'a spec::Moved)>,
    /// Tests, each with its document and its index there.
    pub tests: Vec<(usize, usize, &'a spec::Test)>,
    /// A part of a document could not be read at all, so that names may be missing.
    pub incomplete: bool,
    /// The documents of sections that hold one object.
    singles: BTreeMap<&'static str, usize>,
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

impl<'a> United<'a> {
    /// Unites documents; what is wrong with one and what was declared before are findings.
    pub fn of(read: &[&'a ReadDocument], findings: &mut Vec<Finding>) -> United<'a> {
        let mut left_out: HashMap<&str, Vec<&str>> = HashMap::new();
        for (number, read) in read.iter().enumerate() {
            let here = |finding: &Finding| Finding { document: Some(number), ..finding.clone() };
            findings.extend(read.findings.iter().map(here));
            for (section, name) in &read.left_out {
                left_out.entry(section).or_default().push(name);
            }
        }
        let numbered = read.iter().enumerate();
        let documents = numbered.filter_map(|(number, read)| Some((number, read.spec.as_ref()?)));
        let mut all =
            Uniting { documents: documents.collect(), singles: BTreeMap::new(), findings };
        United {
            desk: all.single("desk", |document| document.desk.as_ref()).unwrap_or(&ABSENT.desk),
            intake: all.single("intake", |it| it.intake.as_ref()).unwrap_or(&ABSENT.intake),
            limits: all.single("limits", |it| it.limits.as_ref()).unwrap_or(&ABSENT.limits),
            sign_in: all.single("signIn", |it| it.sign_in.as_ref()).unwrap_or(&ABSENT.sign_in),
            defaults: all.single("defaults", |it| it.defaults.as_ref()).unwrap_or(&ABSENT.defaults),
            smtp: all.section("smtp", |it| Some(&it.smtp)),
            senders: all.section("senders", |it| Some(&it.senders)),
            seal_key: all.single("oauth2.sealKey", |it| it.oauth2.as_ref()?.seal_key.as_ref()),
            providers: all.section("oauth2.providers", |it| Some(&it.oauth2.as_ref()?.providers)),
            profiles: all.section("oauth2.profiles", |it| Some(&it.oauth2.as_ref()?.profiles)),
            mail_accounts: all.section("mailAccounts", |it| Some(&it.mail_accounts)),
            queues: all.section("queues", |it| Some(&it.queues)),
            system_addresses: all.section("systemAddresses", |it| Some(&it.system_addresses)),
            filters: all.section("filters", |it| Some(&it.filters)),
            auto_replies: all.section("autoReplies", |it| Some(&it.auto_replies)),
            customers: all.section("customers", |it| Some(&it.customers)),
            users: all.section("users", |it| Some(&it.users)),
            api_tokens: all.section("apiTokens", |it| Some(&it.api_tokens)),
            webhooks: all.section("webhooks", |it| Some(&it.webhooks)),
            notifications: all.section("notifications", |it| Some(&it.notifications)),
            moved: all.list(|it| &it.moved),
            tests: all.list(|it| &it.tests),
            incomplete: read.iter().any(|read| read.incomplete),
            singles: all.singles,
            left_out,
        }
    }

    /// Names of a section that were declared but left out.
    pub fn left_out(&self, section: &'static str) -> impl Iterator<Item = &'a str> {
        self.left_out.get(section).into_iter().flatten().copied()
    }

    /// The document in which an object was declared; sections that hold one have it under no name.
    pub fn home(&self, section: &str, name: &str) -> Option<usize> {
        fn of<T>(section: &Section<'_, T>, name: &str) -> Option<usize> {
            section.get(name).map(|declared| declared.document)
        }
        match section {
            "smtp" => of(&self.smtp, name),
            "senders" => of(&self.senders, name),
            "oauth2.providers" => of(&self.providers, name),
            "oauth2.profiles" => of(&self.profiles, name),
            "mailAccounts" => of(&self.mail_accounts, name),
            "queues" => of(&self.queues, name),
            "systemAddresses" => of(&self.system_addresses, name),
            "filters" => of(&self.filters, name),
            "autoReplies" => of(&self.auto_replies, name),
            "customers" => of(&self.customers, name),
            "users" => of(&self.users, name),
            "apiTokens" => of(&self.api_tokens, name),
            "webhooks" => of(&self.webhooks, name),
            "notifications" => {
                let mut all = self.notifications.iter();
                all.find(|(event, _)| event.0.label() == name).map(|(_, it)| it.document)
            }
            single => self.singles.get(single).filter(|_| name.is_empty()).copied(),
        }
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

/// The documents while they are united.
struct Uniting<'f, 'a> {
    documents: Vec<(usize, &'a spec::Document)>,
    singles: BTreeMap<&'static str, usize>,
    findings: &'f mut Vec<Finding>,
}

impl<'a> Uniting<'_, 'a> {
    /// The first declaration of what may be declared once.
    fn single<T>(
        &mut self,
        section: &'static str,
        of: impl Fn(&'a spec::Document) -> Option<&'a T>,
    ) -> Option<&'a T> {
        let documents = self.documents.iter();
        let all: Vec<(usize, &T)> =
            documents.filter_map(|(number, document)| Some((*number, of(document)?))).collect();
        let (first, value) = *all.first()?;
        for (number, _) in &all[1..] {
            self.findings.push(declared_twice(section, "", first, *number));
        }
        self.singles.insert(section, first);
        Some(value)
    }

    /// The first declaration of each object of a section.
    fn section<K: Name, T>(
        &mut self,
        section: &'static str,
        of: impl Fn(&'a spec::Document) -> Option<&'a BTreeMap<K, T>>,
    ) -> BTreeMap<K::Key<'a>, Declared<'a, T>> {
        let mut all = Vec::new();
        for (document, written) in &self.documents {
            let document = *document;
            let objects = of(written).into_iter().flatten();
            all.extend(objects.map(|(name, spec)| (name, Declared { spec, document })));
        }
        // Few sorted runs, quickly merged; a search for each of ten thousand names takes longer.
        // Stable: the first declaration stays the first.
        all.sort_by(|(a, _), (b, _)| a.key().cmp(&b.key()));
        all.dedup_by(|(name, later), (first_name, first)| {
            let again = name.key() == first_name.key();
            if again {
                let text = name.text();
                let finding = declared_twice(section, text, first.document, later.document);
                self.findings.push(finding);
            }
            again
        });
        all.into_iter().map(|(name, declared)| (name.key(), declared)).collect()
    }

    fn list<T>(&self, of: impl Fn(&'a spec::Document) -> &'a Vec<T>) -> Vec<(usize, usize, &'a T)> {
        let each = |(number, document): &(usize, &'a spec::Document)| {
            let number = *number;
            of(document).iter().enumerate().map(move |(index, value)| (number, index, value))
        };
        self.documents.iter().flat_map(each).collect()
    }
}

fn declared_twice(section: &str, name: &str, first: usize, document: usize) -> Finding {
    let mut path: Vec<String> = section.split('.').map(Into::into).collect();
    if !name.is_empty() {
        path.push(name.to_owned());
    }
    Finding {
        severity: Severity::Error,
        document: Some(document),
        path,
        at_key: true,
        message: format!("{DECLARED_TWICE}{first}"),
        hint: "remove one of the two; an object is declared once in all files together".into(),
        rule: None,
    }
}

/// Begins the message about a second declaration; the number of the first document follows, and
/// the loader puts its place there.
pub const DECLARED_TWICE: &str = "\u{1}";

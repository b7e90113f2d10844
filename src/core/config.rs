//! What runs: the configuration with every reference resolved.
//!
//! `config::compile` is the only road from what a person wrote to these types. They are plain
//! data and comparable: `old == new` is the whole change detection. Names that remain (a queue's
//! sender, an address' queue) are known to exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::address::Address;
use super::calendar::QuietHours;
use super::filter::Filter;
use super::fingerprint::Fingerprint;
use super::notify::EventKind;
use super::ticket::{Priority, State};
use super::webhook::HookEvent;

/// The queue that exists even if nobody declares it: where mail goes that matches nothing.
pub const QUEUE_OF_LAST_RESORT: &str = "Raw";

/// One revision of the files, ready to run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// Name, ticket hook, language and time zone of this desk.
    pub desk: Desk,
    /// Who may write, and what counts as the same mail.
    pub intake: Intake,
    /// Bounds on what we send by ourselves.
    pub limits: Limits,
    /// How people sign in on the page, beside passwords.
    pub sign_in: SignIn,
    /// Servers we hand mail to, by name.
    pub smtp: BTreeMap<String, SmtpServer>,
    /// Identities that outgoing mail is sent as, by name.
    pub senders: BTreeMap<String, Sender>,
    /// OAuth2 providers and profiles; kept for `check` and for the accounts that name them.
    pub oauth2: OAuth2,
    /// Mailboxes we fetch from, by name.
    pub accounts: Many<String, Arc<Account>>,
    /// Queues, by name. [`QUEUE_OF_LAST_RESORT`] is always among them.
    pub queues: BTreeMap<String, Queue>,
    /// Addresses of ours.
    pub system_addresses: Many<Address, Arc<SystemAddress>>,
    /// Filters in the order they run: ascending `order`, ties by name.
    pub filters: Vec<Arc<Filter>>,
    /// Texts we answer with, by name.
    pub auto_replies: BTreeMap<String, AutoReply>,
    /// Customers we know by declaration.
    pub customers: Many<Address, CustomerProfile>,
    /// Agents, by user name.
    pub users: BTreeMap<String, User>,
    /// Bearer tokens of the API, by name.
    pub api_tokens: BTreeMap<String, ApiToken>,
    /// Programs that are told of events of tickets, by name.
    pub webhooks: BTreeMap<String, Webhook>,
    /// Texts of notifications that replace the built-in ones.
    pub notification_texts: BTreeMap<EventKind, NotificationText>,
    /// Renames: the new name inherits cursor, ledger and ticket links of the old one.
    pub moved: Vec<Moved>,
}

/// Objects of a kind of which there may be ten thousand. Revisions share those that an edit did not
/// touch.
pub type Many<K, V> = Arc<BTreeMap<K, V>>;

/// Switch that every declared object has (the seed system's valid, invalid, invalid-temporarily).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Switch {
    /// In use.
    #[default]
    Enabled,
    /// Kept for the record, not used.
    Disabled,
    /// Suspended for a while; never shown as healthy.
    Paused,
}

/// How the desk presents itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Desk {
    /// Shown in mails and on the page.
    pub name: String,
    /// Text before the number in a subject tag, by default `Ticket#`.
    pub hook: String,
    /// Digits that tell this desk's ticket numbers from another desk's, by default `10`.
    pub system_id: String,
    /// Language of texts when nothing better is known.
    pub language: Language,
    /// Zone in which a day begins for ticket numbers and in which times are shown.
    pub time_zone: TimeZone,
}

impl Default for Desk {
    fn default() -> Self {
        Desk {
            name: "Postroom".into(),
            hook: "Ticket#".into(),
            system_id: "10".into(),
            language: Language::En,
            time_zone: TimeZone::UTC,
        }
    }
}

/// Languages with built-in texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Japanese.
    Ja,
}

impl Language {
    /// Its code (ISO 639-1), as in HTML, JSON and YAML.
    pub fn code(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Ja => "ja",
        }
    }
}

/// Rules of intake that hold for the whole desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intake {
    /// Whose mail becomes a ticket.
    pub customers: Customers,
    /// How far a repeated mail is recognised.
    pub dedupe: Dedupe,
    /// What becomes of those whom a customer's mail names in To and Cc.
    pub cc: Cc,
    /// Whose mail is answered automatically.
    pub answer: Answer,
    /// Mail server whose word about the sender of a mail is believed (RFC 8601).
    pub authserv_id: Option<String>,
    /// How long after the last change of a ticket an answer to a notification proves its agent.
    pub proof_valid_for: Duration,
    /// What an agent's mail begins with that is not for the customer; `None`: nothing does.
    pub internal_marker: Option<String>,
}

impl Default for Intake {
    fn default() -> Self {
        Intake {
            customers: Customers::default(),
            dedupe: Dedupe::default(),
            cc: Cc::default(),
            answer: Answer::default(),
            authserv_id: None,
            proof_valid_for: Duration::from_secs(90 * 24 * 3600),
            internal_marker: Some("#internal".into()),
        }
    }
}

/// What becomes of those whom a customer's mail names in To and Cc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cc {
    /// They take part in the ticket.
    #[default]
    Participants,
    /// Nothing; whom an agent writes to takes part all the same.
    Ignore,
}

/// Whose mail is answered automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// Everybody's.
    #[default]
    Everybody,
    /// Only what our own mail server calls authentic.
    Authenticated,
}

/// Whose mail becomes a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Customers {
    /// Everybody's.
    #[default]
    Open,
    /// Only that of declared customers, agents and our own addresses; the rest is quarantined.
    Declared,
}

/// How far a repeated mail is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dedupe {
    /// Within one account: a mail to two accounts gives two tickets.
    #[default]
    Account,
    /// Over all accounts.
    Global,
}

/// Bounds on automatic mail and on connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Automatic answers to one address in 24 hours.
    pub auto_replies_per_day: u32,
    /// Automatic answers to one address in 3 hours.
    pub auto_replies_per_three_hours: u32,
    /// Daily bound of single addresses, instead of `auto_replies_per_day`.
    pub auto_replies_per_address: BTreeMap<Address, u32>,
    /// Automatic answers to one address about one ticket in one hour.
    pub auto_replies_per_ticket: u32,
    /// New tickets of one address and subject that are answered in 24 hours.
    pub auto_replies_per_subject: u32,
    /// Automatic answers of the whole desk in one hour.
    pub auto_replies_per_hour: u32,
    /// Notification mails to one user in one hour; the rest comes to him as one.
    pub notifications_per_hour: u32,
    /// Connections at a time to one mail host.
    pub connections_per_host: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            auto_replies_per_day: 40,
            auto_replies_per_three_hours: 10,
            auto_replies_per_address: BTreeMap::new(),
            auto_replies_per_ticket: 5,
            auto_replies_per_subject: 2,
            auto_replies_per_hour: 1_000,
            notifications_per_hour: 100,
            connections_per_host: 8,
        }
    }
}

/// How people sign in on the page, beside passwords.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignIn {
    /// A provider whose people may be users.
    pub oidc: Option<Oidc>,
}

/// An OpenID Connect provider, and our registration with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// Who it is; everything else is found beneath.
    pub issuer: String,
    /// What stands on the button.
    pub name: String,
    /// Who we are there.
    pub client_id: Text,
    /// How we prove it; public clients do not.
    pub client_secret: Option<SecretRef>,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// Claim that names the user; `None` is the verified mail address.
    pub user_claim: Option<String>,
    /// Whether it may lie in a private network.
    pub allow_private: bool,
    /// Certificates.
    pub tls: TlsOptions,
}

/// Where a secret is found. The value is read when used and never kept here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file, relative ones beneath the working directory.
    File(PathBuf),
    /// A file in the secrets directory.
    Named(String),
}

/// A plain text, or a reference to one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Text {
    /// As written.
    Plain(String),
    /// Read when used.
    Reference(SecretRef),
}

/// How we reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address.
    pub host: Text,
    /// TCP port.
    pub port: u16,
    /// Encryption; what is declared is required, never merely tried.
    pub security: Security,
    /// Certificates and names.
    pub tls: TlsOptions,
    /// Until the TCP connection stands.
    pub connect_timeout: Duration,
    /// For each step after that.
    pub timeout: Duration,
}

/// Encryption of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// None.
    Plain,
    /// TLS from the first byte.
    Tls,
    /// STARTTLS or STLS; refused or missing ends the connection before any credential.
    StartTls,
}

/// Settings of TLS beyond "verify with the system's roots".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsOptions {
    /// Roots to trust instead of the system's, a PEM file.
    pub ca: Option<PathBuf>,
    /// Client certificate chain and key, PEM files.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Name expected in the certificate, if not the host.
    pub server_name: Option<String>,
    /// Certificates of the server that are accepted as they are. Without `ca` no others are.
    pub pin: Vec<Fingerprint>,
    /// Certificates are not verified. Loud in `check`, log and metrics.
    pub insecure: bool,
}

/// How we prove who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    None,
    /// With name and password.
    Password {
        /// Account name.
        username: Text,
        /// Where the password is found.
        password: SecretRef,
    },
    /// With a token of an OAuth2 profile.
    OAuth2 {
        /// Account name, usually the address.
        username: Text,
        /// Name of the profile.
        profile: String,
        /// Mailbox that is opened instead of the one of whoever signed in.
        mailbox: Option<Text>,
    },
}

impl Login {
    /// Mailbox that is opened instead of the one of whoever signed in.
    pub fn mailbox(&self) -> Option<&Text> {
        match self {
            Login::None | Login::Password { .. } => None,
            Login::OAuth2 { mailbox, .. } => mailbox.as_ref(),
        }
    }

    /// Mailbox that is opened, by name: the other one, or the user's own.
    pub fn opens(&self) -> Option<&Text> {
        match self {
            Login::None | Login::Password { .. } => None,
            Login::OAuth2 { username, mailbox, .. } => mailbox.as_ref().or(Some(username)),
        }
    }

    /// Whether another mailbox than the user's own is opened.
    pub fn is_for_another(&self) -> bool {
        self.mailbox().is_some_and(|mailbox| Some(mailbox) != self.user())
    }

    fn user(&self) -> Option<&Text> {
        match self {
            Login::None | Login::Password { .. } => None,
            Login::OAuth2 { username, .. } => Some(username),
        }
    }
}

/// A server that takes our mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpServer {
    /// Its name in the configuration.
    pub name: String,
    /// How mail reaches it.
    pub route: SmtpRoute,
    /// Connections kept open at a time.
    pub connections: usize,
    /// The name by which we greet it, if one is declared.
    pub helo_name: Option<String>,
    /// Switch.
    pub state: Switch,
}

/// How outgoing mail leaves us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmtpRoute {
    /// SMTP to a server.
    Smtp {
        /// Where and how encrypted.
        endpoint: Endpoint,
        /// With which login.
        login: Login,
    },
    /// Microsoft Graph.
    Graph {
        /// Server.
        endpoint: Endpoint,
        /// Credentials.
        login: Login,
    },
    /// An `.eml` and an envelope `.json` for each mail, in this directory.
    File {
        /// The directory; made if absent.
        directory: PathBuf,
    },
    /// The local `sendmail` command.
    Sendmail {
        /// Program, by default `/usr/sbin/sendmail`.
        command: PathBuf,
    },
}

/// Who outgoing mail comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Its name in the configuration.
    pub name: String,
    /// Display name of the header `From`.
    pub from_name: String,
    /// Address of the header `From`.
    pub from: Address,
    /// Envelope sender; `None` is the null sender of automatic mail and `from` of an agent's.
    pub envelope_from: Option<Address>,
    /// Names of the servers to try, in this order. Not empty.
    pub via: Vec<String>,
    /// Switch.
    pub state: Switch,
}

impl Sender {
    /// Where reports go of mail that is not sent with the null sender: `envelope_from`, else `from`.
    pub fn return_path(&self) -> &Address {
        self.envelope_from.as_ref().unwrap_or(&self.from)
    }
}

/// OAuth2 as declared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OAuth2 {
    /// Where the key is found that encrypts tokens in the store.
    pub seal_key: Option<SecretRef>,
    /// Providers by name: the endpoint URLs and, per protocol, host and scopes.
    pub providers: BTreeMap<String, OAuthProvider>,
    /// Profiles by name.
    pub profiles: BTreeMap<String, OAuthProfile>,
}

/// Endpoints of an OAuth2 provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthProvider {
    /// Authorization endpoint.
    pub auth_url: String,
    /// Token endpoint.
    pub token_url: String,
    /// Device authorization endpoint.
    pub device_url: Option<String>,
    /// How a client shows who it is at the token endpoint.
    pub client_auth: ClientAuth,
    /// What is added to the authorization endpoint.
    pub auth_params: BTreeMap<String, String>,
    /// How long a refresh token lives that nobody uses, where the provider does not say it itself.
    pub refresh_token_life: Option<std::time::Duration>,
    /// Whether its URLs may lead into a private network.
    pub allow_private: bool,
    /// Certificates and names.
    pub tls: TlsOptions,
    /// Per protocol (`imap`, `pop3`, `smtp`, `graph`), and for some uses of it by themselves
    /// ([`OAuthService::name`]): default host and scopes.
    pub services: BTreeMap<String, OAuthService>,
}

/// What a provider offers for one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthService {
    /// Host for accounts that name none.
    pub host: Option<String>,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// Scopes to ask for with client credentials.
    pub app_scopes: Vec<String>,
}

impl OAuthService {
    /// Under which name the scopes for a use of a protocol stand, if there are any of its own.
    pub fn name(protocol: &str, sends: bool, shared: bool) -> String {
        let sends = if sends { "+send" } else { "" };
        let shared = if shared { "+shared" } else { "" };
        format!("{protocol}{sends}{shared}")
    }
}

/// Stands in URLs of a provider for the tenant of a profile.
pub const TENANT: &str = "{tenant}";

/// How a client shows who it is at a token endpoint (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Identifier and secret in the header.
    Basic,
    /// Both in the form.
    Post,
}

/// A registration at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthProfile {
    /// Name of the provider.
    pub provider: String,
    /// Directory of the provider, where its URLs ask for one.
    pub tenant: Option<String>,
    /// Client identifier.
    pub client_id: Text,
    /// Client secret; public clients have none.
    pub client_secret: Option<SecretRef>,
    /// When the provider will stop to accept the secret.
    pub secret_expires: Option<jiff::civil::Date>,
    /// Grant to use.
    pub grant: Grant,
}

/// OAuth2 grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// RFC 6749 section 4.1 with PKCE (RFC 7636).
    AuthorizationCode,
    /// RFC 8628.
    DeviceCode,
    /// RFC 6749 section 4.4.
    ClientCredentials,
}

/// A mailbox we fetch from.
///
/// A change of `connection` restarts the poller; a change of anything else never does.
///
/// `Eq`, so that two pointers to one account are equal without a look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name in the configuration: the identity under which the ledger knows it.
    pub name: String,
    /// Where the mails are.
    pub connection: Source,
    /// When to look.
    pub poll: Poll,
    /// Whether to wait with IMAP IDLE where the server offers it.
    pub idle: bool,
    /// Which mails to take.
    pub only: Only,
    /// What to do with mail that lay there before the account was first seen.
    pub since: Since,
    /// Mails larger than this are treated as `oversize` says. Bytes.
    pub max_size_bytes: u64,
    /// What becomes of larger ones.
    pub oversize: Oversize,
    /// What is done to a mail on the server once its outcome is committed.
    pub after_fetch: AfterFetch,
    /// How the queue of a new ticket is chosen.
    pub dispatch: Dispatch,
    /// Whether control headers in the mail count.
    pub trusted: bool,
    /// Switch.
    pub state: Switch,
}

/// Where the mails of an account are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// IMAP4rev1.
    Imap {
        /// Server.
        endpoint: Endpoint,
        /// Credentials.
        login: Login,
        /// Folder in plain UTF-8, by default `INBOX`.
        folder: String,
    },
    /// POP3.
    Pop3 {
        /// Server.
        endpoint: Endpoint,
        /// Credentials.
        login: Login,
    },
    /// Microsoft Graph.
    Graph {
        /// Server.
        endpoint: Endpoint,
        /// Credentials.
        login: Login,
        /// Well-known name or path of display names, by default `INBOX`.
        folder: String,
    },
    /// A Maildir on this machine.
    Maildir {
        /// The directory that holds `new`, `cur` and `tmp`.
        path: PathBuf,
    },
}

/// When an account is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poll {
    /// Again and again after this time.
    Every(Duration),
    /// By a cron expression of five fields, in the desk's time zone.
    Cron(String),
}

/// Which mails of a mailbox are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Only {
    /// All that the ledger does not know.
    #[default]
    All,
    /// Of those, the ones not marked as seen.
    Unseen,
}

/// What happens to mail that lay there before the account was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Since {
    /// It is left alone and reported.
    #[default]
    Linked,
    /// It is taken.
    All,
    /// It is taken if it arrived on or after this instant.
    Date(Timestamp),
}

/// What becomes of mails over the size limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Oversize {
    /// A ticket from the headers alone; the mail stays on the server.
    #[default]
    HeadersOnly,
    /// A quarantine entry with the headers; the mail stays on the server.
    Quarantine,
    /// The mail is left alone and counted.
    Leave,
}

/// What is done to a mail on the server after the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterFetch {
    /// It is deleted.
    Delete,
    /// It is marked as seen.
    Seen,
    /// It is moved to this folder (plain UTF-8).
    Move(String),
    /// Nothing.
    Keep,
}

/// How the queue of a new ticket is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dispatch {
    /// By the first system address among the recipients.
    Recipient,
    /// Always this queue.
    Queue(String),
}

/// A queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Its name in the configuration.
    pub name: String,
    /// Sender of replies and notifications of its tickets; `None` uses the sender `default`.
    pub sender: Option<String>,
    /// Names of the auto-replies for each occasion.
    pub auto_replies: QueueReplies,
    /// What stands around an agent's answer, per language; none: nothing.
    pub answer: Texts,
    /// What a follow-up does.
    pub follow_up: FollowUpRules,
    /// How long a ticket stays locked without an agent's action.
    pub lock_timeout: Option<Duration>,
    /// Switch.
    pub state: Switch,
}

impl Queue {
    /// A queue with nothing but a name.
    pub fn named(name: &str) -> Queue {
        Queue {
            name: name.into(),
            sender: None,
            auto_replies: QueueReplies::default(),
            answer: Texts::new(),
            follow_up: FollowUpRules::default(),
            lock_timeout: None,
            state: Switch::Enabled,
        }
    }
}

/// Names of a queue's auto-replies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueReplies {
    /// To the mail that made a ticket.
    pub new: Option<String>,
    /// To a follow-up.
    pub follow_up: Option<String>,
    /// To a follow-up that was rejected.
    pub reject: Option<String>,
    /// To a follow-up to a closed ticket that made a new one.
    pub new_ticket: Option<String>,
}

/// What a follow-up does to a ticket of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FollowUpRules {
    /// What it does to a closed ticket.
    pub closed: OnClosed,
    /// Reopening ends this long after closing; later a new ticket is made.
    pub reopen_within: Option<Duration>,
    /// A reopened ticket is locked for its owner again.
    pub lock: bool,
    /// State a follow-up sets, by default `open`. A `new` ticket stays new.
    pub state: Option<State>,
    /// Whether the tag also counts in the text.
    pub search_body: bool,
    /// Whose mail may join.
    pub from: FollowUpFrom,
}

/// What a follow-up does to a closed ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnClosed {
    /// Opens it again.
    #[default]
    Reopen,
    /// Is kept as an article; the ticket stays closed.
    Reject,
    /// Makes a new ticket that is linked to it.
    NewTicket,
}

/// Whose mail may join a ticket by its number or by a foreign Message-ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FollowUpFrom {
    /// Those who take part in the ticket.
    #[default]
    Participants,
    /// Anyone's.
    Anyone,
}

/// An address of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemAddress {
    /// The address.
    pub address: Address,
    /// Display name.
    pub name: String,
    /// Queue of mail to it.
    pub queue: String,
    /// Whether what an agent writes to it stays inside.
    pub internal: bool,
    /// Switch. A disabled one receives nothing new but is still recognised as ours.
    pub state: Switch,
}

/// A text per language; the desk's language is the fallback, then any.
pub type Texts = BTreeMap<Language, String>;

/// An automatic answer. The templates were tried at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoReply {
    /// Its name in the configuration.
    pub name: String,
    /// Header From: one of our system addresses.
    pub from: Address,
    /// Envelope sender, by default the null sender.
    pub envelope_from: Option<Address>,
    /// Subject templates; the ticket tag is put before.
    pub subject: Texts,
    /// Text templates.
    pub text: Texts,
    /// Switch.
    pub state: Switch,
}

/// What is declared about a customer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomerProfile {
    /// Full name.
    pub name: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Language of texts for this customer.
    pub language: Option<Language>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User name: the key in the configuration.
    pub name: String,
    /// Where notifications go.
    pub email: Address,
    /// Full name.
    pub full_name: String,
    /// Language of notifications and of the page.
    pub language: Language,
    /// Zone of the times of day that are declared for the user.
    pub time_zone: TimeZone,
    /// What the user may do.
    pub role: Role,
    /// Where the hash of the password is found.
    pub password_hash: Option<SecretRef>,
    /// Queues and events the user wants to hear about.
    pub subscriptions: Subscriptions,
    /// Switch. A disabled user is told nothing and does not sign in.
    pub state: Switch,
}

/// What an agent or a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Works on tickets.
    User,
    /// Also sees and changes others' watches.
    Manager,
    /// Everything.
    Admin,
}

/// What a user wants to hear about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscriptions {
    /// Queues the user works in.
    pub queues: BTreeSet<String>,
    /// Events, each with the way it reaches the user.
    pub events: BTreeMap<EventKind, Wish>,
    /// Whether only that counts which concerns the user in person.
    pub mine_only: bool,
    /// Time of the day at which collected mails are sent as one.
    pub digest: Option<jiff::civil::Time>,
    /// Part of the day in which mails wait.
    pub quiet_hours: Option<QuietHours>,
    /// Mails about tickets of this priority or a higher one never wait.
    pub urgent: Option<Priority>,
}

/// How one event reaches a user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// Channels for tickets of queues that are not in `queues`.
    pub channels: Channels,
    /// Channels for tickets of these queues.
    pub queues: BTreeMap<String, Channels>,
    /// Instead of [`Subscriptions::mine_only`].
    pub mine_only: Option<bool>,
    /// Whether mails do not wait for the digest.
    pub at_once: bool,
}

impl From<Channels> for Wish {
    fn from(channels: Channels) -> Wish {
        Wish { channels, ..Wish::default() }
    }
}

impl Subscriptions {
    /// Whether the user works in a queue, as far as this event is concerned.
    pub fn works_in(&self, queue: &str, event: EventKind) -> bool {
        let named = |wish: &Wish| wish.queues.get(queue).is_some_and(|channels| channels.any());
        self.queues.contains(queue) || self.events.get(&event).is_some_and(named)
    }
}

/// Ways a notification reaches a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Channels {
    /// By mail.
    pub mail: bool,
    /// By the bell on the page.
    pub web: bool,
}

impl Channels {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.mail || self.web
    }
}

/// A bearer token of the API, known by its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Its name in the configuration.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What it may do.
    pub role: Role,
    /// Last day on which it is accepted.
    pub expires: Option<jiff::civil::Date>,
    /// Switch.
    pub state: Switch,
}

/// A program that is told of events of tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its name in the configuration.
    pub name: String,
    /// Where it listens. Of chat programs it is a secret.
    pub url: Text,
    /// What it is told of.
    pub events: BTreeSet<HookEvent>,
    /// Tickets of which queues; `None` is all.
    pub queues: Option<BTreeSet<String>>,
    /// Where the key of the signature is found.
    pub secret: SecretRef,
    /// Which texts it gets to see.
    pub texts: WebhookTexts,
    /// Whether it may lie in a private network.
    pub allow_private: bool,
    /// Certificates and names.
    pub tls: TlsOptions,
    /// Switch. A paused one is told later, a disabled one never.
    pub state: Switch,
}

/// Which texts of articles a webhook gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookTexts {
    /// None; of what the customer may see, the subject.
    #[default]
    None,
    /// Of what the customer may see.
    Public,
    /// All.
    All,
}

/// Replaces the built-in text of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotificationText {
    /// Subject templates; the ticket tag is put before.
    pub subject: Texts,
    /// Text templates.
    pub text: Texts,
}

/// A rename.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// What was renamed.
    pub kind: MovedKind,
    /// Old name.
    pub from: String,
    /// New name.
    pub to: String,
}

/// Kinds of objects whose rename keeps what is stored about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovedKind {
    /// Cursor and ledger follow.
    MailAccount,
    /// Tickets follow.
    Queue,
    /// Ownership and watches follow.
    User,
}

/// Absolute or relative instant, as `pendingTime` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At this instant.
    At(Timestamp),
    /// This long after the mail is decided.
    In(SignedDuration),
}

impl Priority {
    /// Priority of a ticket that nobody gave one.
    pub const DEFAULT: Priority = Priority::Normal;
}

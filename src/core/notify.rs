//! Who is told of what.
//!
//! [`audience`] reads the events of one change and lists the people to tell: each person once per
//! event, in the first role that reaches them. [`explain`] says by the same rules who would be told
//! of an event and who would not, and which place in the configuration decides it.
//!
//! Architecture invariant: nothing here words or sends a mail; [`super::render`] does. What a
//! customer may not see never leaves through a [`Notice`] to a customer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::calendar;
use super::config::{Channels, Config, Language, Switch, User, Wish};
use super::ticket::{
    Actor, Article, ArticleId, ArticleKind, AuthorKind, Event, State, Ticket, Watcher, What,
};

/// Events a user can subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// A ticket is created.
    TicketCreated,
    /// A follow-up arrives on a locked ticket.
    FollowUpLocked,
    /// A follow-up arrives on an unlocked ticket.
    FollowUpUnlocked,
    /// The owner lost a ticket: closed, resolved or unlocked by somebody else, or timed out.
    LockTimeout,
    /// A note is added.
    NoteAdded,
    /// The queue changes.
    QueueUpdated,
    /// The owner changes.
    OwnerChanged,
    /// The responsible agent changes.
    ResponsibleChanged,
    /// A mail of ours could not be delivered.
    DeliveryFailed,
    /// A pending time is reached.
    PendingReached,
}

impl EventKind {
    /// All, in the order of the documentation.
    pub const ALL: [EventKind; 10] = [
        EventKind::TicketCreated,
        EventKind::FollowUpLocked,
        EventKind::FollowUpUnlocked,
        EventKind::LockTimeout,
        EventKind::NoteAdded,
        EventKind::QueueUpdated,
        EventKind::OwnerChanged,
        EventKind::ResponsibleChanged,
        EventKind::DeliveryFailed,
        EventKind::PendingReached,
    ];

    /// Name in YAML, metrics and history.
    pub fn label(&self) -> &'static str {
        match self {
            EventKind::TicketCreated => "ticketCreated",
            EventKind::FollowUpLocked => "followUpLocked",
            EventKind::FollowUpUnlocked => "followUpUnlocked",
            EventKind::LockTimeout => "lockTimeout",
            EventKind::NoteAdded => "noteAdded",
            EventKind::QueueUpdated => "queueUpdated",
            EventKind::OwnerChanged => "ownerChanged",
            EventKind::ResponsibleChanged => "responsibleChanged",
            EventKind::DeliveryFailed => "deliveryFailed",
            EventKind::PendingReached => "pendingReached",
        }
    }

    /// Reads a label.
    pub fn from_label(label: &str) -> Option<EventKind> {
        EventKind::ALL.into_iter().find(|kind| kind.label() == label)
    }
}

/// One person to be told of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub event: EventKind,
    /// User name, or the customer's address.
    pub who: String,
    /// Address of the mail.
    pub address: Address,
    /// Display name.
    pub name: String,
    /// Language of the text.
    pub language: Language,
    /// Ways to tell.
    pub channels: Channels,
    /// What the mail waits for. The bell never waits.
    pub wait: Wait,
    /// In which role: `owner`, `responsible`, `watcher`, `queue sales`.
    pub role: String,
    /// Where in the configuration the person asks for it. A customer asks nowhere.
    pub rule: Option<Rule>,
    /// Whether this is a customer, who must not see anything internal.
    pub customer: bool,
}

/// A bell that rings for somebody on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// User name.
    pub who: String,
    /// What happened.
    pub event: EventKind,
    /// In which role, as in [`Notice::role`].
    pub role: String,
    /// Where in the configuration he asks for it; may be empty.
    pub rule: String,
}

/// What a mail waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    No,
    /// The end of the person's quiet hours.
    QuietHours(Timestamp),
    /// The person's digest, which is next sent at this time.
    Digest(Timestamp),
}

/// A place in the configuration, key by key: `users`, `alice`, `subscriptions`, `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(pub Vec<String>);

/// Whether somebody is told of an event, and what decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What happened.
    pub event: EventKind,
    /// User name, or the customer's address.
    pub who: String,
    /// Whether this is a customer.
    pub customer: bool,
    /// In which role, as in [`Notice::role`]; `None`: the person has no part in it.
    pub role: Option<String>,
    /// How, or why not.
    pub told: Result<Notice, Not>,
    /// Places in the configuration that decided, the most telling last.
    pub rules: Vec<Rule>,
}

/// Why somebody is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Not {
    /// He is not declared any more.
    Undeclared,
    /// He is disabled or paused.
    SwitchedOff,
    /// He did it himself.
    OwnAction,
    /// He does not subscribe to the event.
    NotSubscribed,
    /// He subscribes over no channel, or over none for this queue.
    Silenced,
    /// He only wants to hear of his own tickets, and this one is of his queue.
    MineOnly,
    /// The mail would come back: the address is one of ours.
    OwnAddress,
    /// Somebody else gets the mail at the same address.
    SameAddress(String),
    /// Customers do not see it, or must not be written to because a program wrote it.
    NotForCustomers,
    /// It is told to those who work in the queue, and he does not.
    OtherQueue,
    /// It is told to owner, responsible or watchers, and he is none of them.
    NotConcerned,
}

impl Not {
    /// Name in the API.
    pub fn label(&self) -> &'static str {
        match self {
            Not::Undeclared => "undeclared",
            Not::SwitchedOff => "switchedOff",
            Not::OwnAction => "ownAction",
            Not::NotSubscribed => "notSubscribed",
            Not::Silenced => "silenced",
            Not::MineOnly => "mineOnly",
            Not::OwnAddress => "ownAddress",
            Not::SameAddress(_) => "sameAddress",
            Not::NotForCustomers => "notForCustomers",
            Not::OtherQueue => "otherQueue",
            Not::NotConcerned => "notConcerned",
        }
    }

    /// In words that follow a name.
    pub fn words(&self) -> String {
        match self {
            Not::Undeclared => "is not declared any more".into(),
            Not::SwitchedOff => "is disabled or paused".into(),
            Not::OwnAction => "did it himself".into(),
            Not::NotSubscribed => "does not subscribe to this event".into(),
            Not::Silenced => "subscribes to this event over no channel here".into(),
            Not::MineOnly => "only wants to hear of his own tickets".into(),
            Not::OwnAddress => "has an address of this desk: the mail would come back".into(),
            Not::SameAddress(who) => format!("has the address of {who}, who gets the mail"),
            Not::NotForCustomers => "is a customer and is not told of this".into(),
            Not::OtherQueue => "does not work in the ticket's queue".into(),
            Not::NotConcerned => "has no part in the ticket that this is told to".into(),
        }
    }
}

impl Notice {
    /// The rule as text; empty if there is none.
    pub fn rule_words(&self) -> String {
        self.rule.as_ref().map(Rule::to_string).unwrap_or_default()
    }

    /// Why the person is told, and what his mail waits for, for the history of the ticket.
    pub fn history(&self) -> String {
        let role = &self.role;
        match self.wait {
            Wait::QuietHours(until) if self.channels.mail => {
                format!("{role}; the mail waits until {until}, the end of quiet hours")
            }
            Wait::Digest(_) if self.channels.mail => {
                format!("{role}; the mail waits for the digest")
            }
            Wait::No | Wait::QuietHours(_) | Wait::Digest(_) => role.clone(),
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Everybody to be told of what just happened to a ticket, each person once per event.
///
/// `before` is the ticket before the events (`None` if they made it), `after` the one afterwards.
/// `articles` are those that the events speak of: customers hear only of articles they may see,
/// and one that is not in the list counts as internal.
pub fn audience(
    config: &Config,
    before: Option<&Ticket>,
    after: &Ticket,
    events: &[Event],
    articles: &[Article],
    now: Timestamp,
) -> Vec<Notice> {
    let scene = Scene { config, before, after, articles, now };
    let mut verdicts = Vec::new();
    for event in events {
        let Some(kind) = scene.kind(event) else { continue };
        for invitation in scene.invitations(kind, scene.is_shown(event)) {
            admit(&mut verdicts, scene.verdict(kind, &invitation, &event.actor));
        }
    }
    verdicts.into_iter().filter_map(|verdict| verdict.told.ok()).collect()
}

/// Who would be told of an event on this ticket if it happened now, and who would not: every user
/// and every customer who watches, by the rules of [`audience`].
///
/// A follow-up is taken for one that a person wrote and customers may see, a note for internal.
pub fn explain(
    config: &Config,
    ticket: &Ticket,
    kind: EventKind,
    actor: &Actor,
    now: Timestamp,
) -> Vec<Verdict> {
    let scene = Scene { config, before: Some(ticket), after: ticket, articles: &[], now };
    let shown = matches!(kind, EventKind::FollowUpLocked | EventKind::FollowUpUnlocked);
    let mut verdicts = Vec::new();
    for invitation in scene.invitations(kind, shown) {
        admit(&mut verdicts, scene.verdict(kind, &invitation, actor));
    }
    for user in config.users.values() {
        if !verdicts.iter().any(|verdict| !verdict.customer && verdict.who == user.name) {
            verdicts.push(scene.uninvited(kind, user, actor));
        }
    }
    verdicts
}

/// What one change looks like: the ticket on both sides of it, and the articles it added.
struct Scene<'a> {
    config: &'a Config,
    before: Option<&'a Ticket>,
    after: &'a Ticket,
    articles: &'a [Article],
    now: Timestamp,
}

/// Somebody who might be told, and in which role.
struct Invitation {
    who: Watcher,
    role: String,
    /// Whether he is meant because of the ticket's queue alone.
    by_queue: bool,
    /// Whether he is a customer who must not hear of this.
    barred: bool,
}

/// How, or why not, with the places that decided.
type Judged<T> = (Result<T, Not>, Vec<Rule>);

impl Scene<'_> {
    /// Which event users can subscribe to this is, if any.
    fn kind(&self, event: &Event) -> Option<EventKind> {
        match &event.what {
            What::Created => Some(EventKind::TicketCreated),
            What::FollowedUp { locked, .. } => Some(follow_up(*locked)),
            What::FollowUpRejected { .. } => {
                Some(follow_up(self.before.unwrap_or(self.after).locked_since.is_some()))
            }
            What::ArticleAdded { kind: ArticleKind::Note, .. } => Some(EventKind::NoteAdded),
            What::ArticleAdded {
                kind:
                    ArticleKind::MailIn
                    | ArticleKind::MailOut
                    | ArticleKind::AutoReply
                    | ArticleKind::Bounce,
                ..
            } => None,
            What::State { from, to } => {
                self.takes_away(*from, *to, &event.actor).then_some(EventKind::LockTimeout)
            }
            What::Unlocked | What::LockTimedOut => Some(EventKind::LockTimeout),
            What::Queue { .. } => self.before.map(|_| EventKind::QueueUpdated),
            What::Owner { .. } => Some(EventKind::OwnerChanged),
            What::Responsible { .. } => Some(EventKind::ResponsibleChanged),
            What::DeliveryFailed { to, .. } => {
                self.fails_first(to).then_some(EventKind::DeliveryFailed)
            }
            What::PendingReached => Some(EventKind::PendingReached),
            What::Priority { .. }
            | What::Title { .. }
            | What::Customer { .. }
            | What::Locked
            | What::WatcherAdded { .. }
            | What::WatcherRemoved { .. }
            | What::MergedInto { .. }
            | What::MergedFrom { .. }
            | What::Linked { .. }
            | What::AutoReplyOwed { .. }
            | What::AutoReplySuppressed { .. }
            | What::Notified { .. } => None,
        }
    }

    /// Whether a change of state takes the ticket out of its owner's hands: it is done, and not
    /// by him. What the desk does by itself counts only while the ticket is locked, when he
    /// believes to have it to himself.
    fn takes_away(&self, from: State, to: State, actor: &Actor) -> bool {
        let locked = self.before.is_some_and(|before| before.locked_since.is_some());
        is_done(to) && !is_done(from) && (locked || *actor != Actor::System)
    }

    /// Whether this address was good until now. Later failures are history only: otherwise two
    /// agents whose mailboxes refuse would be told of each other's failure for ever.
    fn fails_first(&self, to: &Address) -> bool {
        self.before.is_none_or(|before| !before.undeliverable.contains(to))
    }

    /// Everybody whom the table of events names, in the order of their roles.
    fn invitations(&self, kind: EventKind, shown: bool) -> Vec<Invitation> {
        let ticket = self.after;
        match kind {
            EventKind::TicketCreated | EventKind::QueueUpdated => self.queue_users(kind),
            EventKind::FollowUpLocked | EventKind::NoteAdded => self.people(shown),
            EventKind::FollowUpUnlocked => {
                let mut all = self.people(shown);
                all.extend(self.queue_users(kind));
                all
            }
            EventKind::LockTimeout => {
                let owner = self.before.and_then(|before| before.owner.as_ref());
                invite_agents([(owner, "owner")])
            }
            EventKind::OwnerChanged => invite_agents([
                (ticket.owner.as_ref(), "owner"),
                (self.before.and_then(|before| before.owner.as_ref()), "previous owner"),
            ]),
            EventKind::ResponsibleChanged => invite_agents([
                (ticket.responsible.as_ref(), "responsible"),
                (
                    self.before.and_then(|before| before.responsible.as_ref()),
                    "previous responsible",
                ),
            ]),
            EventKind::DeliveryFailed => {
                let owner = self.enabled(ticket.owner.as_ref());
                let responsible = self.enabled(ticket.responsible.as_ref());
                match (owner, responsible) {
                    (Some(owner), _) => invite_agents([(Some(owner), "owner")]),
                    (None, Some(one)) => invite_agents([(Some(one), "responsible")]),
                    (None, None) => self.queue_users(kind),
                }
            }
            EventKind::PendingReached => {
                let owner = self.enabled(ticket.owner.as_ref());
                let responsible = self.enabled(ticket.responsible.as_ref());
                if owner.is_none() && responsible.is_none() {
                    return self.queue_users(kind);
                }
                invite_agents([(owner, "owner"), (responsible, "responsible")])
            }
        }
    }

    /// Owner, responsible and watchers; `shown` says whether customers may hear of it.
    fn people(&self, shown: bool) -> Vec<Invitation> {
        let mut all = invite_agents([
            (self.after.owner.as_ref(), "owner"),
            (self.after.responsible.as_ref(), "responsible"),
        ]);
        let watchers = self.after.watchers.iter().map(|watcher| Invitation {
            who: watcher.clone(),
            role: "watcher".into(),
            by_queue: false,
            barred: !shown && matches!(watcher, Watcher::Customer(_)),
        });
        all.extend(watchers);
        all
    }

    /// Users who work in the ticket's queue.
    fn queue_users(&self, kind: EventKind) -> Vec<Invitation> {
        let queue = &self.after.queue;
        let works_here = |user: &&User| user.subscriptions.works_in(queue, kind);
        let invitation = |user: &User| Invitation {
            who: Watcher::Agent(user.name.clone()),
            role: format!("queue {queue}"),
            by_queue: true,
            barred: false,
        };
        self.config.users.values().filter(works_here).map(invitation).collect()
    }

    /// Whether customers may hear of an event.
    fn is_shown(&self, event: &Event) -> bool {
        article_of(&event.what).is_some_and(|article| self.is_for_customers(article))
    }

    /// Whether customers may hear of an article: it is visible to them, and a person wrote it.
    /// Customers are told of their own mails, so a machine's mail would go round for ever.
    fn is_for_customers(&self, id: ArticleId) -> bool {
        let article = self.articles.iter().find(|article| article.id == id);
        article.is_some_and(|article| article.visible_for_customer && !is_automatic(article))
    }

    /// This user's name, if he is declared and enabled.
    fn enabled<'n>(&self, name: Option<&'n String>) -> Option<&'n String> {
        name.filter(|name| {
            self.config.users.get(*name).is_some_and(|user| user.state == Switch::Enabled)
        })
    }

    /// Whether somebody who is invited is told.
    fn verdict(&self, event: EventKind, invitation: &Invitation, actor: &Actor) -> Verdict {
        let role = invitation.role.clone();
        let (who, customer, (told, mut rules)) = match &invitation.who {
            Watcher::Agent(name) => {
                let judged = match self.config.users.get(name) {
                    Some(user) => self.agent(event, user, invitation, actor),
                    None => (Err(Not::Undeclared), Vec::new()),
                };
                (name.clone(), false, judged)
            }
            Watcher::Customer(_) if invitation.barred => {
                let judged = (Err(Not::NotForCustomers), Vec::new());
                (invitation.who.to_string(), true, judged)
            }
            Watcher::Customer(address) => {
                let notice = self.customer_notice(event, address, role.clone());
                (address.to_string(), true, (Ok(notice), Vec::new()))
            }
        };
        let told = told.and_then(|notice| self.without_ours(notice, &mut rules));
        Verdict { event, who, customer, role: Some(role), told, rules }
    }

    /// A user whom the event is not told to, whatever he wants.
    fn uninvited(&self, event: EventKind, user: &User, actor: &Actor) -> Verdict {
        let (wants, mut rules) = wants(event, user, &self.after.queue, actor);
        let by_queue = match event {
            EventKind::TicketCreated | EventKind::QueueUpdated | EventKind::FollowUpUnlocked => {
                true
            }
            EventKind::FollowUpLocked
            | EventKind::LockTimeout
            | EventKind::NoteAdded
            | EventKind::OwnerChanged
            | EventKind::ResponsibleChanged
            | EventKind::DeliveryFailed
            | EventKind::PendingReached => false,
        };
        let not = match wants {
            Err(not) => not,
            Ok(_) if by_queue => {
                rules.push(rule(user, &["subscriptions", "queues"]));
                Not::OtherQueue
            }
            Ok(_) => Not::NotConcerned,
        };
        Verdict {
            event,
            who: user.name.clone(),
            customer: false,
            role: None,
            told: Err(not),
            rules,
        }
    }

    fn agent(
        &self,
        event: EventKind,
        user: &User,
        invitation: &Invitation,
        actor: &Actor,
    ) -> Judged<Notice> {
        let (wants, mut rules) = wants(event, user, &self.after.queue, actor);
        let (wish, channels) = match wants {
            Ok(wants) => wants,
            Err(not) => return (Err(not), rules),
        };
        if invitation.by_queue && wish.mine_only.unwrap_or(user.subscriptions.mine_only) {
            rules.push(match wish.mine_only {
                Some(_) => rule(user, &["subscriptions", "events", event.label(), "mineOnly"]),
                None => rule(user, &["subscriptions", "mineOnly"]),
            });
            return (Err(Not::MineOnly), rules);
        }
        let notice = Notice {
            event,
            who: user.name.clone(),
            address: user.email.clone(),
            name: if user.full_name.is_empty() { &user.name } else { &user.full_name }.clone(),
            language: user.language,
            channels,
            wait: if channels.mail { self.wait(user, wish, &mut rules) } else { Wait::No },
            role: invitation.role.clone(),
            rule: rules.first().cloned(),
            customer: false,
        };
        (Ok(notice), rules)
    }

    /// What a user's mail waits for.
    fn wait(&self, user: &User, wish: &Wish, rules: &mut Vec<Rule>) -> Wait {
        let wants = &user.subscriptions;
        let waits = wants.urgent.is_none_or(|urgent| self.after.priority < urgent);
        let digest = wants.digest.filter(|_| waits && !wish.at_once);
        let quiet = wants.quiet_hours.filter(|_| waits);
        if let Some(time) = digest {
            rules.push(rule(user, &["subscriptions", "digest"]));
            return Wait::Digest(calendar::next_daily(&user.time_zone, time, self.now));
        }
        match quiet.and_then(|hours| hours.end(&user.time_zone, self.now)) {
            Some(end) => {
                rules.push(rule(user, &["subscriptions", "quietHours"]));
                Wait::QuietHours(end)
            }
            None => Wait::No,
        }
    }

    /// A mail to ourselves would come back as a follow-up.
    fn without_ours(&self, mut notice: Notice, rules: &mut Vec<Rule>) -> Result<Notice, Not> {
        if self.config.system_addresses.contains_key(&notice.address) {
            notice.channels.mail = false;
            notice.wait = Wait::No;
            if !notice.channels.any() {
                let path = ["systemAddresses".to_owned(), notice.address.to_string()];
                rules.push(Rule(path.into()));
                return Err(Not::OwnAddress);
            }
        }
        Ok(notice)
    }

    fn customer_notice(&self, event: EventKind, address: &Address, role: String) -> Notice {
        let profile = self.config.customers.get(address);
        let on_ticket = self.after.customer.as_ref().filter(|one| one.address == *address);
        let name = profile
            .and_then(|profile| profile.name.clone())
            .or_else(|| on_ticket.map(|customer| customer.name.clone()))
            .unwrap_or_default();
        let language =
            profile.and_then(|profile| profile.language).unwrap_or(self.config.desk.language);
        Notice {
            event,
            who: address.to_string(),
            address: address.clone(),
            name,
            language,
            channels: Channels { mail: true, web: false },
            wait: Wait::No,
            role,
            rule: None,
            customer: true,
        }
    }
}

/// What a user wants to hear of an event in a queue, and over which channels.
fn wants<'a>(
    event: EventKind,
    user: &'a User,
    queue: &str,
    actor: &Actor,
) -> Judged<(&'a Wish, Channels)> {
    let events = || rule(user, &["subscriptions", "events", event.label()]);
    if matches!(actor, Actor::Agent(agent) if *agent == user.name) {
        return (Err(Not::OwnAction), Vec::new());
    }
    if user.state != Switch::Enabled {
        return (Err(Not::SwitchedOff), vec![rule(user, &["state"])]);
    }
    let Some(wish) = user.subscriptions.events.get(&event) else {
        return (Err(Not::NotSubscribed), vec![events()]);
    };
    let (channels, rule) = match wish.queues.get(queue) {
        Some(channels) => {
            let path = ["subscriptions", "events", event.label(), "queues", queue];
            (*channels, rule(user, &path))
        }
        None => (wish.channels, events()),
    };
    let told = if channels.any() { Ok((wish, channels)) } else { Err(Not::Silenced) };
    (told, vec![rule])
}

/// A place in what is declared of a user.
fn rule(user: &User, path: &[&str]) -> Rule {
    let keys = ["users", user.name.as_str()].into_iter().chain(path.iter().copied());
    Rule(keys.map(str::to_owned).collect())
}

fn follow_up(locked: bool) -> EventKind {
    if locked { EventKind::FollowUpLocked } else { EventKind::FollowUpUnlocked }
}

fn is_done(state: State) -> bool {
    match state {
        State::Resolved | State::Closed { .. } => true,
        State::New | State::Open | State::Pending | State::Merged => false,
    }
}

/// The article an event speaks of.
fn article_of(what: &What) -> Option<ArticleId> {
    match what {
        What::ArticleAdded { article, .. }
        | What::FollowedUp { article, .. }
        | What::FollowUpRejected { article } => Some(*article),
        What::Created
        | What::State { .. }
        | What::Queue { .. }
        | What::Priority { .. }
        | What::Title { .. }
        | What::Owner { .. }
        | What::Responsible { .. }
        | What::Customer { .. }
        | What::Locked
        | What::Unlocked
        | What::LockTimedOut
        | What::PendingReached
        | What::WatcherAdded { .. }
        | What::WatcherRemoved { .. }
        | What::MergedInto { .. }
        | What::MergedFrom { .. }
        | What::Linked { .. }
        | What::AutoReplyOwed { .. }
        | What::AutoReplySuppressed { .. }
        | What::Notified { .. }
        | What::DeliveryFailed { .. } => None,
    }
}

/// Whether a program wrote it (RFC 3834 section 5), as far as the kept headers tell.
fn is_automatic(article: &Article) -> bool {
    let by_header = article.headers.iter().any(|field| {
        let value = field.value.trim();
        (field.name.eq_ignore_ascii_case("Auto-Submitted") && !value.eq_ignore_ascii_case("no"))
            || (field.name.eq_ignore_ascii_case("Precedence")
                && ["bulk", "junk", "list"].iter().any(|word| value.eq_ignore_ascii_case(word)))
    });
    by_header || article.author == AuthorKind::System || article.kind == ArticleKind::Bounce
}

fn invite_agents<const N: usize>(roles: [(Option<&String>, &str); N]) -> Vec<Invitation> {
    let named = roles.into_iter().filter_map(|(name, role)| Some((name?, role)));
    let invitation = |(name, role): (&String, &str)| Invitation {
        who: Watcher::Agent(name.clone()),
        role: role.into(),
        by_queue: false,
        barred: false,
    };
    named.map(invitation).collect()
}

/// Adds a verdict. Each person has one per event: the first in which he is told, else the first.
/// An address that gets this event's mail already, under another name, gets no second one.
fn admit(verdicts: &mut Vec<Verdict>, mut verdict: Verdict) {
    let same_event = |one: &&Verdict| one.event == verdict.event;
    let known =
        verdicts.iter().position(|one| one.event == verdict.event && one.who == verdict.who);
    if known.is_some_and(|at| verdicts[at].told.is_ok() || verdict.told.is_err()) {
        return;
    }
    if let Ok(notice) = &mut verdict.told {
        let gets_it = |one: &&Verdict| {
            let told = one.told.as_ref();
            told.is_ok_and(|told| told.channels.mail && told.address == notice.address)
        };
        if let Some(other) = verdicts.iter().filter(same_event).find(gets_it) {
            notice.channels.mail = false;
            notice.wait = Wait::No;
            if !notice.channels.any() {
                verdict.told = Err(Not::SameAddress(other.who.clone()));
            }
        }
    }
    match known {
        Some(at) => verdicts[at] = verdict,
        None => verdicts.push(verdict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::calendar::QuietHours;
    use crate::core::config::CustomerProfile;
    use crate::core::mail::HeaderField;
    use crate::core::ticket::Priority;
    use crate::core::ticket::samples::{address, article, config, now, ticket, user};

    fn agent(name: &str) -> Actor {
        Actor::Agent(name.into())
    }

    fn eve() -> Actor {
        Actor::Customer(address("eve@cust.test"))
    }

    fn event(actor: Actor, what: What) -> Event {
        Event { at: now(), actor, what, why: String::new() }
    }

    fn followed_up(locked: bool) -> What {
        What::FollowedUp { article: ArticleId(1), locked }
    }

    fn noted() -> What {
        What::ArticleAdded { article: ArticleId(2), kind: ArticleKind::Note }
    }

    fn closed() -> What {
        What::State { from: State::Open, to: State::Closed { successful: true } }
    }

    fn mail() -> Article {
        article(1, ArticleKind::MailIn)
    }

    fn note(visible: bool) -> Article {
        Article {
            visible_for_customer: visible,
            author: AuthorKind::Agent,
            ..article(2, ArticleKind::Note)
        }
    }

    /// alice owns it, bob answers for it, dave and Eve watch it.
    fn full() -> Ticket {
        Ticket {
            owner: Some("alice".into()),
            responsible: Some("bob".into()),
            watchers: [Watcher::Agent("dave".into()), Watcher::Customer(address("eve@cust.test"))]
                .into(),
            ..ticket()
        }
    }

    fn owned() -> Ticket {
        Ticket { owner: Some("alice".into()), ..ticket() }
    }

    fn locked() -> Ticket {
        Ticket { locked_since: Some(now()), ..owned() }
    }

    fn words(notices: &[Notice]) -> Vec<String> {
        let one = |n: &Notice| format!("{} {}: {}", n.event.label(), n.who, n.role);
        notices.iter().map(one).collect()
    }

    /// Everybody of the table on one ticket that did not change otherwise.
    #[track_caller]
    fn check(ticket: &Ticket, actor: Actor, what: What, expected: &[&str]) {
        check_with(&config(), Some(ticket), ticket, vec![event(actor, what)], expected);
    }

    #[track_caller]
    fn check_with(
        config: &Config,
        before: Option<&Ticket>,
        after: &Ticket,
        events: Vec<Event>,
        expected: &[&str],
    ) {
        let notices = audience(config, before, after, &events, &[mail(), note(false)], now());
        assert_eq!(words(&notices), expected);
    }

    #[test]
    fn ticket_created() {
        let created = vec![event(eve(), What::Created)];
        let expected = ["ticketCreated alice: queue support", "ticketCreated bob: queue support"];
        check_with(&config(), None, &full(), created, &expected);
    }

    #[test]
    fn ticket_created_where_nobody_works() {
        let raw = Ticket { queue: "Raw".into(), ..full() };
        check_with(&config(), None, &raw, vec![event(eve(), What::Created)], &[]);
    }

    #[test]
    fn follow_up_locked() {
        check(
            &full(),
            eve(),
            followed_up(true),
            &[
                "followUpLocked alice: owner",
                "followUpLocked bob: responsible",
                "followUpLocked dave: watcher",
                "followUpLocked eve@cust.test: watcher",
            ],
        );
    }

    #[test]
    fn follow_up_locked_is_not_for_the_queue() {
        check(&locked(), eve(), followed_up(true), &["followUpLocked alice: owner"]);
    }

    #[test]
    fn follow_up_unlocked_is_for_the_queue_too_but_nobody_hears_twice() {
        check(
            &Ticket { responsible: Some("carol".into()), ..full() },
            eve(),
            followed_up(false),
            &[
                "followUpUnlocked alice: owner",
                "followUpUnlocked carol: responsible",
                "followUpUnlocked dave: watcher",
                "followUpUnlocked eve@cust.test: watcher",
                "followUpUnlocked bob: queue support",
            ],
        );
    }

    #[test]
    fn a_rejected_follow_up_is_news_as_well() {
        let rejected = || What::FollowUpRejected { article: ArticleId(1) };
        check(&locked(), eve(), rejected(), &["followUpLocked alice: owner"]);
        check(
            &ticket(),
            eve(),
            rejected(),
            &["followUpUnlocked alice: queue support", "followUpUnlocked bob: queue support"],
        );
    }

    #[test]
    fn closed_by_somebody_else() {
        let resolved = || What::State { from: State::Open, to: State::Resolved };
        check(&locked(), agent("bob"), closed(), &["lockTimeout alice: owner"]);
        check(&locked(), agent("bob"), resolved(), &["lockTimeout alice: owner"]);
        check(&owned(), agent("bob"), closed(), &["lockTimeout alice: owner"]);
        check(&locked(), Actor::System, closed(), &["lockTimeout alice: owner"]);
        check(&locked(), Actor::Token("ci".into()), closed(), &["lockTimeout alice: owner"]);
    }

    #[test]
    fn closing_that_takes_nothing_from_anybody() {
        check(&locked(), agent("alice"), closed(), &[]);
        check(&ticket(), agent("bob"), closed(), &[]);
        check(&owned(), Actor::System, closed(), &[]);
    }

    #[test]
    fn other_states_are_no_news() {
        let state = |from, to| What::State { from, to };
        let done = State::Closed { successful: true };
        check(&locked(), agent("bob"), state(State::New, State::Open), &[]);
        check(&locked(), agent("bob"), state(State::Open, State::Pending), &[]);
        check(&locked(), agent("bob"), state(done, State::Open), &[]);
        check(&locked(), agent("bob"), state(done, State::Resolved), &[]);
        check(&locked(), agent("bob"), state(State::Open, State::Merged), &[]);
    }

    #[test]
    fn unlocked() {
        check(&locked(), agent("bob"), What::Unlocked, &["lockTimeout alice: owner"]);
        check(&locked(), agent("alice"), What::Unlocked, &[]);
        check(&locked(), Actor::System, What::LockTimedOut, &["lockTimeout alice: owner"]);
    }

    #[test]
    fn the_owner_as_he_was_before() {
        let after = Ticket { owner: Some("bob".into()), ..ticket() };
        let unlocked = vec![event(agent("bob"), What::Unlocked)];
        check_with(&config(), Some(&locked()), &after, unlocked, &["lockTimeout alice: owner"]);
    }

    #[test]
    fn an_event_counts_once_however_often_it_happens() {
        let both = vec![event(agent("bob"), closed()), event(agent("bob"), What::Unlocked)];
        check_with(&config(), Some(&locked()), &locked(), both, &["lockTimeout alice: owner"]);
    }

    #[test]
    fn two_events_are_two_mails() {
        let from_bob = |what| event(agent("bob"), what);
        let both = vec![from_bob(closed()), from_bob(noted())];
        let expected = ["lockTimeout alice: owner", "noteAdded alice: owner"];
        check_with(&config(), Some(&owned()), &owned(), both, &expected);
    }

    #[test]
    fn note_added() {
        check(
            &full(),
            agent("carol"),
            noted(),
            &["noteAdded alice: owner", "noteAdded bob: responsible", "noteAdded dave: watcher"],
        );
    }

    #[test]
    fn customers_hear_of_notes_they_may_see() {
        let heard = |articles: &[Article]| {
            let events = [event(agent("alice"), noted())];
            let told = audience(&config(), Some(&full()), &full(), &events, articles, now());
            told.iter().any(|notice| notice.customer)
        };
        assert!(heard(&[note(true)]));
        assert!(!heard(&[note(false)]));
        // Visibility unknown: internal.
        assert!(!heard(&[]));
    }

    #[test]
    fn customers_hear_of_no_machine() {
        let heard = |article: Article| {
            let events = [event(eve(), followed_up(false))];
            let told = audience(&config(), Some(&full()), &full(), &events, &[article], now());
            told.iter().any(|notice| notice.customer)
        };
        let with_header = |name: &str, value: &str| Article {
            headers: vec![HeaderField { name: name.into(), value: value.into() }],
            ..mail()
        };
        assert!(heard(mail()));
        assert!(heard(with_header("Auto-Submitted", "No")));
        assert!(!heard(with_header("auto-submitted", "auto-replied")));
        assert!(!heard(with_header("Precedence", "Bulk")));
        assert!(!heard(Article { kind: ArticleKind::Bounce, ..mail() }));
        assert!(!heard(Article { visible_for_customer: false, ..mail() }));
    }

    #[test]
    fn other_articles_are_no_notes() {
        for kind in [ArticleKind::MailIn, ArticleKind::MailOut, ArticleKind::AutoReply] {
            let what = What::ArticleAdded { article: ArticleId(1), kind };
            check(&full(), agent("carol"), what, &[]);
        }
    }

    #[test]
    fn queue_updated() {
        let moved = || What::Queue { from: "support".into(), to: "sales".into() };
        let after = Ticket { queue: "sales".into(), ..full() };
        check(&after, agent("alice"), moved(), &["queueUpdated carol: queue sales"]);
        check(&after, agent("carol"), moved(), &[]);
        // A new ticket is created in its queue, not moved there.
        check_with(&config(), None, &after, vec![event(eve(), moved())], &[]);
    }

    #[test]
    fn owner_changed() {
        let what = || What::Owner { from: Some("alice".into()), to: Some("bob".into()) };
        let after = Ticket { owner: Some("bob".into()), ..ticket() };
        let told = |actor, expected: &[&str]| {
            check_with(&config(), Some(&owned()), &after, vec![event(actor, what())], expected);
        };
        told(agent("carol"), &["ownerChanged bob: owner", "ownerChanged alice: previous owner"]);
        told(agent("bob"), &["ownerChanged alice: previous owner"]);
    }

    #[test]
    fn responsible_changed() {
        let before = Ticket { responsible: Some("bob".into()), ..ticket() };
        let after = Ticket { responsible: Some("alice".into()), ..ticket() };
        let what = What::Responsible { from: Some("bob".into()), to: Some("alice".into()) };
        check_with(
            &config(),
            Some(&before),
            &after,
            vec![event(Actor::System, what)],
            &[
                "responsibleChanged alice: responsible",
                "responsibleChanged bob: previous responsible",
            ],
        );
    }

    fn failed(to: &str) -> What {
        What::DeliveryFailed { to: address(to), reason: "550".into() }
    }

    #[test]
    fn delivery_failed() {
        let owner = ["deliveryFailed alice: owner"];
        check(&full(), Actor::System, failed("eve@cust.test"), &owner);
        let responsible = Ticket { owner: None, ..full() };
        let expected = ["deliveryFailed bob: responsible"];
        check(&responsible, Actor::System, failed("eve@cust.test"), &expected);
        let expected = ["deliveryFailed alice: queue support", "deliveryFailed bob: queue support"];
        check(&ticket(), Actor::System, failed("eve@cust.test"), &expected);
    }

    #[test]
    fn a_disabled_owner_hides_no_failure() {
        let mut config = config();
        config.users.get_mut("alice").unwrap().state = Switch::Disabled;
        let failed = vec![event(Actor::System, failed("eve@cust.test"))];
        let expected = ["deliveryFailed bob: responsible"];
        check_with(&config, Some(&full()), &full(), failed, &expected);
    }

    #[test]
    fn the_second_failure_of_an_address_is_history_only() {
        let before = Ticket { undeliverable: [address("eve@cust.test")].into(), ..full() };
        check(&before, Actor::System, failed("eve@cust.test"), &[]);
    }

    #[test]
    fn pending_reached() {
        check(
            &full(),
            Actor::System,
            What::PendingReached,
            &["pendingReached alice: owner", "pendingReached bob: responsible"],
        );
        check(
            &ticket(),
            Actor::System,
            What::PendingReached,
            &["pendingReached alice: queue support", "pendingReached bob: queue support"],
        );
    }

    #[test]
    fn agents_are_not_told_of_what_they_did() {
        for name in ["alice", "bob", "dave"] {
            let events = [event(agent(name), noted()), event(agent(name), followed_up(false))];
            let told =
                audience(&config(), Some(&full()), &full(), &events, &[mail(), note(true)], now());
            assert!(told.iter().all(|notice| notice.who != name), "{name}");
            assert!(!told.is_empty());
        }
    }

    #[test]
    fn customers_are_told_of_what_they_did() {
        let watched = Ticket { owner: None, responsible: None, ..full() };
        check(
            &watched,
            eve(),
            followed_up(true),
            &["followUpLocked dave: watcher", "followUpLocked eve@cust.test: watcher"],
        );
    }

    #[test]
    fn the_customer_hears_nothing_unless_he_watches() {
        check(&locked(), eve(), followed_up(true), &["followUpLocked alice: owner"]);
    }

    #[test]
    fn only_enabled_users_who_subscribed() {
        let mut config = config();
        config.users.get_mut("alice").unwrap().state = Switch::Disabled;
        config.users.get_mut("bob").unwrap().state = Switch::Paused;
        let dave = config.users.get_mut("dave").unwrap();
        dave.subscriptions.events.remove(&EventKind::NoteAdded);
        let noted = vec![event(agent("carol"), noted())];
        check_with(&config, Some(&full()), &full(), noted, &[]);
    }

    #[test]
    fn users_who_are_gone() {
        let orphaned = Ticket { owner: Some("zoe".into()), ..ticket() };
        check(&orphaned, agent("carol"), noted(), &[]);
    }

    #[test]
    fn no_mail_to_ourselves() {
        let mut config = config();
        let alice = config.users.get_mut("alice").unwrap();
        alice.email = address("support@desk.test");
        let events = [event(agent("bob"), noted())];
        let told =
            |config: &Config| audience(config, Some(&owned()), &owned(), &events, &[], now());
        assert_eq!(told(&config), []);
        // The bell leaves no mail.
        let both = Channels { mail: true, web: true };
        let alice = config.users.get_mut("alice").unwrap();
        alice.subscriptions.events.insert(EventKind::NoteAdded, both.into());
        assert_eq!(told(&config)[0].channels, Channels { mail: false, web: true });
    }

    #[test]
    fn one_mail_for_two_users_with_one_address() {
        let mut config = config();
        let twin = User { email: address("alice@agents.test"), ..user("bob", &["support"]) };
        config.users.insert("bob".into(), twin);
        let created = vec![event(eve(), What::Created)];
        let expected = ["ticketCreated alice: queue support"];
        check_with(&config, None, &ticket(), created, &expected);
    }

    #[test]
    fn an_agent_who_watches_as_a_customer_gets_one_mail() {
        let watcher = Watcher::Customer(address("alice@agents.test"));
        let ticket = Ticket { watchers: [watcher].into(), ..locked() };
        check(&ticket, eve(), followed_up(true), &["followUpLocked alice: owner"]);
    }

    #[test]
    fn language_and_name_of_a_customer() {
        let mut config = config();
        let profile = CustomerProfile { language: Some(Language::Ja), ..Default::default() };
        config.customers.insert(address("eve@cust.test"), profile);
        let watched = Ticket { owner: None, responsible: None, ..full() };
        let events = [event(eve(), followed_up(true))];
        let told = audience(&config, Some(&watched), &watched, &events, &[mail()], now());
        let notice = told.iter().find(|notice| notice.customer).unwrap();
        assert_eq!((notice.language, notice.name.as_str()), (Language::Ja, "Eve Example"));
    }

    /// What a change of alice's wishes makes of a ticket created in `support` at six in the
    /// morning: over which channels she is told, and when.
    #[track_caller]
    fn check_wish(change: impl FnOnce(&mut User), expected: &str) {
        let mut config = config();
        change(config.users.get_mut("alice").unwrap());
        let urgent = Ticket { priority: Priority::VeryHigh, ..full() };
        let told = |ticket: &Ticket| {
            let events = [event(eve(), What::Created)];
            let told = audience(&config, None, ticket, &events, &[], now());
            let alice = told.iter().find(|notice| notice.who == "alice");
            alice.map_or("not".to_owned(), |notice| {
                let mail = match notice.wait {
                    _ if !notice.channels.mail => "",
                    Wait::No => "mail",
                    Wait::QuietHours(at) => &format!("mail after {at}"),
                    Wait::Digest(at) => &format!("mail in digest of {at}"),
                };
                let bell = if notice.channels.web { "bell" } else { "" };
                format!("{mail} {bell}").trim().to_owned()
            })
        };
        assert_eq!(format!("{}; urgent {}", told(&full()), told(&urgent)), expected);
    }

    const BOTH: Channels = Channels { mail: true, web: true };
    const BELL: Channels = Channels { mail: false, web: true };
    const NONE: Channels = Channels { mail: false, web: false };

    fn wish(user: &mut User) -> &mut Wish {
        let wish = user.subscriptions.events.get_mut(&EventKind::TicketCreated).unwrap();
        wish.channels = BOTH;
        wish
    }

    #[test]
    fn channels_queue_by_queue() {
        let of = |queue: &str, channels| {
            let queue = queue.to_owned();
            move |user: &mut User| {
                wish(user).queues.insert(queue, channels);
            }
        };
        check_wish(of("support", BELL), "bell; urgent bell");
        check_wish(of("support", NONE), "not; urgent not");
        check_wish(of("sales", NONE), "mail bell; urgent mail bell");
        // A queue that is named with a channel counts as one she works in.
        let only_here = |user: &mut User| {
            user.subscriptions.queues.clear();
            wish(user).queues.insert("support".into(), BELL);
        };
        check_wish(only_here, "bell; urgent bell");
    }

    #[test]
    fn only_what_is_mine() {
        check_wish(|user| user.subscriptions.mine_only = true, "not; urgent not");
        let but_this = |user: &mut User| {
            user.subscriptions.mine_only = true;
            wish(user).mine_only = Some(false);
        };
        check_wish(but_this, "mail bell; urgent mail bell");
        check_wish(|user| wish(user).mine_only = Some(true), "not; urgent not");
        let mut config = config();
        config.users.get_mut("alice").unwrap().subscriptions.mine_only = true;
        let events = [event(eve(), followed_up(false))];
        let told = audience(&config, Some(&owned()), &owned(), &events, &[mail()], now());
        assert!(words(&told).contains(&"followUpUnlocked alice: owner".to_owned()));
    }

    fn night(user: &mut User) {
        let (from, to) = (jiff::civil::time(22, 0, 0, 0), jiff::civil::time(7, 0, 0, 0));
        user.subscriptions.quiet_hours = Some(QuietHours { from, to });
        wish(user);
    }

    #[test]
    fn quiet_hours() {
        let after = "mail after 2026-11-22T07:00:00Z bell";
        check_wish(night, &format!("{after}; urgent {after}"));
        let urgent = |user: &mut User| {
            night(user);
            user.subscriptions.urgent = Some(Priority::High);
        };
        check_wish(urgent, &format!("{after}; urgent mail bell"));
        // It is three in the afternoon in Tokyo.
        let in_tokyo = |user: &mut User| {
            night(user);
            user.time_zone = jiff::tz::TimeZone::get("Asia/Tokyo").unwrap();
        };
        check_wish(in_tokyo, "mail bell; urgent mail bell");
    }

    #[test]
    fn a_digest_comes_before_quiet_hours() {
        let digest = |user: &mut User| {
            night(user);
            user.subscriptions.digest = Some(jiff::civil::time(5, 0, 0, 0));
        };
        let at = "mail in digest of 2026-11-23T05:00:00Z bell";
        check_wish(digest, &format!("{at}; urgent {at}"));
        let at_once = |user: &mut User| {
            digest(user);
            wish(user).at_once = true;
        };
        let after = "mail after 2026-11-22T07:00:00Z bell";
        check_wish(at_once, &format!("{after}; urgent {after}"));
    }

    /// Who would be told of an event, who would not and why, and the place that decided last.
    #[track_caller]
    fn check_explained(change: impl FnOnce(&mut Config), kind: EventKind, expected: &[&str]) {
        let mut config = config();
        change(&mut config);
        let verdicts = explain(&config, &full(), kind, &agent("bob"), now());
        let words = |verdict: &Verdict| {
            let decided = match &verdict.told {
                Ok(notice) => format!("as {}", notice.role),
                Err(not) => not.label().to_owned(),
            };
            let rule = verdict.rules.last().map(|rule| format!(" by {rule}")).unwrap_or_default();
            format!("{} {decided}{rule}", verdict.who)
        };
        assert_eq!(verdicts.iter().map(words).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_person_is_explained() {
        check_explained(
            |config| {
                config.users.get_mut("carol").unwrap().state = Switch::Disabled;
                config.users.get_mut("dave").unwrap().subscriptions.events.clear();
            },
            EventKind::FollowUpUnlocked,
            &[
                "alice as owner by users.alice.subscriptions.events.followUpUnlocked",
                "bob ownAction",
                "dave notSubscribed by users.dave.subscriptions.events.followUpUnlocked",
                "eve@cust.test as watcher",
                "carol switchedOff by users.carol.state",
            ],
        );
    }

    #[test]
    fn explained_by_queue() {
        check_explained(
            |config| night(config.users.get_mut("alice").unwrap()),
            EventKind::TicketCreated,
            &[
                "alice as queue support by users.alice.subscriptions.quietHours",
                "bob ownAction",
                "carol otherQueue by users.carol.subscriptions.queues",
                "dave otherQueue by users.dave.subscriptions.queues",
            ],
        );
    }

    #[test]
    fn a_note_is_explained_as_internal() {
        check_explained(
            |config| {
                config.users.get_mut("dave").unwrap().email = address("alice@agents.test");
                let carol = config.users.get_mut("carol").unwrap();
                carol.email = address("support@desk.test");
            },
            EventKind::NoteAdded,
            &[
                "alice as owner by users.alice.subscriptions.events.noteAdded",
                "bob ownAction",
                "dave sameAddress by users.dave.subscriptions.events.noteAdded",
                "eve@cust.test notForCustomers",
                "carol notConcerned by users.carol.subscriptions.events.noteAdded",
            ],
        );
    }

    /// What is explained of an event is what happens when it happens.
    #[test]
    fn explained_as_it_happens() {
        for (kind, what) in [
            (EventKind::TicketCreated, What::Created),
            (EventKind::FollowUpLocked, followed_up(true)),
            (EventKind::FollowUpUnlocked, followed_up(false)),
            (EventKind::LockTimeout, What::Unlocked),
            (EventKind::NoteAdded, noted()),
            (EventKind::QueueUpdated, What::Queue { from: "x".into(), to: "support".into() }),
            (EventKind::OwnerChanged, What::Owner { from: None, to: None }),
            (EventKind::ResponsibleChanged, What::Responsible { from: None, to: None }),
            (EventKind::PendingReached, What::PendingReached),
        ] {
            let events = [event(eve(), what)];
            let articles = [mail(), note(false)];
            let told = audience(&config(), Some(&full()), &full(), &events, &articles, now());
            let explained = explain(&config(), &full(), kind, &eve(), now());
            let explained = explained.into_iter().filter_map(|verdict| verdict.told.ok());
            assert_eq!(told, explained.collect::<Vec<_>>(), "{}", kind.label());
        }
    }
}

//! One test on a desk of its own: a real store in a scratch directory, empty when it begins.
//!
//! Architecture invariant: every mail is judged, settled and recorded, and every action is carried
//! out, by the calls that the daemon makes, and what falls due by its clockwork. The clock stands
//! still but for the steps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::config::DeclaredTest;
use crate::config::compile::filter::read_pending_time;
use crate::config::compile::value::read_duration;
use crate::config::spec::test::{Expectation, TestAction, TestMail, TestStep};
use crate::core::config::{Config, When};
use crate::core::intake;
use crate::core::mail::{self, Digest, Location};
use crate::core::outgoing::{Outgoing, OutgoingId, OutgoingKind};
use crate::core::ticket::{Actor, Command, Ticket};
use crate::http::explain::{self, Explanation};
use crate::run::clockwork;
use crate::store::{OutboxFilter, Spool, Store, StoreError, ToRecord, Tried};

/// When every test begins, so that it tells the same every day.
const BEGIN: &str = "2026-01-15T09:00:00Z";
/// Between two steps.
const STEP_SECS: i64 = 60;
/// Owed mails and bells looked at after a step.
const LOOKED_AT_MAX: usize = 1_000;
/// Instants at which something falls due between two steps.
const PASSES_MAX: usize = 1_000;

/// What a step led to.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Outcome of a mail; empty after an action.
    pub outcome: String,
    /// Which ticket of the test, from 1.
    pub ticket: Option<usize>,
    /// Whether that ticket is locked.
    pub lock: Option<bool>,
    /// Mails that may go out now and could not at the step before.
    pub due: Vec<explain::OwedMail>,
    /// What is said about it; of an action, without what belongs to mails.
    pub said: Option<Explanation>,
}

/// A step with what was observed, or why it could not be carried out.
pub struct Checked {
    /// Path of its expectation within the test.
    pub path: Vec<String>,
    /// What must be so.
    pub expected: Expectation,
    /// What is so.
    pub observed: Result<Observed, String>,
}

/// Runs one test; stops at the first step that cannot be carried out.
pub async fn run(config: &Arc<Config>, declared: &DeclaredTest) -> Result<Vec<Checked>, String> {
    let scratch = Scratch::make()?;
    let store = Store::open(&scratch.path).map_err(|error| error.to_string())?;
    let now: Timestamp = BEGIN.parse().expect("a timestamp");
    let (tickets, seen_due) = (Vec::new(), BTreeSet::new());
    let mut trial = Trial { config: config.clone(), store, now, tickets, seen_due };
    let mut all = Vec::new();
    for (path, step) in steps(declared) {
        let observed = trial.step(&step, declared).await;
        let failed = observed.is_err();
        all.push(Checked { path, expected: step.expect, observed });
        if failed {
            break;
        }
    }
    trial.store.close().await;
    Ok(all)
}

/// A test of one mail is a test of one step.
fn steps(declared: &DeclaredTest) -> Vec<(Vec<String>, TestStep)> {
    let test = &declared.test;
    if let Some(mail) = &test.mail {
        let expect = test.expect.clone();
        let step = TestStep { mail: Some(mail.clone()), expect, ..TestStep::default() };
        return vec![(vec!["expect".into()], step)];
    }
    let path = |index: usize| vec!["steps".into(), index.to_string(), "expect".into()];
    test.steps.iter().enumerate().map(|(index, step)| (path(index), step.clone())).collect()
}

struct Trial {
    config: Arc<Config>,
    store: Store,
    now: Timestamp,
    /// Numbers of the tickets, in the order they were made.
    tickets: Vec<String>,
    /// Mails that were due at a step before.
    seen_due: BTreeSet<OutgoingId>,
}

/// What there was before something was done, to tell what is new after it.
struct Before {
    rung: BTreeMap<String, u64>,
    owed: Option<OutgoingId>,
}

impl Trial {
    async fn step(&mut self, step: &TestStep, declared: &DeclaredTest) -> Result<Observed, String> {
        let later = match &step.later {
            Some(later) => read_duration(&later.0).and_then(|it| SignedDuration::try_from(it).ok()),
            None => Some(SignedDuration::ZERO),
        };
        let later = later.ok_or("could not read the time that passes")?;
        let before = self.before()?;
        self.wait(later + SignedDuration::from_secs(STEP_SECS)).await?;
        let mut observed = if let Some(mail) = &step.mail {
            self.receive(mail, declared).await?
        } else if let (Some(agent), Some(action)) = (&step.agent, &step.action) {
            self.act(agent, action, step.ticket).await?
        } else {
            self.look(step.ticket, &before)?
        };
        if let Some(place) = observed.ticket {
            observed.lock = self.ticket(place)?.map(|ticket| ticket.locked_since.is_some());
        }
        observed.due = self.newly_due()?;
        Ok(observed)
    }

    /// Time passes, and what falls due happens when it does, as the clockwork has it.
    async fn wait(&mut self, length: SignedDuration) -> Result<(), String> {
        let failed = |error: StoreError| error.to_string();
        let until = self.now.checked_add(length).map_err(|error| error.to_string())?;
        let mut passes = 0;
        while let Some(at) =
            clockwork::next(&self.store, &self.config, until).await.map_err(failed)?
        {
            if passes == PASSES_MAX {
                return Err(format!("more than {PASSES_MAX} things fall due until {until}"));
            }
            passes += 1;
            self.now = self.now.max(at);
            clockwork::pass(&self.store, &self.config, self.now).await.map_err(failed)?;
        }
        self.now = until;
        Ok(())
    }

    /// What became of a ticket while time passed, and who heard of anything.
    fn look(&self, ticket: Option<usize>, before: &Before) -> Result<Observed, String> {
        let place = ticket.or((!self.tickets.is_empty()).then_some(self.tickets.len()));
        let (notified, owed) = self.news(before)?;
        let seen = place.map(|place| self.ticket(place)).transpose()?.flatten();
        let said = match seen {
            Some(ticket) => of_ticket(&ticket, notified, &owed),
            None => of_nothing(notified, &owed),
        };
        Ok(Observed { ticket: place, said: Some(said), ..Observed::default() })
    }

    async fn receive(
        &mut self,
        mail: &TestMail,
        declared: &DeclaredTest,
    ) -> Result<Observed, String> {
        let name = &mail.account;
        let account = self.config.accounts.get(name);
        let account = account.ok_or_else(|| format!("there is no mail account {name:?}"))?.clone();
        let raw = self.filled(declared.mail(mail)?)?;
        mail::scan(&raw).map_err(|refusal| format!("the mail is refused: {refusal}"))?;
        let parsed = mail::parse_for(self.config.desk.language, &raw);
        let judgement = intake::judge(&self.config, &account, &parsed);
        let said = self.decide(name, &account, &judgement).await?;
        let location = Location(format!("step {}", self.now));
        let raw = Arc::new(raw);
        let spool = Spool { location: location.clone(), raw: raw.clone(), headers_only: false };
        let failed = |error: StoreError| error.to_string();
        self.store.spool(name, vec![spool]).await.map_err(failed)?;
        let recorded = self.store.record(vec![ToRecord {
            config: self.config.clone(),
            account,
            location,
            digest: Digest::of(&raw),
            judgement: Ok(Box::new(judgement)),
            now: self.now,
            released: None,
        }]);
        let recorded = recorded.await.map_err(failed)?.remove(0);
        let outcome = recorded.outcome.label().to_owned();
        let ticket = recorded.ticket.map(|number| self.place_of(number));
        Ok(Observed { outcome, ticket, said: Some(said), ..Observed::default() })
    }

    /// What is decided, before it is recorded: the store answers with less than the decision.
    async fn decide(
        &self,
        name: &str,
        account: &crate::core::config::Account,
        judgement: &intake::Judgement,
    ) -> Result<Explanation, String> {
        let judgement = Arc::new(judgement.clone());
        let tried = Tried { account: name.into(), judgement: judgement.clone(), itself: None };
        let facts = self.store.facts(self.config.clone(), vec![tried], self.now).await;
        let facts = facts.map_err(|error| error.to_string())?;
        let facts = facts.first().ok_or("the store knows nothing")?;
        let decision = intake::settle(&self.config, account, &judgement, facts, self.now);
        Ok(explain::of_decision(&decision))
    }

    async fn act(
        &mut self,
        agent: &str,
        action: &TestAction,
        ticket: Option<usize>,
    ) -> Result<Observed, String> {
        let place = ticket.unwrap_or(self.tickets.len());
        let number = self.number(place)?.to_owned();
        let before = self.before()?;
        let (config, actor) = (self.config.clone(), Actor::Agent(agent.into()));
        let commands = commands(action, self.now);
        let done = self.store.command(config, &number, commands, actor, self.now).await;
        let ticket = done.map_err(|error| format!("{agent} could not do it: {error}"))?.ticket;
        let (notified, owed) = self.news(&before)?;
        let said = of_ticket(&ticket, notified, &owed);
        Ok(Observed { ticket: Some(place), said: Some(said), ..Observed::default() })
    }

    fn before(&self) -> Result<Before, String> {
        let owed = self.owed()?.first().map(|mail| mail.id);
        Ok(Before { rung: self.bells()?, owed })
    }

    /// Who was told since then, on the page or by mail, and the mails that are owed since then.
    fn news(&self, before: &Before) -> Result<(Vec<String>, Vec<Outgoing>), String> {
        let owed: Vec<Outgoing> =
            self.owed()?.into_iter().filter(|mail| Some(mail.id) > before.owed).collect();
        let bells = self.bells()?.into_iter();
        let heard = bells.filter(|(who, newest)| before.rung.get(who) != Some(newest));
        let by_bell = heard.map(|(who, _)| who);
        let who: BTreeSet<String> = by_bell.chain(owed.iter().filter_map(notified_by)).collect();
        Ok((who.into_iter().collect(), owed))
    }

    /// Mails that may go out now and could not at the step before.
    fn newly_due(&mut self) -> Result<Vec<explain::OwedMail>, String> {
        let due = self.store.due(self.now, LOOKED_AT_MAX).map_err(|error| error.to_string())?;
        let new = due.iter().filter(|mail| self.seen_due.insert(mail.id));
        Ok(new.map(owed_mail).collect())
    }

    fn ticket(&self, place: usize) -> Result<Option<Ticket>, String> {
        let view = self.store.ticket(self.number(place)?).map_err(|error| error.to_string())?;
        Ok(view.map(|view| view.ticket))
    }

    /// Owed mails, newest first.
    fn owed(&self) -> Result<Vec<Outgoing>, String> {
        let page = self.store.outbox(OutboxFilter::All, None, LOOKED_AT_MAX);
        page.map(|page| page.items).map_err(|error| error.to_string())
    }

    /// The newest bell of each user.
    fn bells(&self) -> Result<BTreeMap<String, u64>, String> {
        let mut all = BTreeMap::new();
        for name in self.config.users.keys() {
            let page = self.store.bells(name, None, 1).map_err(|error| error.to_string())?;
            all.extend(page.items.first().map(|bell| (name.clone(), bell.id)));
        }
        Ok(all)
    }

    /// Puts numbers and ids of this test where a mail wants them.
    fn filled(&self, raw: Vec<u8>) -> Result<Vec<u8>, String> {
        // Bytes of any charset stay as they are.
        let Ok(text) = std::str::from_utf8(&raw) else { return Ok(raw) };
        if !text.contains("{{ number ") && !text.contains("{{ sent ") {
            return Ok(raw);
        }
        let mut filled = text.to_owned();
        for place in 1..=self.tickets.len() {
            let number = self.number(place)?;
            filled = filled.replace(&format!("{{{{ number {place} }}}}"), number);
            if let Some(id) = self.sent(number)? {
                filled = filled.replace(&format!("{{{{ sent {place} }}}}"), &format!("<{id}>"));
            }
        }
        Ok(filled.into_bytes())
    }

    /// Message-ID of the last mail to the customer of a ticket.
    fn sent(&self, number: &str) -> Result<Option<String>, String> {
        let view = self.store.ticket(number).map_err(|error| error.to_string())?;
        let Some(view) = view else { return Ok(None) };
        let to_customer = |mail: &&Outgoing| {
            let about = mail.ticket == Some(view.ticket.id);
            about && !matches!(mail.kind, OutgoingKind::Notification { .. })
        };
        Ok(self.owed()?.iter().find(to_customer).map(|mail| mail.message_id.clone()))
    }

    fn number(&self, place: usize) -> Result<&str, String> {
        let number = place.checked_sub(1).and_then(|index| self.tickets.get(index));
        number.map(String::as_str).ok_or_else(|| format!("there is no ticket {place} yet"))
    }

    fn place_of(&mut self, number: String) -> usize {
        if let Some(index) = self.tickets.iter().position(|known| *known == number) {
            return index + 1;
        }
        self.tickets.push(number);
        self.tickets.len()
    }
}

fn commands(action: &TestAction, now: Timestamp) -> Vec<Command> {
    let TestAction { queue, owner, lock, priority, note, reply, state, pending_time } = action;
    let note = note.as_ref().map(|text| Command::Note {
        subject: String::new(),
        text: text.clone(),
        visible_for_customer: false,
    });
    let reply = reply.as_ref().map(|text| Command::Reply {
        text: text.clone(),
        to: Vec::new(),
        cc: Vec::new(),
        subject: None,
    });
    let pending_until = pending_time.as_deref().and_then(read_pending_time);
    let pending_until = pending_until.and_then(|when| match when {
        When::At(at) => Some(at),
        When::In(span) => now.checked_add(span).ok(),
    });
    let state = state.map(|it| Command::SetState { state: it.0, pending_until });
    let all = [
        queue.clone().map(Command::SetQueue),
        owner.clone().map(|owner| Command::SetOwner(Some(owner))),
        lock.map(Command::SetLock),
        priority.map(|it| Command::SetPriority(it.0)),
        note,
        reply,
        state,
    ];
    all.into_iter().flatten().collect()
}

fn notified_by(mail: &Outgoing) -> Option<String> {
    match &mail.kind {
        OutgoingKind::Notification { who, .. } => Some(who.clone()),
        OutgoingKind::AutoReply { .. } | OutgoingKind::Reply => None,
    }
}

fn of_ticket(ticket: &Ticket, notified: Vec<String>, owed: &[Outgoing]) -> Explanation {
    Explanation {
        queue: Some(ticket.queue.clone()),
        state: Some(ticket.state.label().into()),
        priority: Some(ticket.priority.label().into()),
        owner: ticket.owner.clone(),
        ..of_nothing(notified, owed)
    }
}

fn of_nothing(notified: Vec<String>, owed: &[Outgoing]) -> Explanation {
    let owed = owed.iter().map(owed_mail).collect();
    Explanation { notified, owed, ..explain::nothing_yet() }
}

fn owed_mail(mail: &Outgoing) -> explain::OwedMail {
    explain::OwedMail { kind: mail.kind.label().into(), to: mail.recipient.to_string() }
}

/// A directory that is gone afterwards.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn make() -> Result<Scratch, String> {
        use std::os::unix::fs::DirBuilderExt;
        let mut chance = [0; 8];
        getrandom::fill(&mut chance).map_err(|error| error.to_string())?;
        let name: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = std::env::temp_dir().join(format!("postroom-test-{name}"));
        // Fails if somebody made it before us.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| format!("could not make {}: {error}", shown(&path)))?;
        Ok(Scratch { path })
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

//! Which stored mails would fare differently under other files: `postroom replay` and
//! `POST /api/v1/replay`.
//!
//! Each mail is judged and settled twice, by the functions that intake calls, with what the store
//! knows today; it is no duplicate of itself.
//!
//! Architecture invariant: nothing is recorded, and memory does not grow with the number of mails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dto::config::FileView;
use super::explain::{auto_reply, notified};
use crate::core::config::{Account, Config, MovedKind};
use crate::core::intake::{self, Decision, Judgement};
use crate::core::mail;
use crate::store::{MailId, MailRecord, Store, StoreError, Tried};

/// Mails looked at if nothing is said.
pub const LAST_DEFAULT: usize = 1_000;
/// Most mails that are looked at.
pub const LAST_MAX: usize = 100_000;
/// Mails whose judgements are held at a time.
const CHUNK_MAILS: usize = 20;
/// Differences that are listed; more are counted.
const DIFFERENCES_MAX: usize = 500;

/// What to compare.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplayRequest {
    /// How many mails, counted from the newest.
    pub last: usize,
    /// The proposed files.
    pub files: Vec<FileView>,
    /// Files to compare with; without them, what runs.
    #[serde(default)]
    pub against: Option<Vec<FileView>>,
}

/// What came of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayView {
    /// Mails that were judged under both.
    pub mails: usize,
    /// Mails that could not be: their bytes are no longer kept, or nobody can read them.
    pub skipped: usize,
    /// How many would fare differently.
    pub differing: usize,
    /// Those, newest first; the first 500.
    pub differences: Vec<Difference>,
}

/// A mail that would fare differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Identity in the log.
    pub mail: u64,
    /// When it was recorded.
    pub at: String,
    /// Account it came through.
    pub account: String,
    /// Header From.
    pub from: String,
    /// Subject.
    pub subject: String,
    /// What would become of it under the files compared with.
    pub before: Fate,
    /// What would become of it under the proposed files.
    pub after: Fate,
    /// What differs, in words: `queue: support -> sales`.
    pub changes: Vec<String>,
}

/// What would become of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fate {
    /// `created`, `followUp`, ...; `notFetched` if no account of these files would fetch it.
    pub outcome: String,
    /// Queue of its ticket.
    pub queue: Option<String>,
    /// Priority of its ticket.
    pub priority: Option<String>,
    /// State of its ticket.
    pub state: Option<String>,
    /// Owner of its ticket.
    pub owner: Option<String>,
    /// Customer of its ticket.
    pub customer: Option<String>,
    /// Name of the automatic answer.
    pub auto_reply: Option<String>,
    /// Who is told.
    pub notified: Vec<String>,
    /// Filters that match. They alone make no difference.
    pub filters: Vec<String>,
}

/// Looks at the newest mails of a store.
pub async fn replay(
    store: &Store,
    before: Arc<Config>,
    after: Arc<Config>,
    last: usize,
    now: Timestamp,
) -> Result<ReplayView, StoreError> {
    let mut view = ReplayView::default();
    let mut cursor = None;
    let mut left = last.min(LAST_MAX);
    while left > 0 {
        let page = store.mails(cursor, left.min(CHUNK_MAILS))?;
        left -= page.items.len();
        let both = [before.clone(), after.clone()];
        chunk(store, page.items, both, now, &mut view).await?;
        match page.next {
            Some(next) => cursor = Some(MailId(next)),
            None => break,
        }
    }
    Ok(view)
}

/// A mail with its judgement under each of two configurations; `None` where no account fetches it.
type Judged = (MailRecord, [Option<(Arc<Account>, Arc<Judgement>)>; 2]);

async fn chunk(
    store: &Store,
    records: Vec<MailRecord>,
    both: [Arc<Config>; 2],
    now: Timestamp,
    view: &mut ReplayView,
) -> Result<(), StoreError> {
    let count = records.len();
    let (reader, configs) = (store.clone(), both.clone());
    let judged = tokio::task::spawn_blocking(move || {
        let judge = |record| judge(&reader, record, &configs).transpose();
        records.into_iter().filter_map(judge).collect::<Result<Vec<Judged>, StoreError>>()
    });
    let judged = judged.await.map_err(|error| StoreError::Failed(error.to_string()))??;
    view.skipped += count - judged.len();
    view.mails += judged.len();
    let mut fates = [Vec::new(), Vec::new()];
    for (side, config) in both.iter().enumerate() {
        fates[side] = fates_under(store, config, &judged, side, now).await?;
    }
    let [before, after] = fates;
    for ((record, _), (before, after)) in judged.iter().zip(before.into_iter().zip(after)) {
        let changes = changes(&before, &after, &str::to_owned);
        if changes.is_empty() {
            continue;
        }
        view.differing += 1;
        if view.differences.len() < DIFFERENCES_MAX {
            view.differences.push(Difference {
                mail: record.id.0,
                at: record.at.to_string(),
                account: record.account.clone(),
                from: record.from.clone(),
                subject: record.subject.clone(),
                before,
                after,
                changes,
            });
        }
    }
    Ok(())
}

/// The bytes are let go here: only what was judged is kept.
fn judge(
    store: &Store,
    record: MailRecord,
    configs: &[Arc<Config>; 2],
) -> Result<Option<Judged>, StoreError> {
    let Some(raw) = store.raw(&record.digest)? else { return Ok(None) };
    if mail::scan(&raw).is_err() {
        return Ok(None);
    }
    let judged = catch_unwind(AssertUnwindSafe(|| {
        configs.each_ref().map(|config| {
            let mail = mail::parse_for(config.desk.language, &raw);
            let account = account_of(config, &record.account)?;
            Some((account.clone(), Arc::new(intake::judge(config, account, &mail))))
        })
    }));
    Ok(judged.ok().map(|judged| (record, judged)))
}

/// The account that would fetch it, under the name it has there.
fn account_of<'a>(config: &'a Config, name: &str) -> Option<&'a Arc<Account>> {
    let renamed = || {
        let is_it =
            |it: &&crate::core::config::Moved| it.kind == MovedKind::MailAccount && it.from == name;
        config.accounts.get(&config.moved.iter().find(is_it)?.to)
    };
    config.accounts.get(name).or_else(renamed)
}

async fn fates_under(
    store: &Store,
    config: &Arc<Config>,
    judged: &[Judged],
    side: usize,
    now: Timestamp,
) -> Result<Vec<Fate>, StoreError> {
    let fetched = judged.iter().filter_map(|(record, sides)| {
        let (_, judgement) = sides[side].as_ref()?;
        // The account's name in the store, which may be the old one.
        let account = record.account.clone();
        Some(Tried { account, judgement: judgement.clone(), itself: Some(record.id) })
    });
    let mut facts = store.facts(config.clone(), fetched.collect(), now).await?.into_iter();
    let fate = |(_, sides): &Judged| {
        let Some((account, judgement)) = &sides[side] else { return not_fetched() };
        match facts.next() {
            Some(facts) => fate(&intake::settle(config, account, judgement, &facts, now)),
            None => not_fetched(),
        }
    };
    Ok(judged.iter().map(fate).collect())
}

fn not_fetched() -> Fate {
    Fate { outcome: "notFetched".into(), ..Fate::default() }
}

fn fate(decision: &Decision) -> Fate {
    let effect = decision.effect.as_ref();
    let ticket = effect.map(|effect| &effect.ticket);
    Fate {
        outcome: decision.outcome.label().into(),
        queue: ticket.map(|ticket| ticket.queue.clone()),
        priority: ticket.map(|ticket| ticket.priority.label().into()),
        state: ticket.map(|ticket| ticket.state.label().into()),
        owner: ticket.and_then(|ticket| ticket.owner.clone()),
        customer: ticket
            .and_then(|ticket| ticket.customer.as_ref())
            .map(|customer| customer.address.to_string()),
        auto_reply: effect.and_then(auto_reply),
        notified: effect.map(notified).unwrap_or_default(),
        filters: decision.filters.clone(),
    }
}

/// What differs, in words; filters alone are no difference. Names of people and their addresses are
/// written as `show` has them, after they were compared.
pub fn changes(before: &Fate, after: &Fate, show: &dyn Fn(&str) -> String) -> Vec<String> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
    let person = |name: &Option<String>| name.as_deref().map_or("none".to_owned(), show);
    let list = |names: &[String]| {
        let shown: Vec<String> = names.iter().map(|name| show(name)).collect();
        if names.is_empty() { "nobody".to_owned() } else { shown.join(", ") }
    };
    let both = |of: &dyn Fn(&Fate) -> String| (of(before), of(after));
    let differ = [
        before.outcome != after.outcome,
        before.queue != after.queue,
        before.priority != after.priority,
        before.state != after.state,
        before.owner != after.owner,
        before.customer != after.customer,
        before.auto_reply != after.auto_reply,
        before.notified != after.notified,
    ];
    let parts = [
        ("outcome", both(&|it| it.outcome.clone())),
        ("queue", both(&|it| or_none(&it.queue))),
        ("priority", both(&|it| or_none(&it.priority))),
        ("state", both(&|it| or_none(&it.state))),
        ("owner", both(&|it| person(&it.owner))),
        ("customer", both(&|it| person(&it.customer))),
        ("autoReply", both(&|it| or_none(&it.auto_reply))),
        ("notified", both(&|it| list(&it.notified))),
    ];
    let differing = parts.into_iter().zip(differ).filter(|(_, differs)| *differs);
    differing.map(|((what, (before, after)), _)| format!("{what}: {before} -> {after}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(queue: &str, filters: &[&str]) -> Fate {
        let filters = filters.iter().map(|it| (*it).to_owned()).collect();
        Fate { outcome: "created".into(), queue: Some(queue.into()), filters, ..Fate::default() }
    }

    #[track_caller]
    fn check(before: Fate, after: Fate, expected: &[&str]) {
        assert_eq!(changes(&before, &after, &str::to_owned), expected);
    }

    #[test]
    fn what_differs() {
        check(fate("a", &[]), fate("a", &["x"]), &[]);
        check(fate("a", &[]), fate("b", &[]), &["queue: a -> b"]);
        let told = Fate { notified: vec!["alice".into()], ..fate("a", &[]) };
        check(fate("a", &[]), told, &["notified: nobody -> alice"]);
        let gone = ["outcome: created -> notFetched", "queue: a -> none"];
        check(fate("a", &[]), not_fetched(), &gone);
    }
}

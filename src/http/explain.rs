//! What would become of a mail, without recording anything: `postroom explain` and
//! `POST /api/v1/explain`.
//!
//! Architecture invariant: it calls the functions that intake calls, never a copy of their rules.
//! Without the facts of a store, a mail is taken for the first one of an empty desk.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dto::config::FileView;
use crate::core::config::{Account, Config};
use crate::core::filter::examine::{Examined, Looked, Verdict};
use crate::core::intake::{self, Answered, Decision, DeskKey, Effect, Facts, Judgement, NextIds};
use crate::core::mail::{self, Refusal};
use crate::core::outgoing::{OutgoingId, OutgoingKind};
use crate::core::ticket::{ArticleId, TicketId};
use crate::store::{Store, StoreError, Tried};

/// What would become of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// `created`, `ignored`, `quarantined`, ...
    pub outcome: String,
    /// Why it would be quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who wrote it.
    pub from: String,
    /// Subject.
    pub subject: String,
    /// Message-ID, also if derived.
    pub message_id: String,
    /// Queue of a new ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// State of a new ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Priority of a new ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Owner of a new ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Filters that match, in order.
    pub filters: Vec<String>,
    /// Ticket number in the subject: with the ticket there, it would be a follow-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_tag: Option<String>,
    /// Why it would not be answered automatically.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
    /// Name of the automatic answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_reply: Option<String>,
    /// Who would be notified, by mail or on the page: names of users, addresses of customers.
    #[serde(default)]
    pub notified: Vec<String>,
    /// Mails that would be owed.
    pub owed: Vec<OwedMail>,
    /// What is strange about it.
    pub oddities: Vec<String>,
    /// Number of the ticket that it would join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Each step in words.
    pub why: Vec<Step>,
    /// Each filter with what its conditions looked at, in the order they run.
    #[serde(default)]
    pub examined: Vec<FilterView>,
}

/// A filter and what it found in a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilterView {
    /// Its name.
    pub filter: String,
    /// Its place in the order.
    pub order: i64,
    /// `matches`, `fails`, `switchedOff` or `notReached`.
    pub verdict: String,
    /// The filter that stopped the run before, if it was not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    /// Its conditions; all must hold.
    pub conditions: Vec<ConditionView>,
}

/// A condition and the value it looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConditionView {
    /// The condition, as it is written.
    pub condition: String,
    /// What stood there; long values are cut.
    pub value: String,
    /// Whether it holds.
    pub holds: bool,
}

/// A mail, and files to judge it under with what the store knows.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExplainRequest {
    /// Name of the mail account it is taken to come through.
    pub account: String,
    /// The mail, in Base64.
    pub mail: String,
    /// The files; without any, those that run.
    #[serde(default)]
    pub files: Vec<FileView>,
}

/// A mail that would be owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwedMail {
    /// `autoReply`, `notification` or `reply`.
    pub kind: String,
    /// To whom.
    pub to: String,
}

/// One step of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// What was decided.
    pub step: String,
    /// With which result and for which reason.
    pub text: String,
}

/// Why there is nothing to explain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// The account is not declared. Reads after "there is no".
    #[error("mail account {name:?}; declared are {declared}")]
    NoAccount {
        /// The name asked for.
        name: String,
        /// The names there are.
        declared: String,
    },
}

/// Judges and settles a mail as the first one of an empty desk.
pub fn explain(
    config: &Config,
    account: &str,
    raw: &[u8],
    now: Timestamp,
) -> Result<Explanation, ExplainError> {
    Ok(match judged(config, account, raw)? {
        Ok(judged) => settled(config, &judged, &empty_desk(), now),
        Err(refused) => *refused,
    })
}

/// The same with what a store knows: its tickets, and how often the sender was answered.
pub async fn explain_with(
    store: &Store,
    config: Arc<Config>,
    account: &str,
    raw: Vec<u8>,
    now: Timestamp,
) -> Result<Result<Explanation, ExplainError>, StoreError> {
    let (judging, name) = (config.clone(), account.to_owned());
    let work = tokio::task::spawn_blocking(move || judged(&judging, &name, &raw));
    let judged = match work.await.map_err(|error| StoreError::Failed(error.to_string()))? {
        Ok(Ok(judged)) => judged,
        Ok(Err(refused)) => return Ok(Ok(*refused)),
        Err(error) => return Ok(Err(error)),
    };
    let (account, judgement) = (judged.account.name.clone(), judged.judgement.clone());
    let tried = vec![Tried { account, judgement, itself: None }];
    let facts = store.facts(config.clone(), tried, now).await?;
    let facts = facts.first().cloned().unwrap_or_else(empty_desk);
    Ok(Ok(settled(&config, &judged, &facts, now)))
}

/// What the mail alone says.
struct Judged {
    account: Arc<Account>,
    judgement: Arc<Judgement>,
    subject: String,
    oddities: Vec<String>,
    examined: Vec<FilterView>,
}

fn judged(
    config: &Config,
    account: &str,
    raw: &[u8],
) -> Result<Result<Judged, Box<Explanation>>, ExplainError> {
    let account = config.accounts.get(account).ok_or_else(|| ExplainError::NoAccount {
        name: account.into(),
        declared: config.accounts.keys().cloned().collect::<Vec<_>>().join(", "),
    })?;
    if let Err(refusal) = mail::scan(raw) {
        return Ok(Err(Box::new(refused(refusal))));
    }
    let mail = mail::parse_for(config.desk.language, raw);
    let examined = intake::examine(config, account, &mail);
    Ok(Ok(Judged {
        account: account.clone(),
        judgement: Arc::new(intake::judge(config, account, &mail).with_files(raw)),
        subject: mail.subject.clone(),
        oddities: mail.oddities.iter().map(|oddity| oddity.label().into()).collect(),
        examined: examined.into_iter().map(FilterView::from).collect(),
    }))
}

fn settled(config: &Config, judged: &Judged, facts: &Facts, now: Timestamp) -> Explanation {
    let judgement = &judged.judgement;
    let decision = intake::settle(config, &judged.account, judgement, facts, now);
    let found = of_decision(&decision);
    Explanation {
        from: judgement.article.from.clone(),
        subject: judged.subject.clone(),
        message_id: judgement.message_id.clone(),
        subject_tag: judgement.subject_tag.clone(),
        oddities: judged.oddities.clone(),
        examined: judged.examined.clone(),
        ..found
    }
}

/// What a decision says, without what only its mail says.
pub fn of_decision(decision: &Decision) -> Explanation {
    let effect = decision.effect.as_ref();
    let ticket = effect.map(|effect| &effect.ticket);
    let joined = effect.filter(|effect| !effect.created);
    let owed = effect.map(|effect| effect.owed.as_slice()).unwrap_or_default();
    let owed = owed
        .iter()
        .map(|mail| OwedMail { kind: mail.kind.label().into(), to: mail.recipient.to_string() });
    let why = decision.why.iter();
    Explanation {
        outcome: decision.outcome.label().into(),
        reason: match &decision.outcome {
            intake::Outcome::Quarantined { reason } => Some(reason.clone()),
            intake::Outcome::Created
            | intake::Outcome::FollowUp
            | intake::Outcome::Rejected
            | intake::Outcome::Bounce
            | intake::Outcome::Ignored
            | intake::Outcome::Duplicate => None,
        },
        queue: ticket.map(|ticket| ticket.queue.clone()),
        state: ticket.map(|ticket| ticket.state.label().into()),
        priority: ticket.map(|ticket| ticket.priority.label().into()),
        owner: ticket.and_then(|ticket| ticket.owner.clone()),
        filters: decision.filters.clone(),
        suppressed: decision.suppressed.as_ref().map(|reason| reason.label().into()),
        auto_reply: effect.and_then(auto_reply),
        notified: effect.map(notified).unwrap_or_default(),
        owed: owed.collect(),
        ticket: joined.map(|effect| effect.ticket.number.clone()),
        why: why.map(|why| Step { step: why.step.clone(), text: why.text.clone() }).collect(),
        ..nothing_yet()
    }
}

impl From<Examined> for FilterView {
    fn from(examined: Examined) -> FilterView {
        let (verdict, stopped_by) = match examined.verdict {
            Verdict::Matches => ("matches", None),
            Verdict::Fails => ("fails", None),
            Verdict::SwitchedOff => ("switchedOff", None),
            Verdict::NotReached(by) => ("notReached", Some(by)),
        };
        let condition = |looked: Looked| ConditionView {
            condition: looked.condition,
            value: looked.value,
            holds: looked.holds,
        };
        FilterView {
            filter: examined.filter,
            order: examined.order,
            verdict: verdict.into(),
            stopped_by,
            conditions: examined.conditions.into_iter().map(condition).collect(),
        }
    }
}

pub(super) fn auto_reply(effect: &Effect) -> Option<String> {
    effect.owed.iter().find_map(|mail| match &mail.kind {
        OutgoingKind::AutoReply { reply } => Some(reply.clone()),
        OutgoingKind::Notification { .. } | OutgoingKind::Reply => None,
    })
}

pub(super) fn notified(effect: &Effect) -> Vec<String> {
    let by_mail = effect.owed.iter().filter_map(|mail| match &mail.kind {
        OutgoingKind::Notification { who, .. } => Some(who.clone()),
        OutgoingKind::AutoReply { .. } | OutgoingKind::Reply => None,
    });
    let who: BTreeSet<String> =
        by_mail.chain(effect.bells.iter().map(|bell| bell.who.clone())).collect();
    who.into_iter().collect()
}

fn refused(refusal: Refusal) -> Explanation {
    let reason = match refusal {
        Refusal::TooDeep => "its parts are nested too deep",
        Refusal::TooManyParts => "it has too many parts",
        Refusal::HeaderTooLarge => "its header is too large",
    };
    Explanation {
        outcome: "quarantined".into(),
        reason: Some(reason.into()),
        why: vec![Step { step: "parse".into(), text: reason.into() }],
        ..nothing_yet()
    }
}

/// An explanation that says nothing.
pub fn nothing_yet() -> Explanation {
    Explanation {
        outcome: String::new(),
        reason: None,
        from: String::new(),
        subject: String::new(),
        message_id: String::new(),
        queue: None,
        state: None,
        priority: None,
        owner: None,
        filters: Vec::new(),
        subject_tag: None,
        suppressed: None,
        auto_reply: None,
        notified: Vec::new(),
        owed: Vec::new(),
        oddities: Vec::new(),
        ticket: None,
        why: Vec::new(),
        examined: Vec::new(),
    }
}

/// What a store without tickets knows.
fn empty_desk() -> Facts {
    Facts {
        duplicate: None,
        tagged: None,
        body_tagged: None,
        referenced: Vec::new(),
        keyed: Vec::new(),
        bounced: None,
        answered: Answered::default(),
        threads: Default::default(),
        articles: Vec::new(),
        full_hours: Default::default(),
        desk_key: DeskKey([0; 32]),
        next: NextIds {
            ticket: TicketId(1),
            article: ArticleId(1),
            outgoing: OutgoingId(1),
            tickets_today: 0,
        },
    }
}

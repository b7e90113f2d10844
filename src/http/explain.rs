//! What would become of a mail, without recording anything: `postroom explain` and
//! `POST /api/v1/explain`.
//!
//! Architecture invariant: it calls the functions that intake calls, never a copy of their rules.
//! The store is not asked, so every mail is taken for the first one of an empty desk.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::config::Config;
use crate::core::intake::{self, Answered, DeskKey, Effect, Facts, NextIds};
use crate::core::mail::{self, Refusal};
use crate::core::outgoing::{OutgoingId, OutgoingKind};
use crate::core::ticket::{ArticleId, TicketId};

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
    /// Each step in words.
    pub why: Vec<Step>,
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
    let account = config.accounts.get(account).ok_or_else(|| ExplainError::NoAccount {
        name: account.into(),
        declared: config.accounts.keys().cloned().collect::<Vec<_>>().join(", "),
    })?;
    if let Err(refusal) = mail::scan(raw) {
        return Ok(refused(refusal));
    }
    let mail = mail::parse(raw);
    let judgement = intake::judge(config, account, &mail);
    let decision = intake::settle(config, account, &judgement, &empty_desk(), now);
    let effect = decision.effect.as_ref();
    let ticket = effect.map(|effect| &effect.ticket);
    Ok(Explanation {
        outcome: decision.outcome.label().into(),
        reason: match &decision.outcome {
            intake::Outcome::Quarantined { reason } => Some(reason.clone()),
            _ => None,
        },
        from: judgement.article.from.clone(),
        subject: mail.subject.clone(),
        message_id: judgement.message_id.clone(),
        queue: ticket.map(|ticket| ticket.queue.clone()),
        state: ticket.map(|ticket| ticket.state.label().into()),
        priority: ticket.map(|ticket| ticket.priority.label().into()),
        owner: ticket.and_then(|ticket| ticket.owner.clone()),
        filters: decision.filters.clone(),
        subject_tag: judgement.subject_tag.clone(),
        suppressed: decision.suppressed.as_ref().map(|reason| reason.label().into()),
        auto_reply: effect.and_then(auto_reply),
        notified: effect.map(notified).unwrap_or_default(),
        owed: effect.map_or(Vec::new(), |effect| {
            let owed = effect.owed.iter();
            owed.map(|mail| OwedMail {
                kind: mail.kind.label().into(),
                to: mail.recipient.to_string(),
            })
            .collect()
        }),
        oddities: mail.oddities.iter().map(|oddity| oddity.label().into()).collect(),
        why: decision
            .why
            .iter()
            .map(|why| Step { step: why.step.clone(), text: why.text.clone() })
            .collect(),
    })
}

fn auto_reply(effect: &Effect) -> Option<String> {
    effect.owed.iter().find_map(|mail| match &mail.kind {
        OutgoingKind::AutoReply { reply } => Some(reply.clone()),
        OutgoingKind::Notification { .. } | OutgoingKind::Reply => None,
    })
}

fn notified(effect: &Effect) -> Vec<String> {
    let by_mail = effect.owed.iter().filter_map(|mail| match &mail.kind {
        OutgoingKind::Notification { who, .. } => Some(who.clone()),
        OutgoingKind::AutoReply { .. } | OutgoingKind::Reply => None,
    });
    let who: BTreeSet<String> =
        by_mail.chain(effect.bells.iter().map(|(who, _)| who.clone())).collect();
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
        why: vec![Step { step: "parse".into(), text: reason.into() }],
    }
}

/// What a store without tickets knows.
fn empty_desk() -> Facts {
    Facts {
        duplicate: None,
        tagged: None,
        body_tagged: None,
        referenced: None,
        keyed: None,
        bounced: None,
        answered: Answered::default(),
        desk_key: DeskKey([0; 32]),
        next: NextIds {
            ticket: TicketId(1),
            article: ArticleId(1),
            outgoing: OutgoingId(1),
            tickets_today: 0,
        },
    }
}

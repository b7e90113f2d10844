//! Commit 2 of a mail: facts, `settle`, and the rows that follow from it.
//!
//! The facts are gathered first, then the pure `settle` runs behind a guard, and only then is
//! anything written. A panic or a decision that does not fit sends this one mail to quarantine.
//!
//! Architecture invariant: no opinions. What becomes of a mail is said by `settle`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;
use redb::ReadableTable;

use super::facts::{Subject, day};
use super::fault::Fault;
use super::rows::{LedgerState, MailRow, decode, encode};
use super::transaction::Tx;
use super::writer::said;
use super::{MailId, MailRecord, Owing, Recorded, Rules, ToRecord, Unjudged};
use crate::core::intake::{Decision, Judgement, Outcome, Why};
use crate::core::mail::{Digest, Location};
use crate::faultpoint;

/// Ticket numbers tried for one mail; the next is tried if a number is taken, as it can be after a
/// change of time zone.
const NUMBERS_TRIED_MAX: u32 = 1_000;

impl Tx<'_> {
    /// Records one mail.
    pub(super) fn record(&mut self, rules: &Rules, mail: &ToRecord) -> Result<Recorded, Fault> {
        self.records = true;
        let account = self.account_id(&mail.account.name)?;
        let known = self.ledger(account, &mail.location)?.map(|row| row.state);
        let released = self.releasable(mail.released)?;
        if released.is_none()
            && let Some(LedgerState::Recorded { mail } | LedgerState::Done { mail }) = known
        {
            return self.recorded_before(mail);
        }
        let judgement = mail.judgement.as_ref();
        let decision = match judgement {
            Ok(judgement) => self.decide(rules, mail, judgement, account, released)?,
            Err(unjudged) => quarantined(unjudged.reason.clone(), None),
        };
        // Of a mail that was too large we have the header only: the mail itself stays on its
        // server, so the server must never be told of it.
        let leave = matches!(
            known,
            Some(LedgerState::Done { .. } | LedgerState::Spooled { headers_only: true, .. })
        );
        self.write(mail, decision, account, released, leave)
    }

    /// Notes a mail that its server lists and does not give. One that has an outcome keeps it.
    pub(super) fn give_up(
        &mut self,
        account: &str,
        location: &Location,
        reason: &str,
        now: Timestamp,
    ) -> Result<Recorded, Fault> {
        let account = self.account_id(account)?;
        let reason = reason.to_owned();
        let known = self.ledger(account, location)?.map(|row| row.state);
        if let Some(LedgerState::Recorded { mail } | LedgerState::Done { mail }) = known {
            return self.recorded_before(mail);
        }
        let id = self.counters.mail;
        self.counters.mail += 1;
        let record = MailRecord {
            id: MailId(id),
            account: String::new(),
            location: location.clone(),
            // There are no bytes to have a digest: this one is nobody's.
            digest: Digest::of(format!("not given: {account};{}", location.0).as_bytes()),
            bytes: 0,
            from: String::new(),
            subject: String::new(),
            message_id: String::new(),
            at: now,
            outcome: Outcome::Quarantined { reason: reason.clone() },
            ticket: None,
            why: vec![Why { step: "quarantine".to_owned(), text: reason }],
            resolved: None,
        };
        let row = MailRow::of(record, account, None);
        self.tables.mails.insert(id, encode(&row).as_slice())?;
        self.tables.quarantine.insert(id, ())?;
        // The server must never be told of it.
        self.set_ledger(account, location, LedgerState::Done { mail: id })?;
        let recorded = self.recorded_before(id)?;
        Ok(Recorded { duplicate: None, ..recorded })
    }

    /// Forgets that a mail was not given, so that it is asked for again. `false` if this is no
    /// such mail, or somebody dealt with it before.
    pub(super) fn ask_again(&mut self, id: MailId, now: Timestamp) -> Result<bool, Fault> {
        let Some(row) = self.mail_row(id.0)? else { return Ok(false) };
        let given = self.tables.raw_places.get(&row.digest()?.0)?.is_some();
        if given || !self.resolve(id, now)? {
            return Ok(false);
        }
        self.tables.ledger.remove((row.account, row.location.as_str()))?;
        Ok(true)
    }

    /// The quarantined mail that is released, unless somebody dealt with it before.
    fn releasable(&self, released: Option<MailId>) -> Result<Option<MailId>, Fault> {
        match released {
            Some(id) if self.tables.quarantine.get(id.0)?.is_some() => Ok(Some(id)),
            Some(_) | None => Ok(None),
        }
    }

    /// What is recorded of a mail.
    pub(super) fn mail_row(&self, id: u64) -> Result<Option<MailRow>, Fault> {
        let row = self.tables.mails.get(id)?;
        row.map(|row| decode(row.value())).transpose()
    }

    /// The outcome that a location has already.
    fn recorded_before(&self, id: u64) -> Result<Recorded, Fault> {
        let lost = || Fault::Row(format!("mail {id} is in the ledger but not in the log"));
        let row = self.mail_row(id)?.ok_or_else(lost)?;
        let name = self.account_name(row.account)?;
        let record = row.record(id, name)?;
        Ok(Recorded {
            mail: record.id,
            location: record.location,
            outcome: record.outcome,
            from: record.from,
            subject: record.subject,
            ticket: record.ticket,
            queue: None,
            filters: Vec::new(),
            routed_by: None,
            suppressed: None,
            owing: Owing::default(),
            duplicate: Some("location"),
            why: record.why,
        })
    }

    fn decide(
        &self,
        rules: &Rules,
        mail: &ToRecord,
        judgement: &Judgement,
        account: u32,
        released: Option<MailId>,
    ) -> Result<Decision, Fault> {
        let subject = Subject { rules, config: &mail.config, account, released, now: mail.now };
        let mut facts = match self.facts(&subject, judgement) {
            Ok(facts) => facts,
            Err(Fault::Row(text)) => return Ok(quarantined(text, Some(judgement))),
            Err(fault) => return Err(fault),
        };
        for _ in 0..NUMBERS_TRIED_MAX {
            self.mark.write(&mail.digest)?;
            let settle = || {
                faultpoint!("settle", of: judgement.article.subject.as_bytes());
                (rules.settle)(&mail.config, &mail.account, judgement, &facts, mail.now)
            };
            let settled = catch_unwind(AssertUnwindSafe(settle));
            self.mark.clear()?;
            let decision = match settled {
                Ok(decision) => decision,
                Err(panic) => {
                    let reason = format!("panic while settling: {}", said(&*panic));
                    return Ok(quarantined(reason, Some(judgement)));
                }
            };
            let Some(effect) = &decision.effect else { return Ok(decision) };
            if effect.created && self.by_number(&effect.ticket.number)?.is_some() {
                facts.next.tickets_today += 1;
                continue;
            }
            return Ok(match self.misfit(effect)? {
                None => decision,
                Some(misfit) => quarantined(misfit, Some(judgement)),
            });
        }
        Ok(quarantined("no ticket number is free".to_owned(), Some(judgement)))
    }

    fn write(
        &mut self,
        mail: &ToRecord,
        decision: Decision,
        account: u32,
        released: Option<MailId>,
        leave: bool,
    ) -> Result<Recorded, Fault> {
        let id = self.counters.mail;
        self.counters.mail += 1;
        let Decision { outcome, effect, linked, suppressed, filters, duplicate, why } = decision;
        let ticket = effect.as_ref().map(|effect| effect.ticket.number.clone());
        let queue = effect.as_ref().map(|effect| effect.ticket.queue.clone());
        let owing = Owing::of(effect.iter().chain(&linked));
        for effect in effect.into_iter().chain(linked) {
            self.write_effect(&mail.config, effect, &day(&mail.config, mail.now))?;
        }
        if let Some(released) = released {
            self.resolve(released, mail.now)?;
        }
        self.write_log(mail, MailId(id), &outcome, ticket.clone(), why.clone(), account)?;
        if outcome != Outcome::Duplicate {
            self.remember_digests(mail, account, id, released)?;
        }
        let state =
            if leave { LedgerState::Done { mail: id } } else { LedgerState::Recorded { mail: id } };
        self.set_ledger(account, &mail.location, state)?;
        let judgement = mail.judgement.as_ref().ok();
        let (from, subject) = heading(mail);
        let created = outcome == Outcome::Created;
        Ok(Recorded {
            mail: MailId(id),
            location: mail.location.clone(),
            from: from.to_owned(),
            subject: subject.to_owned(),
            ticket,
            queue,
            filters,
            routed_by: judgement.filter(|_| created).map(|judged| judged.route.by.label()),
            suppressed: suppressed.map(|suppressed| suppressed.label()),
            owing,
            duplicate,
            why,
            outcome,
        })
    }

    fn write_log(
        &mut self,
        mail: &ToRecord,
        id: MailId,
        outcome: &Outcome,
        ticket: Option<String>,
        why: Vec<Why>,
        account: u32,
    ) -> Result<(), Fault> {
        let judgement = mail.judgement.as_deref().ok();
        let (from, subject) = heading(mail);
        let record = MailRecord {
            id,
            account: String::new(),
            location: mail.location.clone(),
            digest: mail.digest,
            bytes: self.raw_bytes(&mail.digest)?,
            from: from.to_owned(),
            subject: subject.to_owned(),
            message_id: judgement.map(|judged| judged.message_id.clone()).unwrap_or_default(),
            at: mail.now,
            outcome: outcome.clone(),
            ticket,
            why,
            resolved: None,
        };
        if matches!(outcome, Outcome::Quarantined { .. }) {
            self.tables.quarantine.insert(id.0, ())?;
        }
        let content = judgement.and_then(|judged| judged.keys.content);
        let row = MailRow::of(record, account, content);
        self.tables.mails.insert(id.0, encode(&row).as_slice())?;
        Ok(())
    }

    /// The first mail with a digest keeps it; one that is released takes over from itself.
    fn remember_digests(
        &mut self,
        mail: &ToRecord,
        account: u32,
        id: u64,
        released: Option<MailId>,
    ) -> Result<(), Fault> {
        let content = mail.judgement.as_ref().ok().and_then(|judged| judged.keys.content);
        let free =
            |holder: Option<u64>| holder.is_none_or(|holder| released == Some(MailId(holder)));
        let key = (&mail.digest.0, account);
        let holder = self.tables.digests.get(key)?.map(|holder| holder.value());
        if free(holder) {
            self.tables.digests.insert(key, id)?;
        }
        if let Some(content) = &content {
            let key = (&content.0, account);
            let holder = self.tables.contents.get(key)?.map(|holder| holder.value());
            if free(holder) {
                self.tables.contents.insert(key, id)?;
            }
        }
        Ok(())
    }

    /// Takes a mail off the quarantine list. `false` if it is not there.
    pub(super) fn resolve(&mut self, id: MailId, now: Timestamp) -> Result<bool, Fault> {
        if self.tables.quarantine.remove(id.0)?.is_none() {
            return Ok(false);
        }
        if let Some(mut row) = self.mail_row(id.0)? {
            row.resolved = Some(now);
            self.tables.mails.insert(id.0, encode(&row).as_slice())?;
        }
        Ok(true)
    }
}

/// From and Subject, for people.
fn heading(mail: &ToRecord) -> (&str, &str) {
    match &mail.judgement {
        Ok(judgement) => (&judgement.article.from, &judgement.article.subject),
        Err(Unjudged { heading, .. }) => (&heading.from, &heading.subject),
    }
}

fn quarantined(reason: String, judgement: Option<&Judgement>) -> Decision {
    let mut why = judgement.map(|judged| judged.why.clone()).unwrap_or_default();
    why.push(Why { step: "quarantine".to_owned(), text: reason.clone() });
    Decision {
        outcome: Outcome::Quarantined { reason },
        effect: None,
        linked: None,
        suppressed: None,
        filters: judgement.map(|judged| judged.filters.clone()).unwrap_or_default(),
        duplicate: None,
        why,
    }
}

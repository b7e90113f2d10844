//! How many notification mails users get in which hour.
//!
//! Architecture invariant: only counts; whose hour is full is said by `core::notify::hours`.

use jiff::Timestamp;
use redb::ReadableTable;

use super::fault::Fault;
use super::tables::View;
use super::transaction::Tx;
use crate::core::config::Config;
use crate::core::notify::hours::{self, FullHours, Hour};
use crate::core::outgoing::{Outgoing, OutgoingKind};

impl Tx<'_> {
    /// Counts a mail if it is a notification to a user.
    pub(super) fn count_notice(&mut self, config: &Config, mail: &Outgoing) -> Result<(), Fault> {
        let OutgoingKind::Notification { who, .. } = &mail.kind else { return Ok(()) };
        if !config.users.contains_key(who) {
            return Ok(());
        }
        let key = (Hour::of(mail.created).0, who.as_str());
        let mails = self.tables.notice_hours.get(key)?.map_or(0, |mails| mails.value());
        let mails = mails.saturating_add(1);
        self.tables.notice_hours.insert(key, mails)?;
        if hours::is_full(&config.limits, mails) {
            self.tables.full_hours.insert(key, mails)?;
        }
        Ok(())
    }

    /// Users who get no more in this hour or a later one.
    pub(super) fn full_hours(&self, now: Timestamp) -> Result<FullHours, Fault> {
        read(&self.tables.full_hours, now)
    }

    /// Forgets the hours that are over.
    pub(super) fn clean_hours(&mut self, now: Timestamp) -> Result<(), Fault> {
        let present = (Hour::of(now).0, "");
        self.tables.notice_hours.retain_in(..present, |_, _| false)?;
        self.tables.full_hours.retain_in(..present, |_, _| false)?;
        Ok(())
    }
}

/// The same as of one commit.
pub(super) fn full(view: &View, now: Timestamp) -> Result<FullHours, Fault> {
    read(&view.full_hours, now)
}

fn read(
    table: &impl ReadableTable<(i64, &'static str), u32>,
    now: Timestamp,
) -> Result<FullHours, Fault> {
    let mut full = FullHours::default();
    for row in table.range((Hour::of(now).0, "")..)? {
        let (key, mails) = row?;
        let (hour, who) = key.value();
        full.0.insert((Hour(hour), who.to_owned()), mails.value());
    }
    Ok(full)
}

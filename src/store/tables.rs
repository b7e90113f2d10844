//! The tables of the database: their keys, what is in them, and how they are opened.
//!
//! Times in keys are microseconds since 1970. Values of `&[u8]` are rows (see [`super::rows`]).
//!
//! Architecture invariant: only names and types; what the tables mean together is said by the
//! modules that write them.

use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableTable, Table, WriteTransaction};

use super::fault::Fault;

/// A transaction of a copy is committed after this many bytes, so that memory stays flat.
const COPY_BYTES_MAX: usize = 16 << 20;

type Rows = &'static [u8];
type Hash = &'static [u8; 32];

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $key:ty => $value:ty;)*) => {
        /// Names and types of the tables.
        #[allow(non_upper_case_globals)]
        mod definition {
            use super::{Hash, Rows};
            use redb::TableDefinition;
            $(pub(super) const $name: TableDefinition<'static, $key, $value> =
                TableDefinition::new(stringify!($name));)*
        }

        /// All tables, open for writing in one transaction.
        pub(super) struct Tables<'txn> {
            $($(#[$doc])* pub(super) $name: Table<'txn, $key, $value>,)*
        }

        /// All tables as of one commit.
        pub(super) struct View {
            $($(#[$doc])* pub(super) $name: ReadOnlyTable<$key, $value>,)*
        }

        impl<'txn> Tables<'txn> {
            /// Opens them; makes those that are missing.
            pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Self, Fault> {
                Ok(Tables { $($name: transaction.open_table(definition::$name)?,)* })
            }
        }

        impl View {
            /// Opens them.
            pub(super) fn open(transaction: &ReadTransaction) -> Result<View, Fault> {
                Ok(View { $($name: transaction.open_table(definition::$name)?,)* })
            }

            /// Copies everything into another database.
            pub(super) fn copy_to(&self, target: &Database) -> Result<(), Fault> {
                $({
                    let mut rows = self.$name.iter()?;
                    let mut more = true;
                    while more {
                        let transaction = target.begin_write()?;
                        {
                            let mut table = transaction.open_table(definition::$name)?;
                            let mut bytes = 0;
                            more = false;
                            for row in rows.by_ref() {
                                let (key, value) = row?;
                                bytes += ROW_BYTES + size_of_value(&value.value());
                                table.insert(key.value(), value.value())?;
                                if bytes > COPY_BYTES_MAX {
                                    more = true;
                                    break;
                                }
                            }
                        }
                        transaction.commit()?;
                    }
                })*
                Ok(())
            }
        }
    };
}

/// What a row costs at least when it is copied.
const ROW_BYTES: usize = 64;

fn size_of_value<T>(value: &T) -> usize
where
    T: std::fmt::Debug + ValueSize,
{
    value.bytes()
}

/// How much of a copy's budget a value takes.
trait ValueSize {
    fn bytes(&self) -> usize;
}

impl ValueSize for &[u8] {
    fn bytes(&self) -> usize {
        self.len()
    }
}

macro_rules! small_values {
    ($($value:ty),*) => {
        $(impl ValueSize for $value {
            fn bytes(&self) -> usize {
                0
            }
        })*
    };
}

small_values!((), u32, u64, i64, &str, (u64, u64), (u32, u64, u64));

tables! {
    /// Single facts: `schema` (version, big-endian u32), `desk_key`, `counters`, `clean`.
    meta: &'static str => Rows;
    /// Mail accounts by name.
    accounts: &'static str => Rows;
    /// Name of each account identity.
    account_names: u32 => &'static str;
    /// Renames that were carried out, with their time.
    moves: (&'static str, &'static str, &'static str) => i64;
    /// K1, the ledger: what is known of a location of an account.
    ledger: (u32, &'static str) => Rows;
    /// Locations in state spooled.
    spooled: (u32, &'static str) => ();
    /// K2: mail first recorded with these bytes, per account.
    digests: (Hash, u32) => u64;
    /// K3: mail first recorded with this Message-ID and content, per account.
    contents: (Hash, u32) => u64;
    /// Where raw bytes lie: segment, offset, length. Segment 0 means a row of `raw_rows`.
    raw_places: Hash => (u32, u64, u64);
    /// Small raw mails.
    raw_rows: u64 => Rows;
    /// Committed length of each segment file.
    segments: u32 => u64;
    /// The communication log.
    mails: u64 => Rows;
    /// Quarantined mails that nobody has dealt with.
    quarantine: u64 => ();
    /// Tickets.
    tickets: u64 => Rows;
    /// Ticket of each number.
    numbers: &'static str => u64;
    /// Tickets made on each day (`2026-11-22`, in the desk's time zone).
    days: &'static str => u32;
    /// Articles by ticket and identity.
    articles: (u64, u64) => Rows;
    /// Events by ticket and position.
    events: (u64, u64) => Rows;
    /// Ticket that first had a Message-ID, by the id's hash.
    message_ids: Hash => u64;
    /// Further tickets that have an article with that Message-ID: the same mail in two accounts, or a
    /// forged one.
    further_claims: (Hash, u64) => ();
    /// Ticket of each Message-ID that we sent, by the id's hash.
    sent_ids: Hash => u64;
    /// Locked tickets.
    locked: u64 => ();
    /// Pending tickets by the time they wake up.
    pending: (i64, u64) => ();
    /// Tickets by queue, state and the time of their last change, with what lists filter by.
    places: (&'static str, u8, i64, u64) => Rows;
    /// How many tickets a queue has in a state; a state without tickets has no row.
    place_counts: (&'static str, u8) => u64;
    /// Tickets by the address of their customer, with what each says of him.
    cases: (&'static str, u64) => Rows;
    /// What the search has to read, in the order of writing: ticket and article, or 0 where only
    /// the ticket itself changed.
    unindexed: u64 => (u64, u64);
    /// Bells by person and identity.
    bells: (&'static str, u64) => Rows;
    /// Lines that wait for the digests of users, by user and identity.
    digest_lines: (&'static str, u64) => Rows;
    /// How many lines each of these users would have; only the first are kept.
    digest_counts: &'static str => u64;
    /// Notification mails to users by the hour since 1970 in which they go out.
    notice_hours: (i64, &'static str) => u32;
    /// Those of them who get no more in that hour.
    full_hours: (i64, &'static str) => u32;
    /// Owed mails without their bytes.
    outbox: u64 => Rows;
    /// Their bytes.
    outbox_raw: u64 => Rows;
    /// Those to be tried, by time.
    outbox_due: (i64, u64) => ();
    /// Those to be tried, with the time they were enqueued.
    outbox_waiting: u64 => i64;
    /// Those sent, by time.
    outbox_sent: (i64, u64) => ();
    /// Those given up.
    outbox_dead: u64 => ();
    /// Messages that are owed to webhooks.
    hooks: u64 => Rows;
    /// Those to be sent, by webhook and time.
    hooks_due: (&'static str, i64, u64) => ();
    /// Those sent, by time.
    hooks_sent: (i64, u64) => ();
    /// Those given up.
    hooks_dead: u64 => ();
    /// What requests were answered that must have one effect, by caller and key.
    once: Hash => Rows;
    /// The same by time, for cleaning.
    once_times: (i64, Hash) => ();
    /// Automatic answers by address, time and owed mail.
    answers: (&'static str, i64, u64) => ();
    /// The same by time, for cleaning.
    answer_times: (i64, u64) => &'static str;
    /// How many there were in each minute since 1970, for an hour.
    answer_minutes: i64 => u32;
    /// Revisions that were applied.
    revisions: u64 => Rows;
    /// Texts of their files, by content.
    texts: Hash => Rows;
    /// Secrets that were granted to us while running, such as refresh tokens.
    grants: &'static str => Rows;
    /// Sessions of people on the page, by the hash of what their browser keeps.
    sessions: Hash => Rows;
}

//! Postroom turns mailboxes into a ticket desk and is configured by nothing but YAML.
//!
//! # The path of a mail
//!
//! ```text
//! run::poller      wakes (news, timer, "fetch now"), opens the mailbox, lists it
//! mailbox::fetch   raw bytes of the mails that the ledger does not know
//! store::spool     commit 1: bytes and location are safe before anybody parses
//! core::mail       scan, then parse → Mail                                            pure
//! core::intake     judge(config, account, mail) → Judgement                           pure
//! store::record    commit 2: reads Facts, calls core::intake::settle, writes ticket, article,
//!                  ledger entry, events with their why, and every mail we owe for it
//!                  ← THE INSTANT THAT COUNTS: one fsync for all mails of the batch
//! mailbox::done    delete, move or mark; if we die before this line, the next look finds the
//!                  ledger entry and only repeats this line
//! run::outbox      woken by the commit: transport::send → Attempt → core::outgoing → store
//! ```
//!
//! # The path of an edit
//!
//! ```text
//! config::watch    an event, a signal, a request, a timer: "look again", and nothing more
//! config::load     read all, files → Spec → Config; any error, and what runs stays as it is
//! core::plan       what runs, what should → steps: stop, swap a pointer, start        pure
//! run::supervisor  one slot per task, compared with what is wanted, until they are equal
//! ```
//! A routing-only change is one pointer swap: no connection is touched. A mail in progress
//! finishes under the revision it began with.
//!
//! # What always holds
//!
//! 1. A message a server offered us is at every instant on that server, in the spool, or in a
//!    ticket or quarantine entry. Never in none.
//! 2. The server is told to delete, move or mark only after the commit of the outcome.
//! 3. Each location in a mailbox has at most one outcome, and equal content at most one effect.
//! 4. A ticket, its article, the ledger entry and the owed mails commit together or not at all.
//! 5. A server's answer is believed only if it is complete and positive.
//! 6. One mail, server, account or rule can neither stop nor slow the others.
//! 7. Nothing that arrives by mail changes routing, identity or trust, unless a declared rule or
//!    a declared trusted account says so.
//! 8. What runs is exactly one fully validated revision of the files.
//! 9. Automatic mail never answers automatic mail, and stays under the declared bounds.
//! 10. Secrets are read when used and appear in no log, error, plan, answer or metric.
//!
//! # Rules of direction
//!
//! `core` knows nothing outside itself. `config`, `store`, `mailbox`, `transport` and `oauth` know
//! `core`, never each other. `run` knows them all, `app` knows `run`, `http` and `cli` know `app`.
//! Each outside crate has one door. `tests/it/tidy.rs` says this as a test.
//!
//! The modules below stand in the order in which a newcomer should read them.

pub mod app;
pub mod cli;
pub mod config;
pub mod core;
pub mod faultpoint;
pub mod graph;
pub mod http;
pub mod lint;
pub mod mailbox;
pub mod metrics;
pub mod net;
pub mod oauth;
pub mod openid;
pub mod password;
pub mod private;
pub mod regular;
pub mod run;
pub mod secret;
pub mod store;
pub mod threads;
pub mod transport;

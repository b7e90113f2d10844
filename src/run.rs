//! The only place that starts tasks: what runs, and for how long.
//!
//! Architecture invariant: nothing in here decides what a mail means. Tasks fetch, hand to
//! `core`, hand to the store, and tell the server; each may be stopped at its next safe point.

pub mod backoff;
pub mod board;
pub mod clock;
pub mod clockwork;
pub mod command;
pub mod daemon;
pub mod declared;
pub mod gate;
pub mod intake;
pub mod outbox;
pub mod poller;
pub mod supervisor;
pub mod tokens;
pub mod webhooks;

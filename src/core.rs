//! Pure decisions: what a mail means, what a change of configuration costs, who is told.
//!
//! Architecture invariant: nothing in here reads a clock, a disk, a network, an environment
//! variable or a random source, and nothing starts a task. Time and chance come in as arguments,
//! so that every rule can be tested with literals and replayed years later.

pub mod address;
pub mod ascending;
pub mod authentication;
pub mod auto_subject;
pub mod calendar;
pub mod config;
pub mod control;
pub mod desk;
pub mod digest;
pub mod ending;
pub mod filter;
pub mod fingerprint;
pub mod header;
pub mod intake;
pub mod invisible;
pub mod language;
pub mod mail;
pub mod notify;
pub mod number;
pub mod outgoing;
pub mod own_words;
pub mod permission;
pub mod plan;
pub mod quoting;
pub mod render;
pub mod reply;
pub mod robot;
pub mod route;
pub mod sasl;
pub mod search;
pub mod subject;
pub mod thread;
pub mod ticket;
pub mod webhook;

#[cfg(test)]
pub(crate) mod samples;

//! All integration tests, in one binary.

#![allow(clippy::unwrap_used)]

mod cli;
mod http;
mod intake;
mod mail;
mod metrics;
mod outbox;
mod peers_smtp;
mod sink;
mod store;
mod transport;
mod config;
mod config_watch;
//! Tests of the whole, in one binary.

#![allow(clippy::unwrap_used, missing_docs)]

mod mailbox;
mod peers;
mod peers_mailbox;
mod server;

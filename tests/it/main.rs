//! All integration tests, in one binary.

#![allow(clippy::unwrap_used)]

mod intake;
mod mail;
mod outbox;
mod peers_smtp;
mod sink;
mod store;
mod transport;
//! One binary for all integration tests: it links once and runs them side by side.

mod cli;
mod http;
mod metrics;

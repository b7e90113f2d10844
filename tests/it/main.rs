//! All integration tests, in one binary.

#![allow(clippy::unwrap_used)]

mod outbox;
mod peers_smtp;
mod sink;

mod mail;
mod store;
mod transport;
//! All integration tests in one binary.

#![allow(clippy::unwrap_used)]

mod store;

//! All integration tests, in one binary: it links once and runs them side by side.

#![allow(clippy::unwrap_used, missing_docs)]

mod browser;
mod browser_pages;
mod cli;
mod config;
mod config_watch;
mod crash;
mod daemon;
mod docs;
mod e2e;
mod faults;
mod graph;
mod http;
mod intake;
mod lint;
mod mail;
mod mailbox;
mod metrics;
mod outbox;
mod pages;
mod peers;
mod peers_daemon;
mod peers_mailbox;
mod peers_smtp;
mod process;
mod program;
mod reconcile;
mod review;

mod secrets;
mod server;
mod sink;
mod store;
mod tidy;
mod transport;
mod webhooks;

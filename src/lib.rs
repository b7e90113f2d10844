//! Postroom.

pub mod app;
pub mod cli;
pub mod config;
pub mod core;
pub mod faultpoint;
pub mod http;
pub mod mailbox;
pub mod metrics;
pub mod net;
pub mod run;
pub mod secret;
pub mod store;
pub mod transport;

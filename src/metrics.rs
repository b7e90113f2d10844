//! Every metric: name, help, labels. prometheus is used here and nowhere else.
//!
//! Architecture invariant: no address, subject, ticket number or correspondent's host is ever a
//! label, and the series of a removed object disappear.

/// Every metric of the daemon.
#[derive(Clone, Default)]
pub struct Metrics {}

impl Metrics {
    /// One attempt to send through a server.
    pub fn outbox_attempt(&self, _server: &str, _result: &'static str) {}

    /// Seconds from enqueueing to the server's yes.
    pub fn outbox_delivery_seconds(&self, _seconds: f64) {}

    /// What became of a notification.
    pub fn notification(&self, _event: &str, _result: &'static str) {}

    /// What became of an automatic answer.
    pub fn auto_reply(&self, _kind: &str, _result: &'static str) {}
}

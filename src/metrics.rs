//! Every metric: name, help, labels. prometheus is used here and nowhere else.
//!
//! Architecture invariant: no address, subject, ticket number or correspondent's host is ever a
//! label, and the series of a removed object disappear.

/// Every metric of the daemon.
#[derive(Clone, Default)]
pub struct Metrics {}

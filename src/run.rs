//! The only place that starts tasks.

pub mod board;
pub mod clock;
pub mod outbox;

//! The only place that starts tasks.

pub mod board;

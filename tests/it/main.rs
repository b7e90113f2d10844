//! All integration tests, in one binary.

#![allow(clippy::unwrap_used)]

mod sink;
mod transport;

//! What others ask of the store, one file per subject. Each method is one transaction or one look;
//! how it is done stands in the modules beside this one.

mod bells;
mod digests;
mod hooks;
mod ledger;
mod log;
mod outbox;
mod sessions;
mod tickets;
mod upkeep;

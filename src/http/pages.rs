//! The page for people: server-rendered, in the reader's language, without anything from outside.
//!
//! [`door`] stands before every page and says who reads it; [`layout`] is the frame around every
//! page; [`words`] holds every word, in each language.
//!
//! Architecture invariant: every page works without script; nothing is inline, so that the content
//! policy can refuse whatever a mail smuggles in. What a mail says reaches a page only as text.

pub mod door;
pub mod layout;
pub mod words;

pub mod foreign;

pub mod accounts;
pub mod assets;
pub mod audience;
pub mod configuration;
pub mod customers;
pub mod mail_html;
pub mod mails;
pub mod me;
pub mod notifications;
pub mod oidc;
pub mod outbox;
pub mod plain;
pub mod quarantine;
pub mod sign_in;
pub(in crate::http) mod ticket;
pub mod tickets;

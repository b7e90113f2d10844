//! Separates what an agent wrote from the text of our own notification that their mail quotes.
//!
//! A notification holds what only agents may read: notes, queue names, the keys of subscriptions.
//! An agent who answers it by mail sends it back, in whatever form their mail program quotes:
//! prefixed, re-wrapped, without any mark, above, below or between their own lines. What goes on to
//! the customer must hold none of it, and every word of the agent.
//!
//! The text is compared as a sequence of words (of characters in Chinese and Japanese), without
//! regard to lines, punctuation, width and case, with the passages in [`Known`]. Lines decide what
//! is cut: see [`separate`].
//!
//! Architecture invariant: when in doubt, the result is [`Separated::Not`], and nothing goes out.
//! Time is linear in the text: every word is compared with a bounded number of places.

mod cut;
mod header;
mod known;
mod readable;
mod tokens;

pub use cut::{Separated, separate};
pub use known::{Kind, Known, SLOT};
pub use readable::has_own_text;

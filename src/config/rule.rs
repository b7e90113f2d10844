//! Names of the lint rules that compiling itself finds; `lint` has a table of all.
//!
//! Architecture invariant: a name is never changed once it was released: it stands in comments of
//! other people's files.

/// Mail goes to a queue that is not enabled.
pub const DISABLED_QUEUE: &str = "disabled-queue";
/// A filter that does nothing.
pub const IDLE_FILTER: &str = "idle-filter";
/// A queue that answers without a sender.
pub const NO_SENDER: &str = "no-sender";
/// Certificates are not verified.
pub const INSECURE_TLS: &str = "insecure-tls";
/// TLS settings of a server that does not encrypt.
pub const IDLE_TLS: &str = "idle-tls";
/// A credential is sent without encryption.
pub const CLEARTEXT_LOGIN: &str = "cleartext-login";

//! One mail as we understand it. `parse` never fails: what could not be read is listed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Address;

/// SHA-256 of something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

/// Name of a message within its account that never changes and never means another message: the
/// folder, UIDVALIDITY and UID of IMAP, the UIDL of POP3, the unique name in a Maildir.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location(pub String);

/// A parsed mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// SHA-256 of the raw bytes.
    pub digest: Digest,
    /// SHA-256 of what a person sees (From, Date, Subject, text, attachments), trace headers left out.
    pub content_digest: Digest,
    /// Length of the raw bytes.
    pub raw_bytes: u64,
    /// All header fields in order, names as written, values unfolded and decoded.
    pub headers: Vec<HeaderField>,
    /// Message-ID without angle brackets, or one derived from the digest.
    pub message_id: String,
    /// Whether `message_id` was derived because the mail has none.
    pub message_id_derived: bool,
    /// Ids of In-Reply-To, without angle brackets.
    pub in_reply_to: Vec<String>,
    /// Ids of References in their order, without angle brackets; the last [`REFERENCES_MAX`].
    pub references: Vec<String>,
    /// Header From.
    pub from: Vec<Mailbox>,
    /// Header Sender.
    pub sender: Vec<Mailbox>,
    /// Header Reply-To.
    pub reply_to: Vec<Mailbox>,
    /// Header To.
    pub to: Vec<Mailbox>,
    /// Header Cc.
    pub cc: Vec<Mailbox>,
    /// Header Return-Path: `Some(None)` is the null path `<>`.
    pub return_path: Option<Option<Address>>,
    /// Subject, decoded, at most [`SUBJECT_CHARS_MAX`] characters.
    pub subject: String,
    /// Header Date, if it could be read.
    pub date: Option<Timestamp>,
    /// Text of the body: of the plain part, else made from the HTML part.
    pub text: String,
    /// HTML part, decoded, if there is one.
    pub html: Option<String>,
    /// Everything that is not the text.
    pub attachments: Vec<Attachment>,
    /// What a bounce says, if this is one.
    pub report: Option<Report>,
    /// What was strange.
    pub oddities: Vec<Oddity>,
}

/// References looked at; older ones are cut.
pub const REFERENCES_MAX: usize = 100;
/// Characters of a subject that are kept.
pub const SUBJECT_CHARS_MAX: usize = 1_000;

/// One header field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderField {
    /// Name as written.
    pub name: String,
    /// Value, unfolded and decoded.
    pub value: String,
}

/// A display name with an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// Display name, decoded; may be empty.
    pub name: String,
    /// Address, if what stood there is one.
    pub address: Option<Address>,
}

/// A part that is not the text. Its bytes are read again from the raw mail when wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Position among the attachments; the key for reading it again.
    pub index: u32,
    /// File name as a label only: decoded, without path and control characters.
    pub name: String,
    /// Media type in lower case, such as `application/pdf`.
    pub content_type: String,
    /// Content-ID without angle brackets.
    pub content_id: Option<String>,
    /// Whether the sender wants it shown inside the text.
    pub inline: bool,
    /// Decoded length.
    pub bytes: u64,
}

/// What a delivery status notification (RFC 3464) or its plain-text kin says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it reports.
    pub kind: ReportKind,
    /// Recipients that failed, with the status code and text.
    pub recipients: Vec<ReportedRecipient>,
    /// Message-ID of the mail it is about, if the report shows it.
    pub original_message_id: Option<String>,
    /// Subject of the mail it is about, if the report shows it.
    pub original_subject: Option<String>,
}

/// What a report reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportKind {
    /// Delivery failed for good.
    Failed,
    /// Delivery is late.
    Delayed,
    /// Delivered, relayed or expanded.
    Delivered,
    /// The recipient's program says what became of the mail (RFC 8098).
    Disposition,
}

/// A recipient named in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedRecipient {
    /// The address, if it could be read.
    pub address: Option<Address>,
    /// Enhanced status code (RFC 3463), such as `5.1.1`.
    pub status: String,
    /// The server's words.
    pub diagnostic: String,
}

/// Something strange about a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Oddity {
    /// No Message-ID.
    NoMessageId,
    /// No From, or none that is an address.
    NoFrom,
    /// No Date, or none that can be read.
    NoDate,
    /// A header that must be single stands there twice; the first counts.
    DuplicateHeader,
    /// The charset was unknown or wrong; some characters were guessed or replaced.
    CharsetProblem,
    /// NUL or other control characters were replaced.
    ControlCharacters,
    /// The MIME structure is broken (missing boundary, unterminated part).
    BrokenStructure,
    /// Something was cut because it was too long or too much.
    Truncated,
    /// The mail was larger than the account takes: this is its header only.
    HeadersOnly,
}

/// Why a mail is not parsed at all but quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// MIME parts or enclosed messages are nested too deep.
    TooDeep,
    /// Too many parts.
    TooManyParts,
    /// The header is too large.
    HeaderTooLarge,
}

impl Digest {
    /// SHA-256 of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(bytes).into())
    }

    /// In hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hex()[..16])
    }
}

impl Oddity {
    /// Label for the trace and the API.
    pub fn label(&self) -> &'static str {
        match self {
            Oddity::NoMessageId => "noMessageId",
            Oddity::NoFrom => "noFrom",
            Oddity::NoDate => "noDate",
            Oddity::DuplicateHeader => "duplicateHeader",
            Oddity::CharsetProblem => "charsetProblem",
            Oddity::ControlCharacters => "controlCharacters",
            Oddity::BrokenStructure => "brokenStructure",
            Oddity::Truncated => "truncated",
            Oddity::HeadersOnly => "headersOnly",
        }
    }
}

/// Looks at the raw bytes before parsing: depth, parts and header size. In one pass, without
/// recursion, in memory that does not grow with the mail.
pub fn scan(raw: &[u8]) -> Result<(), Refusal> {
    todo!()
}

/// Reads a mail. Never fails and never panics on a mail that passed [`scan`].
pub fn parse(raw: &[u8]) -> Mail {
    todo!()
}

/// Decoded bytes of one attachment, read again from the raw mail.
pub fn attachment(raw: &[u8], index: u32) -> Option<Vec<u8>> {
    todo!()
}

//! One mail as we understand it. `parse` never fails: what could not be read is listed.
//!
//! A mail is read in three steps: `structure` finds the parts, `body` says which of them are the
//! text, and the rest are attachments. All of it is our own code over byte ranges of the raw
//! mail, with a stack of its own in place of recursion: no mail can overflow the stack. The
//! parser of the crate `mail-parser` recurses, and less than a megabyte of mails within mails
//! ends the process; what we take from it are its tables, of rare charsets and of HTML entities.
//! The other charsets are those of `encoding_rs`.
//!
//! Architecture invariant: no clock, no randomness; the same bytes give the same [`Mail`] for
//! ever. Time and memory are linear in the mail, whatever it says.

mod addresses;
mod attachments;
mod body;
mod charset;
mod cms;
mod code_pages;
mod date;
mod detect;
mod event;
pub mod files;
mod flowed;
mod header;
mod html;
mod iso2022;
mod lines;
mod report;
mod rtf;
mod seven_bit;
mod structure;
mod tnef;
mod transfer;
mod unpack;
mod uuencode;
mod words;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::charset::Hint;
use self::structure::Structure;
use super::address::Address;
use super::config::Language;

/// SHA-256 of something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

/// Name of a message within its account that never changes and never means another message: the
/// folder, UIDVALIDITY and UID of IMAP, the UIDL of POP3, the unique name in a Maildir.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location(pub String);

impl Location {
    /// The number at its end and what stands before it, of those that end in one (IMAP: a UID
    /// behind folder and UIDVALIDITY).
    pub fn numbered(&self) -> Option<(&str, u32)> {
        let (before, number) = self.0.rsplit_once(';')?;
        Some((before, number.parse().ok()?))
    }
}

/// A parsed mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// SHA-256 of the raw bytes.
    pub digest: Digest,
    /// SHA-256 of what a person sees (From, To, Date, Subject, text, HTML, attachments and their
    /// names), trace headers left out.
    pub content_digest: Digest,
    /// The same as version 0.1 took it: without To, HTML and names. Mails are recorded under it.
    pub first_content_digest: Digest,
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
    /// What a reader should know about what is shown.
    pub remarks: Remarks,
}

/// What a reader should know about what is shown of a mail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remarks {
    /// Attachments beyond [`ATTACHMENTS_MAX`], which are only in the raw mail.
    pub attachments_left_out: u32,
    /// The text is longer than [`BODY_BYTES_MAX`]: only its beginning is shown.
    pub text_cut: bool,
    /// The text or a file stood within a signature (S/MIME) that was opened and not verified.
    pub signature_unverified: bool,
}

impl Remarks {
    /// Whether there is nothing to know.
    pub fn is_empty(&self) -> bool {
        *self == Remarks::default()
    }
}

/// References looked at; older ones are cut.
pub const REFERENCES_MAX: usize = 100;
/// Characters of a subject that are kept.
pub const SUBJECT_CHARS_MAX: usize = 1_000;
/// Multiparts and enclosed mails within each other beyond which a mail is refused. Enclosed mails
/// are attachments to us and never opened, but for others they count.
pub const LEVELS_MAX: usize = 1_000;
/// Parts beyond which a mail is refused.
pub const PARTS_MAX: usize = 10_000;
/// Bytes of one header beyond which a mail is refused.
pub const HEADER_REFUSED_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of fields that are kept in [`Mail::headers`]; the fields we act on are read beyond it.
pub const HEADERS_BYTES_MAX: usize = 256 * 1024;
/// Fields that are kept in [`Mail::headers`].
pub const HEADERS_MAX: usize = 2_000;
/// Bytes of one field that are looked at, but for References.
pub const FIELD_BYTES_MAX: usize = 64 * 1024;
/// Attachments that are listed.
pub const ATTACHMENTS_MAX: u32 = 200;
/// Bytes of the raw mail that become its text and HTML.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

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
    /// Recipients that it is about, with the status code and text.
    pub recipients: Vec<ReportedRecipient>,
    /// All addresses that it may mean by recipients: also as they were written first, and those to
    /// which the returned mail was addressed.
    pub addresses: Vec<Address>,
    /// Message-ID of the mail it is about, if the report shows it.
    pub original_message_id: Option<String>,
    /// Subject of the mail it is about, if the report shows it.
    pub original_subject: Option<String>,
    /// Ids anywhere in it that are shaped like those of this desk, the most telling ones first.
    pub ids: Vec<String>,
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
    /// The recipient does not want the mail (RFC 5965).
    Complaint,
}

impl ReportKind {
    /// For the trace.
    pub fn label(self) -> &'static str {
        match self {
            ReportKind::Failed => "failed",
            ReportKind::Delayed => "delayed",
            ReportKind::Delivered => "delivered",
            ReportKind::Disposition => "disposition",
            ReportKind::Complaint => "complaint",
        }
    }
}

/// A recipient named in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedRecipient {
    /// The address, if it could be read.
    pub address: Option<Address>,
    /// What became of the mail to this recipient.
    pub kind: ReportKind,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// MIME parts or enclosed messages are nested too deep.
    #[error("its parts are nested deeper than any mail program nests them")]
    TooDeep,
    /// Too many parts.
    #[error("it has more parts than we read")]
    TooManyParts,
    /// The header is too large.
    #[error("its header is larger than we read")]
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
///
/// 2,000 parts and 300 levels pass and become a ticket; see [`PARTS_MAX`], [`LEVELS_MAX`] and
/// [`HEADER_REFUSED_BYTES`] for what does not.
pub fn scan(raw: &[u8]) -> Result<(), Refusal> {
    structure::scan(raw)
}

/// Reads a mail for a desk without a language of its own; see [`parse_for`].
pub fn parse(raw: &[u8]) -> Mail {
    parse_for(Language::default(), raw)
}

/// Reads a mail. Never fails and never panics.
///
/// The language of the desk decides what bytes mean that come without a charset. A mail that
/// [`scan`] refuses is read as far as the limits go.
pub fn parse_for(language: Language, raw: &[u8]) -> Mail {
    // Our code is meant never to panic. Should a decoder of a library do so on bytes nobody has
    // thought of, the mail still becomes a ticket that shows its source.
    catch_unwind(AssertUnwindSafe(|| read(raw, language))).unwrap_or_else(|_| as_source(raw))
}

/// Decoded bytes of one attachment, read again from the raw mail. First come the parts of the
/// mail, in their order, then what was unpacked from the text and from them.
pub fn attachment(raw: &[u8], index: u32) -> Option<Vec<u8>> {
    let (raw, structure) = structure::read(raw);
    let roles = body::roles(&structure);
    let attached = structure.parts.iter().zip(&roles).filter(|(_, role)| role.is_attachment());
    let mut index = usize::try_from(index).ok()?;
    for (part, _) in attached {
        if index == 0 {
            return Some(part.content.transfer.decode(&raw[part.body.clone()]));
        }
        index -= 1;
    }
    let language = Language::default();
    let text = body::read(&raw, &structure, &roles, language, &mut BTreeSet::new()).text;
    let unpacked = unpack::read(&raw, &structure, &roles, &text, language);
    unpacked.files.into_iter().nth(index).map(|file| file.bytes)
}

fn read(original: &[u8], language: Language) -> Mail {
    let (raw, structure) = structure::read(original);
    let mut mail = empty(original);
    let mut oddities = BTreeSet::new();
    let root = &structure.parts[0];
    let roles = body::roles(&structure);
    let charset = body::charset(&raw, &structure, &roles, language);
    let hint = Hint { charset: charset.as_deref(), language };
    read_header(&mut mail, &raw[root.header.clone()], hint, &mut oddities);
    note_structure(&structure, &mut oddities);
    let body = body::read(&raw, &structure, &roles, language, &mut oddities);
    let mut listed = attachments::list(&raw, &structure, &roles, hint, &mut oddities);
    mail.text = body.text;
    mail.html = body.html;
    mail.report = report::read(&raw, &structure, &mail);
    let mut hashes = listed.hashes.clone();
    // Of these the text shows the beginning only; two mails that differ later are two mails.
    hashes.extend(body.cut.iter().map(|at| Digest::of(&raw[structure.parts[*at].body.clone()])));
    mail.first_content_digest = first_content_digest(&mail, &hashes);
    let first = mail.first_content_digest;
    mail.content_digest = content_digest(first, &mail.to, &body.alternative, &listed.given);
    // What is unpacked follows from what both digests are of.
    let unpacked = unpack::read(&raw, &structure, &roles, &mail.text, language);
    unpacked.files.iter().for_each(|file| listed.add(file, &mut oddities));
    mail.remarks = Remarks {
        attachments_left_out: listed.left_out(),
        text_cut: !body.cut.is_empty(),
        signature_unverified: unpacked.signature_unverified,
    };
    unpacked.show(&mut mail.text, &mut mail.html);
    mail.attachments = listed.attachments;
    mail.oddities = oddities.into_iter().collect();
    mail
}

fn note_structure(structure: &Structure, oddities: &mut BTreeSet<Oddity>) {
    let childless = |part: &structure::Part| part.content.is_multipart() && !part.has_parts;
    if structure.broken || structure.parts.iter().any(childless) {
        oddities.insert(Oddity::BrokenStructure);
    }
}

/// Hex digits of the digest that make a Message-ID for a mail without one.
const DERIVED_ID_DIGITS: usize = 40;
/// Domain of Message-IDs derived for mails without one.
const DERIVED_ID_DOMAIN: &str = "derived.invalid";
/// Domain of Message-IDs that stand for one that is too long.
const LONG_ID_DOMAIN: &str = "long.invalid";

/// Whether this Message-ID was made by us in place of one that is missing or too long. Nobody
/// else knows it.
pub fn stands_in(message_id: &str) -> bool {
    let domain = message_id.rsplit_once('@').map(|(_, domain)| domain);
    matches!(domain, Some(DERIVED_ID_DOMAIN | LONG_ID_DOMAIN))
}

fn empty(raw: &[u8]) -> Mail {
    let digest = Digest::of(raw);
    Mail {
        digest,
        content_digest: digest,
        first_content_digest: digest,
        raw_bytes: raw.len() as u64,
        headers: Vec::new(),
        message_id: format!("{}@{DERIVED_ID_DOMAIN}", &digest.hex()[..DERIVED_ID_DIGITS]),
        message_id_derived: true,
        in_reply_to: Vec::new(),
        references: Vec::new(),
        from: Vec::new(),
        sender: Vec::new(),
        reply_to: Vec::new(),
        to: Vec::new(),
        cc: Vec::new(),
        return_path: None,
        subject: String::new(),
        date: None,
        text: String::new(),
        html: None,
        attachments: Vec::new(),
        report: None,
        oddities: Vec::new(),
        remarks: Remarks::default(),
    }
}

/// The mail as its own source, without anything understood.
fn as_source(raw: &[u8]) -> Mail {
    let shown = &raw[..raw.len().min(BODY_BYTES_MAX)];
    let (text, _) = clean_text(String::from_utf8_lossy(shown).into_owned());
    let oddities =
        vec![Oddity::NoMessageId, Oddity::NoFrom, Oddity::NoDate, Oddity::BrokenStructure];
    Mail { text, oddities, ..empty(raw) }
}

fn read_header(mail: &mut Mail, block: &[u8], hint: Hint<'_>, oddities: &mut BTreeSet<Oddity>) {
    let mut reader = HeaderReader { mail, hint, oddities, seen: BTreeSet::new(), bytes: 0 };
    for field in header::fields(block) {
        reader.keep(&field);
        reader.understand(&field);
    }
    let absent = [
        (mail.message_id_derived, Oddity::NoMessageId),
        (mail.from.iter().all(|from| from.address.is_none()), Oddity::NoFrom),
        (mail.date.is_none(), Oddity::NoDate),
    ];
    oddities.extend(absent.iter().filter(|(absent, _)| *absent).map(|(_, oddity)| *oddity));
}

/// Fields that RFC 5322 section 3.6 allows once. Of several the first counts: it is what most
/// mail programs show, and what a sender can put behind it must not change who wrote. Of
/// [`LIST_FIELDS`] all are read: some programs write one field for each address.
const SINGLE_FIELDS: [&str; 11] = [
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "message-id",
    "in-reply-to",
    "references",
    "subject",
    "date",
    "return-path",
];

/// Lists that go on in the next field of the name.
const LIST_FIELDS: [&str; 3] = ["to", "cc", "references"];

struct HeaderReader<'a> {
    mail: &'a mut Mail,
    hint: Hint<'a>,
    oddities: &'a mut BTreeSet<Oddity>,
    seen: BTreeSet<&'static str>,
    bytes: usize,
}

impl HeaderReader<'_> {
    fn keep(&mut self, field: &header::Field<'_>) {
        self.bytes += field.name.len() + field.folded.len();
        if self.mail.headers.len() >= HEADERS_MAX || self.bytes > HEADERS_BYTES_MAX {
            self.oddities.insert(Oddity::Truncated);
            return;
        }
        let name = String::from_utf8_lossy(field.name).into_owned();
        let value = self.line(field);
        self.mail.headers.push(HeaderField { name, value });
    }

    /// The value decoded, on one line.
    fn line(&mut self, field: &header::Field<'_>) -> String {
        let value = field.value();
        let short = &value[..value.len().min(FIELD_BYTES_MAX)];
        if short.len() < value.len() {
            self.oddities.insert(Oddity::Truncated);
        }
        let decoded = words::decode(short, self.hint);
        let (line, controls) = clean_line(&decoded.text);
        self.note(decoded.problem, Oddity::CharsetProblem);
        self.note(controls, Oddity::ControlCharacters);
        line
    }

    fn note(&mut self, is: bool, oddity: Oddity) {
        if is {
            self.oddities.insert(oddity);
        }
    }

    fn understand(&mut self, field: &header::Field<'_>) {
        let Some(name) = SINGLE_FIELDS.iter().find(|name| field.is(name)) else { return };
        if !self.seen.insert(name) {
            // Every hop may add a Return-Path (RFC 5321 section 4.4).
            self.note(*name != "return-path", Oddity::DuplicateHeader);
            if !LIST_FIELDS.contains(name) {
                return;
            }
        }
        let value = field.value();
        match *name {
            "from" => self.mail.from = self.addresses(&value),
            "sender" => self.mail.sender = self.addresses(&value),
            "reply-to" => self.mail.reply_to = self.addresses(&value),
            "to" => {
                let more = self.addresses(&value);
                let cut = append_addresses(&mut self.mail.to, more);
                self.note(cut, Oddity::Truncated);
            }
            "cc" => {
                let more = self.addresses(&value);
                let cut = append_addresses(&mut self.mail.cc, more);
                self.note(cut, Oddity::Truncated);
            }
            "subject" => self.subject(field),
            "date" => self.mail.date = date::read(&value),
            "return-path" => self.mail.return_path = addresses::path(&value),
            "in-reply-to" => self.mail.in_reply_to = header::in_reply_to(&value),
            "references" => {
                let references = &mut self.mail.references;
                references.extend(header::references(&value));
                references.drain(..references.len().saturating_sub(REFERENCES_MAX));
            }
            "message-id" => {
                if let Some(id) = header::message_id(&value) {
                    self.note(id.contains(char::REPLACEMENT_CHARACTER), Oddity::ControlCharacters);
                    self.mail.message_id = id;
                    self.mail.message_id_derived = false;
                }
            }
            other => unreachable!("{other} is one of SINGLE_FIELDS"),
        }
    }

    fn addresses(&mut self, value: &[u8]) -> Vec<Mailbox> {
        let list = addresses::read(value, self.hint);
        self.note(list.cut, Oddity::Truncated);
        self.note(list.problem, Oddity::CharsetProblem);
        list.mailboxes
    }

    fn subject(&mut self, field: &header::Field<'_>) {
        let line = self.line(field);
        let short: String = line.chars().take(SUBJECT_CHARS_MAX).collect();
        self.note(short.len() < line.len(), Oddity::Truncated);
        self.mail.subject = short;
    }
}

/// Adds the addresses of one more field; `true` if they are too many.
fn append_addresses(all: &mut Vec<Mailbox>, more: Vec<Mailbox>) -> bool {
    all.extend(more);
    let cut = all.len() > addresses::ADDRESSES_MAX;
    all.truncate(addresses::ADDRESSES_MAX);
    cut
}

/// What the digest of the content begins with since there is a second kind of it.
const CONTENT_DIGEST_VERSION: &[u8] = b"2\n";

/// SHA-256 of what a person sees: what the digest of version 0.1 is of, and To, the HTML beside
/// the text, and the names of the attachments. Blanks and line ends do not count, and neither does
/// how anything is encoded: servers that render a mail anew change them.
fn content_digest(first: Digest, to: &[Mailbox], alternative: &str, names: &[String]) -> Digest {
    let mut seen = Vec::with_capacity(alternative.len() + 512);
    seen.extend_from_slice(CONTENT_DIGEST_VERSION);
    seen.extend_from_slice(&first.0);
    for to in to {
        seen.push(b'\n');
        push_words(&mut seen, to.address.as_ref().map_or(to.name.as_str(), Address::as_str));
    }
    // Two line feeds, so that no address is taken for the name of a file.
    seen.push(b'\n');
    for text in names.iter().map(String::as_str).chain([alternative]) {
        seen.push(b'\n');
        push_words(&mut seen, text);
    }
    Digest::of(&seen)
}

/// The digest of version 0.1: of From, Date, Subject, text and attachments.
fn first_content_digest(mail: &Mail, attachments: &[Digest]) -> Digest {
    let mut seen = Vec::with_capacity(mail.text.len() + 256);
    push_content(&mut seen, mail, attachments);
    Digest::of(&seen)
}

fn push_content(seen: &mut Vec<u8>, mail: &Mail, attachments: &[Digest]) {
    for from in &mail.from {
        let who = from.address.as_ref().map_or(from.name.as_str(), Address::as_str);
        push_words(seen, who);
    }
    seen.push(b'\n');
    match mail.date {
        Some(date) => push_words(seen, &date.as_second().to_string()),
        None => {
            let written = mail.headers.iter().find(|f| f.name.eq_ignore_ascii_case("date"));
            push_words(seen, written.map_or("", |field| &field.value));
        }
    }
    seen.push(b'\n');
    push_words(seen, &mail.subject);
    seen.push(b'\n');
    push_words(seen, &mail.text);
    seen.push(b'\n');
    attachments.iter().for_each(|hash| seen.extend_from_slice(&hash.0));
}

fn push_words(seen: &mut Vec<u8>, text: &str) {
    for word in text.split_ascii_whitespace() {
        seen.extend_from_slice(word.as_bytes());
    }
}

/// A text of one line: line breaks and tabs become blanks, other control characters U+FFFD.
/// `true` if there was one that no header may contain.
fn clean_line(text: &str) -> (String, bool) {
    let mut found = false;
    if !text.bytes().any(may_be_control) {
        return (text.to_owned(), found);
    }
    let clean = |c: char| match c {
        '\t' => ' ',
        c if !c.is_control() => c,
        c => {
            found = true;
            if matches!(c, '\r' | '\n') { ' ' } else { char::REPLACEMENT_CHARACTER }
        }
    };
    (text.chars().map(clean).collect(), found)
}

/// A text of many lines: LF alone ends them, control characters become U+FFFD. `true` if there
/// was one.
fn clean_text(text: String) -> (String, bool) {
    let strange = |byte: u8| may_be_control(byte) && !matches!(byte, b'\n' | b'\t');
    let mut found = false;
    let mut clean = String::new();
    let mut rest = text.as_str();
    // Long runs are copied at once; only what may be a control character is looked at.
    while let Some(at) = rest.bytes().position(strange) {
        clean.reserve(rest.len());
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(c) = rest.chars().next() else { break };
        rest = &rest[c.len_utf8()..];
        match c {
            '\r' if rest.starts_with('\n') => {}
            '\r' => clean.push('\n'),
            c if c.is_control() => {
                found = true;
                clean.push(char::REPLACEMENT_CHARACTER);
            }
            c => clean.push(c),
        }
    }
    if clean.is_empty() && rest.len() == text.len() {
        return (text, found);
    }
    clean.push_str(rest);
    (clean, found)
}

/// Whether a control character begins with this byte of UTF-8: C0, DEL, or the first of two that
/// make a C1 control (or a harmless character, such as a no-break space).
fn may_be_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f || byte == 0xc2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_text(text: &str, expected: &str, found: bool) {
        assert_eq!(clean_text(text.to_owned()), (expected.to_owned(), found));
    }

    #[test]
    fn texts() {
        check_text("a\r\nb\rc\n\td\u{a0}é", "a\nb\nc\n\td\u{a0}é", false);
        check_text("a\0b\u{7f}\u{85}", "a\u{fffd}b\u{fffd}\u{fffd}", true);
        check_text("\r\n", "\n", false);
        check_text("", "", false);
    }

    #[test]
    fn lines() {
        assert_eq!(clean_line("a\tb é"), ("a b é".to_owned(), false));
        assert_eq!(clean_line("a\r\nb\0"), ("a  b\u{fffd}".to_owned(), true));
    }

    #[test]
    fn a_mail_that_is_shown_as_its_source() {
        let mail = as_source(b"From: eve@x.test\r\n\r\nhello");
        assert_eq!(mail.text, "From: eve@x.test\n\nhello");
        assert!(mail.message_id_derived && mail.oddities.contains(&Oddity::BrokenStructure));
    }

    #[test]
    fn anything_at_all_is_a_mail() {
        for raw in [
            &b""[..],
            b"\n",
            b"\r",
            b":",
            b"\0",
            b"From ",
            b"\xff",
            b"--",
            b"Content-Type: multipart/mixed",
        ] {
            assert_eq!(scan(raw), Ok(()));
            assert_eq!(parse(raw).raw_bytes, raw.len() as u64);
            assert_eq!(attachment(raw, 5), None);
        }
    }

    const WITH_HTML: &str = "From: eve@customer.example\nTo: desk@desk.example\nMessage-ID: <a@b>\n\
        Content-Type: multipart/mixed; boundary=m\n\n--m\n\
        Content-Type: multipart/alternative; boundary=a\n\n--a\n\nThe lift is stuck.\n--a\n\
        Content-Type: text/html\n\n<p>The lift is stuck.</p>\n--a--\n--m\n\
        Content-Type: application/pdf; name=plan.pdf\n\n%PDF\n--m--\n";

    #[test]
    fn recipients_html_and_names_make_another_content() {
        let read = |raw: &str| parse(raw.as_bytes());
        let one = read(WITH_HTML);
        for (from, to) in [
            ("To: desk@", "To: sales@"),
            ("<p>The lift is stuck.", "<p>The lift is free."),
            ("plan.pdf", "map.pdf"),
        ] {
            let other = read(&WITH_HTML.replace(from, to));
            assert_ne!(one.content_digest, other.content_digest, "{to}");
            assert_eq!(one.first_content_digest, other.first_content_digest, "{to}");
        }
        // A server may write the same page in another way.
        let again = read(&WITH_HTML.replace("<p>", "<P  CLASS=x>\n"));
        assert_eq!(one.content_digest, again.content_digest);
    }

    #[test]
    fn lists_go_on_in_a_second_field() {
        let mail = parse(
            b"From: a@x.example\nFrom: b@x.example\nTo: c@x.example\nTo: d@x.example\n\
              Cc: e@x.example\nCc: f@x.example\nReferences: <1@x>\nReferences: <2@x>\n\nhello\n",
        );
        let of = |list: &[Mailbox]| -> Vec<String> {
            list.iter().filter_map(|one| one.address.as_ref()).map(Address::to_string).collect()
        };
        assert_eq!(of(&mail.from), ["a@x.example"]);
        assert_eq!(of(&mail.to), ["c@x.example", "d@x.example"]);
        assert_eq!(of(&mail.cc), ["e@x.example", "f@x.example"]);
        assert_eq!(mail.references, ["1@x", "2@x"]);
        assert!(mail.oddities.contains(&Oddity::DuplicateHeader));
    }

    #[test]
    fn text_below_300_levels_is_found() {
        let levels: String = (0..300)
            .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n"))
            .collect();
        let mail = parse(format!("From: a@x.example\n{levels}\nat the bottom\n").as_bytes());
        assert_eq!((mail.text.trim(), mail.attachments.len()), ("at the bottom", 0));
    }

    #[test]
    fn attachments_beyond_the_limit_are_counted() {
        let part = "--b\nContent-Type: image/png; name=a.png\n\nx\n";
        let head = "From: a@x.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n";
        let mail = parse(format!("{head}{}--b--\n", part.repeat(2_000)).as_bytes());
        assert_eq!((mail.attachments.len(), mail.remarks.attachments_left_out), (200, 1_800));
    }

    #[test]
    fn unlabelled_file_names_follow_the_text() {
        let mail = parse(
            b"From: a@x.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\
              Content-Type: text/plain; charset=gb2312\n\n\xc4\xfa\xba\xc3\n--b\n\
              Content-Type: application/pdf; name=\"\xb6\xa9\xb5\xa5.pdf\"\n\n%PDF\n--b--\n",
        );
        assert_eq!(mail.attachments[0].name, "订单.pdf");
    }
}

//! What stands within an attachment or in the text: `winmail.dat` of Outlook (TNEF), what an
//! opaque S/MIME signature covers, uuencoded files, appointments.
//!
//! The packed part stays an attachment itself; what is found in it comes behind all parts of the
//! mail, so that the number of a part never depends on what is unpacked.
//!
//! Architecture invariant: nothing is opened deeper than [`LEVELS_MAX`] within each other, and what
//! is found is never larger than what it was found in, but for the text of RTF, which has a limit
//! of its own.

use std::collections::BTreeSet;

use super::body::{self, Role};
use super::charset::{self, Hint};
use super::structure::{self, Part, Structure};
use super::{ATTACHMENTS_MAX, attachments, clean_text, cms, event, tnef, uuencode};
use crate::core::config::Language;

/// Packed parts within each other that are opened: a signed winmail.dat takes two.
const LEVELS_MAX: u8 = 3;
/// Appointments of one mail that are summed up.
const EVENTS_MAX: usize = 5;
/// Bytes of a calendar part that are looked at.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// A file that was unpacked.
#[derive(Debug, Default)]
pub struct File {
    /// Its name, as it stood there.
    pub name: Option<String>,
    /// Media type in lower case.
    pub kind: String,
    /// Content-ID without angle brackets.
    pub id: Option<String>,
    /// Charset of its text, as named there.
    pub charset: Option<String>,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// The files, in the order in which they are numbered.
    pub files: Vec<File>,
    /// Parts that were opened, by their place in the structure.
    pub opened: Vec<usize>,
    /// A signature was opened, and nobody verified it.
    pub signature_unverified: bool,
    /// Text that belongs to the mail: what was signed.
    text: String,
    html: Option<String>,
    /// Text that says again what a mail's own text says, and is shown if it has none.
    spare_text: String,
    spare_html: Option<String>,
    /// The text without the files that stood in it.
    remaining: Option<String>,
    /// What the appointments are.
    events: Vec<String>,
    /// The text is the source of an appointment.
    text_is_event: bool,
}

/// Looks into the text and the attachments of a mail.
pub fn read(
    raw: &[u8],
    structure: &Structure,
    roles: &[Role],
    text: &str,
    language: Language,
) -> Unpacked {
    read_level(raw, structure, roles, text, language, 0)
}

fn read_level(
    raw: &[u8],
    structure: &Structure,
    roles: &[Role],
    text: &str,
    language: Language,
    level: u8,
) -> Unpacked {
    let mut unpacked = Unpacked::default();
    unpacked.take_files_from(text);
    let attached = structure.parts.iter().enumerate().filter(|(at, _)| roles[*at].is_attachment());
    for (at, part) in attached {
        let Some(packed) = Packed::of(part) else { continue };
        let body = &raw[part.body.clone()];
        let found = match packed {
            Packed::Event => {
                unpacked.add_event(part, body, language);
                unpacked.text_is_event |= at == 0 && !unpacked.events.is_empty();
                continue;
            }
            Packed::Tnef | Packed::Signed if level == LEVELS_MAX => continue,
            Packed::Tnef => winmail(&part.content.transfer.decode(body), language),
            Packed::Signed => signed(&part.content.transfer.decode(body), language, level),
        };
        if let Some(found) = found {
            unpacked.opened.push(at);
            unpacked.merge(found);
        }
    }
    unpacked
}

/// How something is packed.
enum Packed {
    Tnef,
    Signed,
    Event,
}

impl Packed {
    fn of(part: &Part) -> Option<Packed> {
        let content = &part.content;
        match content.kind.as_str() {
            "application/ms-tnef" | "application/vnd.ms-tnef" => Some(Packed::Tnef),
            "application/pkcs7-mime" | "application/x-pkcs7-mime" => Some(Packed::Signed),
            "text/calendar" | "application/ics" => Some(Packed::Event),
            "application/octet-stream" => {
                let name = content.disposition_parameters.text("filename", Hint::default());
                let name = name.or_else(|| content.parameters.text("name", Hint::default()))?;
                match name.text.trim().to_ascii_lowercase().as_str() {
                    "winmail.dat" | "win.dat" => Some(Packed::Tnef),
                    "smime.p7m" => Some(Packed::Signed),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// The mail within a TNEF stream; `None` if it is none.
fn winmail(stream: &[u8], language: Language) -> Option<Unpacked> {
    let message = tnef::read(stream)?;
    let mut unpacked = Unpacked::default();
    unpacked.spare_html = message.html.map(|page| {
        let declared = super::html::declared_charset(&page);
        let label = declared.or(message.charset.clone());
        clean_text(charset::decode(&page, label.as_deref(), language).text).0
    });
    unpacked.spare_text = match (message.text, &unpacked.spare_html) {
        (Some(text), _) if !text.trim().is_empty() => clean_text(text).0,
        (_, Some(page)) => clean_text(super::html::to_text(page)).0,
        (_, None) => String::new(),
    };
    unpacked.files = message.files;
    Some(unpacked)
}

/// The mail that a CMS signature covers; `None` if there is none to be read.
fn signed(cms: &[u8], language: Language, level: u8) -> Option<Unpacked> {
    let entity = cms::signed_content(cms)?;
    let (raw, structure) = structure::read(&entity);
    let roles = body::roles(&structure);
    let mut oddities = BTreeSet::new();
    let body = body::read(&raw, &structure, &roles, language, &mut oddities);
    let charset = body::charset(&raw, &structure, &roles, language);
    let hint = Hint { charset: charset.as_deref(), language };
    let attached = structure.parts.iter().zip(&roles).filter(|(_, role)| role.is_attachment());
    let files = attached.take(ATTACHMENTS_MAX as usize).map(|(part, _)| File {
        name: attachments::given_name(&raw, part, hint, &mut oddities),
        kind: part.content.kind.clone(),
        id: part.content.id.clone(),
        charset: part.content.charset().map(|label| label.into_owned()),
        bytes: part.content.transfer.decode(&raw[part.body.clone()]),
    });
    let mut unpacked = Unpacked { files: files.collect(), ..Unpacked::default() };
    unpacked.signature_unverified = true;
    let inner = read_level(&raw, &structure, &roles, &body.text, language, level + 1);
    (unpacked.text, unpacked.html) = (body.text, body.html);
    inner.show(&mut unpacked.text, &mut unpacked.html);
    unpacked.files.extend(inner.files);
    Some(unpacked)
}

impl Unpacked {
    /// Uuencoded files out of the text.
    fn take_files_from(&mut self, text: &str) {
        let found = uuencode::find(text, ATTACHMENTS_MAX as usize);
        if found.is_empty() {
            return;
        }
        let mut remaining = String::with_capacity(text.len());
        let mut at = 0;
        for file in found {
            remaining.push_str(&text[at..file.place.start]);
            at = file.place.end;
            self.files.push(File {
                name: Some(file.name),
                kind: "application/octet-stream".to_owned(),
                bytes: file.bytes,
                ..File::default()
            });
        }
        remaining.push_str(&text[at..]);
        self.remaining = Some(remaining);
    }

    fn add_event(&mut self, part: &Part, body: &[u8], language: Language) {
        if self.events.len() == EVENTS_MAX {
            return;
        }
        let body = &body[..body.len().min(EVENT_BYTES_MAX)];
        let bytes = part.content.transfer.decode(body);
        // RFC 5545 section 3.1.4: UTF-8 where no charset is named.
        let label = part.content.charset();
        let source = clean_text(charset::decode(&bytes, label.as_deref(), language).text).0;
        // The same appointment often comes as a part and as a file.
        let summary = event::summary(&source, language).filter(|it| !self.events.contains(it));
        self.events.extend(summary);
    }

    fn merge(&mut self, found: Unpacked) {
        self.files.extend(found.files);
        self.signature_unverified |= found.signature_unverified;
        body::append(&mut self.text, &found.text, "\n");
        self.html = self.html.take().or(found.html);
        if self.spare_text.is_empty() {
            self.spare_text = found.spare_text;
        }
        self.spare_html = self.spare_html.take().or(found.spare_html);
    }

    /// Puts what was found into the text of the mail.
    pub fn show(&self, text: &mut String, html: &mut Option<String>) {
        if let Some(remaining) = &self.remaining {
            text.clone_from(remaining);
        }
        if self.text_is_event {
            text.clear();
        }
        if text.trim().is_empty() {
            text.clone_from(&self.text);
        } else {
            body::append(text, &self.text, "\n");
        }
        if html.is_none() {
            html.clone_from(&self.html);
        }
        if text.trim().is_empty() && !self.spare_text.trim().is_empty() {
            text.clone_from(&self.spare_text);
            if html.is_none() {
                html.clone_from(&self.spare_html);
            }
        }
        for event in &self.events {
            body::append(text, event, "\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::super::{Mail, attachment, files, parse};
    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }

    fn mail(kind: &str, packed: &[u8]) -> Vec<u8> {
        let fields = "Content-Transfer-Encoding: base64\nContent-Disposition: attachment";
        let head = "From: eve@customer.example\nSubject: lift";
        format!("{head}\nContent-Type: {kind}\n{fields}\n\n{}\n", encoded(packed)).into_bytes()
    }

    /// An element of DER with a length of four bytes.
    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).expect("short").to_be_bytes();
        [&[tag, 0x84], &length[..], content].concat()
    }

    fn signature_over(entity: &[u8]) -> Vec<u8> {
        let kind = |last: u8| element(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, last]);
        let content = [kind(1), element(0xa0, &element(0x04, entity))].concat();
        let signed = [element(0x02, &[1]), element(0x31, &[]), element(0x30, &content)].concat();
        element(0x30, &[kind(2), element(0xa0, &element(0x30, &signed))].concat())
    }

    fn winmail_with(name: &str) -> Vec<u8> {
        let attribute = |level: u8, name: u32, data: &[u8]| {
            let length = u32::try_from(data.len()).expect("short").to_le_bytes();
            [&[level], &name.to_le_bytes()[..], &length, data, &[0, 0]].concat()
        };
        let stream = [
            attribute(1, 0x0002_800c, b"The lift is stuck.\0"),
            attribute(2, 0x0006_9002, &[0; 14]),
            attribute(2, 0x0001_8010, format!("{name}\0").as_bytes()),
            attribute(2, 0x0006_800f, b"%PDF"),
        ];
        [&0x223e_9f78_u32.to_le_bytes()[..], &[1, 0], &stream.concat()].concat()
    }

    fn names(mail: &Mail) -> Vec<&str> {
        mail.attachments.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn winmail_is_unpacked_and_kept() {
        let raw = mail("application/ms-tnef; name=winmail.dat", &winmail_with("plan.pdf"));
        let read = parse(&raw);
        assert_eq!(read.text, "The lift is stuck.");
        assert_eq!(names(&read), ["winmail.dat", "plan.pdf"]);
        assert_eq!(attachment(&raw, 1).as_deref(), Some(&b"%PDF"[..]));
        // Only what was unpacked goes on with an agent's mail.
        assert_eq!(files::take(&raw).iter().map(|file| file.index).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn opaque_signature_is_opened_and_not_verified() {
        let entity = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nThe lift is stuck.\r\n\
                      --b\r\nContent-Type: application/pdf; name=plan.pdf\r\n\r\n%PDF\r\n--b--\r\n";
        let kind = "application/pkcs7-mime; smime-type=signed-data; name=smime.p7m";
        let raw = mail(kind, &signature_over(entity.as_bytes()));
        let read = parse(&raw);
        assert_eq!(
            (read.text.as_str(), names(&read)),
            ("The lift is stuck.", vec!["smime.p7m", "plan.pdf"])
        );
        assert!(read.remarks.signature_unverified);
        assert_eq!(attachment(&raw, 1).as_deref(), Some(&b"%PDF"[..]));
    }

    #[test]
    fn signatures_within_signatures_are_opened_to_a_limit() {
        let mut packed = signature_over(b"\r\nThe lift is stuck.\r\n");
        for level in 1..6 {
            let kind = "application/pkcs7-mime; name=smime.p7m";
            let raw = mail(kind, &packed);
            let read = parse(&raw);
            let opened = read.text.trim() == "The lift is stuck.";
            assert_eq!(opened, level <= LEVELS_MAX, "level {level}");
            for one in &read.attachments {
                let bytes = attachment(&raw, one.index).expect("it was listed");
                assert_eq!(bytes.len() as u64, one.bytes);
            }
            packed = signature_over(&raw);
        }
    }

    #[test]
    fn what_cannot_be_opened_stays_an_attachment() {
        for kind in
            ["application/ms-tnef; name=winmail.dat", "application/pkcs7-mime; name=smime.p7m"]
        {
            let raw = mail(kind, b"neither of them");
            let read = parse(&raw);
            assert_eq!((read.text.as_str(), read.attachments.len()), ("", 1));
            assert_eq!(files::take(&raw).len(), 1);
        }
    }

    #[test]
    fn uuencoded_files_leave_the_text() {
        let raw =
            b"From: a@x.example\n\nSee the plan.\n\nbegin 644 plan.pdf\n$)5!$1@``\n`\nend\nBye\n";
        let read = parse(raw);
        assert_eq!(
            (read.text.as_str(), names(&read)),
            ("See the plan.\n\nBye\n", vec!["plan.pdf"])
        );
        assert_eq!(attachment(raw, 0).as_deref(), Some(&b"%PDF"[..]));
    }

    #[test]
    fn an_appointment_is_summed_up() {
        let event = "BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nSUMMARY:Lift inspection\nEND:VEVENT\nEND:VCALENDAR\n";
        let read = parse(&mail("text/calendar; name=invite.ics", event.as_bytes()));
        assert_eq!(
            (read.text.as_str(), names(&read)),
            ("Appointment (invitation): Lift inspection\n", vec!["invite.ics"])
        );
    }
}

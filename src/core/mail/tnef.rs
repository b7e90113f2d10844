//! `winmail.dat`: a mail of Outlook in the Transport Neutral Encapsulation Format ([MS-OXTNEF]).
//!
//! Read are the text in the forms that Outlook writes it, and the attached files with their names;
//! the mail itself says everything else.
//!
//! Architecture invariant: every length is checked against what is there; one that lies ends the
//! reading and what was found before it is kept. A mail within the mail is opened to a limit.

use super::ATTACHMENTS_MAX;
use super::charset;
use super::rtf;
use super::unpack::File;
use crate::core::config::Language;

/// What a stream begins with, followed by a key of two bytes.
const SIGNATURE: [u8; 4] = 0x223e_9f78_u32.to_le_bytes();
/// Mails within mails that are opened.
const LEVELS_MAX: u8 = 3;
/// Properties of one list that are looked at.
const PROPERTIES_MAX: u32 = 10_000;

// Attributes ([MS-OXTNEF] section 2.1.3.3).
const BODY: u32 = 0x0002_800c;
const CODE_PAGE: u32 = 0x0006_9007;
const MESSAGE_PROPERTIES: u32 = 0x0006_9003;
const ATTACH_BEGINS: u32 = 0x0006_9002;
const ATTACH_DATA: u32 = 0x0006_800f;
const ATTACH_TITLE: u32 = 0x0001_8010;
const ATTACH_PROPERTIES: u32 = 0x0006_9005;

// Properties ([MS-OXPROPS]).
const PLAIN_BODY: u16 = 0x1000;
const RTF_COMPRESSED: u16 = 0x1009;
const HTML_BODY: u16 = 0x1013;
const ATTACH_DATA_OBJECT: u16 = 0x3701;
const ATTACH_FILENAME: u16 = 0x3704;
const ATTACH_LONG_FILENAME: u16 = 0x3707;
const ATTACH_MIME_TAG: u16 = 0x370e;
const ATTACH_CONTENT_ID: u16 = 0x3712;
const DISPLAY_NAME: u16 = 0x3001;
const INTERNET_CODE_PAGE: u16 = 0x3fde;

// Types of properties ([MS-OXCDATA] section 2.11.1).
const TYPE_LONG: u16 = 0x0003;
const TYPE_OBJECT: u16 = 0x000d;
const TYPE_STRING: u16 = 0x001e;
const TYPE_UNICODE: u16 = 0x001f;
const TYPE_BINARY: u16 = 0x0102;
const MANY_VALUES: u16 = 0x1000;

/// A mail as the stream tells it.
#[derive(Debug, Default)]
pub struct Message {
    /// Its text.
    pub text: Option<String>,
    /// Its HTML, as bytes of [`Message::charset`].
    pub html: Option<Vec<u8>>,
    /// Charset of what is not in Unicode.
    pub charset: Option<String>,
    /// Attached files, those of mails within it behind them.
    pub files: Vec<File>,
}

/// Reads a stream; `None` if it is none.
pub fn read(stream: &[u8]) -> Option<Message> {
    read_level(stream, 0)
}

fn read_level(stream: &[u8], level: u8) -> Option<Message> {
    let rest = stream.strip_prefix(&SIGNATURE)?.get(2..)?;
    let mut reader = Reader::default();
    let mut input = Input(rest);
    while let Some((attribute, data)) = input.attribute() {
        reader.take(attribute, data, level);
    }
    Some(reader.finish())
}

/// Bytes that are still to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn short(&mut self) -> Option<u16> {
        self.bytes(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn long(&mut self) -> Option<u32> {
        self.bytes(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn length(&mut self) -> Option<usize> {
        self.long().and_then(|length| usize::try_from(length).ok())
    }

    /// Level, name, length, data, checksum. Of one that was cut, what is there.
    fn attribute(&mut self) -> Option<(u32, &'a [u8])> {
        self.bytes(1)?;
        let name = self.long()?;
        let length = self.length()?;
        let data = self.bytes(length.min(self.0.len()))?;
        // The checksum is not looked at: what is wrong shows in the content.
        self.bytes(2.min(self.0.len()))?;
        Some((name, data))
    }

    /// A value of many bytes, padded to four.
    fn padded(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        let value = self.bytes(length)?;
        let padding = length.next_multiple_of(4) - length;
        self.bytes(padding.min(self.0.len()))?;
        Some(value)
    }

    /// The next property of a list ([MS-OXTNEF] section 2.1.3.4): its id, its type, its first
    /// value.
    fn property(&mut self) -> Option<(u16, u16, &'a [u8])> {
        let kind = self.short()?;
        let id = self.short()?;
        if id >= 0x8000 {
            // One that is known by a name of its own.
            self.bytes(16)?;
            match self.long()? {
                0 => {
                    self.long()?;
                }
                _ => {
                    self.padded()?;
                }
            }
        }
        let plain = kind & !MANY_VALUES;
        let variable = matches!(plain, TYPE_STRING | TYPE_UNICODE | TYPE_BINARY | TYPE_OBJECT);
        let counted = variable || kind & MANY_VALUES != 0;
        let count = if counted { self.long()? } else { 1 };
        let mut first = None;
        for _ in 0..count {
            let value = match plain {
                _ if variable => self.padded()?,
                0x0005..=0x0007 | 0x0014 | 0x0040 => self.bytes(8)?,
                0x0048 => self.bytes(16)?,
                _ => self.bytes(4)?,
            };
            first = first.or(Some(value));
        }
        Some((id, plain, first.unwrap_or_default()))
    }
}

#[derive(Default)]
struct Reader {
    message: Message,
    code_page: Option<u32>,
    internet_code_page: Option<u32>,
    body: Vec<u8>,
    plain: Option<String>,
    rtf: Option<String>,
    file: Option<Attached>,
}

/// A file while it is read.
#[derive(Default)]
struct Attached {
    title: Option<Vec<u8>>,
    name: Option<String>,
    long_name: Option<String>,
    kind: Option<String>,
    id: Option<String>,
    data: Vec<u8>,
    /// Files of a mail that stands in this one's place.
    inner: Vec<File>,
}

impl Reader {
    fn take(&mut self, attribute: u32, data: &[u8], level: u8) {
        match attribute {
            CODE_PAGE => self.code_page = Input(data).long(),
            BODY => self.body = data.to_vec(),
            MESSAGE_PROPERTIES => self.message_properties(data),
            ATTACH_BEGINS => {
                self.end_file();
                if self.message.files.len() < ATTACHMENTS_MAX as usize {
                    self.file = Some(Attached::default());
                }
            }
            ATTACH_DATA => {
                if let Some(file) = &mut self.file {
                    file.data = data.to_vec();
                }
            }
            ATTACH_TITLE => {
                if let Some(file) = &mut self.file {
                    file.title = Some(data.to_vec());
                }
            }
            ATTACH_PROPERTIES => self.file_properties(data, level),
            _ => {}
        }
    }

    fn message_properties(&mut self, data: &[u8]) {
        let mut input = Input(data);
        let count = input.long().unwrap_or(0).min(PROPERTIES_MAX);
        for _ in 0..count {
            let Some((id, kind, value)) = input.property() else { return };
            match (id, kind) {
                (INTERNET_CODE_PAGE, TYPE_LONG) => self.internet_code_page = Input(value).long(),
                (PLAIN_BODY, _) => self.plain = self.string(kind, value),
                (HTML_BODY, _) => self.message.html = Some(value.to_vec()),
                (RTF_COMPRESSED, TYPE_BINARY) => self.rtf = rtf::text_of_compressed(value),
                _ => {}
            }
        }
    }

    fn file_properties(&mut self, data: &[u8], level: u8) {
        let Some(mut file) = self.file.take() else { return };
        let mut input = Input(data);
        let count = input.long().unwrap_or(0).min(PROPERTIES_MAX);
        for _ in 0..count {
            let Some((id, kind, value)) = input.property() else { break };
            match id {
                ATTACH_LONG_FILENAME => file.long_name = self.string(kind, value),
                ATTACH_FILENAME => file.name = self.string(kind, value),
                DISPLAY_NAME if file.name.is_none() => file.name = self.string(kind, value),
                ATTACH_MIME_TAG => file.kind = self.string(kind, value),
                ATTACH_CONTENT_ID => file.id = self.string(kind, value),
                // An identifier of 16 bytes stands in front of the mail.
                ATTACH_DATA_OBJECT if level < LEVELS_MAX => {
                    let inner = value.get(16..).and_then(|inner| read_level(inner, level + 1));
                    file.inner = inner.map(Message::into_files).unwrap_or_default();
                }
                _ => {}
            }
        }
        self.file = Some(file);
    }

    fn charset(&self) -> Option<String> {
        let page = self.internet_code_page.or(self.code_page)?;
        Some(match page {
            65001 => "utf-8".to_owned(),
            20127 => "us-ascii".to_owned(),
            28591..=28605 => format!("iso-8859-{}", page - 28590),
            20866 => "koi8-r".to_owned(),
            50220..=50222 => "iso-2022-jp".to_owned(),
            51932 => "euc-jp".to_owned(),
            54936 => "gb18030".to_owned(),
            1250..=1258 => format!("windows-{page}"),
            page => format!("cp{page}"),
        })
    }

    fn string(&self, kind: u16, value: &[u8]) -> Option<String> {
        let label = match kind {
            TYPE_UNICODE => Some("utf-16le".to_owned()),
            TYPE_STRING => self.charset(),
            _ => return None,
        };
        Some(text(value, label.as_deref()))
    }

    fn end_file(&mut self) {
        let Some(file) = self.file.take() else { return };
        let title = file.title.map(|title| text(&title, self.charset().as_deref()));
        let name = file.long_name.or(title).or(file.name).filter(|name| !name.trim().is_empty());
        let kind =
            file.kind.map(|kind| kind.trim().to_ascii_lowercase()).filter(|kind| is_type(kind));
        if !file.data.is_empty() || file.inner.is_empty() {
            self.message.files.push(File {
                name,
                kind: kind.unwrap_or_else(|| "application/octet-stream".to_owned()),
                id: file.id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()),
                charset: None,
                bytes: file.data,
            });
        }
        self.message.files.extend(file.inner);
    }

    fn finish(mut self) -> Message {
        self.end_file();
        let charset = self.charset();
        let body = text(&self.body, charset.as_deref());
        let said = |text: &String| !text.trim().is_empty();
        self.message.text = self.plain.filter(said).or(Some(body).filter(said)).or(self.rtf);
        self.message.charset = charset;
        self.message.files.truncate(ATTACHMENTS_MAX as usize);
        self.message
    }
}

impl Message {
    /// A mail within a mail as files: its text, and what is attached to it.
    fn into_files(self) -> Vec<File> {
        let text = self.text.filter(|text| !text.trim().is_empty()).map(|text| File {
            name: Some("message.txt".to_owned()),
            kind: "text/plain".to_owned(),
            charset: Some("utf-8".to_owned()),
            bytes: text.into_bytes(),
            ..File::default()
        });
        text.into_iter().chain(self.files).collect()
    }
}

/// Text up to its terminating zero.
fn text(bytes: &[u8], label: Option<&str>) -> String {
    let decoded = charset::decode(bytes, label, Language::default()).text;
    decoded.split('\0').next().unwrap_or_default().to_owned()
}

/// Whether this may be shown and sent as a media type.
fn is_type(kind: &str) -> bool {
    let token = |side: &str| {
        !side.is_empty()
            && side.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    kind.len() <= 255 && kind.split_once('/').is_some_and(|(a, b)| token(a) && token(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(level: u8, name: u32, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).expect("short").to_le_bytes();
        [&[level][..], &name.to_le_bytes(), &length, data, &[0, 0]].concat()
    }

    fn property(id: u16, kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u32::try_from(value.len()).expect("short").to_le_bytes();
        let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
        [&kind.to_le_bytes()[..], &id.to_le_bytes(), &1_u32.to_le_bytes(), &length, value, &padding]
            .concat()
    }

    fn stream(attributes: &[Vec<u8>]) -> Vec<u8> {
        [&SIGNATURE[..], &[1, 0], &attributes.concat()].concat()
    }

    fn list(properties: &[Vec<u8>]) -> Vec<u8> {
        let count = u32::try_from(properties.len()).expect("few").to_le_bytes();
        [&count[..], &properties.concat()].concat()
    }

    fn unicode(text: &str) -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }

    fn mail() -> Vec<u8> {
        let long_name = list(&[
            property(ATTACH_LONG_FILENAME, TYPE_UNICODE, &unicode("Größe.pdf")),
            property(ATTACH_MIME_TAG, TYPE_STRING, b"application/pdf\0"),
        ]);
        stream(&[
            attribute(1, CODE_PAGE, &1252_u32.to_le_bytes()),
            attribute(1, BODY, b"Gr\xfc\xdfe\0"),
            attribute(2, ATTACH_BEGINS, &[0; 14]),
            attribute(2, ATTACH_TITLE, b"GROESS~1.PDF\0"),
            attribute(2, ATTACH_DATA, b"%PDF"),
            attribute(2, ATTACH_PROPERTIES, &long_name),
            attribute(2, ATTACH_BEGINS, &[0; 14]),
            attribute(2, ATTACH_TITLE, b"b.txt\0"),
            attribute(2, ATTACH_DATA, b"b"),
        ])
    }

    #[test]
    fn text_and_files() {
        let message = read(&mail()).expect("a stream");
        assert_eq!(message.text.as_deref(), Some("Grüße"));
        let [pdf, txt] = message.files.as_slice() else { panic!("two files") };
        assert_eq!(
            (pdf.name.as_deref(), pdf.kind.as_str(), pdf.bytes.as_slice()),
            (Some("Größe.pdf"), "application/pdf", &b"%PDF"[..])
        );
        assert_eq!(
            (txt.name.as_deref(), txt.kind.as_str()),
            (Some("b.txt"), "application/octet-stream")
        );
    }

    #[test]
    fn the_text_of_unicode_properties() {
        let named = [
            &TYPE_LONG.to_le_bytes()[..],
            &0x8001_u16.to_le_bytes(),
            &[0; 16],
            &0_u32.to_le_bytes(),
            &7_u32.to_le_bytes(),
            &9_u32.to_le_bytes(),
        ]
        .concat();
        let properties = list(&[named, property(PLAIN_BODY, TYPE_UNICODE, &unicode("日本語"))]);
        let message =
            read(&stream(&[attribute(1, MESSAGE_PROPERTIES, &properties)])).expect("a stream");
        assert_eq!(message.text.as_deref(), Some("日本語"));
    }

    #[test]
    fn a_mail_within_the_mail() {
        let within = |inner: Vec<u8>| {
            let object = [vec![0; 16], inner].concat();
            stream(&[
                attribute(2, ATTACH_BEGINS, &[0; 14]),
                attribute(
                    2,
                    ATTACH_PROPERTIES,
                    &list(&[property(ATTACH_DATA_OBJECT, TYPE_OBJECT, &object)]),
                ),
            ])
        };
        let names = |stream: &[u8]| -> Vec<String> {
            read(stream)
                .expect("a stream")
                .files
                .iter()
                .filter_map(|file| file.name.clone())
                .collect()
        };
        assert_eq!(names(&within(mail())), ["message.txt", "Größe.pdf", "b.txt"]);
        let mut deep = mail();
        for _ in 0..LEVELS_MAX + 2 {
            deep = within(deep);
        }
        assert_eq!(names(&deep), Vec::<String>::new());
    }

    #[test]
    fn lengths_that_lie() {
        let whole = mail();
        for end in 0..whole.len() {
            let _ = read(&whole[..end]);
        }
        let mut lying = stream(&[attribute(1, BODY, b"abc")]);
        lying[11..15].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(read(&lying).is_some_and(|message| message.text.is_some()));
        let many = [
            &TYPE_LONG.to_le_bytes().map(|b| b)[..],
            &0x1000_u16.to_le_bytes(),
            &u32::MAX.to_le_bytes(),
        ]
        .concat();
        let counts = [&u32::MAX.to_le_bytes()[..], &many].concat();
        assert!(read(&stream(&[attribute(1, MESSAGE_PROPERTIES, &counts)])).is_some());
        assert!(read(b"no stream").is_none());
    }
}

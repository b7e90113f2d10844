//! The content of an opaque S/MIME signature: CMS SignedData (RFC 5652 sections 3 and 5).
//!
//! Only the content is taken out. No certificate is looked at and nothing is verified: who shows
//! the content says so.
//!
//! Outlook writes BER: lengths that are not known in advance, strings in pieces. Readers of DER
//! refuse that, so this walks over the few elements in front of the content itself.
//!
//! Architecture invariant: linear, without recursion; a length that lies ends the reading.

/// OBJECT IDENTIFIER of SignedData.
const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING_IN_PIECES: u8 = 0x24;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0]` that holds other elements.
const EXPLICIT_0: u8 = 0xa0;
/// Two zero bytes end what has no length (X.690 section 8.1.5).
const END: u8 = 0x00;

/// The bytes that were signed; `None` if this is no SignedData, or one without its content.
pub fn signed_content(cms: &[u8]) -> Option<Vec<u8>> {
    let outer = Reader(cms).open(SEQUENCE)?;
    let (kind, rest) = outer.take(OBJECT_IDENTIFIER)?;
    if kind != SIGNED_DATA {
        return None;
    }
    let signed = rest.open(EXPLICIT_0)?.open(SEQUENCE)?;
    let (_, rest) = signed.take(INTEGER)?;
    let content = rest.skip(SET)?.open(SEQUENCE)?;
    let (_, rest) = content.take(OBJECT_IDENTIFIER)?;
    let bytes = rest.open(EXPLICIT_0)?.octets();
    (!bytes.is_empty()).then_some(bytes)
}

/// The length of an element.
#[derive(Clone, Copy)]
enum Length {
    Known(usize),
    /// Up to the matching end.
    Open,
}

/// The beginning of an element, and where its content starts.
struct Head {
    tag: u8,
    length: Length,
    start: usize,
}

#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn head(self) -> Option<Head> {
        let tag = *self.0.first()?;
        // Tags of more than one byte stand nowhere in front of the content.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let first = *self.0.get(1)?;
        let (length, start) = match first {
            0x80 => (Length::Open, 2),
            0x81..=0x84 => {
                let end = 2 + usize::from(first & 0x7f);
                let digits = self.0.get(2..end)?;
                let length =
                    digits.iter().fold(0_usize, |sum, digit| sum << 8 | usize::from(*digit));
                (Length::Known(length), end)
            }
            0x85.. => return None,
            short => (Length::Known(usize::from(short)), 2),
        };
        Some(Head { tag, length, start })
    }

    /// Enters an element. What has no length goes on to the end of what is there.
    fn open(self, tag: u8) -> Option<Reader<'a>> {
        let head = self.head().filter(|head| head.tag == tag)?;
        let content = &self.0[head.start..];
        Some(Reader(match head.length {
            Length::Known(length) => content.get(..length).unwrap_or(content),
            Length::Open => content,
        }))
    }

    /// A simple element, and what follows it.
    fn take(self, tag: u8) -> Option<(&'a [u8], Reader<'a>)> {
        let head = self.head().filter(|head| head.tag == tag)?;
        let Length::Known(length) = head.length else { return None };
        let content = self.0.get(head.start..)?.get(..length)?;
        Some((content, Reader(&self.0[head.start + length..])))
    }

    /// What follows an element.
    fn skip(self, tag: u8) -> Option<Reader<'a>> {
        let head = self.head().filter(|head| head.tag == tag)?;
        match head.length {
            Length::Known(length) => Some(Reader(self.0.get(head.start..)?.get(length..)?)),
            Length::Open => {
                let mut rest = Reader(&self.0[head.start..]);
                let mut open = 1_usize;
                while open > 0 {
                    let head = rest.head()?;
                    let length = match head.length {
                        Length::Known(length) => length,
                        Length::Open => 0,
                    };
                    match (head.tag, head.length) {
                        (END, _) => open -= 1,
                        (_, Length::Open) => open += 1,
                        (_, Length::Known(_)) => {}
                    }
                    rest = Reader(rest.0.get(head.start..)?.get(length..)?);
                }
                Some(rest)
            }
        }
    }

    /// The bytes of an OCTET STRING, whole or in pieces within pieces; of one that was cut, what
    /// is there.
    fn octets(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = self;
        let mut open = 0_usize;
        while let Some(head) = rest.head() {
            let content = &rest.0[head.start..];
            match (head.tag, head.length) {
                (OCTET_STRING, Length::Known(length)) => {
                    let piece = content.get(..length).unwrap_or(content);
                    bytes.extend_from_slice(piece);
                    rest = Reader(&content[piece.len()..]);
                }
                (OCTET_STRING_IN_PIECES, length) => {
                    open += usize::from(matches!(length, Length::Open));
                    rest = Reader(content);
                }
                (END, _) if open > 1 => {
                    open -= 1;
                    rest = Reader(content);
                }
                _ => break,
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("short").to_be_bytes();
        [&[tag, 0x82, length[0], length[1]], content].concat()
    }

    fn open(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, 0x80], content, &[0, 0]].concat()
    }

    const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
    const SIGNED: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";

    fn signed(wrap: fn(u8, &[u8]) -> Vec<u8>, octets: &[u8]) -> Vec<u8> {
        let algorithm = element(SEQUENCE, b"\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00");
        let content = wrap(SEQUENCE, &[DATA, &wrap(EXPLICIT_0, octets)].concat());
        let (algorithms, signers) = (wrap(SET, &algorithm), wrap(SET, b""));
        let inner = [&b"\x02\x01\x01"[..], &algorithms, &content, &signers];
        wrap(SEQUENCE, &[SIGNED, &wrap(EXPLICIT_0, &wrap(SEQUENCE, &inner.concat()))].concat())
    }

    #[test]
    fn content_in_der_and_in_ber() {
        let whole = element(OCTET_STRING, b"hello desk");
        assert_eq!(signed_content(&signed(element, &whole)).as_deref(), Some(&b"hello desk"[..]));
        let pieces = [element(OCTET_STRING, b"hello"), element(OCTET_STRING, b" desk")].concat();
        for octets in
            [open(OCTET_STRING_IN_PIECES, &pieces), element(OCTET_STRING_IN_PIECES, &pieces)]
        {
            for wrap in [element, open] {
                let found = signed_content(&signed(wrap, &octets));
                assert_eq!(found.as_deref(), Some(&b"hello desk"[..]));
            }
        }
        let nested = open(OCTET_STRING_IN_PIECES, &open(OCTET_STRING_IN_PIECES, &pieces));
        assert_eq!(signed_content(&signed(open, &nested)).as_deref(), Some(&b"hello desk"[..]));
    }

    #[test]
    fn what_is_no_signed_data() {
        let enveloped = signed(element, &element(OCTET_STRING, b"x"));
        let enveloped: Vec<u8> = enveloped.iter().map(|b| if *b == 2 { 3 } else { *b }).collect();
        assert_eq!(signed_content(&enveloped), None);
        assert_eq!(signed_content(b""), None);
        assert_eq!(signed_content(b"\x30\x84\xff\xff\xff\xff"), None);
        assert_eq!(signed_content(&[0x30, 0x80].repeat(100_000)), None);
    }

    #[test]
    fn lengths_that_lie() {
        let mut cms = signed(element, &element(OCTET_STRING, b"hello desk"));
        cms.truncate(cms.len() - 8);
        assert!(signed_content(&cms).is_some_and(|bytes| b"hello desk".starts_with(&bytes)));
        let deep = [OCTET_STRING_IN_PIECES, 0x80].repeat(100_000);
        assert_eq!(signed_content(&signed(open, &deep)), None);
    }
}

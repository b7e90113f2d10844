//! The text of a body that Outlook sends as compressed RTF ([MS-OXRTFCP], [MS-OXRTFEX]).
//!
//! Architecture invariant: linear; what is unpacked has a limit of its own, because a few bytes can
//! stand for many. Anything that is not understood is left out.

use super::charset;
use crate::core::config::Language;

/// Bytes of RTF that are unpacked.
const UNPACKED_BYTES_MAX: usize = 1024 * 1024;
/// Groups within each other that are told apart.
const GROUPS_MAX: usize = 1_000;

/// What the window of the compression begins with.
const WINDOW: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \
\\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\
\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
/// Bytes of the window.
const WINDOW_BYTES: usize = 4096;
const COMPRESSED: &[u8] = b"LZFu";
const PLAIN: &[u8] = b"MELA";

/// The text of compressed RTF; `None` if it is none or has no text.
pub fn text_of_compressed(bytes: &[u8]) -> Option<String> {
    let kind = bytes.get(8..12)?;
    let content = bytes.get(16..)?;
    let rtf = match kind {
        COMPRESSED => decompress(content),
        PLAIN => content[..content.len().min(UNPACKED_BYTES_MAX)].to_vec(),
        _ => return None,
    };
    Some(text(&rtf)).filter(|text| !text.trim().is_empty())
}

/// Runs of eight tokens behind a byte of flags: a byte as it is, or a place in the window and a
/// length.
fn decompress(content: &[u8]) -> Vec<u8> {
    let mut window = [b' '; WINDOW_BYTES];
    window[..WINDOW.len()].copy_from_slice(WINDOW);
    let mut at = WINDOW.len();
    let mut out = Vec::new();
    let mut input = content.iter();
    while let Some(flags) = input.next() {
        for bit in 0..8 {
            if out.len() >= UNPACKED_BYTES_MAX {
                return out;
            }
            let Some(first) = input.next() else { return out };
            if flags >> bit & 1 == 0 {
                out.push(*first);
                window[at] = *first;
                at = (at + 1) % WINDOW_BYTES;
                continue;
            }
            let Some(second) = input.next() else { return out };
            let from = usize::from(*first) << 4 | usize::from(*second) >> 4;
            // A reference to where the next byte will stand is the end.
            if from == at {
                return out;
            }
            for offset in 0..usize::from(second & 0x0f) + 2 {
                let byte = window[(from + offset) % WINDOW_BYTES];
                out.push(byte);
                window[at] = byte;
                at = (at + 1) % WINDOW_BYTES;
            }
        }
    }
    out
}

/// What holds for a group and those within it.
#[derive(Clone, Copy)]
struct Group {
    /// Nothing in it is text.
    silent: bool,
    /// It repeats in RTF what the HTML it was made from says.
    repeats: bool,
    /// Characters that follow `\u` for programs that do not know it.
    fallback: usize,
}

/// Destinations that hold no text.
const SILENT: [&[u8]; 12] = [
    b"fonttbl",
    b"colortbl",
    b"stylesheet",
    b"info",
    b"pict",
    b"object",
    b"header",
    b"footer",
    b"listtable",
    b"listoverridetable",
    b"rsidtbl",
    b"generator",
];

struct Writer {
    text: String,
    /// Bytes of the code page that are not decoded yet.
    bytes: Vec<u8>,
    charset: String,
    group: Group,
    outer: Vec<Group>,
    /// Characters still to be left out behind `\u`.
    skip: usize,
}

fn text(rtf: &[u8]) -> String {
    let mut writer = Writer {
        text: String::new(),
        bytes: Vec::new(),
        charset: "windows-1252".to_owned(),
        group: Group { silent: false, repeats: false, fallback: 1 },
        outer: Vec::new(),
        skip: 0,
    };
    let mut rest = rtf;
    while let [byte, tail @ ..] = rest {
        rest = match byte {
            b'{' => {
                writer.begin();
                tail
            }
            b'}' => {
                writer.end();
                tail
            }
            b'\\' => writer.control(tail),
            b'\r' | b'\n' => tail,
            _ => {
                writer.byte(*byte);
                tail
            }
        };
    }
    writer.flush();
    writer.text
}

impl Writer {
    fn begin(&mut self) {
        self.flush();
        if self.outer.len() < GROUPS_MAX {
            self.outer.push(self.group);
        }
    }

    fn end(&mut self) {
        self.flush();
        if let Some(outer) = self.outer.pop() {
            self.group = outer;
        }
    }

    fn is_silent(&self) -> bool {
        self.group.silent || self.group.repeats
    }

    fn byte(&mut self, byte: u8) {
        if self.skip > 0 {
            self.skip -= 1;
        } else if !self.is_silent() {
            self.bytes.push(byte);
        }
    }

    fn char(&mut self, c: char) {
        self.flush();
        if !self.is_silent() {
            self.text.push(c);
        }
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            let decoded = charset::decode(&self.bytes, Some(&self.charset), Language::default());
            self.text.push_str(&decoded.text);
            self.bytes.clear();
        }
    }

    /// What follows a backslash; returns what follows that.
    fn control<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let Some(first) = rest.first() else { return rest };
        if !first.is_ascii_alphabetic() {
            return self.symbol(*first, &rest[1..]);
        }
        let name_end = rest.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (name, tail) = rest.split_at(name_end);
        let sign = usize::from(tail.first() == Some(&b'-'));
        let digits = tail[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, tail) =
            if digits == 0 { (None, tail) } else { read_number(tail, sign + digits) };
        self.word(name, number);
        tail.strip_prefix(b" ").unwrap_or(tail)
    }

    fn symbol<'a>(&mut self, symbol: u8, rest: &'a [u8]) -> &'a [u8] {
        match symbol {
            b'\'' => {
                let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
                let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) else {
                    return rest;
                };
                self.byte(byte);
                return &rest[2..];
            }
            // A destination that a program may leave out.
            b'*' => self.group.silent = true,
            b'\\' | b'{' | b'}' => self.byte(symbol),
            b'~' => self.char('\u{a0}'),
            b'_' => self.char('-'),
            b'\r' | b'\n' => self.char('\n'),
            _ => {}
        }
        rest
    }

    fn word(&mut self, name: &[u8], number: Option<i32>) {
        match name {
            b"par" | b"line" | b"row" | b"sect" | b"page" => self.char('\n'),
            b"tab" | b"cell" => self.char('\t'),
            b"lquote" => self.char('‘'),
            b"rquote" => self.char('’'),
            b"ldblquote" => self.char('“'),
            b"rdblquote" => self.char('”'),
            b"bullet" => self.char('•'),
            b"endash" => self.char('–'),
            b"emdash" => self.char('—'),
            b"htmlrtf" => {
                self.flush();
                self.group.repeats = number != Some(0);
            }
            b"uc" => {
                self.group.fallback =
                    number.and_then(|n| usize::try_from(n).ok()).unwrap_or(1).min(16)
            }
            b"u" => {
                let unit = number.unwrap_or(0).rem_euclid(0x1_0000);
                let c = u32::try_from(unit).ok().and_then(char::from_u32);
                self.char(c.unwrap_or(char::REPLACEMENT_CHARACTER));
                self.skip = self.group.fallback;
            }
            b"ansicpg" => {
                self.flush();
                if let Some(page) = number {
                    self.charset = match page {
                        1250..=1258 => format!("windows-{page}"),
                        65001 => "utf-8".to_owned(),
                        page => format!("cp{page}"),
                    };
                }
            }
            name if SILENT.contains(&name) => self.group.silent = true,
            _ => {}
        }
    }
}

fn read_number(tail: &[u8], length: usize) -> (Option<i32>, &[u8]) {
    let (digits, rest) = tail.split_at(length);
    (std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rtf: &str, expected: &str) {
        assert_eq!(text(rtf.as_bytes()), expected);
    }

    #[test]
    fn words_and_characters() {
        check(
            "{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Arial;}}Gr\\'fc\\'dfe\\par aus K\\u246?ln}",
            "Grüße\naus Köln",
        );
        check("{\\rtf1 a\\~b\\{c\\}{\\*\\unknown x}\\tab d}", "a\u{a0}b{c}\td");
        check("{\\rtf1\\ansicpg932 \\'93\\'fa\\'96\\'7b}", "日本");
        check(
            "{\\rtf1\\fromhtml1{\\*\\htmltag <p>}\\htmlrtf {\\htmlrtf0 Hello\\htmlrtf }\\htmlrtf0 }",
            "Hello",
        );
        check("{\\rtf1 \\", "");
        check(&"{".repeat(100_000), "");
    }

    #[test]
    fn compressed_text() {
        let packed = |kind: &[u8], content: &[u8]| [&[0; 8], kind, &[0; 4], content].concat();
        let plain = packed(PLAIN, b"{\\rtf1 Hello}");
        assert_eq!(text_of_compressed(&plain).as_deref(), Some("Hello"));
        // `{\rtf1` out of the window, eleven bytes as they are, a run of itself.
        let tokens =
            [&[0b0000_0001, 0x00, 0x04][..], b" lift, ", &[0b0000_0000], b"lift!}"].concat();
        assert_eq!(
            text_of_compressed(&packed(COMPRESSED, &tokens)).as_deref(),
            Some("lift, lift!")
        );
        assert_eq!(text_of_compressed(b"short"), None);
        assert_eq!(WINDOW.len(), 207);
    }

    #[test]
    fn what_is_unpacked_is_bounded() {
        let bomb = [0xff, 0x0c, 0xef].repeat(1_000_000);
        assert!(decompress(&bomb).len() <= UNPACKED_BYTES_MAX + 17);
    }
}

//! Text of an HTML body.
//!
//! One pass over the tags, no tree: time and memory are linear in the page whatever its nesting,
//! and lines are not wrapped, so that a filter sees the sentence the sender wrote.
//!
//! Why no library: those that lay a page out (`html2text` was measured) wrap at a width or pad
//! the cells of tables to it, and take time with the square of the nesting: a few hundred tables
//! within tables, a few thousand bytes, take seconds, where this pass takes microseconds. A cap
//! low enough for that would send ordinary newsletters down another path.
//!
//! Architecture invariant: text only. Nothing here makes HTML safe to show; script, style and
//! what is hidden in a head never become text.

use mail_parser::decoders::html::add_html_token;

/// Elements whose content is not text.
const SILENT: [&str; 7] = ["script", "style", "title", "template", "noscript", "svg", "object"];
/// Elements that begin and end on a line of their own.
const BLOCKS: [&str; 18] = [
    "address", "article", "aside", "center", "dd", "div", "dl", "dt", "figure", "footer", "form",
    "header", "hr", "main", "nav", "section", "table", "tr",
];
/// Elements with an empty line around them.
const PARAGRAPHS: [&str; 11] =
    ["blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "ul"];
/// Longest entity looked for, in bytes.
const ENTITY_BYTES_MAX: usize = 32;
/// Longest link address written behind its words, in bytes.
const LINK_BYTES_MAX: usize = 500;

/// Bytes of a page in which it may declare its charset. HTML 13.2.3.2 asks for 1,024; Outlook writes
/// more than that in front.
const META_BYTES_MAX: usize = 4 * 1024;

/// The charset that a page declares in a `meta` element.
pub fn declared_charset(page: &[u8]) -> Option<String> {
    let head = page[..page.len().min(META_BYTES_MAX)].to_ascii_lowercase();
    let head = String::from_utf8_lossy(&head);
    let mut rest = head.as_ref();
    while let Some(at) = rest.find("<meta") {
        rest = &rest[at + 5..];
        let tag = &rest[..rest.find('>').unwrap_or(rest.len())];
        let Some(at) = tag.find("charset") else { continue };
        let value = tag[at + 7..].trim_start();
        let Some(value) = value.strip_prefix('=') else { continue };
        let value = value.trim_start().trim_start_matches(['"', '\'']).trim_start();
        let end = value.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.:".contains(c));
        let label = &value[..end.unwrap_or(value.len())];
        // A page in UTF-16 could not say so in ASCII.
        let label = if label.starts_with("utf-16") { "utf-8" } else { label };
        if super::charset::is_telling(label) {
            return Some(label.to_owned());
        }
    }
    None
}

/// The text of a page.
pub fn to_text(page: &str) -> String {
    let mut writer = Writer::default();
    let mut rest = page;
    while let Some(open) = rest.find('<') {
        writer.text(&rest[..open]);
        rest = writer.markup(&rest[open..]);
    }
    writer.text(rest);
    writer.finish()
}

/// Text while it is written.
#[derive(Default)]
struct Writer {
    out: String,
    /// Line breaks owed before the next word.
    breaks: usize,
    /// Whether a blank is owed before the next word.
    blank: bool,
    /// Open `pre` elements.
    preformatted: usize,
    /// Open `blockquote` elements.
    quotes: usize,
    /// Numbers of open lists; `None` for bullets.
    lists: Vec<Option<usize>>,
    /// Where the words of the open link begin, and where it leads.
    link: Option<(usize, String)>,
}

/// Deepest lists and quotes that are still told apart.
const INDENT_LEVELS_MAX: usize = 10;

impl Writer {
    /// Reads what begins with `<`; returns what follows.
    fn markup<'a>(&mut self, rest: &'a str) -> &'a str {
        if let Some(comment) = rest.strip_prefix("<!--") {
            return after(comment, "-->");
        }
        let begins = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
        if !begins {
            self.text("<");
            return &rest[1..];
        }
        let Some(end) = tag_end(rest) else { return "" };
        let (tag, tail) = (&rest[1..end], &rest[end + 1..]);
        let closing = tag.starts_with('/');
        let name_end = tag[usize::from(closing)..]
            .find(|c: char| !c.is_ascii_alphanumeric())
            .map_or(tag.len(), |at| at + usize::from(closing));
        let name = tag[usize::from(closing)..name_end].to_ascii_lowercase();
        if SILENT.contains(&name.as_str()) && !closing && !tag.ends_with('/') {
            return skip_element(tail, &name);
        }
        self.tag(&name, closing, &tag[name_end..]);
        tail
    }

    fn tag(&mut self, name: &str, closing: bool, attributes: &str) {
        match name {
            "br" => self.breaks = (self.breaks + 1).min(3),
            "td" | "th" => self.blank = true,
            "li" if !closing => self.item(),
            "a" if closing => self.end_link(),
            "a" => self.link = link_target(attributes).map(|target| (self.out.len(), target)),
            "img" => {
                if let Some(words) = attribute(attributes, "alt") {
                    self.text(&words);
                }
            }
            _ if PARAGRAPHS.contains(&name) => self.paragraph(name, closing),
            _ if BLOCKS.contains(&name) => self.breaks = self.breaks.max(1),
            _ => {}
        }
    }

    fn paragraph(&mut self, name: &str, closing: bool) {
        let nested = matches!(name, "ul" | "ol") && self.lists.len() > usize::from(closing);
        self.breaks = self.breaks.max(if nested { 1 } else { 2 });
        match (name, closing) {
            ("pre", false) => self.preformatted += 1,
            ("pre", true) => self.preformatted = self.preformatted.saturating_sub(1),
            // The break belongs to the level outside: it is written before the level changes.
            ("blockquote", false) => {
                self.write_breaks();
                self.quotes += 1;
                if self.at_line_start() {
                    self.indent();
                }
            }
            ("blockquote", true) => self.quotes = self.quotes.saturating_sub(1),
            ("ul", false) => self.lists.push(None),
            ("ol", false) => self.lists.push(Some(0)),
            ("ul" | "ol", true) => {
                self.lists.pop();
            }
            _ => {}
        }
    }

    fn at_line_start(&self) -> bool {
        self.out.is_empty() || self.out.ends_with('\n')
    }

    fn item(&mut self) {
        self.breaks = self.breaks.max(1);
        self.write_breaks();
        let level = self.lists.len().clamp(1, INDENT_LEVELS_MAX);
        self.out.push_str(&"  ".repeat(level - 1));
        match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                self.out.push_str(&format!("{number}. "));
            }
            Some(None) | None => self.out.push_str("- "),
        }
        self.blank = false;
    }

    /// Writes where a link leads, if its words do not say so.
    fn end_link(&mut self) {
        let Some((start, target)) = self.link.take() else { return };
        let words = self.out.get(start..).unwrap_or_default().trim();
        let plain = target.trim_start_matches("mailto:").trim_end_matches('/');
        if !words.is_empty() && !words.contains(plain) {
            self.out.push_str(&format!(" <{target}>"));
        }
    }

    fn text(&mut self, text: &str) {
        let text = entities(text);
        if self.preformatted > 0 {
            self.preformatted_text(&text);
            return;
        }
        for (at, word) in text.split(is_blank).enumerate() {
            self.blank |= at > 0;
            if !word.is_empty() {
                self.word(word);
            }
        }
    }

    fn word(&mut self, word: &str) {
        self.write_breaks();
        if self.blank && !self.out.ends_with([' ', '\n']) && !self.out.is_empty() {
            self.out.push(' ');
        }
        self.blank = false;
        self.out.push_str(word);
    }

    fn preformatted_text(&mut self, text: &str) {
        if text.trim().is_empty() && self.breaks > 0 {
            return;
        }
        self.write_breaks();
        let quote = format!("\n{}", "> ".repeat(self.quotes.min(INDENT_LEVELS_MAX)));
        self.out.push_str(&text.replace('\n', &quote));
    }

    fn write_breaks(&mut self) {
        if self.breaks == 0 {
            return;
        }
        if !self.out.is_empty() {
            for _ in 0..self.breaks {
                self.out.push('\n');
                self.indent();
            }
        } else {
            self.indent();
        }
        self.breaks = 0;
        self.blank = false;
    }

    fn indent(&mut self) {
        for _ in 0..self.quotes.min(INDENT_LEVELS_MAX) {
            self.out.push_str("> ");
        }
    }

    fn finish(self) -> String {
        let mut text = String::with_capacity(self.out.len() + 1);
        for line in self.out.trim().lines() {
            text.push_str(line.trim_end_matches([' ', '\u{a0}']));
            text.push('\n');
        }
        text
    }
}

/// Blanks of HTML; a no-break space is a character.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}')
}

/// Where a tag ends: `>` outside of quotes, but no further than the next `<`, lest one quote
/// that is never closed swallows the page.
fn tag_end(rest: &str) -> Option<usize> {
    let mut quote = None;
    let mut first = None;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match (byte, quote) {
            (b'>', None) => return Some(at),
            (b'>', Some(_)) => first = first.or(Some(at)),
            (b'<', Some(_)) if first.is_some() => return first,
            (b'"' | b'\'', None) if rest.as_bytes()[at - 1] == b'=' => quote = Some(byte),
            (open, Some(close)) if open == close => quote = None,
            _ => {}
        }
    }
    first
}

fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    text.find(mark).map_or("", |at| &text[at + mark.len()..])
}

/// What follows `</name>`; an element that never closes is silent to the end.
fn skip_element<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        if rest.get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name)) {
            return after(rest, ">");
        }
    }
    ""
}

fn link_target(attributes: &str) -> Option<String> {
    let target = attribute(attributes, "href")?;
    let target = target.trim();
    let known = ["http://", "https://", "mailto:"];
    let shown = known.iter().any(|scheme| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let clean = !target.contains(|c: char| c.is_whitespace() || c.is_control());
    (shown && clean && target.len() <= LINK_BYTES_MAX).then(|| target.to_owned())
}

/// The value of an attribute.
fn attribute(attributes: &str, name: &str) -> Option<String> {
    let mut rest = attributes;
    while let Some(equals) = rest.find('=') {
        let known = rest[..equals].trim().rsplit(char::is_whitespace).next().unwrap_or_default();
        let value = rest[equals + 1..].trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, tail) = match quote {
            Some(quote) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
            None => value.split_once(char::is_whitespace).unwrap_or((value, "")),
        };
        if known.eq_ignore_ascii_case(name) {
            return Some(entities(value));
        }
        rest = tail;
    }
    None
}

/// Replaces entities such as `&auml;` and `&#xE4;`.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let limit = rest.len().min(ENTITY_BYTES_MAX);
        let end = rest.as_bytes()[1..limit]
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'#')
            .map(|end| end + 1);
        match end.filter(|end| *end > 1 && rest.as_bytes()[*end] == b';') {
            Some(end) => {
                add_html_token(&mut out, &rest.as_bytes()[..=end], false);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Plain text as HTML, for mails that have some of both.
pub fn from_text(text: &str) -> String {
    let mut page = String::with_capacity(text.len() + 64);
    page.push_str("<div style=\"white-space: pre-wrap\">");
    for c in text.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            other => page.push(other),
        }
    }
    page.push_str("</div>");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(page: &str, expected: &str) {
        assert_eq!(to_text(page), expected);
    }

    #[test]
    fn declared_charsets() {
        for (page, expected) in [
            ("<html><head><META charset = 'GBK'>", Some("gbk")),
            (
                "<meta http-equiv=Content-Type content=\"text/html; charset=windows-1251\">",
                Some("windows-1251"),
            ),
            ("<meta name=charset content=x><meta charset=\"koi8-r\"/>", Some("koi8-r")),
            ("<meta charset=utf-16>", Some("utf-8")),
            ("<meta charset=nonsense>", None),
            ("charset=gbk", None),
        ] {
            assert_eq!(declared_charset(page.as_bytes()).as_deref(), expected, "{page}");
        }
        let late = " ".repeat(META_BYTES_MAX) + "<meta charset=gbk>";
        assert_eq!(declared_charset(late.as_bytes()), None);
    }

    #[test]
    fn paragraphs_and_lines() {
        check("<p>Hi <b>bold</b></p><p>two<br>three", "Hi bold\n\ntwo\nthree\n");
        check("<div>a</div><div>b</div>", "a\nb\n");
        check("a\n  b", "a b\n");
        check("", "");
    }

    #[test]
    fn scripts_and_styles_are_no_text() {
        check("<p>a</p><script>alert(1)</script><style>p{}</style>b", "a\n\nb\n");
        check("<head><title>t</title></head><body>a</body>", "a\n");
        check("<head><body>a</body>", "a\n");
        check("a<!-- <b> --><script>b", "a\n");
    }

    #[test]
    fn lists_tables_quotes() {
        check("<ul><li>a<li>b<ol><li>c</ol></ul>d", "- a\n- b\n  1. c\n\nd\n");
        check("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc\n");
        check("x<blockquote>a<br>b</blockquote>c", "x\n\n> a\n> b\n\nc\n");
        check("<pre>a\n  b</pre>c", "a\n  b\n\nc\n");
    }

    #[test]
    fn links() {
        check("<a href=\"https://x.test/a\">here</a>", "here <https://x.test/a>\n");
        check("<a href='https://x.test/'>https://x.test</a>", "https://x.test\n");
        check(
            "<a href='javascript:alert(1)'>a</a> <a href=mailto:e@x.test>e@x.test</a>",
            "a e@x.test\n",
        );
    }

    #[test]
    fn entities_and_strays() {
        check("a &lt; b &amp;&nbsp;&#228;&#xE4; &nope; &", "a < b &\u{a0}ää &nope; &\n");
        check("1 < 2 <3", "1 < 2 <3\n");
        check("<a title=\"x>y\">z", "z\n");
        check("<a title=\"x>y<p>z", "y\n\nz\n");
    }

    #[test]
    fn bombs_are_linear() {
        to_text(&"<div>".repeat(100_000));
        to_text(&"<blockquote>a".repeat(20_000));
        to_text(&"&".repeat(500_000));
        to_text(&"<".repeat(500_000));
        to_text(&"<ul><li>".repeat(50_000));
    }
}

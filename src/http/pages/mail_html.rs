//! The HTML of a mail, written anew from a list of what is harmless, for a frame that may do nothing.
//!
//! Two walls stand behind each other. What is written here has no scripts, forms, frames, links of a
//! head, or addresses that a browser would load; pictures of the mail itself come along as `data:`,
//! so that showing a mail asks nobody for anything. And the frame is sandboxed and its content
//! policy refuses whatever this list might have missed.
//!
//! What is written is well-formed: every element is ended, in order, at most [`DEPTH_MAX`] lie within
//! each other, and [`TABLES_MAX`] tables. A browser takes seconds for thousands of nested elements,
//! and for each element that a broken page leaves open. Deeper elements are left out, their text stays.
//!
//! Architecture invariant: one pass, linear in the page; nothing is copied but text, and the
//! elements and attributes named here.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Elements that are kept, without anything inside them being lost.
const KEPT: [&str; 62] = [
    "a",
    "abbr",
    "address",
    "article",
    "aside",
    "b",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "main",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "rp",
    "rt",
    "ruby",
    "s",
    "samp",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "tr",
    "ul",
];
/// More of them: an array of one length is easier to read in two pieces.
const KEPT_TOO: [&str; 6] = ["tfoot", "thead", "time", "tt", "u", "var"];
/// Elements that are left out with everything inside them.
const LEFT_OUT: [&str; 19] = [
    "script",
    "style",
    "title",
    "template",
    "noscript",
    "svg",
    "math",
    "object",
    "iframe",
    "frameset",
    "noframes",
    "noembed",
    "xmp",
    "plaintext",
    "textarea",
    "select",
    "audio",
    "video",
    "canvas",
];
/// Attributes that are kept on every element, as they are.
const ATTRIBUTES: [&str; 20] = [
    "align",
    "alt",
    "bgcolor",
    "border",
    "cellpadding",
    "cellspacing",
    "color",
    "colspan",
    "dir",
    "face",
    "height",
    "lang",
    "nowrap",
    "rowspan",
    "size",
    "start",
    "title",
    "type",
    "valign",
    "width",
];
/// What links may begin with.
const SCHEMES: [&str; 3] = ["http://", "https://", "mailto:"];
/// What a style may not contain: whatever loads, escapes, or lies above other things.
const NOT_IN_STYLE: [&str; 8] = ["url", "image", "\\", "@", "/*", "expression", "position", "&"];
/// Longest page that is written anew; a longer one is read as text.
pub const PAGE_BYTES_MAX: usize = 2 << 20;
/// Tags in a page.
const TAGS_MAX: usize = 50_000;
/// Elements within each other that are written.
const DEPTH_MAX: usize = 100;
/// Tables within each other that are written.
const TABLES_MAX: usize = 20;
/// Elements within each other whose ends are looked for. Of deeper ones only the number is known.
const OPEN_MAX: usize = 400;
/// Elements that have no content and no end.
const VOID: [&str; 4] = ["br", "col", "hr", "img"];
/// Elements that lie in lines: one that is left out parts no words.
const INLINE: [&str; 30] = [
    "a", "abbr", "b", "big", "code", "del", "dfn", "em", "font", "i", "ins", "kbd", "mark", "q",
    "rp", "rt", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time",
    "tt", "u", "var", "img",
];
/// Parts of a table.
const TABLE_PARTS: [&str; 9] =
    ["caption", "col", "colgroup", "tbody", "td", "tfoot", "th", "thead", "tr"];
/// Attributes of one tag that are looked at.
const ATTRIBUTES_MAX: usize = 40;
/// Longest value of an attribute that is kept.
const VALUE_BYTES_MAX: usize = 4_096;

/// What was written, and what was left out on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// The page.
    pub html: String,
    /// Pictures that would have been loaded from elsewhere.
    pub blocked: usize,
}

/// Writes a page anew. `pictures` holds those of the mail, as `data:` addresses by Content-ID.
/// `None` if the page is too large for it.
pub fn write(page: &str, pictures: &BTreeMap<String, String>) -> Option<Written> {
    if page.len() > PAGE_BYTES_MAX {
        return None;
    }
    let mut writer = Writer {
        pictures,
        out: Written::default(),
        endless: Vec::new(),
        open: Vec::new(),
        beyond: 0,
    };
    let (mut rest, mut tags) = (page, 0);
    while let Some(open) = rest.find('<') {
        writer.text(&rest[..open]);
        rest = writer.markup(&rest[open..]);
        tags += 1;
        if tags > TAGS_MAX {
            return None;
        }
    }
    writer.text(rest);
    writer.end_down_to(0);
    Some(writer.out)
}

/// An element whose end has not come yet.
struct Open {
    name: &'static str,
    /// Whether it is written, or left out because it is too deep.
    written: bool,
}

struct Writer<'a> {
    pictures: &'a BTreeMap<String, String>,
    out: Written,
    /// Elements that are not ended anywhere behind: their end is not looked for again.
    endless: Vec<&'static str>,
    /// Elements that are open, the innermost last.
    open: Vec<Open>,
    /// Elements beyond [`OPEN_MAX`] that are open.
    beyond: usize,
}

impl Writer<'_> {
    /// Text may have entities, but no tags.
    fn text(&mut self, text: &str) {
        self.out.html.push_str(&text.replace('>', "&gt;").replace('\0', ""));
    }

    /// Reads what begins with `<`; returns what follows.
    fn markup<'p>(&mut self, rest: &'p str) -> &'p str {
        if let Some(comment) = rest.strip_prefix("<!--") {
            return comment.split_once("-->").map_or("", |(_, after)| after);
        }
        let Some(first) =
            rest[1..].chars().next().filter(|c| c.is_ascii_alphabetic() || "/!?".contains(*c))
        else {
            self.out.html.push_str("&lt;");
            return &rest[1..];
        };
        let Some(end) = tag_end(rest) else { return "" };
        let (tag, after) = (&rest[1..end], &rest[end + 1..]);
        if "!?".contains(first) {
            return after;
        }
        let closing = first == '/';
        let tag = tag.trim_start_matches('/');
        let name_end = tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len());
        let name = tag[..name_end].to_ascii_lowercase();
        if let Some(left_out) = LEFT_OUT.iter().copied().find(|left_out| *left_out == name) {
            return if closing { after } else { self.skip(left_out, after) };
        }
        let known = KEPT.iter().chain(&KEPT_TOO).find(|known| **known == name);
        match (known, closing) {
            (Some(&"br"), true) => self.out.html.push_str("<br>"),
            (Some(&name), true) => self.end(name),
            (Some(&"img"), false) => self.picture(&attributes(&tag[name_end..])),
            (Some(&name), false) => self.element(name, &attributes(&tag[name_end..])),
            (None, _) => {}
        }
        after
    }

    /// Leaves an element out; one that never ends is taken to be empty.
    fn skip<'p>(&mut self, name: &'static str, rest: &'p str) -> &'p str {
        if self.endless.contains(&name) {
            return rest;
        }
        let mut from = 0;
        while let Some(at) = rest[from..].find("</") {
            let found = &rest[from + at + 2..];
            let same = found.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name));
            if same {
                return found.split_once('>').map_or("", |(_, after)| after);
            }
            from += at + 2;
        }
        self.endless.push(name);
        rest
    }

    /// Ends what the start of this element ends, and notes that it is open. `false` if it is too
    /// deep to be written.
    fn begin(&mut self, name: &'static str) -> bool {
        if self.beyond == 0 {
            let (ended, within): (&[&str], &[&str]) = match name {
                "li" => (&["li"], &["ul", "ol", "table", "td", "th"]),
                "dt" | "dd" => (&["dt", "dd"], &["dl", "table", "td", "th"]),
                "td" | "th" => (&["td", "th", "caption"], &["tr", "table"]),
                "tr" => (&["tr", "caption", "colgroup"], &["table"]),
                "tbody" | "thead" | "tfoot" => {
                    (&["tbody", "thead", "tfoot", "caption", "colgroup"], &["table"])
                }
                _ => (&[], &[]),
            };
            self.end_outermost(ended, within);
            if !INLINE.contains(&name) && !TABLE_PARTS.contains(&name) && name != "br" {
                self.end_outermost(&["p"], &["table", "td", "th", "caption"]);
            }
        }
        let tables = self.open.iter().filter(|open| open.name == "table" && open.written).count();
        // A part of a table that is left out is left out, too.
        let table = self.open.iter().rev().find(|open| open.name == "table");
        let outside = TABLE_PARTS.contains(&name) && table.is_some_and(|table| !table.written);
        let depth = self.open.iter().filter(|open| open.written).count();
        let written = self.beyond == 0
            && depth < DEPTH_MAX
            && !outside
            && (name != "table" || tables < TABLES_MAX);
        if !VOID.contains(&name) {
            if self.open.len() < OPEN_MAX {
                self.open.push(Open { name, written });
            } else {
                self.beyond += 1;
            }
        }
        if !written && !INLINE.contains(&name) {
            self.part_words();
        }
        written
    }

    /// What stood in lines or cells of their own does not run together.
    fn part_words(&mut self) {
        let begun = self.out.html.is_empty() || self.out.html.ends_with('>');
        if !begun {
            self.out.html.push_str("<br>");
        }
    }

    /// Ends an element with everything in it, unless it is not open here: what stands in a cell
    /// ends nothing around its table.
    fn end(&mut self, name: &str) {
        if self.beyond > 0 {
            self.beyond -= 1;
            return;
        }
        let within: &[&str] = match name {
            "table" => &[],
            part if TABLE_PARTS.contains(&part) => &["table"],
            _ => &["table", "td", "th", "caption"],
        };
        let found =
            self.open.iter().rposition(|open| open.name == name || within.contains(&open.name));
        if let Some(at) = found.filter(|at| self.open[*at].name == name) {
            self.end_down_to(at);
        }
    }

    /// Ends the outermost element of these names that lies within none of those.
    fn end_outermost(&mut self, names: &[&str], within: &[&str]) {
        let begin =
            self.open.iter().rposition(|open| within.contains(&open.name)).map_or(0, |at| at + 1);
        let found = self.open[begin..].iter().position(|open| names.contains(&open.name));
        if let Some(at) = found.filter(|_| !names.is_empty()) {
            self.end_down_to(begin + at);
        }
    }

    fn end_down_to(&mut self, length: usize) {
        while self.open.len() > length {
            let Some(open) = self.open.pop() else { return };
            if open.written {
                let _ = write!(self.out.html, "</{}>", open.name);
            }
        }
    }

    fn element(&mut self, name: &'static str, attributes: &[(String, &str)]) {
        if !self.begin(name) {
            return;
        }
        let _ = write!(self.out.html, "<{name}");
        self.plain(attributes);
        let target =
            attributes.iter().find(|(key, _)| key == "href").map(|(_, value)| value.trim());
        if name == "a"
            && let Some(target) = target.filter(|target| is_link(target))
        {
            self.attribute("href", target);
            self.attribute("rel", "noopener noreferrer nofollow");
            self.attribute("target", "_blank");
        }
        self.out.html.push('>');
    }

    fn picture(&mut self, attributes: &[(String, &str)]) {
        let source = attributes.iter().find(|(key, _)| key == "src").map_or("", |(_, value)| value);
        let id = source.trim().get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("cid:"));
        let data = id.and_then(|_| self.pictures.get(&source.trim()[4..]));
        let Some(data) = data else {
            self.out.blocked += usize::from(!source.trim().is_empty());
            let words = attributes.iter().find(|(key, _)| key == "alt").map_or("", |(_, alt)| alt);
            self.out.html.push_str("<span>");
            let words = words.replace('<', "&lt;");
            self.text(&words);
            self.out.html.push_str("</span>");
            return;
        };
        self.out.html.push_str("<img");
        self.plain(attributes);
        self.attribute("src", data);
        self.out.html.push('>');
    }

    fn plain(&mut self, attributes: &[(String, &str)]) {
        for (key, value) in attributes {
            if value.len() > VALUE_BYTES_MAX {
                continue;
            }
            if ATTRIBUTES.contains(&key.as_str()) || (key == "style" && is_style(value)) {
                self.attribute(key, value);
            }
        }
    }

    fn attribute(&mut self, key: &str, value: &str) {
        let value = value.replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = write!(self.out.html, " {key}=\"{value}\"");
    }
}

/// What an address begins with is compared as it is written: whoever hides it behind entities
/// gets no link.
fn is_link(target: &str) -> bool {
    target.len() <= VALUE_BYTES_MAX
        && SCHEMES.iter().any(|scheme| {
            target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
        })
}

fn is_style(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    !NOT_IN_STYLE.iter().any(|word| value.contains(word))
}

/// Where a tag ends: at the first `>` outside quotes.
fn tag_end(rest: &str) -> Option<usize> {
    let (mut quote, mut after_equals) = (None, false);
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') if after_equals => quote = Some(byte),
            (None, _) => {}
        }
        if !byte.is_ascii_whitespace() {
            after_equals = byte == b'=';
        }
    }
    // An open quote swallows the rest in a browser, too; here the tag ends at its first `>`.
    rest.find('>')
}

/// Names in lower case with their values, which may have entities.
fn attributes(tag: &str) -> Vec<(String, &str)> {
    let (mut found, mut rest) = (Vec::new(), tag);
    let blank = |c: char| c.is_ascii_whitespace() || c == '/';
    while found.len() < ATTRIBUTES_MAX {
        rest = rest.trim_start_matches(blank);
        if rest.is_empty() {
            break;
        }
        // A name may begin with `=`, as browsers read it.
        let mut ends = rest.char_indices().skip(1).filter(|(_, c)| blank(*c) || *c == '=');
        let (name, after) = rest.split_at(ends.next().map_or(rest.len(), |(at, _)| at));
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('=') {
            Some(after) => value(after.trim_start()),
            None => ("", after),
        };
        found.push((name.to_ascii_lowercase(), value));
        rest = after;
    }
    found
}

fn value(rest: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inside) = rest.strip_prefix(quote) {
            return inside.split_once(quote).unwrap_or((inside, ""));
        }
    }
    let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
    rest.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(page: &str, expected: &str) {
        let pictures =
            BTreeMap::from([("logo@x".to_owned(), "data:image/png;base64,AA==".to_owned())]);
        assert_eq!(write(page, &pictures).unwrap().html, expected);
    }

    #[test]
    fn what_is_harmless_stays() {
        check("<p align=center>Hi <b>you</b></p>", "<p align=\"center\">Hi <b>you</b></p>");
        check("a < b && c > d &amp; e", "a &lt; b && c &gt; d &amp; e");
        check("<td style='color:red' onclick=x>", "<td style=\"color:red\"></td>");
        check("日本<br/>語", "日本<br>語");
    }

    #[test]
    fn what_runs_or_loads_goes() {
        check("a<script>alert(1)</script>b", "ab");
        check("a<SCRIPT >x</ScRiPt >b", "ab");
        check("<style>@import url(x)</style>x<link rel=preconnect href=//e>", "x");
        check("<svg><animate onbegin=x></svg>y<iframe src=//e></iframe>", "y");
        check("<meta http-equiv=refresh content='0;url=//e'><base href=//e>z", "z");
        check("<p style=\"background:url(//e)\">", "<p></p>");
        check("<p style=\"background:u\\72l(//e)\">", "<p></p>");
        check("<form action=//e><input name=a>ok</form>", "ok");
        check("<!--[if mso]><img src=//e><![endif]-->k", "k");
        check("<table background=//e><img srcset=//e>", "<table><span></span></table>");
    }

    #[test]
    fn links_lead_to_pages_and_mail_only() {
        let rel = "rel=\"noopener noreferrer nofollow\" target=\"_blank\"";
        check("<a href=https://e/>x</a>", &format!("<a href=\"https://e/\" {rel}>x</a>"));
        check("<a href=' HTTPS://e'>x</a>", &format!("<a href=\"HTTPS://e\" {rel}>x</a>"));
        check("<a href=javascript:x>x</a>", "<a>x</a>");
        check("<a href=\"java&#115;cript:x\">x</a>", "<a>x</a>");
        check("<a href=//e>x</a>", "<a>x</a>");
        check("<a href='data:text/html,x'>x</a>", "<a>x</a>");
        check(
            "<a href='https://e/\"><script>'>x</a>",
            &format!("<a href=\"https://e/&quot;&gt;&lt;script&gt;\" {rel}>x</a>"),
        );
    }

    #[test]
    fn pictures_of_the_mail_itself_come_along() {
        check("<img src=cid:logo@x alt=L>", "<img alt=\"L\" src=\"data:image/png;base64,AA==\">");
        check("<img src=cid:other>", "<span></span>");
        check("<img src=https://e/p.gif alt='a<b'>", "<span>a&lt;b</span>");
        let written = write("<img src=https://e/p.gif><img src=x><img>", &BTreeMap::new()).unwrap();
        assert_eq!(written.blocked, 2);
    }

    #[test]
    fn broken_pages_are_read_to_their_end() {
        check("a<b", "a");
        check("a<script>b", "ab");
        check("<p title=\"x>y", "<p title=\"x\">y</p>");
        check("<>< p>", "&lt;&gt;&lt; p&gt;");
        check("<p =x>", "<p></p>");
        check("<p ü=é>", "<p></p>");
    }

    #[test]
    fn every_element_is_ended_in_order() {
        check("<b>a<i>b</b>c</i>d", "<b>a<i>b</i></b>cd");
        check("a</p></div></table>b</br>", "ab<br>");
        check("<ul><li>a<li>b</ul>c", "<ul><li>a</li><li>b</li></ul>c");
        check("<p>a<p>b<div>c", "<p>a</p><p>b</p><div>c</div>");
        check("<dl><dt>a<dd>b</dl>", "<dl><dt>a</dt><dd>b</dd></dl>");
        check(
            "<table><tr><td>a<td>b<tr><td>c</table>d",
            "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>d",
        );
        check(
            "<div><table><td>a</div>b</td></table>c</div>",
            "<div><table><td>ab</td></table>c</div>",
        );
        check(
            "<table><td><table><td>a</table>b",
            "<table><td><table><td>a</td></table>b</td></table>",
        );
    }

    /// How deep elements lie within each other, and tables.
    fn depth(html: &str) -> (usize, usize) {
        let (mut open, mut deepest, mut tables) = (Vec::new(), 0, 0);
        for tag in html.split('<').skip(1) {
            let tag = tag.split_once('>').unwrap().0;
            match tag.strip_prefix('/') {
                Some(ended) => assert_eq!(open.pop(), Some(ended.to_owned()), "ended in order"),
                None => {
                    let name = tag.split(' ').next().unwrap();
                    if !VOID.contains(&name) {
                        open.push(name.to_owned());
                    }
                }
            }
            deepest = deepest.max(open.len());
            tables = tables.max(open.iter().filter(|name| *name == "table").count());
        }
        assert!(open.is_empty(), "everything is ended");
        (deepest, tables)
    }

    #[test]
    fn deep_pages_are_flattened_and_keep_their_text() {
        let many = 20_000;
        for begin in [
            "<b>",
            "<div>",
            "<table>",
            "<blockquote>",
            "<table><tr><td>",
            "<font size=1>",
            "<ul><li>",
            "<a href=https://e/>",
            "<p><b>",
            "<table><b>",
            "<b><i></b>",
            "<span style='color:red'>",
        ] {
            let ends = begin.split('<').skip(1).filter_map(|tag| tag.split([' ', '>']).next());
            let ends: String = ends.map(|name| format!("</{name}>")).collect();
            for page in [
                format!("{}middle", begin.repeat(many)),
                format!("{}middle{}", begin.repeat(many / 4), ends.repeat(many / 4)),
                format!("{}middle{}", begin.repeat(many / 4), "</i>".repeat(many)),
            ] {
                let Some(written) = write(&page, &BTreeMap::new()) else {
                    assert!(page.matches('<').count() > TAGS_MAX);
                    continue;
                };
                let (deepest, tables) = depth(&written.html);
                assert!(
                    deepest <= DEPTH_MAX && tables <= TABLES_MAX,
                    "{begin}: {deepest}, {tables}"
                );
                assert!(written.html.contains("middle"), "{begin}");
            }
        }
    }

    #[test]
    fn words_of_what_is_left_out_do_not_run_together() {
        let page = format!("{}<table><tr><td>a<td>b</table>", "<div>".repeat(DEPTH_MAX));
        let written = write(&page, &BTreeMap::new()).unwrap().html;
        assert!(written.contains("a<br>b</div>"), "{written}");
    }

    #[test]
    fn large_pages_are_left_to_the_text() {
        assert_eq!(write(&"<b>".repeat(TAGS_MAX + 1), &BTreeMap::new()), None);
        assert_eq!(write(&"x".repeat(PAGE_BYTES_MAX + 1), &BTreeMap::new()), None);
    }

    #[test]
    fn time_does_not_grow_with_the_square() {
        let page = "<script>".repeat(TAGS_MAX);
        assert_eq!(write(&page, &BTreeMap::new()).unwrap().html, "");
        let page = format!("{}<p>", "</x".repeat(200_000));
        assert!(write(&page, &BTreeMap::new()).is_some());
    }
}

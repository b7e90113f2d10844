//! Text that strangers wrote, as markup: escaped, with links that lead where they say, quotations
//! folded, and nothing hidden by invisible characters.
//!
//! Architecture invariant: every character of the text is on the page, or its code is; what was cut
//! short ends with an ellipsis.

use maud::{Markup, PreEscaped, Render, html};

use super::foreign::hidden;
use crate::core::invisible;
use crate::core::quoting::{self, Part};

/// A quotation of so many lines is folded; a shorter one is read faster than it is opened.
const FOLDED_LINES_MIN: usize = 4;
/// Links in one text; what comes after is text.
const LINKS_MAX: usize = 500;
/// Longest address that becomes a link, in bytes.
const LINK_BYTES_MAX: usize = 2_000;

/// A text of several lines. `folded` names what is folded: "3 lines quoted".
pub fn text(text: &str, folded: impl Fn(Part, usize) -> String) -> Markup {
    let mut links = LINKS_MAX;
    let blocks = quoting::blocks(text);
    let is_said = |line: &&str| !line.trim().is_empty();
    // Where nothing else stands there, what was quoted is what the author wants to be read.
    let is_answer =
        blocks.iter().any(|block| block.part == Part::Written && block.lines.iter().any(is_said));
    html! {
        @for block in blocks {
            @let is_aside = block.part != Part::Written;
            @if is_answer && is_aside && block.lines.len() >= FOLDED_LINES_MIN {
                details.quoted {
                    summary { (folded(block.part, block.lines.len())) }
                    div.text { (lines(&block.lines, &mut links)) }
                }
            } @else {
                div.text.quote[is_aside] { (lines(&block.lines, &mut links)) }
            }
        }
    }
}

/// A text of one line: a subject, a name, an address.
pub fn line(text: &str) -> Markup {
    let mut out = String::new();
    for (c, hidden) in invisible::marked(text) {
        match hidden || c.is_control() {
            true => code_of(c, &mut out),
            false => c.render_to(&mut out),
        }
    }
    PreEscaped(out)
}

/// The beginning of a line, for lists; the whole stands on the page that it leads to.
pub fn short(text: &str, columns: usize) -> Markup {
    let shown = beginning(text, columns);
    html! { (line(shown)) @if shown.len() < text.len() { "…" } }
}

/// As much of a text as has room; a character of Chinese, Japanese or Korean takes two columns.
pub(super) fn beginning(text: &str, columns: usize) -> &str {
    let mut room = columns;
    for (at, c) in text.char_indices() {
        let width = if c < '\u{1100}' { 1 } else { 2 };
        if width > room {
            return &text[..at];
        }
        room -= width;
    }
    text
}

/// The beginning of a text that takes so many bytes of a page.
pub(super) fn fitting(text: &str, bytes: usize) -> &str {
    let mut room = bytes;
    for (at, c) in text.char_indices() {
        match room.checked_sub(takes(c)) {
            Some(rest) => room = rest,
            None => return &text[..at],
        }
    }
    text
}

/// Bytes that a text takes of a page.
pub(super) fn weight(text: &str) -> usize {
    text.chars().map(takes).sum()
}

/// What stands for some characters is longer than they are.
fn takes(c: char) -> usize {
    match c {
        '<' | '>' => "&lt;".len(),
        '&' => "&amp;".len(),
        '"' => "&quot;".len(),
        '\n' | '\t' => 1,
        other if hidden(other) => "[U+10FFFF]".len(),
        other => other.len_utf8(),
    }
}

/// Who wrote, as written, with a warning where the address is not what it seems.
pub fn person(written: &str, warning: &str) -> Markup {
    let doubt = doubtful(written);
    html! {
        bdi { (line(written)) }
        @if let Some(doubt) = doubt { " " span.badge.bad title=(warning) { "⚠ " (doubt) } }
    }
}

/// What an address really is, if it does not look like it: letters of other scripts as punycode, or
/// the address behind a name that is another address.
fn doubtful(written: &str) -> Option<String> {
    let (name, address) = match written.rsplit_once('<') {
        Some((name, address)) => (name, address.trim_end().trim_end_matches('>')),
        None => ("", written),
    };
    let (local, domain) = address.trim().rsplit_once('@')?;
    if !address.is_ascii() {
        let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| escaped(domain));
        return Some(format!("{}@{domain}", escaped(local)));
    }
    let claimed = name.split(|c: char| c.is_whitespace() || "\"'()<>".contains(c));
    let mut claimed = claimed.filter(|word| word.contains('@') && word.contains('.'));
    claimed
        .any(|word| !word.eq_ignore_ascii_case(address.trim()))
        .then(|| address.trim().to_owned())
}

fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_graphic() { c.to_string() } else { format!("U+{:04X}", c as u32) })
        .collect()
}

fn lines(lines: &[&str], links: &mut usize) -> Markup {
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        linked(line, links, &mut out);
    }
    PreEscaped(out)
}

/// A line with its web addresses as links.
fn linked(line: &str, links: &mut usize, out: &mut String) {
    let mut rest = line;
    while *links > 0
        && let Some(start) = find_link(rest)
    {
        visible(&rest[..start], out);
        let link = &rest[start..start + link_length(&rest[start..])];
        rest = &rest[start + link.len()..];
        if link.len() > LINK_BYTES_MAX || link.chars().any(hidden) {
            visible(link, out);
            continue;
        }
        *links -= 1;
        out.push_str("<a rel=\"noopener noreferrer nofollow\" target=\"_blank\" href=\"");
        link.render_to(out);
        out.push_str("\">");
        visible(link, out);
        out.push_str("</a>");
    }
    visible(rest, out);
}

/// Where a web address begins: not within a word.
fn find_link(text: &str) -> Option<usize> {
    text.match_indices("http").map(|(at, _)| at).find(|at| {
        let before = text[..*at].chars().next_back();
        let fits = before.is_none_or(|before| !before.is_ascii_alphanumeric());
        fits && ["http://", "https://"].iter().any(|scheme| {
            text[*at..].strip_prefix(scheme).is_some_and(|host| host.starts_with(is_of_link))
        })
    })
}

fn is_of_link(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&()*+,;=%".contains(c)
}

/// An address ends before what belongs to the sentence around it.
fn link_length(text: &str) -> usize {
    let end = text.find(|c| !is_of_link(c)).unwrap_or(text.len());
    let link = &text[..end];
    let link = link.trim_end_matches(|c| ".,;:!?)]".contains(c));
    // A parenthesis that was opened within belongs to it.
    if text[link.len()..].starts_with(')') && link.contains('(') {
        link.len() + 1
    } else {
        link.len()
    }
}

/// A stretch of text, with characters that turn its direction shown as their codes.
fn visible(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(invisible::turns) {
        rest[..at].render_to(out);
        let c = rest[at..].chars().next().unwrap_or_default();
        code_of(c, out);
        rest = &rest[at + c.len_utf8()..];
    }
    rest.render_to(out);
}

fn code_of(c: char, out: &mut String) {
    html! { span.code { (format!("U+{:04X}", c as u32)) } }.render_to(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, expected: &str) {
        let shown = text(written, |_, lines| format!("{lines} quoted")).into_string();
        assert_eq!(shown, expected);
    }

    const LINK: &str = "<a rel=\"noopener noreferrer nofollow\" target=\"_blank\" href=";

    #[test]
    fn what_is_short_stays_and_what_is_long_ends_with_an_ellipsis() {
        assert_eq!(short("<b> 紙", 6).into_string(), "&lt;b&gt; 紙");
        assert_eq!(short("<b> 紙", 5).into_string(), "&lt;b&gt; …");
        assert_eq!(short("請求書", 5).into_string(), "請求…");
        assert_eq!(short("", 0).into_string(), "");
    }

    #[test]
    fn a_text_is_cut_by_what_it_takes_of_a_page() {
        assert_eq!(fitting("<<<", 8), "<<");
        assert_eq!(fitting("a&b", 6), "a&");
        assert_eq!(fitting("請求書", 8), "請求");
        assert_eq!(fitting("\u{202E}x", 9), "");
        assert_eq!(fitting("whole", 5), "whole");
    }

    #[test]
    fn text_is_escaped() {
        check("a <b> & \"c\"", "<div class=\"text\">a &lt;b&gt; &amp; &quot;c&quot;</div>");
    }

    #[test]
    fn web_addresses_become_links() {
        let link = format!("{LINK}\"https://e.test/a?b=1\">https://e.test/a?b=1</a>");
        check("see https://e.test/a?b=1.", &format!("<div class=\"text\">see {link}.</div>"));
        let link = format!("{LINK}\"http://x\">http://x</a>");
        check(
            "http://x\"onmouseover=y",
            &format!("<div class=\"text\">{link}&quot;onmouseover=y</div>"),
        );
        let link = format!("{LINK}\"https://e/a_(b)\">https://e/a_(b)</a>");
        check("(https://e/a_(b))", &format!("<div class=\"text\">({link})</div>"));
        check("javascript:x xhttps://e", "<div class=\"text\">javascript:x xhttps://e</div>");
        let link = format!("{LINK}\"https://e/\">https://e/</a>");
        check("https://e/をご覧", &format!("<div class=\"text\">{link}をご覧</div>"));
    }

    #[test]
    fn long_quotations_are_folded_and_never_lost() {
        check(
            "ok\n> a\n> b\n> c\n> d\nend",
            "<div class=\"text\">ok</div><details class=\"quoted\"><summary>4 quoted</summary>\
             <div class=\"text\">&gt; a\n&gt; b\n&gt; c\n&gt; d</div></details>\
             <div class=\"text\">end</div>",
        );
        check("> a", "<div class=\"text quote\">&gt; a</div>");
        let old = "ok\n-----Original Message-----\nFrom: a\nb\nc";
        assert!(
            text(old, |_, _| String::new()).into_string().contains("From: a\nb\nc</div></details>")
        );
    }

    #[test]
    fn what_turns_the_direction_is_shown() {
        check("a\u{202e}b", "<div class=\"text\">a<span class=\"code\">U+202E</span>b</div>");
        assert_eq!(
            line("cod\u{202e}\u{200b}\r").into_string(),
            "cod<span class=\"code\">U+202E</span><span class=\"code\">U+200B</span>\
             <span class=\"code\">U+000D</span>"
        );
    }

    #[track_caller]
    fn check_person(written: &str, expected: Option<&str>) {
        assert_eq!(doubtful(written).as_deref(), expected);
    }

    #[test]
    fn addresses_that_are_not_what_they_seem() {
        check_person("Eve <eve@customer.example>", None);
        check_person("eve@customer.example", None);
        check_person("PayPal <x@р\u{430}ypal.test>", Some("x@xn--ypal-43d9g.test"));
        check_person("\"support@corp.example\" <eve@evil.test>", Some("eve@evil.test"));
        check_person("eve@evil.test <eve@evil.test>", None);
        check_person("鈴木 <suzuki@kyaku.test>", None);
    }
}

//! Hands out bytes that strangers sent us, so that no browser runs them.
//!
//! Architecture invariant: the answer is always an attachment, never sniffed, and anything a
//! browser could run leaves as plain octets.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::core::invisible;

/// Media types that a browser shows without running anything.
const HARMLESS: [&str; 10] = [
    "application/pdf",
    "application/zip",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "message/rfc822",
    "text/calendar",
    "text/csv",
    "text/plain",
];

/// Characters of a file name that are kept.
const NAME_CHARS_MAX: usize = 150;

/// An answer with these bytes under this name.
pub fn attachment(name: &str, content_type: &str, bytes: impl Into<Bytes>) -> Response {
    let mut response = Body::from(bytes.into()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(safe_type(content_type)));
    headers.insert(header::CONTENT_DISPOSITION, disposition(name));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'"),
    );
    response
}

fn safe_type(content_type: &str) -> &'static str {
    let known = HARMLESS.into_iter().find(|known| known.eq_ignore_ascii_case(content_type.trim()));
    known.unwrap_or("application/octet-stream")
}

/// RFC 6266 section 4: a plain ASCII name for old programs, and the real one in RFC 8187 form.
fn disposition(name: &str) -> HeaderValue {
    let harmful = |c: char, hidden: bool| hidden || c.is_control() || "/\\:*?\"<>|".contains(c);
    let clean: String = invisible::marked(name)
        .map(|(c, hidden)| if harmful(c, hidden) { '_' } else { c })
        .take(NAME_CHARS_MAX)
        .collect();
    let clean = match clean.trim_matches(|c: char| c == '.' || c.is_whitespace()) {
        "" => "attachment",
        name => name,
    };
    let plain: String =
        clean.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '_' }).collect();
    let plain = plain.replace('%', "_");
    let encoded: String = clean.bytes().map(encode).collect();
    HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"))
        .expect("only visible ASCII is left")
}

/// RFC 8187 section 3.2.1, `attr-char`.
fn encode(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        let expected = format!("attachment; {expected}");
        assert_eq!(disposition(name).to_str().unwrap(), expected);
    }

    #[test]
    fn plain_names() {
        check("report.pdf", "filename=\"report.pdf\"; filename*=UTF-8''report.pdf");
    }

    #[test]
    fn japanese_names() {
        check("見.pdf", "filename=\"_.pdf\"; filename*=UTF-8''%E8%A6%8B.pdf");
    }

    #[test]
    fn names_that_attack() {
        check("../../a\r\nX: \"b", "filename=\"_.._a__X_ _b\"; filename*=UTF-8''_.._a__X_%20_b");
        check("..", "filename=\"attachment\"; filename*=UTF-8''attachment");
        check("a\u{202e}fdp.exe", "filename=\"a_fdp.exe\"; filename*=UTF-8''a_fdp.exe");
        check(
            "a\u{200b}\u{61c}\u{e0041}.exe\u{200d}",
            "filename=\"a___.exe_\"; filename*=UTF-8''a___.exe_",
        );
    }

    #[test]
    fn nothing_a_browser_runs() {
        for content_type in [
            "text/html",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "text/javascript",
            "x",
        ] {
            assert_eq!(safe_type(content_type), "application/octet-stream");
        }
        assert_eq!(safe_type("IMAGE/PNG"), "image/png");
    }
}

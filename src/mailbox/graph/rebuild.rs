//! A mail that Exchange cannot convert to MIME, put together from what it gives of it.
//!
//! `$value` of opaque S/MIME, and of some mails with items attached, answers 500
//! `ErrorMimeContentConversionFailed` at every attempt (github.com/LogicLabs-OU/OpenArchiver issue
//! 487, github.com/ecederstrand/exchangelib issues 194 and 266). Header lines, body and attachments
//! can be had all the same (`api/message-get`, `api/message-list-attachments`).
//!
//! Architecture invariant: a mail that cannot be put together whole is not given; it stays where it
//! is and comes to quarantine.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::super::{Fetched, MailboxError};
use super::parts::{Line, Parts, Person, write_field, write_fields};
use super::{failed, message};
use crate::graph::{Graph, GraphError};
use crate::net::http::{HttpError, Method};

/// Attachments of one mail that are put together.
const ATTACHMENTS_MAX: usize = 200;
/// Bytes of a line of base64 (RFC 2045 section 6.8).
const LINE_BYTES: usize = 76;
/// Separates the parts. Base64 has no such characters (RFC 2046 section 5.1.1).
const BOUNDARY: &str = "=_rebuilt_from_parts_=";

/// Whether the service has the mail and cannot convert it.
pub(super) fn is_not_convertible(error: &GraphError) -> bool {
    matches!(
        error.code(),
        "ErrorMimeContentConversionFailed" | "ErrorContentConversionFailed" | "ErrorItemCorrupt"
    )
}

#[derive(Deserialize)]
struct Attachments {
    value: Vec<Attachment>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    name: Option<String>,
    content_type: Option<String>,
    /// Absent of attached items and of links.
    content_bytes: Option<String>,
}

/// Puts the mail together; what cannot be had whole is [`Fetched::Missing`].
pub(super) async fn from_parts(
    graph: &Graph,
    id: &str,
    max_size_bytes: u64,
) -> Result<Fetched, MailboxError> {
    let query = "?$select=internetMessageHeaders,internetMessageId,subject,from,toRecipients,\
                 sentDateTime,body";
    let bytes_max = usize::try_from(max_size_bytes.saturating_mul(2)).unwrap_or(usize::MAX);
    let call = graph.call(Method::GET, &message(id, query)).answer(bytes_max, max_size_bytes);
    let Some(parts) = given(graph.ask::<Parts>(call).await)? else { return Ok(Fetched::Missing) };
    let call = graph.call(Method::GET, &message(id, "/attachments"));
    let call = call.answer(bytes_max, max_size_bytes);
    let attachments = given(graph.ask::<Attachments>(call).await)?;
    let Some(attachments) = attachments.filter(|all| all.next.is_none()) else {
        return Ok(Fetched::Missing);
    };
    let raw = together(&parts, &attachments.value);
    let fits = raw.filter(|raw| raw.len() as u64 <= max_size_bytes);
    Ok(fits.map_or(Fetched::Missing, Fetched::Mail))
}

/// What the service gave; `None` if it has only this mail's trouble.
fn given<T>(answer: Result<T, GraphError>) -> Result<Option<T>, MailboxError> {
    match answer {
        Ok(given) => Ok(Some(given)),
        Err(GraphError::Http(HttpError::TooLarge(..))) => Ok(None),
        Err(GraphError::Refused { status, .. }) if status != 401 => Ok(None),
        Err(error) => Err(failed("fetch", error)),
    }
}

/// The mail; `None` if a part is not given.
fn together(parts: &Parts, attachments: &[Attachment]) -> Option<Vec<u8>> {
    if attachments.len() > ATTACHMENTS_MAX {
        return None;
    }
    let lines = parts.internet_message_headers.as_deref().unwrap_or_default();
    let kind = field(lines, "content-type");
    let mut raw = header(parts, lines);
    // Opaque S/MIME: the one attachment is the whole content (RFC 8551 section 3.2).
    if let (Some(kind), [content]) = (kind.filter(|kind| is_opaque(kind)), attachments) {
        write_field(&mut raw, "MIME-Version", "1.0");
        write_field(&mut raw, "Content-Type", kind);
        write_base64(&mut raw, &content.bytes()?);
        return Some(raw);
    }
    write_field(&mut raw, "MIME-Version", "1.0");
    let mixed = format!("multipart/mixed; boundary=\"{BOUNDARY}\"");
    write_field(&mut raw, "Content-Type", &mixed);
    raw.extend_from_slice(format!("\r\n--{BOUNDARY}\r\n").as_bytes());
    let body = parts.body.as_ref()?;
    let is_html = body.content_type.as_deref().is_some_and(|it| it.eq_ignore_ascii_case("html"));
    let kind = if is_html { "text/html; charset=utf-8" } else { "text/plain; charset=utf-8" };
    write_field(&mut raw, "Content-Type", kind);
    write_base64(&mut raw, body.content.as_deref().unwrap_or_default().as_bytes());
    for attachment in attachments {
        raw.extend_from_slice(format!("--{BOUNDARY}\r\n").as_bytes());
        let kind = attachment.content_type.as_deref().filter(|kind| kind.contains('/'));
        write_field(&mut raw, "Content-Type", kind.unwrap_or("application/octet-stream"));
        // RFC 2231 section 4.
        let name =
            crate::net::http::percent_encoded(attachment.name.as_deref().unwrap_or_default());
        let disposition = format!("attachment; filename*=utf-8''{name}");
        write_field(&mut raw, "Content-Disposition", &disposition);
        write_base64(&mut raw, &attachment.bytes()?);
    }
    raw.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    Some(raw)
}

/// The header without what describes the content.
fn header(parts: &Parts, lines: &[Line]) -> Vec<u8> {
    let mut header = Vec::new();
    for line in lines {
        let name = line.name.to_ascii_lowercase();
        if name != "mime-version" && !name.starts_with("content-") {
            write_field(&mut header, &line.name, &line.value);
        }
    }
    // A mail that never left the organisation has no header lines.
    if header.is_empty() {
        let to: Vec<String> = parts.to_recipients.iter().filter_map(Person::address).collect();
        let date = parts.sent_date_time.as_deref().and_then(|at| at.parse().ok());
        let date = date.and_then(|at: jiff::Timestamp| {
            jiff::fmt::rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)).ok()
        });
        let fields = [
            ("From", parts.from.as_ref().and_then(Person::address)),
            ("To", Some(to.join(", "))),
            ("Date", date),
            ("Subject", parts.subject.clone()),
            ("Message-ID", parts.internet_message_id.clone()),
        ];
        write_fields(&mut header, fields);
    }
    header
}

fn field<'a>(lines: &'a [Line], name: &str) -> Option<&'a str> {
    lines.iter().find(|line| line.name.eq_ignore_ascii_case(name)).map(|line| line.value.as_str())
}

fn is_opaque(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    ["application/pkcs7-mime", "application/x-pkcs7-mime"]
        .iter()
        .any(|known| kind.eq_ignore_ascii_case(known))
}

impl Attachment {
    fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.content_bytes.as_deref()?).ok()
    }
}

/// A body in base64, with the end of the header before it.
fn write_base64(raw: &mut Vec<u8>, bytes: &[u8]) {
    write_field(raw, "Content-Transfer-Encoding", "base64");
    raw.extend_from_slice(b"\r\n");
    for line in STANDARD.encode(bytes).as_bytes().chunks(LINE_BYTES) {
        raw.extend_from_slice(line);
        raw.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parts: &str, attachments: &str, expected: Option<&str>) {
        let parts: Parts = serde_json::from_str(parts).unwrap();
        let attachments: Vec<Attachment> = serde_json::from_str(attachments).unwrap();
        let raw = together(&parts, &attachments).map(|raw| String::from_utf8(raw).unwrap());
        assert_eq!(raw.as_deref(), expected);
    }

    #[test]
    fn opaque_smime_keeps_its_type_and_content() {
        check(
            r#"{"internetMessageHeaders": [{"name": "From", "value": "eve@cust.test"},
                {"name": "Content-Type", "value": "application/pkcs7-mime; name=smime.p7m"},
                {"name": "Content-Transfer-Encoding", "value": "binary"}]}"#,
            r#"[{"name": "smime.p7m", "contentType": "multipart/signed", "contentBytes": "AQID"}]"#,
            Some(
                "From: eve@cust.test\r\nMIME-Version: 1.0\r\n\
                 Content-Type: application/pkcs7-mime; name=smime.p7m\r\n\
                 Content-Transfer-Encoding: base64\r\n\r\nAQID\r\n",
            ),
        );
    }

    #[test]
    fn body_and_attachments() {
        check(
            r#"{"subject": "Hi", "from": {"emailAddress": {"address": "eve@x.test"}},
                "sentDateTime": "2026-07-01T00:00:00Z",
                "body": {"contentType": "html", "content": "<p>"}}"#,
            r#"[{"name": "ä b\r\n.txt", "contentType": "text/plain", "contentBytes": "AQID"}]"#,
            Some(
                "From: eve@x.test\r\nDate: Wed, 1 Jul 2026 00:00:00 +0000\r\nSubject: Hi\r\n\
                 MIME-Version: 1.0\r\nContent-Type: multipart/mixed; \
                 boundary=\"=_rebuilt_from_parts_=\"\r\n\r\n--=_rebuilt_from_parts_=\r\n\
                 Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
                 PHA+\r\n--=_rebuilt_from_parts_=\r\nContent-Type: text/plain\r\n\
                 Content-Disposition: attachment; filename*=utf-8''%C3%A4%20b%0D%0A.txt\r\n\
                 Content-Transfer-Encoding: base64\r\n\r\nAQID\r\n--=_rebuilt_from_parts_=--\r\n",
            ),
        );
    }

    #[test]
    fn what_is_not_given_whole_is_not_given() {
        let text = r#"{"body": {"contentType": "text", "content": ""}}"#;
        check(text, r#"[{"name": "item", "contentType": null}]"#, None);
        check(text, r#"[{"name": "x", "contentBytes": "%"}]"#, None);
        check("{}", "[]", None);
    }
}

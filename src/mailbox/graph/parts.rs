//! What Microsoft Graph gives of a message apart from its MIME content (`resources/message`), and
//! header fields that are written from it.

use serde::Deserialize;

use super::super::HEADER_BYTES_MAX;

/// A message; what was not asked for is absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parts {
    pub internet_message_headers: Option<Vec<Line>>,
    pub internet_message_id: Option<String>,
    pub subject: Option<String>,
    pub from: Option<Person>,
    #[serde(default)]
    pub to_recipients: Vec<Person>,
    pub sent_date_time: Option<String>,
    pub body: Option<Body>,
}

#[derive(Deserialize)]
pub(super) struct Line {
    pub name: String,
    pub value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Person {
    email_address: Option<EmailAddress>,
}

#[derive(Deserialize)]
struct EmailAddress {
    address: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    pub content_type: Option<String>,
    pub content: Option<String>,
}

impl Person {
    pub fn address(&self) -> Option<String> {
        self.email_address.as_ref()?.address.clone()
    }
}

/// Writes those of these fields that have a value.
pub(super) fn write_fields<'a>(
    header: &mut Vec<u8>,
    fields: impl IntoIterator<Item = (&'a str, Option<String>)>,
) {
    for (name, value) in fields {
        write_field(header, name, value.as_deref().unwrap_or_default());
    }
}

/// One header field on one line; what would end it becomes a space.
pub(super) fn write_field(header: &mut Vec<u8>, name: &str, value: &str) {
    let name: String = name.chars().filter(|c| c.is_ascii_graphic() && *c != ':').collect();
    let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let field = format!("{name}: {}\r\n", value.trim());
    let room = HEADER_BYTES_MAX as usize;
    if !name.is_empty() && !value.trim().is_empty() && header.len() + field.len() < room {
        header.extend_from_slice(field.as_bytes());
    }
}

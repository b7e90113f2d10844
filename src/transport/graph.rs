//! Sends through Microsoft Graph (`api/user-sendmail`, MIME format, beneath
//! `https://learn.microsoft.com/graph/`).
//!
//! The service has no envelope: it sends to whom the header names, from the mailbox it is asked
//! for. So each mail is handed over with its one recipient in the header, and the envelope sender
//! of the configuration is not used.
//!
//! There is no key either by which the service would know a repeated call
//! (learn.microsoft.com/answers/questions/5882045), and an error may come after the mail went out. So
//! a mail that may have been sent is looked for by its Message-ID before it is sent again.
//!
//! Architecture invariant: a mail reaches no one but the recipient of its own row, and is not sent
//! again while the service may have carried out an earlier attempt.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Deserialize;

use super::{Earlier, clean, down};
use crate::core::config::{Endpoint, Text};
use crate::core::outgoing::{Attempt, Outgoing};
use crate::graph::{Graph, GraphError, WAIT_INLINE_MAX, WAIT_MIN, encoded};
use crate::net::NetError;
use crate::net::http::{HttpError, Method};
use crate::secret::{SecretError, Secrets};

/// How often a mail is sent again in one attempt because the service wanted us to wait.
const WAITS_MAX: u32 = 3;
/// Messages with one Message-ID that are looked at; ours has one copy in *Sent Items*.
const FOUND_MAX: usize = 10;

/// A mailbox that sends.
pub struct Mailbox {
    /// Name of the server in the configuration.
    name: String,
    graph: Graph,
    usable: bool,
}

impl Mailbox {
    /// Reads what is declared by reference. Nothing is asked before the first mail.
    pub fn open(
        name: &str,
        endpoint: &Endpoint,
        mailbox: Option<&Text>,
        secrets: &Secrets,
        token: Option<&SecretString>,
    ) -> Result<Mailbox, Attempt> {
        let token = token.ok_or_else(|| down("auth", "there is no access token"))?;
        let unreadable = |error: SecretError| down("auth", error);
        let host = secrets.text(&endpoint.host).map_err(unreadable)?;
        let mailbox = mailbox.ok_or_else(|| down("auth", "no mailbox is named"))?;
        let mailbox = secrets.text(mailbox).map_err(unreadable)?;
        let graph = Graph::new(endpoint, &host, &mailbox, token.clone());
        Ok(Mailbox { name: name.to_owned(), graph, usable: true })
    }

    /// Hands one mail over, unless an earlier attempt turns out to have sent it.
    pub async fn send(&mut self, mail: &Outgoing, earlier: Earlier) -> Attempt {
        let attempt = self.try_to_send(mail, earlier).await.unwrap_or_else(|attempt| attempt);
        // The token may have to be another one.
        self.usable = !matches!(attempt, Attempt::ServerDown { .. } | Attempt::InDoubt { .. });
        attempt
    }

    async fn try_to_send(&self, mail: &Outgoing, earlier: Earlier) -> Result<Attempt, Attempt> {
        if earlier != Earlier::Nothing && self.was_sent(mail, earlier).await? {
            return Ok(Attempt::Sent);
        }
        let body = STANDARD.encode(for_one(&mail.raw, mail.recipient.as_str())).into_bytes();
        for _ in 0..WAITS_MAX {
            let call = self.graph.call(Method::POST, "/sendMail").body("text/plain", body.clone());
            let error = match self.graph.carry_out(call).await {
                Ok(_) => return Ok(Attempt::Sent),
                Err(error) => error,
            };
            let wait = match error {
                // Documented as not carried out (`throttling`). Reports say that it may have been.
                GraphError::NotRepeated { status: 429 | 503, retry_after: Some(wait) } => wait,
                other => return Err(self.judge(other)),
            };
            if wait > WAIT_INLINE_MAX {
                return Err(down("throttled", GraphError::Busy(wait)));
            }
            tokio::time::sleep(wait.max(WAIT_MIN)).await;
            if self.was_sent(mail, Earlier::Perhaps).await? {
                return Ok(Attempt::Sent);
            }
        }
        Err(down("throttled", "the service asks us to wait again and again"))
    }

    /// Whether a mail with its Message-ID lies anywhere in the mailbox that is no draft: as it goes
    /// out it lies in the outbox, then in *Sent Items* (`api/user-list-messages`).
    async fn was_sent(&self, mail: &Outgoing, earlier: Earlier) -> Result<bool, Attempt> {
        #[derive(Deserialize)]
        struct Found {
            value: Vec<Message>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Message {
            is_draft: Option<bool>,
        }
        // A quote within is doubled (OData 4.01 URL conventions, section 5.1.1.6.2).
        let id = encoded(&format!("<{}>", mail.message_id).replace('\'', "''"));
        let path = format!(
            "/messages?$filter=internetMessageId%20eq%20'{id}'&$select=id,isDraft&$top={FOUND_MAX}"
        );
        match self.graph.ask::<Found>(self.graph.call(Method::GET, &path)).await {
            Ok(found) => Ok(found.value.iter().any(|message| message.is_draft == Some(false))),
            // A sender may have the permission Mail.Send alone.
            Err(GraphError::Refused { status: 403, .. }) if earlier == Earlier::Perhaps => {
                Ok(false)
            }
            Err(GraphError::Refused { status: 403, code, .. }) => {
                Err(Attempt::Temporary(clean(&format!(
                    "the service may have sent it, and does not let us look into the mailbox \
                     ({code}); it is not sent again unless the permission Mail.ReadWrite is granted"
                ))))
            }
            Err(error) => Err(self.judge_question(error)),
        }
    }

    /// Whether the token and the connection still served at the last mail.
    pub fn usable(&self) -> bool {
        self.usable
    }
}

impl Mailbox {
    /// What an answer to sendMail means for the mail and for the service.
    fn judge(&self, error: GraphError) -> Attempt {
        let in_doubt =
            |words: String| Attempt::InDoubt { server: self.name.clone(), message: clean(&words) };
        match error {
            GraphError::Http(error) if is_unsent(&error) => no_answer(&error),
            GraphError::Http(error) => in_doubt(error.to_string()),
            GraphError::Busy(_) => down("throttled", error),
            GraphError::NotRepeated { .. } | GraphError::Protocol(_) => in_doubt(error.to_string()),
            GraphError::Refused { status, code, message } => {
                let words = format!("{status} {code}: {message}");
                match (status, code.as_str()) {
                    // A right that is missing is given within days; the mail waits for it.
                    (403, "ErrorSendAsDenied") => Attempt::Temporary(clean(&words)),
                    (401 | 403 | 404, _) => down("auth", words),
                    (400 | 413 | 415 | 422, _) => Attempt::Permanent(clean(&words)),
                    _ => in_doubt(words),
                }
            }
        }
    }

    /// What it means that the service does not say whether a mail was sent.
    fn judge_question(&self, error: GraphError) -> Attempt {
        match error {
            GraphError::Http(error) => no_answer(&error),
            GraphError::Busy(_) | GraphError::NotRepeated { .. } => down("throttled", error),
            GraphError::Protocol(message) => down("protocol", message),
            GraphError::Refused { status, code, message } => {
                let words = format!("{status} {code}: {message}");
                let cause = if matches!(status, 401 | 403 | 404) { "auth" } else { "unavailable" };
                down(cause, words)
            }
        }
    }
}

/// Whether a request certainly did not reach the service.
fn is_unsent(error: &HttpError) -> bool {
    matches!(error, HttpError::Net(_) | HttpError::Request(..) | HttpError::Private(..))
}

fn no_answer(error: &HttpError) -> Attempt {
    match error {
        HttpError::Net(NetError::Connect(..) | NetError::ConnectTimeout(..)) => {
            down("connect", error)
        }
        HttpError::Net(
            NetError::Certificate(..) | NetError::Handshake(..) | NetError::Files(..),
        ) => down("tls", error),
        HttpError::Timeout(..) => down("timeout", error),
        HttpError::Request(..) | HttpError::Private(..) => down("connect", error),
        HttpError::TooLarge(..) | HttpError::Broken(..) => down("protocol", error),
    }
}

/// The mail with this recipient alone in its header. One that names nobody else stays as it is.
fn for_one(raw: &[u8], recipient: &str) -> Vec<u8> {
    let end = header_end(raw);
    let fields = fields(&raw[..end]);
    let about: Vec<&[u8]> =
        fields.iter().copied().filter(|field| names_recipients(field)).collect();
    if let [field] = about.as_slice()
        && is_to_alone(field, recipient)
    {
        return raw.to_vec();
    }
    let mut written = Vec::with_capacity(raw.len());
    for field in fields.iter().filter(|field| !names_recipients(field)) {
        written.extend_from_slice(field);
    }
    written.extend_from_slice(format!("To: <{recipient}>\r\n").as_bytes());
    written.extend_from_slice(&raw[end..]);
    written
}

/// Where the empty line begins that ends the header (RFC 5322 section 2.1).
fn header_end(raw: &[u8]) -> usize {
    let empty = raw.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    empty.map_or(raw.len(), |at| at + 2)
}

/// The fields of a header, each with the lines that continue it (RFC 5322 section 2.2.3).
fn fields(header: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    let mut begin = 0;
    for at in 0..header.len() {
        let continues = matches!(header.get(at + 1), Some(b' ' | b'\t'));
        if header[at] == b'\n' && !continues {
            fields.push(&header[begin..=at]);
            begin = at + 1;
        }
    }
    if begin < header.len() {
        fields.push(&header[begin..]);
    }
    fields
}

fn names_recipients(field: &[u8]) -> bool {
    let name = field.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii();
    ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Whether this is `To` with one address, and that is the recipient's.
fn is_to_alone(field: &[u8], recipient: &str) -> bool {
    let text = String::from_utf8_lossy(field);
    let Some((name, value)) = text.split_once(':') else { return false };
    let value = value.trim();
    let address = value.rsplit_once('<').map_or(value, |(_, rest)| rest.trim_end_matches('>'));
    let one = !value.contains([',', ';']) && value.matches('@').count() == 1;
    name.trim().eq_ignore_ascii_case("To") && one && address.trim().eq_ignore_ascii_case(recipient)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::config::{Security, TlsOptions};

    #[track_caller]
    fn check(header: &str, expected: &str) {
        let rest = "Subject: a\r\n b\r\n\r\nTo: in the text\r\n";
        let written = for_one(format!("{header}{rest}").as_bytes(), "eve@cust.test");
        let written = String::from_utf8(written).unwrap();
        let (shown, _) = written.split_once("\r\n\r\n").unwrap();
        assert_eq!(shown, expected);
        assert!(written.ends_with("\r\n\r\nTo: in the text\r\n"));
    }

    #[test]
    fn a_mail_to_one_stays_as_it_is() {
        check("To: eve@cust.test\r\n", "To: eve@cust.test\r\nSubject: a\r\n b");
        check("To: Eve\r\n <EVE@cust.test>\r\n", "To: Eve\r\n <EVE@cust.test>\r\nSubject: a\r\n b");
    }

    #[test]
    fn others_are_taken_out() {
        let alone = "Subject: a\r\n b\r\nTo: <eve@cust.test>";
        check("To: eve@cust.test, bob@cust.test\r\n", alone);
        check("To: eve@cust.test\r\nCc: bob@cust.test,\r\n\tann@cust.test\r\n", alone);
        check("cc: eve@cust.test\r\nBCC : bob@cust.test\r\n", alone);
        check("To: bob@cust.test\r\n", alone);
        check("To: \"eve@cust.test\" <bob@cust.test>\r\n", alone);
        check("To: <bob@cust.test> (<eve@cust.test>)\r\n", alone);
        check("To: friends: eve@cust.test;\r\n", alone);
        check("", alone);
    }

    #[track_caller]
    fn check_answer(status: u16, code: &str, expected: &str) {
        let message = "no\r\nlevel=error".to_owned();
        let endpoint = Endpoint {
            host: Text::Plain("graph.test".into()),
            port: 443,
            security: Security::Tls,
            tls: TlsOptions::default(),
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        };
        let (token, desk) = (SecretString::from("t"), Text::Plain("desk@x.test".into()));
        let mailbox =
            Mailbox::open("m365", &endpoint, Some(&desk), &Secrets::default(), Some(&token));
        let mailbox = mailbox.unwrap_or_else(|attempt| panic!("{attempt:?}"));
        let attempt = mailbox.judge(GraphError::Refused { status, code: code.into(), message });
        let shown = match &attempt {
            Attempt::Sent => "sent".to_owned(),
            Attempt::Temporary(words) => format!("temporary {words}"),
            Attempt::Permanent(words) => format!("permanent {words}"),
            Attempt::InDoubt { server, message } => format!("in doubt at {server}: {message}"),
            Attempt::ServerDown { cause, message, .. } => format!("down {cause} {message}"),
        };
        assert_eq!(shown, format!("{expected} {status} {code}: no level=error"));
    }

    #[test]
    fn answers() {
        check_answer(400, "ErrorInvalidRecipients", "permanent");
        check_answer(413, "RequestEntityTooLarge", "permanent");
        check_answer(401, "InvalidAuthenticationToken", "down auth");
        check_answer(403, "ErrorAccessDenied", "down auth");
        check_answer(404, "ErrorInvalidUser", "down auth");
        check_answer(403, "ErrorSendAsDenied", "temporary");
        check_answer(409, "ErrorIrresolvableConflict", "in doubt at m365:");
        check_answer(500, "InternalServerError", "in doubt at m365:");
    }
}

//! Reads our own mails back, for tests: strictly, and by other means than those that wrote them.

/// Header fields in order, unfolded, and the decoded text of a mail of ours.
pub struct Read {
    /// Names and values, encoded words decoded.
    pub fields: Vec<(String, String)>,
    /// The body, decoded, with `\n` line ends.
    pub text: String,
}

impl Read {
    /// Names of the header fields, in order.
    pub fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Value of a field that must be there.
    #[track_caller]
    pub fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(one, _)| one == name);
        found.map_or_else(|| panic!("no {name} in {:?}", self.names()), |(_, value)| value)
    }
}

/// Reads a mail of ours, strictly: only CRLF, no line over 998 octets, no control characters.
#[track_caller]
pub fn read(raw: &[u8]) -> Read {
    let text = std::str::from_utf8(raw).unwrap();
    let bare = text.replace("\r\n", "");
    assert!(!bare.contains(['\r', '\n', '\0']), "bare line end or NUL");
    assert!(text.ends_with("\r\n"));
    assert!(text.split("\r\n").all(|line| line.len() <= 998), "line too long");
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let fields = unfolded.split("\r\n").map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.trim().to_owned())
    });
    let fields: Vec<(String, String)> =
        fields.map(|(name, value)| (name, words_decoded(&value))).collect();
    let encoding = fields.iter().find(|(name, _)| name == "Content-Transfer-Encoding");
    let text = body_decoded(&encoding.unwrap().1, body);
    Read { fields, text }
}

/// Encoded words (RFC 2047) decoded; blanks between two of them mean nothing.
fn words_decoded(value: &str) -> String {
    let mut decoded = String::new();
    let mut rest = value.to_owned();
    while rest.contains("?= =?") {
        rest = rest.replace("?= =?", "?==?");
    }
    while let Some((before, word)) = rest.split_once("=?utf-8?b?") {
        let (encoded, after) = word.split_once("?=").unwrap();
        decoded += before;
        decoded += &String::from_utf8(base64(encoded)).unwrap();
        rest = after.to_owned();
    }
    decoded + &rest
}

fn body_decoded(encoding: &str, body: &str) -> String {
    let bytes = match encoding {
        "7bit" => body.as_bytes().to_vec(),
        "base64" => base64(&body.replace("\r\n", "")),
        "quoted-printable" => {
            let body = body.replace("=\r\n", "");
            let (first, escaped) = body.split_once('=').unwrap_or((&body, ""));
            let mut bytes = first.as_bytes().to_vec();
            for part in escaped.split('=').filter(|part| !part.is_empty()) {
                bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            bytes
        }
        other => panic!("encoding {other}"),
    };
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

//! TLS errors in words. Many errors of rustls and webpki are shown as a Rust value
//! (`InvalidCertificate(Other(OtherError(CaUsedAsEndEntity)))`), which says little to an operator.

use std::fmt::Debug;

use jiff::Timestamp;
use rustls::pki_types::{UnixTime, pem};
use rustls::{
    AlertDescription, CertificateError, Error, InconsistentKeys, OtherError, PeerIncompatible,
};

/// Names of a certificate that are shown.
const NAMES_SHOWN: usize = 10;

/// An error of TLS in words.
pub(super) fn of(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "it speaks neither TLS 1.2 nor TLS 1.3".to_owned()
        }
        Error::AlertReceived(AlertDescription::Unknown(number)) => {
            format!("the server ended it with alert {number}")
        }
        Error::AlertReceived(alert) => format!("the server ended it: {}", spelled(alert)),
        Error::PeerIncompatible(what) => {
            format!("the server and Postroom have no common ground: {}", spelled(what))
        }
        Error::PeerMisbehaved(what) => format!("the server broke the protocol: {}", spelled(what)),
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord => {
            "what the server sent is no TLS, or no message of TLS that fits here".to_owned()
        }
        Error::NoCertificatesPresented => "the server sent no certificate".to_owned(),
        Error::UnsupportedNameType => "the server's name cannot be checked".to_owned(),
        Error::DecryptError => "what the server sent cannot be decrypted".to_owned(),
        Error::InvalidCertRevocationList(what) => {
            format!("a certificate revocation list is unusable: {}", spelled(what))
        }
        Error::InvalidEncryptedClientHello(what) => {
            format!("encrypted client hello failed: {}", spelled(what))
        }
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the key does not belong to the certificate".to_owned()
        }
        Error::InconsistentKeys(_) => {
            "it cannot be said whether the key belongs to the certificate".to_owned()
        }
        // rustls words this one itself.
        Error::General(words) => words.clone(),
        Error::Other(inner) => of_other(inner),
        error => spelled(error),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    use CertificateError as C;
    #[allow(deprecated)]
    let words = match error {
        C::BadEncoding => "it cannot be read as a certificate of X.509 version 3",
        C::Expired => "it has expired",
        C::ExpiredContext { not_after, .. } => {
            return format!("it expired at {}", instant(*not_after));
        }
        C::NotValidYet => "it is not valid yet",
        C::NotValidYetContext { not_before, .. } => {
            return format!("it is not valid before {}", instant(*not_before));
        }
        C::Revoked => "it was revoked",
        C::UnhandledCriticalExtension => "it has a critical extension that is not known here",
        C::UnknownIssuer => "no authority that is trusted here has issued it",
        C::UnknownRevocationStatus => "it is not known whether it was revoked",
        C::ExpiredRevocationList | C::ExpiredRevocationListContext { .. } => {
            "the certificate revocation list has expired"
        }
        C::BadSignature => "its signature is wrong",
        C::UnsupportedSignatureAlgorithm
        | C::UnsupportedSignatureAlgorithmContext { .. }
        | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed by an algorithm that is too weak or not known here"
        }
        C::NotValidForName => "it is for another name",
        C::NotValidForNameContext { presented, .. } => return of_names(presented),
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
            "it is not meant for a server (extended key usage)"
        }
        C::InvalidOcspResponse => "its OCSP response is wrong",
        C::ApplicationVerificationFailure => "it was refused",
        C::Other(inner) => return of_other(inner),
        error => return spelled(error),
    };
    words.to_owned()
}

fn of_names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "it is for no name (subjectAltName is empty)".to_owned();
    }
    let shown: Vec<String> =
        presented.iter().take(NAMES_SHOWN).map(|name| bare(name).to_owned()).collect();
    let more = if presented.len() > NAMES_SHOWN { ", …" } else { "" };
    format!("it is for another name: {}{more}", shown.join(", "))
}

/// rustls writes a name as a Rust value: `DnsName("mail.example")`.
fn bare(name: &str) -> &str {
    let quoted = name.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"'));
    let inner = quoted.map(|(inner, _)| inner);
    let inner = inner.or_else(|| name.split_once('(')?.1.strip_suffix(')'));
    inner.unwrap_or(name)
}

fn of_other(OtherError(inner): &OtherError) -> String {
    let text = inner.to_string();
    match text.as_str() {
        "CaUsedAsEndEntity" => "it is one of an authority (CA:TRUE), which the server uses as its \
                                own; such a certificate is trusted only if it is named itself"
            .to_owned(),
        _ if identifier(&text).is_some() => spelled_text(&text),
        _ => text,
    }
}

fn instant(at: UnixTime) -> String {
    let seconds = i64::try_from(at.as_secs()).ok();
    let at = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string())
}

/// The name of a variant, in words: `TooMuchEarlyDataReceived` as "too much early data received".
fn spelled(variant: &impl Debug) -> String {
    spelled_text(&format!("{variant:?}"))
}

fn spelled_text(debug: &str) -> String {
    let Some(name) = identifier(debug) else { return "for an unknown reason".to_owned() };
    let mut words = String::with_capacity(name.len() + 8);
    let mut before = ' ';
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && before.is_ascii_lowercase() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
        before = letter;
    }
    words
}

/// The identifier with which a Rust value begins, if it is one of a type or variant.
fn identifier(debug: &str) -> Option<&str> {
    let end = debug.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(debug.len());
    let (name, rest) = debug.split_at(end);
    let is_value = rest.is_empty() || rest.starts_with('(') || rest.starts_with(" {");
    (name.starts_with(|first: char| first.is_ascii_uppercase()) && is_value).then_some(name)
}

/// Why a file is no PEM, in words.
pub(super) fn of_pem(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section of PEM has no END line".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line of PEM is broken".to_owned(),
        pem::Error::Base64Decode(_) => "a section of PEM is no base64".to_owned(),
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "holds no such section of PEM".to_owned(),
        pem::Error::SectionTooLarge => "a section of PEM is too large".to_owned(),
        _ => "is no PEM".to_owned(),
    }
}

#[cfg(test)]
mod tests;

//! The last day of an X.509 certificate in PEM, and nothing else of it.
//!
//! Architecture invariant: whatever is in the file, this ends with a day or with nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;

/// Largest file of certificates that is read. Bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

// Tags of DER (X.690) that lie on the way (RFC 5280 section 4.1).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The last day of the first certificate in the text.
pub fn last_day(pem: &str) -> Option<Date> {
    let body = pem.split_once(BEGIN)?.1.split_once(END)?.0;
    let base64: String = body.split_whitespace().collect();
    not_after(&STANDARD.decode(base64).ok()?)
}

/// Certificate → TBSCertificate → validity → notAfter.
fn not_after(der: &[u8]) -> Option<Date> {
    let (tag, certificate, _) = element(der)?;
    let (inner_tag, mut rest, _) = element(certificate)?;
    if tag != SEQUENCE || inner_tag != SEQUENCE {
        return None;
    }
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, after_begin) = element(validity)?;
    let (tag, time, _) = element(after_begin)?;
    day(tag, std::str::from_utf8(time).ok()?)
}

/// Tag, content, and what stands behind, of the first element.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=127 => (usize::from(first), rest),
        129..=132 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first - 128))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// RFC 5280 section 4.1.2.5: `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` from then on.
fn day(tag: u8, time: &str) -> Option<Date> {
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = time.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = time.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let (month, rest) = rest.split_at_checked(2)?;
    let (day, _) = rest.split_at_checked(2)?;
    Date::new(year, month.parse().ok()?, day.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(year: i32) -> String {
        let mut parameters = rcgen::CertificateParams::new(vec!["a.example".into()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(year, 3, 4);
        parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn days() {
        assert_eq!(last_day(&made(2027)), Some(jiff::civil::date(2027, 3, 4)));
        assert_eq!(last_day(&made(2061)), Some(jiff::civil::date(2061, 3, 4)));
    }

    #[test]
    fn whatever_is_in_the_file() {
        assert_eq!(last_day(""), None);
        assert_eq!(last_day(&format!("{BEGIN}\n!!\n{END}")), None);
        let whole = made(2027);
        let body = whole.split_once(BEGIN).unwrap().1.split_once(END).unwrap().0;
        let der = STANDARD.decode(body.split_whitespace().collect::<String>()).unwrap();
        for end in 0..der.len() {
            not_after(&der[..end]);
        }
        for index in 0..der.len() {
            let mut broken = der.clone();
            broken[index] ^= 0xff;
            not_after(&broken);
        }
    }
}

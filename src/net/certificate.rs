//! What a certificate says: until when it is valid, and for which name.

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Last moment at which a certificate is valid (RFC 5280 section 4.1.2.5), if it can be read.
pub fn expires(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

/// Why a certificate that is trusted as it is does not count now, for this name.
pub(super) fn unfit(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    use rustls::CertificateError::{BadEncoding, ExpiredContext, NotValidYetContext};
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| BadEncoding)?;
    let at = |seconds: i64| {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds.max(0).unsigned_abs()))
    };
    let validity = parsed.validity();
    let (not_before, not_after) =
        (at(validity.not_before.timestamp()), at(validity.not_after.timestamp()));
    if now < not_before {
        return Err(NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(ExpiredContext { time: now, not_after }.into());
    }
    let named =
        rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, name);
    // RFC 9525 section 2 has clients ignore the common name, because authorities do not check it.
    // Here the declaration vouches for these bytes, and `openssl req -x509` writes no other name.
    if named.is_err() && is_common_name(&parsed, name) { Ok(()) } else { named }
}

/// Whether the certificate has this common name, and no name of the kind that is checked.
fn is_common_name(certificate: &X509Certificate<'_>, name: &ServerName<'_>) -> bool {
    if !matches!(certificate.subject_alternative_name(), Ok(None)) {
        return false;
    }
    let name = name.to_str();
    let mut common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    common.any(|common| common.eq_ignore_ascii_case(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str], common: &str, years: (i32, i32)) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(rcgen::DnType::CommonName, common);
        parameters.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(years.1, 3, 4);
        let key = rcgen::KeyPair::generate().unwrap();
        parameters.self_signed(&key).unwrap().der().clone()
    }

    #[track_caller]
    fn check(year: i32, expected: &str) {
        let certificate = made(&["mail.example"], "", (2001, year));
        let expires = expires(&certificate).map(|at| at.to_string());
        assert_eq!(expires.as_deref(), Some(expected));
    }

    #[test]
    fn certificate_of_this_century() {
        check(2031, "2031-03-04T00:00:00Z");
    }

    #[test]
    fn certificate_beyond_two_digits() {
        check(2061, "2061-03-04T00:00:00Z");
    }

    #[test]
    fn what_is_no_certificate_expires_never() {
        for bytes in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x02\x30\x00"] {
            assert_eq!(expires(&CertificateDer::from(bytes)), None);
        }
    }

    #[track_caller]
    fn check_fit(names: &[&str], common: &str, years: (i32, i32), name: &'static str, fits: bool) {
        let certificate = made(names, common, years);
        // 1 January 2026.
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_767_225_600));
        let name = ServerName::try_from(name).unwrap();
        assert_eq!(unfit(&certificate, &name, now).is_ok(), fits, "{names:?} {common} {name:?}");
    }

    #[test]
    fn name_and_dates_of_a_certificate_that_is_trusted_as_it_is() {
        let (now, past, future) = ((2020, 2030), (2001, 2020), (2028, 2030));
        check_fit(&["mail.example"], "", now, "mail.example", true);
        check_fit(&["*.desk.example"], "", now, "mail.desk.example", true);
        check_fit(&["10.0.0.1"], "", now, "10.0.0.1", true);
        check_fit(&[], "Mail.example", now, "mail.example", true);
        check_fit(&[], "10.0.0.1", now, "10.0.0.1", true);
        check_fit(&["other.example"], "mail.example", now, "mail.example", false);
        check_fit(&[], "other.example", now, "mail.example", false);
        check_fit(&[], "*.desk.example", now, "mail.desk.example", false);
        check_fit(&["mail.example"], "", past, "mail.example", false);
        check_fit(&["mail.example"], "", future, "mail.example", false);
    }
}

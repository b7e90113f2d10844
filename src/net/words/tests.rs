//! Every error of rustls and webpki, in words.
#![allow(deprecated)]

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{
    AlertDescription as Alert, CertRevocationListError as Crl, CertificateError as Certificate,
    EncryptedClientHelloError as Ech, InvalidMessage as Message, PeerIncompatible as Apart,
    PeerMisbehaved as Broke,
};
use webpki::Error as Webpki;

use super::*;

const AT: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_767_225_600));

/// Words contain no Rust value: no identifier in camel case, no path, no braces, no escape.
#[track_caller]
fn check_words(error: &Error) {
    let words = of(error);
    let letters: Vec<char> = words.chars().collect();
    let camel = letters.windows(3).any(|three| {
        three[0].is_ascii_lowercase()
            && three[1].is_ascii_uppercase()
            && three[2].is_ascii_lowercase()
    });
    let camel = camel && !words.contains("subjectAltName");
    let value = ["::", "{", "}", "[", "]", "(\"", "\\"].iter().any(|part| words.contains(part));
    assert!(!camel && !value && words.len() > 3, "{error:?}: {words}");
    assert!(!words.starts_with("for an unknown reason"), "{error:?}: {words}");
}

fn other(error: Webpki) -> Error {
    Certificate::Other(OtherError(Arc::new(error))).into()
}

#[test]
fn every_error_of_rustls() {
    let presented = vec!["DnsName(\"a.example\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()];
    let expected = ServerName::try_from("b.example").unwrap();
    let certificates = [
        Certificate::BadEncoding,
        Certificate::Expired,
        Certificate::NotValidYet,
        Certificate::Revoked,
        Certificate::UnhandledCriticalExtension,
        Certificate::UnknownIssuer,
        Certificate::UnknownRevocationStatus,
        Certificate::ExpiredRevocationList,
        Certificate::BadSignature,
        Certificate::UnsupportedSignatureAlgorithm,
        Certificate::NotValidForName,
        Certificate::InvalidPurpose,
        Certificate::InvalidOcspResponse,
        Certificate::ApplicationVerificationFailure,
        Certificate::ExpiredContext { time: AT, not_after: AT },
        Certificate::NotValidYetContext { time: AT, not_before: AT },
        Certificate::ExpiredRevocationListContext { time: AT, next_update: AT },
        Certificate::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: vec![1],
            supported_algorithms: Vec::new(),
        },
        Certificate::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: vec![1],
            public_key_algorithm_id: vec![2],
        },
        Certificate::NotValidForNameContext { expected: expected.clone(), presented },
        Certificate::NotValidForNameContext { expected, presented: Vec::new() },
        Certificate::InvalidPurposeContext {
            required: rustls::ExtendedKeyPurpose::ServerAuth,
            presented: vec![rustls::ExtendedKeyPurpose::Other(vec![1, 2])],
        },
    ];
    certificates.into_iter().for_each(|error| check_words(&error.into()));
    let lists = [
        Crl::BadSignature,
        Crl::UnsupportedSignatureAlgorithm,
        Crl::InvalidCrlNumber,
        Crl::InvalidRevokedCertSerialNumber,
        Crl::IssuerInvalidForCrl,
        Crl::ParseError,
        Crl::UnsupportedCrlVersion,
        Crl::UnsupportedCriticalExtension,
        Crl::UnsupportedDeltaCrl,
        Crl::UnsupportedIndirectCrl,
        Crl::UnsupportedRevocationReason,
        Crl::Other(OtherError(Arc::new(Webpki::BadDer))),
        Crl::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: vec![1],
            supported_algorithms: Vec::new(),
        },
        Crl::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: vec![1],
            public_key_algorithm_id: vec![2],
        },
    ];
    lists.into_iter().for_each(|error| check_words(&error.into()));
    let hello = [Ech::InvalidConfigList, Ech::NoCompatibleConfig, Ech::SniRequired];
    hello.into_iter().for_each(|error| check_words(&error.into()));
    let messages = [
        Message::CertificatePayloadTooLarge,
        Message::HandshakePayloadTooLarge,
        Message::InvalidCcs,
        Message::InvalidContentType,
        Message::InvalidCertificateStatusType,
        Message::InvalidCertRequest,
        Message::InvalidDhParams,
        Message::InvalidEmptyPayload,
        Message::InvalidKeyUpdate,
        Message::InvalidServerName,
        Message::MessageTooLarge,
        Message::MessageTooShort,
        Message::MissingKeyExchange,
        Message::NoSignatureSchemes,
        Message::UnknownProtocolVersion,
        Message::UnsupportedCompression,
        Message::UnsupportedCurveType,
        Message::EmptyTicketValue,
        Message::IllegalEmptyValue,
        Message::PreSharedKeyIsNotFinalExtension,
        Message::UnknownHelloRetryRequestExtension,
        Message::UnknownCertificateExtension,
        Message::MissingData("x"),
        Message::TrailingData("x"),
        Message::UnexpectedMessage("x"),
        Message::IllegalEmptyList("x"),
        Message::DuplicateExtension(7),
    ];
    messages.into_iter().for_each(|error| check_words(&error.into()));
    let broke = [
        Broke::AttemptedDowngradeToTls12WhenTls13IsSupported,
        Broke::BadCertChainExtensions,
        Broke::CipherSuiteDifferedOnRetry,
        Broke::DisallowedEncryptedExtension,
        Broke::DuplicateClientHelloExtensions,
        Broke::DuplicateEncryptedExtensions,
        Broke::DuplicateHelloRetryRequestExtensions,
        Broke::DuplicateNewSessionTicketExtensions,
        Broke::DuplicateServerHelloExtensions,
        Broke::DuplicateServerNameTypes,
        Broke::EarlyDataAttemptedInSecondClientHello,
        Broke::EarlyDataExtensionWithoutResumption,
        Broke::EarlyDataOfferedWithVariedCipherSuite,
        Broke::EchAcceptanceVariedAfterRetry,
        Broke::HandshakeHashVariedAfterRetry,
        Broke::IllegalHelloRetryRequestWithEmptyCookie,
        Broke::IllegalHelloRetryRequestWithNoChanges,
        Broke::IllegalHelloRetryRequestWithOfferedGroup,
        Broke::IllegalHelloRetryRequestWithUnofferedCipherSuite,
        Broke::IllegalHelloRetryRequestWithUnofferedNamedGroup,
        Broke::IllegalHelloRetryRequestWithUnsupportedVersion,
        Broke::IllegalHelloRetryRequestWithWrongSessionId,
        Broke::IllegalHelloRetryRequestWithInvalidEch,
        Broke::IllegalMiddleboxChangeCipherSpec,
        Broke::IllegalTlsInnerPlaintext,
        Broke::IncorrectBinder,
        Broke::InvalidCertCompression,
        Broke::InvalidMaxEarlyDataSize,
        Broke::InvalidKeyShare,
        Broke::KeyEpochWithPendingFragment,
        Broke::KeyUpdateReceivedInQuicConnection,
        Broke::MessageInterleavedWithHandshakeMessage,
        Broke::MissingBinderInPskExtension,
        Broke::MissingKeyShare,
        Broke::MissingPskExtensionInSecondClientHello,
        Broke::MissingPskModesExtension,
        Broke::MissingQuicTransportParameters,
        Broke::OfferedDuplicateCertificateCompressions,
        Broke::OfferedDuplicateKeyShares,
        Broke::OfferedEarlyDataWithOldProtocolVersion,
        Broke::OfferedEmptyApplicationProtocol,
        Broke::OfferedIncorrectCompressions,
        Broke::PskExtensionMustBeLast,
        Broke::PskExtensionWithMismatchedIdsAndBinders,
        Broke::RefusedToFollowHelloRetryRequest,
        Broke::RejectedEarlyDataInterleavedWithHandshakeMessage,
        Broke::ResumptionAttemptedWithVariedEms,
        Broke::ResumptionOfferedWithVariedCipherSuite,
        Broke::ResumptionOfferedWithVariedEms,
        Broke::ResumptionOfferedWithIncompatibleCipherSuite,
        Broke::SelectedDifferentCipherSuiteAfterRetry,
        Broke::SelectedInvalidPsk,
        Broke::SelectedTls12UsingTls13VersionExtension,
        Broke::SelectedUnofferedApplicationProtocol,
        Broke::SelectedUnofferedCertCompression,
        Broke::SelectedUnofferedCipherSuite,
        Broke::SelectedUnofferedCompression,
        Broke::SelectedUnofferedKxGroup,
        Broke::SelectedUnofferedPsk,
        Broke::SelectedUnusableCipherSuiteForVersion,
        Broke::ServerEchoedCompatibilitySessionId,
        Broke::ServerHelloMustOfferUncompressedEcPoints,
        Broke::ServerNameDifferedOnRetry,
        Broke::ServerNameMustContainOneHostName,
        Broke::SignedKxWithWrongAlgorithm,
        Broke::SignedHandshakeWithUnadvertisedSigScheme,
        Broke::TooManyEmptyFragments,
        Broke::TooManyKeyUpdateRequests,
        Broke::TooManyRenegotiationRequests,
        Broke::TooManyWarningAlertsReceived,
        Broke::TooMuchEarlyDataReceived,
        Broke::UnexpectedCleartextExtension,
        Broke::UnsolicitedCertExtension,
        Broke::UnsolicitedEncryptedExtension,
        Broke::UnsolicitedSctList,
        Broke::UnsolicitedServerHelloExtension,
        Broke::WrongGroupForKeyShare,
        Broke::UnsolicitedEchExtension,
    ];
    broke.into_iter().for_each(|error| check_words(&error.into()));
    let apart = [
        Apart::EcPointsExtensionRequired,
        Apart::ExtendedMasterSecretExtensionRequired,
        Apart::IncorrectCertificateTypeExtension,
        Apart::KeyShareExtensionRequired,
        Apart::NamedGroupsExtensionRequired,
        Apart::NoCertificateRequestSignatureSchemesInCommon,
        Apart::NoCipherSuitesInCommon,
        Apart::NoEcPointFormatsInCommon,
        Apart::NoKxGroupsInCommon,
        Apart::NoSignatureSchemesInCommon,
        Apart::NullCompressionRequired,
        Apart::ServerDoesNotSupportTls12Or13,
        Apart::ServerSentHelloRetryRequestWithUnknownExtension,
        Apart::ServerTlsVersionIsDisabledByOurConfig,
        Apart::SignatureAlgorithmsExtensionRequired,
        Apart::SupportedVersionsExtensionRequired,
        Apart::Tls12NotOffered,
        Apart::Tls12NotOfferedOrEnabled,
        Apart::Tls13RequiredForQuic,
        Apart::UncompressedEcPointsRequired,
        Apart::UnsolicitedCertificateTypeExtension,
        Apart::ServerRejectedEncryptedClientHello(None),
    ];
    apart.into_iter().for_each(|error| check_words(&error.into()));
    let alerts = [
        Alert::CloseNotify,
        Alert::UnexpectedMessage,
        Alert::BadRecordMac,
        Alert::DecryptionFailed,
        Alert::RecordOverflow,
        Alert::DecompressionFailure,
        Alert::HandshakeFailure,
        Alert::NoCertificate,
        Alert::BadCertificate,
        Alert::UnsupportedCertificate,
        Alert::CertificateRevoked,
        Alert::CertificateExpired,
        Alert::CertificateUnknown,
        Alert::IllegalParameter,
        Alert::UnknownCA,
        Alert::AccessDenied,
        Alert::DecodeError,
        Alert::DecryptError,
        Alert::ExportRestriction,
        Alert::ProtocolVersion,
        Alert::InsufficientSecurity,
        Alert::InternalError,
        Alert::InappropriateFallback,
        Alert::UserCanceled,
        Alert::NoRenegotiation,
        Alert::MissingExtension,
        Alert::UnsupportedExtension,
        Alert::CertificateUnobtainable,
        Alert::UnrecognisedName,
        Alert::BadCertificateStatusResponse,
        Alert::BadCertificateHashValue,
        Alert::UnknownPSKIdentity,
        Alert::CertificateRequired,
        Alert::NoApplicationProtocol,
        Alert::EncryptedClientHelloRequired,
        Alert::Unknown(200),
    ];
    alerts.into_iter().for_each(|alert| check_words(&Error::AlertReceived(alert)));
    let rest = [
        Error::InappropriateMessage {
            expect_types: vec![rustls::ContentType::Handshake],
            got_type: rustls::ContentType::Alert,
        },
        Error::InappropriateHandshakeMessage {
            expect_types: vec![rustls::HandshakeType::Finished],
            got_type: rustls::HandshakeType::Certificate,
        },
        Error::NoCertificatesPresented,
        Error::UnsupportedNameType,
        Error::DecryptError,
        Error::EncryptError,
        Error::General("no entropy".into()),
        Error::FailedToGetCurrentTime,
        Error::FailedToGetRandomBytes,
        Error::HandshakeNotComplete,
        Error::PeerSentOversizedRecord,
        Error::NoApplicationProtocol,
        Error::BadMaxFragmentSize,
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch),
        Error::InconsistentKeys(InconsistentKeys::Unknown),
        Error::Other(OtherError(Arc::new(Webpki::BadDer))),
    ];
    rest.iter().for_each(check_words);
}

#[test]
fn every_error_of_webpki() {
    let errors = [
        Webpki::BadDer,
        Webpki::BadDerTime,
        Webpki::CaUsedAsEndEntity,
        Webpki::CertDistrusted,
        Webpki::CertRevoked,
        Webpki::EmptyEkuExtension,
        Webpki::EndEntityUsedAsCa,
        Webpki::ExtensionValueInvalid,
        Webpki::InvalidCertValidity,
        Webpki::InvalidCrlNumber,
        Webpki::InvalidNetworkMaskConstraint,
        Webpki::InvalidSerialNumber,
        Webpki::InvalidCrlSignatureForPublicKey,
        Webpki::InvalidSignatureForPublicKey,
        Webpki::IssuerNotCrlSigner,
        Webpki::MalformedDnsIdentifier,
        Webpki::MalformedExtensions,
        Webpki::MalformedNameConstraint,
        Webpki::MaximumNameConstraintComparisonsExceeded,
        Webpki::MaximumPathBuildCallsExceeded,
        Webpki::MaximumPathDepthExceeded,
        Webpki::MaximumSignatureChecksExceeded,
        Webpki::NameConstraintViolation,
        Webpki::PathLenConstraintViolated,
        Webpki::RequiredEkuNotFound,
        Webpki::SignatureAlgorithmMismatch,
        Webpki::UnknownIssuer,
        Webpki::UnknownRevocationStatus,
        Webpki::UnsupportedCertVersion,
        Webpki::UnsupportedCriticalExtension,
        Webpki::UnsupportedCrlIssuingDistributionPoint,
        Webpki::UnsupportedCrlVersion,
        Webpki::UnsupportedDeltaCrl,
        Webpki::UnsupportedIndirectCrl,
        Webpki::UnsupportedNameType,
        Webpki::UnsupportedRevocationReason,
        Webpki::UnsupportedRevocationReasonsPartitioning,
        Webpki::UnsupportedCrlSignatureAlgorithm,
        Webpki::UnsupportedSignatureAlgorithm,
        Webpki::UnsupportedCrlSignatureAlgorithmForPublicKey,
        Webpki::UnsupportedSignatureAlgorithmForPublicKey,
        Webpki::CertExpired { time: AT, not_after: AT },
        Webpki::CertNotValidYet { time: AT, not_before: AT },
        Webpki::CrlExpired { time: AT, next_update: AT },
        Webpki::TrailingData(webpki::DerTypeId::Certificate),
        Webpki::CertNotValidForName(webpki::InvalidNameContext {
            expected: ServerName::try_from("b.example").unwrap(),
            presented: Vec::new(),
        }),
        Webpki::UnsupportedSignatureAlgorithmContext(
            webpki::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: vec![1],
                supported_algorithms: Vec::new(),
            },
        ),
        Webpki::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(
            webpki::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: vec![1],
                public_key_algorithm_id: vec![2],
            },
        ),
    ];
    errors.into_iter().for_each(|error| check_words(&other(error)));
}

#[test]
fn what_an_operator_reads() {
    let cases: [(Error, &str); 5] = [
        (
            other(Webpki::CaUsedAsEndEntity),
            "it is one of an authority (CA:TRUE), which the server uses",
        ),
        (Certificate::UnknownIssuer.into(), "no authority that is trusted here has issued it"),
        (
            Certificate::ExpiredContext { time: AT, not_after: AT }.into(),
            "it expired at 2026-01-01T00:00:00Z",
        ),
        (Error::AlertReceived(Alert::HandshakeFailure), "the server ended it: handshake failure"),
        (
            Broke::TooMuchEarlyDataReceived.into(),
            "the server broke the protocol: too much early data received",
        ),
    ];
    for (error, expected) in cases {
        assert!(of(&error).starts_with(expected), "{}", of(&error));
    }
    let presented = vec!["DnsName(\"a.example\")".to_owned(), "b.example".to_owned()];
    let expected = ServerName::try_from("c.example").unwrap();
    let error = Certificate::NotValidForNameContext { expected, presented };
    assert_eq!(of(&error.into()), "it is for another name: a.example, b.example");
}

#[test]
fn files_that_are_no_pem() {
    for error in [
        pem::Error::MissingSectionEnd { end_marker: b"END".to_vec() },
        pem::Error::IllegalSectionStart { line: b"BEGIN".to_vec() },
        pem::Error::Base64Decode("InvalidByte(1, 2)".into()),
        pem::Error::Io(std::io::Error::from(std::io::ErrorKind::NotFound)),
        pem::Error::NoItemsFound,
        pem::Error::SectionTooLarge,
    ] {
        let words = of_pem(&error);
        assert!(!words.contains(['[', '{']) && !words.contains("InvalidByte"), "{words}");
    }
}

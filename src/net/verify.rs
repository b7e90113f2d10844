//! Which servers are trusted: those whose certificate an authority vouches for, and those whose
//! certificate is declared itself.
//!
//! A mail server of a company often has the certificate that `openssl req -x509` makes. It is one of
//! an authority (CA:TRUE), which RFC 5280 does not have a server present; named in `tls.ca`, or by
//! its fingerprint in `tls.pin`, it is accepted as exactly this one.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use super::{certificate, words};
use crate::core::fingerprint::Fingerprint;

/// Accepts or refuses the certificate of a server.
#[derive(Debug)]
pub(super) struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    trust: Trust,
}

#[derive(Debug)]
enum Trust {
    /// `tls.insecure: true`: the connection is encrypted, and it is not known with whom.
    Anything,
    Declared {
        /// `None` where there is none.
        authorities: Option<Arc<WebPkiServerVerifier>>,
        /// Certificates that are accepted as they are.
        exactly: Vec<Fingerprint>,
    },
}

/// Why a certificate was refused.
#[derive(Debug)]
pub(super) struct Refused {
    reason: String,
    /// Of the certificate, where declaring it would make it accepted.
    fingerprint: Option<Fingerprint>,
}

impl Verifier {
    /// Accepts any certificate.
    pub(super) fn of_anything(provider: &CryptoProvider) -> Verifier {
        let algorithms = provider.signature_verification_algorithms;
        Verifier { algorithms, trust: Trust::Anything }
    }

    /// Accepts what these authorities vouch for, and exactly these certificates.
    pub(super) fn new(
        provider: Arc<CryptoProvider>,
        roots: RootCertStore,
        exactly: Vec<Fingerprint>,
    ) -> Result<Verifier, String> {
        let algorithms = provider.signature_verification_algorithms;
        let authorities = match roots.is_empty() {
            true => None,
            false => {
                let made = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
                Some(made.build().map_err(|error| error.to_string())?)
            }
        };
        Ok(Verifier { algorithms, trust: Trust::Declared { authorities, exactly } })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Trust::Declared { authorities, exactly } = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let fingerprint = Fingerprint::of(end_entity);
        if exactly.contains(&fingerprint) {
            let fits = certificate::unfit(end_entity, name, now);
            return match fits {
                Ok(()) => Ok(ServerCertVerified::assertion()),
                Err(error) => Err(Refused::because(&error, None)),
            };
        }
        let verified = match authorities {
            Some(authorities) => {
                authorities.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        verified.map_err(|error| {
            // Declaring it would not help against another name or date.
            let helps = certificate::unfit(end_entity, name, now).is_ok();
            Refused::because(&error, helps.then_some(fingerprint))
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Refused {
    fn because(error: &rustls::Error, fingerprint: Option<Fingerprint>) -> rustls::Error {
        let refused = Refused { reason: words::of(error), fingerprint };
        CertificateError::Other(OtherError(Arc::new(refused))).into()
    }

    /// This error, if it is one.
    pub(super) fn of(error: &rustls::Error) -> Option<&Refused> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                inner.downcast_ref()
            }
            _ => None,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        if let Some(fingerprint) = self.fingerprint {
            write!(
                f,
                "; if this is the SHA-256 fingerprint that the server's administrator names, trust \
                 it with `tls: {{pin: [\"{fingerprint}\"]}}`"
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

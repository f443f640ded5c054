//! Verification of the certificate of a server.

use std::sync::Arc;

use kipfix_service::tls_error::is_of_authority;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, VerifierBuilderError};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Accepts certificates that a trusted authority has signed, and a trusted certificate of an
/// authority that the server presents as its own, such as those of `openssl req -x509`. Who has the
/// key of such a certificate could sign one for the server with it. Its name and its time must be
/// right in both cases.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    signed: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerVerifier {
    /// Trusts `trusted`, of which `roots` are the authorities.
    ///
    /// # Errors
    /// There are no authorities.
    pub(crate) fn new(
        roots: RootCertStore,
        trusted: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Self {
            signed: signed.build()?,
            trusted,
        })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.signed.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // The time of the certificate is checked before what it is for.
            Err(error) if is_of_authority(&error) && self.trusted.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::CertificateError;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    /// A self-signed certificate of an authority, for a year.
    fn authority() -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["server.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(2023, 1, 1);
        params.not_after = rcgen::date_time_ymd(2024, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap());
        certificate.unwrap().der().clone()
    }

    #[test]
    fn an_authority_that_is_trusted_can_be_the_server_itself() {
        let (trusted, other) = (authority(), authority());
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = ServerVerifier::new(roots, vec![trusted.clone()], provider).unwrap();
        let verify = |certificate: &CertificateDer<'_>, name: &str, seconds: u64| {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            let name = ServerName::try_from(name.to_owned()).unwrap();
            verifier.verify_server_cert(certificate, &[], &name, &[], now)
        };
        verify(&trusted, "server.example", NOW).unwrap();
        // Another one of the same name, another name, another time.
        let error = verify(&other, "server.example", NOW).unwrap_err();
        assert!(is_of_authority(&error), "{error:?}");
        let problem = |name, seconds| match verify(&trusted, name, seconds).unwrap_err() {
            Error::InvalidCertificate(problem) => problem,
            error => panic!("{error:?}"),
        };
        assert!(matches!(
            problem("other.example", NOW),
            CertificateError::NotValidForNameContext { .. }
        ));
        assert!(matches!(
            problem("server.example", NOW + 365 * 86_400),
            CertificateError::ExpiredContext { .. }
        ));
    }
}

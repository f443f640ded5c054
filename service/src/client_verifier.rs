//! Verification of the certificates of clients.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::tls_error::is_of_authority;

/// Accepts certificates that a trusted authority has signed, and a trusted certificate of an
/// authority that a client presents as its own, such as those of `openssl req -x509`.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    /// Accepts the former.
    pub(crate) signed: Arc<dyn ClientCertVerifier>,
    /// The certificates of the authorities.
    pub(crate) trusted: Vec<CertificateDer<'static>>,
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.signed.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.signed.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .signed
            .verify_client_cert(end_entity, intermediates, now);
        match verified {
            // The time of the certificate is checked before what it is for.
            Err(error) if is_of_authority(&error) && self.trusted.contains(end_entity) => {
                Ok(ClientCertVerified::assertion())
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
    use rustls::server::WebPkiClientVerifier;
    use rustls::{CertificateError, RootCertStore};

    use super::*;

    fn authority() -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["probe.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(2023, 1, 1);
        params.not_after = rcgen::date_time_ymd(2024, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap());
        certificate.unwrap().der().clone()
    }

    #[test]
    fn an_authority_that_is_trusted_can_be_the_client_itself() {
        let (trusted, other) = (authority(), authority());
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let signed = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = ClientVerifier {
            signed: signed.build().unwrap(),
            trusted: vec![trusted.clone()],
        };
        let verify = |certificate: &CertificateDer<'_>, seconds: u64| {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            verifier.verify_client_cert(certificate, &[], now)
        };
        verify(&trusted, 1_700_000_000).unwrap();
        let error = verify(&other, 1_700_000_000).unwrap_err();
        assert!(is_of_authority(&error), "{error:?}");
        let expired = verify(&trusted, 1_750_000_000).unwrap_err();
        assert!(matches!(
            expired,
            Error::InvalidCertificate(CertificateError::ExpiredContext { .. })
        ));
    }
}

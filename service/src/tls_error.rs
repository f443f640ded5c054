//! Errors of TLS in the words of operators.

use rustls::{CertificateError, Error, InconsistentKeys};

/// True if a peer has presented the certificate of an authority as its own.
#[must_use]
pub fn is_of_authority(error: &Error) -> bool {
    // The library has no variant of its own for it.
    matches!(error, Error::InvalidCertificate(CertificateError::Other(reason))
        if format!("{reason:?}").contains("CaUsedAsEndEntity"))
}

/// What is wrong, for operators: the two mistakes of a certificate that are made most often in
/// their own words.
#[must_use]
pub fn describe(error: &Error) -> String {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the key is not that of the certificate".to_owned()
        }
        error if is_of_authority(error) => {
            "invalid peer certificate: it is that of an authority (CA:TRUE) that is not trusted, and not one that a \
             trusted authority has signed"
                .to_owned()
        }
        error => error.to_string(),
    }
}

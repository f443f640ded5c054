//! A certificate authority made for a test, and what it signed for both sides of a connection.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Writes `ca.crt`, and for each file name `NAME.crt` and `NAME.key` of a certificate for a host.
///
/// # Panics
/// A file cannot be written.
pub fn write(folder: &Path, certificates: &[(&str, &str)]) {
    let put = |name: &str, text: String| {
        std::fs::write(folder.join(name), text).expect("a certificate can be written");
    };
    let mut ca = CertificateParams::new(Vec::new()).expect("names");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "ca");
    let ca_key = KeyPair::generate().expect("a key");
    put("ca.crt", ca.self_signed(&ca_key).expect("signed").pem());
    let issuer = Issuer::from_params(&ca, &ca_key);
    for (file, host) in certificates {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![(*host).to_owned()]).expect("names");
        let certificate = params.signed_by(&key, &issuer).expect("signed");
        put(&format!("{file}.crt"), certificate.pem());
        put(&format!("{file}.key"), key.serialize_pem());
    }
}

//! A certificate authority for a test, with certificates for both sides of a connection.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Writes `ca.crt`, and `NAME.crt` and `NAME.key` for each (name, host).
///
/// # Panics
/// If a file cannot be written.
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

/// A directory with `ca.crt`, `server.crt` and `server.key` (host `localhost`), `probe.crt` and
/// `probe.key` (name `probe`). Removed when dropped.
pub struct Certificates(tempfile::TempDir);

impl Certificates {
    /// Creates the certificates.
    #[allow(clippy::new_without_default, reason = "it makes files")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write(
            folder.path(),
            &[("server", "localhost"), ("probe", "probe")],
        );
        Self(folder)
    }

    /// Path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Query part of a `tls://` URL for a client.
    pub fn of_client(&self) -> String {
        self.query("ca", "probe")
    }

    /// Query part of a `tls://` URL for a server that requires client certificates.
    pub fn of_server(&self) -> String {
        self.query("client-ca", "server")
    }

    fn query(&self, authority: &str, own: &str) -> String {
        let file = |name: String| self.path(&name).display().to_string();
        format!(
            "{authority}={}&cert={}&key={}",
            file("ca.crt".to_owned()),
            file(format!("{own}.crt")),
            file(format!("{own}.key"))
        )
    }
}

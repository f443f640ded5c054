//! A certificate authority made for a test, and what it signed for both sides of a connection.

use std::path::{Path, PathBuf};

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

/// A certificate authority, and what it signed: `server` for the host `localhost`, `probe` for a client of the
/// name `probe`. Files `ca.crt`, `server.crt`, `server.key`, `probe.crt` and `probe.key`, gone when dropped.
pub struct Certificates(tempfile::TempDir);

impl Certificates {
    /// Makes all of them.
    #[allow(clippy::new_without_default, reason = "it makes files")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write(
            folder.path(),
            &[("server", "localhost"), ("probe", "probe")],
        );
        Self(folder)
    }

    /// Where a file of them is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The part of a `tls://` URL of who connects.
    pub fn of_client(&self) -> String {
        self.query("ca", "probe")
    }

    /// The part of a `tls://` URL of who listens and wants to know who connects.
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

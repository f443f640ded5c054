//! SASL: PLAIN (RFC 4616) and SCRAM (RFC 5802, RFC 7677).

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::rand::SecureRandom as _;
use ring::{digest, hmac, pbkdf2, rand};

use crate::emit::delivery::ConnectError;

/// Octets of the random part of a nonce.
const NONCE_OCTETS: usize = 24;
/// A server that asks for more would keep the thread busy.
const MAX_ITERATIONS: u32 = 1_000_000;

/// How a user is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// The password is sent as it is.
    Plain,
    /// A proof of the password, with SHA-256.
    ScramSha256,
    /// A proof of the password, with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// The name in the protocol.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Why authentication failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SaslError {
    #[error("{0}")]
    Exchange(ConnectError),
    #[error("SASL: the broker refused the password: {0}")]
    Refused(String),
    #[error("SASL: invalid message of the broker")]
    Invalid,
    #[error("SASL: the broker does not know the password")]
    WrongServer,
    #[error("SASL: no random numbers")]
    NoRandom,
}

impl From<ConnectError> for SaslError {
    fn from(error: ConnectError) -> Self {
        Self::Exchange(error)
    }
}

/// Authenticates a user. `exchange` sends a message and returns the answer.
pub(super) fn authenticate(
    mechanism: Mechanism,
    user: &str,
    password: &str,
    mut exchange: impl FnMut(&[u8]) -> Result<Vec<u8>, ConnectError>,
) -> Result<(), SaslError> {
    let (hash, mac) = match mechanism {
        Mechanism::Plain => {
            exchange(format!("\0{user}\0{password}").as_bytes())?;
            return Ok(());
        }
        Mechanism::ScramSha256 => (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256),
        Mechanism::ScramSha512 => (pbkdf2::PBKDF2_HMAC_SHA512, hmac::HMAC_SHA512),
    };
    let mut random = [0; NONCE_OCTETS];
    let filled = rand::SystemRandom::new().fill(&mut random);
    filled.map_err(|_| SaslError::NoRandom)?;
    let nonce = BASE64_STANDARD.encode(random);
    let scram = Scram::new(user, nonce);
    let first = exchange(format!("n,,{}", scram.first).as_bytes())?;
    let (last, signature) = scram.answer(&first, password, hash, mac)?;
    let server_last = exchange(last.as_bytes())?;
    let server_last = std::str::from_utf8(&server_last).map_err(|_| SaslError::Invalid)?;
    if let Some(error) = server_last.strip_prefix("e=") {
        return Err(SaslError::Refused(error.to_owned()));
    }
    let verifier = server_last
        .split(',')
        .find_map(|part| part.strip_prefix("v="));
    let verifier = verifier.and_then(|text| BASE64_STANDARD.decode(text).ok());
    if verifier.as_deref() == Some(signature.as_ref()) {
        Ok(())
    } else {
        Err(SaslError::WrongServer)
    }
}

/// The client of a SCRAM exchange.
struct Scram {
    /// The first message, without the header of the channel binding.
    first: String,
    nonce: String,
}

impl Scram {
    fn new(user: &str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self {
            first: format!("n={user},r={nonce}"),
            nonce,
        }
    }

    /// The last message of the client, and the signature that the server has to send.
    fn answer(
        &self,
        server_first: &[u8],
        password: &str,
        hash: pbkdf2::Algorithm,
        mac: hmac::Algorithm,
    ) -> Result<(String, hmac::Tag), SaslError> {
        let server_first = std::str::from_utf8(server_first).map_err(|_| SaslError::Invalid)?;
        let part = |name: &str| {
            let mut parts = server_first.split(',');
            parts
                .find_map(|part| part.strip_prefix(name))
                .ok_or(SaslError::Invalid)
        };
        let (nonce, salt, iterations) = (part("r=")?, part("s=")?, part("i=")?);
        if !nonce.starts_with(&self.nonce) {
            return Err(SaslError::Invalid);
        }
        let salt = BASE64_STANDARD
            .decode(salt)
            .map_err(|_| SaslError::Invalid)?;
        let iterations = iterations.parse().ok().filter(|n| *n <= MAX_ITERATIONS);
        let iterations = iterations
            .and_then(NonZeroU32::new)
            .ok_or(SaslError::Invalid)?;
        let length = mac.digest_algorithm().output_len();
        let mut salted = vec![0; length];
        pbkdf2::derive(hash, iterations, &salt, password.as_bytes(), &mut salted);
        let salted = hmac::Key::new(mac, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(mac.digest_algorithm(), client_key.as_ref());
        // "biws" is the header "n,," in base64.
        let unproven = format!("c=biws,r={nonce}");
        let message = format!("{},{server_first},{unproven}", self.first);
        let stored_key = hmac::Key::new(mac, stored_key.as_ref());
        let client_signature = hmac::sign(&stored_key, message.as_bytes());
        let proof: Vec<u8> = client_key
            .as_ref()
            .iter()
            .zip(client_signature.as_ref())
            .map(|(key, signature)| key ^ signature)
            .collect();
        let server_key = hmac::sign(&salted, b"Server Key");
        let server_key = hmac::Key::new(mac, server_key.as_ref());
        let signature = hmac::sign(&server_key, message.as_bytes());
        let proof = BASE64_STANDARD.encode(proof);
        Ok((format!("{unproven},p={proof}"), signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677 section 3.
    #[test]
    fn the_proof_is_that_of_the_rfc() {
        let scram = Scram::new("user", "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(scram.first, "n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, signature) = scram
            .answer(
                server.as_bytes(),
                "pencil",
                pbkdf2::PBKDF2_HMAC_SHA256,
                hmac::HMAC_SHA256,
            )
            .unwrap();
        assert!(last.ends_with("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
        let signature = BASE64_STANDARD.encode(signature.as_ref());
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn another_nonce_and_too_many_iterations_are_refused() {
        let scram = Scram::new("a=b,c", "abc".into());
        assert_eq!(scram.first, "n=a=3Db=2Cc,r=abc");
        for server in [
            "r=xyz,s=AAAA,i=4096",
            "r=abcd,s=AAAA,i=2000000",
            "r=abcd,s=AAAA,i=0",
            "",
        ] {
            let answer = scram.answer(
                server.as_bytes(),
                "pencil",
                pbkdf2::PBKDF2_HMAC_SHA256,
                hmac::HMAC_SHA256,
            );
            assert!(matches!(answer, Err(SaslError::Invalid)), "{server}");
        }
    }
}

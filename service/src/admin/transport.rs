//! The beginning of a connection: the TLS handshake, and why it fails.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use enum_map::Enum;
use rustls::{Error as TlsError, ServerConfig};
use strum::IntoStaticStr;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Content type of a TLS record with a handshake message (RFC 8446 §5.1), the first octet of TLS.
const HANDSHAKE_RECORD: u8 = 22;
/// The response to a request without TLS.
const NEEDS_HTTPS: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n\
     content-length: 37\r\nconnection: close\r\n\r\nthis port uses TLS: request https://\n";

/// Maximum time to read the rest of such a request.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether the client of a connection has presented a certificate, which was verified then. Each
/// request has it as an extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClientCertificate {
    /// A certificate was verified.
    pub(super) is_verified: bool,
}

/// The octets of a connection.
pub(super) trait Octets: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Octets for S {}

/// Why a connection was closed by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Refusal {
    /// The client sent a request without TLS.
    PlainHttp,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The certificate of the client is not valid.
    BadCertificate,
    /// The client refused the certificate of the server, or closed the connection.
    RefusedByClient,
    /// No protocol version or cipher suite in common, or what arrived is not TLS.
    HandshakeFailed,
    /// A newer connection needed the slot.
    Displaced,
    /// All slots are in use, and its address has no fewer of them than others.
    TooMany,
}

impl Refusal {
    fn of(error: &io::Error) -> Self {
        let inner = error.get_ref();
        match inner.and_then(|inner| inner.downcast_ref::<TlsError>()) {
            None | Some(TlsError::AlertReceived(_)) => Self::RefusedByClient,
            Some(TlsError::InvalidCertificate(_)) => Self::BadCertificate,
            Some(_) => Self::HandshakeFailed,
        }
    }
}

/// Performs the handshake, if TLS is used.
pub(super) async fn accept(
    mut stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
) -> Result<(Box<dyn Octets>, ClientCertificate), Refusal> {
    let Some(config) = tls else {
        return Ok((Box::new(stream), ClientCertificate::default()));
    };
    let mut first = [0];
    let read = stream.peek(&mut first).await;
    let octets = read.map_err(|_| Refusal::RefusedByClient)?;
    // Methods are letters.
    if octets > 0 && first != [HANDSHAKE_RECORD] && first.iter().all(u8::is_ascii_alphabetic) {
        stream.write_all(NEEDS_HTTPS.as_bytes()).await.ok();
        timeout(DISCARD_TIMEOUT, discard(&mut stream)).await.ok();
        return Err(Refusal::PlainHttp);
    }
    let accepted = TlsAcceptor::from(config).accept(stream).await;
    let stream = accepted.map_err(|error| Refusal::of(&error))?;
    let (_, session) = stream.get_ref();
    let certificate = ClientCertificate {
        is_verified: session.peer_certificates().is_some(),
    };
    Ok((Box::new(stream), certificate))
}

/// Half-closes the connection and reads the request, because a close with unread octets resets the
/// connection, and the client would not read the response.
async fn discard(stream: &mut TcpStream) {
    const MAX_READS: usize = 16;
    stream.shutdown().await.ok();
    let mut buffer = [0; 4096];
    for _ in 0..MAX_READS {
        match stream.read(&mut buffer).await {
            Ok(1..) => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_the_plain_response_is_correct() {
        let (head, body) = NEEDS_HTTPS.split_once("\r\n\r\n").unwrap();
        let length = format!("content-length: {}\r\n", body.len());
        assert!(head.contains(&length), "{}", body.len());
    }
}

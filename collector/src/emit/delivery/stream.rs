//! A TCP connection to an engine, with or without TLS 1.3, on which every operation has a timeout.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use kipfix_export::counters::{ConnectionFailure, LossReason};
use kipfix_export::tls::{self, Credentials};
use kipfix_export::url::Login;
use rustls::{ClientConnection, StreamOwned};

/// How connections are protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportSettings {
    /// TLS is used.
    pub tls: bool,
    /// Files of certificates for TLS. They are read for every connection.
    pub credentials: Credentials,
}

/// Why there is no connection.
#[derive(Debug)]
pub struct ConnectError {
    /// The `reason` in metrics.
    pub reason: ConnectionFailure,
    message: String,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ConnectError {
    /// An error with a message.
    pub fn new(reason: ConnectionFailure, message: impl fmt::Display) -> Self {
        Self {
            reason,
            message: message.to_string(),
        }
    }

    /// Why records are lost while this error persists.
    pub(in crate::emit) const fn loss(&self) -> LossReason {
        match self.reason {
            ConnectionFailure::AuthenticationFailed
            | ConnectionFailure::BadCredentials
            | ConnectionFailure::CertificateRefused => LossReason::Unauthorized,
            _ => LossReason::Unreachable,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        let tls_error = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let reason = match (tls_error, error.kind()) {
            (Some(tls_error), _) => tls::reason(tls_error),
            (_, ErrorKind::ConnectionRefused) => ConnectionFailure::Refused,
            (_, ErrorKind::TimedOut | ErrorKind::WouldBlock) => ConnectionFailure::TimedOut,
            (_, ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => {
                ConnectionFailure::Unreachable
            }
            (_, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof) => {
                ConnectionFailure::Closed
            }
            _ => ConnectionFailure::Failed,
        };
        let message = match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer in time".to_owned(),
            _ => error.to_string(),
        };
        Self::new(reason, message)
    }
}

/// Reads the password of a user.
pub(in crate::emit) fn read_password(login: &Login) -> Result<String, ConnectError> {
    let password = login.read_password();
    password.map_err(|message| ConnectError::new(ConnectionFailure::BadCredentials, message))
}

/// The octets of a connection.
#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A connection.
#[derive(Debug)]
pub struct Stream(Transport);

impl Stream {
    /// Connects to one of the addresses of a host.
    ///
    /// # Errors
    /// The name cannot be resolved, no address accepts the connection within `timeout`, or the TLS
    /// handshake fails.
    pub fn connect(
        (host, port): (&str, u16),
        settings: &TransportSettings,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let addresses = (host, port).to_socket_addrs().map_err(|error| {
            let message = format!("cannot resolve the host name {host:?}: {error}");
            ConnectError::new(ConnectionFailure::Unresolved, message)
        })?;
        let socket = connect_any(addresses, timeout)?;
        socket.set_nodelay(true)?;
        let mut stream = if settings.tls {
            let tls = tls::client(&settings.credentials, host).map_err(|error| {
                ConnectError::new(ConnectionFailure::BadCredentials, format!("{error:#}"))
            })?;
            Self(Transport::Tls(Box::new(StreamOwned::new(tls, socket))))
        } else {
            Self(Transport::Plain(socket))
        };
        stream.set_timeout(timeout)?;
        if let Transport::Tls(tls) = &mut stream.0 {
            while tls.conn.is_handshaking() {
                tls.conn.complete_io(&mut tls.sock)?;
            }
        }
        Ok(stream)
    }

    /// Limits the time of each read and write from now on.
    ///
    /// # Errors
    /// The operating system refuses the timeout.
    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        let socket = match &self.0 {
            Transport::Plain(socket) => socket,
            Transport::Tls(tls) => &tls.sock,
        };
        socket.set_read_timeout(Some(timeout))?;
        socket.set_write_timeout(Some(timeout))
    }
}

fn connect_any(
    addresses: impl Iterator<Item = SocketAddr>,
    timeout: Duration,
) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::new(
        ConnectionFailure::Unresolved,
        "the host name has no address",
    );
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Transport::Plain(socket) => socket.read(buffer),
            Transport::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Transport::Plain(socket) => socket.write(octets),
            Transport::Tls(tls) => tls.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Transport::Plain(socket) => socket.flush(),
            Transport::Tls(tls) => tls.flush(),
        }
    }
}

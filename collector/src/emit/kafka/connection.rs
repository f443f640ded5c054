//! A connection to a broker: one request at a time, then its response.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use kipfix_export::counters::ConnectionFailure;

use super::errors;
use super::requests::{self, Api, LENGTH_OCTETS};
use super::sasl::{self, SaslError};
use super::target::KafkaTarget;
use super::wire::{InvalidResponse, Reader, Writer};
use crate::emit::delivery::{ConnectError, Stream, read_password};

/// A longer response is invalid.
const MAX_RESPONSE_OCTETS: usize = 16 << 20;

/// A connection to a broker.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    correlation_id: i32,
    request: Vec<u8>,
    response: Vec<u8>,
}

impl Connection {
    /// Connects, and authenticates if the target has a user.
    pub(super) fn open(
        broker: (&str, u16),
        target: &KafkaTarget,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let transport = &target.parameters.transport;
        let mut connection = Self {
            stream: Stream::connect(broker, transport, timeout)?,
            correlation_id: 0,
            request: Vec::new(),
            response: Vec::new(),
        };
        if let Some(login) = &target.parameters.login {
            let password = read_password(login)?;
            connection.authenticate(target, &login.user, &password)?;
        }
        Ok(connection)
    }

    fn authenticate(
        &mut self,
        target: &KafkaTarget,
        user: &str,
        password: &str,
    ) -> Result<(), ConnectError> {
        let mechanism = target.mechanism;
        let refused =
            |message: String| ConnectError::new(ConnectionFailure::AuthenticationFailed, message);
        let mut reader = self.call(Api::SASL_HANDSHAKE, |out| {
            Writer(out).string(mechanism.name());
        })?;
        let code = reader.int16()?;
        if code != 0 {
            let name = mechanism.name();
            return Err(refused(format!("the broker does not offer SASL {name}")));
        }
        let exchange = |octets: &[u8]| {
            let mut reader = self.call(Api::SASL_AUTHENTICATE, |out| {
                Writer(out).bytes(octets);
            })?;
            let (code, message) = (reader.int16()?, reader.string()?);
            if code != 0 {
                let name = errors::name(code);
                return Err(refused(format!("SASL: {name}: {message}")));
            }
            Ok(reader.bytes()?.to_vec())
        };
        match sasl::authenticate(mechanism, user, password, exchange) {
            Ok(()) => Ok(()),
            Err(SaslError::Exchange(error)) => Err(error),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// Limits the time of each read and write.
    pub(super) fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.set_timeout(timeout)
    }

    /// Sends a request and returns its response.
    pub(super) fn call(
        &mut self,
        api: Api,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<Reader<'_>> {
        self.send(api, write)?;
        self.receive()
    }

    /// Sends a request. Returns its octets.
    pub(super) fn send(&mut self, api: Api, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<usize> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        requests::begin(api, self.correlation_id, &mut self.request);
        write(&mut self.request);
        requests::end(&mut self.request);
        self.stream.write_all(&self.request)?;
        self.stream.flush()?;
        Ok(self.request.len())
    }

    /// Receives the response of the last request.
    pub(super) fn receive(&mut self) -> io::Result<Reader<'_>> {
        let mut length = [0; LENGTH_OCTETS];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).ok();
        let length = length.filter(|length| *length <= MAX_RESPONSE_OCTETS);
        self.response.resize(length.ok_or(InvalidResponse)?, 0);
        self.stream.read_exact(&mut self.response)?;
        let mut reader = Reader(&self.response);
        if reader.int32()? != self.correlation_id {
            return Err(InvalidResponse.into());
        }
        Ok(reader)
    }
}

impl From<InvalidResponse> for io::Error {
    fn from(error: InvalidResponse) -> Self {
        Self::new(ErrorKind::InvalidData, error)
    }
}

impl From<InvalidResponse> for ConnectError {
    fn from(error: InvalidResponse) -> Self {
        Self::new(ConnectionFailure::Failed, error)
    }
}

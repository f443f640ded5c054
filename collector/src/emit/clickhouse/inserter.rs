//! Inserts the records of a chunk.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use kipfix_export::counters::{ConnectionFailure, LossReason};
use ring::rand::SecureRandom as _;

use super::request::{self, Answer, MAX_RESPONSE_OCTETS};
use super::target::ClickHouseTarget;
use crate::emit::delivery::{
    Chunk, Client, Compressor, ConnectError, Progress, Stream, read_password,
};

/// Maximum time of a connection attempt, and of each read and write.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Octets of the random part of a token.
const TOKEN_OCTETS: usize = 16;

/// Inserts records into a table.
#[derive(Debug)]
pub struct Inserter {
    target: ClickHouseTarget,
    batch_octets: usize,
    compressor: Compressor,
    body: Vec<u8>,
    response: Vec<u8>,
}

impl Inserter {
    /// An inserter without a connection.
    #[must_use]
    pub fn new(target: ClickHouseTarget) -> Self {
        Self {
            batch_octets: usize::try_from(target.batch.bytes()).unwrap_or(usize::MAX),
            compressor: Compressor::new(target.compression),
            target,
            body: Vec::new(),
            response: Vec::new(),
        }
    }

    /// Inserts the rows of a batch. Returns false if they are left over.
    fn insert(&mut self, rows: &[u8], records: usize, progress: &mut Progress) -> bool {
        let Some(token) = token() else {
            progress.failed(
                LossReason::Failed,
                "no random numbers for a deduplication token",
            );
            return false;
        };
        self.body.clear();
        if let Err(error) = self.compressor.compress(rows, &mut self.body) {
            progress.warn(&format!("cannot compress rows: {error}"));
            progress.lost(LossReason::Failed, records);
            return true;
        }
        while !progress.must_stop() {
            let (loss, message) = match self.send(&token, progress) {
                Ok(Answer::Stored) => {
                    progress.delivered(records, self.body.len());
                    return true;
                }
                Ok(Answer::Rejected(message)) => {
                    progress.warn(&format!("rows are refused and lost: {message}"));
                    progress.lost(LossReason::Rejected, records);
                    return true;
                }
                Ok(Answer::Retry(loss, message)) => {
                    if loss == LossReason::Unauthorized {
                        progress.connection_failed(ConnectionFailure::AuthenticationFailed);
                    }
                    (loss, message)
                }
                Err(error) => {
                    progress.connection_failed(error.reason);
                    (error.loss(), error.to_string())
                }
            };
            progress.failed(loss, &message);
        }
        false
    }

    /// Sends the body on a new connection and reads the response.
    fn send(&mut self, token: &str, progress: &Progress) -> Result<Answer, ConnectError> {
        let parameters = &self.target.parameters;
        let password = parameters.login.as_ref().map(read_password).transpose()?;
        let password = password.unwrap_or_default();
        let timeout = progress.time_left(REQUEST_TIMEOUT);
        let server = (self.target.host.as_str(), self.target.port);
        let mut stream = Stream::connect(server, &parameters.transport, timeout)?;
        let head = request::head(&self.target, token, &password, self.body.len());
        stream.write_all(head.as_bytes())?;
        // A server that refuses a request may answer and close before it has read the body.
        let written = stream.write_all(&self.body).and_then(|()| stream.flush());
        self.response.clear();
        let read = io::Read::by_ref(&mut stream)
            .take(MAX_RESPONSE_OCTETS)
            .read_to_end(&mut self.response);
        if self.response.is_empty() {
            written?;
            read?;
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(request::answer(&self.response))
    }
}

/// A text that no other batch has.
fn token() -> Option<String> {
    let mut random = [0; TOKEN_OCTETS];
    ring::rand::SystemRandom::new().fill(&mut random).ok()?;
    Some(random.iter().map(|octet| format!("{octet:02x}")).collect())
}

impl Client for Inserter {
    fn deliver(&mut self, chunk: &Chunk, progress: &mut Progress) {
        let mut rest = chunk.octets();
        let (mut octets, mut records): (usize, usize) = (0, 0);
        let mut sizes = chunk.places().map(|place| place.octets.len()).peekable();
        while let Some(size) = sizes.next() {
            octets = octets.saturating_add(size);
            records = records.saturating_add(1);
            let next = sizes.peek().copied();
            let is_full = next.is_none_or(|next| octets.saturating_add(next) > self.batch_octets);
            if is_full {
                let (rows, following) = rest.split_at_checked(octets).unwrap_or_default();
                if !self.insert(rows, records, progress) {
                    return;
                }
                rest = following;
                (octets, records) = (0, 0);
            }
        }
    }
}

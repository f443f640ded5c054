//! A question begins with how long it is and how long the answer shall be.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
pub(crate) const HEAD_OCTETS: usize = 8;
pub(crate) const MAX_DATAGRAM_OCTETS: usize = 1400;

pub(crate) fn read_octets(stream: &mut TcpStream, octets: usize) -> std::io::Result<()> {
    let limit = u64::try_from(octets).unwrap_or(u64::MAX);
    let read = std::io::copy(&mut stream.take(limit), &mut std::io::sink())?;
    if read < limit {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

//! Real traffic of known size: who is asked answers with as many octets as the question wants.
//!
//! A question begins with how long it is and how long the answer shall be, two `u32` in network order.

mod answers;
mod questions;

pub use answers::{answer_connections, answer_datagrams};
pub use questions::Question;

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const HEAD_OCTETS: usize = 8;
/// Longest question or answer of a datagram.
const MAX_DATAGRAM_OCTETS: usize = 1400;

fn read_octets(stream: &mut TcpStream, octets: usize) -> std::io::Result<()> {
    let limit = u64::try_from(octets).unwrap_or(u64::MAX);
    let read = std::io::copy(&mut stream.take(limit), &mut std::io::sink())?;
    if read < limit {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

//! Traffic of known size: a server answers with as many octets as the request asks for.
//!
//! A request starts with its own length and the length of the response, two `u32` in network order.

mod answers;
mod questions;

pub use answers::{answer_connections, answer_datagrams};
pub use questions::Question;

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::Duration;

/// Timeout for a response.
const TIMEOUT: Duration = Duration::from_secs(5);
const HEAD_OCTETS: usize = 8;
/// Maximum size of a request or response in a datagram.
const MAX_DATAGRAM_OCTETS: usize = 1400;

fn read_octets(stream: &mut TcpStream, octets: usize) -> std::io::Result<()> {
    let limit = u64::try_from(octets).unwrap_or(u64::MAX);
    let read = std::io::copy(&mut stream.take(limit), &mut std::io::sink())?;
    if read < limit {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

//! Who asks.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};

use anyhow::{Result, ensure};

use crate::{HEAD_OCTETS, MAX_DATAGRAM_OCTETS, PATIENCE, read_octets};

/// A question of a size that wants an answer of a size.
#[derive(Clone, Debug)]
pub struct Question {
    octets: Vec<u8>,
    answer_octets: usize,
}

impl Question {
    /// # Errors
    /// It is shorter than the 8 octets that say both sizes.
    pub fn new(octets: u32, answer_octets: u32) -> Result<Self> {
        let mut question = [octets.to_be_bytes(), answer_octets.to_be_bytes()].concat();
        let octets = usize::try_from(octets)?;
        ensure!(
            octets >= HEAD_OCTETS,
            "a question has at least {HEAD_OCTETS} octets"
        );
        question.resize(octets, b'q');
        Ok(Self {
            octets: question,
            answer_octets: usize::try_from(answer_octets)?,
        })
    }

    /// Asks over a connection of its own, and reads the whole answer.
    ///
    /// # Errors
    /// Nobody is there, or the answer is too short or too late.
    pub fn ask_connection(&self, to: SocketAddr) -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&self.octets)?;
        read_octets(&mut stream, self.answer_octets)
    }

    /// Asks in a datagram from a port of its own, and waits for one in return.
    ///
    /// # Errors
    /// Nobody answers in time.
    pub fn ask_datagram(&self, to: SocketAddr) -> std::io::Result<()> {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send_to(&self.octets, to)?;
        socket.recv_from(&mut [0; MAX_DATAGRAM_OCTETS]).map(drop)
    }
}

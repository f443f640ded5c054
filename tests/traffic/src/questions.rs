//! Clients.

use std::collections::HashSet;
use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use anyhow::{Result, ensure};

use crate::{HEAD_OCTETS, MAX_DATAGRAM_OCTETS, TIMEOUT, read_octets};

/// Attempts to get a port that was not used before. One of 28,232 is free at random by default.
const MAX_ATTEMPTS: usize = 1000;

/// A request with the sizes of request and response.
#[derive(Clone, Debug)]
pub struct Question {
    octets: Vec<u8>,
    answer_octets: usize,
    /// Source ports of the datagrams so far.
    ports: HashSet<u16>,
}

impl Question {
    /// Creates a request.
    ///
    /// # Errors
    /// If it is shorter than the 8 octets of the two sizes.
    pub fn new(octets: u32, answer_octets: u32) -> Result<Self> {
        let mut question = [octets.to_be_bytes(), answer_octets.to_be_bytes()].concat();
        let octets = usize::try_from(octets)?;
        ensure!(
            octets >= HEAD_OCTETS,
            "invalid request size {octets}: must be at least {HEAD_OCTETS} octets"
        );
        question.resize(octets, b'q');
        Ok(Self {
            octets: question,
            answer_octets: usize::try_from(answer_octets)?,
            ports: HashSet::new(),
        })
    }

    /// Sends it over a new connection and reads the whole response.
    ///
    /// # Errors
    /// If the connection fails, or the response is too short or too late.
    pub fn ask_connection(&self, to: SocketAddr) -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&to, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(&self.octets)?;
        read_octets(&mut stream, self.answer_octets)
    }

    /// Sends it as a datagram from a port that no datagram before came from, and waits for the
    /// response.
    ///
    /// # Errors
    /// If there is no such port, or no response in time.
    pub fn ask_datagram(&mut self, to: SocketAddr) -> std::io::Result<()> {
        let socket = self.new_socket(to)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.send_to(&self.octets, to)?;
        socket.recv_from(&mut [0; MAX_DATAGRAM_OCTETS]).map(drop)
    }

    /// The system gives ports at random: among 30, two are the same once in about a hundred times,
    /// and their datagrams are one flow.
    fn new_socket(&mut self, to: SocketAddr) -> std::io::Result<UdpSocket> {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        for _ in 0..MAX_ATTEMPTS {
            let socket = UdpSocket::bind(any)?;
            if self.ports.insert(socket.local_addr()?.port()) {
                return Ok(socket);
            }
        }
        Err(ErrorKind::AddrInUse.into())
    }
}

//! The octets written to a TCP connection that the other host has not acknowledged, from the socket
//! diagnostics of the kernel (sock_diag(7)): the send queue starts with the first one.
//!
//! The request and the answer are one struct each. A crate for them would add four to the tree of a
//! program that holds the right to capture, one of them a procedural macro.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc::{AF_INET, AF_INET6, IPPROTO_TCP, NLM_F_REQUEST};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Octets of `struct nlmsghdr` and `struct inet_diag_req_v2`.
const REQUEST_OCTETS: usize = 16 + 56;
/// Offsets in the answer: `nlmsg_type`, `nlmsg_seq`, and after the header `idiag_wqueue` of `struct
/// inet_diag_msg`.
const TYPE: usize = 4;
const SEQUENCE_NUMBER: usize = 8;
const SEND_QUEUE: usize = 16 + 4 + 48 + 8;
/// How long the kernel may take to answer, seconds.
const ANSWER_TIMEOUT: i64 = 1;

/// Diagnostics of one connection.
#[derive(Debug)]
pub(crate) struct TcpDiagnostics {
    netlink: OwnedFd,
    request: Vec<u8>,
    sequence_number: u32,
}

impl TcpDiagnostics {
    /// Opens the diagnostics of the connection from `local` to `remote`.
    ///
    /// # Errors
    /// The kernel has no such diagnostics, or no such connection.
    pub(crate) fn open(local: SocketAddr, remote: SocketAddr) -> io::Result<Self> {
        let netlink = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )?;
        let timeout = TimeVal::seconds(ANSWER_TIMEOUT);
        setsockopt(&netlink, sockopt::ReceiveTimeout, &timeout)?;
        let mut diagnostics = Self {
            netlink,
            request: request(local, remote),
            sequence_number: 0,
        };
        diagnostics.unacknowledged_octets()?;
        Ok(diagnostics)
    }

    /// Returns the octets without an acknowledgement.
    ///
    /// # Errors
    /// The kernel has no such connection any more, or does not answer.
    pub(crate) fn unacknowledged_octets(&mut self) -> io::Result<u64> {
        self.sequence_number = self.sequence_number.wrapping_add(1);
        let sequence_number = self.sequence_number.to_ne_bytes();
        if let Some(octets) = self.request.get_mut(SEQUENCE_NUMBER..SEQUENCE_NUMBER + 4) {
            octets.copy_from_slice(&sequence_number);
        }
        send(self.netlink.as_raw_fd(), &self.request, MsgFlags::empty())?;
        let mut buffer = [0_u8; 1024];
        loop {
            let length = recv(self.netlink.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let answer = buffer.get(..length).unwrap_or_default();
            if field(answer, SEQUENCE_NUMBER) != Some(sequence_number) {
                // A late answer to an earlier request.
                continue;
            }
            if field(answer, TYPE) != Some(SOCK_DIAG_BY_FAMILY.to_ne_bytes()) {
                return Err(io::Error::from(io::ErrorKind::NotConnected));
            }
            return field(answer, SEND_QUEUE)
                .map(|octets| u32::from_ne_bytes(octets).into())
                .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof));
        }
    }
}

fn field<const N: usize>(answer: &[u8], at: usize) -> Option<[u8; N]> {
    answer.get(at..)?.first_chunk().copied()
}

/// The request for one connection.
fn request(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut request = Vec::with_capacity(REQUEST_OCTETS);
    let mut put = |octets: &[u8]| request.extend_from_slice(octets);
    put(&u32::try_from(REQUEST_OCTETS)
        .unwrap_or_default()
        .to_ne_bytes());
    put(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&u16::try_from(NLM_F_REQUEST)
        .unwrap_or_default()
        .to_ne_bytes());
    put(&[0; 8]);
    // Family, protocol, no extensions, padding, connections in any state.
    put(&[octet(family), octet(IPPROTO_TCP), 0, 0]);
    put(&u32::MAX.to_ne_bytes());
    put(&local.port().to_be_bytes());
    put(&remote.port().to_be_bytes());
    for address in [local.ip(), remote.ip()] {
        match address {
            IpAddr::V4(ip) => {
                put(&ip.octets());
                put(&[0; 12]);
            }
            IpAddr::V6(ip) => put(&ip.octets()),
        }
    }
    // Any interface, no cookie.
    put(&[0; 4]);
    put(&[0xff; 8]);
    request
}

fn octet(constant: i32) -> u8 {
    u8::try_from(constant).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn octets_that_the_other_host_has_not_acknowledged_are_reported() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(any) else {
                eprintln!("skipped: no address for {any}");
                continue;
            };
            let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut receiver, _) = listener.accept().unwrap();
            let ends = (sender.local_addr().unwrap(), sender.peer_addr().unwrap());
            sender.write_all(&[1; 1000]).unwrap();
            receiver.read_exact(&mut [0; 1000]).unwrap();
            let mut diagnostics = TcpDiagnostics::open(ends.0, ends.1).unwrap();
            assert_eq!(diagnostics.unacknowledged_octets().unwrap(), 0);
            // Octets that do not fit into the receiver's buffer stay here.
            sender.set_nonblocking(true).unwrap();
            let mut written = 0;
            while let Ok(more) = sender.write(&[1; 65_536]) {
                written += u64::try_from(more).unwrap();
            }
            let waiting = diagnostics.unacknowledged_octets().unwrap();
            assert!(0 < waiting && waiting < written, "{waiting} of {written}");
            drop((sender, receiver, listener));
            assert!(TcpDiagnostics::open(ends.1, ends.0).is_err());
        }
    }
}

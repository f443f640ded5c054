//! UDP sockets (RFC 7011 §10.3): batches of datagrams, and the drops of the kernel.
//!
//! `recvmmsg` fills preallocated buffers that are large enough for any datagram, so nothing is
//! truncated or allocated. The kernel's receive buffer absorbs stalls. A large one is requested,
//! its size is read back, and a limit of the kernel is logged.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};

use kipfix_service::bind::{Transport, bind};
use nix::errno::Errno;
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrLike, SockaddrStorage, recvmmsg, setsockopt, sockopt,
};
use socket2::Socket;

/// Maximum number of datagrams of one system call.
const BATCH: usize = 64;
/// Octets between the buffers of a batch. It is more than any UDP payload and not a multiple of a
/// page, so that the beginnings of datagrams are spread over the sets of the processor's cache.
const STRIDE: usize = 65_536 + 24 * 64;

/// A bound socket.
#[derive(Debug)]
pub struct UdpReceiver {
    socket: Socket,
    local_address: SocketAddr,
    name: String,
    receive_buffer_octets: usize,
    inode: u64,
    /// Drops of the kernel, as last read.
    drops: AtomicU64,
}

impl UdpReceiver {
    /// Binds a socket of `worker` with a receive buffer of `receive_buffer_octets`, or less if the
    /// kernel limits it. With `shared`, the sockets of several workers share the port, and the
    /// kernel keeps each exporter on one of them.
    ///
    /// # Errors
    /// The address is in use, not an address of this host, or not permitted.
    pub fn bind(
        address: SocketAddr,
        receive_buffer_octets: usize,
        worker: usize,
        shared: bool,
    ) -> io::Result<Self> {
        let socket = bind(Transport::Udp, address, shared)?;
        // With NET_ADMIN this exceeds net.core.rmem_max; without, that is the limit.
        if setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer_octets).is_err() {
            socket.set_recv_buffer_size(receive_buffer_octets)?;
        }
        // The kernel doubles the requested size for its own bookkeeping, and reports that.
        let granted = socket.recv_buffer_size()? / 2;
        let local_address = socket
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::other("the socket has no IP address"))?;
        if granted < receive_buffer_octets {
            tracing::warn!(
                listen = %local_address,
                requested = receive_buffer_octets,
                granted,
                "receive buffer limited by the kernel; raise net.core.rmem_max or grant NET_ADMIN",
            );
        }
        let inode = std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd()))
            .map_or(0, |socket| socket.st_ino());
        Ok(Self {
            name: if shared {
                format!("{local_address}#{worker}")
            } else {
                local_address.to_string()
            },
            socket,
            local_address,
            receive_buffer_octets: granted,
            inode,
            drops: AtomicU64::new(0),
        })
    }

    /// The address it is bound to, with the real port if 0 was requested.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Its name in metrics: the address, and the worker if several share the port.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Octets of the receive buffer.
    #[must_use]
    pub const fn receive_buffer_octets(&self) -> usize {
        self.receive_buffer_octets
    }

    /// Datagrams dropped by the kernel because the receive buffer was full, as last read.
    #[must_use]
    pub fn drops(&self) -> u64 {
        self.drops.load(Ordering::Relaxed)
    }

    /// Reads the drops from the kernel's table of UDP sockets. The control message with the same
    /// number comes only with a later datagram that is not dropped.
    pub fn read_drops(&self) {
        let table = if self.local_address.is_ipv6() {
            "/proc/self/net/udp6"
        } else {
            "/proc/self/net/udp"
        };
        let drops = std::fs::read_to_string(table)
            .ok()
            .and_then(|table| drops_of(&table, self.inode));
        if let Some(drops) = drops {
            self.drops.fetch_max(drops, Ordering::Relaxed);
        }
    }
}

impl AsFd for UdpReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads the last column of the socket's line.
fn drops_of(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let of_this_socket = columns.nth(9)?.parse() == Ok(inode);
        of_this_socket.then(|| columns.next_back()?.parse().ok())?
    })
}

/// The receive buffers of one thread.
#[derive(Debug)]
pub struct Batch {
    headers: MultiHeaders<SockaddrStorage>,
    buffer: Vec<u8>,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            headers: MultiHeaders::preallocate(BATCH, None),
            buffer: vec![0; STRIDE * BATCH],
        }
    }
}

impl Batch {
    /// Receives up to a batch of datagrams without waiting, and hands each to `take`. Returns their
    /// number. Fewer than a full batch means that the socket is empty.
    ///
    /// # Errors
    /// The socket failed. An empty socket is not an error.
    pub fn receive(
        &mut self,
        receiver: &UdpReceiver,
        mut take: impl FnMut(SocketAddr, &[u8]),
    ) -> io::Result<usize> {
        let mut buffers = self.buffer.chunks_mut(STRIDE);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
        let received = recvmmsg(
            receiver.socket.as_raw_fd(),
            &mut self.headers,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        );
        let received = match received {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let mut datagrams = 0;
        for message in received {
            datagrams += 1;
            if let Some(exporter) = message.address.as_ref().and_then(plain_address) {
                take(exporter, message.iovs().next().unwrap_or_default());
            }
        }
        Ok(datagrams)
    }

    /// True if `datagrams` is a full batch, so that there may be more.
    #[must_use]
    pub const fn is_full(datagrams: usize) -> bool {
        datagrams == BATCH
    }
}

/// The sender's address. IPv4-mapped addresses become IPv4.
fn plain_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    address.family()?;
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4((*v4).into()));
    }
    let v6: std::net::SocketAddrV6 = (*address.as_sockaddr_in6()?).into();
    Some(SocketAddr::new(v6.ip().to_canonical(), v6.port()))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn received(
        receiver: &UdpReceiver,
        batch: &mut Batch,
        wanted: usize,
    ) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut got = Vec::new();
        for _ in 0..200 {
            batch
                .receive(receiver, |exporter, datagram| {
                    got.push((exporter, datagram.to_vec()))
                })
                .unwrap();
            if got.len() >= wanted {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        got
    }

    #[test]
    fn datagrams_of_both_families_arrive_complete_with_plain_addresses() {
        let receiver = UdpReceiver::bind("[::]:0".parse().unwrap(), 1 << 20, 0, false).unwrap();
        let port = receiver.local_address().port();
        let v4 = UdpSocket::bind("127.0.0.1:0").unwrap();
        v4.send_to(b"four", ("127.0.0.1", port)).unwrap();
        v4.send_to(&vec![7; 65_507], ("127.0.0.1", port)).unwrap();
        v4.send_to(b"", ("127.0.0.1", port)).unwrap();
        let got = received(&receiver, &mut Batch::default(), 3);
        assert_eq!(got[0], (v4.local_addr().unwrap(), b"four".to_vec()));
        assert_eq!(got[1].1.len(), 65_507);
        assert_eq!(got[2].1, b"");
    }

    #[test]
    fn more_than_a_batch_arrives_in_several() {
        let receiver =
            UdpReceiver::bind("127.0.0.1:0".parse().unwrap(), 1 << 20, 0, false).unwrap();
        let exporter = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..100_u8 {
            exporter
                .send_to(&[number], receiver.local_address())
                .unwrap();
        }
        let got = received(&receiver, &mut Batch::default(), 100);
        assert!(got.iter().map(|(_, datagram)| datagram[0]).eq(0..100));
    }

    #[test]
    fn drops_of_the_kernel_are_counted() {
        let receiver = UdpReceiver::bind("127.0.0.1:0".parse().unwrap(), 2048, 0, false).unwrap();
        let exporter = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..200 {
            exporter
                .send_to(&[0; 1000], receiver.local_address())
                .unwrap();
        }
        let arrived = received(&receiver, &mut Batch::default(), 1).len();
        receiver.read_drops();
        assert!(receiver.drops() > 0);
        assert_eq!(u64::try_from(arrived).unwrap() + receiver.drops(), 200);
    }

    #[test]
    fn drops_are_read_from_the_line_of_the_socket() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             1: 0100007F:1283 00000000:0000 07 00000000:00000000 00:00000000 00000000  0  0 41 2 ffff 7\n\
             2: 0100007F:1284 00000000:0000 07 00000000:00000000 00:00000000 00000000  0  0 42 2 ffff 9\n";
        assert_eq!(drops_of(table, 42), Some(9));
        assert_eq!(drops_of(table, 43), None);
    }
}

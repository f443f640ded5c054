//! UDP sockets (RFC 7011 §10.3): batches of datagrams, with what the kernel dropped counted.
//!
//! `recvmmsg` fills preallocated buffers, large enough for any datagram, so that nothing is cut and
//! nothing allocated. The receive buffer is what rides out a stall: it is asked for large, read back,
//! and a cap by the kernel is said once.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrLike, SockaddrStorage, recvmmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

/// Datagrams a system call takes at the most.
const BATCH: usize = 64;
/// Octets between the buffers of a batch: more than any UDP payload, and no multiple of a page, so that
/// the beginnings of all datagrams do not fall into the same few lines of the cache.
const STRIDE: usize = 65_536 + 24 * 64;

/// A bound socket.
#[derive(Debug)]
pub struct UdpReceiver {
    socket: Socket,
    local_address: SocketAddr,
    name: String,
    receive_buffer_octets: usize,
    inode: u64,
    /// What the kernel dropped so far, as last read.
    drops: AtomicU64,
}

impl UdpReceiver {
    /// Binds a socket of `worker` with `receive_buffer_octets` of room in the kernel, or what the
    /// kernel allows. `shared`: the sockets of several workers share the port, and the kernel keeps
    /// each exporter on one of them.
    ///
    /// # Errors
    /// The address is in use, not ours, or not permitted.
    pub fn bind(
        address: SocketAddr,
        receive_buffer_octets: usize,
        worker: usize,
        shared: bool,
    ) -> io::Result<Self> {
        let socket = match open(address, shared) {
            Err(error) if address.ip().is_unspecified() && lacks_ipv6(&error) => {
                open((Ipv4Addr::UNSPECIFIED, address.port()).into(), shared)?
            }
            opened => opened?,
        };
        // Beyond the limit of net.core.rmem_max with the right to do so, up to it without.
        if setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer_octets).is_err() {
            socket.set_recv_buffer_size(receive_buffer_octets)?;
        }
        // The kernel doubles what is asked for, for its own bookkeeping, and reports that.
        let granted = socket.recv_buffer_size()? / 2;
        let local_address = socket
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::other("the socket has no IP address"))?;
        if granted < receive_buffer_octets {
            tracing::warn!(
                listen = %local_address,
                asked = receive_buffer_octets,
                granted,
                "the kernel capped the receive buffer; raise net.core.rmem_max or give NET_ADMIN",
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

    /// Where it listens; the port is real where 0 was asked for.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Its name in a metric: where it listens, and the worker where several share the port.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Octets that may wait in the kernel.
    #[must_use]
    pub const fn receive_buffer_octets(&self) -> usize {
        self.receive_buffer_octets
    }

    /// Datagrams that the kernel dropped because the receive buffer was full, as last read.
    #[must_use]
    pub fn drops(&self) -> u64 {
        self.drops.load(Ordering::Relaxed)
    }

    /// Reads what the kernel dropped. It says so in its table of UDP sockets; the control message
    /// that would say so with a datagram comes only with a later datagram that gets through.
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

/// The last column of the socket's line.
fn drops_of(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let of_this_socket = columns.nth(9)?.parse() == Ok(inode);
        of_this_socket.then(|| columns.next_back()?.parse().ok())?
    })
}

/// Whether the host has no IPv6, or had it switched off.
pub(super) fn lacks_ipv6(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL))
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// The buffers of one worker.
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
    /// Receives what waits in the socket, a batch at the most, and hands each datagram to `take`.
    /// Returns how many there were; fewer than a whole batch means that the socket is empty.
    ///
    /// # Errors
    /// The socket failed; that nothing waits is no failure.
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

    /// Whether `datagrams` was a whole batch, so that more may wait.
    #[must_use]
    pub const fn is_whole(datagrams: usize) -> bool {
        datagrams == BATCH
    }
}

/// The sender's address, IPv4 plain however the socket says it.
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
    fn datagrams_of_both_families_arrive_whole_with_plain_addresses() {
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
    fn more_than_a_batch_comes_in_several() {
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
    fn what_the_kernel_drops_is_counted() {
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

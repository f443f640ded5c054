//! The sockets from which datagrams are sent: one for each exporter.
//!
//! If the exporter's address is kept, the socket is bound to it, which `IP_TRANSPARENT` permits for
//! addresses of other hosts. If not, every exporter still gets a port of its own, because
//! collectors distinguish Transport Sessions, and so templates, by source port (RFC 7011 §10.3.2).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;

use lru::LruCache;
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// Maximum number of exporters with a socket. One more replaces the least recently used.
const MAX_EXPORTERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// Requested send buffer; the kernel limits it to `net.core.wmem_max`.
const SEND_BUFFER_OCTETS: usize = 4 << 20;

/// A socket to the target.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) socket: Socket,
    /// It has the collector's address although the exporter's was to be kept.
    pub(super) is_source_replaced: bool,
}

#[derive(Debug)]
pub(super) struct Sockets {
    outlets: LruCache<SocketAddr, Outlet>,
    keeps_source: bool,
}

impl Sockets {
    pub(super) fn new(keeps_source: bool) -> Self {
        Self {
            outlets: LruCache::new(MAX_EXPORTERS),
            keeps_source,
        }
    }

    /// Closes all sockets, because the target has another address.
    pub(super) fn clear(&mut self) {
        self.outlets.clear();
    }

    /// The socket for datagrams of `exporter`.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub(super) fn outlet(
        &mut self,
        exporter: SocketAddr,
        target: SocketAddr,
    ) -> io::Result<&Outlet> {
        let keeps = self.keeps_source && !exporter.ip().is_unspecified();
        self.outlets.try_get_or_insert(exporter, || {
            let kept = keeps.then(|| open_as(exporter, target));
            match kept {
                Some(Ok(socket)) => Ok(Outlet {
                    socket,
                    is_source_replaced: false,
                }),
                // The exporter has another address family, or an address that cannot be used.
                Some(Err(_)) | None => Ok(Outlet {
                    socket: open(any(target), target, false)?,
                    is_source_replaced: keeps,
                }),
            }
        })
    }
}

/// Opens a socket with the exporter's address and port, or with another port if that one is in use
/// on this host.
fn open_as(exporter: SocketAddr, target: SocketAddr) -> io::Result<Socket> {
    if exporter.is_ipv4() != target.is_ipv4() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    open(exporter, target, true).or_else(|error| {
        if error.raw_os_error().map(Errno::from_raw) == Some(Errno::EADDRINUSE) {
            open(SocketAddr::new(exporter.ip(), 0), target, true)
        } else {
            Err(error)
        }
    })
}

fn any(target: SocketAddr) -> SocketAddr {
    let ip: IpAddr = if target.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    SocketAddr::new(ip, 0)
}

fn open(source: SocketAddr, target: SocketAddr, transparent: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(target),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if transparent {
        set_transparent(&socket, target.is_ipv4())?;
    }
    // A smaller buffer is good enough.
    socket.set_send_buffer_size(SEND_BUFFER_OCTETS).ok();
    socket.bind(&source.into())?;
    socket.connect(&target.into())?;
    Ok(socket)
}

fn set_transparent(socket: &Socket, is_ipv4: bool) -> io::Result<()> {
    if is_ipv4 {
        socket.set_ip_transparent_v4(true)
    } else {
        socket.set_ip_transparent_v6(true)
    }
}

/// Checks that the kernel permits this process to send from addresses of other hosts.
///
/// # Errors
/// It does not.
pub(super) fn check_transparent() -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    set_transparent(&socket, true)
}

//! The sockets that datagrams leave from: one for each exporter.
//!
//! Where the exporter's address is kept, the socket is bound to it, which `IP_TRANSPARENT` allows for
//! addresses that are not this host's. Where it is not, every exporter still gets a port of its own, because
//! collectors tell Transport Sessions, and so templates, apart by source port (RFC 7011 §10.3.2).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;

use lru::LruCache;
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// Exporters with a socket at once; the one longest silent gives up its socket.
const MAX_EXPORTERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// Room for bursts in the kernel, as far as it allows (`net.core.wmem_max`).
const SEND_BUFFER_OCTETS: usize = 4 << 20;

/// A socket to the target.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) socket: Socket,
    /// It has an address of ours though the exporter's was to be kept.
    pub(super) readdressed: bool,
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

    /// The target is elsewhere.
    pub(super) fn clear(&mut self) {
        self.outlets.clear();
    }

    /// The socket for what comes from `exporter`.
    ///
    /// # Errors
    /// None can be opened.
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
                    readdressed: false,
                }),
                // Another family than the target's, or an address that cannot be sent from.
                Some(Err(_)) | None => Ok(Outlet {
                    socket: open(any(target), target, false)?,
                    readdressed: keeps,
                }),
            }
        })
    }
}

/// With the exporter's address and port, or with another port where that one is in use on this host.
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
    // As much as the kernel allows; what it gives is enough to begin with.
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

/// Whether the kernel lets this process send from addresses that are not its host's.
///
/// # Errors
/// It does not, as it says.
pub(super) fn may_keep_source() -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    set_transparent(&socket, true)
}

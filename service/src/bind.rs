//! Sockets that receive: for all addresses of a host, also if it has no IPv6.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// The transport protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP. The port of a process that has just stopped is free at once.
    Tcp,
    /// UDP.
    Udp,
}

/// Binds a socket that does not block. `[::]` includes IPv4, and falls back to `0.0.0.0` on a host
/// without IPv6. With `shared`, several sockets share the port, and the kernel spreads the traffic
/// over them.
///
/// # Errors
/// The address is in use, not an address of this host, or not permitted.
pub fn bind(transport: Transport, address: SocketAddr, shared: bool) -> io::Result<Socket> {
    match bind_exactly(transport, address, shared) {
        Err(error) if address.ip().is_unspecified() && lacks_ipv6(&error) => {
            let all = (Ipv4Addr::UNSPECIFIED, address.port()).into();
            bind_exactly(transport, all, shared)
        }
        bound => bound,
    }
}

/// Why [`bind`] failed, for operators.
#[must_use]
pub fn failure(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "port already in use".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied (ports below 1024 need the capability NET_BIND_SERVICE)".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "not an address of this host (use [::] for all)".to_owned()
        }
        _ => error.to_string(),
    }
}

fn bind_exactly(transport: Transport, address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(transport == Transport::Tcp)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// True if the host has no IPv6, or has it disabled.
fn lacks_ipv6(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

    #[test]
    fn several_sockets_share_a_port_if_all_of_them_allow_it() {
        for transport in [Transport::Tcp, Transport::Udp] {
            let first = bind(transport, ALL, true).unwrap();
            let address = first.local_addr().unwrap().as_socket().unwrap();
            assert_ne!(address.port(), 0);
            let second = bind(transport, address, true).unwrap();
            if transport == Transport::Tcp {
                first.listen(1).unwrap();
                second.listen(1).unwrap();
            }
            let error = bind(transport, address, false).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{transport:?}");
        }
    }

    #[test]
    fn a_host_without_ipv6_is_recognized_by_the_error() {
        for errno in [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL] {
            assert!(lacks_ipv6(&errno.into()));
        }
        assert!(!lacks_ipv6(&Errno::EADDRINUSE.into()));
    }
}

//! Recognizes the collector's own listeners, to which nothing may be sent: it would circulate.

use std::net::{SocketAddr, UdpSocket};

/// The addresses on which this process listens.
#[derive(Clone, Debug, Default)]
pub struct ListenAddresses {
    /// For datagrams.
    pub datagrams: Vec<SocketAddr>,
    /// For connections.
    pub connections: Vec<SocketAddr>,
}

/// True if this process listens on `address`.
pub(super) fn is_own(address: SocketAddr, listening: &[SocketAddr]) -> bool {
    let ip = address.ip().to_canonical();
    let is_local = || ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok();
    listening.iter().any(|own| {
        let own_ip = own.ip().to_canonical();
        own.port() == address.port() && (own_ip == ip || own_ip.is_unspecified() && is_local())
    })
}

//! The outer addresses of a tunnelled flow.

use flowproto::Address;
use flowproto::record::Tunnel;

/// The ends of a tunnel, from the outer header.
#[derive(Clone, Copy, Debug)]
pub struct TunnelEnds {
    /// Address of the sender.
    pub source: Address,
    /// Address of the receiver.
    pub destination: Address,
    /// Transport port of the sender; 0 if there is none.
    pub source_port: u16,
    /// Transport port of the receiver; 0 if there is none.
    pub destination_port: u16,
    /// Protocol of the outer IP header.
    pub protocol: u8,
}

impl TunnelEnds {
    /// The ends of the tunnel of a record; `None` if it has no outer addresses.
    pub(super) fn of(tunnel: &Tunnel) -> Option<Self> {
        let ends = Self {
            source: tunnel.tunnel_source_address,
            destination: tunnel.tunnel_destination_address,
            source_port: tunnel.tunnel_source_port,
            destination_port: tunnel.tunnel_destination_port,
            protocol: tunnel.tunnel_protocol_identifier,
        };
        let is_known = !ends.source.is_unspecified() || !ends.destination.is_unspecified();
        is_known.then_some(ends)
    }

    /// The ends in the opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            protocol: self.protocol,
        }
    }
}

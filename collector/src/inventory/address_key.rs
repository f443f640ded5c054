//! What can be assigned to an endpoint: an address, or a transport port of an address or node.

use flowproto::Address;

use super::endpoint::NodeId;

/// An address, or a transport port of an address or of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey {
    /// The address. With a port, it can also be a node's number or [`Self::ANY_NODE`].
    bits: u128,
    /// Protocol × 65536 + port. 0 for the whole address, [`Self::CLAIMED`] for a claimed one.
    port: u32,
}

impl AddressKey {
    const ANY_NODE: u128 = u128::MAX;
    /// Larger than any port with its protocol.
    const CLAIMED: u32 = u32::MAX;

    /// Returns the key of a whole address.
    #[must_use]
    pub const fn address(address: Address) -> Self {
        Self {
            bits: address.bits(),
            port: 0,
        }
    }

    /// Returns the key of a whole address that an endpoint claims, such as by an annotation that
    /// users can write. It is looked up only if the address is not assigned.
    #[must_use]
    pub const fn claimed(address: Address) -> Self {
        Self {
            bits: address.bits(),
            port: Self::CLAIMED,
        }
    }

    /// Returns the key of one port of one address.
    #[must_use]
    pub const fn port(address: Address, port: TransportPort) -> Self {
        Self {
            bits: address.bits(),
            port: port.0,
        }
    }

    /// Returns the key of one port on all addresses of a node. Node numbers do not collide with
    /// addresses in use: `::/96` is reserved (RFC 4291 §2.5.5.1).
    #[must_use]
    pub fn node_port(node: NodeId, port: TransportPort) -> Self {
        Self {
            bits: node.0.into(),
            port: port.0,
        }
    }

    /// Returns the key of one port on all addresses of all nodes.
    #[must_use]
    pub const fn any_node_port(port: TransportPort) -> Self {
        Self {
            bits: Self::ANY_NODE,
            port: port.0,
        }
    }

    /// Returns the address, unless the key is a port or a claimed address.
    #[must_use]
    pub fn whole_address(self) -> Option<Address> {
        (self.port == 0).then(|| Address::from_v6_bits(self.bits))
    }

    /// Returns whether the key is a port.
    #[must_use]
    pub const fn is_port(self) -> bool {
        self.port != 0 && self.port != Self::CLAIMED
    }

    /// Returns whether the key is a claimed address.
    #[must_use]
    pub const fn is_claimed(self) -> bool {
        self.port == Self::CLAIMED
    }
}

/// A transport port with its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransportPort(u32);

impl TransportPort {
    /// Returns the port, or `None` if the protocol or the port number is 0. `protocol` is 4
    /// `protocolIdentifier`: 6 TCP, 17 UDP, 132 SCTP.
    #[must_use]
    pub fn new(protocol: u8, port: u16) -> Option<Self> {
        (protocol != 0 && port != 0).then(|| Self(u32::from(protocol) << 16 | u32::from(port)))
    }
}

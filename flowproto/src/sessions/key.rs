//! Identity of Transport Sessions.

use std::net::SocketAddr;

use crate::address::Address;
use crate::wire::{MessageHeader, Version};

/// Index of a session.
pub(crate) type Place = usize;

/// Index of the counts of an exporter.
pub(crate) type ExporterId = usize;

/// An Observation Domain of an exporter, whatever the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DomainKey {
    pub(crate) address: Address,
    pub(crate) observation_domain_id: u32,
    pub(crate) version: Version,
}

/// Sender of a Message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) exporter: SocketAddr,
    /// Number of the connection; 0 for datagrams.
    pub(crate) connection: u64,
}

/// A device: all that one address sends in one protocol, over UDP or over one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DeviceKey {
    pub(crate) address: Address,
    pub(crate) version: Version,
    pub(crate) connection: u64,
}

/// An Observation Domain as received in one Transport Session: over UDP from one source port
/// (RFC 7011 §10.3.2), otherwise over one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    pub(crate) domain: DomainKey,
    pub(crate) port: u16,
    pub(crate) connection: u64,
}

impl SessionKey {
    pub(crate) fn new(origin: Origin, header: &MessageHeader) -> Self {
        Self {
            domain: DomainKey {
                address: origin.exporter.ip().into(),
                observation_domain_id: header.observation_domain_id,
                version: header.version,
            },
            port: origin.exporter.port(),
            connection: origin.connection,
        }
    }

    pub(crate) const fn device(&self) -> DeviceKey {
        DeviceKey {
            address: self.domain.address,
            version: self.domain.version,
            connection: self.connection,
        }
    }
}

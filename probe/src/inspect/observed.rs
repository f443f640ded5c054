//! What the inspector finds in a packet.

use flowproto::host_name::{HostName, NameSource};

use super::dns_messages::DnsMessages;
use super::http::HttpMessages;

/// A name that the sender of a packet uses for the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedName {
    /// The name.
    pub name: HostName,
    /// How it was observed.
    pub source: NameSource,
    /// It may be the public name of a provider, in a hello with an ECH extension.
    pub is_encrypted: bool,
}

/// What the payload of a packet shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The name that the sender uses for the receiver.
    Name(ObservedName),
    /// The sender opens a QUIC connection, and uses this name for the receiver.
    QuicName(ObservedName),
    /// The sender opens a QUIC connection.
    QuicClient,
    /// DNS messages.
    Dns(DnsMessages),
    /// HTTP messages, perhaps with the name that the sender uses for the receiver.
    Http(HttpMessages, Option<ObservedName>),
}

impl Observed {
    /// The name that the sender uses for the receiver.
    #[must_use]
    pub const fn name(&self) -> Option<&ObservedName> {
        match self {
            Self::Name(name) | Self::QuicName(name) => Some(name),
            Self::Http(_, name) => name.as_ref(),
            Self::QuicClient | Self::Dns(_) => None,
        }
    }

    /// True if the sender is the initiator of the connection.
    #[must_use]
    pub const fn is_from_initiator(&self) -> bool {
        matches!(self, Self::QuicName(_) | Self::QuicClient)
    }
}

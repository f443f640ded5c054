//! DNS messages of a packet.

use flowproto::host_name::HostName;

/// Messages for which no memory is allocated. Most packets have one.
const PLACES: usize = 4;

/// A DNS message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsMessage {
    /// Identifier.
    pub id: u16,
    /// The query, or the code of a response.
    pub kind: DnsMessageKind,
    /// It counts only as the response to a query of the conversation. Else it may belong to
    /// multicast DNS.
    pub needs_query: bool,
}

/// A query or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsMessageKind {
    /// A query for a name, if that is a host name, and a type.
    Query(Option<HostName>, u16),
    /// A response with this code.
    Response(u8),
}

/// DNS messages of a packet, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsMessages {
    first: [Option<DnsMessage>; PLACES],
    rest: Vec<DnsMessage>,
}

impl DnsMessages {
    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The messages.
    pub fn iter(&self) -> impl Iterator<Item = &DnsMessage> {
        self.first.iter().flatten().chain(&self.rest)
    }

    /// Adds a message.
    pub fn push(&mut self, message: DnsMessage) {
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(message),
            None => self.rest.push(message),
        }
    }
}

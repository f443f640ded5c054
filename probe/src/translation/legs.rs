//! The flow keys that one connection has on the sides of its translations.

use flowproto::FlowKey;

/// Maximum number of flow keys: a destination that is translated when a packet enters the node, and
/// a source that is translated when it leaves, give three.
pub(super) const MAX_LEGS: usize = 3;

/// The flow keys of one connection, in the order in which its first packet passed them. All of them
/// have the direction of that packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Legs {
    keys: [FlowKey; MAX_LEGS],
    len: u8,
}

impl Legs {
    /// One side of a connection.
    #[must_use]
    pub fn new(first: FlowKey) -> Self {
        let mut legs = Self::default();
        legs.push(first);
        legs
    }

    /// Adds a side. False if there is no room.
    pub fn push(&mut self, key: FlowKey) -> bool {
        let Some(slot) = self.keys.get_mut(usize::from(self.len)) else {
            return false;
        };
        *slot = key;
        self.len += 1;
        true
    }

    /// True if no side can be added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.as_slice().len() == MAX_LEGS
    }

    /// All sides.
    #[must_use]
    pub fn as_slice(&self) -> &[FlowKey] {
        self.keys.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The side before all translations.
    #[must_use]
    pub fn original(&self) -> FlowKey {
        self.as_slice().first().copied().unwrap_or_default()
    }

    /// The side after all translations.
    #[must_use]
    pub fn translated(&self) -> FlowKey {
        self.as_slice().last().copied().unwrap_or_default()
    }

    /// The same connection as its answers pass it.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let mut reversed = Self::default();
        for key in self.as_slice().iter().rev() {
            reversed.push(key.reversed());
        }
        reversed
    }
}

/// The flow key of a conversation, in whichever direction a packet passed.
#[must_use]
pub(crate) fn undirected(key: FlowKey) -> FlowKey {
    let ends = (
        (key.source_address, key.source_port),
        (key.destination_address, key.destination_port),
    );
    if ends.0 <= ends.1 {
        key
    } else {
        key.reversed()
    }
}

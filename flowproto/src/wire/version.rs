//! Protocol versions.

/// Protocol of a Message, by its version number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Version {
    /// NetFlow v5.
    V5 = 5,
    /// NetFlow v7.
    V7 = 7,
    /// NetFlow v9 (RFC 3954).
    V9 = 9,
    /// IPFIX (RFC 7011).
    Ipfix = 10,
}

impl Version {
    /// All versions.
    pub const ALL: [Self; 4] = [Self::V5, Self::V7, Self::V9, Self::Ipfix];

    /// The version number on the wire.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "the discriminants are the wire values"
    )]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Position in [`Self::ALL`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::V5 => 0,
            Self::V7 => 1,
            Self::V9 => 2,
            Self::Ipfix => 3,
        }
    }

    /// The version with this number on the wire.
    pub(crate) const fn of_number(number: u16) -> Option<Self> {
        Some(match number {
            5 => Self::V5,
            7 => Self::V7,
            9 => Self::V9,
            10 => Self::Ipfix,
            _ => return None,
        })
    }
}

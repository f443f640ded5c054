//! Protocol versions.

use enum_map::Enum;

/// Protocol of a Message, by its version number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enum)]
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
    /// The version number on the wire.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "the discriminants are the wire values"
    )]
    pub const fn number(self) -> u16 {
        self as u16
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

//! Protocol versions.

use enum_map::Enum;
use strum::{FromRepr, IntoStaticStr};

/// Protocol of a Message, by its version number on the wire.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enum, FromRepr, IntoStaticStr,
)]
#[repr(u16)]
pub enum Version {
    /// NetFlow v1.
    #[strum(serialize = "1")]
    V1 = 1,
    /// NetFlow v5.
    #[strum(serialize = "5")]
    V5 = 5,
    /// NetFlow v7.
    #[strum(serialize = "7")]
    V7 = 7,
    /// NetFlow v9 (RFC 3954).
    #[strum(serialize = "9")]
    V9 = 9,
    /// IPFIX (RFC 7011).
    #[strum(serialize = "10")]
    Ipfix = 10,
}

impl Version {
    /// Whether its records have one layout, without templates.
    pub(crate) const fn is_fixed(self) -> bool {
        matches!(self, Self::V1 | Self::V5 | Self::V7)
    }

    /// Whether its Messages have a sequence number.
    #[must_use]
    pub const fn has_sequence(self) -> bool {
        !matches!(self, Self::V1)
    }

    /// The version number on the wire.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "the discriminants are the wire values"
    )]
    pub const fn number(self) -> u16 {
        self as u16
    }
}

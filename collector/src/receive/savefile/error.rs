//! Why a savefile cannot be read.

use std::io;

use kipfix_savefile::{Corruption, FormatError};

/// Why a file cannot be read, or no further.
#[derive(Debug, thiserror::Error)]
pub enum SavefileError {
    /// An error of the operating system.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It has no octets.
    #[error("is empty")]
    Empty,
    /// The format is unknown.
    #[error("neither a pcap or pcapng capture nor an IPFIX file")]
    UnknownFormat,
    /// The version of the format is not supported.
    #[error("unsupported version {0}.{1} of the file format")]
    UnsupportedVersion(u16, u16),
    /// It ends too early.
    #[error("truncated in {0}")]
    Truncated(&'static str),
    /// It contradicts its format.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
    /// No frame has a supported link type.
    #[error(
        "unsupported link type {0}: must be Ethernet (1), Linux cooked (113, 276), raw IP (12, 14, \
         101, 228, 229), loopback (0, 108), PPP (9, 50, 51) or Cisco HDLC (104)"
    )]
    LinkType(u32),
}

impl From<FormatError> for SavefileError {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Empty => Self::Empty,
            FormatError::UnknownFormat => Self::UnknownFormat,
            FormatError::UnsupportedVersion(major, minor) => Self::UnsupportedVersion(major, minor),
            FormatError::Corrupt(corruption) => Self::Corrupt(match corruption {
                Corruption::FrameTooLong => "packet longer than the maximum snap length",
                Corruption::BlockTooShort | Corruption::BlockTooLong => "invalid block length",
                Corruption::ByteOrder => "section without a byte order",
                Corruption::TooManyInterfaces => "too many interfaces",
                Corruption::InterfaceTooShort => "interface description too short",
                Corruption::TimeResolution => "invalid time resolution",
                Corruption::PacketTooShort => "packet block too short",
                Corruption::UnknownInterface => "packet of an unknown interface",
            }),
        }
    }
}

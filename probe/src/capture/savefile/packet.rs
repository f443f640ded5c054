//! What the readers of both formats have in common.

use std::io;

use crate::capture::frame::LinkType;

/// A frame of a savefile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    /// The captured octets.
    pub(super) octets: &'a [u8],
    /// Octets of the frame on the wire.
    pub(super) wire_octets: u32,
    /// Capture time, nanoseconds since the epoch.
    pub(super) time_ns: u64,
    /// Index of the interface in the section; 0 in a pcap file.
    pub(super) interface: usize,
    /// The frame was captured up to the snap length, and has that as its length on the wire: the
    /// writer has probably lost it.
    pub(super) is_wire_length_lost: bool,
}

/// The link type of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// `LINKTYPE_…` number.
    pub(super) number: u16,
    pub(super) link_type: LinkType,
}

impl Link {
    pub(super) fn new(number: u16) -> Self {
        Self {
            number,
            link_type: LinkType::from_dlt(number.into()),
        }
    }
}

/// A file format: octets → packets.
pub(super) trait PacketFormat {
    /// Reads what is at the beginning of `data`.
    ///
    /// # Errors
    /// It is corrupt.
    fn next<'a>(&mut self, data: &'a [u8]) -> Result<Step<'a>, SavefileError>;

    /// The link type of the interface with this index.
    fn link(&self, interface: usize) -> Link;

    /// Number of interfaces that the file has packets of.
    fn interfaces(&self) -> usize;
}

/// What is at the beginning of the octets that were read.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A frame, and the number of octets it takes.
    Packet(Packet<'a>, usize),
    /// Something else that takes this number of octets, of which some may not have been read yet.
    Other(u64),
    /// Something incomplete: this number of octets is needed in all.
    Incomplete(usize),
}

/// Why a savefile cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum SavefileError {
    /// The system reports an error.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// The format is not supported.
    #[error("not a pcap or pcapng file")]
    UnknownFormat,
    /// The version of the format is not supported.
    #[error("unsupported version {0}.{1} of the file format")]
    UnsupportedVersion(u16, u16),
    /// The file ends within a frame or block.
    #[error("truncated: the file ends within a frame")]
    Truncated,
    /// The file contradicts its format.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
    /// No frame of the file has a supported link type.
    #[error(
        "unsupported link type {0}: must be Ethernet, Linux cooked (v1, v2), raw IP, loopback, PPP \
         or PPPoE"
    )]
    UnsupportedLinkType(String),
    /// The filter is invalid for a link type of the file.
    #[error("invalid filter {filter:?}: {message}")]
    InvalidFilter {
        /// The expression.
        filter: String,
        /// The message of libpcap.
        message: String,
    },
}

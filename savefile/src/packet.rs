//! What both formats have in common.

/// A frame of a savefile.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The captured octets.
    pub octets: &'a [u8],
    /// Octets of the frame on the wire.
    pub wire_octets: u32,
    /// Capture time, nanoseconds since the epoch.
    pub time_ns: u64,
    /// Index of the interface in the section; 0 in a pcap file.
    pub interface: usize,
    /// The frame was captured up to the snap length, and has that as its length on the wire: the
    /// writer has probably lost it.
    pub is_wire_length_lost: bool,
}

/// A file format: octets → packets.
pub trait PacketFormat {
    /// Reads what is at the beginning of `data`.
    ///
    /// # Errors
    /// It is corrupt.
    fn next<'a>(&mut self, data: &'a [u8]) -> Result<Step<'a>, FormatError>;

    /// The `LINKTYPE_…` number of the interface with this index; 0 if there is none.
    fn link_type(&self, interface: usize) -> u16;

    /// Number of interfaces that the file has packets of.
    fn interfaces(&self) -> usize;
}

/// What is at the beginning of the octets that were read.
#[derive(Debug)]
pub enum Step<'a> {
    /// A frame, and the number of octets it takes.
    Packet(Packet<'a>, usize),
    /// Something else that takes this number of octets, of which some may not have been read yet.
    Other(u64),
    /// Something incomplete: this number of octets is needed in all.
    Incomplete(usize),
}

/// Why octets are not those of a file that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// There are none.
    #[error("is empty")]
    Empty,
    /// They are of another format.
    #[error("not a pcap or pcapng file")]
    UnknownFormat,
    /// The version of the format is not supported.
    #[error("unsupported version {0}.{1} of the file format")]
    UnsupportedVersion(u16, u16),
    /// They contradict the format.
    #[error("corrupt: {0}")]
    Corrupt(Corruption),
}

/// How a file contradicts its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// A frame is longer than any snap length.
    #[error("a frame of more than 262144 octets")]
    FrameTooLong,
    /// A block has no room for its header.
    #[error("a block that is too short")]
    BlockTooShort,
    /// A block is longer than any that is kept in memory.
    #[error("a block of more than 16 MiB")]
    BlockTooLong,
    /// The magic number of a section is unknown.
    #[error("a section without a byte order")]
    ByteOrder,
    /// A section describes too many interfaces.
    #[error("too many interfaces")]
    TooManyInterfaces,
    /// The description of an interface is incomplete.
    #[error("an interface description that is too short")]
    InterfaceTooShort,
    /// A time resolution is missing or exceeds 64 bits.
    #[error("an invalid time resolution")]
    TimeResolution,
    /// A packet block is shorter than its packet.
    #[error("a packet that is too short")]
    PacketTooShort,
    /// A packet is of an interface that the section does not describe.
    #[error("a packet of an unknown interface")]
    UnknownInterface,
}

impl From<Corruption> for FormatError {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupt(corruption)
    }
}

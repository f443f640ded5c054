//! Address translations of the node, learned from packets that are observed before and after one.
//!
//! A translated connection has other addresses or ports on each side, but its first packet is
//! otherwise the same: a SYN keeps its sequence number, a datagram its identification and payload.
//!
//! * [`datagrams`]: which datagrams are compared;
//! * [`observation`]: a first packet, and what stays the same in it;
//! * [`matcher`]: compares first packets of all interfaces and finds the sides of a connection;
//! * [`table`]: keeps the translations for the conversations that begin;
//! * [`legs`]: the flow keys of one connection, one for each side.
//!
//! Nothing here reads a clock or opens a socket. Every structure has a fixed limit.

pub mod datagrams;
mod entries;
pub mod legs;
pub mod matcher;
pub mod observation;
pub mod table;

pub use datagrams::DatagramSelection;
pub use legs::Legs;
pub use matcher::TranslationMatcher;
pub use observation::{FirstPacket, PacketIdentity};
pub use table::{Translation, TranslationTable};

/// Origin of the address translations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TranslationSource {
    /// None: no translations are learned.
    #[default]
    Off,
    /// First packets of a capture of their own, on all interfaces.
    FirstPackets,
    /// First packets among the metered frames, if these are of several interfaces.
    Frames,
    /// The connection table of the kernel.
    Conntrack,
}

/// Counts of translations since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TranslationCounters {
    /// First packets that were compared.
    pub first_packets: u64,
    /// Translations learned.
    pub learned: u64,
    /// Translations that were forgotten before a metered conversation used them.
    pub expired: u64,
    /// First packets that could belong to several connections, and to none with certainty.
    pub ambiguous: u64,
    /// First packets that were forgotten, for lack of room, before they could be compared.
    pub missed: u64,
}

//! pcap and pcapng files: octets → packets.
//!
//! * [`PacketFormat`]: a format, [`PcapFormat`] or [`PcapngFormat`]. It reads octets that its
//!   caller has, and opens nothing;
//! * [`BlockReader`]: those octets, from any reader, in large blocks;
//! * [`Decompressor`]: such a reader, for a file that may be compressed.

mod decompress;
mod endian;
mod gzip;
mod packet;
mod pcap;
mod pcapng;
mod reader;

pub use decompress::Decompressor;
pub use packet::{Corruption, FormatError, Packet, PacketFormat, Step};
pub use pcap::{FILE_HEADER, PcapFormat};
pub use pcapng::{PcapngFormat, SECTION_MAGIC};
pub use reader::{BlockReader, Fill};

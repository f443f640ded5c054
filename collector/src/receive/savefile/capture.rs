//! The frames of a pcap or pcapng capture.

use std::io::Read;

use kipfix_savefile::{
    BlockReader, FILE_HEADER, Packet, PacketFormat, PcapFormat, PcapngFormat, Step,
};

use super::SavefileError;
use super::copies::Interface;
use super::frame::Frame;
use super::input::fill;

/// A capture of either format.
#[derive(Debug)]
pub(super) enum Capture {
    Pcap(PcapFormat),
    Pcapng(PcapngFormat),
}

impl Capture {
    /// Reads the header of a pcap file.
    pub(super) fn open_pcap(reader: &mut BlockReader<impl Read>) -> Result<Self, SavefileError> {
        const WHAT: &str = "the file header";
        fill(reader, FILE_HEADER, WHAT)?;
        let header = reader.octets().first_chunk();
        let format = PcapFormat::read(header.ok_or(SavefileError::Truncated(WHAT))?)?;
        reader.consume(FILE_HEADER);
        Ok(Self::Pcap(format))
    }

    /// Reads the next frame into `octets`; `None` at the end.
    pub(super) fn next(
        &mut self,
        reader: &mut BlockReader<impl Read>,
        octets: &mut Vec<u8>,
    ) -> Result<Option<Frame>, SavefileError> {
        match self {
            Self::Pcap(format) => next(format, reader, octets, "a packet", |_| Interface::Only),
            Self::Pcapng(format) => next(format, reader, octets, "a block", |packet| {
                Interface::Number(u64::try_from(packet.interface).unwrap_or(u64::MAX))
            }),
        }
    }
}

fn next(
    format: &mut impl PacketFormat,
    reader: &mut BlockReader<impl Read>,
    octets: &mut Vec<u8>,
    what: &'static str,
    interface: impl Fn(&Packet<'_>) -> Interface,
) -> Result<Option<Frame>, SavefileError> {
    loop {
        let needed = match format.next(reader.octets())? {
            Step::Packet(packet, length) => {
                octets.clear();
                octets.extend_from_slice(packet.octets);
                let captured = u32::try_from(packet.octets.len()).unwrap_or(u32::MAX);
                let frame = Frame {
                    link_type: format.link_type(packet.interface).into(),
                    truncated: captured < packet.wire_octets,
                    time_milliseconds: packet.time_ns / 1_000_000,
                    interface: interface(&packet),
                };
                reader.consume(length);
                return Ok(Some(frame));
            }
            Step::Other(length) => {
                reader.skip(length);
                continue;
            }
            Step::Incomplete(needed) => needed,
        };
        if !fill(reader, needed, what)? {
            return Ok(None);
        }
    }
}

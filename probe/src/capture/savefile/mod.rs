//! Savefiles: the frames of a pcap or pcapng file, which may be compressed. `-` is standard input.
//!
//! The file is read by [`kipfix_savefile`] and not by libpcap, which stops at the second link type
//! or snap length of a pcapng file, does not distinguish interfaces, and copies every frame twice.

mod error;
mod frames;
mod input;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

use kipfix_savefile::{
    BlockReader, Decompressor, FILE_HEADER, Fill, FormatError, PacketFormat, PcapFormat,
    PcapngFormat, SECTION_MAGIC, Step,
};
use kipfix_service::signals::Stop;

use self::frames::FrameReader;
use self::input::Input;
use super::counters::CaptureCounters;
use super::frame::{Frame, ObservationPoint};

pub use self::error::SavefileError;

/// The name under which the counts of a savefile are reported.
const NAME: &str = "savefile";

/// An open capture file.
pub struct Savefile {
    reader: BlockReader<Decompressor<Input>>,
    format: Format,
    frames: FrameReader,
    counters: CaptureCounters,
    /// Set for a pipe: it is not read any further after the stop.
    stop: Option<Stop>,
}

enum Format {
    Pcap(PcapFormat),
    Pcapng(PcapngFormat),
}

impl Savefile {
    /// Opens a file and compiles the filter.
    ///
    /// # Errors
    /// The file cannot be read, has an unsupported format or link type, or the filter is invalid.
    pub fn open(path: &Path, filter: Option<&str>, stop: &Stop) -> Result<Self, SavefileError> {
        let file = if path == Path::new("-") {
            File::from(io::stdin().as_fd().try_clone_to_owned()?)
        } else {
            File::open(path)?
        };
        let kind = file.metadata()?;
        if kind.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
        }
        if kind.is_file() {
            Self::from_input(Input::File(file), filter, None)
        } else {
            Self::from_input(Input::Pipe(file, stop.clone()), filter, Some(stop.clone()))
        }
    }

    /// Reads a file from memory, or from any other reader that does not block.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn from_reader(
        reader: impl Read + Send + 'static,
        filter: Option<&str>,
    ) -> Result<Self, SavefileError> {
        Self::from_input(Input::Reader(Box::new(reader)), filter, None)
    }

    fn from_input(
        input: Input,
        filter: Option<&str>,
        stop: Option<Stop>,
    ) -> Result<Self, SavefileError> {
        let is_stopped = || stop.as_ref().is_some_and(Stop::is_set);
        let mut reader = BlockReader::new(Decompressor::new(input));
        let header = loop {
            if let Some(header) = reader.octets().first_chunk::<FILE_HEADER>() {
                break *header;
            }
            match reader.fill(FILE_HEADER)? {
                Fill::More => {}
                Fill::Pending if !is_stopped() => {}
                Fill::Pending | Fill::End if reader.octets().is_empty() => {
                    return Err(FormatError::Empty.into());
                }
                Fill::Pending | Fill::End => return Err(FormatError::UnknownFormat.into()),
            }
        };
        let mut frames = FrameReader::new(filter);
        let format = if header.starts_with(&SECTION_MAGIC) {
            Format::Pcapng(PcapngFormat::default())
        } else {
            let format = PcapFormat::read(&header)?;
            reader.consume(FILE_HEADER);
            frames.prepare(format.link_type(0))?;
            Format::Pcap(format)
        };
        Ok(Self {
            reader,
            format,
            frames,
            counters: CaptureCounters::default(),
            stop,
        })
    }

    /// Hands out the next frames, as many as one read yields, or none if a pipe is silent. False at
    /// the end of the file.
    ///
    /// # Errors
    /// The file is truncated or corrupt. The frames before that were handed out.
    pub fn dispatch(
        &mut self,
        mut each: impl FnMut(&Frame<'_>, ObservationPoint),
    ) -> Result<bool, SavefileError> {
        let outcome = self.read_block(&mut each);
        let (frames, octets) = self.frames.take_counts();
        if let Some(counters) = self.counters.of(NAME) {
            counters.frames += frames;
            counters.octets += octets;
        }
        outcome
    }

    fn read_block(
        &mut self,
        each: &mut impl FnMut(&Frame<'_>, ObservationPoint),
    ) -> Result<bool, SavefileError> {
        let (reader, frames) = (&mut self.reader, &mut self.frames);
        let needed = match &mut self.format {
            Format::Pcap(format) => read_packets(reader, format, frames, each)?,
            Format::Pcapng(format) => read_packets(reader, format, frames, each)?,
        };
        let Some(needed) = needed else {
            return Ok(true);
        };
        match self.reader.fill(needed)? {
            Fill::More => Ok(true),
            Fill::Pending => Ok(!self.stop.as_ref().is_some_and(Stop::is_set)),
            Fill::End if self.reader.is_truncated() => Err(SavefileError::Truncated),
            Fill::End => self.frames.finish().map(|()| false),
        }
    }

    /// Counts so far.
    #[must_use]
    pub const fn counters(&self) -> &CaptureCounters {
        &self.counters
    }
}

/// Hands out the packets among the octets that were read. Returns how many octets the next packet
/// needs, `None` if octets are to be skipped before it.
fn read_packets(
    reader: &mut BlockReader<Decompressor<Input>>,
    format: &mut impl PacketFormat,
    frames: &mut FrameReader,
    each: &mut impl FnMut(&Frame<'_>, ObservationPoint),
) -> Result<Option<usize>, SavefileError> {
    let data = reader.octets();
    let mut rest = data;
    let outcome = loop {
        match format.next(rest) {
            Ok(Step::Packet(packet, octets)) => {
                rest = rest.get(octets..).unwrap_or_default();
                let link_type = format.link_type(packet.interface);
                frames.frame(&packet, link_type, format.interfaces(), each)?;
            }
            Ok(Step::Other(octets)) => {
                let after = usize::try_from(octets).ok();
                let Some(after) = after.and_then(|octets| rest.get(octets..)) else {
                    let consumed = data.len().saturating_sub(rest.len());
                    reader.consume(consumed);
                    reader.skip(octets);
                    return Ok(None);
                };
                rest = after;
            }
            Ok(Step::Incomplete(needed)) => break Ok(Some(needed)),
            Err(error) => break Err(error.into()),
        }
    };
    let consumed = data.len().saturating_sub(rest.len());
    reader.consume(consumed);
    outcome
}

//! Savefiles: the datagrams of a pcap or pcapng capture, or the Messages of an IPFIX file (RFC
//! 5655). They may be compressed.
//!
//! The time is that of the packet, or the export time of the Message. A truncated or corrupt file
//! is used up to the error, which is logged. Lengths are checked before memory is allocated.

mod capture;
mod copies;
mod error;
mod frame;
mod input;
mod link;
mod replay;
mod tunnel;

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;

use enum_map::EnumMap;
use kipfix_savefile::{BlockReader, Decompressor, PcapFormat, PcapngFormat, SECTION_MAGIC};
use kipfix_service::signals::Stop;

use capture::Capture;
use copies::Copies;
pub use error::SavefileError;
pub use frame::SkipReason;
use frame::{Frame, Frames};
use input::{UntilStop, fill};
pub use replay::{for_each, replay};

/// Octets of the header of an IPFIX Message.
const MESSAGE_HEADER: usize = 16;

/// Counts of captured frames. `frames` = `datagrams` + `joined` + Σ `skipped`, for captures at
/// their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SavefileCounts {
    /// Frames read.
    pub frames: u64,
    /// Datagrams of flow export, and Messages of IPFIX files.
    pub datagrams: u64,
    /// Fragments that were joined to the datagram of a later frame.
    pub joined: u64,
    /// Frames without a datagram of flow export.
    pub skipped: EnumMap<SkipReason, u64>,
}

/// A datagram of a savefile.
#[derive(Debug)]
pub struct SavedDatagram<'a> {
    /// Source of the datagram; 0.0.0.0:0 for a Message of an IPFIX file, which does not have it.
    pub exporter: SocketAddr,
    /// UDP payload.
    pub payload: &'a [u8],
    /// Time, milliseconds since the epoch.
    pub time_milliseconds: u64,
    /// True if the time is that of the capture, false if it is the export time of the Message.
    pub is_captured: bool,
}

/// An open savefile.
pub struct Savefile {
    reader: BlockReader<Decompressor<Box<dyn Read + Send>>>,
    format: Format,
    frames: Frames,
    copies: Copies,
    frame: Vec<u8>,
}

impl std::fmt::Debug for Savefile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Savefile")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Format {
    Capture(Capture),
    Ipfix,
}

impl Savefile {
    /// Opens a file; `-` is stdin. A pipe ends at the stop.
    ///
    /// # Errors
    /// The file cannot be read, or its format is unknown.
    pub fn open(path: &Path, stop: &Stop) -> Result<Self, SavefileError> {
        let file = if path.as_os_str() == "-" {
            File::from(io::stdin().as_fd().try_clone_to_owned()?)
        } else {
            File::open(path)?
        };
        if file.metadata()?.is_file() {
            return Self::from_reader(Box::new(file));
        }
        Self::from_reader(Box::new(UntilStop {
            file,
            stop: stop.clone(),
        }))
    }

    /// Opens a file whose octets come from `input`.
    ///
    /// # Errors
    /// The input cannot be read, or its format is unknown.
    pub fn from_reader(input: Box<dyn Read + Send>) -> Result<Self, SavefileError> {
        let mut reader = BlockReader::new(Decompressor::new(input));
        let magic = match fill(&mut reader, SECTION_MAGIC.len(), "a file") {
            Ok(_) => reader.octets().first_chunk::<4>().copied(),
            Err(SavefileError::Truncated(_)) => None,
            Err(error) => return Err(error),
        };
        if reader.octets().is_empty() {
            return Err(SavefileError::Empty);
        }
        let format = match magic.ok_or(SavefileError::UnknownFormat)? {
            SECTION_MAGIC => Format::Capture(Capture::Pcapng(PcapngFormat::default())),
            [0, 10, ..] => Format::Ipfix,
            magic if PcapFormat::has_magic(magic) => {
                Format::Capture(Capture::open_pcap(&mut reader)?)
            }
            _ => return Err(SavefileError::UnknownFormat),
        };
        Ok(Self {
            reader,
            format,
            frames: Frames::default(),
            copies: Copies::default(),
            frame: Vec::new(),
        })
    }

    /// Reads the next datagram of flow export; `None` at the end. Skipped frames are counted.
    ///
    /// # Errors
    /// The file cannot be read any further.
    pub fn next<'a>(
        &'a mut self,
        counts: &mut SavefileCounts,
    ) -> Result<Option<SavedDatagram<'a>>, SavefileError> {
        if matches!(self.format, Format::Ipfix) {
            let Some(time_milliseconds) = self.read_message()? else {
                return Ok(None);
            };
            counts.datagrams += 1;
            return Ok(Some(SavedDatagram {
                exporter: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                payload: &self.frame,
                time_milliseconds,
                is_captured: false,
            }));
        }
        loop {
            let frame = self.read_frame();
            let Ok(Some(frame)) = frame else {
                let unsupported = self.frames.finish(counts);
                return match (frame?, unsupported) {
                    (_, Some(link_type)) => Err(SavefileError::LinkType(link_type)),
                    _ => Ok(None),
                };
            };
            counts.frames += 1;
            let Some(located) = self.frames.locate(&frame, &self.frame, counts) else {
                continue;
            };
            let time_milliseconds = frame.time_milliseconds;
            let datagram = (located.exporter, self.frames.payload(&self.frame, &located));
            if self
                .copies
                .is_copy(located.interface, datagram, time_milliseconds)
            {
                counts.skipped[SkipReason::Duplicate] += 1;
                continue;
            }
            counts.datagrams += 1;
            return Ok(Some(SavedDatagram {
                exporter: located.exporter,
                payload: self.frames.payload(&self.frame, &located),
                time_milliseconds,
                is_captured: true,
            }));
        }
    }

    /// Reads a Message into `self.frame`. Returns its export time.
    fn read_message(&mut self) -> Result<Option<u64>, SavefileError> {
        const WHAT: &str = "a Message";
        if !fill(&mut self.reader, MESSAGE_HEADER, WHAT)? {
            return Ok(None);
        }
        let header = self.reader.octets().first_chunk();
        let [v0, v1, l0, l1, t0, t1, t2, t3] = *header.ok_or(SavefileError::Truncated(WHAT))?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if [v0, v1] != [0, 10] || length < MESSAGE_HEADER {
            return Err(SavefileError::Corrupt("invalid Message header"));
        }
        fill(&mut self.reader, length, WHAT)?;
        self.frame.clear();
        let message = self.reader.octets().get(..length);
        self.frame.extend_from_slice(message.unwrap_or_default());
        self.reader.consume(length);
        Ok(Some(u64::from(u32::from_be_bytes([t0, t1, t2, t3])) * 1000))
    }

    /// Reads a captured frame into `self.frame`.
    fn read_frame(&mut self) -> Result<Option<Frame>, SavefileError> {
        match &mut self.format {
            Format::Capture(capture) => capture.next(&mut self.reader, &mut self.frame),
            Format::Ipfix => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;

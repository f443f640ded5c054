//! Savefiles: the datagrams of a pcap or pcapng capture, or the Messages of an IPFIX file (RFC 5655).
//!
//! The time is that of the packet, or the export time of the Message. A truncated or corrupt file is used up to the
//! error, which is logged. Lengths are checked before memory is allocated.

mod copies;
mod frame;
mod octets;
mod pcap;
mod pcapng;
mod replay;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;

use enum_map::EnumMap;
use kipfix_service::signals::Stop;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use octets::{fill, header, read_fully};
use pcap::{Pcap, Variant};
use pcapng::PcapNg;

use copies::Copies;
pub use frame::SkipReason;
use frame::{Frame, Frames};
pub use replay::{for_each, replay};

/// Why a file cannot be read, or no further.
#[derive(Debug, thiserror::Error)]
pub enum SavefileError {
    /// An error of the operating system.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// The format is unknown.
    #[error("neither a pcap or pcapng capture nor an IPFIX file")]
    UnknownFormat,
    /// It ends too early.
    #[error("truncated in {0}")]
    Truncated(&'static str),
    /// It contradicts its format.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
    /// No frame has a supported link type.
    #[error(
        "unsupported link type {0}: must be Ethernet (1), Linux cooked (113, 276), raw IP (12, 14, \
         101, 228, 229) or loopback (0, 108)"
    )]
    LinkType(u32),
}

/// Counts of captured frames. `frames` = `datagrams` + `joined` + Σ `skipped`, for captures at their end.
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
    input: BufReader<Box<dyn Read + Send>>,
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
    Pcap(Pcap),
    PcapNg(PcapNg),
    Ipfix,
}

/// A pipe or device that ends at the stop.
struct UntilStop {
    file: File,
    stop: Stop,
}

impl Read for UntilStop {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let mut descriptors = [
            PollFd::new(self.file.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.stop.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut descriptors, PollTimeout::NONE)?;
        if self.stop.is_set() {
            return Ok(0);
        }
        self.file.read(octets)
    }
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
        let mut input = BufReader::with_capacity(256 << 10, input);
        let mut magic = [0; 4];
        // `fill_buf` may return fewer octets from a pipe.
        let got = read_fully(&mut input, &mut magic)?;
        let format = match magic {
            _ if got < magic.len() => return Err(SavefileError::UnknownFormat),
            [0x0a, 0x0d, 0x0d, 0x0a] => Format::PcapNg(PcapNg::default()),
            [0, 10, ..] => Format::Ipfix,
            magic => {
                let variant = Variant::of(magic).ok_or(SavefileError::UnknownFormat)?;
                Format::Pcap(Pcap::open(&mut input, variant)?)
            }
        };
        let mut savefile = Self {
            input,
            format,
            frames: Frames::default(),
            copies: Copies::default(),
            frame: Vec::new(),
        };
        if !matches!(savefile.format, Format::Pcap(_)) {
            savefile.put_back(magic);
        }
        Ok(savefile)
    }

    /// Puts the octets of the magic number back.
    fn put_back(&mut self, magic: [u8; 4]) {
        let rest = std::mem::replace(&mut self.input, BufReader::new(Box::new(io::empty())));
        self.input = BufReader::new(Box::new(io::Cursor::new(magic).chain(rest)));
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
        let Some(header) = header::<16>(&mut self.input, WHAT)? else {
            return Ok(None);
        };
        let [v0, v1, l0, l1, t0, t1, t2, t3, ..] = header;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if [v0, v1] != [0, 10] || length < header.len() {
            return Err(SavefileError::Corrupt("invalid Message header"));
        }
        self.frame.clear();
        self.frame.extend_from_slice(&header);
        self.frame.resize(length, 0);
        let rest = self.frame.get_mut(header.len()..).unwrap_or_default();
        fill(&mut self.input, rest, WHAT)?;
        Ok(Some(u64::from(u32::from_be_bytes([t0, t1, t2, t3])) * 1000))
    }

    /// Reads a captured frame into `self.frame`.
    fn read_frame(&mut self) -> Result<Option<Frame>, SavefileError> {
        match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.input, &mut self.frame),
            Format::PcapNg(section) => section.next(&mut self.input, &mut self.frame),
            Format::Ipfix => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;

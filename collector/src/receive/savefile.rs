//! Savefiles: datagrams out of a pcap or pcapng capture, or the Messages of an IPFIX file (RFC 5655).
//!
//! The clock is the packet's, or the export time of the Message. A file that is cut off or corrupt is
//! used as far as it can be read, and that is said once. Lengths are bounded before memory is taken.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;

use kipfix_service::signals::Stop;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::frame::Frames;
pub use super::frame::NotUsed;

/// No captured frame is longer (libpcap's MAXIMUM_SNAPLEN).
const MAX_FRAME_OCTETS: u32 = 262_144;
/// No block of a pcapng file that is worth reading is longer.
const MAX_BLOCK_OCTETS: u32 = 16 << 20;
/// Interfaces of one pcapng section.
const MAX_INTERFACES: usize = 65_536;

/// Why a file cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
pub enum SavefileError {
    /// The system says so.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// It is none of the forms that are read here.
    #[error("neither a pcap or pcapng capture nor an IPFIX file")]
    UnknownForm,
    /// It ends in the middle.
    #[error("cut off in the middle of {0}")]
    CutOff(&'static str),
    /// It contradicts its format.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
}

/// What became of the frames of captures. Frames = datagrams + those not used, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SavefileCounts {
    /// Frames read.
    pub frames: u64,
    /// Datagrams found in them, and Messages of IPFIX files.
    pub datagrams: u64,
    /// Frames that gave no datagram, by [`NotUsed`] as in [`NotUsed::ALL`].
    pub not_used: [u64; 5],
}

/// A datagram of a savefile.
#[derive(Debug)]
pub struct SavedDatagram<'a> {
    /// Who sent it; 0.0.0.0:0 for a Message of an IPFIX file, which does not tell.
    pub exporter: SocketAddr,
    /// Its payload.
    pub payload: &'a [u8],
    /// When, milliseconds since the epoch.
    pub time_milliseconds: u64,
    /// That is when it was captured; otherwise it is the export time that it says itself.
    pub is_captured: bool,
}

/// An open savefile.
pub struct Savefile {
    input: BufReader<Box<dyn Read + Send>>,
    form: Form,
    frames: Frames,
    frame: Vec<u8>,
}

impl std::fmt::Debug for Savefile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Savefile")
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Form {
    Pcap {
        big_endian: bool,
        nanoseconds: bool,
        link_type: u32,
    },
    PcapNg {
        big_endian: bool,
        interfaces: Vec<Interface>,
    },
    Ipfix,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u32,
    /// Octets of a frame that are kept; 0 is all.
    snaplen: u32,
    /// Units a second.
    resolution: u64,
}

/// A pipe or device that is waited for only until the stop, where it ends.
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

/// A frame in [`Savefile::frame`].
#[derive(Clone, Copy, Debug)]
struct Frame {
    link_type: u32,
    cut: bool,
    time_milliseconds: u64,
}

impl Savefile {
    /// Opens a file; `-` is stdin. A pipe that nobody writes to ends at the stop.
    ///
    /// # Errors
    /// It cannot be read, or is none of the forms that are read here.
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

    /// A file whose octets come from `input`.
    ///
    /// # Errors
    /// It cannot be read, or is none of the forms that are read here.
    pub fn from_reader(input: Box<dyn Read + Send>) -> Result<Self, SavefileError> {
        let mut input = BufReader::with_capacity(256 << 10, input);
        let mut magic = [0; 4];
        // Not by `fill_buf`: a pipe may give fewer octets at first.
        let got = read_fully(&mut input, &mut magic)?;
        let form = match magic {
            _ if got < magic.len() => return Err(SavefileError::UnknownForm),
            [0xa1, 0xb2, 0xc3, 0xd4] => pcap(&mut input, true, false)?,
            [0xd4, 0xc3, 0xb2, 0xa1] => pcap(&mut input, false, false)?,
            [0xa1, 0xb2, 0x3c, 0x4d] => pcap(&mut input, true, true)?,
            [0x4d, 0x3c, 0xb2, 0xa1] => pcap(&mut input, false, true)?,
            [0x0a, 0x0d, 0x0d, 0x0a] => Form::PcapNg {
                big_endian: false,
                interfaces: Vec::new(),
            },
            [0, 10, ..] => Form::Ipfix,
            _ => return Err(SavefileError::UnknownForm),
        };
        let mut savefile = Self {
            input,
            form,
            frames: Frames::default(),
            frame: Vec::new(),
        };
        if !matches!(savefile.form, Form::Pcap { .. }) {
            savefile.put_back(magic);
        }
        Ok(savefile)
    }

    /// Lets the octets that told the form be read again.
    fn put_back(&mut self, magic: [u8; 4]) {
        let rest = std::mem::replace(&mut self.input, BufReader::new(Box::new(io::empty())));
        self.input = BufReader::new(Box::new(io::Cursor::new(magic).chain(rest)));
    }

    /// The next datagram of flow export; `None` at the end. What else the frames hold is counted.
    ///
    /// # Errors
    /// The file cannot be read any further.
    pub fn next<'a>(
        &'a mut self,
        counts: &mut SavefileCounts,
    ) -> Result<Option<SavedDatagram<'a>>, SavefileError> {
        if matches!(self.form, Form::Ipfix) {
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
            let Some(frame) = self.read_frame()? else {
                return Ok(None);
            };
            counts.frames += 1;
            match self.frames.locate(frame.link_type, &self.frame, frame.cut) {
                Err(reason) => counts.count(reason),
                Ok(located) => {
                    counts.datagrams += 1;
                    return Ok(Some(SavedDatagram {
                        exporter: located.exporter,
                        payload: self.frames.payload(&self.frame, &located),
                        time_milliseconds: frame.time_milliseconds,
                        is_captured: true,
                    }));
                }
            }
        }
    }

    /// Reads a Message into `self.frame`; its export time.
    fn read_message(&mut self) -> Result<Option<u64>, SavefileError> {
        const WHAT: &str = "a Message";
        let mut header = [0; 16];
        match read_fully(&mut self.input, &mut header)? {
            0 => return Ok(None),
            16 => {}
            _ => return Err(SavefileError::CutOff(WHAT)),
        }
        let [v0, v1, l0, l1, t0, t1, t2, t3, ..] = header;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if [v0, v1] != [0, 10] || length < header.len() {
            return Err(SavefileError::Corrupt("a Message header that is none"));
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
        match &mut self.form {
            Form::Pcap {
                big_endian,
                nanoseconds,
                link_type,
            } => {
                const WHAT: &str = "a packet";
                let mut header = [0; 16];
                match read_fully(&mut self.input, &mut header)? {
                    0 => return Ok(None),
                    16 => {}
                    _ => return Err(SavefileError::CutOff(WHAT)),
                }
                let [seconds, fraction, kept, length] = words(&header, *big_endian);
                if kept > MAX_FRAME_OCTETS {
                    return Err(SavefileError::Corrupt(
                        "a packet longer than any capture has",
                    ));
                }
                self.frame.resize(usize::try_from(kept).unwrap_or(0), 0);
                fill(&mut self.input, &mut self.frame, WHAT)?;
                let per_millisecond = if *nanoseconds { 1_000_000 } else { 1000 };
                Ok(Some(Frame {
                    link_type: *link_type,
                    cut: kept < length,
                    time_milliseconds: u64::from(seconds) * 1000
                        + u64::from(fraction / per_millisecond),
                }))
            }
            Form::PcapNg {
                big_endian,
                interfaces,
            } => loop {
                let Some(kind) = read_block(&mut self.input, big_endian, &mut self.frame)? else {
                    return Ok(None);
                };
                match kind {
                    SECTION_HEADER => interfaces.clear(),
                    INTERFACE_DESCRIPTION if interfaces.len() >= MAX_INTERFACES => {
                        return Err(SavefileError::Corrupt("too many interfaces"));
                    }
                    INTERFACE_DESCRIPTION => {
                        interfaces.push(interface(&self.frame, *big_endian)?);
                    }
                    ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET => {
                        return packet(kind, &mut self.frame, *big_endian, interfaces).map(Some);
                    }
                    _ => {}
                }
            },
            Form::Ipfix => Ok(None),
        }
    }
}

impl SavefileCounts {
    fn count(&mut self, reason: NotUsed) {
        let at = NotUsed::ALL.iter().position(|known| *known == reason);
        if let Some(counter) = at.and_then(|at| self.not_used.get_mut(at)) {
            *counter += 1;
        }
    }
}

// pcapng block types (draft-ietf-opsawg-pcapng §4).
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
/// Option of an interface description: units of its timestamps.
const IF_TSRESOL: u16 = 9;

fn pcap(input: &mut impl Read, big_endian: bool, nanoseconds: bool) -> Result<Form, SavefileError> {
    let mut header = [0; 20];
    fill(input, &mut header, "the file header")?;
    let [_, _, _, _, network] = words(&header, big_endian);
    // The upper bits may tell of a frame check sequence.
    Ok(Form::Pcap {
        big_endian,
        nanoseconds,
        link_type: network & 0x0fff_ffff,
    })
}

/// Reads a block's body into `body`; its type, or `None` at the end.
fn read_block(
    input: &mut impl Read,
    big_endian: &mut bool,
    body: &mut Vec<u8>,
) -> Result<Option<u32>, SavefileError> {
    const WHAT: &str = "a block";
    let mut header = [0; 8];
    match read_fully(input, &mut header)? {
        0 => return Ok(None),
        8 => {}
        _ => return Err(SavefileError::CutOff(WHAT)),
    }
    let [kind, mut total] = words(&header, *big_endian);
    body.clear();
    if kind == SECTION_HEADER {
        // The type reads the same in both orders; the magic after the length tells which it is.
        let mut magic = [0; 4];
        fill(input, &mut magic, WHAT)?;
        *big_endian = match magic {
            [0x1a, 0x2b, 0x3c, 0x4d] => true,
            [0x4d, 0x3c, 0x2b, 0x1a] => false,
            _ => return Err(SavefileError::Corrupt("a section of no byte order")),
        };
        [_, total] = words(&header, *big_endian);
        body.extend_from_slice(&magic);
    }
    let read = u32::try_from(body.len()).unwrap_or(0);
    // Type, length, body, length again.
    let rest = total
        .checked_sub(12 + read)
        .filter(|rest| *rest <= MAX_BLOCK_OCTETS);
    let rest = rest.ok_or(SavefileError::Corrupt("a block whose length cannot be"))?;
    // Blocks are padded to four octets, even where a writer forgot to say so.
    let padded = usize::try_from(rest.next_multiple_of(4)).unwrap_or(0);
    let begin = body.len();
    body.resize(begin.saturating_add(padded), 0);
    fill(input, body.get_mut(begin..).unwrap_or_default(), WHAT)?;
    fill(input, &mut [0; 4], WHAT)?;
    Ok(Some(kind))
}

fn interface(body: &[u8], big_endian: bool) -> Result<Interface, SavefileError> {
    let ([l0, l1, _, _, s0, s1, s2, s3], mut options) = body.split_first_chunk::<8>().ok_or(
        SavefileError::Corrupt("an interface description that is too short"),
    )?;
    let mut resolution = 1_000_000;
    while let Some(([c0, c1, n0, n1], rest)) = options.split_first_chunk::<4>() {
        let length = usize::from(short([*n0, *n1], big_endian));
        if short([*c0, *c1], big_endian) == IF_TSRESOL
            && let Some(unit) = rest.first()
        {
            // Powers of ten, or of two where the highest bit is set.
            let power = u32::from(unit & 0x7f);
            let units = if unit & 0x80 == 0 { 10_u64 } else { 2 }.checked_pow(power);
            resolution = units.ok_or(SavefileError::Corrupt("an impossible time resolution"))?;
        }
        options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(Interface {
        link_type: short([*l0, *l1], big_endian).into(),
        snaplen: word([*s0, *s1, *s2, *s3], big_endian),
        resolution,
    })
}

/// Leaves only the frame in `body`.
fn packet(
    kind: u32,
    body: &mut Vec<u8>,
    big_endian: bool,
    interfaces: &[Interface],
) -> Result<Frame, SavefileError> {
    const SHORT: SavefileError = SavefileError::Corrupt("a packet block that is too short");
    let (header, at, kept, length, time) = if kind == SIMPLE_PACKET {
        let [length] = words(body.first_chunk::<4>().ok_or(SHORT)?, big_endian);
        (4, 0, length, length, 0)
    } else {
        let fields = body.first_chunk::<20>().ok_or(SHORT)?;
        let [interface, high, low, kept, length] = words(fields, big_endian);
        // The obsolete block has a drop count in the other half of the word.
        let at = match (kind, big_endian) {
            (OBSOLETE_PACKET, true) => interface >> 16,
            (OBSOLETE_PACKET, false) => interface & 0xffff,
            _ => interface,
        };
        (20, at, kept, length, u64::from(high) << 32 | u64::from(low))
    };
    let interface = usize::try_from(at).ok().and_then(|at| interfaces.get(at));
    let interface = interface.ok_or(SavefileError::Corrupt("a packet of no interface"))?;
    let kept = match (kind, interface.snaplen) {
        (SIMPLE_PACKET, snaplen) if snaplen > 0 => kept.min(snaplen),
        _ => kept,
    };
    let end = usize::try_from(kept)
        .unwrap_or(usize::MAX)
        .saturating_add(header);
    if end > body.len() {
        return Err(SHORT);
    }
    body.truncate(end);
    body.drain(..header);
    let milliseconds = u128::from(time) * 1000 / u128::from(interface.resolution.max(1));
    Ok(Frame {
        link_type: interface.link_type,
        cut: kept < length,
        time_milliseconds: u64::try_from(milliseconds).unwrap_or(u64::MAX),
    })
}

/// Reads until `octets` is full or the input ends; how many there were.
fn read_fully(input: &mut impl Read, octets: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(room) = octets.get_mut(read..).filter(|room| !room.is_empty()) {
        match input.read(room) {
            Ok(0) => break,
            Ok(more) => read = read.saturating_add(more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

fn fill(input: &mut impl Read, octets: &mut [u8], what: &'static str) -> Result<(), SavefileError> {
    let wanted = octets.len();
    if read_fully(input, octets)? == wanted {
        Ok(())
    } else {
        Err(SavefileError::CutOff(what))
    }
}

const fn short(octets: [u8; 2], big_endian: bool) -> u16 {
    if big_endian {
        u16::from_be_bytes(octets)
    } else {
        u16::from_le_bytes(octets)
    }
}

const fn word(octets: [u8; 4], big_endian: bool) -> u32 {
    if big_endian {
        u32::from_be_bytes(octets)
    } else {
        u32::from_le_bytes(octets)
    }
}

/// The first `N` words of `octets`; what is not there is 0.
fn words<const N: usize>(octets: &[u8], big_endian: bool) -> [u32; N] {
    let mut chunks = octets.as_chunks::<4>().0.iter();
    std::array::from_fn(|_| chunks.next().map_or(0, |octets| word(*octets, big_endian)))
}

#[cfg(test)]
mod tests {
    use etherparse::{IpFragOffset, IpNumber, Ipv4Header, PacketBuilder};

    use super::*;

    const EXPORT: &[u8] = &[0, 10, 0, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    fn ethernet(payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([192, 0, 2, 10], [192, 0, 2, 1], 64)
            .udp(50_000, 2055)
            .write(&mut frame, payload)
            .unwrap();
        frame
    }

    fn word(big_endian: bool, number: u32) -> [u8; 4] {
        if big_endian {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    /// A capture of frames, one a millisecond after 1 s; each frame with its length on the wire.
    fn pcap(magic: u32, big_endian: bool, link_type: u32, frames: &[(Vec<u8>, usize)]) -> Vec<u8> {
        let unit = if magic == 0xa1b2_3c4d {
            1_000_000
        } else {
            1000
        };
        let mut out = Vec::new();
        for number in [magic, 0x0004_0002, 0, 0, 65_535, link_type] {
            out.extend(word(big_endian, number));
        }
        for (at, (frame, length)) in frames.iter().enumerate() {
            let fraction = u32::try_from(at).unwrap() * unit;
            let kept = u32::try_from(frame.len()).unwrap();
            for number in [1, fraction, kept, u32::try_from(*length).unwrap()] {
                out.extend(word(big_endian, number));
            }
            out.extend(frame);
        }
        out
    }

    fn whole(frames: &[Vec<u8>]) -> Vec<(Vec<u8>, usize)> {
        frames.iter().map(|f| (f.clone(), f.len())).collect()
    }

    fn simple(link_type: u32, frames: &[Vec<u8>]) -> Vec<u8> {
        pcap(0xa1b2_c3d4, false, link_type, &whole(frames))
    }

    type Read = (
        Vec<(SocketAddr, Vec<u8>, u64)>,
        SavefileCounts,
        Option<SavefileError>,
    );

    fn read(file: Vec<u8>) -> Read {
        let mut counts = SavefileCounts::default();
        let mut datagrams = Vec::new();
        let mut savefile = match Savefile::from_reader(Box::new(io::Cursor::new(file))) {
            Ok(savefile) => savefile,
            Err(error) => return (datagrams, counts, Some(error)),
        };
        let error = loop {
            match savefile.next(&mut counts) {
                Ok(None) => break None,
                Ok(Some(d)) => {
                    datagrams.push((d.exporter, d.payload.to_vec(), d.time_milliseconds))
                }
                Err(error) => break Some(error),
            }
        };
        let not_used: u64 = counts.not_used.iter().sum();
        if counts.frames > 0 {
            assert_eq!(counts.frames, counts.datagrams + not_used);
        }
        (datagrams, counts, error)
    }

    fn not_used(file: Vec<u8>) -> Vec<NotUsed> {
        let (_, counts, _) = read(file);
        let reasons = NotUsed::ALL.iter().zip(counts.not_used);
        reasons
            .filter(|(_, n)| *n > 0)
            .map(|(reason, _)| *reason)
            .collect()
    }

    #[test]
    fn a_pcap_of_either_byte_order_and_resolution_gives_datagrams_with_their_time() {
        for (magic, big_endian) in [
            (0xa1b2_c3d4, false),
            (0xa1b2_c3d4, true),
            (0xa1b2_3c4d, false),
            (0xa1b2_3c4d, true),
        ] {
            let frames = whole(&[ethernet(EXPORT), ethernet(EXPORT)]);
            let (datagrams, _, error) = read(pcap(magic, big_endian, 1, &frames));
            assert!(error.is_none());
            let exporter = "192.0.2.10:50000".parse().unwrap();
            let expected = [
                (exporter, EXPORT.to_vec(), 1000),
                (exporter, EXPORT.to_vec(), 1001),
            ];
            assert_eq!(datagrams, expected);
        }
    }

    #[test]
    fn every_link_type_leads_to_the_datagram() {
        let frame = ethernet(EXPORT);
        let ip = &frame[14..];
        let cooked = [vec![0; 14], vec![8, 0], ip.to_vec()].concat();
        let cooked2 = [vec![8, 0], vec![0; 18], ip.to_vec()].concat();
        let null = [vec![2, 0, 0, 0], ip.to_vec()].concat();
        let mut tagged = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .single_vlan(7.try_into().unwrap())
            .ipv6([1; 16], [2; 16], 64)
            .udp(50_000, 4739)
            .write(&mut tagged, EXPORT)
            .unwrap();
        for (link_type, frame) in [
            (1, tagged),
            (113, cooked),
            (276, cooked2),
            (101, ip.to_vec()),
            (0, null),
        ] {
            let (datagrams, ..) = read(simple(link_type, &[frame]));
            assert_eq!(datagrams.len(), 1, "link type {link_type}");
            assert_eq!(datagrams[0].1, EXPORT);
        }
    }

    #[test]
    fn a_frame_without_flow_export_is_a_counted_reason() {
        let mut tcp = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([1; 4], [2; 4], 64)
            .tcp(1, 2, 3, 4)
            .write(&mut tcp, b"x")
            .unwrap();
        assert_eq!(not_used(simple(1, &[tcp])), [NotUsed::NotUdp]);
        assert_eq!(not_used(simple(1, &[vec![]])), [NotUsed::NotUdp]);
        assert_eq!(
            not_used(simple(1, &[ethernet(b"hello")])),
            [NotUsed::NotFlowExport]
        );
        assert_eq!(
            not_used(simple(147, &[ethernet(EXPORT)])),
            [NotUsed::LinkType]
        );
        let mut cut = ethernet(EXPORT);
        let length = cut.len();
        cut.truncate(length - 4);
        let file = pcap(0xa1b2_c3d4, false, 1, &[(cut, length)]);
        assert_eq!(not_used(file), [NotUsed::CutOff]);
    }

    #[test]
    fn the_parts_of_a_datagram_are_put_together_in_any_order() {
        let payload: Vec<u8> = EXPORT.iter().copied().chain(vec![7; 4000]).collect();
        let datagram = ethernet(&payload);
        let octets = &datagram[34..];
        let part = |begin: usize, end: usize| {
            let part = octets.get(begin..end).unwrap();
            let length = u16::try_from(part.len()).unwrap();
            let mut header =
                Ipv4Header::new(length, 64, IpNumber::UDP, [192, 0, 2, 10], [192, 0, 2, 1])
                    .unwrap();
            header.identification = 9;
            header.fragment_offset =
                IpFragOffset::try_new(u16::try_from(begin / 8).unwrap()).unwrap();
            header.more_fragments = end < octets.len();
            let mut packet = Vec::new();
            header.write(&mut packet).unwrap();
            packet.extend(part);
            packet
        };
        let parts = [part(1480, 2960), part(2960, octets.len()), part(0, 1480)];
        let (datagrams, counts, _) = read(simple(101, &parts));
        assert_eq!(datagrams.len(), 1);
        assert_eq!(datagrams[0].1, payload);
        assert_eq!((counts.frames, counts.not_used[3]), (3, 2));
    }

    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let total = u32::try_from(padded + 12).unwrap().to_le_bytes();
        let padding = vec![0; padded - body.len()];
        [&kind.to_le_bytes()[..], &total, body, &padding, &total].concat()
    }

    fn pcapng(blocks: &[Vec<u8>]) -> Vec<u8> {
        let section = [
            0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
        ];
        [block(SECTION_HEADER, &section), blocks.concat()].concat()
    }

    fn enhanced(interface: u32, time: u64, frame: &[u8]) -> Vec<u8> {
        let [high, low] = [time >> 32, time & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
        let length = u32::try_from(frame.len()).unwrap();
        let words = [interface, high, low, length, length].map(u32::to_le_bytes);
        block(ENHANCED_PACKET, &[&words.concat()[..], frame].concat())
    }

    #[test]
    fn a_pcapng_of_several_interfaces_and_resolutions_gives_datagrams_with_their_time() {
        let frame = ethernet(EXPORT);
        let microseconds = block(INTERFACE_DESCRIPTION, &[1, 0, 0, 0, 0, 0, 0, 0]);
        let nanoseconds = block(
            INTERFACE_DESCRIPTION,
            &[101, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0],
        );
        let file = pcapng(&[
            microseconds,
            nanoseconds,
            block(0x0bad, b"unknown"),
            enhanced(0, 5_000_000, &frame),
            enhanced(1, 7_000_000_000, &frame[14..]),
        ]);
        let (datagrams, _, error) = read(file);
        assert!(error.is_none());
        let times: Vec<u64> = datagrams.iter().map(|(.., time)| *time).collect();
        assert_eq!(times, [5000, 7000]);
        assert!(datagrams.iter().all(|(_, payload, _)| payload == EXPORT));
    }

    #[test]
    fn the_messages_of_an_ipfix_file_come_with_their_export_time() {
        let (datagrams, counts, error) = read([EXPORT, EXPORT].concat());
        assert!(error.is_none());
        assert_eq!((counts.datagrams, counts.frames), (2, 0));
        let time = u64::from(u32::from_be_bytes([1, 2, 3, 4])) * 1000;
        assert_eq!(
            datagrams[1],
            ("0.0.0.0:0".parse().unwrap(), EXPORT.to_vec(), time)
        );
    }

    #[test]
    fn a_file_is_used_up_to_where_it_is_cut_off_or_corrupt() {
        let frame = ethernet(EXPORT);
        let interface = block(INTERFACE_DESCRIPTION, &[1, 0, 0, 0, 0, 0, 0, 0]);
        let files = [
            simple(1, &[frame.clone(), frame.clone()]),
            pcapng(&[interface, enhanced(0, 1, &frame), enhanced(0, 2, &frame)]),
            [EXPORT, EXPORT].concat(),
        ];
        for mut file in files {
            file.truncate(file.len() - 3);
            let (datagrams, _, error) = read(file);
            assert_eq!(datagrams.len(), 1);
            assert!(matches!(error, Some(SavefileError::CutOff(_))), "{error:?}");
        }
        let huge = [simple(1, std::slice::from_ref(&frame)), vec![255; 16]].concat();
        let (datagrams, _, error) = read(huge);
        assert_eq!(datagrams.len(), 1);
        assert!(
            matches!(error, Some(SavefileError::Corrupt(_))),
            "{error:?}"
        );
    }

    #[test]
    fn what_is_none_of_the_forms_is_refused() {
        for file in [&b""[..], b"\0\x0a", b"root:x:0:0:root"] {
            let (_, _, error) = read(file.to_vec());
            assert!(
                matches!(error, Some(SavefileError::UnknownForm)),
                "{error:?}"
            );
        }
    }

    #[test]
    fn an_ipv6_extension_header_that_is_cut_off_is_not_read_beyond_its_frame() {
        // Hop-by-hop options, destination options and a fragment of which the frame has a part or nothing.
        for (next_header, rest) in [
            (0, &[60, 0, 1, 4, 0, 0, 0, 0][..]),
            (60, &[17, 255, 0, 0, 0, 0, 0, 0]),
            (44, &[17, 0, 0]),
            (43, &[]),
        ] {
            let mut packet = vec![0x60, 0, 0, 0];
            packet.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
            packet.extend([next_header, 64]);
            packet.extend([0xfd; 32]);
            packet.extend(rest);
            assert_eq!(not_used(simple(229, &[packet])), [NotUsed::NotUdp]);
        }
    }

    #[test]
    fn any_octets_are_read_without_a_panic() {
        let frame = ethernet(EXPORT);
        let interface = block(
            INTERFACE_DESCRIPTION,
            &[1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 6, 0, 0, 0],
        );
        let files = [
            simple(1, &[frame.clone(), frame.clone()]),
            pcapng(&[interface, enhanced(0, 1, &frame), enhanced(0, 2, &frame)]),
            [EXPORT, EXPORT].concat(),
        ];
        for file in files {
            for at in 0..file.len() {
                for value in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut broken = file.clone();
                    broken[at] = value;
                    read(broken);
                }
            }
        }
    }
}

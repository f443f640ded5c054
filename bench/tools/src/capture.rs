//! Classic pcap files (little-endian, microseconds): a writer, and a reader of files in memory.

use std::io::{self, Write};

use anyhow::{Result, bail};

/// Link type of frames with an Ethernet header (LINKTYPE_ETHERNET).
pub(crate) const ETHERNET: u32 = 1;
/// Link type of frames that begin with the IP header (LINKTYPE_RAW).
pub(crate) const RAW_IP: u32 = 101;

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const FILE_HEADER: usize = 24;
const FRAME_HEADER: usize = 16;

/// Writes frames to a pcap file.
pub(crate) struct CaptureWriter<W> {
    to: W,
    snap_length: usize,
}

impl<W: Write> CaptureWriter<W> {
    /// Writes the file header. Frames are cut off at `snap_length` octets.
    pub(crate) fn new(mut to: W, link_type: u32, snap_length: usize) -> io::Result<Self> {
        to.write_all(&MAGIC_MICROSECONDS.to_le_bytes())?;
        to.write_all(&[2, 0, 4, 0])?;
        to.write_all(&[0; 8])?;
        to.write_all(&(snap_length as u32).to_le_bytes())?;
        to.write_all(&link_type.to_le_bytes())?;
        Ok(Self { to, snap_length })
    }

    /// Writes a frame with its time in microseconds since the epoch.
    pub(crate) fn write(&mut self, time: u64, frame: &[u8]) -> io::Result<()> {
        let captured = frame.len().min(self.snap_length);
        let words = [
            (time / 1_000_000) as u32,
            (time % 1_000_000) as u32,
            captured as u32,
            frame.len() as u32,
        ];
        for word in words {
            self.to.write_all(&word.to_le_bytes())?;
        }
        self.to.write_all(&frame[..captured])
    }

    /// Writes what is buffered.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The frames of a pcap file in memory.
pub(crate) struct Frames<'a> {
    /// Link type of the file.
    pub(crate) link_type: u32,
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// Reads the file header.
    pub(crate) fn of(file: &'a [u8]) -> Result<Self> {
        if file.len() < FILE_HEADER || little_endian(file, 0) != MAGIC_MICROSECONDS {
            bail!("not a little-endian pcap file with microseconds");
        }
        Ok(Self {
            link_type: little_endian(file, 20),
            rest: &file[FILE_HEADER..],
        })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let header = self.rest.get(..FRAME_HEADER)?;
        let end = FRAME_HEADER + little_endian(header, 8) as usize;
        let frame = self.rest.get(FRAME_HEADER..end)?;
        self.rest = &self.rest[end..];
        Some(frame)
    }
}

fn little_endian(octets: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

/// Returns the UDP payloads of a file whose frames are [`RAW_IP`] without IP options.
pub(crate) fn datagrams(file: &[u8]) -> Result<Vec<&[u8]>> {
    let frames = Frames::of(file)?;
    if frames.link_type != RAW_IP {
        bail!("link type {}: must be {RAW_IP} (raw IP)", frames.link_type);
    }
    Ok(frames.filter_map(|frame| frame.get(28..)).collect())
}

/// Writes a UDP datagram over loopback as a [`RAW_IP`] frame into `frame`.
pub(crate) fn loopback_frame(frame: &mut Vec<u8>, port: u16, payload: &[u8]) {
    let length = payload.len() as u16;
    frame.clear();
    frame.extend_from_slice(&[0x45, 0]);
    frame.extend_from_slice(&(length + 28).to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    frame.extend_from_slice(&40_000u16.to_be_bytes());
    frame.extend_from_slice(&port.to_be_bytes());
    frame.extend_from_slice(&(length + 8).to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_that_are_written_are_read_back() {
        let mut file = Vec::new();
        let mut writer = CaptureWriter::new(&mut file, RAW_IP, 65_535).unwrap();
        let mut frame = Vec::new();
        for payload in [&b"first"[..], b"second"] {
            loopback_frame(&mut frame, 4739, payload);
            writer.write(1_700_000_000_000_000, &frame).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(datagrams(&file).unwrap(), [&b"first"[..], b"second"]);
    }

    #[test]
    fn a_file_that_ends_within_a_frame_gives_the_frames_before() {
        let mut file = Vec::new();
        let mut writer = CaptureWriter::new(&mut file, ETHERNET, 60).unwrap();
        writer.write(0, &[1; 80]).unwrap();
        writer.write(0, &[2; 80]).unwrap();
        writer.finish().unwrap();
        file.truncate(file.len() - 1);
        let frames: Vec<&[u8]> = Frames::of(&file).unwrap().collect();
        assert_eq!(frames, [&[1; 60][..]]);
    }
}

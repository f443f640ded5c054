//! Frames of Initial packets (RFC 9000 §19), and the stream that the data of `CRYPTO` frames form.

use super::packet::variable_length;
use crate::inspect::reader::Reader;

/// Maximum number of octets of a stream.
pub(super) const MAX_OCTETS: usize = 4096;
const WORDS: usize = MAX_OCTETS / 64;
/// Frames of a packet that are read. Padding is not counted.
const MAX_FRAMES: usize = 256;

const PADDING: u8 = 0;
const PING: u8 = 1;
const ACK: u8 = 2;
const ACK_WITH_ECN: u8 = 3;
const CRYPTO: u8 = 6;

/// The beginning of the stream of a handshake, of which any part may be missing.
#[derive(Debug)]
pub(super) struct CryptoStream {
    /// Empty until the first frame, then [`MAX_OCTETS`].
    octets: Vec<u8>,
    /// A bit for each octet that is there.
    present: [u64; WORDS],
}

impl Default for CryptoStream {
    fn default() -> Self {
        Self {
            octets: Vec::new(),
            present: [0; WORDS],
        }
    }
}

impl CryptoStream {
    /// Makes the stream empty. The room stays.
    pub(super) const fn clear(&mut self) {
        self.present = [0; WORDS];
    }

    /// Adds the data of the `CRYPTO` frames of a packet. What is beyond [`MAX_OCTETS`] is not kept.
    pub(super) fn add(&mut self, frames: &[u8]) {
        let mut reader = Reader(frames);
        for _ in 0..MAX_FRAMES {
            while let [PADDING, rest @ ..] = reader.0 {
                reader.0 = rest;
            }
            if self.add_frame(&mut reader).is_none() {
                return;
            }
        }
    }

    /// Reads a frame. `None` at the end, and after a frame that is not one of Initial packets.
    fn add_frame(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        match reader.u8()? {
            PING => {}
            kind @ (ACK | ACK_WITH_ECN) => {
                let _largest = variable_length(reader)?;
                let _delay = variable_length(reader)?;
                let ranges = variable_length(reader)?;
                let _first = variable_length(reader)?;
                // Each has two numbers, and takes octets: a wrong count ends with them.
                for _ in 0..ranges {
                    let _gap = variable_length(reader)?;
                    let _length = variable_length(reader)?;
                }
                if kind == ACK_WITH_ECN {
                    for _ in 0..3 {
                        let _count = variable_length(reader)?;
                    }
                }
            }
            CRYPTO => {
                let offset = variable_length(reader)?;
                let length = variable_length(reader)?;
                let data = reader.octets(length)?;
                self.put(offset, data);
            }
            _ => return None,
        }
        Some(())
    }

    fn put(&mut self, offset: usize, data: &[u8]) {
        if offset >= MAX_OCTETS {
            return;
        }
        if self.octets.is_empty() {
            self.octets.reserve_exact(MAX_OCTETS);
            self.octets.resize(MAX_OCTETS, 0);
        }
        let places = self.octets.iter_mut().enumerate().skip(offset);
        for ((at, place), octet) in places.zip(data) {
            *place = *octet;
            if let Some(word) = self.present.get_mut(at / 64) {
                *word |= 1 << (at % 64);
            }
        }
    }

    /// The octets from the beginning up to the first one that is missing.
    pub(super) fn contiguous(&self) -> &[u8] {
        let mut length = 0_usize;
        for word in &self.present {
            let ones = word.trailing_ones();
            length = length.saturating_add(usize::try_from(ones).unwrap_or(0));
            if ones < 64 {
                break;
            }
        }
        self.octets.get(..length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crypto(offset: u16, data: &[u8]) -> Vec<u8> {
        let mut frame = vec![CRYPTO];
        frame.extend((offset | 0x4000).to_be_bytes());
        frame.extend((u16::try_from(data.len()).unwrap() | 0x4000).to_be_bytes());
        frame.extend(data);
        frame
    }

    #[test]
    fn parts_in_any_order_form_the_stream() {
        let whole: Vec<u8> = (0..1500_u16).map(|n| n.to_be_bytes()[1]).collect();
        let part =
            |start: usize, end: usize| crypto(u16::try_from(start).unwrap(), &whole[start..end]);
        let mut stream = CryptoStream::default();
        let ack = [ACK_WITH_ECN, 5, 0, 1, 1, 0, 0, 1, 2, 3];
        let padding = [PADDING; 30];
        let frames = [
            &part(700, 1000),
            &padding[..],
            &[PING],
            &part(0, 64),
            &ack,
            &part(64, 300),
        ];
        stream.add(&frames.concat());
        assert_eq!(stream.contiguous(), &whole[..300]);
        // Parts may overlap.
        stream.add(&[part(990, 1500), part(250, 710)].concat());
        assert_eq!(stream.contiguous(), whole);
        stream.clear();
        assert!(stream.contiguous().is_empty());
    }

    #[test]
    fn a_stream_ends_at_its_limit() {
        let mut stream = CryptoStream::default();
        stream.add(&crypto(0, &[1; 4000]));
        stream.add(&crypto(4000, &[2; 200]));
        stream.add(&crypto(5000, &[3; 100]));
        assert_eq!(stream.contiguous().len(), MAX_OCTETS);
        // An offset of 62 bits.
        let mut frame = vec![CRYPTO];
        frame.extend([0xff; 8]);
        frame.extend([1, 1]);
        stream.add(&frame);
        assert_eq!(stream.contiguous().len(), MAX_OCTETS);
    }

    #[test]
    fn frames_after_an_invalid_one_are_not_read() {
        for invalid in [&[0x1c][..], &[0xff], &[CRYPTO, 0, 9, 1], &[ACK, 0, 0, 0x80]] {
            let mut stream = CryptoStream::default();
            stream.add(&[&crypto(0, b"ab")[..], invalid, &crypto(2, b"cd")].concat());
            assert_eq!(stream.contiguous(), b"ab", "{invalid:?}");
        }
    }
}

//! Compression of batches.

use std::io::{self, Write as _};

use flate2::write::GzEncoder;
use kipfix_export::url::Parameter;
use lz4_flex::block::{compress_into, get_maximum_output_size};

/// Begin of an LZ4 frame: magic number, independent blocks of at most 4 MiB, no checksum of the
/// content, and the checksum of these flags.
const LZ4_HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73];
const LZ4_BLOCK_OCTETS: usize = 4 << 20;
/// In the length of a block: it is not compressed.
const LZ4_UNCOMPRESSED: u32 = 1 << 31;

/// How a batch is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emit) enum Compression {
    None,
    Gzip,
    Lz4,
}

impl Compression {
    /// Parses the value of the parameter `compression`.
    pub(in crate::emit) fn parse(parameter: &Parameter<'_>) -> Result<Self, String> {
        match &*parameter.text() {
            "lz4" => Ok(Self::Lz4),
            "gzip" => Ok(Self::Gzip),
            "none" => Ok(Self::None),
            _ => Err(parameter.invalid("lz4, gzip or none")),
        }
    }
}

/// Compresses batches.
#[derive(Debug)]
pub(in crate::emit) struct Compressor {
    compression: Compression,
    /// Room for a compressed block, which is used again because it must be initialised.
    room: Vec<u8>,
}

impl Compressor {
    pub(in crate::emit) const fn new(compression: Compression) -> Self {
        Self {
            compression,
            room: Vec::new(),
        }
    }

    pub(in crate::emit) const fn compression(&self) -> Compression {
        self.compression
    }

    /// Appends the compressed octets.
    pub(in crate::emit) fn compress(&mut self, octets: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self.compression {
            Compression::None => out.extend_from_slice(octets),
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(out, flate2::Compression::fast());
                encoder.write_all(octets)?;
                encoder.finish()?;
            }
            Compression::Lz4 => {
                self.lz4_frame(octets, out)?;
            }
        }
        Ok(())
    }

    /// Appends an LZ4 frame. The frame encoder of the crate is not used because it clears buffers
    /// of the size of a block for each frame, which takes several times as long as the compression.
    fn lz4_frame(&mut self, octets: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(&LZ4_HEADER);
        for block in octets.chunks(LZ4_BLOCK_OCTETS) {
            let room = get_maximum_output_size(block.len());
            if self.room.len() < room {
                self.room.resize(room, 0);
            }
            let length = compress_into(block, &mut self.room).map_err(io::Error::other)?;
            let compressed = self.room.get(..length).filter(|c| c.len() < block.len());
            let (stored, flag) = compressed.map_or((block, LZ4_UNCOMPRESSED), |c| (c, 0));
            let length = u32::try_from(stored.len()).map_err(io::Error::other)? | flag;
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(stored);
        }
        // The end mark.
        out.extend_from_slice(&[0; size_of::<u32>()]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use lz4_flex::frame::FrameDecoder;

    use super::*;

    /// Octets without repetitions.
    fn noise(count: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn lz4_is_a_frame_that_a_decoder_reads() {
        let text = b"pod-1 to pod-2, ".repeat(1 << 19);
        let long = text.len();
        assert!(long > LZ4_BLOCK_OCTETS);
        let mut lz4 = Compressor::new(Compression::Lz4);
        for (octets, longest) in [
            (Vec::new(), 11),
            (b"x".to_vec(), 20),
            (text, long / 100),
            (noise(100_000), 100_020),
        ] {
            let mut out = b"before".to_vec();
            lz4.compress(&octets, &mut out).unwrap();
            let frame = &out[b"before".len()..];
            assert!(
                frame.len() <= longest,
                "{} of {}",
                frame.len(),
                octets.len()
            );
            let mut decoded = Vec::new();
            FrameDecoder::new(frame).read_to_end(&mut decoded).unwrap();
            assert!(decoded == octets, "{} octets", octets.len());
        }
    }
}

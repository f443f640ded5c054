//! Compression of batches.

use std::io::{self, Write as _};

use flate2::write::GzEncoder;
use kipfix_export::url::Parameter;
use lz4_flex::block::{compress_into, get_maximum_output_size};

/// Begin of an LZ4 frame: magic number, independent blocks of at most 4 MiB, no checksum of the content, and the
/// checksum of these flags.
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

    /// Appends the compressed octets.
    pub(in crate::emit) fn compress(self, octets: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::None => out.extend_from_slice(octets),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, flate2::Compression::fast());
                encoder.write_all(octets)?;
                encoder.finish()?;
            }
            Self::Lz4 => {
                lz4_frame(octets, out)?;
            }
        }
        Ok(())
    }
}

/// Appends an LZ4 frame. The frame encoder of the crate is not used because it clears buffers of the size of a block
/// for each frame, which takes several times as long as the compression.
fn lz4_frame(octets: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&LZ4_HEADER);
    for block in octets.chunks(LZ4_BLOCK_OCTETS) {
        let at = out.len();
        out.extend_from_slice(&[0; size_of::<u32>()]);
        let begin = out.len();
        out.resize(
            begin.saturating_add(get_maximum_output_size(block.len())),
            0,
        );
        let room = out.get_mut(begin..).unwrap_or_default();
        let mut length = compress_into(block, room).map_err(io::Error::other)?;
        out.truncate(begin.saturating_add(length));
        let mut flag = 0;
        if length >= block.len() {
            out.truncate(begin);
            out.extend_from_slice(block);
            (length, flag) = (block.len(), LZ4_UNCOMPRESSED);
        }
        let length = u32::try_from(length).map_err(io::Error::other)? | flag;
        if let Some(place) = out.get_mut(at..begin) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
    // The end mark.
    out.extend_from_slice(&[0; size_of::<u32>()]);
    Ok(())
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
        for (octets, longest) in [
            (Vec::new(), 11),
            (b"x".to_vec(), 20),
            (text, long / 100),
            (noise(100_000), 100_020),
        ] {
            let mut out = b"before".to_vec();
            Compression::Lz4.compress(&octets, &mut out).unwrap();
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

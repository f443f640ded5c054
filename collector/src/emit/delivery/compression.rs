//! Compression of batches.

use std::io::{self, Write as _};

use flate2::write::GzEncoder;
use lz4_flex::frame::FrameEncoder;

/// How a batch is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emit) enum Compression {
    None,
    Gzip,
    Lz4,
}

impl Compression {
    /// Parses the value of the parameter `compression`.
    pub(in crate::emit) fn parse(value: &str) -> Result<Self, String> {
        match value {
            "lz4" => Ok(Self::Lz4),
            "gzip" => Ok(Self::Gzip),
            "none" => Ok(Self::None),
            _ => Err(format!(
                "invalid compression {value:?}: must be lz4, gzip or none"
            )),
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
                let mut encoder = FrameEncoder::new(out);
                encoder.write_all(octets)?;
                encoder.finish().map_err(io::Error::other)?;
            }
        }
        Ok(())
    }
}

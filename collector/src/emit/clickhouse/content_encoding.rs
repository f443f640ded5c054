//! The compression of the body of a request.

use std::io::{self, Write as _};

use flate2::write::GzEncoder;
use lz4_flex::frame::FrameEncoder;

/// How the body of a request is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentEncoding {
    Identity,
    Gzip,
    Lz4,
}

impl ContentEncoding {
    /// Compresses rows.
    pub(super) fn encode(self, rows: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        match self {
            Self::Identity => out.extend_from_slice(rows),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, flate2::Compression::fast());
                encoder.write_all(rows)?;
                encoder.finish()?;
            }
            Self::Lz4 => {
                let mut encoder = FrameEncoder::new(out);
                encoder.write_all(rows)?;
                encoder.finish().map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    /// The header line, or nothing.
    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => "Content-Encoding: gzip\r\n",
            Self::Lz4 => "Content-Encoding: lz4\r\n",
        }
    }
}

//! The content coding of a response, and its compressor.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Level of zstd. Labels repeat a lot: higher levels gain little.
const ZSTD_LEVEL: i32 = 1;

/// A content coding (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// Selects the coding for an `Accept-Encoding` header (RFC 9110 §12.5.3): the one with the
    /// highest quality value, of equal ones zstd, then gzip. A client that accepts neither gets the
    /// identity.
    pub(super) fn from_accept(accept_encoding: &str) -> Self {
        let quality = |name: &str| -> f32 {
            let quality_of = |wanted: &str| {
                accept_encoding.split(',').find_map(|coding| {
                    let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
                    let quality = parameters.trim().strip_prefix("q=").unwrap_or("1");
                    let is_wanted = name.trim().eq_ignore_ascii_case(wanted);
                    is_wanted.then(|| quality.trim().parse().unwrap_or(0.0))
                })
            };
            quality_of(name).or_else(|| quality_of("*")).unwrap_or(0.0)
        };
        let (gzip, zstd) = (quality("gzip"), quality("zstd"));
        match (gzip > 0.0, zstd > 0.0) {
            (_, true) if zstd >= gzip => Self::Zstd,
            (true, _) => Self::Gzip,
            _ => Self::Identity,
        }
    }

    /// The value of `Content-Encoding`, if there is one.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// A compressor that is fed with chunks.
pub(super) enum Compressor {
    Identity,
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Compressor {
    pub(super) fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Identity => Self::Identity,
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Encoding::Zstd => {
                Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?)
            }
        })
    }

    /// Compresses a chunk. Returns what there is to send, which may be nothing. After the last
    /// chunk nothing more may be written.
    pub(super) fn write(&mut self, chunk: Vec<u8>, is_last: bool) -> io::Result<Vec<u8>> {
        match self {
            Self::Identity => Ok(chunk),
            Self::Gzip(encoder) => {
                encoder.write_all(&chunk)?;
                if is_last {
                    encoder.try_finish()?;
                }
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Zstd(encoder) => {
                encoder.write_all(&chunk)?;
                if is_last {
                    encoder.do_finish()?;
                }
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accepted_coding_with_the_highest_quality_is_used() {
        let cases = [
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("deflate, gzip;q=0.5", Encoding::Gzip),
            ("br, GZIP", Encoding::Gzip),
            ("gzip;q=1, *;q=0", Encoding::Gzip),
            ("gzip;q=0", Encoding::Identity),
            ("gzip; q=0.0, *;q=0", Encoding::Identity),
            ("gzipped", Encoding::Identity),
            ("*;q=0", Encoding::Identity),
            ("gzip;q=x", Encoding::Identity),
            ("*", Encoding::Zstd),
            ("gzip, deflate, br, zstd", Encoding::Zstd),
            ("zstd;q=0.5, gzip;q=0.8", Encoding::Gzip),
            ("zstd;q=0, *", Encoding::Gzip),
        ];
        for (accept, encoding) in cases {
            assert_eq!(Encoding::from_accept(accept), encoding, "{accept:?}");
        }
    }
}

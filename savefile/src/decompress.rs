//! Compressed savefiles: gzip (RFC 1952) with any number of members, Zstandard (RFC 8878) with any
//! number of frames. The first octets of a file decide, not its name.

use std::io::{self, BufReader, Chain, Cursor, ErrorKind, Read};

use zstd::stream::read::Decoder as ZstdDecoder;

use crate::gzip::GzipMembers;

/// Octets of the longest magic number.
const MAGIC_OCTETS: usize = 6;
/// Compressed octets read at once.
const BUFFER_OCTETS: usize = 128 << 10;
/// The largest window of Zstandard, as a power of two: 128 MiB, the default of `zstd -d`.
const MAX_WINDOW_LOG: u32 = 27;

/// Formats that are not read: the first octets, the name, and the command that decompresses a file
/// to stdout.
const OTHER_FORMATS: [(&[u8], &str, &str); 8] = [
    (b"\xfd7zXZ\0", "xz", "xz -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
    // Its legacy frames.
    (b"\x02\x21\x4c\x18", "lz4", "lz4 -dc"),
    (b"LZIP", "lzip", "lzip -dc"),
    (b"PK\x03\x04", "zip", "unzip -p"),
    (b"7z\xbc\xaf\x27\x1c", "7z", "7z x -so"),
    (b"\x1f\x9d", "compress", "gzip -dc"),
];

/// The octets of a savefile, decompressed if it is compressed.
///
/// They are decompressed as they are read, in bounded memory. After an error that is not final,
/// such as [`WouldBlock`](ErrorKind::WouldBlock), reading can continue.
pub struct Decompressor<R: Read>(State<R>);

/// An input with its first octets, which were read, in front.
type Input<R> = Chain<Cursor<Vec<u8>>, R>;

enum State<R: Read> {
    /// The first octets were not all read. Without an input after an error that is final.
    Beginning {
        input: Option<R>,
        first: Vec<u8>,
    },
    Plain(Input<R>),
    Gzip(GzipMembers<BufReader<Input<R>>>),
    Zstd(Box<ZstdDecoder<'static, BufReader<Input<R>>>>),
}

impl<R: Read> Decompressor<R> {
    /// Creates a reader that has read nothing.
    pub const fn new(input: R) -> Self {
        Self(State::Beginning {
            input: Some(input),
            first: Vec::new(),
        })
    }
}

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        if let State::Beginning { input, first } = &mut self.0 {
            let Some(reader) = input else {
                return Ok(0);
            };
            while first.len() < MAGIC_OCTETS {
                let mut magic = [0; MAGIC_OCTETS];
                let free = MAGIC_OCTETS.saturating_sub(first.len());
                let read = reader.read(magic.get_mut(..free).unwrap_or_default())?;
                if read == 0 {
                    break;
                }
                first.extend_from_slice(magic.get(..read).unwrap_or_default());
            }
            if let Some(reader) = input.take() {
                self.0 = begin(std::mem::take(first), reader)?;
            }
        }
        match &mut self.0 {
            State::Beginning { .. } => Ok(0),
            State::Plain(input) => input.read(octets),
            State::Gzip(decoder) => decoder.read(octets).map_err(|error| failure("gzip", error)),
            State::Zstd(decoder) => decoder.read(octets).map_err(|error| failure("zstd", error)),
        }
    }
}

/// Selects the decoder by the first octets.
fn begin<R: Read>(first: Vec<u8>, reader: R) -> io::Result<State<R>> {
    let other = OTHER_FORMATS
        .iter()
        .find(|(magic, ..)| first.starts_with(magic));
    if let Some((_, name, command)) = other {
        let message = format!(
            "compressed with {name}, which is not supported: pipe the output of \"{command} FILE\" \
             to --read -"
        );
        return Err(io::Error::new(ErrorKind::Unsupported, message));
    }
    let is_gzip = first.starts_with(&[0x1f, 0x8b]);
    // A frame, or one that is skipped.
    let is_zstd = matches!(
        *first,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
    );
    let input = Cursor::new(first).chain(reader);
    if !is_gzip && !is_zstd {
        return Ok(State::Plain(input));
    }
    let input = BufReader::with_capacity(BUFFER_OCTETS, input);
    if is_gzip {
        return Ok(State::Gzip(GzipMembers::new(input)));
    }
    let mut decoder = ZstdDecoder::with_buffer(input)?;
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    Ok(State::Zstd(Box::new(decoder)))
}

/// Names the format in an error of its decoder.
fn failure(format: &str, error: io::Error) -> io::Error {
    let message = match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => return error,
        ErrorKind::UnexpectedEof => format!("truncated: the {format} data ends early"),
        _ => format!("{format}: {error}"),
    };
    io::Error::new(error.kind(), message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// Returns each octet in a read of its own, after an error that is not final.
    struct Slow<'a> {
        octets: &'a [u8],
        is_ready: bool,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
            self.is_ready = !self.is_ready;
            if !self.is_ready {
                return Err(ErrorKind::WouldBlock.into());
            }
            let length = octets.len().min(1);
            self.octets.read(&mut octets[..length])
        }
    }

    fn read_slowly(octets: &[u8]) -> io::Result<Vec<u8>> {
        let mut reader = Decompressor::new(Slow {
            octets,
            is_ready: true,
        });
        let (mut all, mut block) = (Vec::new(), [0; 1000]);
        loop {
            match reader.read(&mut block) {
                Ok(0) => return Ok(all),
                Ok(read) => all.extend(&block[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Octets before the end or the error, and the message of the error.
    fn read(octets: &[u8]) -> (Vec<u8>, Option<String>) {
        let mut all = Vec::new();
        let outcome = Decompressor::new(octets).read_to_end(&mut all);
        (all, outcome.err().map(|error| error.to_string()))
    }

    /// What the tool of this name makes of the octets.
    fn run(tool: &str, arguments: &[&str], octets: &[u8]) -> Vec<u8> {
        let mut child = Command::new(tool)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let octets = octets.to_vec();
        let writer = std::thread::spawn(move || input.write_all(&octets));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success(), "{tool} {arguments:?}");
        output.stdout
    }

    /// Compressible octets, more than are read at once.
    fn plain() -> Vec<u8> {
        (0..200_000_u32)
            .flat_map(|n| (n / 3).to_be_bytes())
            .collect()
    }

    #[test]
    fn what_gzip_and_zstd_have_compressed_is_read_as_the_plain_file() {
        let plain = plain();
        for (tool, arguments) in [
            ("gzip", &["-c"][..]),
            ("gzip", &["-1", "-c"]),
            ("zstd", &["-c"]),
            ("zstd", &["-19", "--no-check", "-c"]),
            ("zstd", &["--ultra", "-22", "-c"]),
        ] {
            let mut compressed = run(tool, arguments, &plain[..300_000]);
            assert!(compressed.len() < 300_000);
            assert_eq!(read(&compressed), (plain[..300_000].to_vec(), None));
            // A second member or frame.
            compressed.extend(run(tool, arguments, &plain[300_000..]));
            assert_eq!(read(&compressed), (plain.clone(), None), "{tool}");
            assert!(read_slowly(&compressed).unwrap() == plain, "{tool}");
        }
        let mut skipped = vec![0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        skipped.extend(run("zstd", &["-c"], &plain));
        assert_eq!(read(&skipped), (plain, None));
    }

    #[test]
    fn octets_0_behind_a_gzip_file_are_ignored() {
        let plain = plain();
        let compressed = run("gzip", &["-c"], &plain);
        for zeros in [1, 9, 10, 512, 300_000] {
            let filled = [&compressed[..], &vec![0; zeros]].concat();
            assert_eq!(read(&filled), (plain.clone(), None), "{zeros}");
            // Other octets behind them, of another member, too, are an error.
            for other in [&compressed[..], &[7]] {
                let (octets, error) = read(&[&filled[..], other].concat());
                assert!(octets == plain);
                let wanted = "gzip: other octets follow octets 0 behind the compressed data";
                assert_eq!(error.as_deref(), Some(wanted));
            }
        }
        let filled = [&compressed[..], &[0; 100]].concat();
        assert!(read_slowly(&filled).unwrap() == plain);
    }

    #[test]
    fn a_plain_file_of_any_length_is_read_as_it_is() {
        let plain = plain();
        for length in [0, 1, 5, 6, 7, plain.len()] {
            assert_eq!(read(&plain[..length]), (plain[..length].to_vec(), None));
            assert!(read_slowly(&plain[..length]).unwrap() == plain[..length]);
        }
    }

    #[test]
    fn a_truncated_file_is_an_error_after_its_octets() {
        let plain = plain();
        for tool in ["gzip", "zstd"] {
            let compressed = run(tool, &["-c"], &plain);
            for missing in [1, 5, compressed.len() / 2] {
                let (octets, error) = read(&compressed[..compressed.len() - missing]);
                let wanted = format!("truncated: the {tool} data ends early");
                assert_eq!(error, Some(wanted), "{missing}");
                assert!(plain.starts_with(&octets));
                assert!(octets.len() > plain.len() / 4, "{}", octets.len());
            }
        }
    }

    #[test]
    fn a_corrupt_file_is_an_error_of_its_format() {
        for (tool, message) in [("gzip", "gzip: "), ("zstd", "zstd: ")] {
            let mut compressed = run(tool, &["-c"], &plain());
            let last = compressed.len() - 3;
            compressed[last] ^= 0xff;
            let error = read(&compressed).1.unwrap();
            assert!(error.starts_with(message), "{error}");
            compressed[last] ^= 0xff;
            compressed.extend(b"other octets");
            let (octets, error) = read(&compressed);
            assert!(error.unwrap().starts_with(message));
            assert!(octets == plain());
        }
    }

    #[test]
    fn a_window_of_more_than_128_mib_is_refused() {
        let compressed = run("zstd", &["--long=28", "-c"], &plain());
        let error = read(&compressed).1.unwrap();
        assert!(error.contains("too much memory"), "{error}");
        let (octets, error) = read(&run("zstd", &["--long=27", "-c"], &plain()));
        assert_eq!((octets.len(), error), (plain().len(), None));
    }

    #[test]
    fn other_formats_are_refused_with_the_command_that_reads_them() {
        for (tool, command) in [("xz", "xz -dc"), ("bzip2", "bzip2 -dc")] {
            let error = read(&run(tool, &["-c"], &plain())).1.unwrap();
            let wanted = format!("compressed with {tool}, which is not supported");
            assert!(error.starts_with(&wanted), "{error}");
            assert!(error.contains(command), "{error}");
        }
        for (magic, name, _) in OTHER_FORMATS {
            let mut reader = Decompressor::new(magic);
            let error = reader.read(&mut [0; 9]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
            // Nothing follows the error.
            assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0);
        }
    }
}

//! The server name of a TLS `ClientHello` (RFC 8446 §4.1.2, RFC 6066 §3).
//!
//! A client that encrypts its hello (ECH, RFC 9849) sends two: the inner one is not readable, and
//! the outer one has the public name of the provider. Clients also send a meaningless ECH extension
//! with a readable name, which looks the same.

use super::reader::Reader;

/// Octets of the header of a record.
pub const RECORD_HEADER: usize = 5;
/// Extensions that are read.
const MAX_EXTENSIONS: usize = 64;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
const HOST_NAME: u8 = 0;

/// What the beginning of a stream has of a `ClientHello`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The server name, if it is there already.
    pub server_name: Option<&'a [u8]>,
    /// The hello has an ECH extension, so that the name may be that of the provider.
    pub is_encrypted: bool,
    /// Octets of the stream up to the end of the record, or of the message without one; more than
    /// there are if it continues.
    pub octets: usize,
}

/// Whether a stream can begin with a `ClientHello`, as far as it is there.
#[must_use]
pub const fn begins(stream: &[u8]) -> bool {
    matches!(stream, [HANDSHAKE, 3, _, _, _, CLIENT_HELLO, ..])
}

/// Reads the `ClientHello` at the beginning of a stream, which may end early. `None` if there is
/// none. If it is in several records (RFC 8446 §5.1), their contents are put together in `room`.
#[must_use]
pub fn read<'a>(stream: &'a [u8], room: &'a mut Vec<u8>) -> Option<ClientHello<'a>> {
    if !begins(stream) {
        return None;
    }
    let (content, length) = record(stream)?;
    let mut hello = ClientHello {
        octets: length.checked_add(RECORD_HEADER)?,
        ..ClientHello::default()
    };
    let message_octets = match *content {
        [_, a, b, c, ..] => u32::from_be_bytes([0, a, b, c]).checked_add(4)?,
        _ => 0,
    };
    let message_octets = usize::try_from(message_octets).ok()?;
    let content = if message_octets > length {
        hello.octets = join_records(stream, message_octets, room)?;
        room
    } else {
        content
    };
    // `None` where the octets end.
    extensions(Reader(content), &mut hello);
    Some(hello)
}

/// The content of the handshake record at the beginning of a stream, as far as it is there, and its
/// length.
fn record(stream: &[u8]) -> Option<(&[u8], usize)> {
    let &[HANDSHAKE, 3, _, l0, l1, ref content @ ..] = stream else {
        return None;
    };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    // Not beyond the record, even if the stream continues.
    Some((content.get(..length).unwrap_or(content), length))
}

/// Puts the contents of records together up to the octets of a message. Returns the octets of the
/// stream up to the end of the latest record, or of its header if that is incomplete.
#[cold]
fn join_records(stream: &[u8], message_octets: usize, room: &mut Vec<u8>) -> Option<usize> {
    room.clear();
    let mut end = 0_usize;
    while room.len() < message_octets && end <= stream.len() {
        let rest = stream.get(end..).unwrap_or_default();
        end = end.checked_add(RECORD_HEADER)?;
        if rest.len() < RECORD_HEADER {
            break;
        }
        // Another message in between is not allowed.
        let Some((content, length)) = record(rest).filter(|(_, length)| *length > 0) else {
            return Some(stream.len());
        };
        room.extend_from_slice(content);
        end = end.checked_add(length)?;
    }
    Some(end)
}

/// Reads a `ClientHello` without a record around it, as in QUIC (RFC 9001 §4.1.3).
#[must_use]
pub fn read_message(message: &[u8]) -> Option<ClientHello<'_>> {
    if !matches!(message, [CLIENT_HELLO, ..]) {
        return None;
    }
    let mut hello = ClientHello {
        octets: message.len(),
        ..ClientHello::default()
    };
    extensions(Reader(message), &mut hello);
    Some(hello)
}

fn extensions<'a>(mut reader: Reader<'a>, hello: &mut ClientHello<'a>) -> Option<()> {
    // Type, length, version, random.
    reader.octets(1 + 3 + 2 + 32)?;
    let _session = reader.part8()?;
    let _cipher_suites = reader.part16()?;
    let _compression = reader.part8()?;
    let _length = reader.u16()?;
    for _ in 0..MAX_EXTENSIONS {
        match (reader.u16()?, reader.part16()?) {
            (SERVER_NAME, value) => hello.server_name = server_name(value),
            (ENCRYPTED_CLIENT_HELLO, _) => hello.is_encrypted = true,
            _ => {}
        }
    }
    None
}

/// The first host name of a list.
fn server_name(mut list: Reader<'_>) -> Option<&[u8]> {
    let mut list = list.part16()?;
    let kind = list.u8()?;
    let name = list.part16()?;
    (kind == HOST_NAME && !name.is_empty()).then_some(name.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn read(stream: &[u8]) -> Option<ClientHello<'_>> {
        super::read(stream, Box::leak(Box::default()))
    }

    /// A value with its length in two octets in front.
    fn part16(value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap();
        [&length.to_be_bytes()[..], value].concat()
    }

    fn extension(kind: u16, value: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &part16(value)].concat()
    }

    pub(crate) fn name_extension(name: &str) -> Vec<u8> {
        let entry = [&[0][..], &part16(name.as_bytes())].concat();
        extension(0, &part16(&entry))
    }

    /// A record with a `ClientHello` of these extensions.
    pub(crate) fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([32]);
        body.extend([9; 32]);
        body.extend(part16(&[0x13, 1, 0x13, 2]));
        body.extend([1, 0]);
        body.extend(part16(&extensions.concat()));
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let handshake = [&[1][..], &length[1..], &body].concat();
        [&[22, 3, 1][..], &part16(&handshake)].concat()
    }

    #[test]
    fn the_server_name_is_found_among_other_extensions() {
        let others = [extension(10, &[0, 2, 0, 29]), extension(0x0a0a, &[])];
        let [before, after] = others;
        let stream = hello(&[before, name_extension("api.example.org"), after]);
        let found = read(&stream).unwrap();
        assert_eq!(found.server_name, Some(&b"api.example.org"[..]));
        assert_eq!((found.octets, found.is_encrypted), (stream.len(), false));
    }

    #[test]
    fn a_hello_without_a_name_has_none() {
        for only in [extension(10, &[0, 2, 0, 29]), extension(0, &[])] {
            let stream = hello(&[only]);
            assert_eq!(read(&stream).unwrap().server_name, None);
        }
    }

    #[test]
    fn a_hello_without_a_record_is_read() {
        let stream = hello(&[
            name_extension("api.example.org"),
            extension(0xfe0d, &[0; 40]),
        ]);
        let found = read_message(&stream[RECORD_HEADER..]).unwrap();
        assert_eq!(found.server_name, Some(&b"api.example.org"[..]));
        assert!(found.is_encrypted);
        assert_eq!(read_message(&stream), None);
        assert_eq!(read_message(&[]), None);
    }

    #[test]
    fn an_encrypted_hello_is_recognized() {
        let stream = hello(&[name_extension("public.test"), extension(0xfe0d, &[0; 40])]);
        let found = read(&stream).unwrap();
        assert_eq!(found.server_name, Some(&b"public.test"[..]));
        assert!(found.is_encrypted);
    }

    #[test]
    fn a_stream_that_ends_early_has_what_is_there() {
        let padding = extension(51, &[0; 1200]);
        let stream = hello(&[padding, name_extension("api.example.org")]);
        for end in 0..stream.len() {
            let found = read(&stream[..end]);
            assert_eq!(found.is_some(), end >= 6, "{end}");
            let name = found.and_then(|hello| hello.server_name);
            assert_eq!(name, None, "{end}");
        }
        assert!(read(&stream).unwrap().server_name.is_some());
    }

    #[test]
    fn a_hello_in_several_records_is_put_together() {
        let whole = hello(&[extension(10, &[0; 300]), name_extension("api.example.org")]);
        for size in [4, 5, 100, 350] {
            let records: Vec<_> = whole[RECORD_HEADER..]
                .chunks(size)
                .map(|part| [&[22, 3, 3][..], &part16(part)].concat())
                .collect();
            let stream = records.concat();
            let found = read(&stream).unwrap();
            assert_eq!(found.server_name, Some(&b"api.example.org"[..]), "{size}");
            assert_eq!(found.octets, stream.len(), "{size}");
            for end in 9..stream.len() {
                let found = read(&stream[..end]).unwrap();
                assert!(found.octets > end, "{size} {end}");
                let is_there = found.server_name.is_some();
                assert_eq!(is_there, end == stream.len(), "{size} {end}");
            }
        }
        // Another record in between, and an empty one.
        for other in [&[23, 3, 3, 0, 1, 0][..], &[22, 3, 3, 0, 0]] {
            let (first, rest) = whole[RECORD_HEADER..].split_at(100);
            let record = |part: &[u8]| [&[22, 3, 3][..], &part16(part)].concat();
            let stream = [&record(first)[..], other, &record(rest)].concat();
            let found = read(&stream).unwrap();
            assert_eq!((found.server_name, found.octets), (None, stream.len()));
        }
    }

    #[test]
    fn other_streams_have_no_hello() {
        for stream in [
            &b"GET / HTTP/1.1\r\n"[..],
            &[22, 3, 1, 0, 4, 2, 0, 0, 0],
            &[23, 3, 3, 0, 4, 1, 0, 0, 0],
            &[],
        ] {
            assert_eq!(read(stream), None);
        }
        // The name is behind the end of the record.
        let mut stream = hello(&[name_extension("api.example.org")]);
        stream[4] = 60;
        stream[3] = 0;
        assert_eq!(read(&stream).unwrap().server_name, None);
    }
}

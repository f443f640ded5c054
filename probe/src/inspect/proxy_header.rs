//! The header of the PROXY protocol, version 1 or 2. Load balancers send it once, before the octets
//! of their client.

/// Longest line of version 1, octets.
const MAX_LINE: usize = 107;
/// The beginning of a line of version 1.
const LINE: &[u8] = b"PROXY ";
/// The beginning of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Octets of the header of version 2 before the addresses.
const FIXED_OCTETS: usize = 16;

/// The octets behind the header at the beginning of a stream. `None` if there is no header, or not
/// all of it.
#[must_use]
pub(super) fn after(stream: &[u8]) -> Option<&[u8]> {
    match stream.first()? {
        b'P' if stream.starts_with(LINE) => {
            let line = stream.get(..MAX_LINE).unwrap_or(stream);
            let end = line.windows(2).position(|end| end == b"\r\n")?;
            stream.get(end.checked_add(2)?..)
        }
        b'\r' => {
            let &[command, _, l0, l1] = stream.strip_prefix(SIGNATURE)?.first_chunk()?;
            let addresses = usize::from(u16::from_be_bytes([l0, l1]));
            // Version 2, LOCAL or PROXY.
            matches!(command, 0x20 | 0x21)
                .then(|| stream.get(FIXED_OCTETS.checked_add(addresses)?..))
                .flatten()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_both_versions_is_skipped() {
        let v2 = |command: u8, addresses: &[u8]| {
            let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
            [SIGNATURE, &[command, 0x11], &length, addresses].concat()
        };
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.7 40000 443\r\n".to_vec();
        for header in [
            line,
            b"PROXY UNKNOWN\r\n".to_vec(),
            v2(0x21, &[7; 12]),
            // IPv6 with further values, and a health check.
            v2(0x21, &[7; 300]),
            v2(0x20, &[]),
        ] {
            let whole = [&header[..], b"rest"].concat();
            assert_eq!(after(&whole), Some(&b"rest"[..]));
            assert_eq!(after(&header), Some(&[][..]));
            for end in 0..header.len() {
                assert_eq!(after(&header[..end]), None, "{end}");
            }
        }
    }

    #[test]
    fn other_streams_have_no_header() {
        let long = [&b"PROXY "[..], &[b'x'; 100], b"\r\n"].concat();
        let other = [SIGNATURE, &[0x11, 0x11, 0, 0]].concat();
        for stream in [
            &b""[..],
            b"POST / HTTP/1.1\r\n",
            b"\r\n\r\n",
            b"PROXY TCP4",
            &long,
            &other,
        ] {
            assert_eq!(after(stream), None, "{stream:?}");
        }
    }
}

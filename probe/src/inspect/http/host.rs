//! The host of an HTTP/1 request (RFC 9112 §3.2).

use crate::inspect::partial_messages::MAX_OCTETS;

/// Octets of a method. Registered ones have up to 17.
const METHOD_OCTETS: std::ops::RangeInclusive<usize> = 3..=20;

/// What the beginning of a stream has of the host of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestHost<'a> {
    /// The host, without its port.
    Named(&'a [u8]),
    /// The head of the request continues, and has no host so far.
    Continues,
    /// There is no request, it has no host name, or it is sent to a proxy (RFC 9112 §3.2.2).
    None,
}

/// True if a stream can begin with a request to a server. CONNECT names the host behind a proxy.
#[must_use]
pub fn begins(stream: &[u8]) -> bool {
    target(stream).is_some()
}

/// Reads the host of the request at the beginning of a stream, which may end early.
#[must_use]
pub fn host(stream: &[u8]) -> RequestHost<'_> {
    let stream = stream.get(..MAX_OCTETS).unwrap_or(stream);
    let Some(target) = target(stream) else {
        return RequestHost::None;
    };
    let mut lines = target.split_inclusive(|octet| *octet == b'\n').map(whole);
    match lines.next() {
        Some(Some([.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', _])) => {}
        Some(Some(_)) => return RequestHost::None,
        None | Some(None) => return RequestHost::Continues,
    }
    for line in lines {
        match line {
            None => break,
            Some([]) => return RequestHost::None,
            Some(line) => {
                if let Some((name, value)) = line.split_at_checked(5)
                    && name.eq_ignore_ascii_case(b"host:")
                {
                    return name_of(value.trim_ascii());
                }
            }
        }
    }
    RequestHost::Continues
}

/// What follows the method of a request, if it is the path on a server.
fn target(stream: &[u8]) -> Option<&[u8]> {
    let beginning = stream.get(..=*METHOD_OCTETS.end()).unwrap_or(stream);
    let end = beginning.iter().position(|octet| *octet == b' ')?;
    let (method, rest) = stream.split_at_checked(end)?;
    let is_method = METHOD_OCTETS.contains(&end)
        && method
            .iter()
            .all(|octet| matches!(octet, b'A'..=b'Z' | b'-' | b'_'));
    let target = rest.strip_prefix(b" ")?;
    (is_method && matches!(target, [b'/' | b'*', ..])).then_some(target)
}

/// A line without its end, which may lack the CR (RFC 9112 §2.2). `None` if it continues.
fn whole(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// A host without its port. None for an IPv6 address.
fn name_of(host: &[u8]) -> RequestHost<'_> {
    match host.split(|octet| *octet == b':').next() {
        Some(name @ [first, ..]) if *first != b'[' => RequestHost::Named(name),
        _ => RequestHost::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_request_is_found_without_its_port() {
        for (request, wanted) in [
            (
                "GET / HTTP/1.1\r\nHost: api.example.org\r\n\r\n",
                "api.example.org",
            ),
            (
                "POST /a?b HTTP/1.0\r\nAccept: */*\r\nhOST:a.test:8080\r\n",
                "a.test",
            ),
            ("OPTIONS * HTTP/1.1\r\nA:b\r\nHost:  a.test \r\n", "a.test"),
            ("PROPFIND / HTTP/1.1\r\nHost: a.test\r\n\r\n", "a.test"),
            ("VERSION-CONTROL /a HTTP/1.1\r\nHost: a.test\r\n", "a.test"),
            ("RPC_IN_DATA /a HTTP/1.1\r\nHost: a.test\r\n", "a.test"),
            ("GET / HTTP/1.1\nHost: a.test\n", "a.test"),
        ] {
            let found = host(request.as_bytes());
            assert_eq!(found, RequestHost::Named(wanted.as_bytes()), "{request}");
        }
    }

    #[test]
    fn a_head_without_a_host_continues_until_its_end() {
        let head = b"POST /a HTTP/1.1\r\nAccept: */*\r\nHost: a.test\r\n";
        for end in 6..head.len() {
            assert_eq!(host(&head[..end]), RequestHost::Continues, "{end}");
        }
        assert_eq!(host(head), RequestHost::Named(b"a.test"));
        let far = format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n", "x".repeat(4096));
        assert_eq!(host(far.as_bytes()), RequestHost::Continues);
    }

    #[test]
    fn other_segments_have_no_host() {
        for segment in [
            "",
            "GET",
            "GET ",
            "GET / HTTP/1.1\r\n\r\nHost: body.test\r\n",
            "GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\n",
            "GET / HTTP/1.1\r\nHost: \r\n",
            "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n",
            "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n",
            "GET / SIP/2.0\r\nHost: a.test\r\n",
            "OPTIONS sip:a.test SIP/2.0\r\n",
            "Get / HTTP/1.1\r\nHost: a.test\r\n",
            "AN-UNUSUALLY-LONG-METHOD / HTTP/1.1\r\nHost: a.test\r\n",
            "HTTP/1.1 200 OK\r\nHost: a.test\r\n",
        ] {
            assert_eq!(host(segment.as_bytes()), RequestHost::None, "{segment}");
            assert!(!begins(segment.as_bytes()) || segment.starts_with("GET /"));
        }
    }
}

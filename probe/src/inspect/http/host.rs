//! The host of an HTTP/1 request (RFC 9112 §3.2).

/// Octets of a request that are searched.
const MAX_OCTETS: usize = 4096;

/// Methods of requests whose host is that of the peer. CONNECT names the host behind a proxy.
const METHODS: [&[u8]; 8] = [
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"TRACE ",
];

/// The host of the request at the beginning of a segment, without its port. `None` if there is no
/// request, if it has no host name, or if it is sent to a proxy (RFC 9112 §3.2.2).
#[must_use]
pub fn host(segment: &[u8]) -> Option<&[u8]> {
    let target = METHODS
        .iter()
        .find_map(|method| segment.strip_prefix(*method))?;
    if !matches!(target, [b'/' | b'*', ..]) {
        return None;
    }
    let target = target.get(..MAX_OCTETS).unwrap_or(target);
    let mut lines = target.split(|octet| *octet == b'\n');
    let request = lines.next()?.strip_suffix(b"\r")?;
    if !matches!(request, [.., b'H', b'T', b'T', b'P', b'/', b'1', b'.', _]) {
        return None;
    }
    for line in lines {
        // The last line may be cut.
        let line = line.strip_suffix(b"\r")?;
        if line.is_empty() {
            return None;
        }
        if let Some((name, value)) = line.split_at_checked(5)
            && name.eq_ignore_ascii_case(b"host:")
        {
            return name_of(value.trim_ascii());
        }
    }
    None
}

/// A host without its port. `None` for an IPv6 address.
fn name_of(host: &[u8]) -> Option<&[u8]> {
    let name = host.split(|octet| *octet == b':').next()?;
    (!name.is_empty() && !name.starts_with(b"[")).then_some(name)
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
        ] {
            assert_eq!(
                host(request.as_bytes()),
                Some(wanted.as_bytes()),
                "{request}"
            );
        }
    }

    #[test]
    fn other_segments_have_no_host() {
        for segment in [
            "",
            "GET",
            "GET / HTTP/1.1\r\n\r\nHost: body.test\r\n",
            "GET / HTTP/1.1\r\nHost: cut.te",
            "GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\n",
            "GET / HTTP/1.1\r\nHost: \r\n",
            "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n",
            "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n",
            "GET / SIP/2.0\r\nHost: a.test\r\n",
            "HTTP/1.1 200 OK\r\nHost: a.test\r\n",
        ] {
            assert_eq!(host(segment.as_bytes()), None, "{segment}");
        }
        let far = format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n", "x".repeat(4096));
        assert_eq!(host(far.as_bytes()), None);
    }
}

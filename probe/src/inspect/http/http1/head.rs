//! The head of a message: its first line, and the fields that determine the length of its body.

use flowproto::http::{HttpMethod, HttpVersion};

/// Octets of a method at most.
const MAX_METHOD: usize = 20;

/// What a message has after its head (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::inspect::http) enum Body {
    /// This many octets.
    Octets(u64),
    /// Chunks.
    Chunked,
    /// A response without a length: all until the connection is closed.
    UntilClose,
}

/// The head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::inspect::http) struct RequestHead<'a> {
    pub(in crate::inspect::http) method: HttpMethod,
    pub(in crate::inspect::http) target: &'a [u8],
    pub(in crate::inspect::http) version: HttpVersion,
    pub(in crate::inspect::http) body: Body,
}

/// The head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::inspect::http) struct ResponseHead {
    pub(in crate::inspect::http) status_code: u16,
    pub(in crate::inspect::http) body: Body,
    /// The connection changes to HTTP/2, if the status is 101.
    pub(in crate::inspect::http) is_h2c: bool,
}

/// Length of the head at the beginning of some octets, with the empty line that ends it. `None` if
/// the octets end before.
pub(in crate::inspect::http) fn length(octets: &[u8]) -> Option<usize> {
    let mut is_empty_line = false;
    for (at, octet) in octets.iter().enumerate() {
        match octet {
            b'\n' if is_empty_line => return at.checked_add(1),
            b'\n' => is_empty_line = true,
            b'\r' => {}
            _ => is_empty_line = false,
        }
    }
    None
}

/// True if some octets can be the beginning of a request: a method in upper case.
pub(in crate::inspect::http) fn can_be_request(octets: &[u8]) -> bool {
    let mut methods = octets.splitn(2, |octet| *octet == b' ');
    let method = methods.next().unwrap_or_default();
    let is_whole = methods.next().is_some();
    let minimum = if is_whole { 3 } else { 1 };
    (minimum..=MAX_METHOD).contains(&method.len()) && method.iter().all(u8::is_ascii_uppercase)
}

/// True if some octets can be the beginning of a response.
pub(in crate::inspect::http) fn can_be_response(octets: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"HTTP/1.";
    let length = octets.len().min(BEGINNING.len());
    length > 0 && octets.get(..length) == BEGINNING.get(..length)
}

/// True if some octets begin with a request of HTTP/1, up to the end of its first line.
pub(in crate::inspect::http) fn begins_with_request(octets: &[u8]) -> bool {
    let mut lines = octets.split(|octet| *octet == b'\n');
    can_be_request(octets) && lines.next().and_then(request_line).is_some()
}

/// True if some octets begin with a response of HTTP/1.
pub(in crate::inspect::http) fn begins_with_response(octets: &[u8]) -> bool {
    octets.get(..13).and_then(status_code).is_some()
}

/// Reads the head of a request. `None` if it is invalid.
pub(in crate::inspect::http) fn request(head: &[u8]) -> Option<RequestHead<'_>> {
    let mut lines = lines(head);
    let (method, target, version) = request_line(lines.next()?)?;
    let body = match framing(lines)? {
        Framing::None => Body::Octets(0),
        Framing::Length(octets) => Body::Octets(octets),
        Framing::Chunked => Body::Chunked,
        Framing::Other => return None,
    };
    let method = std::str::from_utf8(method).ok()?;
    Some(RequestHead {
        method: method.parse().unwrap_or_default(),
        target,
        version,
        body,
    })
}

/// Reads the head of a response. `None` if it is invalid.
pub(in crate::inspect::http) fn response(head: &[u8]) -> Option<ResponseHead> {
    let mut lines = lines(head);
    let status_code = status_code(lines.next()?)?;
    let body = match framing(lines)? {
        Framing::None | Framing::Other => Body::UntilClose,
        Framing::Length(octets) => Body::Octets(octets),
        Framing::Chunked => Body::Chunked,
    };
    Some(ResponseHead {
        status_code,
        body,
        is_h2c: status_code == 101 && upgrades_to_http2(head),
    })
}

/// True if a response selects HTTP/2 in clear text (RFC 7540 §3.2).
fn upgrades_to_http2(head: &[u8]) -> bool {
    let mut fields = lines(head).filter_map(split_field);
    fields.any(|(name, value)| {
        name.eq_ignore_ascii_case(b"upgrade") && value.eq_ignore_ascii_case(b"h2c")
    })
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = head.split(|octet| *octet == b'\n');
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Method, target and version.
fn request_line(line: &[u8]) -> Option<(&[u8], &[u8], HttpVersion)> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|octet| *octet == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let version = match version {
        b"HTTP/1.0" => HttpVersion::Http10,
        b"HTTP/1.1" => HttpVersion::Http11,
        _ => return None,
    };
    let is_line = words.next().is_none() && !target.is_empty();
    is_line.then_some((method, target, version))
}

fn status_code(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [_minor, b' ', code @ ..] = rest else {
        return None;
    };
    let (digits, rest) = code.split_first_chunk::<3>()?;
    let is_code = matches!(rest, [] | [b' ', ..]) && digits.iter().all(u8::is_ascii_digit);
    let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (is_code && code >= 100).then_some(code)
}

enum Framing {
    None,
    Length(u64),
    Chunked,
    /// A transfer coding that is not chunked at the end.
    Other,
}

/// The fields about the length. `None` if they contradict each other.
fn framing<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Framing> {
    let (mut coding, mut length) = (None, None);
    for line in lines {
        let Some((name, value)) = split_field(line) else {
            continue;
        };
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(value).ok()?;
            let value = value.parse::<u64>().ok()?;
            if *length.get_or_insert(value) != value {
                return None;
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let last = value.rsplit(|octet| *octet == b',').next()?;
            coding = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
        }
    }
    Some(match (coding, length) {
        (Some(true), _) => Framing::Chunked,
        (Some(false), _) => Framing::Other,
        (None, Some(length)) => Framing::Length(length),
        (None, None) => Framing::None,
    })
}

fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|octet| *octet == b':')?;
    let (name, value) = line.split_at_checked(at)?;
    Some((name, value.get(1..)?.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_ends_with_an_empty_line() {
        assert_eq!(length(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody"), Some(27));
        assert_eq!(length(b"GET / HTTP/1.0\n\nbody"), Some(16));
        assert_eq!(length(b"GET / HTTP/1.1\r\nHost: a\r\n"), None);
        assert_eq!(length(b""), None);
    }

    #[test]
    fn a_request_has_a_body_only_with_a_length() {
        let read = |fields: &str| {
            let head = format!("POST /a?b HTTP/1.1\r\n{fields}\r\n");
            request(head.as_bytes()).map(|head| head.body)
        };
        assert_eq!(read(""), Some(Body::Octets(0)));
        assert_eq!(read("Content-Length: 12\r\n"), Some(Body::Octets(12)));
        assert_eq!(
            read("content-length:12\r\nCONTENT-LENGTH: 12\r\n"),
            Some(Body::Octets(12))
        );
        let both = "Content-Length: 12\r\nTransfer-Encoding: gzip, Chunked\r\n";
        assert_eq!(read(both), Some(Body::Chunked));
        for invalid in [
            "Content-Length: 12\r\nContent-Length: 13\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip\r\n",
        ] {
            assert_eq!(read(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn a_request_has_a_method_a_target_and_a_version() {
        let head = request(b"PATCH /a?b HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!(head.method, HttpMethod::Patch);
        assert_eq!(
            (head.target, head.version),
            (&b"/a?b"[..], HttpVersion::Http10)
        );
        let head = request(b"PROPFIND /a HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(head.method, HttpMethod::Other);
        for invalid in [
            "GET /\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET / b HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(request(invalid.as_bytes()), None, "{invalid}");
        }
    }

    #[test]
    fn a_response_without_a_length_lasts_until_the_end() {
        let read = |text: &str| response(text.as_bytes()).map(|head| (head.status_code, head.body));
        let wanted = Some((200, Body::UntilClose));
        assert_eq!(read("HTTP/1.0 200 OK\r\n\r\n"), wanted);
        assert_eq!(
            read("HTTP/1.1 200\r\nTransfer-Encoding: gzip\r\n\r\n"),
            wanted
        );
        let wanted = Some((404, Body::Octets(0)));
        assert_eq!(
            read("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            wanted
        );
        for invalid in [
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000",
            "HTTP/2 200",
            "HTTP/1.1 099 A",
        ] {
            assert_eq!(read(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn an_upgrade_to_http2_is_recognized() {
        let is_h2c = |head: &str| response(head.as_bytes()).unwrap().is_h2c;
        assert!(is_h2c(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        ));
        assert!(!is_h2c("HTTP/1.1 101 A\r\nUpgrade: websocket\r\n\r\n"));
        assert!(!is_h2c("HTTP/1.1 426 A\r\nUpgrade: h2c\r\n\r\n"));
    }

    #[test]
    fn beginnings_of_messages_are_recognized() {
        for (octets, is_request, is_response) in [
            (&b"GET / HTTP/1.1\r\n"[..], true, false),
            (b"HTTP/1.1 200 OK\r\n", false, true),
            (b"GE / HTTP/1.1\r\n", false, false),
            (b"\x16\x03\x01", false, false),
            (b"get / HTTP/1.1\r\n", false, false),
            (b"GET / HTTP", false, false),
            (b"", false, false),
        ] {
            assert_eq!(begins_with_request(octets), is_request, "{octets:?}");
            assert_eq!(begins_with_response(octets), is_response, "{octets:?}");
        }
        assert!(can_be_request(b"G") && can_be_request(b"POST /very-lo"));
        assert!(can_be_response(b"HT") && !can_be_response(b"") && !can_be_response(b"220 "));
    }
}

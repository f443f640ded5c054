//! The authority of a URL (RFC 3986 §3.2): host and port.

use std::fmt;

/// `HOST:PORT`, with an IPv6 address in brackets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Authority<'a>(pub(super) &'a str, pub(super) u16);

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(host, port) = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_is_in_brackets() {
        for (host, text) in [
            ("broker-0.kafka", "broker-0.kafka:9092"),
            ("192.0.2.7", "192.0.2.7:9092"),
            ("2001:db8::7", "[2001:db8::7]:9092"),
        ] {
            assert_eq!(Authority(host, 9092).to_string(), text);
        }
    }
}

//! Messages of DNS over TCP (RFC 1035 §4.2.2, RFC 7766 §8).

/// The messages in a segment of a stream, each with its length in front (RFC 1035 §4.2.2). The last
/// one may continue in the next segment.
#[derive(Clone, Copy, Debug)]
pub struct StreamMessages<'a>(pub &'a [u8]);

impl<'a> StreamMessages<'a> {
    /// The whole messages, and the octets of the one that continues in the next segment.
    #[must_use]
    pub fn split(self) -> (&'a [u8], &'a [u8]) {
        let mut rest = self.0;
        while let Some(next) = rest.get(StreamMessages(rest).first_octets()..) {
            rest = next;
        }
        let whole = self.0.len().saturating_sub(rest.len());
        self.0.split_at_checked(whole).unwrap_or((self.0, &[]))
    }

    /// Octets of the first message with its length, 2 at least.
    #[must_use]
    pub fn first_octets(self) -> usize {
        let length = self
            .0
            .first_chunk::<2>()
            .map_or(0, |length| u16::from_be_bytes(*length));
        usize::from(length).saturating_add(2)
    }
}

impl<'a> Iterator for StreamMessages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let first_octets = self.first_octets();
        let (first, rest) = self
            .0
            .split_at_checked(first_octets)
            .unwrap_or((self.0, &[]));
        self.0 = rest;
        first.get(2..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_stream_have_their_length_in_front() {
        let stream = b"\0\x03abc\0\0\0\x02de\0\x09fgh";
        let messages: Vec<_> = StreamMessages(stream).collect();
        assert_eq!(messages, [&b"abc"[..], b"", b"de", b"fgh"]);
        assert_eq!(StreamMessages(&[0]).next(), None);
        for (stream, whole, first) in [
            (&stream[..], 11, 5),
            (&stream[..11], 11, 5),
            (&stream[11..], 0, 11),
            (&[0], 0, 2),
            (&[], 0, 2),
        ] {
            let messages = StreamMessages(stream);
            assert_eq!(messages.split(), stream.split_at(whole));
            assert_eq!(messages.first_octets(), first);
        }
    }
}

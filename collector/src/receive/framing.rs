//! Splits the octets of a connection into Messages, by the length in each header (RFC 7011 §10.4).
//!
//! A Message that is complete in the octets just read is handed on in place. Only the beginning of
//! an incomplete one is kept, which is at most 65,535 octets.

use std::ops::ControlFlow;

/// Octets of a Message header (RFC 7011 §3.1).
const HEADER: usize = 16;
/// IPFIX, the only protocol that runs over connections.
const VERSION: u16 = 10;

/// Why octets are not IPFIX Messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// The version number is not that of IPFIX.
    Version,
    /// The length is smaller than that of a header.
    Length,
}

/// The beginning of an incomplete Message.
#[derive(Debug, Default)]
pub struct Framing {
    partial: Vec<u8>,
}

impl Framing {
    /// True if a Message has begun that is not complete.
    #[must_use]
    pub const fn is_incomplete(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Takes the next octets and hands each complete Message to `take`, until that breaks off.
    ///
    /// # Errors
    /// They are not IPFIX. Nothing after that can be read.
    pub fn push<B>(
        &mut self,
        mut octets: &[u8],
        mut take: impl FnMut(&[u8]) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, FramingError> {
        while !octets.is_empty() {
            if self.partial.is_empty() {
                match length(octets)? {
                    Some(length) if length <= octets.len() => {
                        let (message, after) = octets.split_at(length);
                        octets = after;
                        if let ControlFlow::Break(broken) = take(message) {
                            return Ok(ControlFlow::Break(broken));
                        }
                        continue;
                    }
                    _ => {
                        self.partial.extend_from_slice(octets);
                        break;
                    }
                }
            }
            let wanted = length(&self.partial)?.unwrap_or(4);
            let more = wanted.saturating_sub(self.partial.len()).min(octets.len());
            let (more, after) = octets.split_at(more);
            self.partial.extend_from_slice(more);
            octets = after;
            if length(&self.partial)? == Some(self.partial.len()) {
                let taken = take(&self.partial);
                // The memory of a long Message is released.
                self.partial = Vec::new();
                if let ControlFlow::Break(broken) = taken {
                    return Ok(ControlFlow::Break(broken));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The length of the Message that begins with `octets`; `None` if there are too few of them.
fn length(octets: &[u8]) -> Result<Option<usize>, FramingError> {
    match octets {
        [high, low, ..] if u16::from_be_bytes([*high, *low]) != VERSION => {
            Err(FramingError::Version)
        }
        // One octet is enough to recognize other protocols.
        [high, ..] if *high != 0 => Err(FramingError::Version),
        [_, _, high, low, ..] => match usize::from(u16::from_be_bytes([*high, *low])) {
            length if length < HEADER => Err(FramingError::Length),
            length => Ok(Some(length)),
        },
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u16, filler: u8) -> Vec<u8> {
        let mut out = vec![filler; length.into()];
        out[..4].copy_from_slice(&[0, 10, length.to_be_bytes()[0], length.to_be_bytes()[1]]);
        out
    }

    fn pushed(framing: &mut Framing, octets: &[u8]) -> Result<Vec<Vec<u8>>, FramingError> {
        let mut taken = Vec::new();
        let all = framing.push(octets, |message| {
            taken.push(message.to_vec());
            ControlFlow::<()>::Continue(())
        });
        all.map(|_| taken)
    }

    #[test]
    fn messages_are_complete_however_the_octets_are_split() {
        let messages = [
            message(16, 1),
            message(65_535, 2),
            message(20, 3),
            message(300, 4),
        ];
        let stream = messages.concat();
        for piece in [1, 2, 3, 7, 16, 100, 65_536, stream.len()] {
            let mut framing = Framing::default();
            let mut taken = Vec::new();
            for octets in stream.chunks(piece) {
                taken.extend(pushed(&mut framing, octets).unwrap());
            }
            assert_eq!(taken, messages, "pieces of {piece}");
            assert!(!framing.is_incomplete());
        }
    }

    #[test]
    fn other_protocols_are_recognized_by_their_first_octets() {
        for octets in [
            &b"GET / HTTP/1.1"[..],
            &[0, 9],
            &[0, 5, 0, 30],
            &[22],
            &[10],
        ] {
            assert_eq!(
                pushed(&mut Framing::default(), octets),
                Err(FramingError::Version)
            );
        }
        for length in [0, 4, 15] {
            let octets = [0, 10, 0, length];
            assert_eq!(
                pushed(&mut Framing::default(), &octets),
                Err(FramingError::Length)
            );
        }
        let mut framing = Framing::default();
        assert_eq!(pushed(&mut framing, &[0]), Ok(vec![]));
        assert!(framing.is_incomplete());
        assert_eq!(pushed(&mut framing, &[11]), Err(FramingError::Version));
    }

    #[test]
    fn no_message_is_taken_after_one_that_broke_off() {
        let stream = [message(16, 1), message(17, 2)].concat();
        let mut taken = 0;
        let broken = Framing::default().push(&stream, |_| {
            taken += 1;
            ControlFlow::Break("malformed")
        });
        assert_eq!((broken, taken), (Ok(ControlFlow::Break("malformed")), 1));
    }
}

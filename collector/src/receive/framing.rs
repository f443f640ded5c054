//! Messages out of the octets of a connection, by the length that each says (RFC 7011 §10.4).
//!
//! What is whole in the octets just read is handed on where it stands; only the beginning of a Message
//! whose end has not come is kept, at most 65,535 octets of it.

use std::ops::ControlFlow;

/// Octets of a Message header (RFC 7011 §3.1).
const HEADER: usize = 16;
/// IPFIX, the only protocol that runs over connections.
const VERSION: u16 = 10;

/// Why octets are no Messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMessage {
    /// Another version number than that of IPFIX.
    Version,
    /// A length that does not hold its own header.
    Length,
}

/// The Message that has begun.
#[derive(Debug, Default)]
pub struct Framing {
    begun: Vec<u8>,
}

impl Framing {
    /// Whether a Message has begun whose end has not come.
    #[must_use]
    pub const fn is_midway(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Takes the octets that came next and hands each whole Message to `take`, until that breaks off.
    ///
    /// # Errors
    /// They are no Messages. Nothing after that can be read.
    pub fn push<B>(
        &mut self,
        mut octets: &[u8],
        mut take: impl FnMut(&[u8]) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, NoMessage> {
        while !octets.is_empty() {
            if self.begun.is_empty() {
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
                        self.begun.extend_from_slice(octets);
                        break;
                    }
                }
            }
            let wanted = length(&self.begun)?.unwrap_or(4);
            let more = wanted.saturating_sub(self.begun.len()).min(octets.len());
            let (more, after) = octets.split_at(more);
            self.begun.extend_from_slice(more);
            octets = after;
            if length(&self.begun)? == Some(self.begun.len()) {
                let taken = take(&self.begun);
                // What a long Message took is given back.
                self.begun = Vec::new();
                if let ControlFlow::Break(broken) = taken {
                    return Ok(ControlFlow::Break(broken));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The length of the Message that begins with `octets`; `None` where they are too few to say it.
fn length(octets: &[u8]) -> Result<Option<usize>, NoMessage> {
    match octets {
        [high, low, ..] if u16::from_be_bytes([*high, *low]) != VERSION => Err(NoMessage::Version),
        // One octet says enough of who does not speak IPFIX at all.
        [high, ..] if *high != 0 => Err(NoMessage::Version),
        [_, _, high, low, ..] => match usize::from(u16::from_be_bytes([*high, *low])) {
            length if length < HEADER => Err(NoMessage::Length),
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

    fn pushed(framing: &mut Framing, octets: &[u8]) -> Result<Vec<Vec<u8>>, NoMessage> {
        let mut taken = Vec::new();
        let all = framing.push(octets, |message| {
            taken.push(message.to_vec());
            ControlFlow::<()>::Continue(())
        });
        all.map(|_| taken)
    }

    #[test]
    fn messages_come_out_whole_however_the_octets_are_cut() {
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
            assert!(!framing.is_midway());
        }
    }

    #[test]
    fn what_is_no_ipfix_is_said_at_the_first_octets() {
        for octets in [
            &b"GET / HTTP/1.1"[..],
            &[0, 9],
            &[0, 5, 0, 30],
            &[22],
            &[10],
        ] {
            assert_eq!(
                pushed(&mut Framing::default(), octets),
                Err(NoMessage::Version)
            );
        }
        for length in [0, 4, 15] {
            let octets = [0, 10, 0, length];
            assert_eq!(
                pushed(&mut Framing::default(), &octets),
                Err(NoMessage::Length)
            );
        }
        let mut framing = Framing::default();
        assert_eq!(pushed(&mut framing, &[0]), Ok(vec![]));
        assert!(framing.is_midway());
        assert_eq!(pushed(&mut framing, &[11]), Err(NoMessage::Version));
    }

    #[test]
    fn no_message_is_taken_after_one_that_broke_it_off() {
        let stream = [message(16, 1), message(17, 2)].concat();
        let mut taken = 0;
        let broken = Framing::default().push(&stream, |_| {
            taken += 1;
            ControlFlow::Break("malformed")
        });
        assert_eq!((broken, taken), (Ok(ControlFlow::Break("malformed")), 1));
    }
}

//! The members of a gzip file (RFC 1952), up to octets 0 with which a medium of fixed blocks may be
//! filled. `gzip -d` ignores these, too.

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::bufread::GzDecoder;

/// The octets of all members.
pub(crate) struct GzipMembers<R>(State<R>);

enum State<R> {
    Member(Box<GzDecoder<R>>),
    /// A member has ended. The flag is set after an octet 0.
    Between(R, bool),
    Ended,
}

impl<R: BufRead> GzipMembers<R> {
    /// Creates a reader of a file that begins with a member.
    pub(crate) fn new(input: R) -> Self {
        Self(State::Member(Box::new(GzDecoder::new(input))))
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        if octets.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.0, State::Ended) {
                State::Member(mut decoder) => {
                    let outcome = decoder.read(octets);
                    if !matches!(outcome, Ok(0)) {
                        self.0 = State::Member(decoder);
                        return outcome;
                    }
                    self.0 = State::Between(decoder.into_inner(), false);
                }
                State::Between(mut input, has_zeros) => {
                    let next = match input.fill_buf() {
                        Ok(next) => next,
                        Err(error) => {
                            self.0 = State::Between(input, has_zeros);
                            return Err(error);
                        }
                    };
                    if next.is_empty() {
                        return Ok(0);
                    }
                    let zeros = next.iter().take_while(|octet| **octet == 0).count();
                    if zeros > 0 {
                        input.consume(zeros);
                        self.0 = State::Between(input, true);
                    } else if has_zeros {
                        let message = "other octets follow octets 0 behind the compressed data";
                        return Err(io::Error::new(ErrorKind::InvalidInput, message));
                    } else {
                        *self = Self::new(input);
                    }
                }
                State::Ended => return Ok(0),
            }
        }
    }
}

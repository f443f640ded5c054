//! Buffered reading of a file or a pipe in large blocks.

use std::io::{self, Read};

/// Octets read at once. Larger blocks leave the second-level cache of the processor.
const BLOCK_OCTETS: usize = 256 << 10;

/// The outcome of a request for more octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// There are more octets than before.
    More,
    /// The reader would block: it has no octets now.
    Pending,
    /// The input has ended.
    End,
}

/// Octets that were read and not consumed yet.
#[derive(Debug)]
pub struct BlockReader<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Octets to discard before the next ones.
    skip: u64,
}

impl<R: Read> BlockReader<R> {
    /// Creates a reader that has read nothing.
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; BLOCK_OCTETS],
            start: 0,
            end: 0,
            skip: 0,
        }
    }

    /// The octets that are not consumed yet.
    #[inline]
    pub fn octets(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Consumes octets that were read.
    pub fn consume(&mut self, octets: usize) {
        self.start = self.start.saturating_add(octets).min(self.end);
    }

    /// Discards octets, of which some may not have been read yet.
    pub fn skip(&mut self, octets: u64) {
        self.skip = self.skip.saturating_add(octets);
        self.skip_buffered();
    }

    fn skip_buffered(&mut self) {
        let buffered = self.end.saturating_sub(self.start);
        let skipped = usize::try_from(self.skip).map_or(buffered, |skip| skip.min(buffered));
        self.start = self.start.saturating_add(skipped);
        self.skip = self
            .skip
            .saturating_sub(u64::try_from(skipped).unwrap_or_default());
    }

    /// Reads more octets, into a buffer that has room for at least `needed` in all.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn fill(&mut self, needed: usize) -> io::Result<Fill> {
        loop {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
            if needed > self.buffer.len() {
                self.buffer.resize(needed.next_multiple_of(BLOCK_OCTETS), 0);
            }
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.input.read(free) {
                Ok(0) => return Ok(Fill::End),
                Ok(octets) => {
                    self.end = self.end.saturating_add(octets);
                    self.skip_buffered();
                    if self.start < self.end {
                        return Ok(Fill::More);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Fill::Pending);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// True if octets are left that belong to an incomplete record, or that are to be skipped.
    pub const fn is_truncated(&self) -> bool {
        self.start < self.end || self.skip > 0
    }
}

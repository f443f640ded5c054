//! Buffered reading of a file or a pipe in large blocks.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use kipfix_service::signals::Stop;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Octets read at once. Larger blocks leave the second-level cache of the processor.
const BLOCK_OCTETS: usize = 256 << 10;
/// How long a pipe may be silent before the caller is given a chance to do other work.
const PIPE_TIMEOUT: Duration = Duration::from_millis(200);

/// Where the octets of a savefile come from.
pub(super) enum Input {
    /// A regular file.
    File(File),
    /// A pipe, a device or a terminal, which may block. Reading ends at the stop.
    Pipe(File, Stop),
    /// Any other reader that does not block, such as octets in memory.
    Reader(Box<dyn Read + Send>),
}

/// The outcome of a request for more octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// There are more octets than before.
    More,
    /// A pipe has no octets now.
    Pending,
    /// The input has ended.
    End,
}

/// Octets that were read and not consumed yet.
pub(super) struct BlockReader {
    input: Input,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Octets to discard before the next ones.
    skip: u64,
}

impl BlockReader {
    pub(super) fn new(input: Input) -> Self {
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
    pub(super) fn octets(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Consumes octets that were read.
    pub(super) fn consume(&mut self, octets: usize) {
        self.start = self.start.saturating_add(octets).min(self.end);
    }

    /// Discards octets, of which some may not have been read yet.
    pub(super) fn skip(&mut self, octets: u64) {
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
    pub(super) fn fill(&mut self, needed: usize) -> io::Result<Fill> {
        loop {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
            if needed > self.buffer.len() {
                self.buffer.resize(needed.next_multiple_of(BLOCK_OCTETS), 0);
            }
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            let read = match &mut self.input {
                Input::File(file) => file.read(free),
                Input::Reader(reader) => reader.read(free),
                Input::Pipe(file, stop) => match wait(file, stop)? {
                    Fill::More => file.read(free),
                    other => return Ok(other),
                },
            };
            match read {
                Ok(0) => return Ok(Fill::End),
                Ok(octets) => {
                    self.end = self.end.saturating_add(octets);
                    self.skip_buffered();
                    if self.start < self.end {
                        return Ok(Fill::More);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// True if a pipe is not to be read any further.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(&self.input, Input::Pipe(_, stop) if stop.is_set())
    }

    /// True if octets are left that belong to an incomplete record, or that are to be skipped.
    pub(super) const fn is_truncated(&self) -> bool {
        self.start < self.end || self.skip > 0
    }
}

/// Waits until a pipe has octets, the stop, or the timeout.
fn wait(file: &File, stop: &Stop) -> io::Result<Fill> {
    let mut fds = [
        PollFd::new(file.as_fd(), PollFlags::POLLIN),
        PollFd::new(stop.as_fd(), PollFlags::POLLIN),
    ];
    let timeout = PollTimeout::try_from(PIPE_TIMEOUT).unwrap_or(PollTimeout::MAX);
    let ready = match poll(&mut fds, timeout) {
        Err(nix::errno::Errno::EINTR) => 0,
        outcome => outcome?,
    };
    Ok(if stop.is_set() || ready == 0 {
        Fill::Pending
    } else {
        Fill::More
    })
}

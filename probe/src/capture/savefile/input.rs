//! Where the octets of a savefile come from.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use kipfix_service::signals::Stop;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long a pipe may be silent before the caller is given a chance to do other work.
const PIPE_TIMEOUT: Duration = Duration::from_millis(200);

/// The input of a savefile.
pub(super) enum Input {
    /// A regular file.
    File(File),
    /// A pipe, a device or a terminal. A read that would block for long returns an error of that kind,
    /// as does any at the stop.
    Pipe(File, Stop),
    /// Any other reader that does not block, such as octets in memory.
    Reader(Box<dyn Read + Send>),
}

impl Read for Input {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(octets),
            Self::Reader(reader) => reader.read(octets),
            Self::Pipe(file, stop) if is_ready(file, stop)? => file.read(octets),
            Self::Pipe(..) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// Waits until a pipe has octets, the stop, or the timeout. True if the pipe can be read.
fn is_ready(file: &File, stop: &Stop) -> io::Result<bool> {
    let mut fds = [
        PollFd::new(file.as_fd(), PollFlags::POLLIN),
        PollFd::new(stop.as_fd(), PollFlags::POLLIN),
    ];
    let timeout = PollTimeout::try_from(PIPE_TIMEOUT).unwrap_or(PollTimeout::MAX);
    let ready = match poll(&mut fds, timeout) {
        Err(nix::errno::Errno::EINTR) => 0,
        outcome => outcome?,
    };
    Ok(ready != 0 && !stop.is_set())
}

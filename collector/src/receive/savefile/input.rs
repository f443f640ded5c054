//! The octets of a savefile.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use kipfix_savefile::{BlockReader, Fill};
use kipfix_service::signals::Stop;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::SavefileError;

/// A pipe or device that ends at the stop.
pub(super) struct UntilStop {
    pub(super) file: File,
    pub(super) stop: Stop,
}

impl Read for UntilStop {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let mut descriptors = [
            PollFd::new(self.file.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.stop.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut descriptors, PollTimeout::NONE)?;
        if self.stop.is_set() {
            return Ok(0);
        }
        self.file.read(octets)
    }
}

/// Reads until there are `needed` octets of `what`. False if the input ends before them.
///
/// # Errors
/// The input cannot be read, or ends within them.
pub(super) fn fill(
    reader: &mut BlockReader<impl Read>,
    needed: usize,
    what: &'static str,
) -> Result<bool, SavefileError> {
    while reader.octets().len() < needed {
        match reader.fill(needed)? {
            Fill::More => {}
            Fill::Pending => return Err(io::Error::from(io::ErrorKind::WouldBlock).into()),
            Fill::End if reader.is_truncated() => return Err(SavefileError::Truncated(what)),
            Fill::End => return Ok(false),
        }
    }
    Ok(true)
}

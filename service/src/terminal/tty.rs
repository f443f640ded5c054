//! The terminal: raw mode, the alternate screen, and its size.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::keys::Key;

/// Alternate screen, and no cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// The cursor, and the screen from before.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Size of a terminal that does not report it.
const DEFAULT_SIZE: (usize, usize) = (80, 24);

/// The terminal of the process. It is restored when this is dropped.
#[derive(Debug)]
pub struct Terminal {
    saved: Termios,
    /// Standard input without a buffer, whose content `poll` would not report.
    keys: File,
    /// Octets of keys that were read.
    input: Vec<u8>,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// Standard input or output is not a terminal.
    pub fn open() -> io::Result<Self> {
        let (input, output) = (io::stdin(), io::stdout());
        if !input.is_terminal() || !output.is_terminal() {
            return Err(io::Error::other("stdin and stdout must be a terminal"));
        }
        let saved = tcgetattr(&input)?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(&input, OptionalActions::Now, &raw)?;
        let terminal = Self {
            saved,
            keys: File::from(input.as_fd().try_clone_to_owned()?),
            input: Vec::new(),
        };
        let mut output = output.lock();
        output.write_all(ENTER.as_bytes())?;
        output.flush()?;
        Ok(terminal)
    }

    /// Columns and rows.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            _ => DEFAULT_SIZE,
        }
    }

    /// Shows lines on the whole screen. They are cut at its edges.
    ///
    /// # Errors
    /// The terminal cannot be written.
    pub fn draw(&self, lines: &[String]) -> io::Result<()> {
        let (width, height) = self.size();
        let mut text = String::from("\x1b[H");
        for (at, line) in lines.iter().take(height).enumerate() {
            if at > 0 {
                text.push_str("\r\n");
            }
            let is_heading = at == 1;
            text.push_str(if is_heading { "\x1b[7m" } else { "" });
            text.extend(line.chars().take(width));
            text.push_str(if is_heading {
                "\x1b[0m\x1b[K"
            } else {
                "\x1b[K"
            });
        }
        text.push_str("\x1b[J");
        let mut output = io::stdout().lock();
        output.write_all(text.as_bytes())?;
        output.flush()
    }

    /// Waits for a key.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn key(&mut self, timeout: Duration) -> io::Result<Option<Key>> {
        if let Some(key) = Key::take(&mut self.input) {
            return Ok(Some(key));
        }
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(self.keys.as_fd(), PollFlags::POLLIN)];
        match nix::poll::poll(&mut polled, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut octets = [0; 64];
        let length = self.keys.read(&mut octets)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.input.extend(octets.iter().take(length));
        Ok(Key::take(&mut self.input))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut output = io::stdout().lock();
        output.write_all(LEAVE.as_bytes()).ok();
        output.flush().ok();
        tcsetattr(io::stdin(), OptionalActions::Now, &self.saved).ok();
    }
}

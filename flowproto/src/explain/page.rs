//! The page that is written on: lines of one width of margin, an offset, and an indented text.
//!
//! ```text
//!      64    Record 1: 10.0.0.1:1234 → 10.0.0.2:80 TCP
//! !    80      flowEndMilliseconds  2023-11-14 22:13:19.000
//! ```
//!
//! The margin of a problem is `!` where a rule is broken, `~` where it is only worth knowing.

use std::fmt::Arguments;
use std::io::Write as _;

/// Octets of text that one datagram may become. Records of one octet each would else fill the memory.
const MAX_TEXT: usize = 8 << 20;

/// Text of one datagram.
pub(super) struct Page<'a> {
    out: &'a mut Vec<u8>,
    end: usize,
    is_full: bool,
}

impl<'a> Page<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let end = out.len().saturating_add(MAX_TEXT);
        Self {
            out,
            end,
            is_full: false,
        }
    }

    /// A line without offset.
    pub(super) fn heading(&mut self, text: Arguments<'_>) {
        if self.has_room() {
            drop(writeln!(self.out, "{text}"));
        }
    }

    pub(super) fn line(&mut self, offset: usize, depth: usize, text: Arguments<'_>) {
        self.marked(' ', offset, depth, text);
    }

    pub(super) fn marked(&mut self, mark: char, offset: usize, depth: usize, text: Arguments<'_>) {
        if self.has_room() {
            let indent = depth.saturating_mul(2);
            drop(writeln!(
                self.out,
                "{mark} {offset:>5}  {:indent$}{text}",
                ""
            ));
        }
    }

    /// A line whose text `write` appends behind `name`, which is padded to `width`.
    pub(super) fn field(
        &mut self,
        offset: usize,
        depth: usize,
        (name, width): (&str, usize),
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if self.has_room() {
            let indent = depth.saturating_mul(2);
            drop(write!(
                self.out,
                "  {offset:>5}  {:indent$}{name:<width$}  ",
                ""
            ));
            write(self.out);
            self.out.push(b'\n');
        }
    }

    /// Says once that there is more than is shown.
    fn has_room(&mut self) -> bool {
        if !self.is_full && self.out.len() >= self.end {
            self.is_full = true;
            self.out.extend_from_slice(
                "  …      the rest of this datagram is counted but not shown\n".as_bytes(),
            );
        }
        !self.is_full
    }
}

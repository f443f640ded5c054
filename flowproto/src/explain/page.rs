//! Lines of text: a margin, an octet offset, and an indented text.
//!
//! ```text
//!      64    Record 1: 10.0.0.1:1234 → 10.0.0.2:80 TCP
//! !    80      flowEndMilliseconds  2023-11-14 22:13:19.000
//! ```
//!
//! The margin of a broken rule is `!`, or `~` if it is advice.

use std::fmt::Arguments;
use std::io::Write as _;

/// Maximum number of octets of text for one datagram. Records of one octet each would otherwise
/// fill the memory.
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

    /// A line of `name`, padded to `width`, and what `write` appends.
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

    /// Whether there is room. Writes a note the first time that there is none.
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

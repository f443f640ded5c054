//! Keys, as terminals send them.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A printable character.
    Character(char),
    /// Cursor keys.
    Up,
    /// Cursor keys.
    Down,
    /// Cursor keys.
    Left,
    /// Cursor keys.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// The first line.
    Home,
    /// The last line.
    End,
    /// Tabulator.
    Tab,
    /// Enter.
    Enter,
    /// Backspace.
    Backspace,
    /// Escape.
    Escape,
    /// Ctrl-C or Ctrl-D.
    Interrupt,
}

impl Key {
    /// Removes a key from the front of `octets`. `None` without any. What is not a key is skipped.
    pub fn take(octets: &mut Vec<u8>) -> Option<Self> {
        loop {
            let (key, length) = Self::first(octets)?;
            octets.drain(..length.min(octets.len()));
            if key.is_some() {
                return key;
            }
        }
    }

    fn first(octets: &[u8]) -> Option<(Option<Self>, usize)> {
        let (octet, rest) = octets.split_first()?;
        let key = match octet {
            0x03 | 0x04 => Self::Interrupt,
            b'\t' => Self::Tab,
            b'\r' | b'\n' => Self::Enter,
            0x08 | 0x7f => Self::Backspace,
            0x1b => return Some(Self::sequence(rest)),
            octet if octet.is_ascii_control() => return Some((None, 1)),
            _ => return Some(Self::character(octets)),
        };
        Some((Some(key), 1))
    }

    /// A sequence behind an escape character (ECMA-48).
    fn sequence(rest: &[u8]) -> (Option<Self>, usize) {
        let (b'[' | b'O', parameters) = (match rest.split_first() {
            Some((first, parameters)) => (*first, parameters),
            None => return (Some(Self::Escape), 1),
        }) else {
            return (Some(Self::Escape), 1);
        };
        let is_final = |octet: &u8| (0x40..=0x7e).contains(octet);
        let Some(end) = parameters.iter().position(is_final) else {
            return (None, rest.len().saturating_add(1));
        };
        let length = end.saturating_add(3);
        let key = match parameters.get(..=end) {
            Some(b"A") => Self::Up,
            Some(b"B") => Self::Down,
            Some(b"C") => Self::Right,
            Some(b"D") => Self::Left,
            Some(b"H" | b"1~" | b"7~") => Self::Home,
            Some(b"F" | b"4~" | b"8~") => Self::End,
            Some(b"5~") => Self::PageUp,
            Some(b"6~") => Self::PageDown,
            _ => return (None, length),
        };
        (Some(key), length)
    }

    fn character(octets: &[u8]) -> (Option<Self>, usize) {
        let lengths = 1..=octets.len().min(4);
        let mut texts = lengths.filter_map(|length| {
            let text = std::str::from_utf8(octets.get(..length)?).ok()?;
            Some((text.chars().next().map(Self::Character), length))
        });
        texts.next().unwrap_or((None, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(octets: &[u8]) -> Vec<Key> {
        let mut octets = octets.to_vec();
        std::iter::from_fn(|| Key::take(&mut octets)).collect()
    }

    #[test]
    fn characters_and_sequences_are_keys() {
        use Key::{Character, Down, Escape, Home, Interrupt, PageDown, Tab, Up};
        assert_eq!(keys(b"q/"), [Character('q'), Character('/')]);
        assert_eq!(keys("ö".as_bytes()), [Character('ö')]);
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[6~\x1b[H"),
            [Up, Down, PageDown, Home]
        );
        assert_eq!(keys(b"\x03\t\x1b"), [Interrupt, Tab, Escape]);
    }

    #[test]
    fn what_is_not_a_key_is_skipped() {
        assert_eq!(keys(b"\x1b[1;5Xq"), [Key::Character('q')]);
        assert_eq!(keys(b"\x00\xffq"), [Key::Character('q')]);
        assert_eq!(keys(b"\x1b[999"), []);
        assert_eq!(keys(b""), []);
    }
}

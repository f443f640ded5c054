//! Host names that records carry, each stored once.
//!
//! A name is text from the network. It is checked before it is used: letters, digits, hyphens and
//! underscores in labels of 1–63 octets, 253 octets in total (RFC 1035 §2.3.4), in lower case.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// Maximum number of octets of a name.
pub const MAX_OCTETS: usize = 253;
const MAX_LABEL_OCTETS: usize = 63;
/// Octets that a name takes besides its text: counters, pointers and its place in the table.
const OVERHEAD_OCTETS: usize = 64;

/// A valid host name in lower case, without a dot at the end. Clones share the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Arc<str>);

impl HostName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    #[must_use]
    pub const fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

/// How the name of a responder was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameSource {
    /// The initiator had resolved the name.
    Dns,
    /// The server name of a TLS `ClientHello` (RFC 6066 §3).
    Tls,
    /// The host of an HTTP request (RFC 9110 §7.2).
    Http,
}

/// The name by which the initiator of a conversation reached the responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponderName {
    /// The name.
    pub name: HostName,
    /// How it was observed.
    pub source: NameSource,
}

/// Why a text is not used as a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// It is not a valid host name, or an IP address.
    Invalid,
    /// There is no room for another name.
    NoRoom,
}

/// Host names in use, within a number of octets. Names that nothing else refers to are removed when
/// the room is needed.
#[derive(Debug)]
pub struct HostNames {
    names: HashSet<Arc<str>, RandomState>,
    octets: usize,
    max_octets: usize,
    /// Refusals until the next search for names that are not in use.
    next_search: usize,
}

impl Default for HostNames {
    /// A table of 4 MiB.
    fn default() -> Self {
        Self::new(4 << 20)
    }
}

impl HostNames {
    /// Creates an empty table of at most `max_octets`.
    #[must_use]
    pub fn new(max_octets: usize) -> Self {
        Self {
            names: HashSet::default(),
            octets: 0,
            max_octets,
            next_search: 0,
        }
    }

    /// Returns the name that a text is, in any case and with or without a dot at the end.
    ///
    /// # Errors
    /// The text is not a host name, or there is no room.
    pub fn intern(&mut self, text: &[u8]) -> Result<HostName, NameError> {
        let mut buffer = [0; MAX_OCTETS];
        let text = canonical(text, &mut buffer).ok_or(NameError::Invalid)?;
        if let Some(known) = self.names.get(text) {
            return Ok(HostName(Arc::clone(known)));
        }
        let octets = text.len().saturating_add(OVERHEAD_OCTETS);
        if self.octets.saturating_add(octets) > self.max_octets {
            self.remove_unused();
            if self.octets.saturating_add(octets) > self.max_octets {
                return Err(NameError::NoRoom);
            }
        }
        let name: Arc<str> = text.into();
        self.names.insert(Arc::clone(&name));
        self.octets = self.octets.saturating_add(octets);
        Ok(HostName(name))
    }

    /// Octets of the names.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// Number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True if there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A search that finds little is not repeated for each name that is refused.
    fn remove_unused(&mut self) {
        if self.next_search > 0 {
            self.next_search = self.next_search.saturating_sub(1);
            return;
        }
        let mut octets = 0_usize;
        self.names.retain(|name| {
            let is_used = Arc::strong_count(name) > 1;
            if is_used {
                octets = octets
                    .saturating_add(name.len())
                    .saturating_add(OVERHEAD_OCTETS);
            }
            is_used
        });
        self.octets = octets;
        if octets > self.max_octets.saturating_sub(self.max_octets / 4) {
            self.next_search = self.names.len() / 4;
        }
    }
}

/// Writes the canonical form of a host name into `buffer`. `None` if the text is not one.
fn canonical<'a>(text: &[u8], buffer: &'a mut [u8; MAX_OCTETS]) -> Option<&'a str> {
    let text = text.strip_suffix(b".").unwrap_or(text);
    if text.is_empty() {
        return None;
    }
    let place = buffer.get_mut(..text.len())?;
    let (mut label_octets, mut is_number) = (0_usize, true);
    for (octet, place) in text.iter().zip(place.iter_mut()) {
        match octet {
            b'.' if label_octets == 0 => return None,
            b'.' => (label_octets, is_number) = (0, true),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                label_octets = label_octets.saturating_add(1);
                is_number &= octet.is_ascii_digit();
            }
            _ => return None,
        }
        if label_octets > MAX_LABEL_OCTETS {
            return None;
        }
        *place = octet.to_ascii_lowercase();
    }
    // The last label of an IPv4 address is a number, that of a host name never is.
    if label_octets == 0 || is_number {
        return None;
    }
    std::str::from_utf8(place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_in_one_way() {
        let mut names = HostNames::default();
        let name = names.intern(b"WWW.Example.com.").unwrap();
        assert_eq!(name.as_str(), "www.example.com");
        let again = names.intern(b"www.example.COM").unwrap();
        assert!(Arc::ptr_eq(name.shared(), again.shared()));
        assert_eq!(names.len(), 1);
        for valid in ["a", "xn--bcher-kva.example", "_sip._tcp.x1", "4.3.arpa"] {
            assert_eq!(names.intern(valid.as_bytes()).unwrap().as_str(), valid);
        }
    }

    #[test]
    fn a_text_that_is_not_a_host_name_is_refused() {
        let mut names = HostNames::default();
        let long_label = "a".repeat(64);
        let long_name = "a.".repeat(127) + "a";
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "a\"b",
            "a\nb",
            "b\u{fc}cher.de",
            "*.example.com",
            "10.0.0.1",
            "[::1]",
            "fd00::1",
            &long_label,
            &long_name,
        ] {
            assert_eq!(
                names.intern(text.as_bytes()),
                Err(NameError::Invalid),
                "{text}"
            );
        }
        assert!(names.intern(&[0xff]).is_err());
        let longest = "a.".repeat(126) + "a";
        assert_eq!(names.intern(longest.as_bytes()).unwrap().as_str(), longest);
    }

    #[test]
    fn names_in_use_stay_and_others_make_room() {
        let mut names = HostNames::new(1000);
        let kept: Vec<HostName> = (0..5)
            .map(|n| names.intern(format!("kept-{n}").as_bytes()).unwrap())
            .collect();
        for number in 0..1000 {
            names.intern(format!("name-{number}").as_bytes()).unwrap();
            assert!(names.octets() <= 1000);
        }
        let known = names.intern(b"kept-0").unwrap();
        assert!(Arc::ptr_eq(kept[0].shared(), known.shared()));
    }

    #[test]
    fn a_full_table_refuses_more_names() {
        let mut names = HostNames::new(1000);
        let mut used = Vec::new();
        let refused = loop {
            match names.intern(format!("name-{}", used.len()).as_bytes()) {
                Ok(name) => used.push(name),
                Err(reason) => break reason,
            }
        };
        assert_eq!(refused, NameError::NoRoom);
        assert_eq!(used.len(), 14);
        used.clear();
        let is_taken = |_| names.intern(b"another").is_ok();
        assert!((0..14).any(is_taken));
    }
}

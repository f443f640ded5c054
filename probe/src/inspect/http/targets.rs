//! Request targets as templates: the path without its query, with placeholders for identifiers.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// Different templates that are kept.
const MAX_TEMPLATES: usize = 1024;
/// Octets of a template at most.
const MAX_OCTETS: usize = 128;
/// Segments of a path that are kept. A placeholder stands for the others.
const MAX_SEGMENTS: usize = 8;
/// A longer segment is an identifier.
const MAX_SEGMENT: usize = 40;
/// A segment of hexadecimal digits of at least this length is an identifier.
const MIN_HEXADECIMAL: usize = 8;

const IDENTIFIER: &[u8] = b"{id}";
const REST: &[u8] = b"{rest}";
const OTHER: &str = "other";

/// Templates in use. One that nothing else refers to is removed when the room is needed.
#[derive(Debug)]
pub(super) struct Targets {
    templates: HashSet<Arc<str>, RandomState>,
    other: Arc<str>,
    refused: u64,
    /// Refusals until the next search for templates that are not in use.
    next_search: usize,
}

impl Default for Targets {
    fn default() -> Self {
        Self {
            templates: HashSet::default(),
            other: OTHER.into(),
            refused: 0,
            next_search: 0,
        }
    }
}

impl Targets {
    /// Number of templates.
    pub(super) fn len(&self) -> usize {
        self.templates.len()
    }

    /// Targets for which there was no room.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// The template of a request target (RFC 9112 §3.2).
    pub(super) fn template(&mut self, target: &[u8]) -> Arc<str> {
        let mut buffer = [0; MAX_OCTETS];
        let template = write(path(target), &mut buffer);
        let template = template.and_then(|octets| std::str::from_utf8(octets).ok());
        let Some(template) = template else {
            return Arc::clone(&self.other);
        };
        if let Some(known) = self.templates.get(template) {
            return Arc::clone(known);
        }
        if self.templates.len() >= MAX_TEMPLATES {
            self.remove_unused();
        }
        if self.templates.len() >= MAX_TEMPLATES {
            self.refused = self.refused.saturating_add(1);
            return Arc::clone(&self.other);
        }
        let template: Arc<str> = template.into();
        self.templates.insert(Arc::clone(&template));
        template
    }

    /// A search that finds little is not repeated for each target that is refused.
    fn remove_unused(&mut self) {
        if self.next_search > 0 {
            self.next_search = self.next_search.saturating_sub(1);
            return;
        }
        self.templates
            .retain(|template| Arc::strong_count(template) > 1);
        if self.templates.len() > MAX_TEMPLATES / 4 * 3 {
            self.next_search = MAX_TEMPLATES / 4;
        }
    }
}

/// The path of a target, without a query. Of an absolute form, without scheme and host; of the
/// others (`*`, a host and port), all.
fn path(target: &[u8]) -> &[u8] {
    let end = |octet: &u8| matches!(octet, b'?' | b'#');
    let path = target.split(end).next().unwrap_or_default();
    let separator = path.windows(3).position(|part| part == b"://");
    let Some(host) = separator.and_then(|at| path.get(at.saturating_add(3)..)) else {
        return path;
    };
    if path.starts_with(b"/") {
        return path;
    }
    let slash = host.iter().position(|octet| *octet == b'/');
    slash.and_then(|at| host.get(at..)).unwrap_or(b"/")
}

/// Writes the template of a path. `None` if it is not a path, or too long.
fn write<'a>(path: &[u8], buffer: &'a mut [u8; MAX_OCTETS]) -> Option<&'a [u8]> {
    if path == b"*" {
        return Some(b"*");
    }
    let path = path.strip_prefix(b"/")?;
    let mut length = 0_usize;
    let mut put = |part: &[u8]| {
        let end = length.checked_add(part.len())?;
        buffer.get_mut(length..end)?.copy_from_slice(part);
        length = end;
        Some(())
    };
    for (number, segment) in path.split(|octet| *octet == b'/').enumerate() {
        put(b"/")?;
        if number >= MAX_SEGMENTS {
            put(REST)?;
            break;
        }
        put(if is_identifier(segment) {
            IDENTIFIER
        } else {
            segment
        })?;
    }
    buffer.get(..length)
}

/// True for numbers, UUIDs and other hexadecimal identifiers, long segments, and those with octets
/// that names of resources seldom have, such as addresses of mail.
fn is_identifier(segment: &[u8]) -> bool {
    if segment.len() > MAX_SEGMENT {
        return true;
    }
    let is_plain =
        |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~!$'()*+,;=:{}".contains(octet);
    if !segment.iter().all(is_plain) {
        return true;
    }
    let digits = segment
        .iter()
        .filter(|octet| octet.is_ascii_digit())
        .count();
    let letters = segment
        .iter()
        .filter(|octet| octet.is_ascii_alphabetic())
        .count();
    let is_number = digits > 0 && letters == 0;
    let is_hexadecimal = segment.len() >= MIN_HEXADECIMAL
        && digits > 0
        && segment
            .iter()
            .all(|octet| octet.is_ascii_hexdigit() || *octet == b'-');
    // Identifiers of letters and digits, such as Base64 or ULIDs.
    let is_mixed = segment.len() >= 16 && digits >= 4;
    is_number || is_hexadecimal || is_mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(target: &str) -> String {
        Targets::default().template(target.as_bytes()).to_string()
    }

    #[test]
    fn the_query_is_cut_and_identifiers_have_a_placeholder() {
        for (target, wanted) in [
            ("/", "/"),
            ("/api/v1/orders?id=7&b", "/api/v1/orders"),
            ("/orders/4711/items/3", "/orders/{id}/items/{id}"),
            ("/u/123e4567-e89b-12d3-a456-426614174000", "/u/{id}"),
            ("/blobs/d41d8cd98f00b204e9800998ecf8427e", "/blobs/{id}"),
            ("/s/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/s/{id}"),
            ("/users/a@b.test", "/users/{id}"),
            ("/caf%C3%A9", "/{id}"),
            ("/a//b/", "/a//b/"),
            ("/1.2.3", "/{id}"),
            ("/facade/deadbeef", "/facade/deadbeef"),
            ("http://a.test/b/7?c", "/b/{id}"),
            ("http://a.test?c", "/"),
            ("/p?u=http://a.test/b", "/p"),
            ("/p/http://a.test/b", "/p/http://a.test/b"),
            ("*", "*"),
            ("a.test:443", "other"),
            ("", "other"),
        ] {
            assert_eq!(template(target), wanted, "{target}");
        }
        let long = "x".repeat(41);
        assert_eq!(template(&format!("/a/{long}")), "/a/{id}");
        assert_eq!(
            template("/1/2/3/4/5/6/7/8/9/10"),
            "/{id}".repeat(8) + "/{rest}"
        );
        assert_eq!(
            template(&"/0123456789abcdefghijklmn-opqrstuvwx".repeat(8)),
            "/{id}".repeat(8)
        );
        assert_eq!(template(&"/abcdefghijklmnopqrstuvwxy".repeat(8)), "other");
    }

    #[test]
    fn more_templates_than_fit_are_other() {
        let mut targets = Targets::default();
        let name = |number: usize| {
            let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap());
            format!(
                "/{}{}{}",
                letter(number),
                letter(number / 26),
                letter(number / 676)
            )
        };
        let used: Vec<Arc<str>> = (0..MAX_TEMPLATES)
            .map(|number| targets.template(name(number).as_bytes()))
            .collect();
        assert_eq!(&*targets.template(b"/more"), "other");
        assert_eq!((targets.len(), targets.refused()), (MAX_TEMPLATES, 1));
        assert_eq!(targets.template(name(7).as_bytes()), used[7]);
        drop(used);
        let found = (0..=MAX_TEMPLATES).find(|_| &*targets.template(b"/more") == "/more");
        assert!(found.is_some());
    }
}

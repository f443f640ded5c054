//! Texts that several rows share, each once in memory.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Texts by their number. A text is removed with its last reference, and its number is used again.
#[derive(Debug, Default)]
pub(super) struct FragmentTable {
    fragments: Vec<Fragment>,
    numbers: HashTable<u32>,
    free: Vec<u32>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Fragment {
    text: Box<[u8]>,
    references: u32,
}

impl FragmentTable {
    /// The text of a number.
    #[inline]
    pub(super) fn text(&self, number: u32) -> &[u8] {
        position(number)
            .and_then(|at| self.fragments.get(at))
            .map_or(&[], |fragment| &fragment.text)
    }

    /// The number of a text. `None` if no row has it.
    pub(super) fn find(&self, text: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        let is_same = |number: &u32| self.text(*number) == text;
        self.numbers.find(hash, is_same).copied()
    }

    /// Adds a reference to the text of a number.
    pub(super) fn share(&mut self, number: u32) {
        let fragment = position(number).and_then(|at| self.fragments.get_mut(at));
        if let Some(fragment) = fragment {
            fragment.references = fragment.references.saturating_add(1);
        }
    }

    /// Adds a reference to a text. Returns its number. `None` if there are too many texts.
    pub(super) fn acquire(&mut self, text: &[u8]) -> Option<u32> {
        if let Some(number) = self.find(text) {
            self.share(number);
            return Some(number);
        }
        let new = Fragment {
            text: text.into(),
            references: 1,
        };
        let number = match self.free.pop() {
            Some(number) => {
                *self.fragments.get_mut(position(number)?)? = new;
                number
            }
            None => {
                let number = u32::try_from(self.fragments.len()).ok()?;
                self.fragments.push(new);
                number
            }
        };
        let Self {
            fragments,
            numbers,
            hasher,
            ..
        } = self;
        let hash_of = |number: &u32| {
            let fragment = position(*number).and_then(|at| fragments.get(at));
            fragment.map_or(0, |fragment| hasher.hash_one(&*fragment.text))
        };
        numbers.insert_unique(hasher.hash_one(text), number, hash_of);
        Some(number)
    }

    /// Removes a reference. True if it was the last one.
    pub(super) fn release(&mut self, number: u32) -> bool {
        let fragment = position(number).and_then(|at| self.fragments.get_mut(at));
        let Some(fragment) = fragment else {
            return false;
        };
        fragment.references = fragment.references.saturating_sub(1);
        if fragment.references > 0 {
            return false;
        }
        let text = std::mem::take(&mut fragment.text);
        let hash = self.hasher.hash_one(&*text);
        if let Ok(entry) = self.numbers.find_entry(hash, |other| *other == number) {
            entry.remove();
        }
        self.free.push(number);
        true
    }
}

fn position(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_until_its_last_reference_is_removed() {
        let mut table = FragmentTable::default();
        let a = table.acquire(b"a").unwrap();
        let b = table.acquire(b"b").unwrap();
        assert_eq!(table.acquire(b"a"), Some(a));
        assert_eq!((table.text(a), table.text(b)), (&b"a"[..], &b"b"[..]));
        assert!(!table.release(a));
        assert_eq!(table.find(b"a"), Some(a));
        assert!(table.release(a));
        assert_eq!(table.find(b"a"), None);
        assert_eq!(table.acquire(b"c"), Some(a));
        assert_eq!(table.find(b"b"), Some(b));
    }

    #[test]
    fn many_texts_keep_their_numbers() {
        let mut table = FragmentTable::default();
        let text = |number: u32| number.to_string().into_bytes();
        for number in 0..1000 {
            assert_eq!(table.acquire(&text(number)), Some(number));
        }
        for number in 0..1000 {
            assert_eq!(table.find(&text(number)), Some(number));
        }
    }
}

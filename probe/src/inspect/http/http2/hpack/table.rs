//! The dynamic table (RFC 7541 §2.3.2).

use std::collections::VecDeque;

use super::fields::FieldName;

/// Octets that an entry has besides its name and value (RFC 7541 §4.1).
const ENTRY_OVERHEAD: usize = 32;
/// Octets of values of former entries that are kept, at least, before they are removed.
const MIN_REMOVED: usize = 1024;

/// Lengths of a field, octets. Their sum is the size of its entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSize {
    pub(super) name: usize,
    pub(super) value: usize,
}

impl FieldSize {
    /// The size as the specification counts it.
    pub(super) const fn octets(self) -> usize {
        let octets = self.name.saturating_add(self.value);
        octets.saturating_add(ENTRY_OVERHEAD)
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    name: FieldName,
    size: FieldSize,
    /// Position of its value among all that were ever kept.
    start: u64,
    /// Octets of the value that are kept.
    kept: usize,
}

/// Fields that were sent before. Of fields that are not read, only the lengths are kept.
#[derive(Debug)]
pub(super) struct DynamicTable {
    /// The latest one first.
    entries: VecDeque<Entry>,
    /// Values of the entries, the oldest first.
    values: Vec<u8>,
    /// Position of the first octet of `values`.
    first: u64,
    size: usize,
    max_size: usize,
}

impl DynamicTable {
    pub(super) const fn new(max_size: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            values: Vec::new(),
            first: 0,
            size: 0,
            max_size,
        }
    }

    /// Octets of memory that are in use or kept for later.
    pub(super) fn memory(&self) -> usize {
        let entries = self.entries.capacity().saturating_mul(size_of::<Entry>());
        entries.saturating_add(self.values.capacity())
    }

    /// Sets the maximum size, and removes what exceeds it.
    pub(super) fn set_max_size(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.shrink_to(max_size);
    }

    /// The name of an entry, the lengths, and the value as far as it is kept. Entry 0 is the latest
    /// one.
    pub(super) fn get(&self, number: usize) -> Option<(FieldName, FieldSize, &[u8])> {
        let entry = self.entries.get(number)?;
        let start = usize::try_from(entry.start.checked_sub(self.first)?).ok()?;
        let value = self.values.get(start..start.checked_add(entry.kept)?)?;
        Some((entry.name, entry.size, value))
    }

    /// Adds a field. One that is larger than the table only empties it (RFC 7541 §4.4).
    pub(super) fn insert(&mut self, name: FieldName, size: FieldSize, value: &[u8]) {
        let octets = size.octets();
        let Some(room) = self.max_size.checked_sub(octets) else {
            self.shrink_to(0);
            return;
        };
        self.shrink_to(room);
        let length = u64::try_from(self.values.len()).unwrap_or(u64::MAX);
        self.entries.push_front(Entry {
            name,
            size,
            start: self.first.saturating_add(length),
            kept: value.len(),
        });
        self.values.extend_from_slice(value);
        self.size = self.size.saturating_add(octets);
    }

    fn shrink_to(&mut self, size: usize) {
        if self.size <= size {
            return;
        }
        while self.size > size
            && let Some(removed) = self.entries.pop_back()
        {
            self.size = self.size.saturating_sub(removed.size.octets());
        }
        let end = u64::try_from(self.values.len()).unwrap_or(u64::MAX);
        let end = self.first.saturating_add(end);
        let first = self.entries.back().map_or(end, |oldest| oldest.start);
        let removed = usize::try_from(first.saturating_sub(self.first)).unwrap_or_default();
        let is_worth_it = removed >= MIN_REMOVED.max(self.values.len() / 2);
        if is_worth_it || self.entries.is_empty() {
            self.values.drain(..removed.min(self.values.len()));
            self.first = first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(table: &mut DynamicTable, value: &str) {
        let size = FieldSize {
            name: 5,
            value: value.len(),
        };
        table.insert(FieldName::Path, size, value.as_bytes());
    }

    fn values(table: &DynamicTable) -> Vec<String> {
        let values = (0..).map_while(|number| table.get(number));
        values
            .map(|(_, _, value)| String::from_utf8(value.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn the_oldest_entries_make_room() {
        let mut table = DynamicTable::new(3 * 40);
        for value in ["/aa", "/bb", "/cc", "/dd"] {
            put(&mut table, value);
        }
        assert_eq!(values(&table), ["/dd", "/cc", "/bb"]);
        put(&mut table, &"x".repeat(43));
        assert_eq!(values(&table), [&"x".repeat(43), "/dd"]);
        put(&mut table, &"x".repeat(84));
        assert_eq!(table.get(0), None);
        put(&mut table, "/ee");
        table.set_max_size(39);
        assert_eq!((values(&table).len(), table.size), (0, 0));
    }

    #[test]
    fn the_memory_of_a_table_is_bounded() {
        let mut table = DynamicTable::new(4096);
        for number in 0..100_000 {
            put(&mut table, &"x".repeat(number % 200));
        }
        assert!(table.memory() < 4 * 4096, "{}", table.memory());
        let expected = (99_900..100_000).rev().map(|number| number % 200);
        let found = values(&table);
        let lengths = found.iter().map(String::len);
        assert!(lengths.zip(expected).all(|(found, wanted)| found == wanted));
        assert!(found.len() > 15);
    }
}

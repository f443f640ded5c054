//! Encoded records, one after the other.

use std::ops::Range;

use crate::emit::double_buffer::Batch;

/// An encoded record.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Where it ends in the octets of its chunk.
    pub end: usize,
    /// The hash of its flow, equal for both directions.
    pub flow_hash: u64,
}

/// Where an encoded record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// Its octets among those of its chunk.
    pub octets: Range<usize>,
    /// The hash of its flow, equal for both directions.
    pub flow_hash: u64,
}

/// Encoded records.
#[derive(Debug, Default)]
pub struct Chunk {
    pub(super) octets: Vec<u8>,
    pub(super) entries: Vec<Entry>,
}

impl Chunk {
    /// Octets of all records, without a separator.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The places of all records.
    pub fn places(&self) -> impl Iterator<Item = RecordPlace> {
        let begins = std::iter::once(0).chain(self.entries.iter().map(|entry| entry.end));
        let places = self.entries.iter().zip(begins);
        places.map(|(entry, begin)| RecordPlace {
            octets: begin..entry.end,
            flow_hash: entry.flow_hash,
        })
    }

    /// The record at a place.
    #[must_use]
    pub fn record(&self, place: &RecordPlace) -> &[u8] {
        self.octets.get(place.octets.clone()).unwrap_or_default()
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Ends the record that was appended to the octets.
    pub(super) fn end_record(&mut self, flow_hash: u64) {
        let end = self.octets.len();
        self.entries.push(Entry { end, flow_hash });
    }

    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.entries.clear();
    }
}

impl Batch for Chunk {
    fn len(&self) -> usize {
        self.entries.len()
    }

    /// Octets of memory.
    fn size(&self) -> usize {
        let entries = self.entries.len().saturating_mul(size_of::<Entry>());
        self.octets.len().saturating_add(entries)
    }

    fn append(&mut self, more: &Self, bound: usize) -> usize {
        let begin = self.octets.len();
        let room = bound.saturating_sub(self.size());
        let mut count: usize = 0;
        let mut end = 0;
        for entry in &more.entries {
            let entries = count.saturating_add(1).saturating_mul(size_of::<Entry>());
            if entry.end.saturating_add(entries) > room {
                break;
            }
            count = count.saturating_add(1);
            end = entry.end;
        }
        self.octets
            .extend_from_slice(more.octets.get(..end).unwrap_or_default());
        let entries = more.entries.iter().take(count);
        self.entries.extend(entries.map(|entry| Entry {
            end: entry.end.saturating_add(begin),
            ..*entry
        }));
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(records: &[&str]) -> Chunk {
        let mut chunk = Chunk::default();
        for (record, hash) in records.iter().zip(1..) {
            chunk.octets.extend_from_slice(record.as_bytes());
            chunk.end_record(hash);
        }
        chunk
    }

    #[test]
    fn records_are_appended_whole_within_the_bound() {
        let mut all = Chunk::default();
        let more = chunk(&["one", "", "three"]);
        let entry = size_of::<Entry>();
        assert_eq!(all.append(&more, 5 * entry), 3);
        let left = 5 * entry - all.size();
        assert_eq!(all.append(&more, all.size() + left), 1);
        let records = all
            .places()
            .map(|place| (all.record(&place), place.flow_hash));
        let records: Vec<_> = records.collect();
        let text = |text: &'static str| text.as_bytes();
        assert_eq!(
            records,
            [
                (text("one"), 1),
                (text(""), 2),
                (text("three"), 3),
                (text("one"), 1)
            ]
        );
        assert!(all.size() <= 5 * entry);
    }
}

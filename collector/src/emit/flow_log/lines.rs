//! Complete lines, one after the other.

use crate::emit::double_buffer::Batch;

/// Lines with the end of each.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) text: Vec<u8>,
    /// End of each line in the text.
    pub(super) ends: Vec<usize>,
}

impl Lines {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Octets of the first `count` lines.
    pub(super) fn octets_of(&self, count: usize) -> usize {
        let last = count.checked_sub(1).and_then(|last| self.ends.get(last));
        last.copied().unwrap_or_default()
    }
}

impl Batch for Lines {
    fn len(&self) -> usize {
        self.ends.len()
    }

    /// Octets.
    fn size(&self) -> usize {
        self.text.len()
    }

    fn append(&mut self, more: &Self, bound: usize) -> usize {
        let begin = self.text.len();
        let room = bound.saturating_sub(begin);
        let count = more.ends.partition_point(|end| *end <= room);
        let text = more.text.get(..more.octets_of(count));
        self.text.extend_from_slice(text.unwrap_or_default());
        let ends = more.ends.iter().take(count);
        self.ends.extend(ends.map(|end| end.saturating_add(begin)));
        count
    }
}

//! A table with copy-on-write chunks. A snapshot costs what has changed since the previous one.

use std::sync::Arc;

/// Values in a chunk. A power of two.
const CHUNK_LENGTH: usize = 256;

/// Values by a stable number. Clones share all chunks that have not changed since.
#[derive(Clone, Debug)]
pub(super) struct ChunkedTable<T> {
    chunks: Vec<Arc<[T]>>,
}

impl<T> Default for ChunkedTable<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T: Clone + Default> ChunkedTable<T> {
    /// Returns the value at `number`, or `None` beyond the last chunk.
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let (chunk, place) = split(number);
        self.chunks.get(chunk)?.get(place)
    }

    /// Returns all values in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Returns the value at `number` for a change. Adds default values up to there.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (chunk, place) = split(number);
        while self.chunks.len() <= chunk {
            self.chunks
                .push(Arc::from(vec![T::default(); CHUNK_LENGTH]));
        }
        Arc::make_mut(self.chunks.get_mut(chunk)?).get_mut(place)
    }
}

fn split(number: u32) -> (usize, usize) {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    (number / CHUNK_LENGTH, number % CHUNK_LENGTH)
}

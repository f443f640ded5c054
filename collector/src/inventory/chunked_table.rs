//! A table that grows and changes a chunk at a time, so that a snapshot of it costs what changed since
//! the last one, and not what is in it.

use std::sync::Arc;

/// Values in a chunk, a power of two.
const CHUNK: usize = 256;

/// Values by a number that stays theirs. Its clones share all chunks that did not change since.
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
    /// The value at `number`, if there is room for one.
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let (chunk, place) = split(number);
        self.chunks.get(chunk)?.get(place)
    }

    /// The value at `number`, to be changed; the room for it is made.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (chunk, place) = split(number);
        while self.chunks.len() <= chunk {
            self.chunks.push(Arc::from(vec![T::default(); CHUNK]));
        }
        Arc::make_mut(self.chunks.get_mut(chunk)?).get_mut(place)
    }
}

fn split(number: u32) -> (usize, usize) {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    (number / CHUNK, number % CHUNK)
}

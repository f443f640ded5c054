//! Room for heads and field blocks that are in several segments.

/// Octets of a head or of a field block, at most.
pub(super) const MAX_HEAD: usize = 16 * 1024;
/// Heads that are put together at the same time.
const MAX_HEADS: usize = 256;

/// Room that is used again.
#[derive(Debug, Default)]
pub(super) struct HeadPool {
    free: Vec<Vec<u8>>,
    made: usize,
}

impl HeadPool {
    /// True if half of the room is in use.
    pub(super) fn is_filling(&self) -> bool {
        self.made.saturating_sub(self.free.len()) > MAX_HEADS / 2
    }

    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.free.pop().or_else(|| {
            let has_room = self.made < MAX_HEADS;
            self.made = self.made.saturating_add(usize::from(has_room));
            has_room.then(|| Vec::with_capacity(MAX_HEAD))
        })
    }

    /// Takes back what [`Self::take`] has given. Does nothing for a `Vec` without room.
    pub(super) fn give_back(&mut self, mut head: Vec<u8>) {
        if head.capacity() > 0 {
            head.clear();
            self.free.push(head);
        }
    }
}

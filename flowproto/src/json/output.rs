//! JSON within a limit.

/// Room for the ends of lists that are open when the limit is reached.
const CLOSING_OCTETS: usize = 64;

/// Where JSON is written to. Beyond the limit nothing is written any more, and the structure is
/// closed.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) octets: &'a mut Vec<u8>,
    /// Length of `octets` beyond which nothing is begun.
    end: usize,
    is_full: bool,
}

impl<'a> Output<'a> {
    /// Appends at most `limit` octets.
    pub(super) const fn new(octets: &'a mut Vec<u8>, limit: usize) -> Self {
        let room = limit.saturating_sub(CLOSING_OCTETS);
        Self {
            end: octets.len().saturating_add(room),
            octets,
            is_full: false,
        }
    }

    /// To be called after each part that was written since the length was `before`: takes back one
    /// that is beyond the limit. True if no other part may follow.
    #[inline]
    pub(super) fn is_full(&mut self, before: usize) -> bool {
        let closing = if self.is_full { CLOSING_OCTETS } else { 0 };
        if self.octets.len() > self.end.saturating_add(closing) {
            self.octets.truncate(before);
            self.is_full = true;
        }
        self.is_full
    }

    /// Takes back everything written since the length was `before`.
    pub(super) fn undo(&mut self, before: usize) {
        self.octets.truncate(before);
        self.is_full = false;
    }

    pub(super) const fn is_truncated(&self) -> bool {
        self.is_full
    }
}

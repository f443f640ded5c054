//! Data Sets that arrived before their template: kept within bounds until it comes (RFC 7011 §8.2 leaves
//! that to the Collecting Process).

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::set::Header;

/// What an entry costs beside its octets, so that many small Sets are bounded too.
const OVERHEAD_OCTETS: usize = 128;

/// A Data Set without a template.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) session: usize,
    /// The template that it waits for.
    pub(super) id: u16,
    pub(super) exporter: SocketAddr,
    pub(super) header: Header,
    pub(super) content: Box<[u8]>,
}

/// All that wait, oldest first.
#[derive(Debug)]
pub(super) struct Held {
    queue: VecDeque<(u64, Waiting)>,
    octets: usize,
    max_octets: usize,
    max_milliseconds: u64,
}

impl Held {
    pub(super) const fn new(max_octets: usize, max_milliseconds: u64) -> Self {
        Self {
            queue: VecDeque::new(),
            octets: 0,
            max_octets,
            max_milliseconds,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    /// False where there is no room.
    pub(super) fn keep(&mut self, waiting: Waiting, now_milliseconds: u64) -> bool {
        let octets = self.octets.saturating_add(cost(&waiting));
        if octets > self.max_octets {
            return false;
        }
        self.octets = octets;
        self.queue.push_back((now_milliseconds, waiting));
        true
    }

    /// Takes out the oldest Set that is `ready`.
    pub(super) fn take(&mut self, ready: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        let at = self.queue.iter().position(|(_, waiting)| ready(waiting))?;
        let (_, waiting) = self.queue.remove(at)?;
        self.octets = self.octets.saturating_sub(cost(&waiting));
        Some(waiting)
    }

    /// Drops what waited too long; how many Sets.
    pub(super) fn expire(&mut self, now_milliseconds: u64) -> usize {
        let deadline = now_milliseconds.saturating_sub(self.max_milliseconds);
        let before = self.queue.len();
        while let Some((since, waiting)) = self.queue.front()
            && *since < deadline
        {
            self.octets = self.octets.saturating_sub(cost(waiting));
            self.queue.pop_front();
        }
        before.saturating_sub(self.queue.len())
    }

    /// Drops what waits for a session that is no more; how many Sets.
    pub(super) fn forget(&mut self, session: usize) -> usize {
        let before = self.queue.len();
        self.queue.retain(|(_, waiting)| waiting.session != session);
        self.octets = self.queue.iter().map(|(_, waiting)| cost(waiting)).sum();
        before.saturating_sub(self.queue.len())
    }
}

fn cost(waiting: &Waiting) -> usize {
    waiting.content.len().saturating_add(OVERHEAD_OCTETS)
}

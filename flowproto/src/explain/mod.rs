//! Explain: datagrams → a readable dump of every Message, Set, template and record, with octet offsets,
//! names and units, and what is wrong with them and which rule that breaks.
//!
//! It walks over the octets by itself, because a decoder's business is to get on with what it can use, and
//! this one's to say what it saw. Templates are compiled as the decoder does it. Bounded, and pure as all
//! of this crate: octets and times in, text out.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "offsets are within a datagram, and 64 bits of counters last"
)]

mod header;
mod message;
mod page;
mod problem;
mod records;
mod session;
mod summary;
mod templates;
mod value;

use std::net::SocketAddr;

pub use problem::{Problem, Rule};

use message::Walk;
use session::Sessions;
use summary::Summary;

/// A datagram to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// Who sent it; an unspecified address where nobody knows (a Message of a file).
    pub exporter: SocketAddr,
    /// When, milliseconds since the epoch; `None` where nobody knows.
    pub time_milliseconds: Option<u64>,
    /// Its payload.
    pub octets: &'a [u8],
}

/// Bounds of an [`Explainer`].
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Observation Domains known at once; the one longest silent is forgotten for a new one.
    pub domains: usize,
    /// Templates of one of them.
    pub templates_per_domain: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            domains: 4096,
            templates_per_domain: 4096,
        }
    }
}

/// Explains datagrams one after the other, remembering templates and sequence numbers.
#[derive(Debug)]
pub struct Explainer {
    sessions: Sessions,
    summary: Summary,
    datagrams: u64,
}

impl Explainer {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            sessions: Sessions::new(bounds),
            summary: Summary::default(),
            datagrams: 0,
        }
    }

    /// Appends the dump of one datagram to `out`: some megabytes at the most.
    pub fn explain(&mut self, captured: &Captured<'_>, out: &mut Vec<u8>) {
        self.datagrams += 1;
        self.summary.datagram();
        Walk::new(captured, self.datagrams, &mut self.summary, out).datagram(&mut self.sessions);
    }

    /// Appends what there was from whom, and what was wrong, by problem and exporter.
    pub fn summarize(&self, out: &mut Vec<u8>) {
        self.summary.write(out);
    }

    /// How often a problem was seen.
    #[must_use]
    pub fn count(&self, problem: Problem) -> u64 {
        self.summary.count(problem)
    }
}

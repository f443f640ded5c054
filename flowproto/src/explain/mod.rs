//! Explain: datagrams → a readable dump of every Message, Set, template and record, with octet
//! offsets, names and units, and the rules that they break.
//!
//! A Collecting Process decodes the datagrams, and a `printer` observes it. The dump therefore
//! shows what the decoder has read, and what it has made of it. Bounded, and pure as all of this
//! crate.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "offsets are within a datagram, and counters of 64 bits do not overflow"
)]

mod observer;
mod page;
mod printer;
mod records;
mod summary;
mod templates;
mod value;

use std::net::SocketAddr;

pub use crate::rule::{Requirement, Rule};

use crate::collector::{
    AliasPolicy, CollectingProcess, Fields, Limits, Message, RecordSink, SamplingPolicy,
};
use crate::record::FlowRecord;
use crate::wire::fixed::Layouts;
use printer::Printer;
use summary::Summary;

/// How often waits are ended, after a datagram as in the replay of a file.
const EXPIRY_MILLISECONDS: u64 = 1000;

/// A datagram to explain.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// Source of the datagram; the unspecified address for a Message of a file.
    pub exporter: SocketAddr,
    /// Time of capture, milliseconds since the epoch; `None` if unknown.
    pub time_milliseconds: Option<u64>,
    /// Payload.
    pub octets: &'a [u8],
}

/// Bounds of an [`Explainer`].
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// See [`Limits::domains`].
    pub domains: usize,
    /// See [`Limits::templates_per_domain`].
    pub templates_per_domain: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            domains: limits.domains,
            templates_per_domain: limits.templates_per_domain,
        }
    }
}

/// Explains datagrams one after the other.
#[derive(Debug)]
pub struct Explainer {
    process: CollectingProcess,
    alias_policy: AliasPolicy,
    summary: Summary,
    datagrams: u64,
    /// The layouts of versions without templates.
    layouts: Layouts,
    now_milliseconds: u64,
}

impl Explainer {
    /// Creates an explainer without any state.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            process: CollectingProcess::new(Limits {
                domains: bounds.domains,
                templates_per_domain: bounds.templates_per_domain,
                ..Limits::default()
            }),
            alias_policy: AliasPolicy::default(),
            summary: Summary::default(),
            datagrams: 0,
            layouts: Layouts::new(),
            now_milliseconds: 0,
        }
    }

    /// Appends the dump of one datagram to `out`, at most 8 MiB.
    pub fn explain(&mut self, captured: &Captured<'_>, out: &mut Vec<u8>) {
        self.datagrams += 1;
        self.summary.add_datagram();
        let now = captured.time_milliseconds.unwrap_or(self.now_milliseconds);
        let mut printer = Printer::new(captured, self.datagrams, &mut self.summary, out);
        printer.layouts = Some(&self.layouts);
        printer.aliases = self.alias_policy.rule(captured.exporter.ip().into());
        printer.begin();
        self.process.observe(
            captured.exporter,
            captured.octets,
            now,
            &mut NoSink,
            &mut printer,
        );
        printer.end();
        if now.abs_diff(self.now_milliseconds) >= EXPIRY_MILLISECONDS {
            self.now_milliseconds = now;
            self.process.expire(now);
        }
    }

    /// Sets the sampling of exporters whose announcements are wrong or missing.
    pub fn set_sampling_policy(&mut self, policy: SamplingPolicy) {
        self.process.set_sampling_policy(policy);
    }

    /// Sets the elements of exporters that are read as others. To be called before the first
    /// datagram.
    pub fn set_alias_policy(&mut self, policy: AliasPolicy) {
        self.process.set_alias_policy(policy.clone());
        self.alias_policy = policy;
    }

    /// Appends a summary: what each exporter sent, the sampling in force, and which rules it broke.
    pub fn summarize(&self, out: &mut Vec<u8>) {
        self.summary.write(self.process.domains(), out);
    }

    /// Number of times that a rule was broken.
    #[must_use]
    pub fn count(&self, rule: Rule) -> u64 {
        self.summary.count(rule)
    }
}

/// The printer observes the records instead.
struct NoSink;

impl RecordSink for NoSink {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, _: &FlowRecord, _: Fields<'_>) {}
}

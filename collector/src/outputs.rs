//! The sinks of one pipeline, in the order in which they take a record.

use std::net::SocketAddr;

use crate::aggregate::{EdgeSink, EdgeTable, OpenConnectionCounts, OpenEdge};
use crate::clock::Now;
use crate::emit::flow_log::FlowLogSink;
use crate::emit::forward::ForwardSink;
use crate::emit::replicate::ReplicaSink;
use crate::inventory::EndpointId;
use crate::pipeline::{DecidedRecord, Measures, Sinks};
use crate::recent::RecentSink;
use crate::snapshots::Snapshots;

/// Everything that takes records or datagrams of a pipeline.
#[derive(Debug)]
pub struct Outputs {
    /// Counts records.
    pub edges: EdgeSink,
    /// Writes records as lines.
    pub flow_log: Option<FlowLogSink>,
    /// Sends records to other collectors.
    pub forward: Option<ForwardSink>,
    /// Sends datagrams to other collectors.
    pub replicas: Option<ReplicaSink>,
    /// Keeps a sample of records for the API, and passes records to its followers.
    pub recent: Option<RecentSink>,
}

/// Counts of the outputs that belong to one pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputCounts {
    /// Edges in the table.
    pub edges: u64,
    /// Merges of the edge table because it was full.
    pub full_drains: u64,
    /// Open connections, if a family counts them.
    pub open_connections: OpenConnectionCounts,
}

impl OutputCounts {
    /// Adds the counts of another pipeline.
    pub const fn add(&mut self, other: &Self) {
        self.edges = self.edges.saturating_add(other.edges);
        self.full_drains = self.full_drains.saturating_add(other.full_drains);
        self.open_connections.add(&other.open_connections);
    }
}

impl Outputs {
    /// Outputs that only count.
    #[must_use]
    pub const fn new(edges: EdgeSink) -> Self {
        Self {
            edges,
            flow_log: None,
            forward: None,
            replicas: None,
            recent: None,
        }
    }

    /// Exchanges the edge table for an empty one, appends the edges with open connections to
    /// `open`, and returns the counts at that moment.
    pub fn drain(
        &mut self,
        now: Now,
        empty: &mut EdgeTable,
        open: &mut Vec<OpenEdge>,
    ) -> OutputCounts {
        self.edges.read_open_connections(now, open);
        let counts = self.counts();
        self.edges.swap(empty);
        counts
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> OutputCounts {
        OutputCounts {
            edges: u64::try_from(self.edges.edges()).unwrap_or(u64::MAX),
            full_drains: self.edges.full_drains(),
            open_connections: self.edges.open_connections(),
        }
    }

    /// True if the reader of the flow log on stdout has gone.
    #[must_use]
    pub fn is_flow_log_closed(&self) -> bool {
        let flow_log = self.flow_log.as_ref();
        flow_log.is_some_and(FlowLogSink::is_closed)
    }
}

impl Sinks for Outputs {
    #[inline]
    fn need_details(&self) -> bool {
        let (flow_log, recent) = (self.flow_log.as_ref(), self.recent.as_ref());
        self.edges.need_details()
            || flow_log.is_some_and(FlowLogSink::need_details)
            || recent.is_some_and(RecentSink::need_details)
    }

    #[inline]
    fn need_interfaces(&self) -> bool {
        let (flow_log, recent) = (self.flow_log.as_ref(), self.recent.as_ref());
        self.edges.need_interfaces()
            || flow_log.is_some_and(FlowLogSink::need_interfaces)
            || recent.is_some_and(RecentSink::need_details)
    }

    #[inline]
    fn need_health(&self) -> bool {
        let forward = self.forward.as_ref();
        self.edges.need_health() || forward.is_some_and(ForwardSink::need_health)
    }

    #[inline]
    fn need_comparison(&self) -> bool {
        self.edges.need_comparison()
    }

    #[inline]
    fn need_whole_record(&mut self) -> bool {
        let is_recent = self
            .recent
            .as_mut()
            .is_some_and(RecentSink::need_whole_record);
        is_recent || self.flow_log.is_some() || self.forward.is_some()
    }

    #[inline]
    fn need_traffic_only(&self) -> bool {
        self.flow_log.is_none() && self.forward.is_none() && self.edges.need_traffic_only()
    }

    #[inline]
    fn count(&mut self, source: EndpointId, destination: EndpointId, measures: Measures) {
        self.edges.count(source, destination, measures);
    }

    #[inline]
    fn replicate(&mut self, exporter: SocketAddr, octets: &[u8]) {
        if let Some(replicas) = &mut self.replicas {
            replicas.accept(exporter, octets);
        }
    }

    #[inline]
    fn accept(&mut self, record: &DecidedRecord<'_>, snapshots: &Snapshots) {
        self.edges.accept(record);
        if let Some(flow_log) = &mut self.flow_log {
            flow_log.accept(record, snapshots);
        }
        if let Some(forward) = &mut self.forward {
            forward.accept(record, snapshots);
        }
        if let Some(recent) = &mut self.recent {
            recent.accept(record, snapshots);
        }
    }

    #[inline]
    fn end_block(&mut self, snapshots: &Snapshots, now: Now) {
        self.edges.end_block(snapshots, now);
    }

    fn flush(&mut self, now: Now) {
        if let Some(replicas) = &mut self.replicas {
            replicas.flush();
        }
        if let Some(forward) = &mut self.forward {
            forward.flush();
        }
        if let Some(flow_log) = &mut self.flow_log {
            flow_log.flush();
        }
        if let Some(recent) = &mut self.recent {
            recent.flush(now);
        }
    }
}

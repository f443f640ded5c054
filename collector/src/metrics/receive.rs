//! Self-metrics of sockets, connections and savefiles.
//!
//! Identities, true in every scrape:
//!
//! * `connections_accepted_total` = `connections` + Σ `connections_refused_total` +
//!   Σ `connections_closed_total`
//! * datagrams that the kernel handed over = `datagrams_total` + Σ `datagrams_refused_total`
//! * `savefile_frames_total` + Messages of IPFIX files = `savefile_datagrams_total` +
//!   `savefile_fragments_joined_total` + Σ `savefile_skipped_total`, at the end of a file

use enum_map::EnumMap;
use kipfix_service::metric_maker::{MetricMaker, level, raise, raise_by_reason};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::Totals;
use crate::receive::connections::{ConnectionCounts, Ending, Refusal};
use crate::receive::savefile::SkipReason;

/// Counts of sockets and connections that no pipeline has.
#[derive(Clone, Debug, Default)]
pub struct ReceiveCounts {
    /// Connections.
    pub connections: ConnectionCounts,
    /// Datagrams of exporters that may not send.
    pub refused_datagrams: u64,
    /// Successful and failed reads of certificates.
    pub certificate_loads: (u64, u64),
}

#[derive(Debug)]
pub(super) struct ReceiveMetrics {
    kernel_drops: IntCounterVec,
    receive_buffer: IntGaugeVec,
    refused_datagrams: IntCounter,
    connections: IntGauge,
    accepted: IntCounter,
    refused: EnumMap<Refusal, IntCounter>,
    closed: EnumMap<Ending, IntCounter>,
    accept_failures: IntCounter,
    certificates_loaded: IntCounter,
    certificates_failed: IntCounter,
    savefile_frames: IntCounter,
    savefile_datagrams: IntCounter,
    savefile_joined: IntCounter,
    savefile_skipped: EnumMap<SkipReason, IntCounter>,
}

impl ReceiveMetrics {
    pub(super) fn new(make: &MetricMaker) -> prometheus::Result<Self> {
        let loads = make.counters(
            "certificate_loads_total",
            "Reads of the files of a TLS listener; after a failure the previous content stays in use.",
            &["result"],
        )?;
        let refused_datagrams = make.counters(
            "datagrams_refused_total",
            "Datagrams that were not decoded because of their sender.",
            &["reason"],
        )?;
        Ok(Self {
            kernel_drops: make.counters(
                "kernel_drops_total",
                "Datagrams dropped by the kernel because the receive buffer of a socket was full.",
                &["listen"],
            )?,
            receive_buffer: make.gauges(
                "receive_buffer_bytes",
                "Receive buffer of a socket, as granted by the kernel.",
                &["listen"],
            )?,
            refused_datagrams: refused_datagrams.with_label_values(&["not_allowed"]),
            connections: make.gauge("connections", "Open connections.")?,
            accepted: make.counter("connections_accepted_total", "Connections accepted.")?,
            refused: make.by_reason(
                "connections_refused_total",
                "Connections refused or closed before anything of them was decoded.",
            )?,
            closed: make.by_reason(
                "connections_closed_total",
                "Connections that ended after they were accepted for reading.",
            )?,
            accept_failures: make.counter(
                "accept_failures_total",
                "Failed accept(2) calls, e.g. for lack of file descriptors.",
            )?,
            certificates_loaded: loads.with_label_values(&["ok"]),
            certificates_failed: loads.with_label_values(&["failed"]),
            savefile_frames: make.counter("savefile_frames_total", "Frames read from captures.")?,
            savefile_datagrams: make.counter(
                "savefile_datagrams_total",
                "Datagrams of flow export in captures, and Messages read from IPFIX files.",
            )?,
            savefile_joined: make.counter(
                "savefile_fragments_joined_total",
                "Frames of captures with a fragment of a datagram that a later frame completed.",
            )?,
            savefile_skipped: make.by_reason(
                "savefile_skipped_total",
                "Frames of captures without a datagram of flow export, or with a copy of one.",
            )?,
        })
    }

    pub(super) fn publish(&self, totals: &Totals) {
        for (listen, drops, octets) in &totals.sockets {
            raise(&self.kernel_drops.with_label_values(&[listen]), *drops);
            let buffer = self.receive_buffer.with_label_values(&[listen]);
            buffer.set(level(*octets));
        }
        let receive = &totals.receive;
        let connections = &receive.connections;
        self.connections.set(level(connections.open));
        raise(&self.accepted, connections.accepted);
        raise_by_reason(&self.refused, &connections.refused);
        raise_by_reason(&self.closed, &connections.ended);
        raise(&self.accept_failures, connections.accept_failures);
        raise(&self.refused_datagrams, receive.refused_datagrams);
        raise(&self.certificates_loaded, receive.certificate_loads.0);
        raise(&self.certificates_failed, receive.certificate_loads.1);
        raise(&self.savefile_frames, totals.savefile.frames);
        raise(&self.savefile_datagrams, totals.savefile.datagrams);
        raise(&self.savefile_joined, totals.savefile.joined);
        raise_by_reason(&self.savefile_skipped, &totals.savefile.skipped);
    }
}

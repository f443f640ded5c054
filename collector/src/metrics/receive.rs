//! Self-metrics of sockets, connections and savefiles.

use kipfix_service::metric_table::Declarations;

use super::Totals;
use crate::receive::connections::ConnectionCounts;

/// Counts of sockets and connections that no pipeline has.
#[derive(Clone, Debug, Default)]
pub struct ReceiveCounts {
    /// Connections.
    pub connections: ConnectionCounts,
    /// Datagrams of exporters that may not send.
    pub refused_datagrams: u64,
    /// Successful reads of certificates.
    pub certificates_loaded: u64,
    /// Failed ones.
    pub certificates_failed: u64,
}

/// A UDP socket.
#[derive(Clone, Debug, Default)]
pub struct SocketCounts {
    /// The address in `--listen`.
    pub listen: String,
    /// Datagrams that the kernel dropped because its buffer was full.
    pub kernel_drops: u64,
    /// Octets of that buffer.
    pub receive_buffer: u64,
}

pub(super) fn declare(table: &mut Declarations<'_, Totals>) {
    sockets(table);
    connections(table);
    savefiles(table);
}

fn sockets(table: &mut Declarations<'_, Totals>) {
    table.counters(
        "kernel_drops_total",
        "Datagrams dropped by the kernel because the receive buffer of a socket was full.",
        &["listen"],
        |t, add| {
            for socket in &t.sockets {
                add(&[&socket.listen], socket.kernel_drops);
            }
        },
    );
    table.gauges(
        "receive_buffer_bytes",
        "Receive buffer of a socket, as granted by the kernel.",
        &["listen"],
        |t, add| {
            for socket in &t.sockets {
                add(&[&socket.listen], socket.receive_buffer);
            }
        },
    );
    table.counter_of(
        "datagrams_refused_total",
        "Datagrams that were not decoded because of their sender.",
        "reason",
        [("not_allowed", |t| t.receive.refused_datagrams)],
    );
}

fn connections(table: &mut Declarations<'_, Totals>) {
    table.gauge("connections", "Open connections.", |t| {
        t.receive.connections.open
    });
    table.counter("connections_accepted_total", "Connections accepted.", |t| {
        t.receive.connections.accepted
    });
    table.counter_by(
        "connections_refused_total",
        "Connections refused or closed before anything of them was decoded.",
        "reason",
        |t| &t.receive.connections.refused,
    );
    table.counter_by(
        "connections_closed_total",
        "Connections that ended after they were accepted for reading.",
        "reason",
        |t| &t.receive.connections.ended,
    );
    table.counter(
        "accept_failures_total",
        "Failed accept(2) calls, e.g. for lack of file descriptors.",
        |t| t.receive.connections.accept_failures,
    );
    table.counter_of(
        "certificate_loads_total",
        "Reads of the files of a TLS listener; after a failure the previous content stays in use.",
        "result",
        [
            ("ok", |t| t.receive.certificates_loaded),
            ("failed", |t| t.receive.certificates_failed),
        ],
    );
}

fn savefiles(table: &mut Declarations<'_, Totals>) {
    table.counter("savefile_frames_total", "Frames read from captures.", |t| {
        t.savefile.frames
    });
    table.counter(
        "savefile_datagrams_total",
        "Datagrams of flow export in captures, and Messages read from IPFIX files.",
        |t| t.savefile.datagrams,
    );
    table.counter(
        "savefile_fragments_joined_total",
        "Frames of captures with a fragment of a datagram that a later frame completed.",
        |t| t.savefile.joined,
    );
    table.counter_by(
        "savefile_skipped_total",
        "Frames of captures without a datagram of flow export, or with a copy of one.",
        "reason",
        |t| &t.savefile.skipped,
    );
}

//! Segments of a connection into HTTP metering.

use flowproto::FlowKey;
use flowproto::http::HttpHealth;
use flowproto::protocol::TCP;
use kipfix_probe::decode::{PacketInfo, Signal};
use kipfix_probe::inspect::http::{HttpConnections, HttpCounters};

use crate::input::{Chunk, chunks};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Octets that a connection of HTTP/2 may keep: two tables, open requests, segments behind a gap.
const MAX_OCTETS: usize = 2 * (4 * 65_536 + 2 * 256 * 1024) + 65_536;

/// A connection into HTTP metering. State is bounded, responses with a status are at most the
/// requests, and a connection that has ended leaves nothing. A connection of HTTP/2 has the same
/// messages however it is cut into segments. The first octet selects whether it is one; of each
/// chunk, the control octet has the sender, and whether octets before it were lost.
pub(crate) fn http(data: &[u8]) {
    let [modes, data @ ..] = data else {
        return;
    };
    let is_http2 = modes & 1 != 0;
    let whole = meter(data, is_http2, usize::MAX);
    if is_http2 && chunks(data).all(|chunk| lost(chunk) == 0) {
        for octets in [1, 7, 400] {
            assert_eq!(meter(data, is_http2, octets), whole, "cut by {octets}");
        }
    }
}

/// Octets that were lost before a chunk.
fn lost(chunk: Chunk<'_>) -> u32 {
    match chunk.flags() & 6 {
        6 => 10,
        _ => 0,
    }
}

/// A connection that is metered.
struct Connection {
    connections: HttpConnections,
    counts: HttpHealth,
    /// Next sequence numbers of the client and the server.
    next: [u32; 2],
    time_ns: u64,
}

impl Connection {
    fn send(&mut self, is_client: bool, signal: Signal, data: &[u8]) {
        let key = FlowKey {
            source_port: 4000,
            destination_port: 80,
            protocol_identifier: TCP,
            ..FlowKey::default()
        };
        let [client, server] = self.next;
        let packet = PacketInfo {
            key: if is_client { key } else { key.reversed() },
            sequence_number: if is_client { client } else { server },
            acknowledgment_number: if is_client { server } else { client },
            payload_octets: u32::try_from(data.len()).unwrap(),
            signal,
            ..PacketInfo::default()
        };
        self.time_ns += 1000;
        if let Some(messages) = self.connections.observe(&packet, data, self.time_ns) {
            self.counts.add(&messages.counts);
        }
        let begins = matches!(signal, Signal::Open | Signal::Accept);
        self.lose(is_client, packet.payload_octets + u32::from(begins));
        let counters = self.connections.counters();
        assert!(counters.connections <= 1, "{counters:?}");
        assert!(counters.http2_octets <= MAX_OCTETS, "{counters:?}");
    }

    fn lose(&mut self, is_client: bool, octets: u32) {
        let next = &mut self.next[usize::from(!is_client)];
        *next = next.wrapping_add(octets);
    }
}

/// Meters chunks as segments of at most this many octets.
fn meter(data: &[u8], is_http2: bool, octets: usize) -> (HttpHealth, HttpCounters) {
    let mut connection = Connection {
        connections: HttpConnections::default(),
        counts: HttpHealth::default(),
        next: [u32::MAX - 5, 7],
        time_ns: 0,
    };
    connection.send(true, Signal::Open, &[]);
    connection.send(false, Signal::Accept, &[]);
    if is_http2 {
        connection.send(true, Signal::None, PREFACE);
    }
    for chunk in chunks(data) {
        let is_client = chunk.flags() & 1 == 0;
        connection.lose(is_client, lost(chunk));
        for segment in chunk.octets.chunks(octets) {
            connection.send(is_client, Signal::None, segment);
        }
    }
    connection.send(true, Signal::Abort, &[]);
    let counters = connection.connections.counters();
    assert_eq!((counters.connections, counters.http2_connections), (0, 0));
    assert_eq!(counters.http2_octets, 0);
    let mut counts = connection.counts;
    let calls: u32 = counts.grpc.used().iter().sum();
    assert!(calls <= counts.requests, "{counts:?}");
    assert_eq!(counters.requests, u64::from(counts.requests));
    // Times depend on the segments.
    counts.response_time = Default::default();
    (counts, counters)
}

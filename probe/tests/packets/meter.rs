//! A flow cache, its records, and packets of one conversation between a client and a server.
#![allow(dead_code, reason = "test code, of which each test uses a part")]

use flowproto::FlowRecord;
use flowproto::record::{BiflowDirection, FlowEndReason};
use kipfix_probe::cache::{CacheSettings, FlowCache};
use kipfix_probe::capture::frame::ObservationPoint;

use super::*;

pub(crate) const CLIENT: [u8; 4] = [10, 0, 0, 9];
pub(crate) const SERVER: [u8; 4] = [10, 0, 0, 1];
pub(crate) const PORTS: (u16, u16) = (40000, 80);
pub(crate) const FORWARD: bool = true;
pub(crate) const REVERSE: bool = false;

/// Times of tests are relative to this, milliseconds since the epoch.
pub(crate) const BASE: u64 = 1_700_000_000_000;

pub(crate) struct Meter {
    pub(crate) cache: FlowCache,
    pub(crate) records: Records,
    pub(crate) point: ObservationPoint,
}

impl Meter {
    /// A cache that has observed for 100 s, so that it observes the start of conversations.
    pub(crate) fn new(settings: CacheSettings) -> Self {
        let mut meter = Self::just_started(settings);
        meter
            .cache
            .tick((BASE - 100_000) * 1_000_000, &mut meter.records);
        meter
    }

    /// A cache that starts to observe with the first packet.
    pub(crate) fn just_started(settings: CacheSettings) -> Self {
        Self {
            cache: FlowCache::new(settings),
            records: Records::default(),
            point: ObservationPoint::default(),
        }
    }

    /// A packet with this transport header and payload, `ms` after the base.
    pub(crate) fn packet(&mut self, ms: u64, forward: bool, protocol: u8, transport: &[u8]) {
        let (source, destination) = if forward {
            (CLIENT, SERVER)
        } else {
            (SERVER, CLIENT)
        };
        self.ip(ms, &ipv4(protocol, source, destination, transport));
    }

    /// An IPv4 packet.
    pub(crate) fn ip(&mut self, ms: u64, packet: &[u8]) {
        self.frame(ms, &ethernet(0x0800, packet));
    }

    /// An Ethernet frame.
    pub(crate) fn frame(&mut self, ms: u64, frame: &[u8]) {
        self.frame_at((BASE + ms) * 1_000_000, frame);
    }

    /// An Ethernet frame at a time since the epoch.
    pub(crate) fn frame_at(&mut self, time_ns: u64, frame: &[u8]) {
        let info = decoded(frame).unwrap();
        self.cache
            .meter(&info, self.point, time_ns, &mut self.records);
    }

    pub(crate) fn tcp(&mut self, ms: u64, forward: bool, sequence: u32, flags: u8) {
        let ports = if forward { PORTS } else { (PORTS.1, PORTS.0) };
        self.packet(ms, forward, 6, &tcp(ports, (sequence, 0), flags, &[]));
    }

    pub(crate) fn udp(&mut self, ms: u64, forward: bool) {
        self.packet(ms, forward, 17, &datagram(forward));
    }

    pub(crate) fn handshake(&mut self, ms: u64, sequence: u32) {
        self.tcp(ms, FORWARD, sequence, SYN);
        let answer = tcp((PORTS.1, PORTS.0), (9000, sequence + 1), SYN | ACK, &[]);
        self.packet(ms + 1, REVERSE, 6, &answer);
        self.tcp(ms + 2, FORWARD, sequence + 1, ACK);
    }

    pub(crate) fn close(&mut self, ms: u64) {
        self.tcp(ms, FORWARD, 5, FIN | ACK);
        self.tcp(ms + 1, REVERSE, 6, FIN | ACK);
        self.tcp(ms + 2, FORWARD, 7, ACK);
    }

    pub(crate) fn tick(&mut self, ms: u64) {
        self.cache.tick((BASE + ms) * 1_000_000, &mut self.records);
    }

    /// The records so far, as [`Summary`].
    pub(crate) fn take(&mut self) -> Vec<Summary> {
        self.records.0.drain(..).map(|r| summary(&r)).collect()
    }

    pub(crate) fn finish(mut self) -> Vec<FlowRecord> {
        self.cache.finish(&mut self.records);
        self.records.0
    }
}

/// A UDP header and payload of the conversation.
pub(crate) fn datagram(forward: bool) -> Vec<u8> {
    let ports = if forward { PORTS } else { (PORTS.1, PORTS.0) };
    udp(ports.0, ports.1, b"data")
}

/// Source port, packets, reason, initiator, new connections, duration in seconds.
pub(crate) type Summary = (u16, u64, FlowEndReason, BiflowDirection, u32, u64);

pub(crate) fn summary(record: &FlowRecord) -> Summary {
    (
        record.key.source_port,
        record.packet_delta_count,
        record.flow_end_reason,
        record.biflow_direction.unwrap(),
        record.new_connection_delta_count.unwrap(),
        record.connection_sum_duration_seconds.unwrap(),
    )
}

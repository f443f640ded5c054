//! A pipeline with HTTP metering, and a connection through it.

use std::num::NonZeroUsize;

use flowproto::FlowRecord;
use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::frame::ObservationPoint;
use kipfix_probe::inspect::http::{HttpCounters, UnreadHttp};
use kipfix_probe::pipeline::Pipeline;

use super::*;

pub(crate) const CLIENT: [u8; 4] = [10, 0, 0, 9];
pub(crate) const SERVER: [u8; 4] = [10, 0, 0, 80];
const MILLISECOND: u64 = 1_000_000;

/// A pipeline, and a connection through it.
pub(crate) struct Probe {
    pub(crate) pipeline: Pipeline,
    pub(crate) records: Records,
    pub(crate) time_ns: u64,
    /// Address and port of the client.
    pub(crate) client: [u8; 4],
    pub(crate) port: u16,
    /// Next sequence numbers of the client and the server.
    pub(crate) next: [u32; 2],
    /// Octets of each frame that are captured.
    pub(crate) snaplen: usize,
}

impl Probe {
    pub(crate) fn new() -> Self {
        Self::with(true)
    }

    pub(crate) fn with(is_metered: bool) -> Self {
        Self::with_names(is_metered, 16.try_into().ok())
    }

    pub(crate) fn with_names(is_metered: bool, max_names: Option<NonZeroUsize>) -> Self {
        let mut settings = pipeline_settings(CacheSettings {
            max_names,
            ..cache_settings()
        });
        settings.inspector.http = is_metered;
        Self {
            pipeline: Pipeline::new(settings),
            records: Records::default(),
            time_ns: 1_700_000_000 * SECOND,
            client: CLIENT,
            port: 5000,
            // The sequence numbers wrap.
            next: [u32::MAX - 20, 900],
            snaplen: usize::MAX,
        }
    }

    /// A probe that has observed the handshake.
    pub(crate) fn connected() -> Self {
        let mut probe = Self::new();
        probe.connect();
        probe
    }

    /// Continues with the client number `client`.
    pub(crate) fn set_client(&mut self, client: u16, port: u16) {
        let [high, low] = client.to_be_bytes();
        (self.client, self.port) = ([10, 1, high, low], port);
    }

    pub(crate) fn connect(&mut self) {
        self.segment(true, SYN, &[]);
        self.next[0] = self.next[0].wrapping_add(1);
        self.segment(false, SYN | ACK, &[]);
        self.next[1] = self.next[1].wrapping_add(1);
        self.segment(true, ACK, &[]);
    }

    pub(crate) fn segment(&mut self, is_client: bool, flags: u8, payload: &[u8]) {
        self.segment_at(is_client, self.next, flags, payload);
    }

    /// Sends a segment with these sequence numbers of the client and the server.
    pub(crate) fn segment_at(
        &mut self,
        is_client: bool,
        [client, server]: [u32; 2],
        flags: u8,
        payload: &[u8],
    ) {
        let packet = if is_client {
            let segment = tcp((self.port, 80), (client, server), flags, payload);
            ipv4(6, self.client, SERVER, &segment)
        } else {
            let segment = tcp((80, self.port), (server, client), flags, payload);
            ipv4(6, SERVER, self.client, &segment)
        };
        let octets = ethernet(0x0800, &packet);
        let mut frame = frame(&octets, self.time_ns);
        frame.captured = &octets[..octets.len().min(self.snaplen)];
        let point = ObservationPoint::default();
        self.pipeline.frame(&frame, point, &mut self.records);
    }

    /// Octets that the probe does not observe.
    pub(crate) fn lose(&mut self, is_client: bool, octets: usize) {
        let next = &mut self.next[usize::from(!is_client)];
        *next = next.wrapping_add(u32::try_from(octets).unwrap());
    }

    pub(crate) fn send(&mut self, is_client: bool, payload: &[u8]) {
        self.segment(is_client, ACK, payload);
        self.lose(is_client, payload.len());
    }

    pub(crate) fn request(&mut self, text: &str) {
        self.send(true, text.as_bytes());
    }

    pub(crate) fn response(&mut self, text: &str) {
        self.send(false, text.as_bytes());
    }

    pub(crate) fn wait(&mut self, milliseconds: u64) {
        self.time_ns += milliseconds * MILLISECOND;
    }

    pub(crate) fn counters(&self) -> HttpCounters {
        self.pipeline.counters().http
    }

    pub(crate) fn unread(&self, reason: UnreadHttp) -> u64 {
        self.counters().unread[reason]
    }

    /// All reasons are 0.
    pub(crate) fn has_read_all(&self) -> bool {
        self.counters().unread.values().all(|count| *count == 0)
    }

    pub(crate) fn finish(mut self) -> Vec<FlowRecord> {
        self.pipeline.finish(&mut self.records);
        self.records.0
    }

    /// The only record with HTTP messages.
    pub(crate) fn record(self) -> FlowRecord {
        let mut records = self.finish();
        records.retain(|record| !record.http.is_empty());
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }
}

//! The path of a packet on the metering thread: frame → sampling → decode → exclusion of own export
//! → flow cache → records. One thread owns all of it, so nothing is locked and counts are plain
//! integers.

use std::num::NonZeroUsize;

use flowproto::FlowKey;
use kipfix_export::own_endpoints::OwnEndpoint;

use crate::cache::{CacheCounters, CacheSettings, FlowCache, RecordSink};
use crate::capture::frame::{Frame, ObservationPoint};
use crate::decode::{Decoder, Undecodable};
use crate::sampling::{Sampler, SamplingRatio};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Counts of a pipeline since it started, and its occupancy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PipelineCounters {
    /// Frames received.
    pub frames: u64,
    /// Frames without an IP packet, by [`Undecodable`] in the order of [`Undecodable::ALL`].
    pub undecodable: [u64; Undecodable::ALL.len()],
    /// Packets metered by their outer header because the inner one is not decodable, by reason.
    pub inner_undecodable: [u64; Undecodable::ALL.len()],
    /// Packets of this probe's own export.
    pub own_export: u64,
    /// Packets that the sampling did not select.
    pub not_selected: u64,
    /// Octets on the wire of the frames that could not be decoded.
    pub ignored_octets: u64,
    /// Counts of the flow cache.
    pub cache: CacheCounters,
    /// Later fragments whose first one is not known.
    pub fragment_orphans: u64,
    /// First fragments evicted because the table was full.
    pub fragments_evicted: u64,
    /// Fragmented packets kept now.
    pub fragments: usize,
    /// Conversations in the cache now, without dormant ones.
    pub conversations: u32,
    /// Dormant conversations in the cache now.
    pub dormant: u32,
}

/// Sampler, decoder and flow cache.
#[derive(Debug)]
pub struct Pipeline {
    sampler: Sampler,
    decoder: Decoder,
    own_endpoints: Vec<OwnEndpoint>,
    cache: FlowCache,
    counters: PipelineCounters,
}

impl Pipeline {
    /// Creates an empty pipeline that keeps at most `max_fragments` fragmented packets.
    #[must_use]
    pub fn new(
        settings: CacheSettings,
        max_fragments: NonZeroUsize,
        sampling: SamplingRatio,
    ) -> Self {
        let settings = CacheSettings {
            sampling: sampling.sampling(),
            ..settings
        };
        Self {
            sampler: Sampler::new(sampling),
            decoder: Decoder::new(max_fragments),
            own_endpoints: Vec::new(),
            cache: FlowCache::new(settings),
            counters: PipelineCounters::default(),
        }
    }

    /// Excludes the probe's own export also if a tunnel or an address translation hid it from the
    /// kernel filter.
    pub fn exclude(&mut self, own_endpoints: Vec<OwnEndpoint>) {
        self.own_endpoints = own_endpoints;
    }

    /// Processes one frame.
    #[inline]
    pub fn frame(
        &mut self,
        frame: &Frame<'_>,
        point: ObservationPoint,
        sink: &mut impl RecordSink,
    ) {
        self.counters.frames += 1;
        if !self.sampler.selects() {
            self.counters.not_selected += 1;
            return;
        }
        let packet = match self.decoder.decode(frame) {
            Ok(packet) => packet,
            Err(reason) => {
                count(&mut self.counters.undecodable, reason);
                self.counters.ignored_octets += u64::from(frame.wire_octets);
                // Time advances with every frame.
                self.cache.tick(frame.time_ns, sink);
                return;
            }
        };
        if let Some(reason) = packet.inner_fault {
            count(&mut self.counters.inner_undecodable, reason);
        }
        if matches!(packet.key.protocol_identifier, TCP | UDP) && self.is_own_export(&packet.key) {
            self.counters.own_export += 1;
            return;
        }
        self.cache.meter(&packet, point, frame.time_ns, sink);
    }

    /// True for packets of the probe's own export. Of a TCP connection, both directions are.
    fn is_own_export(&self, key: &FlowKey) -> bool {
        let endpoint = |address, port| OwnEndpoint {
            protocol_identifier: key.protocol_identifier,
            address,
            port,
        };
        let source = endpoint(key.source_address, key.source_port);
        let destination = endpoint(key.destination_address, key.destination_port);
        self.own_endpoints
            .iter()
            .any(|own| *own == source || (own.protocol_identifier == TCP && *own == destination))
    }

    /// Advances time to `time_ns` since the epoch without a frame.
    pub fn tick(&mut self, time_ns: u64, sink: &mut impl RecordSink) {
        self.cache.tick(time_ns, sink);
    }

    /// Reports all conversations.
    pub fn finish(&mut self, sink: &mut impl RecordSink) {
        self.cache.finish(sink);
    }

    /// Counts so far.
    #[must_use]
    pub fn counters(&self) -> PipelineCounters {
        let fragments = self.decoder.fragments();
        PipelineCounters {
            cache: *self.cache.counters(),
            fragment_orphans: fragments.orphans(),
            fragments_evicted: fragments.evicted(),
            fragments: fragments.len(),
            conversations: self.cache.conversations(),
            dormant: self.cache.dormant(),
            ..self.counters
        }
    }
}

fn count(counts: &mut [u64], reason: Undecodable) {
    if let Some(count) = counts.get_mut(reason.index()) {
        *count += 1;
    }
}

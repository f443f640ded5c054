//! The path of a packet on the metering thread: frame → sampling → decode → exclusion of own export
//! → flow cache → records. One thread owns all of it, so nothing is locked and counts are plain
//! integers.

use flowproto::FlowKey;
use kipfix_export::own_endpoints::OwnEndpoint;

use crate::cache::{CacheCounters, CacheSettings, CapturedPacket, FlowCache, RecordSink};
use crate::capture::frame::{CopyDetection, Frame, ObservationPoint};
use crate::decode::{Decoder, DecoderSettings, Undecodable};
use crate::duplicates::DuplicateFilter;
use crate::sampling::{Sampler, SamplingRatio};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Packets that are metered together. More do not fit in the first-level cache of the processor.
const GROUP_PACKETS: usize = 32;

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
    /// Packets observed again on another interface, which are not metered.
    pub duplicate_packets: u64,
    /// Octets of those packets.
    pub duplicate_octets: u64,
    /// Packets that were forgotten although copies of them could still be observed.
    pub duplicates_evicted: u64,
    /// Packets metered by the length in their header because the savefile has lost the one on the
    /// wire.
    pub wire_length_lost: u64,
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

/// Sampler, decoder, filters and flow cache.
#[derive(Debug)]
pub struct Pipeline {
    sampler: Sampler,
    decoder: Decoder,
    own_endpoints: Vec<OwnEndpoint>,
    duplicates: DuplicateFilter,
    cache: FlowCache,
    /// Places for the packets that are metered together.
    group: Box<[CapturedPacket; GROUP_PACKETS]>,
    /// How many of the places have a packet that is not metered yet.
    waiting: usize,
    counters: PipelineCounters,
}

impl Pipeline {
    /// Creates an empty pipeline.
    #[must_use]
    pub fn new(cache: CacheSettings, decoder: DecoderSettings, sampling: SamplingRatio) -> Self {
        let cache = CacheSettings {
            sampling: sampling.sampling(),
            ..cache
        };
        Self {
            sampler: Sampler::new(sampling),
            decoder: Decoder::new(decoder),
            own_endpoints: Vec::new(),
            duplicates: DuplicateFilter::default(),
            cache: FlowCache::new(cache),
            group: Box::new([CapturedPacket::default(); GROUP_PACKETS]),
            waiting: 0,
            counters: PipelineCounters::default(),
        }
    }

    /// Sets the pairs of interfaces that a packet can pass in the same direction.
    pub fn set_stacked(&mut self, pairs: &[(u32, u32)]) {
        self.duplicates.set_stacked(pairs.iter().copied());
    }

    /// Excludes the probe's own export also if a tunnel or an address translation hid it from the
    /// kernel filter.
    pub fn exclude(&mut self, own_endpoints: Vec<OwnEndpoint>) {
        self.own_endpoints = own_endpoints;
    }

    /// Processes one frame immediately.
    pub fn frame(
        &mut self,
        frame: &Frame<'_>,
        point: ObservationPoint,
        sink: &mut impl RecordSink,
    ) {
        self.enqueue(frame, point, sink);
        self.flush(sink);
    }

    /// Decodes one frame, and meters its packet when there is a group of packets, or with
    /// [`Self::flush`]. Packets of a group wait for memory together, which takes less time.
    #[inline]
    pub fn enqueue(
        &mut self,
        frame: &Frame<'_>,
        point: ObservationPoint,
        sink: &mut impl RecordSink,
    ) {
        self.counters.frames += 1;
        if self.decode(frame, point) {
            self.waiting += 1;
            if self.waiting >= GROUP_PACKETS {
                self.flush(sink);
            }
        }
    }

    /// Meters the packets that wait for a group.
    pub fn flush(&mut self, sink: &mut impl RecordSink) {
        let group = self.group.get(..self.waiting).unwrap_or_default();
        self.cache.meter_all(group, sink);
        self.waiting = 0;
    }

    /// Decodes a frame into the next place of the group. False if it is not metered and does not
    /// advance time, so that the place remains free.
    #[inline]
    fn decode(&mut self, frame: &Frame<'_>, point: ObservationPoint) -> bool {
        let has_copies = point.copies != CopyDetection::Off;
        // Copies would be selected independently of each other, so they are removed first.
        if !has_copies && !is_selected(&mut self.sampler, &mut self.counters) {
            return false;
        }
        let Some(captured) = self.group.get_mut(self.waiting) else {
            return false;
        };
        captured.time_ns = frame.time_ns;
        captured.point = point;
        let packet = &mut captured.packet;
        captured.is_metered = match self.decoder.decode_into(frame, has_copies, packet) {
            Ok(()) => true,
            Err(reason) => {
                count(&mut self.counters.undecodable, reason);
                self.counters.ignored_octets += u64::from(frame.wire_octets);
                // Time advances with every frame.
                false
            }
        };
        if !captured.is_metered {
            return true;
        }
        if let Some(reason) = packet.inner_fault {
            count(&mut self.counters.inner_undecodable, reason);
        }
        if matches!(packet.key.protocol_identifier, TCP | UDP)
            && is_own_export(&self.own_endpoints, &packet.key)
        {
            self.counters.own_export += 1;
            return false;
        }
        if has_copies {
            if self.duplicates.is_duplicate(packet, point, frame.time_ns) {
                self.counters.duplicate_packets += 1;
                self.counters.duplicate_octets += u64::from(packet.octets);
                captured.is_metered = false;
                return true;
            }
            if !is_selected(&mut self.sampler, &mut self.counters) {
                return false;
            }
        }
        self.counters.wire_length_lost += u64::from(packet.is_wire_length_lost);
        true
    }

    /// Advances time to `time_ns` since the epoch without a frame.
    pub fn tick(&mut self, time_ns: u64, sink: &mut impl RecordSink) {
        self.flush(sink);
        self.cache.tick(time_ns, sink);
    }

    /// Reports all conversations.
    pub fn finish(&mut self, sink: &mut impl RecordSink) {
        self.flush(sink);
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
            duplicates_evicted: self.duplicates.evicted(),
            fragments: fragments.len(),
            conversations: self.cache.conversations(),
            dormant: self.cache.dormant(),
            ..self.counters
        }
    }
}

#[inline]
fn is_selected(sampler: &mut Sampler, counters: &mut PipelineCounters) -> bool {
    let is_selected = sampler.selects();
    counters.not_selected += u64::from(!is_selected);
    is_selected
}

/// True for packets of the probe's own export. Of a TCP connection, both directions are.
#[inline]
fn is_own_export(own_endpoints: &[OwnEndpoint], key: &FlowKey) -> bool {
    let endpoint = |address, port| OwnEndpoint {
        protocol_identifier: key.protocol_identifier,
        address,
        port,
    };
    let source = endpoint(key.source_address, key.source_port);
    let destination = endpoint(key.destination_address, key.destination_port);
    own_endpoints
        .iter()
        .any(|own| *own == source || (own.protocol_identifier == TCP && *own == destination))
}

fn count(counts: &mut [u64], reason: Undecodable) {
    if let Some(count) = counts.get_mut(reason.index()) {
        *count += 1;
    }
}

//! The metering thread's path: frame → sampling → decode → own export left out → flow cache → records. Everything here
//! belongs to one thread, so nothing is locked and counts are plain integers.

use std::num::NonZeroUsize;

use flowproto::FlowKey;
use kipfix_export::own_export::OwnEnd;

use crate::cache::{self, CacheSettings, FlowCache, RecordSink, Sighting};
use crate::decode::{FragmentTable, Frame, Undecodable, decode};
use crate::sampling::{Ratio, Sampler};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What a pipeline has counted since it began, and how full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that came in.
    pub frames: u64,
    /// Frames that hold no IP packet, by [`Undecodable`] as in [`Undecodable::ALL`].
    pub undecodable: [u64; Undecodable::ALL.len()],
    /// Packets metered by their outer header, because the inner one could not be used, by reason.
    pub inner_undecodable: [u64; Undecodable::ALL.len()],
    /// Packets of this probe's own export.
    pub own_export: u64,
    /// Packets that the sampling did not select.
    pub not_selected: u64,
    /// Octets on the wire of frames that could not be decoded.
    pub ignored_octets: u64,
    /// What the flow cache counted.
    pub cache: cache::Counters,
    /// Later fragments whose first one was not known.
    pub fragment_orphans: u64,
    /// First fragments forgotten for want of room.
    pub fragments_forgotten: u64,
    /// Fragmented packets remembered now.
    pub fragments: usize,
    /// Conversations in the cache now, those that are quiet not included.
    pub conversations: u32,
    /// Quiet conversations remembered now.
    pub dormant: u32,
}

/// Decoder and flow cache.
#[derive(Debug)]
pub struct Pipeline {
    fragments: FragmentTable,
    cache: FlowCache,
    own_export: Vec<OwnEnd>,
    sampler: Sampler,
    counters: Counters,
}

impl Pipeline {
    /// An empty pipeline that remembers at most `max_fragments` fragmented packets.
    #[must_use]
    pub fn new(settings: CacheSettings, max_fragments: NonZeroUsize, sampling: Ratio) -> Self {
        let settings = CacheSettings {
            sampling: sampling.sampling(),
            ..settings
        };
        Self {
            sampler: Sampler::new(sampling),
            fragments: FragmentTable::new(max_fragments),
            cache: FlowCache::new(settings),
            own_export: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Own ends of this probe's export sessions, left out also where a tunnel or an address
    /// translation hid them from the kernel's filter.
    pub fn leave_out(&mut self, own_export: Vec<OwnEnd>) {
        self.own_export = own_export;
    }

    /// Takes one frame.
    #[inline]
    pub fn frame(&mut self, frame: &Frame<'_>, sighting: Sighting, sink: &mut impl RecordSink) {
        self.counters.frames += 1;
        if !self.sampler.selects() {
            self.counters.not_selected += 1;
            return;
        }
        let packet = match decode(frame, &mut self.fragments) {
            Ok(packet) => packet,
            Err(reason) => {
                count(&mut self.counters.undecodable, reason);
                self.counters.ignored_octets += u64::from(frame.wire_octets);
                // A frame tells the time, whatever else it says.
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
        self.cache.meter(&packet, sighting, frame.time_ns, sink);
    }

    /// Of a connection, the acknowledgements are own export too.
    fn is_own_export(&self, key: &FlowKey) -> bool {
        let end = |address, port| OwnEnd {
            protocol_identifier: key.protocol_identifier,
            address,
            port,
        };
        let source = end(key.source_address, key.source_port);
        let destination = end(key.destination_address, key.destination_port);
        self.own_export
            .iter()
            .any(|own| *own == source || (own.protocol_identifier == TCP && *own == destination))
    }

    /// Lets time pass to `time_ns` since the epoch without a frame.
    pub fn tick(&mut self, time_ns: u64, sink: &mut impl RecordSink) {
        self.cache.tick(time_ns, sink);
    }

    /// Reports everything that is held.
    pub fn finish(&mut self, sink: &mut impl RecordSink) {
        self.cache.finish(sink);
    }

    /// Counts so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            cache: *self.cache.counters(),
            fragment_orphans: self.fragments.orphans(),
            fragments_forgotten: self.fragments.forgotten(),
            fragments: self.fragments.len(),
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

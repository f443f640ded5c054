//! Duplicate observations: a packet that passes several captured interfaces of a node is metered
//! once.
//!
//! The decision is made per packet, not per flow: members of a bond, multipath routes and a route
//! that moves send different packets of one flow over different interfaces, and all of them count.
//! A packet is recognized by its flow key, length, IP identification, and the beginning of its
//! payload. For each such identity, the table counts how often every interface has observed it. A
//! packet is a copy if another interface has observed as many, and if the packet can pass both
//! interfaces: received on one and sent on the other, in a tunnel on one and without it on the
//! other, or stacked interfaces. Otherwise, only packets that are not repeated, and that are
//! observed at nearly the same time, are copies.

use std::hash::BuildHasher as _;

use flowproto::FlowKey;

use crate::capture::frame::{CopyDetection, ObservationPoint};
use crate::decode::{NetworkId, PacketInfo, Repetition};

/// Copies of a packet are observed within this time.
const WINDOW_NS: u64 = 1_000_000_000;
/// Observations within this time are simultaneous: the kernel passes a packet from one interface to
/// the next in less.
const SIMULTANEOUS_NS: u64 = 100_000;
/// The same for octets of a TCP stream. Their retransmission takes longer.
const SIMULTANEOUS_STREAM_NS: u64 = 5_000_000;
/// Identities that one slot of the table holds.
const WAYS: usize = 4;
/// Slots of the table; a power of two.
const SLOTS: usize = 8192;
/// Interfaces that are counted per identity.
const MAX_OBSERVERS: usize = 4;

/// Recognizes duplicate observations.
#[derive(Debug, Default)]
pub struct DuplicateFilter {
    hasher: foldhash::fast::RandomState,
    /// Empty until the first packet of a capture with several interfaces.
    slots: Vec<[Identity; WAYS]>,
    /// Pairs of interfaces, in ascending order, that a packet can pass in the same direction;
    /// `None` if unknown.
    stacked: Option<Vec<(u32, u32)>>,
    evicted: u64,
}

/// A packet, and the interfaces that have observed it.
#[derive(Clone, Copy, Debug, Default)]
struct Identity {
    /// A part of the hash; 0 is unused.
    tag: u32,
    /// Number of valid entries in `observer`.
    observers: u8,
    /// Capture time of the latest observation.
    time_ns: u64,
    observer: [Observer; MAX_OBSERVERS],
}

/// An interface that has observed a packet.
#[derive(Clone, Copy, Debug, Default)]
struct Observer {
    interface: u32,
    count: u8,
    egress: bool,
    network: NetworkId,
}

/// What decides whether two observations are of one packet.
#[derive(Clone, Copy, Debug)]
struct Context<'a> {
    /// Pairs of stacked interfaces; `None` if unknown.
    stacked: Option<&'a [(u32, u32)]>,
    /// Senders repeat packets of these contents.
    is_repeated: bool,
    /// The observations are simultaneous.
    is_simultaneous: bool,
}

impl DuplicateFilter {
    /// Sets the pairs of interfaces that a packet can pass in the same direction, such as a bond
    /// and its members.
    pub fn set_stacked(&mut self, pairs: impl IntoIterator<Item = (u32, u32)>) {
        let ordered = pairs.into_iter().map(|(a, b)| (a.min(b), a.max(b)));
        self.stacked = Some(ordered.collect());
    }

    /// Identities that were evicted although copies of their packet could still be observed.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Records an observation. True if it is a duplicate.
    pub fn is_duplicate(
        &mut self,
        packet: &PacketInfo,
        point: ObservationPoint,
        time_ns: u64,
    ) -> bool {
        if self.slots.is_empty() {
            self.slots = vec![Default::default(); SLOTS];
        }
        let key = (
            packet.key.source_address.bits(),
            packet.key.destination_address.bits(),
            ports(&packet.key),
            packet.octets,
            packet.contents.hash,
        );
        let hash = self.hasher.hash_one(key);
        let [tag, slot] = halves(hash);
        // 0 marks an unused entry.
        let tag = tag | 1;
        let slot = usize::try_from(slot).unwrap_or_default() % SLOTS;
        let Some(slot) = self.slots.get_mut(slot) else {
            return false;
        };
        let is_current = |identity: &Identity| time_ns.abs_diff(identity.time_ns) <= WINDOW_NS;
        let found = slot
            .iter_mut()
            .find(|identity| identity.tag == tag && is_current(identity));
        if let Some(identity) = found {
            let gap_ns = time_ns.abs_diff(identity.time_ns);
            identity.time_ns = time_ns;
            let is_simultaneous = is_simultaneous(packet.contents.repetition, gap_ns);
            let observer = Observer::new(point, packet.network());
            let context = Context {
                stacked: self.stacked.as_deref(),
                is_repeated: packet.contents.repetition == Repetition::Likely,
                is_simultaneous,
            };
            let is_copy = identity.observe(observer, context);
            return is_copy || point.copies == CopyDetection::ByTime && is_simultaneous;
        }
        let oldest = slot.iter_mut().min_by_key(|identity| identity.time_ns);
        if let Some(oldest) = oldest {
            if oldest.tag != 0 && is_current(oldest) {
                self.evicted += 1;
            }
            *oldest = Identity::new(tag, Observer::new(point, packet.network()), time_ns);
        }
        false
    }
}

impl Identity {
    fn new(tag: u32, first: Observer, time_ns: u64) -> Self {
        let mut observer = [Observer::default(); MAX_OBSERVERS];
        observer[0] = first;
        Self {
            tag,
            observers: 1,
            time_ns,
            observer,
        }
    }

    /// Records an observation. True if it is a duplicate.
    fn observe(&mut self, new: Observer, context: Context<'_>) -> bool {
        let known = usize::from(self.observers);
        let can_copy = |a: &Observer, b: &Observer| {
            a.network.is_compatible(b.network) && a.passes_too(b, context)
        };
        let others = || {
            let known = self.observer.iter().take(known);
            known.filter(|other| other.interface != new.interface && can_copy(other, &new))
        };
        // Interfaces that observe different packets, such as the next hops of a multipath route,
        // together observe the packets of an interface before them.
        let together = |one: &Observer| -> u32 {
            let besides = others().filter(|o| o.interface != one.interface && !can_copy(o, one));
            u32::from(one.count) + besides.map(|other| u32::from(other.count)).sum::<u32>()
        };
        let copies = others().map(together).max().unwrap_or(0);
        let mut observers = self.observer.iter_mut();
        let known = observers
            .by_ref()
            .take(known)
            .find(|observer| observer.interface == new.interface);
        let count = match (known, self.observers) {
            (Some(observer), _) => {
                observer.count = observer.count.saturating_add(1);
                observer.count
            }
            (None, free) => match self.observer.get_mut(usize::from(free)) {
                Some(observer) => {
                    *observer = new;
                    self.observers += 1;
                    1
                }
                // More interfaces than are counted: a copy is more likely than a new packet.
                None => return true,
            },
        };
        u32::from(count) <= copies
    }
}

impl Observer {
    fn new(point: ObservationPoint, network: NetworkId) -> Self {
        Self {
            interface: point.interface,
            count: 1,
            egress: point.egress,
            network,
        }
    }

    /// True if a packet that passes one of two interfaces can pass the other one, too.
    fn passes_too(&self, other: &Self, context: Context<'_>) -> bool {
        if self.egress != other.egress || self.network != other.network {
            return true;
        }
        let pair = (
            self.interface.min(other.interface),
            self.interface.max(other.interface),
        );
        match context.stacked {
            Some(stacked) if stacked.contains(&pair) => true,
            // Virtual switches pass packets between interfaces that are not stacked.
            Some(_) => context.is_simultaneous && !context.is_repeated,
            None => context.is_simultaneous,
        }
    }
}

const fn is_simultaneous(repetition: Repetition, gap_ns: u64) -> bool {
    let limit_ns = match repetition {
        Repetition::Likely | Repetition::Unlikely => SIMULTANEOUS_NS,
        Repetition::Retransmission => SIMULTANEOUS_STREAM_NS,
    };
    gap_ns <= limit_ns
}

fn ports(key: &FlowKey) -> u64 {
    u64::from(key.source_port) << 32
        | u64::from(key.destination_port) << 16
        | u64::from(key.protocol_identifier)
}

fn halves(hash: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = hash.to_be_bytes();
    [
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    ]
}

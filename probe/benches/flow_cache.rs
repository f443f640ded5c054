//! The flow cache and the `lru` crate doing the same job: find or make a conversation, update
//! five fields, get the least recently used one back when it is full.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a benchmark, not a library"
)]

use std::hint::black_box;
use std::num::NonZeroUsize;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flowproto::{Address, FlowRecord};
use kipfix_probe::cache::key::ConversationKey;
use kipfix_probe::cache::{CacheSettings, FlowCache, RecordSink};
use kipfix_probe::capture::frame::ObservationPoint;
use kipfix_probe::decode::PacketInfo;
use lru::LruCache;

const CAPACITY: u32 = 65_536;
const PACKETS: u32 = 400_000;

struct Nowhere(u64);

impl RecordSink for Nowhere {
    fn record(&mut self, record: &mut Option<FlowRecord>) {
        self.0 += record
            .as_ref()
            .map_or(0, |record| record.packet_delta_count);
    }
}

/// Packets of `conversations` conversations, drawn evenly or mostly from the first few.
fn packets(conversations: u32, skewed: bool) -> Vec<PacketInfo> {
    let mut state = 0x9e37_79b9_u32;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    (0..PACKETS)
        .map(|_| {
            let mut number = random() % conversations;
            if skewed {
                number = number
                    .min(random() % conversations)
                    .min(random() % conversations);
            }
            let mut packet = PacketInfo {
                octets: 500,
                ..PacketInfo::default()
            };
            packet.key.source_address = Address::from_v4_bits(0x0a00_0000 + (number >> 8));
            packet.key.destination_address = Address::from_v4_bits(0x0a01_0001);
            packet.key.source_port = u16::try_from(number & 0xff).unwrap() + 1000;
            packet.key.destination_port = 443;
            packet.key.protocol_identifier = 17;
            packet
        })
        .collect()
}

fn own(packets: &[PacketInfo]) -> u64 {
    let mut cache = FlowCache::new(CacheSettings {
        max_conversations: CAPACITY,
        idle_timeout_ns: 15_000_000_000,
        active_timeout_ns: 60_000_000_000,
        connection_timeout_ns: 3_600_000_000_000,
        longest_gap_ns: 86_400_000_000_000,
        packet_correction: true,
        tcp_health: true,
        has_interfaces: true,
        biflow: false,
        sampling: kipfix_probe::sampling::SamplingRatio::ALL,
        translations: kipfix_probe::translation::TranslationSource::Off,
        max_names: None,
    });
    let mut sink = Nowhere(0);
    let mut time_ns = 0;
    for packet in packets {
        time_ns += 10_000;
        cache.meter(packet, ObservationPoint::default(), time_ns, &mut sink);
    }
    sink.0
}

#[derive(Default)]
struct Entry {
    octets: u64,
    packets: u64,
    first_ns: u64,
    last_ns: u64,
    tcp_control_bits: u16,
    // What else a conversation keeps.
    _rest: [u64; 20],
}

fn with_lru(packets: &[PacketInfo]) -> u64 {
    let capacity = NonZeroUsize::new(usize::try_from(CAPACITY).unwrap()).unwrap();
    let mut cache: LruCache<ConversationKey, Entry> = LruCache::new(capacity);
    let mut reported = 0;
    let mut time_ns = 0;
    for packet in packets {
        time_ns += 10_000;
        let (key, _) = ConversationKey::of(packet);
        let update = |entry: &mut Entry| {
            entry.octets += u64::from(packet.octets);
            entry.packets += 1;
            entry.last_ns = time_ns;
            entry.tcp_control_bits |= packet.tcp_control_bits;
        };
        if let Some(entry) = cache.get_mut(&key) {
            update(entry);
        } else {
            let mut entry = Entry {
                first_ns: time_ns,
                ..Entry::default()
            };
            update(&mut entry);
            if let Some((_, evicted)) = cache.push(key, entry) {
                reported += evicted.packets + black_box(evicted.first_ns & 1);
            }
        }
    }
    reported
}

fn compare(criterion: &mut Criterion) {
    for (name, conversations, skewed) in [
        ("fits", CAPACITY / 2, false),
        ("skewed, four times too many", CAPACITY * 4, true),
        ("even, four times too many", CAPACITY * 4, false),
    ] {
        let packets = packets(conversations, skewed);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(u64::from(PACKETS)));
        group.sample_size(10);
        group.bench_function("own", |b| {
            b.iter_batched(
                || &packets,
                |packets| black_box(own(packets)),
                BatchSize::LargeInput,
            );
        });
        group.bench_function("lru", |b| {
            b.iter_batched(
                || &packets,
                |packets| black_box(with_lru(packets)),
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, compare);
criterion_main!(benches);

//! Frames of every link type into the Metering Process.

use flowproto::FlowRecord;
use kipfix_probe::cache::{CacheSettings, RecordSink};
use kipfix_probe::capture::frame::{CopyDetection, Frame, LinkType, ObservationPoint};
use kipfix_probe::decode::tunnel_ports::TunnelPorts;
use kipfix_probe::decode::{Decoder, DecoderSettings, PacketContents, PacketInfo};
use kipfix_probe::inspect::InspectorSettings;
use kipfix_probe::pipeline::{Pipeline, PipelineSettings};
use kipfix_probe::translation::TranslationSource;

use crate::decoding::number;
use crate::input::{BEGAN, Chunk, chunks};

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;

/// What a frame can begin with, by its number (<https://www.tcpdump.org/linktypes.html>). Those
/// from 105 on are in savefiles only.
pub(crate) const LINK_TYPES: [i32; 25] = [
    1, 113, 276, 12, 228, 229, 0, 9, 51, 105, 127, 119, 163, 192, 258, 239, 117, 197, 178, 179,
    107, 6, 106, 242, 283,
];

/// Records, added up.
#[derive(Default)]
struct Sums {
    records: u64,
    packets: u64,
    octets: u64,
}

impl RecordSink for Sums {
    fn record(&mut self, record: &mut Option<FlowRecord>) {
        let Some(record) = record else { return };
        assert!(record.packet_delta_count > 0, "{record:?}");
        assert!(record.flow_start_milliseconds <= record.flow_end_milliseconds);
        self.records += 1;
        self.packets += record.packet_delta_count + record.reverse_packet_delta_count;
        self.octets += record.octet_delta_count + record.reverse_octet_delta_count;
    }
}

/// Frames into the decoder and the flow cache. Lengths are within the frame, or within the maximum
/// of the header. Every frame is metered or counted for a reason. The records have all metered
/// packets and octets. Fragments, conversations and names are within their bounds. The first octets
/// select the link type, bounds and modes.
pub(crate) fn packets(data: &[u8]) {
    let [link_type, modes, data @ ..] = data else {
        return;
    };
    let dlt = LINK_TYPES[usize::from(*link_type) % LINK_TYPES.len()];
    let link_type = LinkType::from_dlt(dlt);
    let max_fragments: std::num::NonZeroUsize =
        if modes & 8 == 0 { 64 } else { 2 }.try_into().unwrap();
    let settings = CacheSettings {
        max_conversations: if modes & 1 == 0 { 1000 } else { 2 },
        idle_timeout_ns: 15 * SECOND,
        active_timeout_ns: 60 * SECOND,
        connection_timeout_ns: 3600 * SECOND,
        longest_gap_ns: 86_400 * SECOND,
        packet_correction: modes & 2 != 0,
        tcp_health: modes & 1 != 0,
        has_interfaces: modes & 32 != 0,
        biflow: modes & 4 != 0,
        sampling: if modes & 16 == 0 { "1:1" } else { "1:3" }.parse().unwrap(),
        translations: TranslationSource::Off,
        max_names: (modes & 2 == 0).then_some(max_fragments),
    };
    let decoding = DecoderSettings {
        max_fragments,
        tunnel_ports: TunnelPorts::default(),
        is_before_offload: modes & 64 != 0,
    };
    let mut pipeline = Pipeline::new(PipelineSettings {
        decoder: decoding.clone(),
        inspector: InspectorSettings {
            dns: false,
            http: modes & 4 != 0,
        },
        cache: settings,
    });
    let mut decoders = [(); 2].map(|()| Decoder::new(decoding.clone()));
    let mut sums = Sums::default();
    let (mut time_ns, mut frames) = (BEGAN * MILLISECOND, 0);
    for chunk in chunks(data) {
        time_ns += chunk.step() * MILLISECOND;
        let frame = Frame {
            captured: chunk.octets,
            wire_octets: wire_octets(chunk),
            is_wire_length_lost: chunk.flags() & 8 != 0,
            link_type,
            time_ns,
        };
        check(&frame, &mut decoders);
        let copies = match modes >> 6 {
            0 | 1 => CopyDetection::Off,
            2 => CopyDetection::ByTime,
            _ => CopyDetection::ByInterface,
        };
        let point = ObservationPoint {
            interface: u32::from(chunk.flags() & 1),
            egress: chunk.flags() & 2 != 0,
            mtu: 1500,
            start_ns: 0,
            copies,
        };
        pipeline.frame(&frame, point, &mut sums);
        frames += 1;
        if chunk.flags() & 4 != 0 {
            pipeline.tick(time_ns, &mut sums);
        }
        let counters = pipeline.counters();
        let undecodable: u64 = counters.undecodable.values().sum();
        let cache = counters.cache;
        assert_eq!(counters.frames, frames);
        assert_eq!(
            frames,
            counters.not_selected
                + cache.packets
                + undecodable
                + counters.own_export
                + counters.duplicate_packets,
            "{counters:?}"
        );
        assert!(counters.fragments <= usize::from(max_fragments));
        let (names, name_octets) = (counters.names_kept, counters.names_octets);
        assert!(names <= usize::from(max_fragments));
        assert!(name_octets <= 64 * usize::from(max_fragments));
        assert!(counters.conversations + counters.dormant <= settings.max_conversations);
        assert!(cache.record_packets <= cache.packets + cache.packets_corrected);
        assert!(cache.record_octets <= cache.octets);
    }
    pipeline.finish(&mut sums);
    let cache = pipeline.counters().cache;
    assert_eq!(sums.packets, cache.packets + cache.packets_corrected);
    assert_eq!(sums.octets, cache.octets);
    assert_eq!(
        (cache.record_packets, cache.record_octets),
        (sums.packets, sums.octets)
    );
    assert_eq!(cache.records.values().sum::<u64>(), sums.records);
    assert_eq!(pipeline.counters().conversations, 0);
}

/// As captured, or longer: cut off by the snap length.
fn wire_octets(chunk: Chunk<'_>) -> u32 {
    let cut = if chunk.ticks() { 1400 } else { 0 };
    u32::try_from(chunk.octets.len() + cut).unwrap()
}

/// Decodes a frame with and without its contents, which takes different ways.
fn check(frame: &Frame<'_>, [whole, short]: &mut [Decoder; 2]) {
    let packet = whole.decode(frame, true);
    let without = packet.map(|packet| PacketInfo {
        contents: PacketContents::default(),
        ..packet
    });
    assert_eq!(short.decode(frame, false), without);
    let Ok(packet) = packet else {
        return;
    };
    let captured = number(frame.captured.len());
    assert!(u64::from(packet.encapsulation_octets) <= captured);
    // A header has a length up to 65,535, IPv6 plus its 40 octets. For a length of 0, the frame
    // counts.
    let most = frame.wire_octets.max(65_535 + 40);
    assert!((20..=most).contains(&packet.octets), "{packet:?}");
    // The payload of a tunnel packet may continue in later fragments.
    if !frame.is_wire_length_lost && packet.tunnel.is_none() {
        assert!(packet.octets <= frame.wire_octets, "{packet:?}");
    }
    let segment = packet.payload_octets;
    if segment > 0 {
        assert_eq!(packet.header_octets + segment, packet.octets);
    }
    assert!(packet.tcp_option_octets <= 40);
    assert!(packet.vlan_id <= 0x0fff);
}

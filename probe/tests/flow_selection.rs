//! Selection of conversations by hash: from packets to records, and to a collector.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::collector::{CollectingProcess, Fields, Limits, Message, RecordSink};
use flowproto::exporter::{ExportSession, ExportSettings, Facts};
use flowproto::record::Sampling;
use flowproto::tcp::ConnectionState;
use flowproto::{FlowRecord, record};
use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::frame::ObservationPoint;
use kipfix_probe::pipeline::Pipeline;
use kipfix_probe::sampling::SamplingRatio;
use packets::*;

const CONNECTIONS: u16 = 4000;
const SERVER: [u8; 4] = [10, 0, 1, 1];

/// The records of connections of four packets each.
fn records(ratio: &str) -> (Vec<FlowRecord>, u64) {
    let mut pipeline = Pipeline::new(pipeline_settings(CacheSettings {
        max_conversations: 100_000,
        sampling: ratio.parse().unwrap(),
        ..cache_settings()
    }));
    let mut records = Records::default();
    pipeline.tick(SECOND, &mut records);
    let mut time_ns = 100 * SECOND;
    for number in 0..CONNECTIONS {
        let [high, low] = (number / 40).to_be_bytes();
        let client = [10, 9, high, low];
        let ports = (1024 + number % 40, 443);
        for (is_reply, numbers, flags) in [
            (false, (1, 0), SYN),
            (true, (7, 2), SYN | ACK),
            (false, (2, 8), FIN | ACK),
            (true, (8, 3), FIN | ACK),
        ] {
            let (from, to, ports) = if is_reply {
                (SERVER, client, (ports.1, ports.0))
            } else {
                (client, SERVER, ports)
            };
            time_ns += 1_000_000;
            let captured = ethernet(0x0800, &ipv4(6, from, to, &tcp(ports, numbers, flags, &[])));
            let frame = frame(&captured, time_ns);
            pipeline.frame(&frame, ObservationPoint::default(), &mut records);
        }
    }
    pipeline.finish(&mut records);
    (records.0, pipeline.counters().not_selected)
}

#[test]
fn conversations_are_selected_whole_and_stand_for_all() {
    let (all, _) = records("hash:1");
    assert_eq!(all.len(), 2 * usize::from(CONNECTIONS));
    assert_eq!(all[0].sampling, Sampling::NONE);
    let (selected, not_selected) = records("hash:8");
    let packets: u64 = selected
        .iter()
        .map(|record| record.packet_delta_count)
        .sum();
    assert_eq!(packets + not_selected, 4 * u64::from(CONNECTIONS));
    // Both directions, from the first packet to the last.
    assert!(selected.iter().all(|record| record.packet_delta_count == 2));
    let connections = selected
        .iter()
        .filter_map(|record| record.new_connection_delta_count);
    let connections: u32 = connections.sum();
    assert_eq!(usize::try_from(connections).unwrap() * 2, selected.len());
    let closed = selected
        .iter()
        .filter(|record| record.tcp_connection_state == ConnectionState::Closed);
    assert_eq!(closed.count() * 2, selected.len());
    let estimate = f64::from(connections) * selected[0].flow_sampling.factor();
    // Three standard deviations.
    let error = (estimate / f64::from(CONNECTIONS) - 1.0).abs();
    assert!(error < 0.13, "{estimate}");
    // Another probe selects the same ones.
    assert_eq!(records("hash:8").0.len(), selected.len());
}

#[derive(Default)]
struct Collected(Vec<[Sampling; 2]>);

impl RecordSink for Collected {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, _: Fields<'_>) {
        self.0.push([record.sampling, record.flow_sampling]);
    }
}

#[test]
fn the_selection_is_announced_and_read() {
    use flowproto::exporter::Version::{Ipfix, Netflow5, Netflow9};
    let versions = [Ipfix, Netflow9, Netflow5];
    // A power of two selects exactly that part of all hashes.
    let populations = [2, 4, 10, 1024];
    for (version, population) in versions
        .into_iter()
        .flat_map(|version| populations.map(|population| (version, population)))
    {
        let ratio: SamplingRatio = format!("hash:{population}").parse().unwrap();
        let mut session = ExportSession::new(ExportSettings {
            version,
            ..ExportSettings::default()
        });
        session.renew(Facts {
            flow_selection: ratio.flow_selection(),
            ..Facts::default()
        });
        let mut process = CollectingProcess::new(Limits::default());
        let mut collected = Collected::default();
        let now = 1_700_000_000_000;
        let exporter = "192.0.2.1:4000".parse().unwrap();
        let mut datagrams = Vec::new();
        let mut keep = |message: flowproto::exporter::OutgoingMessage<'_>| {
            datagrams.push(message.octets.to_vec());
        };
        let record = FlowRecord {
            key: record::FlowKey {
                source_address: v4(SERVER),
                destination_address: v4(SERVER),
                ..record::FlowKey::default()
            },
            packet_delta_count: 3,
            ..FlowRecord::default()
        };
        session.add(&record, now, &mut keep).unwrap();
        session.flush(now, &mut keep);
        for datagram in &datagrams {
            process.receive(exporter, datagram, now, &mut collected);
        }
        let [[packets, flows]] = collected.0[..] else {
            panic!("{version:?}")
        };
        assert_eq!(packets.population(), population, "{version:?}");
        // NetFlow has no selection of flows, so connections are not scaled.
        let selected = if version == Ipfix { population } else { 1 };
        assert_eq!(flows.population(), selected, "{version:?}");
    }
}

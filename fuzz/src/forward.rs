//! Records with the names of their endpoints, as they are forwarded.

use std::sync::Arc;

use flowproto::collector::{CollectingProcess, Limits, SequenceCounts, Version};
use flowproto::explain::{Bounds, Captured, Explainer, Rule};
use flowproto::{Address, FlowRecord};
use kipfix_collector::emit::forward::{self, ForwardedRecord};
use kipfix_collector::inventory::TimeRange;
use kipfix_collector::pipeline::Origin;
use kipfix_collector::pipeline::enrich::{Endpoints, ResolvedEndpoint, TunnelUse};
use kipfix_collector::snapshots::SnapshotStore;
use kipfix_export::{Encoding as _, SessionStart, TransportSession as _};

use crate::decoding::{Taken, number};
use crate::input::{BEGAN, Octets};
use crate::pipeline::snapshot_store;
use crate::records::{self, canonical};

/// Enriched records through a forwarding session: each is decoded with the content and identity of
/// its exporter, from valid Messages within the size limit. The first octets are the settings.
pub(crate) fn forward(data: &[u8]) {
    let mut octets = Octets(data);
    let modes = octets.u8();
    let is_reliable = modes & 1 != 0;
    let is_wild = modes & 2 != 0;
    let store = snapshot_store();
    let mut most = usize::from(octets.u16()).max(512);
    let mut session =
        forward::encoding(&store, flowproto::exporter::Profile::All).begin(SessionStart {
            exporter_address: Address::UNSPECIFIED,
            max_message_octets: most,
            reliable: is_reliable,
            now_milliseconds: BEGAN,
        });
    let mut messages: Vec<(Vec<u8>, usize)> = Vec::new();
    let mut expected = Vec::new();
    let mut now = BEGAN;
    while !octets.is_empty() {
        let mut send =
            |m: flowproto::exporter::OutgoingMessage<'_>| messages.push((m.octets.to_vec(), most));
        match octets.u8() {
            0 => session.flush(now, &mut send),
            1 => now += 61_000,
            2 => session.refresh(),
            3 => {
                session.flush(now, &mut send);
                most = usize::from(octets.u16()).max(512);
                session.limit_message_octets(most);
            }
            _ => {
                let record = records::record(&mut octets, now, is_wild);
                let record = forwarded(&store, &mut octets, record, now);
                expected.push(carried(&record));
                session.add(&record, now, &mut send).unwrap();
            }
        }
    }
    session.close(now, &mut |m| messages.push((m.octets.to_vec(), most)));
    let mut process = CollectingProcess::new(Limits::default());
    let mut explainer = Explainer::new(Bounds::default());
    let mut taken = Taken::default();
    let port = if is_reliable { 0 } else { 4000 };
    let exporter = std::net::SocketAddr::from(([192, 0, 2, 1], port));
    for (octets, most) in &messages {
        assert!(octets.len() <= *most, "{} of {most}", octets.len());
        process.receive(exporter, octets, now, &mut taken);
        let captured = Captured {
            exporter,
            time_milliseconds: None,
            octets,
        };
        explainer.explain(&captured, &mut Vec::new());
    }
    let counters = process.counters();
    assert_eq!(counters.unusable.total(), 0);
    assert_eq!(counters.sequence, SequenceCounts::default());
    assert_eq!(counters.records, number(expected.len()));
    for (expected, record) in expected.iter().zip(&taken.records) {
        assert_eq!(canonical(expected), canonical(record));
    }
    if is_reliable {
        assert_eq!(process.occupancy().templates, 0);
    }
    for problem in Rule::ALL.iter().copied() {
        let may_be = is_wild && matches!(problem, Rule::EndBeforeStart | Rule::EndAfterExport);
        let count = explainer.count(problem);
        assert!(count == 0 || may_be, "{count} of {}", problem.as_str());
    }
}

fn forwarded(
    store: &SnapshotStore,
    octets: &mut Octets<'_>,
    record: FlowRecord,
    now: u64,
) -> ForwardedRecord {
    let snapshots = store.load();
    let flags = octets.u8();
    // One direction: a biflow is forwarded as two records.
    let mut record = record.forward();
    // Addresses that the inventory knows are never hit by chance.
    for (bit, address) in [
        (1, &mut record.key.source_address),
        (2, &mut record.key.destination_address),
    ] {
        if flags & bit != 0 && address.is_ipv4() {
            *address = Address::from_v4_bits(0x0a01_0100 | address.v4_bits() & 0x2ff);
        }
    }
    let origin = Origin {
        source_address: records::address(octets, flags & 4 != 0),
        reported_address: Address::UNSPECIFIED,
        observation_domain_id: octets.u32(),
        version: Version::Ipfix,
        name: octets.text().into(),
    };
    let resolve = |address| {
        let found = snapshots.index.lookup(address, TimeRange::instant(now));
        ResolvedEndpoint::new(
            found.endpoint,
            snapshots.place(found.endpoint),
            found.certainty,
        )
    };
    ForwardedRecord {
        endpoints: Endpoints {
            source: resolve(record.key.source_address),
            destination: resolve(record.key.destination_address),
            tunnel: TunnelUse::None,
        },
        record,
        origin: Arc::new(origin),
    }
}

/// What is carried of a record.
fn carried(forwarded: &ForwardedRecord) -> FlowRecord {
    let record = &forwarded.record;
    let mut carried = record.clone();
    carried.tcp_control_bits &= 0xff;
    records::without_connection(&mut carried);
    // Addresses and ports of 0 are unknown.
    carried.translation = carried.translation.filter(|nat| {
        let ports = [nat.post_napt_source_port, nat.post_napt_destination_port];
        let addresses = [
            nat.post_nat_source_address,
            nat.post_nat_destination_address,
        ];
        ports != [0, 0] || addresses.iter().any(|address| !address.is_unspecified())
    });
    records::carry_tunnel(&mut carried);
    if records::or_none(carried.exporter_address).is_unspecified()
        && record.exporter_address.is_unspecified()
    {
        carried.exporter_address = forwarded.origin.source_address;
    }
    carried
}

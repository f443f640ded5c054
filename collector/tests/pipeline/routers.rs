//! Exporters that are not on a node, and policies of exporters.

use flowproto::alias::ElementAliases;
use flowproto::field::ElementId;
use flowproto::record::{Interfaces, Sampling};
use kipfix_collector::clock::Now;
use kipfix_collector::pipeline::{
    CountedDirection, ExporterPolicies, ExporterPolicy, Reason, RecordPolicy,
};
use kipfix_collector::receive::Ingest;

use crate::harness::{
    Collector, DB, Exporter, NODE_A, OFFICE, START, Setup, WEB, collector, offline, record,
    settings,
};

#[test]
fn of_two_records_of_an_exporter_the_one_of_the_chosen_direction_counts() {
    use CountedDirection::{Both, Egress, Ingress};
    let passing = |direction| {
        let mut record = record(OFFICE, WEB, 1000);
        record.interfaces = Some(Interfaces {
            ingress_interface: 1,
            egress_interface: 2,
            flow_direction: Some(direction),
        });
        record
    };
    let seen = [passing(0), passing(1)];
    for (of_routers, of_nodes, counted) in [
        (Both, Both, [true, true, true, true]),
        (Ingress, Both, [true, false, true, true]),
        (Both, Ingress, [true, true, true, false]),
        (Egress, Ingress, [false, true, true, false]),
    ] {
        let mut settings = settings();
        settings.flow_direction = of_routers;
        settings.node_flow_direction = of_nodes;
        let mut collector = collector(settings);
        Exporter::new("", "203.0.113.1").export(&mut collector.pipeline, &seen, START);
        Exporter::new("node-a", NODE_A).export(&mut collector.pipeline, &seen, START);
        let end = collector.end();
        let count = counted.iter().map(|is| u64::from(*is)).sum::<u64>();
        assert_eq!(end.counted(), counted);
        assert_eq!(
            (end.counts.counted, end.not_counted(Reason::OtherDirection)),
            (count, 4 - count)
        );
        assert_eq!(end.sum("kipfix_bytes_total"), count * 1000);
    }
}

fn with_policy(records: RecordPolicy) -> Collector {
    let policy = ExporterPolicy {
        records,
        ..ExporterPolicy::default()
    };
    let policies = ExporterPolicies::new([("198.51.100.0/24".parse().unwrap(), policy)]);
    Setup {
        policies,
        ..Setup::new(offline())
    }
    .start()
}

#[test]
fn elements_of_an_exporter_are_read_as_others() {
    let network = "198.51.100.0/24".parse().unwrap();
    let octets = ElementId::iana(1);
    let padding = ElementId::iana(210);
    for (address, counted) in [("198.51.100.1", 0), ("198.51.101.1", 700)] {
        let aliases = ElementAliases::new([(octets, padding)]).unwrap();
        let mut collector = Setup {
            policies: ExporterPolicies::default().with_aliases([(network, aliases)]),
            ..Setup::new(offline())
        }
        .start();
        let seen = [record(OFFICE, DB, 700)];
        Exporter::new("router", address).export(&mut collector.pipeline, &seen, START);
        let end = collector.end();
        assert_eq!(end.counts.counted, 1, "{address}");
        assert_eq!(end.sum("kipfix_bytes_total"), counted, "{address}");
    }
}

#[test]
fn the_record_of_a_router_informs_where_a_node_of_its_flow_is_observed() {
    for first_is_router in [true, false] {
        let mut collector = collector(offline());
        let mut router = Exporter::new("edge-router", "198.51.100.1");
        let mut a = Exporter::new("node-a", "172.16.0.1");
        // The router samples, and it sees traffic that no probe sees.
        let of_router = [
            record(WEB, OFFICE, 700),
            record(OFFICE, WEB, 500),
            record(OFFICE, "198.51.100.9", 90),
            record(OFFICE, DB, 40),
        ];
        let of_node = [record(WEB, OFFICE, 720), record(OFFICE, WEB, 530)];
        if first_is_router {
            router.export(&mut collector.pipeline, &of_router, START);
        }
        a.export(&mut collector.pipeline, &of_node, START + 100);
        if !first_is_router {
            router.export(&mut collector.pipeline, &of_router, START);
        }
        let end = collector.end();
        assert_eq!(end.not_counted(Reason::OtherObserver), 2);
        assert_eq!(end.counts.counted, 4);
        assert_eq!(end.sum("kipfix_bytes_total"), 720 + 530 + 90 + 40);
        assert_eq!(end.counts.external_exporter, 4);
    }
}

#[test]
fn the_policy_of_a_router_decides_on_its_records() {
    for (records, bytes, reason) in [
        (RecordPolicy::Auto, 720, Some(Reason::OtherObserver)),
        (RecordPolicy::Count, 720 + 700, None),
        (RecordPolicy::Inform, 720, Some(Reason::Inform)),
        (RecordPolicy::Ignore, 720, Some(Reason::Ignore)),
    ] {
        let mut collector = with_policy(records);
        let mut a = Exporter::new("node-a", "172.16.0.1");
        let mut router = Exporter::new("edge-router", "198.51.100.1");
        a.export(&mut collector.pipeline, &[record(WEB, OFFICE, 720)], START);
        router.export(&mut collector.pipeline, &[record(WEB, OFFICE, 700)], START);
        let end = collector.end();
        assert_eq!(end.sum("kipfix_bytes_total"), bytes, "{records:?}");
        if let Some(reason) = reason {
            assert_eq!(end.not_counted(reason), 1, "{records:?}");
        }
    }
}

#[test]
fn a_policy_sets_sampling_and_direction_of_an_exporter() {
    let policy = |address: &str, policy| (format!("{address}/32").parse().unwrap(), policy);
    let policies = ExporterPolicies::new([
        policy(
            "198.51.100.1",
            ExporterPolicy {
                sampling: Some(1000),
                direction: Some(CountedDirection::Egress),
                ..ExporterPolicy::default()
            },
        ),
        policy(
            "198.51.100.2",
            ExporterPolicy {
                default_sampling: Some(50),
                ..ExporterPolicy::default()
            },
        ),
    ]);
    let mut settings = offline();
    settings.flow_direction = CountedDirection::Ingress;
    let mut collector = Setup {
        policies,
        ..Setup::new(settings)
    }
    .start();
    let passing = |direction| {
        let mut record = record(OFFICE, "203.0.113.5", 100);
        record.interfaces = Some(Interfaces {
            ingress_interface: 1,
            egress_interface: 2,
            flow_direction: Some(direction),
        });
        record
    };
    for exporter in ["198.51.100.1", "198.51.100.2"] {
        let mut router = Exporter::new("", exporter);
        router.export(&mut collector.pipeline, &[passing(0), passing(1)], START);
    }
    let end = collector.end();
    assert_eq!(end.counted(), [false, true, true, false]);
    assert_eq!(end.sum("kipfix_bytes_total"), 100 * 1000 + 100 * 50);
    assert_eq!(end.sum("kipfix_packets_total"), 1000 + 50);
}

#[test]
fn a_default_sampling_applies_to_records_that_announce_nothing() {
    let policy = ExporterPolicy {
        default_sampling: Some(100),
        ..ExporterPolicy::default()
    };
    let start = || {
        let network = "198.51.100.0/24".parse().unwrap();
        Setup {
            policies: ExporterPolicies::new([(network, policy)]),
            ..Setup::new(offline())
        }
        .start()
    };
    // 34 samplingInterval of the record; `None`: it is not in the template.
    for (interval, bytes, factor) in [
        (Some(1), 500, Sampling::NONE),
        (Some(4), 2000, Sampling::one_in(4)),
        (None, 50_000, Sampling::one_in(100)),
    ] {
        let mut collector = start();
        let mut fields = vec![(8_u16, 0x0a01_010a_u32), (12, 0xcb00_7105), (1, 500)];
        fields.extend(interval.map(|interval| (34, interval)));
        let message = message(&fields);
        let exporter = "198.51.100.1:4000".parse().unwrap();
        collector
            .pipeline
            .datagram(exporter, &message, Now::of_packet(START));
        let reported = collector.pipeline.domains().next().unwrap().sampling;
        assert_eq!(reported, factor, "{interval:?}");
        let end = collector.end();
        assert_eq!(end.sum("kipfix_bytes_total"), bytes, "{interval:?}");
    }
}

/// A Message of IPFIX with a template of these elements of four octets, and a record.
fn message(fields: &[(u16, u32)]) -> Vec<u8> {
    let count = u16::try_from(fields.len()).unwrap();
    let mut message = [10_u16, 16 + 4 + 4 + 8 * count + 4]
        .map(u16::to_be_bytes)
        .concat();
    message.extend(u32::try_from(START / 1000).unwrap().to_be_bytes());
    message.extend([0, 0, 0, 0, 0, 0, 0, 7]);
    for number in [2, 8 + 4 * count, 300, count] {
        message.extend(number.to_be_bytes());
    }
    for (element, _) in fields {
        message.extend([*element, 4].map(u16::to_be_bytes).concat());
    }
    message.extend([300, 4 + 4 * count].map(u16::to_be_bytes).concat());
    for (_, value) in fields {
        message.extend(value.to_be_bytes());
    }
    message
}

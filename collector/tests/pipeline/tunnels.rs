//! Which packet of a tunnel counts.

use flowproto::FlowRecord;
use flowproto::record::{SecurityProtocol, Tunnel, TunnelType};
use kipfix_collector::inventory::EndpointKind;
use kipfix_collector::pipeline::Reason;
use kipfix_collector::pipeline::enrich::TunnelNetworks;

use crate::harness::{
    DB, End, Exporter, NODE_A, NODE_A_V6, NODE_B, NODE_B_V6, OFFICE, START, Setup, WEB, WEB_V6,
    address, collector, record, settings,
};

/// A record of packets in a tunnel of this type.
fn tunnelled(record: FlowRecord, tunnel_type: TunnelType, ends: [&str; 2]) -> FlowRecord {
    let (protocol, ports) = match tunnel_type {
        TunnelType::Vxlan => (17, (50_000, 4789)),
        TunnelType::Geneve => (17, (50_000, 6081)),
        TunnelType::Gre => (47, (0, 0)),
        TunnelType::IpInIp => (4, (0, 0)),
        TunnelType::GtpU => (17, (2152, 2152)),
        other => panic!("{other:?}"),
    };
    FlowRecord {
        tunnel: Some(Tunnel {
            tunnel_type,
            tunnel_key: 7,
            tunnel_source_address: address(ends[0]),
            tunnel_destination_address: address(ends[1]),
            tunnel_protocol_identifier: protocol,
            tunnel_source_port: ports.0,
            tunnel_destination_port: ports.1,
        }),
        ..record
    }
}

const TYPES: [TunnelType; 5] = [
    TunnelType::GtpU,
    TunnelType::Vxlan,
    TunnelType::Geneve,
    TunnelType::Gre,
    TunnelType::IpInIp,
];

/// Records whose tunnel has an end of these kinds: pod, Service, external, link.
fn untrusted(end: &End) -> [u64; 4] {
    use EndpointKind::{External, Link, Pod, Service};
    [Pod, Service, External, Link].map(|kind| end.counts.tunnel_untrusted[kind])
}

#[test]
fn a_pod_cannot_count_octets_for_others_by_a_tunnel() {
    for tunnel_type in TYPES {
        let mut collector = collector(settings());
        let mut a = Exporter::new("node-a", NODE_A);
        // The pod web-1 sends what looks like a packet from db-0 to the office.
        let inner = record(DB, OFFICE, 1000);
        let records = [
            tunnelled(inner.clone(), tunnel_type, [WEB, NODE_B]),
            tunnelled(inner.clone(), tunnel_type, [WEB, OFFICE]),
            tunnelled(inner, tunnel_type, [NODE_A, OFFICE]),
        ];
        a.export(&mut collector.pipeline, &records, START);
        let end = collector.end();
        assert_eq!(end.octets(r#"src_workload="db""#), 0, "{tunnel_type:?}");
        assert_eq!(end.octets(r#"src_workload="web""#), 2000);
        assert_eq!(end.octets(r#"class="pod_to_node""#), 1000);
        assert_eq!(end.octets(r#"class="node_to_external""#), 1000);
        assert_eq!(untrusted(&end), [2, 0, 1, 0]);
        assert!(end.lines.iter().all(|line| line["tunnelTrusted"] == false));
    }
}

#[test]
fn the_ends_of_a_tunnel_over_ipv6_are_checked_as_well() {
    for (ends, trusted) in [
        ([NODE_A_V6, NODE_B_V6], true),
        ([WEB_V6, NODE_B_V6], false),
        ([NODE_A_V6, "2001:db8::9"], false),
    ] {
        let mut collector = collector(settings());
        let mut a = Exporter::new("node-a", NODE_A);
        let records = [tunnelled(record(WEB, DB, 1000), TunnelType::Vxlan, ends)];
        a.export(&mut collector.pipeline, &records, START);
        let end = collector.end();
        let inner = end.octets(r#"dst_workload="db""#);
        assert_eq!(inner, if trusted { 1000 } else { 0 }, "{ends:?}");
        assert_eq!(end.sum("kipfix_bytes_total"), 1000);
        assert_eq!(untrusted(&end).iter().sum::<u64>(), u64::from(!trusted));
    }
}

#[test]
fn a_tunnel_between_nodes_counts_its_inner_packet() {
    for tunnel_type in TYPES {
        let mut collector = collector(settings());
        let mut a = Exporter::new("node-a", NODE_A);
        let inner = record(WEB, DB, 1000);
        let records = [tunnelled(inner, tunnel_type, [NODE_A, NODE_B])];
        a.export(&mut collector.pipeline, &records, START);
        let end = collector.end();
        assert_eq!(end.octets(r#"class="pod_to_pod""#), 1000);
        assert_eq!(untrusted(&end), [0, 0, 0, 0]);
        assert_eq!(end.lines[0].get("tunnelTrusted"), None);
    }
}

#[test]
fn a_tunnel_to_a_named_network_counts_its_inner_packet() {
    let networks = ["192.0.2.0/28".parse().unwrap()];
    let mut collector = Setup {
        tunnels: TunnelNetworks::new(&networks),
        ..Setup::new(settings())
    }
    .start();
    let mut a = Exporter::new("node-a", NODE_A);
    let inner = record(WEB, "203.0.113.8", 1000);
    let records = ["192.0.2.1", "192.0.2.16"]
        .map(|gateway| tunnelled(inner.clone(), TunnelType::Gre, [NODE_A, gateway]));
    a.export(&mut collector.pipeline, &records, START);
    let end = collector.end();
    assert_eq!(end.octets(r#"class="pod_to_external""#), 1000);
    assert_eq!(end.octets(r#"class="node_to_external""#), 1000);
    assert_eq!(untrusted(&end), [0, 0, 1, 0]);
}

#[test]
fn external_traffic_by_an_egress_gateway_counts_once() {
    let mut collector = collector(settings());
    let mut a = Exporter::new("node-a", NODE_A);
    let mut b = Exporter::new("node-b", NODE_B);
    a.export(&mut collector.pipeline, &[], START);
    b.export(&mut collector.pipeline, &[], START);
    // The leg between the nodes, in both directions, as both nodes observe it.
    let legs = [
        tunnelled(
            record(WEB, OFFICE, 1000),
            TunnelType::Geneve,
            [NODE_A, NODE_B],
        ),
        tunnelled(
            record(OFFICE, WEB, 200),
            TunnelType::Geneve,
            [NODE_B, NODE_A],
        ),
    ];
    a.export(&mut collector.pipeline, &legs, START);
    b.export(&mut collector.pipeline, &legs, START);
    // The leg outside, with the address of the gateway.
    let outside = [record(NODE_B, OFFICE, 1000), record(OFFICE, NODE_B, 200)];
    b.export(&mut collector.pipeline, &outside, START);
    let end = collector.end();
    assert_eq!(end.not_counted(Reason::OtherObserver), 2);
    assert_eq!(end.octets(r#"dst_kind="External""#), 1000);
    assert_eq!(end.octets(r#"src_kind="External""#), 200);
    assert_eq!(end.octets(r#"class="pod_to_node""#), 1000);
    assert_eq!(end.octets(r#"class="node_to_pod""#), 200);
}

#[test]
fn families_count_by_encapsulation_and_by_what_protects_the_packets() {
    let mut collector = Setup {
        metrics: "
- name: wire_bytes_total
  help: x
  value: bytes
  labels: [protocol, encapsulation, security_protocol]
",
        ..Setup::new(settings())
    }
    .start();
    let of_protocol = |protocol, security_protocol| {
        let mut record = record(NODE_A, NODE_B, 100);
        record.key.protocol_identifier = protocol;
        record.security_protocol = security_protocol;
        record
    };
    let mut a = Exporter::new("node-a", NODE_A);
    let ends = [NODE_A, NODE_B];
    let records = [
        tunnelled(record(WEB, DB, 1000), TunnelType::GtpU, ends),
        tunnelled(record(WEB, DB, 200), TunnelType::IpInIp, ends),
        of_protocol(17, SecurityProtocol::WireGuard),
        of_protocol(17, SecurityProtocol::Esp),
        // Of any exporter.
        of_protocol(50, SecurityProtocol::None),
        of_protocol(51, SecurityProtocol::None),
        of_protocol(6, SecurityProtocol::None),
    ];
    a.export(&mut collector.pipeline, &records, START);
    let end = collector.end();
    let series = end
        .scrape
        .lines()
        .filter_map(|line| line.strip_prefix("wire_bytes_total{"));
    let mut series: Vec<&str> = series.collect();
    series.sort_unstable();
    let expected = [
        r#"protocol="ah",encapsulation="",security_protocol="ah"} 100"#,
        r#"protocol="esp",encapsulation="",security_protocol="esp"} 100"#,
        r#"protocol="tcp",encapsulation="",security_protocol=""} 100"#,
        r#"protocol="tcp",encapsulation="gtp-u",security_protocol=""} 1000"#,
        r#"protocol="tcp",encapsulation="ipip",security_protocol=""} 200"#,
        r#"protocol="udp",encapsulation="",security_protocol="esp"} 100"#,
        r#"protocol="udp",encapsulation="",security_protocol="wireguard"} 100"#,
    ];
    assert_eq!(series, expected);
}

//! Traffic that does not leave its link.

use kipfix_collector::pipeline::Reason;

use crate::harness::{Exporter, NODE_A, NODE_B, OFFICE, START, WEB, collector, record, settings};

#[test]
fn traffic_of_a_link_is_of_a_class_of_its_own_and_not_external() {
    let mut collector = collector(settings());
    let mut a = Exporter::new("node-a", NODE_A);
    let records = [
        record(NODE_A, "224.0.0.251", 100),
        record(WEB, "239.1.2.3", 200),
        record(NODE_A, "255.255.255.255", 300),
        record(OFFICE, "224.0.0.18", 400),
        record("fe80::1", "ff02::1:ff00:2", 500),
        record("fe80::2", "fe80::1", 600),
        record("0.0.0.0", "255.255.255.255", 700),
        record(WEB, "169.254.169.254", 800),
    ];
    a.export(&mut collector.pipeline, &records, START);
    let end = collector.end();
    assert_eq!(end.octets(r#"class="link""#), 3600);

    assert_eq!(end.octets("external"), 0);
    assert_eq!(end.sum("kipfix_external_bytes_total"), 0);
    assert_eq!(end.sum("kipfix_external_connections_total"), 0);
    assert_eq!(end.sum("kipfix_node_bytes_total"), 3600);
    assert!(!end.scrape.contains(r#"scope="external""#));
    for line in &end.lines() {
        assert_eq!(line["trafficClass"], "link");
        assert_eq!(line["trafficScope"], "internal");
    }
}

#[test]
fn a_multicast_packet_that_two_nodes_observe_counts_once() {
    let mut collector = collector(settings());
    let mut a = Exporter::new("node-a", NODE_A);
    let mut b = Exporter::new("node-b", NODE_B);
    a.export(&mut collector.pipeline, &[], START);
    b.export(&mut collector.pipeline, &[], START);
    let seen = [record(NODE_A, "224.0.0.251", 100)];
    b.export(&mut collector.pipeline, &seen, START);
    a.export(&mut collector.pipeline, &seen, START);
    let end = collector.end();
    assert_eq!(end.not_counted(Reason::OtherObserver), 1);
    assert_eq!(end.octets(r#"class="link""#), 100);
}

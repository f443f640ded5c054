//! Host names of external endpoints, in the flow log and in the preset `external`.

use flowproto::FlowRecord;
use flowproto::host_name::{HostNames, NameSource, ResponderName};
use flowproto::record::BiflowDirection;
use kipfix_collector::aggregate::Preset;

use super::harness::*;

/// A record with the name of its responder.
fn named(source: &str, destination: &str, name: &str, initiator: BiflowDirection) -> FlowRecord {
    let mut record = record(source, destination, 1000);
    let name = HostNames::default().intern(name.as_bytes()).unwrap();
    let source = NameSource::Tls;
    record.responder_name = Some(ResponderName { name, source });
    record.biflow_direction = Some(initiator);
    record
}

fn end_of(records: &[FlowRecord], wildcards: &[&'static str]) -> End {
    let mut collector = Setup {
        presets: vec![Preset::External],
        wildcards: wildcards.to_vec(),
        ..Setup::new(offline())
    }
    .start();
    let mut exporter = Exporter::new("node-a", NODE_A);
    exporter.export(&mut collector.pipeline, records, START);
    collector.end()
}

/// `sourceName` and `destinationName` of the lines.
fn names(end: &End) -> Vec<[&str; 2]> {
    let lines = end.lines.iter();
    lines
        .map(|line| ["sourceName", "destinationName"].map(|n| line[n].as_str().unwrap_or("")))
        .collect()
}

/// Octets of the series with this text in their labels.
fn octets(end: &End, label: &str) -> u64 {
    let lines = end.scrape.lines();
    let lines = lines
        .filter(|line| line.starts_with("kipfix_external_bytes_total{") && line.contains(label));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

#[test]
fn the_name_is_that_of_the_external_responder() {
    use BiflowDirection::{Arbitrary, Initiator, ReverseInitiator};
    let host = "api.example.org";
    let records = [
        named(WEB, OFFICE, host, Initiator),
        named(OFFICE, WEB, host, ReverseInitiator),
        named(WEB, OFFICE, host, Arbitrary),
        named(OFFICE, WEB, host, Arbitrary),
        // The responder is the pod.
        named(OFFICE, WEB, "shop.test", Initiator),
        named(WEB, OFFICE, "shop.test", ReverseInitiator),
        record(WEB, OFFICE, 1000),
    ];
    let end = end_of(&records, &[]);
    let wanted = [
        ["", host],
        [host, ""],
        ["", host],
        [host, ""],
        ["office", ""],
        ["", "office"],
        ["", "office"],
    ];
    assert_eq!(names(&end), wanted);
    assert_eq!(octets(&end, "name=\"api.example.org\""), 4000);
    assert_eq!(octets(&end, "name=\"office\""), 3000);
}

#[test]
fn both_directions_of_a_biflow_have_the_name() {
    let mut biflow = named(WEB, OFFICE, "api.example.org", BiflowDirection::Initiator);
    biflow.reverse_octet_delta_count = 300;
    biflow.reverse_packet_delta_count = 3;
    let end = end_of(&[biflow], &[]);
    assert_eq!(
        octets(&end, "direction=\"egress\",name=\"api.example.org\""),
        1000
    );
    assert_eq!(
        octets(&end, "direction=\"ingress\",name=\"api.example.org\""),
        300
    );
}

#[test]
fn names_under_a_wildcard_are_counted_together() {
    let records = ["a.s3.test", "b.s3.test", "s3.test"]
        .map(|name| named(WEB, OFFICE, name, BiflowDirection::Initiator));
    let end = end_of(&records, &["*.s3.test"]);
    assert_eq!(octets(&end, "name=\"*.s3.test\""), 2000);
    assert_eq!(octets(&end, "name=\"s3.test\""), 1000);
    assert_eq!(names(&end)[0], ["", "a.s3.test"]);
}

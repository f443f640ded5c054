//! `--compare`: what `netflow_parser`, a widely embedded decoder, makes of the same datagrams.
//!
//! Both read every datagram from its beginning, so that neither depends on the other. Records are
//! compared in their order, and values in that of the template: by their octets, or as text where
//! the octets differ in zeros only.

use std::collections::VecDeque;
use std::io::Write as _;

use flowproto::collector::{CollectingProcess, Fields, Limits, Message, RecordSink};
use flowproto::explain::{Bounds, Captured};
use flowproto::field::FieldSpecifier;
use flowproto::{FlowRecord, element, json};
use kipfix_export::counters::to_u64;
use netflow_parser::variable_versions::field_value::FieldValue;
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{AutoScopedParser, NetflowPacket};

/// Maximum number of differences that are printed of a datagram.
const MAX_LINES: usize = 20;

/// A record: the values of its fields.
type Record = Vec<Value>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    /// Its element, if the decoder reports it.
    field: Option<FieldSpecifier>,
    octets: Vec<u8>,
}

/// Compares one datagram after the other.
pub struct Comparison {
    ours: CollectingProcess,
    theirs: AutoScopedParser,
    totals: Totals,
}

#[derive(Debug, Default)]
struct Totals {
    ours: u64,
    theirs: u64,
    same: u64,
    errors: u64,
}

/// Keeps the records of a datagram.
#[derive(Default)]
struct Records(VecDeque<Record>);

impl RecordSink for Records {
    fn message(&mut self, _: &Message<'_>) {}

    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, fields: Fields<'_>) {
        let mut values: Record = fields
            .values()
            .map(|(field, octets)| Value {
                field: Some(field),
                octets: octets.to_vec(),
            })
            .collect();
        if fields.octets().is_none() {
            values = fixed_record(record);
        }
        self.0.push_back(values);
    }
}

impl Comparison {
    /// A comparison without datagrams. `bounds`: of the state that both decoders keep.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            ours: CollectingProcess::new(Limits {
                domains: bounds.domains,
                templates_per_domain: bounds.templates_per_domain,
                // It does not read Data Sets of unknown templates later either.
                pending_octets: 0,
                ..Limits::default()
            }),
            theirs: AutoScopedParser::new(),
            totals: Totals::default(),
        }
    }

    /// Appends the differences in the records of a datagram.
    pub(super) fn datagram(&mut self, captured: &Captured<'_>, out: &mut Vec<u8>) {
        if captured.octets.starts_with(&[0, 1]) {
            out.extend(b"  netflow_parser: does not read NetFlow v1\n\n");
            return;
        }
        let mut ours = Records::default();
        let now = captured.time_milliseconds.unwrap_or_default();
        self.ours
            .receive(captured.exporter, captured.octets, now, &mut ours);
        let result = self
            .theirs
            .parse_from_source(captured.exporter, captured.octets);
        let mut theirs: VecDeque<Record> = result.packets.iter().flat_map(records).collect();
        let [our_number, their_number] = [ours.0.len(), theirs.len()];
        self.totals.ours += to_u64(our_number);
        self.totals.theirs += to_u64(their_number);
        let mut lines = Vec::new();
        if let Some(error) = result.error {
            self.totals.errors += 1;
            lines.push(format!("error: {error}"));
        }
        if our_number != their_number {
            lines.push(format!("{their_number} records, not {our_number}"));
        }
        let mut number = 0;
        while let (Some(ours), Some(theirs)) = (ours.0.pop_front(), theirs.pop_front()) {
            number += 1;
            let before = lines.len();
            differences(number, &ours, &theirs, &mut lines);
            self.totals.same += u64::from(lines.len() == before);
        }
        if lines.is_empty() && our_number > 0 {
            lines.push(format!("{our_number} records, the same"));
        }
        let left = lines.len().saturating_sub(MAX_LINES);
        for line in lines.iter().take(MAX_LINES) {
            // Writing to a `Vec` does not fail.
            drop(writeln!(out, "  netflow_parser: {line}"));
        }
        if left > 0 {
            drop(writeln!(out, "  netflow_parser: {left} more differences"));
        }
        if !lines.is_empty() {
            out.push(b'\n');
        }
    }

    /// Appends a summary.
    pub(super) fn summarize(&self, out: &mut Vec<u8>) {
        let Totals {
            ours,
            theirs,
            same,
            errors,
        } = self.totals;
        drop(writeln!(
            out,
            "\n  netflow_parser reads {theirs} records of {ours}, {same} of them the same; {errors} datagrams are errors"
        ));
    }
}

/// Appends the differences between two records.
fn differences(number: u64, ours: &Record, theirs: &Record, lines: &mut Vec<String>) {
    if ours.len() != theirs.len() {
        let [ours, theirs] = [ours.len(), theirs.len()];
        lines.push(format!("record {number}: {theirs} fields, not {ours}"));
    }
    for (our_value, their_value) in ours.iter().zip(theirs) {
        let field = our_value.field.or(their_value.field);
        let [ours, theirs] = [&our_value.octets, &their_value.octets];
        if ours == theirs {
            continue;
        }
        let [ours, theirs] = [text(field, ours), text(field, theirs)];
        if ours != theirs {
            let name = field.map_or_else(String::new, name);
            lines.push(format!("record {number}: {name} {theirs}, not {ours}"));
        }
    }
}

fn name(field: FieldSpecifier) -> String {
    match element::find(field.enterprise, field.id) {
        Some(element) => element.name.to_owned(),
        None => format!("{}:{}", field.enterprise, field.id),
    }
}

/// A value by the type of its element.
fn text(field: Option<FieldSpecifier>, octets: &[u8]) -> String {
    let element = field.and_then(|field| element::find(field.enterprise, field.id));
    let mut text = Vec::new();
    json::write_value(element.map(|element| element.data_type), octets, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The values of their v5 or v7 record, which are two types with the same fields.
macro_rules! fixed {
    ($record:expr) => {{
        let record = $record;
        fixed_values(
            [record.src_addr, record.dst_addr],
            [
                (7, record.src_port.into()),
                (11, record.dst_port.into()),
                (4, record.protocol_number.into()),
                (5, record.tos.into()),
                (6, record.tcp_flags.into()),
                (10, record.input.into()),
                (14, record.output.into()),
                (1, record.d_octets.into()),
                (2, record.d_pkts.into()),
            ],
        )
    }};
}

/// The Data Records of a packet.
fn records(packet: &NetflowPacket) -> Vec<Record> {
    match packet {
        NetflowPacket::V5(packet) => packet.flowsets.iter().map(|r| fixed!(r)).collect(),
        NetflowPacket::V7(packet) => packet.flowsets.iter().map(|r| fixed!(r)).collect(),
        NetflowPacket::V9(packet) => {
            let sets = packet.flowsets.iter();
            sets.flat_map(|set| match &set.body {
                v9::FlowSetBody::Data(data) => data.fields.iter().map(|r| values(r)).collect(),
                _ => Vec::new(),
            })
            .collect()
        }
        NetflowPacket::IPFix(packet) => {
            let sets = packet.flowsets.iter();
            sets.flat_map(|set| match &set.body {
                ipfix::FlowSetBody::Data(data) => data.fields.iter().map(|r| values(r)).collect(),
                ipfix::FlowSetBody::V9Data(data) => data.fields.iter().map(|r| values(r)).collect(),
                _ => Vec::new(),
            })
            .collect()
        }
        _ => Vec::new(),
    }
}

/// The values of their record. Their names of fields are not compared.
fn values<F>(record: &[(F, FieldValue)]) -> Record {
    let values = record.iter().map(|(_, value)| {
        let mut octets = Vec::new();
        // A value that it cannot write is shown as empty.
        value.write_be_bytes(&mut octets).ok();
        Value {
            field: None,
            octets,
        }
    });
    values.collect()
}

/// The values of a v5 or v7 record that are compared.
fn fixed_values(addresses: [std::net::Ipv4Addr; 2], numbers: [(u16, u64); 9]) -> Record {
    let [source, destination] = addresses;
    let addresses = [(8, source), (12, destination)];
    let addresses = addresses
        .into_iter()
        .map(|(id, address)| value(id, &address.octets()));
    let numbers = numbers
        .into_iter()
        .map(|(id, number)| value(id, &number.to_be_bytes()));
    addresses.chain(numbers).collect()
}

fn value(id: u16, octets: &[u8]) -> Value {
    let length = u16::try_from(octets.len()).unwrap_or(u16::MAX);
    Value {
        field: Some(FieldSpecifier {
            enterprise: 0,
            id,
            length,
        }),
        octets: octets.to_vec(),
    }
}

/// The same of our record.
fn fixed_record(record: &FlowRecord) -> Record {
    let key = &record.key;
    let interfaces = record.interfaces.unwrap_or_default();
    let addresses = [key.source_address, key.destination_address];
    fixed_values(
        addresses.map(|address| std::net::Ipv4Addr::from_bits(address.v4_bits())),
        [
            (7, key.source_port.into()),
            (11, key.destination_port.into()),
            (4, key.protocol_identifier.into()),
            (5, record.ip_class_of_service.into()),
            (6, record.tcp_control_bits.into()),
            (10, interfaces.ingress_interface.into()),
            (14, interfaces.egress_interface.into()),
            (1, record.octet_delta_count),
            (2, record.packet_delta_count),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(datagrams: &[&[u8]]) -> String {
        let mut comparison = Comparison::new(Bounds::default());
        let mut out = Vec::new();
        for octets in datagrams {
            let captured = Captured {
                exporter: "192.0.2.1:4739".parse().unwrap(),
                time_milliseconds: None,
                octets,
            };
            comparison.datagram(&captured, &mut out);
        }
        comparison.summarize(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// An IPFIX Message of these Sets.
    fn message(sets: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (id, content) in sets {
            body.extend(id.to_be_bytes());
            body.extend(u16::try_from(content.len() + 4).unwrap().to_be_bytes());
            body.extend(*content);
        }
        let length = u16::try_from(body.len() + 16).unwrap();
        [&[0, 10], &length.to_be_bytes()[..], &[0; 12], &body].concat()
    }

    #[test]
    fn records_that_both_read_alike_are_the_same() {
        let template = [1, 0, 0, 2, 0, 8, 0, 4, 0, 1, 0, 4];
        let records = [10, 0, 0, 1, 0, 0, 0, 7, 10, 0, 0, 2, 0, 0, 0, 8];
        let text = compared(&[&message(&[(2, &template), (256, &records)])]);
        assert!(
            text.contains("netflow_parser: 2 records, the same"),
            "{text}"
        );
        assert!(
            text.contains("reads 2 records of 2, 2 of them the same; 0 "),
            "{text}"
        );
    }

    #[test]
    fn differences_are_listed_by_record_and_field() {
        let mut lines = Vec::new();
        let [ours, theirs] =
            [7_u8, 9].map(|number| vec![value(1, &[0, number]), value(8, &[10, 0, 0, 1])]);
        differences(3, &ours, &theirs, &mut lines);
        assert_eq!(lines, ["record 3: octetDeltaCount 9, not 7"]);
        lines.clear();
        differences(1, &ours, &ours[..1].to_vec(), &mut lines);
        assert_eq!(lines, ["record 1: 1 fields, not 2"]);
        // The same number in another width.
        lines.clear();
        differences(
            1,
            &vec![value(1, &[7])],
            &vec![value(1, &[0, 0, 7])],
            &mut lines,
        );
        assert_eq!(lines, [""; 0]);
    }

    #[test]
    fn v5_is_compared_too() {
        let mut datagram = vec![0, 5, 0, 1];
        datagram.resize(24 + 48, 1);
        let text = compared(&[&datagram]);
        assert!(
            text.contains("netflow_parser: 1 records, the same"),
            "{text}"
        );
    }

    #[test]
    fn records_that_the_other_decoder_cannot_read_are_listed() {
        let text = compared(&[&[0, 10, 0, 99, 0]]);
        assert!(text.contains("netflow_parser: error: "), "{text}");
    }
}

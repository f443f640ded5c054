//! Lists of values and of records inside a record (RFC 6313): read where they can be, never a
//! desync.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod exporter;

use exporter::{Exporter, exporter, ipfix, template};

const BASIC_LIST: u16 = 291;
const SUB_TEMPLATE_LIST: u16 = 292;
const SUB_TEMPLATE_MULTI_LIST: u16 = 293;

/// A value with its length in front of it, in one octet or in three.
fn variable(value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    match u8::try_from(length) {
        Ok(short) if short < 255 => [&[short][..], value].concat(),
        _ => [&[255][..], &length.to_be_bytes(), value].concat(),
    }
}

/// The lines of two records, each of a list and, behind it, octets that show whether the list ended
/// where it should.
fn lines(e: &mut Exporter, element: u16, value: &[u8]) -> Vec<String> {
    let fields = template(300, &[(element, 65_535), (1, 1)]);
    let record = [variable(value), vec![77]].concat();
    e.send(&ipfix(
        0,
        &[(2, fields), (300, [record.clone(), record].concat())],
    ));
    let lines: Vec<String> = std::mem::take(&mut e.taken.json);
    let end = ",\"octetDeltaCount\":77";
    assert!(lines.iter().all(|line| line.ends_with(end)), "{lines:?}");
    lines
        .iter()
        .map(|line| line[..line.len() - end.len()].to_owned())
        .collect()
}

/// The value of such a line.
fn value(e: &mut Exporter, element: u16, value: &[u8]) -> String {
    let lines = lines(e, element, value);
    assert_eq!(lines[0], lines[1]);
    lines[0].split_once(':').unwrap().1.to_owned()
}

#[test]
fn a_basic_list_is_read() {
    let mut e = exporter();
    let addresses = [3, 0, 8, 0, 4, 10, 0, 0, 1, 10, 0, 0, 2];
    let read = r#"{"semantic":"allOf","sourceIPv4Address":["10.0.0.1","10.0.0.2"]}"#;
    assert_eq!(value(&mut e, BASIC_LIST, &addresses), read);
    // Of variable length, of a reduced size, of an enterprise, and empty.
    let names = [&[4, 0, 82, 255, 255][..], b"\x02lo\x00\xff\x00\x04eth0"].concat();
    let read = r#"{"semantic":"ordered","interfaceName":["lo","","eth0"]}"#;
    assert_eq!(value(&mut e, BASIC_LIST, &names), read);
    let octets = [1, 0, 1, 0, 3, 1, 0, 0];
    assert_eq!(
        value(&mut e, BASIC_LIST, &octets),
        r#"{"semantic":"exactlyOneOf","octetDeltaCount":[65536]}"#
    );
    let reverse = [0, 0x80, 1, 0, 1, 0, 0, 0x72, 0x79, 5];
    let read = r#"{"semantic":"noneOf","reverseOctetDeltaCount":[5]}"#;
    assert_eq!(value(&mut e, BASIC_LIST, &reverse), read);
    let empty = [255, 0, 8, 0, 4];
    assert_eq!(
        value(&mut e, BASIC_LIST, &empty),
        r#"{"semantic":"undefined","sourceIPv4Address":[]}"#
    );
}

#[test]
fn a_list_of_records_is_read_by_its_template() {
    let mut e = exporter();
    e.send(&ipfix(
        0,
        &[
            (2, template(400, &[(7, 2), (82, 65_535)])),
            (2, template(401, &[(4, 1)])),
        ],
    ));
    let list = [&[3, 1, 0x90][..], b"\0\x50\x01a\0\x51\x00"].concat();
    let read = r#"{"semantic":"allOf","records":[{"sourceTransportPort":80,"interfaceName":"a"},{"sourceTransportPort":81,"interfaceName":""}]}"#;
    assert_eq!(value(&mut e, SUB_TEMPLATE_LIST, &list), read);
    let several = [&[4, 1, 0x91, 0, 6, 6, 17, 1, 0x90, 0, 7][..], b"\0\x50\x00"].concat();
    let read = r#"{"semantic":"ordered","records":[{"protocolIdentifier":6},{"protocolIdentifier":17},{"sourceTransportPort":80,"interfaceName":""}]}"#;
    assert_eq!(value(&mut e, SUB_TEMPLATE_MULTI_LIST, &several), read);
    assert_eq!(
        value(&mut e, SUB_TEMPLATE_LIST, &[3, 9, 9]),
        r#"{"semantic":"allOf","records":[]}"#
    );
}

#[test]
fn lists_in_lists_are_read_to_a_depth_and_shown_as_octets_below() {
    let mut e = exporter();
    let mut list = vec![3, 0, 4, 0, 1, 6];
    for depth in 1..=5 {
        let text = value(&mut e, BASIC_LIST, &list);
        assert_eq!(
            text.contains("protocolIdentifier"),
            depth <= 4,
            "{depth}: {text}"
        );
        list = [vec![3, 1, 35, 255, 255], variable(&list)].concat();
    }
}

#[test]
fn what_cannot_be_read_is_shown_as_its_octets_and_breaks_nothing() {
    let mut e = exporter();
    let cases: [(u16, &[u8]); 10] = [
        (BASIC_LIST, &[]),
        (BASIC_LIST, &[3, 0, 8, 0]),
        // A length that does not fit, none at all, one past the end, an enterprise that is not
        // there.
        (BASIC_LIST, &[3, 0, 8, 0, 4, 10, 0, 0]),
        (BASIC_LIST, &[3, 0, 8, 0, 0, 1]),
        (BASIC_LIST, &[3, 0, 82, 255, 255, 9, b'a']),
        (BASIC_LIST, &[3, 0x80, 1, 0, 4, 0, 0]),
        // An unknown template, half a record, wrong lengths.
        (SUB_TEMPLATE_LIST, &[3, 9, 9, 1, 2]),
        (SUB_TEMPLATE_LIST, &[3, 1, 0x90, 0]),
        (SUB_TEMPLATE_MULTI_LIST, &[3, 1, 0x90, 0, 3]),
        (SUB_TEMPLATE_MULTI_LIST, &[3, 1, 0x90, 0, 200, 1]),
    ];
    e.send(&ipfix(0, &[(2, template(400, &[(7, 2)]))]));
    for (element, octets) in cases {
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(value(&mut e, element, octets), format!("\"{hex}\""));
    }
    assert_eq!(e.process.counters().unusable.total(), 0);
}

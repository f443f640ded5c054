//! What `--explain` prints of good and of broken datagrams. Every problem has octets that show it,
//! and octets that are right show none.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

use std::net::SocketAddr;

use flowproto::explain::{Bounds, Captured, Explainer, Rule};

const NOW: u32 = 1_700_000_000;

struct Dump {
    explainer: Explainer,
    text: String,
}

impl Dump {
    fn new() -> Self {
        Self {
            explainer: Explainer::new(Bounds::default()),
            text: String::new(),
        }
    }

    fn add_at(&mut self, port: u16, seconds: u32, octets: &[u8]) -> &mut Self {
        let mut text = Vec::new();
        let exporter = if port == 0 {
            SocketAddr::from(([0, 0, 0, 0], 0))
        } else {
            SocketAddr::from(([192, 0, 2, 1], port))
        };
        self.explainer.explain(
            &Captured {
                exporter,
                time_milliseconds: Some(u64::from(seconds) * 1000 + 250),
                octets,
            },
            &mut text,
        );
        self.text.push_str(&String::from_utf8(text).unwrap());
        self
    }

    fn add(&mut self, octets: &[u8]) -> &mut Self {
        self.add_at(4000, NOW, octets)
    }

    fn summary(&self) -> String {
        let mut text = Vec::new();
        self.explainer.summarize(&mut text);
        String::from_utf8(text).unwrap()
    }

    /// All problems that were seen, how often.
    fn problems(&self) -> Vec<(Rule, u64)> {
        Rule::ALL
            .iter()
            .map(|problem| (*problem, self.explainer.count(*problem)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

/// The datagrams show just this problem, once, and the dump and its summary name it.
fn shows(problem: Rule, datagrams: &[Vec<u8>]) -> String {
    let mut dump = Dump::new();
    for datagram in datagrams {
        dump.add(datagram);
    }
    assert_eq!(dump.problems(), [(problem, 1)], "{}", dump.text);
    let mark = if problem.is_error() { '!' } else { '~' };
    let line = dump.text.lines().find(|line| line.starts_with(mark));
    let line = line.unwrap_or_else(|| panic!("no line is marked in\n{}", dump.text));
    assert!(line.contains(problem.as_str()), "{line}");
    assert!(
        line.contains('§') || line.contains("NetFlow v1, v5 and v7"),
        "{line}"
    );
    assert!(dump.summary().contains(problem.as_str()));
    line.to_owned()
}

fn ipfix_of(sequence: u32, sets: &[u8]) -> Vec<u8> {
    let mut out = 10_u16.to_be_bytes().to_vec();
    out.extend((sets.len() as u16 + 16).to_be_bytes());
    for word in [NOW, sequence, 7] {
        out.extend(word.to_be_bytes());
    }
    out.extend(sets);
    out
}

fn set(id: u16, content: &[u8]) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend((content.len() as u16 + 4).to_be_bytes());
    out.extend(content);
    out
}

fn ipfix(sequence: u32, sets: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let sets: Vec<u8> = sets.iter().flat_map(|(id, c)| set(*id, c)).collect();
    ipfix_of(sequence, &sets)
}

fn netflow9(count: u16, up_time: u32, sequence: u32, sets: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = 9_u16.to_be_bytes().to_vec();
    out.extend(count.to_be_bytes());
    for word in [up_time, NOW, sequence, 7] {
        out.extend(word.to_be_bytes());
    }
    out.extend(sets.iter().flat_map(|(id, c)| set(*id, c)));
    out
}

fn fixed(version: u16, count: u16, sequence: u32, records: usize) -> Vec<u8> {
    let mut out = version.to_be_bytes().to_vec();
    out.extend(count.to_be_bytes());
    // v1 has neither a sequence number nor an engine.
    let words = if version == 1 { 3 } else { 5 };
    for word in &[100_000, NOW, 0, sequence, 0][..words] {
        out.extend(word.to_be_bytes());
    }
    let octets = if version == 7 { 52 } else { 48 };
    for _ in 0..records {
        let mut record = vec![0; octets];
        record[..8].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        record[38] = 6;
        out.extend(record);
    }
    out
}

fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend((fields.len() as u16).to_be_bytes());
    for (element, length) in fields {
        out.extend(element.to_be_bytes());
        out.extend(length.to_be_bytes());
    }
    out
}

/// IPFIX: template number, fields, scope fields among them.
fn options_template(id: u16, scope: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let mut out = template(id, fields);
    out.splice(4..4, scope.to_be_bytes());
    out
}

const OCTETS: (u16, u16) = (1, 4);

/// A template of `octetDeltaCount`, and records of it.
fn counts(sequence: u32, records: &[u32]) -> Vec<u8> {
    let content = records.iter().flat_map(|n| n.to_be_bytes()).collect();
    ipfix(sequence, &[(2, template(300, &[OCTETS])), (300, content)])
}

#[test]
fn a_good_message_reads_at_a_glance() {
    let fields = [
        (8, 4),
        (12, 4),
        (7, 2),
        (11, 2),
        (4, 1),
        (6, 1),
        (1, 8),
        (2, 4),
        (152, 8),
        (153, 8),
    ];
    let mut record = vec![10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0, 80, 6, 0x1b];
    record.extend(1500_u64.to_be_bytes());
    record.extend(3_u32.to_be_bytes());
    record.extend(1_699_999_990_000_u64.to_be_bytes());
    record.extend(1_699_999_990_120_u64.to_be_bytes());
    record.extend([0; 2]);
    let mut dump = Dump::new();
    dump.add(&ipfix(0, &[(2, template(256, &fields)), (256, record)]));
    assert_eq!(dump.problems(), []);
    let expected = "\
#1  2023-11-14 22:13:20.250  192.0.2.1:4000  112 octets  IPFIX
      0  version              10
      2  length               112
      4  exportTime           2023-11-14 22:13:20
      8  sequenceNumber       0
     12  observationDomainId  7
     16  Set 2: Template Set, 48 octets
     20    Template 256: 10 fields, records of 42 octets
     24      sourceIPv4Address                           8      4 octets  ipv4Address
     28      destinationIPv4Address                     12      4 octets  ipv4Address
     32      sourceTransportPort                         7      2 octets  unsigned16
     36      destinationTransportPort                   11      2 octets  unsigned16
     40      protocolIdentifier                          4      1 octets  unsigned8
     44      tcpControlBits                              6      1 octets  unsigned16
     48      octetDeltaCount                             1      8 octets  unsigned64, octets
     52      packetDeltaCount                            2      4 octets  unsigned64, packets
     56      flowStartMilliseconds                     152      8 octets  dateTimeMilliseconds
     60      flowEndMilliseconds                       153      8 octets  dateTimeMilliseconds
     64  Set 256: Data Set, 48 octets
     68    Record 1: 10.0.0.1:12345 → 10.0.0.2:80 TCP  3 packets, 1500 octets, 0.120 s
     68      sourceIPv4Address         10.0.0.1
     72      destinationIPv4Address    10.0.0.2
     76      sourceTransportPort       12345
     78      destinationTransportPort  80
     80      protocolIdentifier        6 (TCP)
     81      tcpControlBits            0x1b (SYN ACK PSH FIN)
     82      octetDeltaCount           1500 octets
     90      packetDeltaCount          3 packets
     94      flowStartMilliseconds     2023-11-14 22:13:10.000
    102      flowEndMilliseconds       2023-11-14 22:13:10.120
    110    Padding, 2 octets
";
    assert_eq!(dump.text, format!("{expected}\n"));
    assert!(
        dump.summary().contains("No problem found"),
        "{}",
        dump.summary()
    );
}

#[test]
fn the_summary_of_nothing_judges_nothing() {
    let summary = Dump::new().summary();
    assert!(summary.starts_with("Summary: 0 datagrams"), "{summary}");
    assert!(!summary.contains("No problem"), "{summary}");
}

#[test]
fn the_summary_counts_by_problem_and_exporter() {
    let mut dump = Dump::new();
    dump.add(&counts(0, &[5, 6]))
        .add(&counts(7, &[5]))
        .add_at(4001, NOW, &counts(0, &[1]));
    let summary = dump.summary();
    assert!(
        summary.starts_with("Summary: 3 datagrams, 3 Messages, 3 templates, 4 records"),
        "{summary}"
    );
    let line = summary
        .lines()
        .find(|line| line.contains("sequence-gap"))
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().take(5).collect();
    assert_eq!(words, ["~", "sequence-gap", "1", "#2", "192.0.2.1"]);
}

#[test]
fn options_records_and_enterprise_elements_are_named() {
    let mut sets = options_template(400, 1, &[(149, 4), (300, 65_535), (0x8000 | 101, 65_535)]);
    sets.extend(56_506_u32.to_be_bytes());
    let mut record = 7_u32.to_be_bytes().to_vec();
    record.extend(b"\x06node-a\x05web-1");
    let mut dump = Dump::new();
    dump.add(&ipfix(0, &[(3, sets), (400, record)]));
    assert_eq!(dump.problems(), []);
    for text in [
        "Options Template 400: 3 fields, 1 of them scope, records of at least 6 octets",
        "56506:101      variable  string",
        "Options Record 1",
        "observationDomainName  \"node-a\"",
        "sourcePodName          \"web-1\"",
    ] {
        assert!(dump.text.contains(text), "{text} is not in\n{}", dump.text);
    }
}

#[test]
fn netflow_9_scopes_are_not_elements() {
    let mut definition = vec![1, 1, 0, 4, 0, 8];
    for (field, length) in [(1_u16, 4_u16), (34, 4), (35, 1)] {
        definition.extend([field.to_be_bytes(), length.to_be_bytes()].concat());
    }
    let record = vec![0, 0, 0, 9, 0, 0, 0, 100, 2, 0, 0, 0];
    let mut dump = Dump::new();
    dump.add(&netflow9(2, 1000, 1, &[(1, definition), (257, record)]));
    assert_eq!(dump.problems(), [], "{}", dump.text);
    assert!(dump.text.contains("scopeSystem        9"), "{}", dump.text);
    assert!(
        dump.text.contains("samplingInterval   100 packets"),
        "{}",
        dump.text
    );
}

#[test]
fn netflow_1_5_and_7_have_fixed_templates() {
    for version in [1, 5, 7] {
        let mut dump = Dump::new();
        dump.add(&fixed(version, 2, 0, 2))
            .add(&fixed(version, 1, 2, 1));
        assert_eq!(dump.problems(), [], "{}", dump.text);
        assert!(
            dump.text.contains("Record 2: 10.0.0.1:0 → 10.0.0.2:0 TCP"),
            "{}",
            dump.text
        );
    }
}

#[test]
fn a_message_that_cannot_be_one() {
    shows(Rule::UnknownVersion, &[vec![0, 11, 0, 0]]);
    shows(Rule::HeaderTruncated, &[vec![]]);
    shows(Rule::HeaderTruncated, &[vec![0, 10, 0, 16, 1]]);
    shows(Rule::HeaderTruncated, &[vec![0, 9, 0, 16, 1]]);
    shows(Rule::HeaderTruncated, &[vec![0, 5, 0, 16, 1]]);
}

#[test]
fn a_length_that_lies() {
    let mut short = counts(0, &[5]);
    short[3] += 9;
    let line = shows(Rule::MessageTooShort, &[short.clone()]);
    assert!(line.contains("is 45 octets, there are 36"), "{line}");
    short[3] = 30;
    shows(Rule::MessageTooLong, &[short]);
    // Two Messages in one datagram are right.
    let two = [counts(0, &[5]), counts(1, &[6])].concat();
    let mut dump = Dump::new();
    dump.add(&two);
    assert_eq!(dump.problems(), [], "{}", dump.text);
}

#[test]
fn a_set_that_cannot_be_one() {
    shows(Rule::SetTooShort, &[ipfix_of(0, &[1, 0, 0, 3, 9, 9])]);
    shows(
        Rule::SetOverrun,
        &[ipfix_of(0, &[0, 2, 0, 99, 1, 0, 0, 1, 0, 1, 0, 4])],
    );
    shows(Rule::SetOverrun, &[ipfix_of(0, &[0, 2])]);
    shows(Rule::EmptySet, &[ipfix(0, &[(2, vec![])])]);
    shows(Rule::ReservedSet, &[ipfix(0, &[(17, vec![1, 2, 3, 4])])]);
    shows(Rule::ReservedSet, &[ipfix(0, &[(0, vec![1, 2, 3, 4])])]);
    shows(
        Rule::ReservedSet,
        &[netflow9(0, 1, 1, &[(2, vec![1, 2, 3, 4])])],
    );
}

#[test]
fn octets_that_are_not_padding() {
    let with = |left: &[u8]| {
        let content = [
            &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 1, 1],
            left,
        ]
        .concat();
        vec![ipfix(
            0,
            &[
                (2, template(300, &[(1, 8), (2, 8), (58, 2)])),
                (300, content),
            ],
        )]
    };
    shows(Rule::PaddingNotZero, &with(&[0, 0, 1]));
    shows(Rule::PaddingTooLong, &with(&[0; 9]));
    let mut definition = template(300, &[OCTETS]);
    definition.extend([0; 4]);
    shows(Rule::PaddingTooLong, &[ipfix(0, &[(2, definition)])]);
    let octets = vec![9, 0, 0];
    let short = ipfix(0, &[(2, template(300, &[(4, 1)])), (300, octets)]);
    shows(Rule::PaddingTooLong, &[short]);
}

#[test]
fn a_template_that_cannot_be_one() {
    let one = |definition: Vec<u8>| vec![ipfix(0, &[(2, definition)])];
    shows(Rule::TemplateId, &one(template(255, &[OCTETS])));
    let mut lies = template(300, &[OCTETS]);
    lies[3] = 3;
    let line = shows(Rule::FieldCount, &one(lies));
    assert!(
        line.contains("has 3 fields by its header, its Set has room for 1"),
        "{line}"
    );
    shows(
        Rule::EmptyTemplate,
        &[netflow9(1, 1, 1, &[(0, template(300, &[]))])],
    );
    shows(Rule::ZeroLength, &one(template(300, &[OCTETS, (2, 0)])));
    let all_empty = {
        let mut dump = Dump::new();
        dump.add(&ipfix(0, &[(2, template(300, &[(2, 0)]))]));
        dump.problems()
    };
    assert_eq!(all_empty, [(Rule::EmptyTemplate, 1), (Rule::ZeroLength, 1)]);
    shows(Rule::NotReducible, &one(template(300, &[(8, 3)])));
    shows(Rule::NotReducible, &one(template(300, &[(152, 4)])));
    shows(Rule::TooLong, &one(template(300, &[(7, 4)])));
    shows(Rule::UnknownElement, &one(template(300, &[(32_000, 4)])));
    let v9 = template(300, &[(82, 65_535)]);
    shows(Rule::VariableLength, &[netflow9(1, 1, 1, &[(0, v9)])]);
    let many = vec![OCTETS; 1100];
    shows(Rule::TooManyTemplates, &one(template(300, &many)));
}

#[test]
fn integers_and_floats_may_be_reduced() {
    let mut dump = Dump::new();
    dump.add(&ipfix(
        0,
        &[(
            2,
            template(300, &[(1, 1), (2, 3), (434, 2), (320, 4), (7, 1)]),
        )],
    ));
    assert_eq!(dump.problems(), [], "{}", dump.text);
}

#[test]
fn options_without_scope() {
    let none = options_template(300, 0, &[OCTETS]);
    shows(Rule::ScopeCount, &[ipfix(0, &[(3, none)])]);
    let more = options_template(300, 2, &[OCTETS]);
    shows(Rule::ScopeCount, &[ipfix(0, &[(3, more)])]);
    let odd = vec![1, 1, 0, 4, 0, 5, 0, 1, 0, 4, 0, 34, 0, 4];
    shows(Rule::OptionsLength, &[netflow9(1, 1, 1, &[(1, odd)])]);
}

#[test]
fn templates_that_come_and_go() {
    let withdrawal = ipfix(1, &[(2, vec![1, 44, 0, 0])]);
    shows(Rule::Withdrawal, &[counts(0, &[5]), withdrawal.clone()]);
    let mut file = Dump::new();
    file.add_at(0, NOW, &counts(0, &[5]))
        .add_at(0, NOW, &withdrawal);
    assert_eq!(file.problems(), [], "in a file, a withdrawal is right");
    file.add_at(0, NOW, &withdrawal);
    assert_eq!(file.problems(), [(Rule::WithdrawalUnknown, 1)]);
    let other = ipfix(1, &[(2, template(300, &[(2, 4)]))]);
    let line = shows(Rule::TemplateChanged, &[counts(0, &[5]), other.clone()]);
    assert!(line.contains("in #1"), "{line}");
    let mut late = Dump::new();
    late.add(&counts(0, &[5])).add_at(4000, NOW + 3600, &other);
    assert_eq!(
        late.explainer.count(Rule::TemplateChanged),
        0,
        "it has expired"
    );
    shows(Rule::NoTemplate, &[ipfix(0, &[(300, vec![1, 2, 3, 4])])]);
}

#[test]
fn a_set_that_waited_for_its_template_is_printed_and_counted_when_it_is_read() {
    let mut dump = Dump::new();
    dump.add(&ipfix(0, &[(300, vec![0, 0, 3, 7])]));
    assert_eq!(dump.problems(), [(Rule::NoTemplate, 1)]);
    assert!(dump.summary().contains("0 records,"));
    dump.text.clear();
    dump.add(&ipfix(1, &[(2, template(300, &[(2, 4)]))]));
    let lines: Vec<_> = dump.text.lines().map(str::trim).collect();
    let begin = lines
        .iter()
        .position(|line| line.contains("earlier Message"));
    let expected = [
        "4    Record 1:   775 packets, 0 octets",
        "4      packetDeltaCount  775 packets",
    ];
    assert_eq!(&lines[begin.unwrap() + 1..][..2], expected, "{}", dump.text);
    assert!(dump.summary().contains(" 1 records,"), "{}", dump.summary());
}

#[test]
fn a_set_of_a_suspect_message_is_printed_with_the_next_one() {
    // The sequence number of the third Message falls, and the fourth continues as before.
    let mut dump = Dump::new();
    dump.add(&counts(5000, &[1]))
        .add(&counts(5001, &[2]))
        .add(&ipfix(17, &[(300, vec![0, 0, 0, 3])]));
    assert!(dump.text.contains("Not read before the next Message"));
    assert!(dump.summary().contains(" 2 records,"), "{}", dump.summary());
    dump.text.clear();
    dump.add(&counts(5002, &[4]));
    assert!(dump.text.contains("earlier Message"), "{}", dump.text);
    assert!(dump.summary().contains(" 4 records,"), "{}", dump.summary());
    assert_eq!(dump.explainer.count(Rule::NoTemplate), 0);
}

#[test]
fn a_port_uses_the_templates_of_another_one_in_v9_only() {
    let record = (300, vec![0, 0, 0, 9]);
    let mut dump = Dump::new();
    let first = netflow9(1, 1000, 1, &[(0, template(300, &[OCTETS]))]);
    dump.add(&first).add_at(
        4001,
        NOW,
        &netflow9(1, 1000, 2, std::slice::from_ref(&record)),
    );
    assert_eq!(dump.problems(), [], "{}", dump.text);
    let mut dump = Dump::new();
    dump.add(&counts(0, &[5]))
        .add_at(4001, NOW, &ipfix(9, &[record]));
    assert_eq!(dump.problems(), [(Rule::NoTemplate, 1)], "{}", dump.text);
}

#[test]
fn a_bound_on_templates_is_reported() {
    let mut dump = Dump::new();
    dump.explainer = Explainer::new(Bounds {
        domains: 1,
        templates_per_domain: 1,
    });
    let two = [template(300, &[OCTETS]), template(301, &[OCTETS])].concat();
    dump.add(&ipfix(0, &[(2, two)]));
    assert_eq!(dump.problems(), [(Rule::TooManyTemplates, 1)]);
}

#[test]
fn a_field_beyond_its_set() {
    let text = template(300, &[(4, 1), (82, 65_535)]);
    let line = shows(
        Rule::FieldOverrun,
        &[ipfix(0, &[(2, text), (300, vec![6, 9, b'e', b't', b'h'])])],
    );
    assert!(line.contains("4 octets left"), "{line}");
}

#[test]
fn values_that_cannot_be() {
    let values = |fields: &[(u16, u16)], octets: &[u8]| {
        vec![ipfix(
            0,
            &[(2, template(300, fields)), (300, octets.to_vec())],
        )]
    };
    shows(
        Rule::Boolean,
        &values(&[(276, 1), OCTETS], &[3, 0, 0, 0, 1]),
    );
    shows(
        Rule::NotUtf8,
        &values(&[(82, 5)], &[b'e', b't', 0xff, b'0', 0]),
    );
    let times = |start: u64, end: u64| [start.to_be_bytes(), end.to_be_bytes()].concat();
    let base = u64::from(NOW) * 1000;
    shows(
        Rule::EndBeforeStart,
        &values(&[(152, 8), (153, 8)], &times(base - 1, base - 5000)),
    );
    shows(
        Rule::EndAfterExport,
        &values(&[(152, 8), (153, 8)], &times(base, base + 5000)),
    );
    for end in [153, 155] {
        shows(
            Rule::EndAfterExport,
            &values(&[(152, 8), (end, 8)], &times(base, u64::MAX)),
        );
    }
    shows(Rule::EndAfterExport, &values(&[(151, 4)], &[0xff; 4]));
}

#[test]
fn sequence_numbers_that_jump_go_back_or_mean_something_else() {
    let line = shows(Rule::SequenceGap, &[counts(10, &[1, 2]), counts(15, &[3])]);
    assert!(line.contains("15, not 12: 3 records are missing"), "{line}");
    shows(Rule::SequenceBack, &[counts(10, &[1, 2]), counts(3, &[3])]);
    let own = [counts(12, &[1, 2]), counts(16, &[1, 2, 3, 4])];
    let line = shows(Rule::SequenceMeaning, &own);
    assert!(line.contains("the Message's own records"), "{line}");
    let line = shows(
        Rule::SequenceMeaning,
        &[counts(12, &[1, 2]), counts(13, &[1, 2, 3])],
    );
    assert!(line.contains("it counts Messages"), "{line}");
    let empty = |sequence| netflow9(1, 1000, sequence, &[(0, template(300, &[OCTETS]))]);
    let line = shows(Rule::SequenceGap, &[empty(1), empty(4)]);
    assert!(line.contains("2 Messages are missing"), "{line}");
    shows(Rule::SequenceGap, &[fixed(5, 1, 0, 1), fixed(5, 1, 2, 1)]);
    // It wraps.
    let mut dump = Dump::new();
    dump.add(&counts(u32::MAX, &[1, 2])).add(&counts(1, &[1]));
    assert_eq!(dump.problems(), [], "{}", dump.text);
}

#[test]
fn clocks_that_are_wrong() {
    let mut dump = Dump::new();
    dump.add_at(4000, NOW + 7200, &counts(0, &[1]));
    assert_eq!(dump.problems(), [(Rule::ExportTime, 1)]);
    assert!(
        dump.text.contains("it is 7200 s before the capture"),
        "{}",
        dump.text
    );
    let at = |up_time, sequence| netflow9(1, up_time, sequence, &[(0, template(300, &[OCTETS]))]);
    shows(Rule::Restart, &[at(900_000, 1), at(100, 2)]);
    let mut wraps = Dump::new();
    wraps.add(&at(u32::MAX - 5, 1)).add(&at(100, 2));
    assert_eq!(wraps.problems(), []);
}

#[test]
fn counts_of_netflow_headers_that_lie() {
    let definition = || (0, template(300, &[OCTETS]));
    let line = shows(
        Rule::RecordCount,
        &[netflow9(
            2,
            1,
            1,
            &[definition(), (300, vec![0, 0, 0, 1, 0, 0, 0, 2])],
        )],
    );
    assert!(
        line.contains("counts 2, there are 3 records in 2 FlowSets: it counts FlowSets"),
        "{line}"
    );
    let sized = netflow9(2, 1, 1, &[(0, template(300, &[(1, 5)])), (300, vec![1; 5])]);
    shows(Rule::Unaligned, &[sized]);
    shows(Rule::FlowCount, &[fixed(5, 3, 0, 2)]);
    shows(Rule::FlowCount, &[fixed(7, 1, 0, 2)]);
    shows(Rule::TooManyFlows, &[fixed(5, 31, 0, 31)]);
    shows(Rule::TooManyFlows, &[fixed(7, 29, 0, 29)]);
    shows(Rule::FlowCount, &[fixed(1, 3, 0, 2)]);
    shows(Rule::TooManyFlows, &[fixed(1, 25, 0, 25)]);
}

#[test]
fn every_problem_has_a_name_and_a_rule_of_its_own_version() {
    let mut names: Vec<&str> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Rule::ALL.len());
    assert_eq!(Rule::SetTooShort.requirement(9).reference, "RFC 3954 §5.2");
    assert_eq!(
        Rule::SetTooShort.requirement(10).reference,
        "RFC 7011 §3.3.2"
    );
}

#[test]
fn what_one_datagram_becomes_is_bounded() {
    let mut content = Vec::new();
    for _ in 0..16 {
        content.extend([82_u16.to_be_bytes(), 0_u16.to_be_bytes()].concat());
    }
    let mut definition = template(300, &[(4, 1)]);
    definition[3] = 17;
    definition.extend(content);
    let records = vec![6_u8; 65_000];
    let mut dump = Dump::new();
    dump.add(&ipfix(0, &[(2, definition)]))
        .add(&ipfix(0, &[(300, records)]));
    assert!(dump.text.len() < 9 << 20, "{}", dump.text.len());
    assert!(dump.text.contains("counted but not shown"));
    assert!(
        dump.summary().contains("65000 records"),
        "{}",
        dump.summary()
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(512))]

    #[test]
    fn no_octets_are_too_strange(
        version in proptest::sample::select(vec![5_u8, 7, 9, 10]),
        octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        flips in proptest::collection::vec((0_usize..200, proptest::prelude::any::<u8>()), 0..6),
    ) {
        let mut dump = Dump::new();
        let mut noise = vec![0, version];
        noise.extend(&octets);
        dump.add(&noise);
        let text = template(300, &[(4, 1), (82, 65_535), (152, 8), (276, 1)]);
        let options = options_template(301, 1, &[(149, 4), (305, 4)]);
        let mut damaged = ipfix(0, &[(2, text), (3, options), (300, octets.clone()), (301, octets)]);
        for (at, octet) in flips {
            if let Some(place) = damaged.get_mut(at) {
                *place = octet;
            }
        }
        dump.add(&damaged);
        let summary = dump.summary();
        proptest::prop_assert!(summary.starts_with("Summary: 2 datagrams"));
        for line in dump.text.lines() {
            proptest::prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}

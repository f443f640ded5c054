//! Flow export: from our own Export Sessions, and by hand what those never say.

use flowproto::exporter::{
    ExportSession, ExportSettings, Facts, InterfaceName, OutgoingMessage, Statistics, Version,
};
use flowproto::record::Sampling;
use flowproto::{Address, FlowRecord};

use super::Dice;
use crate::input::{BEGAN, Octets};
use crate::records;

/// Sequences of datagrams.
pub(crate) fn all() -> Vec<Vec<Vec<u8>>> {
    let mut all = vec![session(Version::Ipfix, true, 12)];
    for version in [Version::Ipfix, Version::Netflow9, Version::Netflow5] {
        all.push(session(version, false, 1));
        all.push(session(version, false, 20));
    }
    all.extend(by_hand());
    all
}

/// Connections: the target's two octets, the sizes that they are cut in, the octets.
pub(crate) fn streams() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (sizes, records) in [(&[][..], 3), (&[1], 2), (&[3, 200, 16], 30), (&[255], 60)] {
        let octets = session(Version::Ipfix, true, records).concat();
        let length = u8::try_from(sizes.len()).unwrap();
        all.push([&[0, length], sizes, &octets].concat());
        all.push([&[1, length], sizes, &octets[..octets.len() - 5]].concat());
    }
    for datagrams in by_hand() {
        if datagrams
            .iter()
            .all(|datagram| datagram.starts_with(&[0, 10]))
        {
            all.push([&[0, 2, 7, 90][..], &datagrams.concat()].concat());
        }
    }
    all
}

fn session(version: Version, reliable: bool, records: usize) -> Vec<Vec<u8>> {
    let mut session = ExportSession::new(ExportSettings {
        version,
        observation_domain_id: 7,
        observation_domain_name: "node-a".to_owned(),
        exporter_address: Address::from_v4_bits(0x0a09_0001),
        reliable,
        template_idle_milliseconds: 1000,
        ..ExportSettings::default()
    });
    session.renew(Facts {
        sampling: Sampling::one_in(10),
        interfaces: [InterfaceName {
            index: 2,
            name: "eth0".to_owned(),
            description: "device".to_owned(),
        }]
        .into(),
        statistics: Statistics::default(),
        flow_selection: None,
    });
    let mut sent = Vec::new();
    let mut send = |m: OutgoingMessage<'_>| sent.push(m.octets.to_vec());
    let mut now = BEGAN;
    for record in flows(records) {
        // What the version does not carry is not sent.
        session.add(&record, now, &mut send).ok();
        if records > 10 {
            now += 700;
        }
    }
    session.flush(now, &mut send);
    session.flush(now + 90_000, &mut send);
    session.close(now + 90_000, &mut send);
    sent
}

/// Records of all shapes, between endpoints that the inventory of the target `pipeline` has.
fn flows(count: usize) -> Vec<FlowRecord> {
    let mut dice = Dice::new(99);
    let flows = (0..count).map(|at| {
        let octets = dice.octets(300);
        let mut record = records::record(&mut Octets(&octets), BEGAN, false);
        if at % 2 == 0 {
            record.key.source_address = Address::from_v4_bits(0x0a01_010a);
            record.key.destination_address = Address::from_v4_bits(0x0a01_020a);
        }
        record
    });
    flows.collect()
}

//------------ By hand -------------------------------------------------------------------------

fn by_hand() -> Vec<Vec<Vec<u8>>> {
    vec![
        structured_data(),
        announced(),
        counters(),
        times(),
        netflow9_options(),
        vec![fixed(5, 48, 3), fixed(7, 52, 2), fixed(5, 48, 1)],
        netflow1(),
        before_their_template(),
    ]
}

type Field = (u32, u16, u16);

fn ipfix(sequence: u32, sets: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let body = sets_of(sets);
    let mut out = 10_u16.to_be_bytes().to_vec();
    out.extend(u16::try_from(body.len() + 16).unwrap().to_be_bytes());
    for word in [1_700_000_000, sequence, 7] {
        out.extend(word.to_be_bytes());
    }
    out.extend(body);
    out
}

fn netflow9(sequence: u32, count: u16, sets: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = 9_u16.to_be_bytes().to_vec();
    out.extend(count.to_be_bytes());
    for word in [100_000, 1_700_000_000, sequence, 7] {
        out.extend(word.to_be_bytes());
    }
    out.extend(sets_of(sets));
    out
}

fn sets_of(sets: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, content) in sets {
        out.extend(id.to_be_bytes());
        out.extend(u16::try_from(content.len() + 4).unwrap().to_be_bytes());
        out.extend(content);
    }
    out
}

fn template(id: u16, fields: &[Field]) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend(u16::try_from(fields.len()).unwrap().to_be_bytes());
    out.extend(specifiers(fields));
    out
}

fn options_template(id: u16, scope: u16, fields: &[Field]) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend(u16::try_from(fields.len()).unwrap().to_be_bytes());
    out.extend(scope.to_be_bytes());
    out.extend(specifiers(fields));
    out
}

fn specifiers(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for (enterprise, id, length) in fields {
        let bit = if *enterprise == 0 { 0 } else { 0x8000 };
        out.extend((id | bit).to_be_bytes());
        out.extend(length.to_be_bytes());
        if *enterprise != 0 {
            out.extend(enterprise.to_be_bytes());
        }
    }
    out
}

/// A value of variable length.
fn variable(value: &[u8]) -> Vec<u8> {
    match u8::try_from(value.len()) {
        Ok(length) if length < 255 => [&[length], value].concat(),
        _ => {
            let length = u16::try_from(value.len()).unwrap().to_be_bytes();
            [&[255], &length[..], value].concat()
        }
    }
}

const VARIABLE: u16 = 65_535;

/// Lists (RFC 6313), long and empty values, padding.
fn structured_data() -> Vec<Vec<u8>> {
    let inner = template(400, &[(0, 7, 2), (0, 82, VARIABLE)]);
    let outer = template(
        300,
        &[
            (0, 291, VARIABLE),
            (0, 292, VARIABLE),
            (0, 293, VARIABLE),
            (0, 1, 3),
        ],
    );
    let basic = [3, 0, 8, 0, 4, 10, 0, 0, 1, 10, 0, 0, 2];
    let port = [&[0, 80][..], &variable(b"eth0")].concat();
    let list = [&[4, 1, 0x90][..], &port, &port].concat();
    let length = u16::try_from(port.len() + 4).unwrap().to_be_bytes();
    let many = [&[0, 1, 0x90][..], &length, &port].concat();
    let nested = [&[3, 1, 0x23, 255, 255][..], &variable(&basic)].concat();
    let record = |first: &[u8]| {
        let values = [variable(first), variable(&list), variable(&many)].concat();
        [&values[..], &[0, 1, 2]].concat()
    };
    let records = [
        record(&basic),
        record(&nested),
        record(&[]),
        record(&[7; 300]),
        vec![0, 0],
    ];
    vec![ipfix(0, &[(2, inner), (2, outer), (300, records.concat())])]
}

/// RFC 5610 types and the records that need them; names of interfaces and applications; samplers.
fn announced() -> Vec<Vec<u8>> {
    let types = options_template(
        500,
        2,
        &[(0, 346, 4), (0, 303, 2), (0, 339, 1), (0, 341, VARIABLE)],
    );
    let option = [&[0, 0, 0x27, 0x0f, 0, 1, 3][..], &variable(b"myCounter")].concat();
    let interfaces = options_template(501, 1, &[(0, 10, 4), (0, 82, 16), (0, 83, VARIABLE)]);
    let named = [
        &[0, 0, 0, 2][..],
        b"eth0\0\0\0\0\0\0\0\0\0\0\0\0",
        &variable(b"uplink"),
    ]
    .concat();
    let applications = options_template(502, 1, &[(0, 95, 4), (0, 96, VARIABLE)]);
    let application = [&[3, 0, 0, 80][..], &variable(b"http")].concat();
    let sampling = options_template(
        503,
        1,
        &[(0, 302, 8), (0, 304, 2), (0, 305, 4), (0, 306, 4)],
    );
    let sampled = [&[0; 7][..], &[5, 0, 1, 0, 0, 0, 1, 0, 0, 0, 99]].concat();
    let chance = options_template(504, 1, &[(0, 149, 4), (0, 311, 8), (0, 160, 8), (0, 40, 8)]);
    let probability = [
        &[0, 0, 0, 7][..],
        &0.25_f64.to_be_bytes(),
        &BEGAN.to_be_bytes(),
        &[1; 8],
    ];
    let data = template(
        300,
        &[
            (0, 8, 4),
            (0, 10, 4),
            (0, 14, 4),
            (0, 95, 4),
            (9999, 1, 4),
            (9999, 2, VARIABLE),
            (0, 302, 8),
        ],
    );
    let flow = [
        &[
            10, 1, 1, 10, 0, 0, 0, 2, 0, 0, 0, 3, 3, 0, 0, 80, 0, 0, 1, 0,
        ][..],
        &variable(b"what"),
        &[0, 0, 0, 0, 0, 0, 0, 5],
    ]
    .concat();
    vec![
        ipfix(
            0,
            &[
                (3, [types, interfaces, applications].concat()),
                (500, option),
                (501, named),
                (502, application),
                (3, [sampling, chance].concat()),
                (503, sampled),
                (504, probability.concat()),
            ],
        ),
        ipfix(5, &[(2, data), (300, [&flow[..], &flow].concat())]),
    ]
}

/// All families of counters, reduced, running on, both directions; an element twice; who was
/// translated.
fn counters() -> Vec<Vec<u8>> {
    let families: [&[Field]; 5] = [
        &[
            (0, 1, 3),
            (0, 2, 1),
            (29_305, 1, 8),
            (29_305, 2, 4),
            (0, 1, 2),
        ],
        &[(0, 231, 4), (0, 298, 4), (0, 232, 4), (0, 299, 4)],
        &[
            (0, 85, 4),
            (0, 86, 4),
            (29_305, 85, 4),
            (29_305, 86, 4),
            (0, 152, 8),
        ],
        &[(0, 352, 4), (0, 24, 4), (0, 23, 4), (0, 171, 4)],
        &[
            (0, 225, 4),
            (0, 226, 4),
            (0, 281, 16),
            (0, 282, 16),
            (0, 227, 2),
            (0, 58, 2),
            (0, 243, 2),
        ],
    ];
    let mut out = Vec::new();
    for (at, family) in families.iter().enumerate() {
        let id = 300 + u16::try_from(at).unwrap();
        let key: &[Field] = &[(0, 8, 4), (0, 12, 4), (0, 27, 16), (0, 28, 16), (0, 4, 1)];
        let fields = [key, family].concat();
        let octets: usize = fields
            .iter()
            .map(|(_, _, length)| usize::from(*length))
            .sum();
        let mut dice = Dice::new(id.into());
        let first = dice.octets(octets);
        let later: Vec<u8> = first
            .iter()
            .enumerate()
            .map(|(at, o)| if at > 40 { o | 1 } else { *o })
            .collect();
        let records = [&first[..], &later, &first].concat();
        out.push(ipfix(
            out.len().try_into().unwrap(),
            &[(2, template(id, &fields)), (id, records)],
        ));
    }
    out
}

/// When a flow began and ended, in every way there is, and in v9.
fn times() -> Vec<Vec<u8>> {
    let fields: [Field; 14] = [
        (0, 150, 4),
        (0, 151, 4),
        (0, 152, 8),
        (0, 153, 8),
        (0, 154, 8),
        (0, 155, 8),
        (0, 156, 8),
        (0, 157, 8),
        (0, 158, 4),
        (0, 159, 4),
        (0, 21, 4),
        (0, 22, 4),
        (0, 160, 8),
        (0, 136, 1),
    ];
    let mut out = Vec::new();
    for (at, pair) in fields.windows(3).enumerate() {
        let id = 256 + u16::try_from(at).unwrap();
        let octets: usize = pair.iter().map(|(_, _, length)| usize::from(*length)).sum();
        let record = Dice::new(id.into()).octets(octets);
        let sets = [(2, template(id, pair)), (id, record.clone())];
        out.push(ipfix(at.try_into().unwrap(), &sets));
        let sets = [(0, template(id, pair)), (id, record)];
        out.push(netflow9(at.try_into().unwrap(), 2, &sets));
    }
    out
}

/// Scopes of v9, samplers, names of fixed length; ntop's numbers.
fn netflow9_options() -> Vec<Vec<u8>> {
    let short = |words: &[u16]| -> Vec<u8> { words.iter().flat_map(|w| w.to_be_bytes()).collect() };
    let sampler = short(&[256, 4, 8, 1, 4, 34, 4, 35, 1, 0]);
    let interfaces = short(&[257, 4, 4, 2, 4, 82, 8]);
    let data = short(&[258, 6, 8, 4, 12, 4, 1, 4, 2, 4, 10, 2, 57_592, 4]);
    let flow = Dice::new(3).octets(22);
    vec![
        netflow9(
            0,
            4,
            &[
                (1, sampler),
                (256, vec![0, 0, 0, 7, 0, 0, 0, 100, 1, 0, 0, 0]),
            ],
        ),
        netflow9(
            1,
            4,
            &[
                (1, interfaces),
                (257, [&[0, 0, 0, 2][..], b"eth0\0\0\0\0"].concat()),
            ],
        ),
        netflow9(2, 3, &[(0, data), (258, [&flow[..], &flow].concat())]),
    ]
}

fn fixed(version: u16, octets: usize, count: u16) -> Vec<u8> {
    let mut out = version.to_be_bytes().to_vec();
    out.extend(count.to_be_bytes());
    let header = [100_000_u32, 1_700_000_000, 5_000_000, 3, 0x0102_4010];
    // v1 has neither a sequence number nor what follows it.
    let words = if version == 1 { 3 } else { header.len() };
    for word in &header[..words] {
        out.extend(word.to_be_bytes());
    }
    out.extend(Dice::new(version.into()).octets(octets * usize::from(count)));
    out
}

/// v1 with both lengths of records, cut, and padded.
fn netflow1() -> Vec<Vec<u8>> {
    let short = fixed(1, 48, 3);
    let long = fixed(1, 52, 2);
    let cut = short[..short.len() - 20].to_vec();
    let padded = [&short[..], &[0; 12]].concat();
    vec![short, long, cut, padded]
}

/// Data Sets, then their templates, their withdrawal, and a new template with the same id.
fn before_their_template() -> Vec<Vec<u8>> {
    let fields = [(0, 8, 4), (0, 12, 4), (0, 1, 4)];
    let record = [10, 1, 1, 10, 10, 1, 2, 10, 0, 0, 1, 0].to_vec();
    let other = [(0, 7, 2), (0, 11, 2), (0, 2, 8)];
    vec![
        ipfix(0, &[(300, record.clone())]),
        ipfix(1, &[(300, record.repeat(2)), (301, record.clone())]),
        ipfix(3, &[(2, template(300, &fields))]),
        ipfix(3, &[(2, vec![1, 0x2c, 0, 0]), (300, record.clone())]),
        ipfix(
            4,
            &[
                (2, [template(300, &other), template(301, &fields)].concat()),
                (300, record),
            ],
        ),
        ipfix(5, &[(2, vec![0, 2, 0, 0]), (3, vec![0, 3, 0, 0])]),
    ]
}

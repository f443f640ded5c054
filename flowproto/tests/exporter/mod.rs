//! An exporter of a test: Messages made by hand, and what became of them.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "each test file uses its part of it"
)]

use std::net::SocketAddr;

use flowproto::FlowRecord;
use flowproto::collector::Fields;
use flowproto::collector::{CollectingProcess, Limits, Message, RecordSink, Unusable};

/// When Messages say they were exported, milliseconds since the epoch.
pub const EXPORTED: u64 = 1_700_000_000_000;

/// What a process gave.
#[derive(Default)]
pub struct Taken {
    pub records: Vec<FlowRecord>,
    pub json: Vec<String>,
}

impl RecordSink for Taken {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, fields: Fields<'_>) {
        let mut text = Vec::new();
        fields.write_json(usize::MAX, &mut text);
        self.records.push(record.clone());
        self.json.push(String::from_utf8(text).unwrap());
    }
}

/// The header of a Message.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub version: u16,
    pub domain: u32,
    pub sequence: u32,
    /// `sysUpTime` of NetFlow v9, milliseconds.
    pub up_time: u32,
    /// Export time, seconds since [`EXPORTED`].
    pub seconds: u32,
}

impl Header {
    pub fn ipfix(sequence: u32) -> Self {
        Self {
            version: 10,
            domain: 7,
            sequence,
            up_time: 0,
            seconds: 0,
        }
    }

    pub fn netflow9(sequence: u32) -> Self {
        Self {
            version: 9,
            up_time: 100_000,
            ..Self::ipfix(sequence)
        }
    }

    /// The same in a later Message.
    pub fn after(self, seconds: u32) -> Self {
        Self {
            up_time: self.up_time + seconds * 1000 * u32::from(self.version == 9),
            seconds: self.seconds + seconds,
            ..self
        }
    }

    /// The Message with these Sets.
    pub fn with(&self, sets: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (id, content) in sets {
            body.extend(id.to_be_bytes());
            body.extend((content.len() as u16 + 4).to_be_bytes());
            body.extend(content);
        }
        let mut out = self.version.to_be_bytes().to_vec();
        let exported = (EXPORTED / 1000) as u32 + self.seconds;
        if self.version == 10 {
            out.extend((body.len() as u16 + 16).to_be_bytes());
            out.extend(exported.to_be_bytes());
        } else {
            out.extend((sets.len() as u16).to_be_bytes());
            out.extend(self.up_time.to_be_bytes());
            out.extend(exported.to_be_bytes());
        }
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.domain.to_be_bytes());
        out.extend(body);
        out
    }
}

/// An IPFIX Message of these Sets.
pub fn ipfix(sequence: u32, sets: &[(u16, Vec<u8>)]) -> Vec<u8> {
    Header::ipfix(sequence).with(sets)
}

/// The header of a Message of IPFIX (10) or NetFlow v9.
pub fn header(version: u16, sequence: u32) -> Header {
    match version {
        9 => Header::netflow9(sequence),
        _ => Header::ipfix(sequence),
    }
}

/// The Set ID of templates in IPFIX (10) or NetFlow v9.
pub const fn template_set(version: u16) -> u16 {
    if version == 9 { 0 } else { 2 }
}

/// A NetFlow v9 datagram of these FlowSets.
pub fn netflow9(sets: &[(u16, Vec<u8>)]) -> Vec<u8> {
    Header::netflow9(1).with(sets)
}

/// A template of these elements and lengths.
pub fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let all: Vec<_> = fields
        .iter()
        .map(|(id, length)| (0, *id, *length))
        .collect();
    template_of(id, &all)
}

/// A template of these elements: enterprise, number, length.
pub fn template_of(id: u16, fields: &[(u32, u16, u16)]) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend((fields.len() as u16).to_be_bytes());
    out.extend(specifiers(fields));
    out
}

/// An options template whose first `scope` fields are scope.
pub fn options_template(id: u16, scope: u16, fields: &[(u32, u16, u16)]) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend((fields.len() as u16).to_be_bytes());
    out.extend(scope.to_be_bytes());
    out.extend(specifiers(fields));
    out
}

fn specifiers(fields: &[(u32, u16, u16)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (enterprise, element, length) in fields {
        let bit = if *enterprise == 0 { 0 } else { 0x8000 };
        out.extend((element | bit).to_be_bytes());
        out.extend(length.to_be_bytes());
        if *enterprise != 0 {
            out.extend(enterprise.to_be_bytes());
        }
    }
    out
}

/// Numbers of these widths, one after the other.
pub fn numbers(values: &[(u64, usize)]) -> Vec<u8> {
    let octets = values
        .iter()
        .map(|(value, width)| value.to_be_bytes()[8 - width..].to_vec());
    octets.collect::<Vec<_>>().concat()
}

/// An exporter and the process that it sends to.
pub struct Exporter {
    pub process: CollectingProcess,
    pub taken: Taken,
}

impl Exporter {
    pub fn new(limits: Limits) -> Self {
        Self {
            process: CollectingProcess::new(limits),
            taken: Taken::default(),
        }
    }

    pub fn send_from(&mut self, port: u16, datagram: &[u8]) {
        let from = SocketAddr::new("192.0.2.1".parse().unwrap(), port);
        self.process.receive(from, datagram, 0, &mut self.taken);
    }

    /// Sends from an address and port, at a number of milliseconds after [`EXPORTED`].
    pub fn send_at(&mut self, from: &str, milliseconds: u64, datagram: &[u8]) {
        let now = EXPORTED + milliseconds;
        let from: SocketAddr = from.parse().unwrap();
        self.process.receive(from, datagram, now, &mut self.taken);
    }

    /// Octets of the records since the last call.
    pub fn take_octets(&mut self) -> Vec<u64> {
        self.taken.json.clear();
        let records = self.taken.records.drain(..);
        records.map(|record| record.octet_delta_count).collect()
    }

    pub fn send(&mut self, datagram: &[u8]) {
        self.send_from(4000, datagram);
    }

    pub fn octets(&self) -> Vec<u64> {
        self.taken
            .records
            .iter()
            .map(|r| r.octet_delta_count)
            .collect()
    }

    pub fn unusable(&self, reason: Unusable) -> u64 {
        self.process.counters().unusable.get(reason)
    }
}

/// One that has sent nothing, to a process of the usual bounds.
pub fn exporter() -> Exporter {
    Exporter::new(Limits::default())
}

/// The record of these fields: element, value, length.
pub fn record(version: u16, fields: &[(u16, u64, u16)]) -> FlowRecord {
    let specifiers: Vec<_> = fields
        .iter()
        .map(|(id, _, length)| (*id, *length))
        .collect();
    let values: Vec<_> = fields
        .iter()
        .map(|(_, value, length)| (*value, (*length).into()))
        .collect();
    let (templates, header) = match version {
        9 => (0, Header::netflow9(1)),
        _ => (2, Header::ipfix(1)),
    };
    let mut e = exporter();
    let sets = [
        (templates, template(300, &specifiers)),
        (300, numbers(&values)),
    ];
    e.send(&header.with(&sets));
    e.taken.records.remove(0)
}

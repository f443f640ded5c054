//! A decoder of NetFlow v5, v9 and IPFIX that adds up what it decodes.
//!
//! It judges exporters and counts what is sent to collectors, so it shares no code with kipfix.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use serde::Serialize;

use crate::flows::{FlowKey, FlowSums, Flows};

/// Private Enterprise Number of reverse elements (RFC 5103).
const REVERSE: u32 = 29_305;
/// Length of a variable-length field in a template.
const VARIABLE: u16 = 65_535;

/// Sums over all datagrams.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Totals {
    pub(crate) datagrams: u64,
    pub(crate) datagram_octets: u64,
    pub(crate) largest_datagram: u64,
    /// Data Records, without options data.
    pub(crate) records: u64,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    pub(crate) templates: u64,
    pub(crate) option_records: u64,
    /// Data Sets without a template.
    pub(crate) unknown_sets: u64,
    pub(crate) malformed: u64,
    /// Messages whose sequence number is not the expected one.
    pub(crate) sequence_gaps: u64,
}

/// Identity of a template: version, observation domain, template id.
type TemplateKey = (u16, u32, u16);

struct Template {
    is_options: bool,
    fields: Vec<Field>,
}

#[derive(Clone, Copy)]
struct Field {
    enterprise: u32,
    element: u16,
    length: u16,
}

/// The decoder and its state.
#[derive(Default)]
pub(crate) struct Decoder {
    pub(crate) totals: Totals,
    /// Sums by flow, if they are wanted.
    pub(crate) flows: Option<Flows>,
    templates: HashMap<TemplateKey, Rc<Template>>,
    expected: HashMap<(u16, u32), u32>,
}

impl Decoder {
    /// Decodes a datagram.
    pub(crate) fn datagram(&mut self, datagram: &[u8]) {
        self.totals.datagrams += 1;
        self.totals.datagram_octets += datagram.len() as u64;
        self.totals.largest_datagram = self.totals.largest_datagram.max(datagram.len() as u64);
        let decoded = match u16_at(datagram, 0) {
            Some(5) => self.netflow5(datagram),
            Some(9) => self.sets(datagram, 9),
            Some(10) => self.sets(datagram, 10),
            _ => None,
        };
        if decoded.is_none() {
            self.totals.malformed += 1;
        }
    }

    fn netflow5(&mut self, datagram: &[u8]) -> Option<()> {
        let count = u16_at(datagram, 2)?;
        if datagram.len() != 24 + 48 * usize::from(count) {
            return None;
        }
        let engine = u32::from(datagram[21]);
        self.sequence(5, engine, u32_at(datagram, 16)?, count.into());
        for record in datagram[24..].chunks(48) {
            let key = FlowKey {
                source: address(&record[..4])?,
                destination: address(&record[4..8])?,
                source_port: u16_at(record, 32)?,
                destination_port: u16_at(record, 34)?,
                protocol: record[38],
            };
            let sums = FlowSums {
                packets: u32_at(record, 16)?.into(),
                octets: u32_at(record, 20)?.into(),
            };
            self.totals.records += 1;
            self.add(key, sums);
        }
        Some(())
    }

    /// The Sets of a NetFlow v9 packet or an IPFIX Message.
    fn sets(&mut self, message: &[u8], version: u16) -> Option<()> {
        let (sequence, domain, mut rest) = if version == 9 {
            (
                u32_at(message, 12)?,
                u32_at(message, 16)?,
                message.get(20..)?,
            )
        } else {
            if usize::from(u16_at(message, 2)?) != message.len() {
                return None;
            }
            (
                u32_at(message, 8)?,
                u32_at(message, 12)?,
                message.get(16..)?,
            )
        };
        let mut records = 0;
        while rest.len() >= 4 {
            let id = u16_at(rest, 0)?;
            let length = usize::from(u16_at(rest, 2)?);
            let set = rest.get(4..length)?;
            rest = &rest[length..];
            match (version, id) {
                (9, 0) => self.template_set(version, domain, set)?,
                (9, 1) => self.options_template_set9(domain, set)?,
                (10, 2) => self.template_set(version, domain, set)?,
                (10, 3) => self.options_template_set(domain, set)?,
                (_, 256..) => records += self.data_set((version, domain, id), set)?,
                _ => self.totals.unknown_sets += 1,
            }
        }
        // NetFlow v9 counts packets, IPFIX counts Data Records.
        let advance = if version == 9 { 1 } else { records };
        self.sequence(version, domain, sequence, advance);
        Some(())
    }

    fn template_set(&mut self, version: u16, domain: u32, mut set: &[u8]) -> Option<()> {
        while set.len() >= 4 && u16_at(set, 0)? >= 256 {
            let (id, count) = (u16_at(set, 0)?, u16_at(set, 2)?);
            let fields;
            (fields, set) = read_fields(&set[4..], count, version == 10)?;
            self.add_template((version, domain, id), false, fields);
        }
        Some(())
    }

    fn options_template_set(&mut self, domain: u32, mut set: &[u8]) -> Option<()> {
        while set.len() >= 6 && u16_at(set, 0)? >= 256 {
            let (id, count) = (u16_at(set, 0)?, u16_at(set, 2)?);
            let fields;
            (fields, set) = read_fields(&set[6..], count, true)?;
            self.add_template((10, domain, id), true, fields);
        }
        Some(())
    }

    fn options_template_set9(&mut self, domain: u32, mut set: &[u8]) -> Option<()> {
        while set.len() >= 6 && u16_at(set, 0)? >= 256 {
            let id = u16_at(set, 0)?;
            let count = (u16_at(set, 2)? + u16_at(set, 4)?) / 4;
            let fields;
            (fields, set) = read_fields(&set[6..], count, false)?;
            self.add_template((9, domain, id), true, fields);
        }
        Some(())
    }

    fn add_template(&mut self, key: TemplateKey, is_options: bool, fields: Vec<Field>) {
        self.totals.templates += 1;
        let template = Template { is_options, fields };
        self.templates.insert(key, Rc::new(template));
    }

    /// Decodes the records of a Data Set; returns how many there are.
    fn data_set(&mut self, key: TemplateKey, mut set: &[u8]) -> Option<u32> {
        let Some(template) = self.templates.get(&key).cloned() else {
            self.totals.unknown_sets += 1;
            return Some(0);
        };
        let shortest: usize = template.fields.iter().map(Field::min_length).sum();
        let mut records = 0;
        while shortest > 0 && set.len() >= shortest {
            let (record, rest) = Record::read(&template.fields, set)?;
            set = rest;
            records += 1;
            if template.is_options {
                self.totals.option_records += 1;
            } else {
                self.totals.records += 1;
                self.add_record(&record);
            }
        }
        Some(records)
    }

    fn add_record(&mut self, record: &Record) {
        let key = FlowKey {
            source: record.source,
            destination: record.destination,
            source_port: record.source_port,
            destination_port: record.destination_port,
            protocol: record.protocol,
        };
        let forward = record.forward.sums();
        if forward.packets > 0 || !record.has_reverse {
            self.add(key, forward);
        }
        let reverse = record.reverse.sums();
        if reverse.packets > 0 {
            let key = FlowKey {
                source: key.destination,
                destination: key.source,
                source_port: key.destination_port,
                destination_port: key.source_port,
                ..key
            };
            self.add(key, reverse);
        }
    }

    fn add(&mut self, key: FlowKey, sums: FlowSums) {
        self.totals.packets += sums.packets;
        self.totals.octets += sums.octets;
        if let Some(flows) = &mut self.flows {
            flows.add(key, sums);
        }
    }

    fn sequence(&mut self, version: u16, domain: u32, sequence: u32, advance: u32) {
        let next = sequence.wrapping_add(advance);
        if let Some(expected) = self.expected.insert((version, domain), next)
            && expected != sequence
        {
            self.totals.sequence_gaps += 1;
        }
    }
}

impl Field {
    fn min_length(&self) -> usize {
        match self.length {
            VARIABLE => 1,
            length => length.into(),
        }
    }
}

/// Packets and octets as a record gives them: the change, or the total since the flow's start.
#[derive(Default)]
struct Counters {
    delta: FlowSums,
    total: FlowSums,
}

impl Counters {
    fn sums(&self) -> FlowSums {
        if self.delta == FlowSums::default() {
            self.total
        } else {
            self.delta
        }
    }
}

/// What is wanted of a Data Record.
struct Record {
    source: IpAddr,
    destination: IpAddr,
    source_port: u16,
    destination_port: u16,
    protocol: u8,
    forward: Counters,
    reverse: Counters,
    has_reverse: bool,
}

impl Record {
    /// Reads a record; returns the octets behind it, too.
    fn read<'a>(fields: &[Field], mut octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut record = Self {
            source: Ipv4Addr::UNSPECIFIED.into(),
            destination: Ipv4Addr::UNSPECIFIED.into(),
            source_port: 0,
            destination_port: 0,
            protocol: 0,
            forward: Counters::default(),
            reverse: Counters::default(),
            has_reverse: false,
        };
        for field in fields {
            let value;
            (value, octets) = read_value(field.length, octets)?;
            record.set(field, value);
        }
        Some((record, octets))
    }

    fn set(&mut self, field: &Field, value: &[u8]) {
        let counters = match field.enterprise {
            0 => &mut self.forward,
            REVERSE => {
                self.has_reverse = true;
                &mut self.reverse
            }
            _ => return,
        };
        match field.element {
            1 => counters.delta.octets = number(value),
            2 => counters.delta.packets = number(value),
            85 => counters.total.octets = number(value),
            86 => counters.total.packets = number(value),
            _ if field.enterprise != 0 => {}
            4 => self.protocol = number(value) as u8,
            7 => self.source_port = number(value) as u16,
            11 => self.destination_port = number(value) as u16,
            8 | 27 => self.source = address(value).unwrap_or(self.source),
            12 | 28 => self.destination = address(value).unwrap_or(self.destination),
            _ => {}
        }
    }
}

/// Reads the field specifiers of a template; returns the octets behind them, too.
fn read_fields(
    mut octets: &[u8],
    count: u16,
    has_enterprises: bool,
) -> Option<(Vec<Field>, &[u8])> {
    let mut fields = Vec::with_capacity(count.into());
    for _ in 0..count {
        let mut field = Field {
            enterprise: 0,
            element: u16_at(octets, 0)?,
            length: u16_at(octets, 2)?,
        };
        octets = &octets[4..];
        if has_enterprises && field.element & 0x8000 != 0 {
            field.element &= 0x7fff;
            field.enterprise = u32_at(octets, 0)?;
            octets = &octets[4..];
        }
        fields.push(field);
    }
    Some((fields, octets))
}

/// Reads a field's value, of variable length if the template has it (RFC 7011 section 7).
fn read_value(length: u16, octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, octets) = match (length, octets.first()) {
        (VARIABLE, Some(255)) => (u16_at(octets, 1)?.into(), octets.get(3..)?),
        (VARIABLE, Some(&length)) => (usize::from(length), octets.get(1..)?),
        (VARIABLE, None) => return None,
        (length, _) => (length.into(), octets),
    };
    octets.split_at_checked(length)
}

fn number(octets: &[u8]) -> u64 {
    octets
        .iter()
        .fold(0, |number, octet| (number << 8) | u64::from(*octet))
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => Some(Ipv4Addr::from(u32_at(octets, 0)?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()),
        _ => None,
    }
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    let octets = octets.get(at..at + 2)?;
    Some(u16::from_be_bytes(octets.try_into().ok()?))
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    let octets = octets.get(at..at + 4)?;
    Some(u32::from_be_bytes(octets.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPFIX Message of observation domain 7.
    fn message(sequence: u32, sets: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = vec![0, 10, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&sequence.to_be_bytes());
        message.extend_from_slice(&[0, 0, 0, 7]);
        for (id, octets) in sets {
            message.extend_from_slice(&id.to_be_bytes());
            message.extend_from_slice(&(octets.len() as u16 + 4).to_be_bytes());
            message.extend_from_slice(octets);
        }
        let length = (message.len() as u16).to_be_bytes();
        message[2..4].copy_from_slice(&length);
        message
    }

    #[test]
    fn reverse_elements_and_variable_lengths_are_read() {
        // sourceIPv4Address, an enterprise's string, octet and packet counts in both directions
        let template = [
            1, 0, 0, 6, 0, 8, 0, 4, 0x80, 1, 0xff, 0xff, 0, 0, 0xfd, 0xe7, 0, 1, 0, 2, 0, 2, 0, 1,
            0x80, 1, 0, 2, 0, 0, 0x72, 0x79, 0x80, 2, 0, 1, 0, 0, 0x72, 0x79,
        ];
        let record = [10, 0, 0, 1, 3, b'a', b'b', b'c', 1, 0, 2, 0, 200, 4];
        let mut decoder = Decoder {
            flows: Some(Flows::default()),
            ..Decoder::default()
        };
        decoder.datagram(&message(0, &[(2, &template), (256, &record)]));
        let totals = decoder.totals;
        assert_eq!((totals.records, totals.packets, totals.octets), (1, 6, 456));
        assert_eq!(decoder.flows.unwrap().len(), 2);
        assert_eq!(totals.malformed, 0);
    }

    #[test]
    fn a_gap_in_the_sequence_and_a_set_without_template_are_counted() {
        let mut decoder = Decoder::default();
        decoder.datagram(&message(0, &[(300, &[0; 8])]));
        decoder.datagram(&message(5, &[]));
        assert_eq!(decoder.totals.unknown_sets, 1);
        assert_eq!(decoder.totals.sequence_gaps, 1);
    }

    #[test]
    fn totals_count_only_where_there_are_no_deltas() {
        let template = [1, 1, 0, 4, 0, 1, 0, 1, 0, 2, 0, 1, 0, 85, 0, 1, 0, 86, 0, 1];
        let records = [10, 1, 99, 9, 0, 0, 50, 5];
        let mut decoder = Decoder::default();
        decoder.datagram(&message(0, &[(2, &template), (257, &records)]));
        assert_eq!((decoder.totals.packets, decoder.totals.octets), (6, 60));
    }

    #[test]
    fn cut_off_messages_are_malformed() {
        let whole = message(0, &[(2, &[1, 0, 0, 1, 0, 8, 0, 4])]);
        let mut decoder = Decoder::default();
        for length in 0..whole.len() {
            decoder.datagram(&whole[..length]);
        }
        assert_eq!(decoder.totals.malformed, whole.len() as u64);
    }
}

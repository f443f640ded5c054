//! Export messages of made-up records.

use std::net::IpAddr;

use anyhow::{Result, ensure};

use super::message::{Content, Message};
use crate::cluster::Cluster;
use crate::random::mix;

/// Template ids of IPv4 and IPv6 records.
const TEMPLATES: [u16; 2] = [256, 257];

/// Elements behind addresses and times, with their lengths: ports, protocol, class of service,
/// flags, end reason, interfaces, packets, octets.
const ELEMENTS: [(u16, u16); 10] = [
    (7, 2),
    (11, 2),
    (4, 1),
    (5, 1),
    (6, 1),
    (136, 1),
    (10, 4),
    (14, 4),
    (2, 8),
    (1, 8),
];

/// Version of the protocol.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    V5,
    V9,
    Ipfix,
}

/// Which pods talk to each other.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// Evenly drawn pods, never on the same node.
    Even,
    /// Every pod with every pod, one pair after the other.
    All,
}

/// What records to make.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct RecordSettings {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    /// Which pods talk to each other
    #[arg(long, value_enum, default_value = "even")]
    pairs: Pairs,
    /// Different flows; they are sent in turn
    #[arg(long, default_value_t = 10_000)]
    flows: u64,
    /// Share of IPv6 flows, for v9 and IPFIX
    #[arg(long, default_value_t = 0.15)]
    v6_share: f64,
    /// Records of a message; v5 takes at most 30
    #[arg(long, default_value_t = 20)]
    per_message: u64,
    /// Messages from one with templates to the next
    #[arg(long, default_value_t = 200)]
    template_every: u64,
}

/// Makes enough messages for every flow, and for whole rounds of templates.
pub(crate) fn synthesize(format: Format, settings: &RecordSettings) -> Result<Vec<Message>> {
    settings.cluster.check()?;
    let longest = if format == Format::V5 { 30 } else { 1000 };
    ensure!(
        (1..=longest).contains(&settings.per_message),
        "invalid per-message \"{}\": must be 1–{longest}",
        settings.per_message
    );
    let every = settings.template_every.max(1);
    let count = settings.flows.max(1).div_ceil(settings.per_message);
    let count = count.div_ceil(every) * every;
    let message = |number| MessageBuilder::new(format, settings).build(number, number % every == 0);
    Ok((0..count).map(message).collect())
}

struct FlowRecord {
    is_ipv6: bool,
    source: u32,
    destination: u32,
    source_port: u16,
    destination_port: u16,
    protocol: u8,
    packets: u64,
    octets: u64,
}

struct MessageBuilder<'a> {
    format: Format,
    settings: &'a RecordSettings,
    octets: Vec<u8>,
    content: Content,
    times_at: Vec<usize>,
}

impl<'a> MessageBuilder<'a> {
    fn new(format: Format, settings: &'a RecordSettings) -> Self {
        Self {
            format,
            settings,
            octets: Vec::with_capacity(1500),
            content: Content::default(),
            times_at: Vec::new(),
        }
    }

    fn build(mut self, number: u64, has_templates: bool) -> Message {
        let first = number * self.settings.per_message;
        let records: Vec<FlowRecord> = (first..first + self.settings.per_message)
            .map(|number| self.flow_record(number))
            .collect();
        match self.format {
            Format::V5 => self.netflow5(&records),
            Format::V9 => self.sets(20, &records, has_templates),
            Format::Ipfix => self.sets(16, &records, has_templates),
        }
        let (version, sequence_at, sequence_advance) = match self.format {
            Format::V5 => (5, 16, self.content.records),
            Format::V9 => (9, 12, 1),
            Format::Ipfix => (10, 8, self.content.records),
        };
        Message {
            octets: self.octets,
            content: self.content,
            sequence_at,
            sequence_advance: sequence_advance as u32,
            session: (version, 1),
            times_at: self.times_at,
        }
    }

    fn flow_record(&self, number: u64) -> FlowRecord {
        let RecordSettings { cluster, flows, .. } = *self.settings;
        let flow = number % flows;
        let random = mix(flow ^ 0x5151);
        let (source, destination) = match self.settings.pairs {
            Pairs::Even => {
                let source = (random >> 32) as u32 % cluster.pods;
                (source, cluster.remote_pod(source, random as u32))
            }
            Pairs::All => {
                let pods = u64::from(cluster.pods);
                ((flow / pods % pods) as u32, (flow % pods) as u32)
            }
        };
        let attributes = mix(random);
        let is_ipv6 = (attributes % 1000) as f64 / 1000.0 < self.settings.v6_share;
        let size = mix(number);
        let packets = 1 + size % 100;
        FlowRecord {
            is_ipv6: is_ipv6 && self.format != Format::V5,
            source,
            destination,
            source_port: 32_768 + (flow % 28_000) as u16,
            destination_port: [80, 443, 53, 8080, 5432, 6379][(attributes >> 40) as usize % 6],
            protocol: if (attributes >> 20) & 7 < 6 { 6 } else { 17 },
            packets,
            octets: packets * (60 + (size >> 20) % 1000),
        }
    }

    fn netflow5(&mut self, records: &[FlowRecord]) {
        self.octets.extend_from_slice(&[0, 5]);
        self.put16(records.len() as u16);
        self.octets.resize(24, 0);
        for record in records {
            self.put_addresses(record);
            // Next hop and interfaces.
            self.octets.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, 2]);
            self.put32(record.packets as u32);
            self.put32(record.octets as u32);
            self.put_times(8);
            self.put16(record.source_port);
            self.put16(record.destination_port);
            self.octets.extend_from_slice(&[0, 0x1b, record.protocol]);
            self.octets.extend_from_slice(&[0; 9]);
            self.count(record);
        }
    }

    fn sets(&mut self, header: usize, records: &[FlowRecord], has_templates: bool) {
        let version = if self.format == Format::V9 { 9 } else { 10 };
        self.put16(version);
        self.octets.resize(header, 0);
        // Observation domain 1.
        self.octets[header - 1] = 1;
        let mut count = records.len() as u16;
        if has_templates {
            self.templates();
            count += TEMPLATES.len() as u16;
        }
        for (is_ipv6, id) in [(false, TEMPLATES[0]), (true, TEMPLATES[1])] {
            let of_family = || records.iter().filter(|r| r.is_ipv6 == is_ipv6);
            if of_family().next().is_none() {
                continue;
            }
            let begin = self.begin_set(id);
            for record in of_family() {
                self.record(record);
            }
            while version == 9 && !(self.octets.len() - begin).is_multiple_of(4) {
                self.octets.push(0);
            }
            self.end_set(begin);
        }
        let length = if version == 9 {
            count
        } else {
            self.octets.len() as u16
        };
        self.octets[2..4].copy_from_slice(&length.to_be_bytes());
    }

    fn templates(&mut self) {
        let is_v9 = self.format == Format::V9;
        let times = if is_v9 {
            [(22, 4), (21, 4)]
        } else {
            [(152, 8), (153, 8)]
        };
        let begin = self.begin_set(if is_v9 { 0 } else { 2 });
        for (id, addresses) in TEMPLATES
            .into_iter()
            .zip([[(8, 4), (12, 4)], [(27, 16), (28, 16)]])
        {
            self.put16(id);
            self.put16((addresses.len() + times.len() + ELEMENTS.len()) as u16);
            for (element, length) in addresses.into_iter().chain(times).chain(ELEMENTS) {
                self.put16(element);
                self.put16(length);
            }
        }
        self.end_set(begin);
    }

    fn record(&mut self, record: &FlowRecord) {
        self.put_addresses(record);
        self.put_times(if self.format == Format::V9 { 8 } else { 16 });
        self.put16(record.source_port);
        self.put16(record.destination_port);
        self.octets
            .extend_from_slice(&[record.protocol, 0, 0x1b, 3]);
        self.put32(1);
        self.put32(2);
        self.octets.extend_from_slice(&record.packets.to_be_bytes());
        self.octets.extend_from_slice(&record.octets.to_be_bytes());
        self.count(record);
    }

    fn count(&mut self, record: &FlowRecord) {
        self.content.records += 1;
        self.content.packets += record.packets;
        self.content.octets += record.octets;
    }

    fn put_addresses(&mut self, record: &FlowRecord) {
        for pod in [record.source, record.destination] {
            match self.settings.cluster.address(pod, record.is_ipv6) {
                IpAddr::V4(address) => self.octets.extend_from_slice(&address.octets()),
                IpAddr::V6(address) => self.octets.extend_from_slice(&address.octets()),
            }
        }
    }

    /// Leaves room for start and end times.
    fn put_times(&mut self, octets: usize) {
        self.times_at.push(self.octets.len());
        self.octets.resize(self.octets.len() + octets, 0);
    }

    fn begin_set(&mut self, id: u16) -> usize {
        let begin = self.octets.len();
        self.put16(id);
        self.put16(0);
        begin
    }

    fn end_set(&mut self, begin: usize) {
        let length = (self.octets.len() - begin) as u16;
        self.octets[begin + 2..begin + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn put16(&mut self, number: u16) {
        self.octets.extend_from_slice(&number.to_be_bytes());
    }

    fn put32(&mut self, number: u32) {
        self.octets.extend_from_slice(&number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::blast::message::from_capture;
    use crate::decode::Decoder;

    const SETTINGS: RecordSettings = RecordSettings {
        cluster: Cluster {
            pods: 100,
            nodes: 4,
            replicas: 5,
        },
        pairs: Pairs::Even,
        flows: 1000,
        v6_share: 0.2,
        per_message: 20,
        template_every: 10,
    };

    #[test]
    fn messages_decode_to_what_they_say_they_carry() {
        for format in [Format::V5, Format::V9, Format::Ipfix] {
            let mut decoder = Decoder::default();
            let mut sent = Content::default();
            let mut sequence = 0;
            for mut message in synthesize(format, &SETTINGS).unwrap() {
                message.set_sequence(sequence);
                message.set_time(
                    UNIX_EPOCH + Duration::from_secs(1_700_000_000),
                    Duration::ZERO,
                );
                sequence += message.sequence_advance;
                sent.records += message.content.records;
                sent.packets += message.content.packets;
                sent.octets += message.content.octets;
                decoder.datagram(&message.octets);
            }
            let totals = decoder.totals;
            assert_eq!(
                (totals.malformed, totals.unknown_sets, totals.sequence_gaps),
                (0, 0, 0)
            );
            assert_eq!(
                (totals.records, totals.packets, totals.octets),
                (sent.records, sent.packets, sent.octets),
                "{format:?}"
            );
        }
    }

    #[test]
    fn captured_messages_keep_their_content_and_advance() {
        let synthesized = synthesize(Format::Ipfix, &SETTINGS).unwrap();
        let datagrams: Vec<&[u8]> = synthesized.iter().map(|m| m.octets.as_slice()).collect();
        let captured = from_capture(&datagrams).unwrap();
        for (captured, original) in captured.iter().zip(&synthesized) {
            assert_eq!(captured.content.octets, original.content.octets);
            assert_eq!(captured.sequence_advance, original.sequence_advance);
        }
        assert!(from_capture(&[&[0, 10, 0, 16]]).is_err());
    }

    #[test]
    fn all_pairs_are_every_pod_with_every_pod() {
        let settings = RecordSettings {
            pairs: Pairs::All,
            flows: 10_000,
            ..SETTINGS
        };
        let builder = MessageBuilder::new(Format::Ipfix, &settings);
        let pairs: std::collections::HashSet<(u32, u32)> = (0..10_000)
            .map(|number| builder.flow_record(number))
            .map(|record| (record.source, record.destination))
            .collect();
        assert_eq!(pairs.len(), 10_000);
    }
}

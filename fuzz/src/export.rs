//! Flow records in each version of the protocol, to a Collecting Process and to the dump.

use flowproto::collector::{CollectingProcess, Limits, SequenceCounts};
use flowproto::explain::{Bounds, Captured, Explainer, Rule};
use flowproto::exporter::{
    ExportSession, ExportSettings, Facts, InterfaceName, Statistics, Unsupported, Version, Weight,
};
use flowproto::protocol::ICMP;
use flowproto::record::{FlowEndReason, Interfaces, Sampling};
use flowproto::{Address, FlowRecord};

use crate::decoding::{Taken, number};
use crate::input::{BEGAN, Octets};
use crate::records::{self, canonical};

/// NetFlow v5 counts in 32 bits.
const V5_MOST: u64 = (1 << 32) - 1;

/// What becomes of Messages.
struct Receiver {
    process: CollectingProcess,
    explainer: Explainer,
    taken: Taken,
    is_reliable: bool,
    weight: Weight,
    messages: u64,
    /// No Message may be longer.
    most: usize,
    longest: usize,
}

/// Flow records into an Export Session: what the version carries comes back the same, what it does
/// not is refused or left out; a record that NetFlow v5 splits adds up; Messages are not longer
/// than allowed; the dump finds nothing wrong with them; and a connection that is closed leaves no
/// template. The first octets are the settings.
pub(crate) fn export(data: &[u8]) {
    let mut octets = Octets(data);
    let modes = octets.u8();
    let version = match modes & 3 {
        0 | 1 => Version::Ipfix,
        2 => Version::Netflow9,
        _ => Version::Netflow5,
    };
    let is_reliable = modes & 4 != 0 && version == Version::Ipfix;
    let is_wild = modes & 8 != 0;
    let facts = facts(&mut octets, modes & 16 != 0);
    let settings = ExportSettings {
        version,
        profile: flowproto::exporter::Profile::All,
        observation_domain_id: octets.u32(),
        observation_domain_name: octets.text(),
        exporter_address: records::address(&mut octets, modes & 32 != 0),
        max_message_octets: octets.u16().into(),
        reliable: is_reliable,
        template_refresh_milliseconds: 60_000,
        template_refresh_messages: 5,
        template_idle_milliseconds: 120_000,
    };
    let most = settings.max_message_octets.max(512);
    let mut receiver = Receiver {
        process: CollectingProcess::new(Limits::default()),
        explainer: Explainer::new(Bounds::default()),
        taken: Taken::default(),
        is_reliable,
        weight: Weight::default(),
        messages: 0,
        most,
        longest: 0,
    };
    let mut session = ExportSession::new(settings);
    session.renew(facts.clone());
    let mut now = BEGAN;
    let (mut expected, mut parts, mut refused) = (Vec::new(), Vec::new(), 0_u64);
    while !octets.is_empty() {
        match octets.u8() {
            0 => session.flush(now, &mut |m| receiver.take(&m, now)),
            1 => now += 61_000,
            2 => now += 2_000_000_000,
            3 => session.refresh(),
            4 => {
                session.flush(now, &mut |m| receiver.take(&m, now));
                let limit = usize::from(octets.u16());
                session.limit_message_octets(limit);
                receiver.most = limit.max(512);
            }
            5 => {
                let counts = Facts {
                    statistics: statistics(&mut octets),
                    ..facts.clone()
                };
                session.renew(counts);
            }
            _ => {
                let record = records::record(&mut octets, now, is_wild);
                let added = session.add(&record, now, &mut |m| receiver.take(&m, now));
                match added {
                    Ok(()) => expect(version, &record, facts.sampling, &mut expected, &mut parts),
                    Err(Unsupported::Ipv6) => {
                        let key = record.key;
                        assert_eq!(version, Version::Netflow5);
                        assert!(
                            !(key.source_address.is_ipv4() && key.destination_address.is_ipv4())
                        );
                        refused += 1;
                    }
                }
            }
        }
    }
    session.close(now, &mut |m| receiver.take(&m, now));
    receiver.check(version, is_wild, number(parts.len()), refused);
    let records = std::mem::take(&mut receiver.taken.records);
    check_records(version, is_wild, &expected, &parts, &records);
}

fn facts(octets: &mut Octets<'_>, has: bool) -> Facts {
    if !has {
        return Facts::default();
    }
    let population = match octets.u8() {
        0 => 1,
        // What NetFlow v5 can say.
        population => u32::from(population) * 64,
    };
    let interfaces = (0..octets.u8() % 40).map(|_| InterfaceName {
        index: octets.u32(),
        name: octets.text(),
        description: octets.text(),
    });
    Facts {
        sampling: Sampling::one_in(population),
        interfaces: interfaces.collect(),
        ..Facts::default()
    }
}

fn statistics(octets: &mut Octets<'_>) -> Statistics {
    Statistics {
        observed_flows: octets.u64(),
        ignored_packets: octets.u64(),
        ignored_octets: octets.u64(),
        not_sent_flows: octets.u64(),
        not_sent_packets: octets.u64(),
        not_sent_octets: octets.u64(),
    }
}

impl Receiver {
    fn take(&mut self, message: &flowproto::exporter::OutgoingMessage<'_>, now: u64) {
        let octets = message.octets;
        assert!(
            octets.len() <= self.most,
            "{} of {}",
            octets.len(),
            self.most
        );
        self.longest = self.longest.max(octets.len());
        self.messages += 1;
        let weight = message.weight;
        self.weight.records += weight.records;
        self.weight.split += weight.split;
        self.weight.packets += weight.packets;
        self.weight.octets += weight.octets;
        let mut exporter = std::net::SocketAddr::from(([192, 0, 2, 1], 4000));
        if self.is_reliable {
            let read = self
                .process
                .receive_over(1, exporter, octets, now, &mut self.taken);
            assert_eq!(read, Ok(()));
            // For the dump: it is not a datagram.
            exporter.set_port(0);
        } else {
            self.process.receive(exporter, octets, now, &mut self.taken);
        }
        let captured = Captured {
            exporter,
            time_milliseconds: None,
            octets,
        };
        self.explainer.explain(&captured, &mut Vec::new());
    }

    fn check(&self, version: Version, is_wild: bool, records: u64, refused: u64) {
        let counters = self.process.counters();
        assert_eq!(counters.unusable.total(), 0);
        assert_eq!(counters.messages.values().sum::<u64>(), self.messages);
        let mut sequence = counters.sequence;
        // The uptime restarts if the time of a record does not fit.
        if version != Version::Ipfix {
            sequence.restarts = 0;
        }
        assert_eq!(sequence, SequenceCounts::default());
        assert_eq!(self.weight.records, records);
        assert_eq!(counters.records, records + self.weight.split);
        let sum = |of: fn(&FlowRecord) -> u64| self.taken.records.iter().map(of).sum::<u64>();
        let octets = sum(|r| r.octet_delta_count + r.reverse_octet_delta_count);
        let packets = sum(|r| r.packet_delta_count + r.reverse_packet_delta_count);
        assert_eq!((octets, packets), (self.weight.octets, self.weight.packets));
        assert!(refused == 0 || version == Version::Netflow5);
        if self.is_reliable {
            assert_eq!(self.process.occupancy().templates, 0);
        }
        for problem in Rule::ALL.iter().copied() {
            let may_be = match problem {
                Rule::EndBeforeStart | Rule::EndAfterExport => is_wild,
                Rule::Restart => version != Version::Ipfix,
                _ => false,
            };
            let count = self.explainer.count(problem);
            assert!(count == 0 || may_be, "{count} of {}", problem.as_str());
        }
    }
}

/// Appends the records that are to come of one, and how many of them.
fn expect(
    version: Version,
    record: &FlowRecord,
    sampling: Sampling,
    expected: &mut Vec<FlowRecord>,
    parts: &mut Vec<usize>,
) {
    let directions = record.directions();
    let directions = if record.is_biflow() {
        &directions[..]
    } else {
        &directions[..1]
    };
    let before = expected.len();
    match version {
        Version::Ipfix => expected.push(ipfix(record, sampling)),
        Version::Netflow9 => expected.extend(directions.iter().map(|r| netflow9(r, sampling))),
        Version::Netflow5 => {
            for direction in directions {
                let count = direction
                    .octet_delta_count
                    .max(direction.packet_delta_count);
                let split = count.div_ceil(V5_MOST).max(1);
                for part in 0..split {
                    let share = |total: u64| total / split + u64::from(part < total % split);
                    let mut record = netflow5(direction, sampling);
                    record.octet_delta_count = share(direction.octet_delta_count);
                    record.packet_delta_count = share(direction.packet_delta_count);
                    expected.push(record);
                }
            }
        }
    }
    parts.push(expected.len() - before);
}

fn check_records(
    version: Version,
    is_wild: bool,
    expected: &[FlowRecord],
    parts: &[usize],
    records: &[FlowRecord],
) {
    assert_eq!(expected.len(), parts.iter().sum::<usize>());
    assert_eq!(expected.len(), records.len());
    for (expected, record) in expected.iter().zip(records) {
        let (mut expected, mut record) = (canonical(expected), canonical(record));
        // An uptime of 32 bits cannot say any time there is.
        if is_wild && version != Version::Ipfix {
            for record in [&mut expected, &mut record] {
                record.flow_start_milliseconds = 0;
                record.flow_end_milliseconds = 0;
            }
        }
        // 0 is unknown. It is exported as the other of the two times, or as the current time.
        let known = expected.flow_start_milliseconds != 0 && expected.flow_end_milliseconds != 0;
        if version != Version::Ipfix && !known {
            record.flow_start_milliseconds = expected.flow_start_milliseconds;
            record.flow_end_milliseconds = expected.flow_end_milliseconds;
        }
        assert_eq!(expected, record);
    }
}

/// What IPFIX carries of a record.
fn ipfix(record: &FlowRecord, sampling: Sampling) -> FlowRecord {
    let seconds = record.connection_sum_duration_seconds.unwrap_or_default();
    let mut carried = FlowRecord {
        tcp_control_bits: record.tcp_control_bits & 0xff,
        reverse_tcp_control_bits: record.reverse_tcp_control_bits & 0xff,
        biflow_direction: Some(record.biflow_direction.unwrap_or_default()),
        new_connection_delta_count: Some(record.new_connection_delta_count.unwrap_or_default()),
        connection_sum_duration_seconds: Some(seconds.min(u32::MAX.into())),
        interfaces: record.interfaces.map(directed),
        tunnel: record.tunnel,
        bgp_source_as_number: 0,
        bgp_destination_as_number: 0,
        source_prefix_length: 0,
        destination_prefix_length: 0,
        ip_next_hop_address: Address::UNSPECIFIED,
        sampling,
        exporter_address: Address::UNSPECIFIED,
        ..record.clone()
    };
    if !record.is_biflow() {
        carried = carried.forward();
    }
    records::carry_tunnel(&mut carried);
    carried
}

fn directed(interfaces: Interfaces) -> Interfaces {
    Interfaces {
        flow_direction: Some(interfaces.flow_direction.unwrap_or_default()),
        ..interfaces
    }
}

/// What NetFlow v9 carries of a direction.
fn netflow9(record: &FlowRecord, sampling: Sampling) -> FlowRecord {
    FlowRecord {
        key: record.key,
        octet_delta_count: record.octet_delta_count,
        packet_delta_count: record.packet_delta_count,
        flow_start_milliseconds: record.flow_start_milliseconds,
        flow_end_milliseconds: record.flow_end_milliseconds,
        tcp_control_bits: record.tcp_control_bits & 0xff,
        ip_class_of_service: record.ip_class_of_service,
        icmp_type_code: record.icmp_type_code,
        vlan_id: record.vlan_id,
        interfaces: Some(directed(record.interfaces.unwrap_or_default())),
        sampling,
        ..FlowRecord::default()
    }
}

/// What NetFlow v5 carries of a direction, but for the counts.
fn netflow5(record: &FlowRecord, sampling: Sampling) -> FlowRecord {
    let short = |number: u32, instead: u16| u32::from(u16::try_from(number).unwrap_or(instead));
    let interfaces = record.interfaces.unwrap_or_default();
    let mut carried = FlowRecord {
        vlan_id: 0,
        icmp_type_code: 0,
        interfaces: Some(Interfaces {
            ingress_interface: short(interfaces.ingress_interface, 0),
            egress_interface: short(interfaces.egress_interface, 0),
            flow_direction: None,
        }),
        // AS_TRANS.
        bgp_source_as_number: short(record.bgp_source_as_number, 23_456),
        bgp_destination_as_number: short(record.bgp_destination_as_number, 23_456),
        source_prefix_length: record.source_prefix_length,
        destination_prefix_length: record.destination_prefix_length,
        flow_end_reason: FlowEndReason::Unknown,
        ..netflow9(record, sampling)
    };
    if record.ip_next_hop_address.is_ipv4() {
        carried.ip_next_hop_address = record.ip_next_hop_address;
    }
    if record.key.protocol_identifier == ICMP {
        carried.key.destination_port = record.icmp_type_code;
        carried.icmp_type_code = record.icmp_type_code;
    }
    carried
}

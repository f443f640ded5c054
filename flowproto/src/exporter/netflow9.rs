//! NetFlow version 9 (RFC 3954).
//!
//! The field types are those of the RFC and of Cisco's first extensions: v9 has no enterprise
//! numbers, and tools know no others. Tunnels, connections and the initiator are left out. Flow
//! times are milliseconds of uptime (22, 21), which every v9 tool reads: goflow2 reads nothing
//! else, while nfcapd, nfacctd and tshark read 152/153 too. The header has whole seconds; seconds
//! and uptime are rounded up together, so that times are exact and no flow ends after its packet.

use super::uptime::Uptime;
use super::{
    ExportSettings, Facts, OutgoingMessage, Send, Weight, count, message_octets, patch, put,
};
use crate::record::{FlowRecord, Sampling};

const HEADER: usize = 20;
const SET_HEADER: usize = 4;
const TEMPLATE_SET: u16 = 0;
const OPTIONS_TEMPLATE_SET: u16 = 1;
/// Template of IPv4; that of IPv6 follows.
const FIRST_FLOW_TEMPLATE: u16 = 256;
const STATISTICS: u16 = 260;
const SAMPLING: u16 = 261;
const INTERFACES: u16 = 262;
/// Octets of IF_NAME and IF_DESC: v9 has no variable length.
const NAME_OCTETS: usize = 16;
const DESCRIPTION_OCTETS: usize = 32;

/// The fields behind the addresses: type, octets.
const FLOW: [(u16, u16); 15] = [
    (7, 2),  // L4_SRC_PORT
    (11, 2), // L4_DST_PORT
    (4, 1),  // PROTOCOL
    (5, 1),  // SRC_TOS
    (6, 1),  // TCP_FLAGS
    (61, 1), // DIRECTION
    (58, 2), // SRC_VLAN
    (32, 2), // ICMP_TYPE
    (1, 8),  // IN_BYTES
    (2, 8),  // IN_PKTS
    (22, 4), // FIRST_SWITCHED
    (21, 4), // LAST_SWITCHED
    (10, 4), // INPUT_SNMP
    (14, 4), // OUTPUT_SNMP
    (60, 1), // IP_PROTOCOL_VERSION
];
const V4: [(u16, u16); 2] = [(8, 4), (12, 4)];
const V6: [(u16, u16); 2] = [(27, 16), (28, 16)];
/// Octets of a record.
const RECORD_V4: usize = 8 + FLOW_OCTETS;
const RECORD_V6: usize = 32 + FLOW_OCTETS;
const FLOW_OCTETS: usize = 45;

/// A session of NetFlow v9.
#[derive(Debug)]
pub struct Session {
    settings: ExportSettings,
    facts: Facts,
    max_octets: usize,
    message: Vec<u8>,
    /// The current FlowSet: its ID and offset in the packet.
    set: Option<(u16, usize)>,
    /// Records in the packet, those of templates and options data included.
    records: u16,
    weight: Weight,
    uptime: Uptime,
    /// Packets sent, which is what the sequence number of v9 counts.
    sequence: u32,
    records_sent: u64,
    octets_sent: u64,
    refreshed: Option<u64>,
    packets_since_refresh: u32,
    interfaces_sent: bool,
}

impl Session {
    /// Creates a session that has sent nothing.
    #[must_use]
    pub fn new(settings: ExportSettings) -> Self {
        let max_octets = message_octets(settings.max_message_octets);
        let mut message = Vec::with_capacity(max_octets);
        message.resize(HEADER, 0);
        Self {
            settings,
            facts: Facts::default(),
            max_octets,
            message,
            set: None,
            records: 0,
            weight: Weight::default(),
            uptime: Uptime::default(),
            sequence: 0,
            records_sent: 0,
            octets_sent: 0,
            refreshed: None,
            packets_since_refresh: 0,
            interfaces_sent: false,
        }
    }

    /// See [`super::ExportSession::add`]. A biflow is sent as two records.
    #[inline]
    pub fn add(&mut self, record: &FlowRecord, now: u64, send: &mut Send<'_>) {
        if !record.is_biflow() {
            self.add_uniflow(record, now, send);
            self.weight.add(record);
            return;
        }
        let [forward, reverse] = record.directions();
        self.add_uniflow(&forward, now, send);
        self.add_uniflow(&reverse, now, send);
        self.weight.split = self.weight.split.saturating_add(1);
        self.weight.add(record);
    }

    fn add_uniflow(&mut self, record: &FlowRecord, now: u64, send: &mut Send<'_>) {
        let (start, end) = (record.flow_start_milliseconds, record.flow_end_milliseconds);
        let now = self.prepare((start, end), now, send);
        let ipv4 = record.key.is_ipv4();
        let (set, octets) = if ipv4 {
            (FIRST_FLOW_TEMPLATE, RECORD_V4)
        } else {
            (FIRST_FLOW_TEMPLATE.saturating_add(1), RECORD_V6)
        };
        self.open(set, octets, now, send);
        let span = self.uptime.span(start, end, now);
        let (out, key) = (&mut self.message, &record.key);
        if ipv4 {
            put(out, key.source_address.v4_bits().to_be_bytes());
            put(out, key.destination_address.v4_bits().to_be_bytes());
        } else {
            put(out, key.source_address.bits().to_be_bytes());
            put(out, key.destination_address.bits().to_be_bytes());
        }
        put(out, key.source_port.to_be_bytes());
        put(out, key.destination_port.to_be_bytes());
        let [_, tcp_flags] = record.tcp_control_bits.to_be_bytes();
        let interfaces = record.interfaces.unwrap_or_default();
        put(
            out,
            [
                key.protocol_identifier,
                record.ip_class_of_service,
                tcp_flags,
                interfaces.flow_direction.unwrap_or_default(),
            ],
        );
        put(out, record.vlan_id.to_be_bytes());
        put(out, record.icmp_type_code.to_be_bytes());
        put(out, record.octet_delta_count.to_be_bytes());
        put(out, record.packet_delta_count.to_be_bytes());
        put(out, span.first.to_be_bytes());
        put(out, span.last.to_be_bytes());
        put(out, interfaces.ingress_interface.to_be_bytes());
        put(out, interfaces.egress_interface.to_be_bytes());
        put(out, [if ipv4 { 4 } else { 6 }]);
        self.records = self.records.saturating_add(1);
        self.records_sent = self.records_sent.saturating_add(1);
    }

    /// See [`super::ExportSession::flush`].
    pub fn flush(&mut self, now: u64, send: &mut Send<'_>) {
        let has_interfaces = !self.interfaces_sent && !self.facts.interfaces.is_empty();
        if self.is_refresh_due(now) || has_interfaces {
            self.prepare((now, now), now, send);
        }
        if !self.interfaces_sent {
            self.interfaces(now, send);
        }
        self.send(now, send);
    }

    /// See [`super::ExportSession::renew`].
    pub fn renew(&mut self, facts: Facts) {
        self.interfaces_sent &= self.facts.interfaces == facts.interfaces;
        self.facts = facts;
    }

    /// See [`super::ExportSession::limit_message_octets`].
    pub fn limit_message_octets(&mut self, octets: usize) {
        self.max_octets = message_octets(octets);
    }

    /// See [`super::ExportSession::refresh`].
    pub fn refresh_soon(&mut self) {
        self.refreshed = None;
    }

    /// Restarts the uptime if a record of these times needs it, and sends templates if they are due, or
    /// if the uptime has restarted: collectors forget the templates of an exporter that has restarted
    /// (RFC 3954 §5.1). Returns the time of packets with the record.
    fn prepare(&mut self, (start, end): (u64, u64), now: u64, send: &mut Send<'_>) -> u64 {
        let is_due = self.is_refresh_due(now);
        let fits = self.uptime.fits(start, end, now);
        if !fits {
            if self.uptime.is_used() {
                self.send(now, send);
            }
            self.uptime.begin(start, end, now);
        }
        let time = Uptime::message_time(start, end, now);
        if is_due || !fits {
            self.refreshed = Some(now);
            self.packets_since_refresh = 0;
            self.refresh(time, send);
        }
        time
    }

    fn is_refresh_due(&self, now: u64) -> bool {
        self.packets_since_refresh >= self.settings.template_refresh_messages
            || self.refreshed.is_none_or(|last| {
                now.abs_diff(last) >= self.settings.template_refresh_milliseconds
            })
    }

    #[cold]
    fn refresh(&mut self, now: u64, send: &mut Send<'_>) {
        for (id, addresses) in [(FIRST_FLOW_TEMPLATE, V4), (FIRST_FLOW_TEMPLATE + 1, V6)] {
            let fields = || addresses.iter().chain(&FLOW);
            let octets = fields().count().saturating_mul(4).saturating_add(4);
            self.open(TEMPLATE_SET, octets, now, send);
            put(&mut self.message, id.to_be_bytes());
            put(&mut self.message, count(fields().count()).to_be_bytes());
            for (field, length) in fields() {
                put(&mut self.message, field.to_be_bytes());
                put(&mut self.message, length.to_be_bytes());
            }
            self.records = self.records.saturating_add(1);
        }
        self.statistics(now, send);
        if self.facts.scale() != Sampling::NONE {
            self.sampling(now, send);
        }
        self.interfaces(now, send);
    }

    /// An Options Template: `scope` (1 System, 2 Interface) in four octets, then the options.
    fn options_template(
        &mut self,
        id: u16,
        scope: u16,
        fields: &[(u16, u16)],
        now: u64,
        send: &mut Send<'_>,
    ) {
        let length = fields.len().saturating_mul(4);
        self.open(OPTIONS_TEMPLATE_SET, length.saturating_add(10), now, send);
        let out = &mut self.message;
        put(out, id.to_be_bytes());
        put(out, 4_u16.to_be_bytes());
        put(out, count(length).to_be_bytes());
        put(out, scope.to_be_bytes());
        put(out, 4_u16.to_be_bytes());
        for (field, length) in fields {
            put(out, field.to_be_bytes());
            put(out, length.to_be_bytes());
        }
        self.records = self.records.saturating_add(1);
        // Some readers take what follows an Options Template in its FlowSet for padding.
        self.close();
    }

    /// TOTAL_BYTES_EXP, TOTAL_PKTS_EXP, TOTAL_FLOWS_EXP.
    fn statistics(&mut self, now: u64, send: &mut Send<'_>) {
        self.options_template(STATISTICS, 1, &[(40, 8), (41, 8), (42, 8)], now, send);
        self.open(STATISTICS, 4 + 3 * 8, now, send);
        let out = &mut self.message;
        put(out, self.settings.observation_domain_id.to_be_bytes());
        put(out, self.octets_sent.to_be_bytes());
        put(out, u64::from(self.sequence).to_be_bytes());
        put(out, self.records_sent.to_be_bytes());
        self.records = self.records.saturating_add(1);
    }

    /// SAMPLING_INTERVAL and SAMPLING_ALGORITHM (1: one packet of N, by count).
    fn sampling(&mut self, now: u64, send: &mut Send<'_>) {
        self.options_template(SAMPLING, 1, &[(34, 4), (35, 1)], now, send);
        self.open(SAMPLING, 4 + 4 + 1, now, send);
        let out = &mut self.message;
        put(out, self.settings.observation_domain_id.to_be_bytes());
        put(out, self.facts.scale().population().to_be_bytes());
        put(out, [1]);
        self.records = self.records.saturating_add(1);
    }

    /// IF_NAME and IF_DESC.
    fn interfaces(&mut self, now: u64, send: &mut Send<'_>) {
        self.interfaces_sent = true;
        if self.facts.interfaces.is_empty() {
            return;
        }
        let fields = [(82, count(NAME_OCTETS)), (83, count(DESCRIPTION_OCTETS))];
        self.options_template(INTERFACES, 2, &fields, now, send);
        let interfaces = std::sync::Arc::clone(&self.facts.interfaces);
        for interface in interfaces.iter() {
            self.open(INTERFACES, 4 + NAME_OCTETS + DESCRIPTION_OCTETS, now, send);
            put(&mut self.message, interface.index.to_be_bytes());
            write_fixed(&mut self.message, &interface.name, NAME_OCTETS);
            write_fixed(
                &mut self.message,
                &interface.description,
                DESCRIPTION_OCTETS,
            );
            self.records = self.records.saturating_add(1);
        }
    }

    /// Makes room for `octets` in a FlowSet with this ID. Sends the packet first if it is full.
    fn open(&mut self, set: u16, octets: usize, now: u64, send: &mut Send<'_>) {
        let continues = self.set.is_some_and(|(number, _)| number == set);
        let header = if continues { 0 } else { SET_HEADER };
        // Both this FlowSet and the one before it may need padding.
        let needed = octets.saturating_add(header).saturating_add(2 * 3);
        let full = self.message.len().saturating_add(needed) > self.max_octets;
        if full {
            self.send(now, send);
        }
        if full || !continues {
            self.close();
            self.set = Some((set, self.message.len()));
            put(&mut self.message, set.to_be_bytes());
            put(&mut self.message, [0; 2]);
        }
    }

    /// Ends the current FlowSet: pads it to four octets, and writes its length.
    fn close(&mut self) {
        let Some((_, start)) = self.set.take() else {
            return;
        };
        while !self.message.len().is_multiple_of(4) {
            self.message.push(0);
        }
        let length = count(self.message.len().saturating_sub(start));
        let at = start.saturating_add(2);
        patch(&mut self.message, at, length.to_be_bytes());
    }

    fn send(&mut self, now: u64, send: &mut Send<'_>) {
        if self.message.len() <= HEADER {
            return;
        }
        self.close();
        let seconds = self.uptime.message(now).div_ceil(1000);
        let up = self.uptime.of(seconds.saturating_mul(1000));
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let domain = self.settings.observation_domain_id;
        patch(&mut self.message, 0, 9_u16.to_be_bytes());
        patch(&mut self.message, 2, self.records.to_be_bytes());
        patch(&mut self.message, 4, up.to_be_bytes());
        patch(&mut self.message, 8, seconds.to_be_bytes());
        patch(&mut self.message, 12, self.sequence.to_be_bytes());
        patch(&mut self.message, 16, domain.to_be_bytes());
        send(OutgoingMessage {
            octets: &self.message,
            weight: self.weight,
        });
        let octets = u64::try_from(self.message.len()).unwrap_or_default();
        self.octets_sent = self.octets_sent.saturating_add(octets);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets_since_refresh = self.packets_since_refresh.saturating_add(1);
        self.message.truncate(HEADER);
        self.records = 0;
        self.weight = Weight::default();
    }
}

/// Text cut or filled up with zeros.
fn write_fixed(out: &mut Vec<u8>, text: &str, octets: usize) {
    let text = super::prefix(text, octets);
    out.extend_from_slice(text.as_bytes());
    out.resize(
        out.len().saturating_add(octets.saturating_sub(text.len())),
        0,
    );
}

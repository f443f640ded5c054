//! NetFlow version 9 (RFC 3954).
//!
//! The field types are those of the RFC and of Cisco's first extensions: v9 has no enterprise
//! numbers, and tools know no others. Tunnels, connections and the initiator are left out. Flow
//! times are milliseconds of uptime (22, 21), which every v9 tool reads: goflow2 reads nothing
//! else, while nfcapd, nfacctd and tshark read 152/153 too. The header has whole seconds; seconds
//! and uptime are rounded up together, so that times are exact and no flow ends after its packet.

use super::flow::{low_octet, pair};
use super::layout::{FieldSink, FixedOctets};
use super::message::{Header, MessageWriter, RecordCounts, write_specifiers};
use super::refresh::Refresh;
use super::uptime::{Uptime, UptimeSpan};
use super::{ExportSettings, Facts, Send, count, patch, put};
use crate::field::{ElementId, FieldSpecifier};
use crate::record::{FlowRecord, Sampling};

const OPTIONS_TEMPLATE_SET: u16 = 1;
/// Template of IPv4; that of IPv6 follows.
const FIRST_FLOW_TEMPLATE: u16 = 256;
const STATISTICS: u16 = 260;
const SAMPLING: u16 = 261;
const INTERFACES: u16 = 262;
/// Octets of IF_NAME and IF_DESC: v9 has no variable length.
const NAME_OCTETS: usize = 16;
const DESCRIPTION_OCTETS: usize = 32;

/// The packet header (RFC 3954 §5.1).
#[derive(Debug)]
struct Netflow9Header {
    source_id: u32,
    /// Packets sent, which is what the sequence number of v9 counts.
    sequence: u32,
    uptime: Uptime,
}

impl Header for Netflow9Header {
    const OCTETS: usize = 20;
    const ALIGNMENT: usize = 4;
    const TEMPLATE_SET: u16 = 0;

    fn write(&mut self, message: &mut [u8], records: RecordCounts, now: u64) {
        let records = records.data.saturating_add(records.templates);
        let records = u16::try_from(records).unwrap_or(u16::MAX);
        let seconds = self.uptime.message(now).div_ceil(1000);
        let up = self.uptime.of(seconds.saturating_mul(1000));
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        patch(message, 0, 9_u16.to_be_bytes());
        patch(message, 2, records.to_be_bytes());
        patch(message, 4, up.to_be_bytes());
        patch(message, 8, seconds.to_be_bytes());
        patch(message, 12, self.sequence.to_be_bytes());
        patch(message, 16, self.source_id.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
    }
}

/// The template of a family of addresses.
#[derive(Debug)]
struct Template {
    id: u16,
    fields: Vec<FieldSpecifier>,
    record_octets: usize,
}

impl Template {
    fn new(is_ipv6: bool) -> Self {
        let (empty, span) = (FlowRecord::default(), UptimeSpan::default());
        let (mut fields, mut octets) = (Vec::new(), FixedOctets::default());
        write(&mut fields, is_ipv6, &empty, span);
        write(&mut octets, is_ipv6, &empty, span);
        Self {
            id: FIRST_FLOW_TEMPLATE.saturating_add(is_ipv6.into()),
            fields,
            record_octets: octets.0.into(),
        }
    }
}

/// Passes the fields of a record to `out`.
#[inline]
fn write(out: &mut impl FieldSink, is_ipv6: bool, record: &FlowRecord, span: UptimeSpan) {
    let key = &record.key;
    let interfaces = record.interfaces.unwrap_or_default();
    let addresses = (key.source_address, key.destination_address);
    pair(out, is_ipv6, addresses, [8, 12], [27, 28]);
    // L4_SRC_PORT, L4_DST_PORT, PROTOCOL, SRC_TOS, TCP_FLAGS, DIRECTION.
    out.field(ElementId::iana(7), key.source_port);
    out.field(ElementId::iana(11), key.destination_port);
    out.field(ElementId::iana(4), key.protocol_identifier);
    out.field(ElementId::iana(5), record.ip_class_of_service);
    out.field(ElementId::iana(6), low_octet(record.tcp_control_bits));
    out.field(
        ElementId::iana(61),
        interfaces.flow_direction.unwrap_or_default(),
    );
    // SRC_VLAN, ICMP_TYPE, IN_BYTES, IN_PKTS.
    out.field(ElementId::iana(58), record.vlan_id);
    out.field(ElementId::iana(32), record.icmp_type_code);
    out.field(ElementId::iana(1), record.octet_delta_count);
    out.field(ElementId::iana(2), record.packet_delta_count);
    // FIRST_SWITCHED, LAST_SWITCHED, INPUT_SNMP, OUTPUT_SNMP, IP_PROTOCOL_VERSION.
    out.field(ElementId::iana(22), span.first);
    out.field(ElementId::iana(21), span.last);
    out.field(ElementId::iana(10), interfaces.ingress_interface);
    out.field(ElementId::iana(14), interfaces.egress_interface);
    out.field(ElementId::iana(60), if is_ipv6 { 6_u8 } else { 4 });
}

/// A session of NetFlow v9.
#[derive(Debug)]
pub struct Session {
    settings: ExportSettings,
    facts: Facts,
    message: MessageWriter<Netflow9Header>,
    /// Of IPv4 and IPv6.
    templates: [Template; 2],
    records_sent: u64,
    refresh: Refresh,
    interfaces_sent: bool,
}

impl Session {
    /// Creates a session that has sent nothing.
    #[must_use]
    pub fn new(settings: ExportSettings) -> Self {
        let header = Netflow9Header {
            source_id: settings.observation_domain_id,
            sequence: 0,
            uptime: Uptime::default(),
        };
        Self {
            message: MessageWriter::new(header, settings.max_message_octets),
            templates: [false, true].map(Template::new),
            refresh: Refresh::every(
                settings.template_refresh_milliseconds,
                settings.template_refresh_messages.into(),
            ),
            settings,
            facts: Facts::default(),
            records_sent: 0,
            interfaces_sent: false,
        }
    }

    /// See [`super::ExportSession::add`]. A biflow is sent as two records.
    #[inline]
    pub fn add(&mut self, record: &FlowRecord, now: u64, send: &mut Send<'_>) {
        if record.is_biflow() {
            let [forward, reverse] = record.directions();
            self.add_uniflow(&forward, now, send);
            self.message.count_part();
            self.add_uniflow(&reverse, now, send);
        } else {
            self.add_uniflow(record, now, send);
        }
        self.message.count_record(record);
    }

    fn add_uniflow(&mut self, record: &FlowRecord, now: u64, send: &mut Send<'_>) {
        let (start, end) = (record.flow_start_milliseconds, record.flow_end_milliseconds);
        let now = self.prepare((start, end), now, send);
        let is_ipv6 = !record.key.is_ipv4();
        let [v4, v6] = &self.templates;
        let template = if is_ipv6 { v6 } else { v4 };
        let octets = template.record_octets;
        self.message.open(template.id, octets, now, send);
        let span = self.message.header.uptime.span(start, end, now);
        write(&mut self.message.octets, is_ipv6, record, span);
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
        self.message.send(now, send);
    }

    /// See [`super::ExportSession::renew`].
    pub fn renew(&mut self, facts: Facts) {
        self.interfaces_sent &= self.facts.interfaces == facts.interfaces;
        self.facts = facts;
    }

    /// See [`super::ExportSession::limit_message_octets`].
    pub fn limit_message_octets(&mut self, octets: usize) {
        self.message.limit(octets);
    }

    /// See [`super::ExportSession::refresh`].
    pub fn refresh_soon(&mut self) {
        self.refresh.restart();
    }

    /// Restarts the uptime if a record of these times needs it, and sends templates if they are
    /// due, or if the uptime has restarted: collectors forget the templates of an exporter that has
    /// restarted (RFC 3954 §5.1). Returns the time of packets with the record.
    fn prepare(&mut self, (start, end): (u64, u64), now: u64, send: &mut Send<'_>) -> u64 {
        let is_due = self.is_refresh_due(now);
        let fits = self.message.header.uptime.fits(start, end, now);
        if !fits {
            if self.message.header.uptime.is_used() {
                self.message.send(now, send);
            }
            self.message.header.uptime.begin(start, end, now);
        }
        let time = Uptime::message_time(start, end, now);
        if is_due || !fits {
            self.refresh.begin(now);
            self.refresh.end(self.message.sent().0);
            self.send_templates(time, send);
        }
        time
    }

    fn is_refresh_due(&self, now: u64) -> bool {
        self.refresh.is_due(now, self.message.sent().0)
    }

    #[cold]
    fn send_templates(&mut self, now: u64, send: &mut Send<'_>) {
        for template in &self.templates {
            self.message
                .template(template.id, &template.fields, now, send);
        }
        self.statistics(now, send);
        if self.facts.scale() != Sampling::NONE {
            self.sampling(now, send);
        }
        self.interfaces(now, send);
    }

    /// An Options Template: `scope` (1 System, 2 Interface) in four octets, then the options.
    fn options_template<const N: usize>(
        &mut self,
        id: u16,
        scope: u16,
        fields: [(u16, u16); N],
        now: u64,
        send: &mut Send<'_>,
    ) {
        let length = N.saturating_mul(4);
        let out = self
            .message
            .open(OPTIONS_TEMPLATE_SET, length.saturating_add(10), now, send);
        put(out, id.to_be_bytes());
        put(out, 4_u16.to_be_bytes());
        put(out, count(length).to_be_bytes());
        write_specifiers(out, &[FieldSpecifier::iana(scope, 4)]);
        write_specifiers(
            out,
            &fields.map(|(id, length)| FieldSpecifier::iana(id, length)),
        );
        self.message.count_template();
        // Some readers take what follows an Options Template in its FlowSet for padding.
        self.message.close_set();
    }

    /// Makes room for a record of options data.
    fn options_record(
        &mut self,
        id: u16,
        octets: usize,
        now: u64,
        send: &mut Send<'_>,
    ) -> &mut Vec<u8> {
        // Counted after `open`, which may send the records before it.
        self.message.open(id, octets, now, send);
        self.message.count_options_record();
        &mut self.message.octets
    }

    /// TOTAL_BYTES_EXP, TOTAL_PKTS_EXP, TOTAL_FLOWS_EXP.
    fn statistics(&mut self, now: u64, send: &mut Send<'_>) {
        self.options_template(STATISTICS, 1, [(40, 8), (41, 8), (42, 8)], now, send);
        let (domain, records) = (self.settings.observation_domain_id, self.records_sent);
        // The packets before this one, also those that `open` sends.
        self.message.open(STATISTICS, 4 + 3 * 8, now, send);
        let (messages, octets) = self.message.sent();
        let out = self.options_record(STATISTICS, 4 + 3 * 8, now, send);
        put(out, domain.to_be_bytes());
        for count in [octets, messages, records] {
            put(out, count.to_be_bytes());
        }
    }

    /// SAMPLING_INTERVAL and SAMPLING_ALGORITHM (1: one packet of N, by count).
    fn sampling(&mut self, now: u64, send: &mut Send<'_>) {
        self.options_template(SAMPLING, 1, [(34, 4), (35, 1)], now, send);
        let domain = self.settings.observation_domain_id;
        let population = self.facts.scale().population();
        let out = self.options_record(SAMPLING, 4 + 4 + 1, now, send);
        put(out, domain.to_be_bytes());
        put(out, population.to_be_bytes());
        put(out, [1]);
    }

    /// IF_NAME and IF_DESC.
    fn interfaces(&mut self, now: u64, send: &mut Send<'_>) {
        self.interfaces_sent = true;
        if self.facts.interfaces.is_empty() {
            return;
        }
        let fields = [(82, count(NAME_OCTETS)), (83, count(DESCRIPTION_OCTETS))];
        self.options_template(INTERFACES, 2, fields, now, send);
        let interfaces = std::sync::Arc::clone(&self.facts.interfaces);
        for interface in interfaces.iter() {
            let octets = 4 + NAME_OCTETS + DESCRIPTION_OCTETS;
            let out = self.options_record(INTERFACES, octets, now, send);
            put(out, interface.index.to_be_bytes());
            write_fixed(out, &interface.name, NAME_OCTETS);
            write_fixed(out, &interface.description, DESCRIPTION_OCTETS);
        }
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

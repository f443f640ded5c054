//! NetFlow version 5: one fixed record for IPv4, counts of 32 bits.
//!
//! A record of more than 2^32 − 1 octets or packets is sent as several records that add up to it.
//! IPv6 is refused, and counted by the caller. VLANs, tunnels, translation, initiator and
//! connections are left out. Interface numbers beyond 65,535 are sent as 0, "unknown".

use super::uptime::Uptime;
use super::{
    ExportSettings, Facts, OutgoingMessage, Send, Unsupported, Weight, message_octets, patch, put,
};
use crate::protocol::ICMP;
use crate::record::FlowRecord;

const HEADER: usize = 24;
const RECORD: usize = 48;
const MAX_RECORDS: usize = 30;
/// Upper two bits of the sampling field: one packet of N, by count.
const SYSTEMATIC: u16 = 1 << 14;
/// Maximum sampling interval, in the other bits.
pub const MAX_SAMPLING_INTERVAL: u32 = (1 << 14) - 1;

/// A session of NetFlow v5.
#[derive(Debug)]
pub struct Session {
    engine: u16,
    max_records: usize,
    sampling: u16,
    message: Vec<u8>,
    records: u16,
    weight: Weight,
    uptime: Uptime,
    /// Records sent in all packets before this one, modulo 2^32.
    sequence: u32,
}

impl Session {
    /// Creates a session that has sent nothing.
    #[must_use]
    pub fn new(settings: &ExportSettings) -> Self {
        let [_, _, engine_type, engine_id] = settings.observation_domain_id.to_be_bytes();
        let mut message = Vec::with_capacity(HEADER + MAX_RECORDS * RECORD);
        message.resize(HEADER, 0);
        Self {
            engine: u16::from_be_bytes([engine_type, engine_id]),
            max_records: records_in(settings.max_message_octets),
            sampling: 0,
            message,
            records: 0,
            weight: Weight::default(),
            uptime: Uptime::default(),
            sequence: 0,
        }
    }

    /// See [`super::ExportSession::add`]. A biflow is sent as two records.
    ///
    /// # Errors
    /// The record has IPv6 addresses.
    #[inline]
    pub fn add(
        &mut self,
        record: &FlowRecord,
        now: u64,
        send: &mut Send<'_>,
    ) -> Result<(), Unsupported> {
        if !record.key.source_address.is_ipv4() || !record.key.destination_address.is_ipv4() {
            return Err(Unsupported::Ipv6);
        }
        let mut parts = 0_u64;
        if record.is_biflow() {
            for direction in record.directions() {
                parts = parts.saturating_add(self.add_uniflow(&direction, now, send));
            }
        } else {
            parts = self.add_uniflow(record, now, send);
        }
        self.weight.add(record);
        self.weight.split = self.weight.split.saturating_add(parts.saturating_sub(1));
        Ok(())
    }

    /// Appends a record in as many parts as it needs, and returns their number.
    fn add_uniflow(&mut self, record: &FlowRecord, now: u64, send: &mut Send<'_>) -> u64 {
        let most = u64::from(u32::MAX);
        let parts = record
            .octet_delta_count
            .max(record.packet_delta_count)
            .div_ceil(most)
            .max(1);
        for part in 0..parts {
            let octets = share(record.octet_delta_count, part, parts);
            let packets = share(record.packet_delta_count, part, parts);
            self.add_part(record, octets, packets, now, send);
        }
        parts
    }

    fn add_part(
        &mut self,
        record: &FlowRecord,
        octets: u32,
        packets: u32,
        now: u64,
        send: &mut Send<'_>,
    ) {
        let (start, end) = (record.flow_start_milliseconds, record.flow_end_milliseconds);
        if usize::from(self.records) >= self.max_records {
            self.flush(now, send);
        }
        if !self.uptime.fits(start, end, now) {
            self.flush(now, send);
            self.uptime.begin(start, end, now);
        }
        let span = self.uptime.span(start, end, now);
        let (out, key) = (&mut self.message, &record.key);
        put(out, key.source_address.v4_bits().to_be_bytes());
        put(out, key.destination_address.v4_bits().to_be_bytes());
        put(out, next_hop(record).to_be_bytes());
        let interfaces = record.interfaces.unwrap_or_default();
        for index in [interfaces.ingress_interface, interfaces.egress_interface] {
            put(out, u16::try_from(index).unwrap_or(0).to_be_bytes());
        }
        put(out, packets.to_be_bytes());
        put(out, octets.to_be_bytes());
        put(out, span.first.to_be_bytes());
        put(out, span.last.to_be_bytes());
        // ICMP has type and code in the destination port.
        let destination_port = if key.protocol_identifier == ICMP {
            record.icmp_type_code
        } else {
            key.destination_port
        };
        put(out, key.source_port.to_be_bytes());
        put(out, destination_port.to_be_bytes());
        let [_, tcp_flags] = record.tcp_control_bits.to_be_bytes();
        put(
            out,
            [
                0,
                tcp_flags,
                key.protocol_identifier,
                record.ip_class_of_service,
            ],
        );
        for number in [
            record.bgp_source_as_number,
            record.bgp_destination_as_number,
        ] {
            put(out, as_number(number).to_be_bytes());
        }
        put(
            out,
            [
                record.source_prefix_length,
                record.destination_prefix_length,
                0,
                0,
            ],
        );
        self.records = self.records.saturating_add(1);
    }

    /// See [`super::ExportSession::flush`].
    pub fn flush(&mut self, now: u64, send: &mut Send<'_>) {
        if self.records == 0 {
            return;
        }
        let time = self.uptime.message(now);
        let up = self.uptime.of(time);
        let seconds = u32::try_from(time / 1000).unwrap_or(u32::MAX);
        let nanoseconds = u32::try_from((time % 1000).saturating_mul(1_000_000)).unwrap_or(0);
        patch(&mut self.message, 0, 5_u16.to_be_bytes());
        patch(&mut self.message, 2, self.records.to_be_bytes());
        patch(&mut self.message, 4, up.to_be_bytes());
        patch(&mut self.message, 8, seconds.to_be_bytes());
        patch(&mut self.message, 12, nanoseconds.to_be_bytes());
        patch(&mut self.message, 16, self.sequence.to_be_bytes());
        patch(&mut self.message, 20, self.engine.to_be_bytes());
        patch(&mut self.message, 22, self.sampling.to_be_bytes());
        send(OutgoingMessage {
            octets: &self.message,
            weight: self.weight,
        });
        self.sequence = self.sequence.wrapping_add(self.records.into());
        self.message.truncate(HEADER);
        self.records = 0;
        self.weight = Weight::default();
    }

    /// See [`super::ExportSession::renew`].
    pub fn renew(&mut self, facts: &Facts) {
        self.sampling = match facts.scale().population() {
            0 | 1 => 0,
            population => {
                let interval = population.min(MAX_SAMPLING_INTERVAL);
                SYSTEMATIC | u16::try_from(interval).unwrap_or_default()
            }
        };
    }

    /// See [`super::ExportSession::limit_message_octets`].
    pub fn limit_message_octets(&mut self, octets: usize) {
        self.max_records = records_in(octets);
    }
}

fn records_in(octets: usize) -> usize {
    (message_octets(octets).saturating_sub(HEADER) / RECORD).min(MAX_RECORDS)
}

/// The share of one part, such that all add up to `total`.
fn share(total: u64, part: u64, parts: u64) -> u32 {
    let each = total.checked_div(parts).unwrap_or(total);
    let more = u64::from(part < total.checked_rem(parts).unwrap_or_default());
    u32::try_from(each.saturating_add(more)).unwrap_or(u32::MAX)
}

fn next_hop(record: &FlowRecord) -> u32 {
    if record.ip_next_hop_address.is_ipv4() {
        record.ip_next_hop_address.v4_bits()
    } else {
        0
    }
}

/// AS_TRANS replaces an AS number of more than 16 bits (RFC 6793).
fn as_number(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(23_456)
}

//! The Exporting Process: flow records → IPFIX Messages for one target (RFC 7011 §3, §10.3).
//!
//! A record is sent under the template that has just its fields, so that plain records stay small: IPv4
//! or IPv6, with or without interfaces, tunnel and translation. A template goes out before the first
//! record that needs it; templates in use and the announcement of the exporter go out again while the
//! session lasts, since UDP may lose them.

use crate::address::Address;
use crate::record::{FlowRecord, Interfaces, Translation, Tunnel, TunnelType};
use crate::template::{FieldSpecifier, VARIABLE_LENGTH};

/// Who exports, and how.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// Observation Domain ID of every Message.
    pub observation_domain_id: u32,
    /// 300 `observationDomainName`: the node's name, announced in an options record. At most 254 octets
    /// are sent.
    pub observation_domain_name: String,
    /// 130/131: address of the exporter, announced beside the name; may be unspecified.
    pub exporter_address: Address,
    /// Octets of a Message at the most, ≥ 512 (RFC 7011 §10.3.3).
    pub max_message_octets: usize,
    /// Templates and the announcement go out again after so many milliseconds …
    pub template_refresh_milliseconds: u64,
    /// … or after so many Messages, whichever is first.
    pub template_refresh_messages: u32,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            observation_domain_id: 0,
            observation_domain_name: String::new(),
            exporter_address: Address::UNSPECIFIED,
            max_message_octets: 1400,
            template_refresh_milliseconds: 60_000,
            template_refresh_messages: 4096,
        }
    }
}

/// A finished Message, to be sent as one datagram.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingMessage<'a> {
    /// The octets.
    pub octets: &'a [u8],
    /// Data Records of flows in it (options data excluded).
    pub records: u32,
}

const MESSAGE_HEADER: usize = 16;
const SET_HEADER: usize = 4;
const TEMPLATE_HEADER: usize = 4;
const OPTIONS_TEMPLATE_HEADER: usize = 6;
const TEMPLATE_SET: u16 = 2;
const OPTIONS_TEMPLATE_SET: u16 = 3;
/// The announcement's template; flow templates follow it.
const ANNOUNCEMENT: u16 = 256;
const FIRST_FLOW_TEMPLATE: u16 = 257;
/// RFC 7011 §10.3.3 asks for 512 octets where the path is unknown; below that templates do not fit.
const MINIMUM_MESSAGE: usize = 512;
const VMWARE: u32 = 6876;

const fn iana(id: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier {
        enterprise: 0,
        id,
        length,
    }
}

const fn vmware(id: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier {
        enterprise: VMWARE,
        id,
        length,
    }
}

const KEY_V4: [FieldSpecifier; 2] = [iana(8, 4), iana(12, 4)];
const KEY_V6: [FieldSpecifier; 2] = [iana(27, 16), iana(28, 16)];
/// tcpControlBits goes out in one octet: collectors exist that read two as 0.
const FLOW: [FieldSpecifier; 14] = [
    iana(7, 2),
    iana(11, 2),
    iana(4, 1),
    iana(5, 1),
    iana(6, 1),
    iana(136, 1),
    iana(239, 1),
    iana(58, 2),
    iana(1, 8),
    iana(2, 8),
    iana(152, 8),
    iana(153, 8),
    iana(278, 4),
    iana(279, 4),
];
const ICMP_V4: [FieldSpecifier; 1] = [iana(32, 2)];
const ICMP_V6: [FieldSpecifier; 1] = [iana(139, 2)];
const INTERFACES: [FieldSpecifier; 3] = [iana(10, 4), iana(14, 4), iana(61, 1)];
const SEGMENT: [FieldSpecifier; 1] = [iana(351, 8)];
const TUNNEL_TYPE: [FieldSpecifier; 2] = [vmware(891, 1), vmware(892, 4)];
const TUNNEL_V4: [FieldSpecifier; 2] = [vmware(893, 4), vmware(894, 4)];
const TUNNEL: [FieldSpecifier; 3] = [vmware(895, 1), vmware(896, 2), vmware(897, 2)];
const NAT_V4: [FieldSpecifier; 4] = [iana(225, 4), iana(226, 4), iana(227, 2), iana(228, 2)];
const NAT_V6: [FieldSpecifier; 4] = [iana(281, 16), iana(282, 16), iana(227, 2), iana(228, 2)];

/// What a record has, which is what its template has. The template's number is 257 + the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape(u8);

impl Shape {
    const IPV6: u8 = 1;
    const INTERFACES: u8 = 2;
    const TRANSLATED: u8 = 4;
    /// Tunnelled; the next two bits say how.
    const TUNNELLED: u8 = 8;
    /// The tunnel has a type in the registry and a key: not IP in IP.
    const KEYED: u8 = 16;
    /// VXLAN: 351 says the segment.
    const SEGMENT: u8 = 32;
    /// The outer header is IPv4: its addresses have elements.
    const OUTER_V4: u8 = 64;
    /// How many shapes there can be.
    const COUNT: u8 = 128;

    fn of(record: &FlowRecord) -> Self {
        let when = |yes: bool, bit: u8| if yes { bit } else { 0 };
        let tunnel = record.tunnel.as_ref().map_or(0, |tunnel| {
            Self::TUNNELLED
                | when(tunnel.tunnel_type != TunnelType::IpInIp, Self::KEYED)
                | when(tunnel.tunnel_type == TunnelType::Vxlan, Self::SEGMENT)
                | when(tunnel.tunnel_source_address.is_ipv4(), Self::OUTER_V4)
        });
        Self(
            when(!record.key.source_address.is_ipv4(), Self::IPV6)
                | when(record.interfaces.is_some(), Self::INTERFACES)
                | when(record.translation.is_some(), Self::TRANSLATED)
                | tunnel,
        )
    }

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    fn template_id(self) -> u16 {
        FIRST_FLOW_TEMPLATE.saturating_add(self.0.into())
    }

    /// The groups of fields of this shape, in the order in which [`write_record`] writes them.
    fn groups(self) -> impl Iterator<Item = &'static [FieldSpecifier]> {
        let ipv6 = self.has(Self::IPV6);
        let tunnelled = self.has(Self::TUNNELLED);
        let all: [(bool, &'static [FieldSpecifier]); 9] = [
            (true, if ipv6 { &KEY_V6 } else { &KEY_V4 }),
            (true, &FLOW),
            (true, if ipv6 { &ICMP_V6 } else { &ICMP_V4 }),
            (self.has(Self::INTERFACES), &INTERFACES),
            (tunnelled && self.has(Self::SEGMENT), &SEGMENT),
            (tunnelled && self.has(Self::KEYED), &TUNNEL_TYPE),
            (tunnelled && self.has(Self::OUTER_V4), &TUNNEL_V4),
            (tunnelled, &TUNNEL),
            (
                self.has(Self::TRANSLATED),
                if ipv6 { &NAT_V6 } else { &NAT_V4 },
            ),
        ];
        all.into_iter()
            .filter_map(|(has, group)| has.then_some(group))
    }

    fn fields(self) -> impl Iterator<Item = &'static FieldSpecifier> {
        self.groups().flatten()
    }

    fn record_octets(self) -> usize {
        self.fields().map(|field| usize::from(field.length)).sum()
    }
}

/// The fields that templates of flow records can have, each once.
#[must_use]
pub fn fields() -> Vec<FieldSpecifier> {
    let mut fields = Vec::new();
    for field in (0..Shape::COUNT).flat_map(|shape| Shape(shape).fields()) {
        if !fields.contains(field) {
            fields.push(*field);
        }
    }
    fields
}

/// The Transport Session to one target: its templates, sequence number and the Message being filled.
#[derive(Debug)]
pub struct ExportSession {
    settings: ExportSettings,
    /// The Message being filled, header included; its header is written when it is sent.
    message: Vec<u8>,
    /// The Set being filled: its number and where it starts in the message.
    set: Option<(u16, usize)>,
    /// Flow records in the message.
    flow_records: u32,
    /// Data Records in the message, options records too: what the sequence number counts.
    data_records: u32,
    /// Data Records sent in all Messages before this one, modulo 2^32 (RFC 7011 §3.1).
    sequence: u32,
    /// Shapes whose template was sent, as bits.
    announced: u128,
    /// Octets of a record of each shape, filled when its template is sent.
    record_octets: Box<[usize]>,
    last_refresh_milliseconds: Option<u64>,
    messages_since_refresh: u32,
}

impl ExportSession {
    /// A session that has sent nothing.
    #[must_use]
    pub fn new(settings: ExportSettings) -> Self {
        let octets = settings
            .max_message_octets
            .clamp(MINIMUM_MESSAGE, usize::from(u16::MAX));
        let mut message = Vec::with_capacity(octets);
        message.resize(MESSAGE_HEADER, 0);
        Self {
            settings: ExportSettings {
                max_message_octets: octets,
                ..settings
            },
            message,
            set: None,
            flow_records: 0,
            data_records: 0,
            sequence: 0,
            announced: 0,
            record_octets: vec![0; Shape::COUNT.into()].into_boxed_slice(),
            last_refresh_milliseconds: None,
            messages_since_refresh: 0,
        }
    }

    /// Appends a record to the Message being filled. Messages that become full, and templates when they
    /// are due, go to `send`. `now_milliseconds` since the epoch becomes the export time.
    pub fn add(
        &mut self,
        record: &FlowRecord,
        now_milliseconds: u64,
        send: &mut impl FnMut(OutgoingMessage<'_>),
    ) {
        self.refresh_if_due(now_milliseconds, send);
        let shape = Shape::of(record);
        if self.announced & bit(shape) == 0 {
            self.announce(shape, now_milliseconds, send);
        }
        let octets = self
            .record_octets
            .get(usize::from(shape.0))
            .copied()
            .unwrap_or_default();
        self.open(shape.template_id(), octets, now_milliseconds, send);
        write_record(&mut self.message, shape, record);
        self.flow_records = self.flow_records.saturating_add(1);
        self.data_records = self.data_records.saturating_add(1);
    }

    /// Sends what is in the Message being filled, and templates and announcement if they are due (also
    /// without any record). To be called whenever no record is waiting.
    pub fn flush(&mut self, now_milliseconds: u64, send: &mut impl FnMut(OutgoingMessage<'_>)) {
        self.refresh_if_due(now_milliseconds, send);
        self.send(now_milliseconds, send);
    }

    fn refresh_if_due(&mut self, now: u64, send: &mut impl FnMut(OutgoingMessage<'_>)) {
        // A clock that was set back must not put the refresh off until it is where it was.
        let due = self
            .last_refresh_milliseconds
            .is_none_or(|last| now.abs_diff(last) >= self.settings.template_refresh_milliseconds)
            || self.messages_since_refresh >= self.settings.template_refresh_messages;
        if !due {
            return;
        }
        self.last_refresh_milliseconds = Some(now);
        self.messages_since_refresh = 0;
        // Plain records of both families are announced from the start.
        let used = self.announced | bit(Shape(0)) | bit(Shape(Shape::IPV6));
        self.introduce(now, send);
        for shape in (0..Shape::COUNT)
            .map(Shape)
            .filter(|shape| used & bit(*shape) != 0)
        {
            self.announce(shape, now, send);
        }
    }

    /// Sends the template of a shape.
    fn announce(&mut self, shape: Shape, now: u64, send: &mut impl FnMut(OutgoingMessage<'_>)) {
        let fields: usize = shape.fields().map(|f| specifier_octets(*f)).sum();
        let octets = fields.saturating_add(TEMPLATE_HEADER);
        self.open(TEMPLATE_SET, octets, now, send);
        put(&mut self.message, shape.template_id().to_be_bytes());
        put(
            &mut self.message,
            count(shape.fields().count()).to_be_bytes(),
        );
        for field in shape.fields() {
            write_specifier(&mut self.message, *field);
        }
        self.announced |= bit(shape);
        if let Some(octets) = self.record_octets.get_mut(usize::from(shape.0)) {
            *octets = shape.record_octets();
        }
    }

    /// Says who exports: an options record with the observation domain as its scope (149), its name (300)
    /// and the exporter's address (130 or 131).
    fn introduce(&mut self, now: u64, send: &mut impl FnMut(OutgoingMessage<'_>)) {
        let address = self.settings.exporter_address;
        let address_field = match (address.is_unspecified(), address.is_ipv4()) {
            (true, _) => None,
            (false, true) => Some(iana(130, 4)),
            (false, false) => Some(iana(131, 16)),
        };
        let fields = [
            Some(iana(149, 4)),
            Some(iana(300, VARIABLE_LENGTH)),
            address_field,
        ];
        let fields = || fields.into_iter().flatten();
        let octets: usize = fields().map(specifier_octets).sum();
        let octets = octets.saturating_add(OPTIONS_TEMPLATE_HEADER);
        self.open(OPTIONS_TEMPLATE_SET, octets, now, send);
        put(&mut self.message, ANNOUNCEMENT.to_be_bytes());
        put(&mut self.message, count(fields().count()).to_be_bytes());
        put(&mut self.message, 1_u16.to_be_bytes());
        for field in fields() {
            write_specifier(&mut self.message, field);
        }

        let name = prefix(&self.settings.observation_domain_name, 254)
            .as_bytes()
            .to_vec();
        // The domain, the length of the name, the name, the address.
        let octets = name.len().saturating_add(5 + 16);
        self.open(ANNOUNCEMENT, octets, now, send);
        put(
            &mut self.message,
            self.settings.observation_domain_id.to_be_bytes(),
        );
        put(
            &mut self.message,
            [u8::try_from(name.len()).unwrap_or_default()],
        );
        self.message.extend_from_slice(&name);
        match address_field.map(|f| f.length) {
            Some(4) => put(&mut self.message, address.v4_bits().to_be_bytes()),
            Some(_) => put(&mut self.message, address.bits().to_be_bytes()),
            None => {}
        }
        self.data_records = self.data_records.saturating_add(1);
    }

    /// Makes room for `octets` in a Set of this number, sending the Message first if it is full.
    fn open(
        &mut self,
        set: u16,
        octets: usize,
        now: u64,
        send: &mut impl FnMut(OutgoingMessage<'_>),
    ) {
        let continues = self.set.is_some_and(|(number, _)| number == set);
        let needed = if continues {
            octets
        } else {
            octets.saturating_add(SET_HEADER)
        };
        let full = self.message.len().saturating_add(needed) > self.settings.max_message_octets;
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

    /// Ends the Set being filled: its length goes into its header.
    fn close(&mut self) {
        let Some((_, start)) = self.set.take() else {
            return;
        };
        let length = count(self.message.len().saturating_sub(start));
        patch(
            &mut self.message,
            start.saturating_add(2),
            length.to_be_bytes(),
        );
    }

    fn send(&mut self, now_milliseconds: u64, send: &mut impl FnMut(OutgoingMessage<'_>)) {
        if self.message.len() <= MESSAGE_HEADER {
            return;
        }
        self.close();
        let length = count(self.message.len());
        let seconds = u32::try_from(now_milliseconds / 1000).unwrap_or(u32::MAX);
        patch(&mut self.message, 0, 10_u16.to_be_bytes());
        patch(&mut self.message, 2, length.to_be_bytes());
        patch(&mut self.message, 4, seconds.to_be_bytes());
        patch(&mut self.message, 8, self.sequence.to_be_bytes());
        patch(
            &mut self.message,
            12,
            self.settings.observation_domain_id.to_be_bytes(),
        );
        send(OutgoingMessage {
            octets: &self.message,
            records: self.flow_records,
        });
        self.sequence = self.sequence.wrapping_add(self.data_records);
        self.messages_since_refresh = self.messages_since_refresh.saturating_add(1);
        self.message.truncate(MESSAGE_HEADER);
        self.flow_records = 0;
        self.data_records = 0;
    }
}

/// Writes a record in the order of its shape's groups.
fn write_record(out: &mut Vec<u8>, shape: Shape, record: &FlowRecord) {
    let key = &record.key;
    if shape.has(Shape::IPV6) {
        put(out, key.source_address.bits().to_be_bytes());
        put(out, key.destination_address.bits().to_be_bytes());
    } else {
        put(out, key.source_address.v4_bits().to_be_bytes());
        put(out, key.destination_address.v4_bits().to_be_bytes());
    }
    put(out, key.source_port.to_be_bytes());
    put(out, key.destination_port.to_be_bytes());
    let [_, tcp_control_bits] = record.tcp_control_bits.to_be_bytes();
    put(
        out,
        [
            key.protocol_identifier,
            record.ip_class_of_service,
            tcp_control_bits,
            record.flow_end_reason.octet(),
            record.biflow_direction.unwrap_or_default().octet(),
        ],
    );
    put(out, record.vlan_id.to_be_bytes());
    put(out, record.octet_delta_count.to_be_bytes());
    put(out, record.packet_delta_count.to_be_bytes());
    put(out, record.flow_start_milliseconds.to_be_bytes());
    put(out, record.flow_end_milliseconds.to_be_bytes());
    put(
        out,
        record
            .new_connection_delta_count
            .unwrap_or_default()
            .to_be_bytes(),
    );
    let seconds = record.connection_sum_duration_seconds.unwrap_or_default();
    put(
        out,
        u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes(),
    );
    put(out, record.icmp_type_code.to_be_bytes());
    if let Some(interfaces) = &record.interfaces {
        write_interfaces(out, interfaces);
    }
    if let Some(tunnel) = &record.tunnel {
        write_tunnel(out, shape, tunnel);
    }
    if let Some(translation) = &record.translation {
        write_translation(out, shape, translation);
    }
}

fn write_interfaces(out: &mut Vec<u8>, interfaces: &Interfaces) {
    put(out, interfaces.ingress_interface.to_be_bytes());
    put(out, interfaces.egress_interface.to_be_bytes());
    put(out, [interfaces.flow_direction.unwrap_or_default()]);
}

fn write_tunnel(out: &mut Vec<u8>, shape: Shape, tunnel: &Tunnel) {
    if shape.has(Shape::SEGMENT) {
        put(out, tunnel.layer2_segment_id().to_be_bytes());
    }
    if shape.has(Shape::KEYED) {
        put(out, [tunnel.tunnel_type.octet()]);
        put(out, tunnel.tunnel_key.to_be_bytes());
    }
    if shape.has(Shape::OUTER_V4) {
        put(out, tunnel.tunnel_source_address.v4_bits().to_be_bytes());
        put(
            out,
            tunnel.tunnel_destination_address.v4_bits().to_be_bytes(),
        );
    }
    put(out, [tunnel.tunnel_protocol_identifier]);
    put(out, tunnel.tunnel_source_port.to_be_bytes());
    put(out, tunnel.tunnel_destination_port.to_be_bytes());
}

fn write_translation(out: &mut Vec<u8>, shape: Shape, translation: &Translation) {
    let (source, destination) = (
        translation.post_nat_source_address,
        translation.post_nat_destination_address,
    );
    if shape.has(Shape::IPV6) {
        put(out, source.bits().to_be_bytes());
        put(out, destination.bits().to_be_bytes());
    } else {
        put(out, source.v4_bits().to_be_bytes());
        put(out, destination.v4_bits().to_be_bytes());
    }
    put(out, translation.post_napt_source_port.to_be_bytes());
    put(out, translation.post_napt_destination_port.to_be_bytes());
}

const fn specifier_octets(field: FieldSpecifier) -> usize {
    if field.enterprise == 0 { 4 } else { 8 }
}

fn write_specifier(out: &mut Vec<u8>, field: FieldSpecifier) {
    let enterprise_bit = if field.enterprise == 0 { 0 } else { 0x8000 };
    put(out, (field.id | enterprise_bit).to_be_bytes());
    put(out, field.length.to_be_bytes());
    if field.enterprise != 0 {
        put(out, field.enterprise.to_be_bytes());
    }
}

#[inline]
fn put<const N: usize>(out: &mut Vec<u8>, octets: [u8; N]) {
    out.extend_from_slice(&octets);
}

fn patch<const N: usize>(message: &mut [u8], at: usize, octets: [u8; N]) {
    let place = at.checked_add(N).and_then(|end| message.get_mut(at..end));
    if let Some(place) = place {
        place.copy_from_slice(&octets);
    }
}

const fn bit(shape: Shape) -> u128 {
    1 << shape.0
}

/// A length or count; a Message is shorter than 65,536 octets, so it fits.
fn count(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// The longest prefix of `text` of at most `octets` octets that is still UTF-8.
fn prefix(text: &str, octets: usize) -> &str {
    (0..=octets.min(text.len()))
        .rev()
        .find_map(|end| text.get(..end))
        .unwrap_or_default()
}

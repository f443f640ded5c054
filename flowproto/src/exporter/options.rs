//! Options data of IPFIX.
//!
//! | options template | scope | fields |
//! |---|---|---|
//! | 256 exporter | 149 | 300 name of the node, 130 or 131 address |
//! | 520 statistics (RFC 7011 §4.1, §4.2) | 149 | 40, 41, 42 exported; 163 observed; 164, 165 ignored |
//! | 521 reliability (RFC 7011 §4.3) | 149 | 166, 167, 168 not sent |
//! | 522 sampling (RFC 5477) | 302 | 304 algorithm (1: systematic, by count), 305 interval, 306 space |
//! | 523 interfaces | 10 | 82 name, 83 description |
//! | 524 elements (RFC 5610) | 346, 303 | 339 type, 344 semantics, 345 units, 342, 343 range, 341 name, 340 description |
//! | 526 flow selection (RFC 7014) | 302 | 390 algorithm (6: hash-based filtering by BOB), 334 initial value, 400 elements, 329, 330 range of hashes, 331, 332 range of selected ones |
//! | 525 flow keys (RFC 7011 §4.4) | 145 | 173 |

use super::flow::FLOW_KEY_INDICATOR;
use super::layout::write_text;
use super::message::MessageWriter;
use super::{ExportSettings, Facts, Send, prefix, put};
use crate::element::{self, KIPFIX_ENTERPRISE, REVERSE_ENTERPRISE, VMWARE_ENTERPRISE as VMWARE};
use crate::field::{FieldSpecifier, VARIABLE_LENGTH};
use crate::flow_selection::FlowHashSelection;
use crate::record::Sampling;

/// Options Template of the announcement. The templates of flow records follow it.
const ANNOUNCEMENT: u16 = 256;
const STATISTICS: u16 = 520;
const RELIABILITY: u16 = 521;
const SAMPLING: u16 = 522;
const INTERFACES: u16 = 523;
const ELEMENTS: u16 = 524;
const FLOW_KEYS: u16 = 525;
const FLOW_SELECTION: u16 = 526;

const fn iana(id: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier::iana(id, length)
}

const ANNOUNCEMENT_FIELDS: [FieldSpecifier; 2] = [iana(149, 4), iana(300, VARIABLE_LENGTH)];
const ANNOUNCEMENT_V4_FIELDS: [FieldSpecifier; 3] =
    [iana(149, 4), iana(300, VARIABLE_LENGTH), iana(130, 4)];
const ANNOUNCEMENT_V6_FIELDS: [FieldSpecifier; 3] =
    [iana(149, 4), iana(300, VARIABLE_LENGTH), iana(131, 16)];
const STATISTICS_FIELDS: [FieldSpecifier; 7] = [
    iana(149, 4),
    iana(40, 8),
    iana(41, 8),
    iana(42, 8),
    iana(163, 8),
    iana(164, 8),
    iana(165, 8),
];
const RELIABILITY_FIELDS: [FieldSpecifier; 4] =
    [iana(149, 4), iana(166, 8), iana(167, 8), iana(168, 8)];
const SAMPLING_FIELDS: [FieldSpecifier; 4] =
    [iana(302, 8), iana(304, 2), iana(305, 4), iana(306, 4)];
const INTERFACE_FIELDS: [FieldSpecifier; 3] = [
    iana(10, 4),
    iana(82, VARIABLE_LENGTH),
    iana(83, VARIABLE_LENGTH),
];
/// All fields of RFC 5610 §3.9, although ranges and descriptions are empty: libfixbuf ignores type
/// records that lack any of them.
const ELEMENT_FIELDS: [FieldSpecifier; 9] = [
    iana(346, 4),
    iana(303, 2),
    iana(339, 1),
    iana(344, 1),
    iana(345, 2),
    iana(342, 8),
    iana(343, 8),
    iana(341, VARIABLE_LENGTH),
    iana(340, VARIABLE_LENGTH),
];
const FLOW_KEY_FIELDS: [FieldSpecifier; 2] = [iana(145, 2), iana(173, 8)];

const FLOW_SELECTION_FIELDS: [FieldSpecifier; 12] = [
    iana(302, 8),
    iana(390, 2),
    iana(334, 8),
    iana(400, 2),
    iana(400, 2),
    iana(400, 2),
    iana(400, 2),
    iana(400, 2),
    iana(329, 8),
    iana(330, 8),
    iana(331, 8),
    iana(332, 8),
];

/// 302 `selectorId` of the only Selector.
const SELECTOR: u64 = 1;
/// 304 `selectorAlgorithm`: systematic count-based sampling.
const SYSTEMATIC_COUNT_BASED: u16 = 1;
/// 390 `flowSelectorAlgorithm`: hash-based filtering by BOB.
const HASH_BASED_BOB: u16 = 6;
/// 400 `hashFlowDomain`: what is hashed. IPv4 addresses are mapped to IPv6.
const HASH_DOMAIN: [u16; 5] = [27, 28, 7, 11, 4];

/// Content of a type record (RFC 5610).
#[derive(Clone, Copy, Debug)]
pub struct ElementType<'a> {
    /// 346 `privateEnterpriseNumber`.
    pub enterprise: u32,
    /// 303 `informationElementId`.
    pub id: u16,
    /// 339 `informationElementDataType`, a number of RFC 5610 §3.1.
    pub data_type: u8,
    /// 344 `informationElementSemantics`, a number of RFC 5610 §3.6.
    pub semantics: u8,
    /// 345 `informationElementUnits`, a number of RFC 5610 §3.7; 0 none.
    pub units: u16,
    /// 341 `informationElementName`.
    pub name: &'a str,
}

const IDENTIFIER: u8 = 4;
const DELTA_COUNTER: u8 = 3;
const FLAGS: u8 = 5;

/// The elements of a tunnel and of encryption: enterprise, id, data type.
const TUNNEL_TYPES: [(u32, u16, u8); 11] = [
    (VMWARE, 891, 1),
    (VMWARE, 892, 0),
    (VMWARE, 893, 18),
    (VMWARE, 894, 18),
    (VMWARE, 895, 1),
    (VMWARE, 896, 2),
    (VMWARE, 897, 2),
    (KIPFIX_ENTERPRISE, 16, 19),
    (KIPFIX_ENTERPRISE, 17, 19),
    (KIPFIX_ENTERPRISE, 46, 1),
    (KIPFIX_ENTERPRISE, 47, 1),
];
/// The reverse elements: data type, semantics, units, name.
const REVERSE_TYPES: [(u16, u8, u8, u16, &str); 6] = [
    (1, 4, DELTA_COUNTER, 2, "reverseOctetDeltaCount"),
    (2, 4, DELTA_COUNTER, 3, "reversePacketDeltaCount"),
    (401, 4, DELTA_COUNTER, 2, "reverseTransportOctetDeltaCount"),
    (152, 15, 0, 6, "reverseFlowStartMilliseconds"),
    (153, 15, 0, 6, "reverseFlowEndMilliseconds"),
    (6, 2, FLAGS, 0, "reverseTcpControlBits"),
];

/// The enterprise elements of a tunnel and of encryption.
pub fn tunnel_elements() -> impl Iterator<Item = ElementType<'static>> {
    let types = TUNNEL_TYPES.iter();
    types.map(|(enterprise, id, data_type)| ElementType {
        enterprise: *enterprise,
        id: *id,
        data_type: *data_type,
        semantics: IDENTIFIER,
        units: 0,
        name: element::find(*enterprise, *id).map_or("", |element| element.name),
    })
}

/// The enterprise elements of the reverse direction.
pub(super) fn reverse_elements() -> impl Iterator<Item = ElementType<'static>> {
    REVERSE_TYPES
        .iter()
        .map(|(id, data_type, semantics, units, name)| ElementType {
            enterprise: REVERSE_ENTERPRISE,
            id: *id,
            data_type: *data_type,
            semantics: *semantics,
            units: *units,
            name,
        })
}

/// Writes options data.
pub struct Options<'a, 's> {
    /// The Message.
    pub message: &'a mut MessageWriter,
    /// Milliseconds since the epoch.
    pub now: u64,
    /// Receives full Messages.
    pub send: &'a mut Send<'s>,
    /// Whether to send the Options Template before the records: the first time, and over UDP every
    /// time.
    pub with_template: bool,
}

impl std::fmt::Debug for Options<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

impl Options<'_, '_> {
    fn template(&mut self, id: u16, scope_fields: u16, fields: &[FieldSpecifier]) {
        if self.with_template {
            self.message
                .options_template(id, scope_fields, fields, self.now, self.send);
        }
    }

    /// Makes room for one record of at most `octets`.
    fn record(&mut self, id: u16, octets: usize) -> &mut Vec<u8> {
        // Counted after `open`, which may send the records before it.
        self.message.open(id, octets, self.now, self.send);
        self.message.count_options_record();
        &mut self.message.octets
    }

    /// Name and address of the exporter.
    pub fn announcement(&mut self, settings: &ExportSettings) {
        let address = settings.exporter_address;
        let has_address = !address.is_unspecified();
        self.template(
            ANNOUNCEMENT,
            1,
            match (has_address, address.is_ipv4()) {
                (false, _) => &ANNOUNCEMENT_FIELDS,
                (true, true) => &ANNOUNCEMENT_V4_FIELDS,
                (true, false) => &ANNOUNCEMENT_V6_FIELDS,
            },
        );
        let name = prefix(&settings.observation_domain_name, 254);
        // The domain, the length of the name, the name, the address.
        let out = self.record(ANNOUNCEMENT, name.len().saturating_add(4 + 1 + 16));
        put(out, settings.observation_domain_id.to_be_bytes());
        write_text(out, name);
        match (has_address, address.is_ipv4()) {
            (false, _) => {}
            (true, true) => put(out, address.v4_bits().to_be_bytes()),
            (true, false) => put(out, address.bits().to_be_bytes()),
        }
    }

    /// Counts of the Metering and the Exporting Process.
    pub fn statistics(&mut self, domain: u32, facts: &Facts, exported: (u64, u64, u64)) {
        let statistics = &facts.statistics;
        let (octets, messages, records) = exported;
        self.template(STATISTICS, 1, &STATISTICS_FIELDS);
        let out = self.record(STATISTICS, 4 + 6 * 8);
        put(out, domain.to_be_bytes());
        for count in [
            octets,
            messages,
            records,
            statistics.observed_flows,
            statistics.ignored_packets,
            statistics.ignored_octets,
        ] {
            put(out, count.to_be_bytes());
        }
        self.template(RELIABILITY, 1, &RELIABILITY_FIELDS);
        let out = self.record(RELIABILITY, 4 + 3 * 8);
        put(out, domain.to_be_bytes());
        for count in [
            statistics.not_sent_flows,
            statistics.not_sent_packets,
            statistics.not_sent_octets,
        ] {
            put(out, count.to_be_bytes());
        }
    }

    /// The packet sampling.
    pub fn sampling(&mut self, sampling: Sampling) {
        self.template(SAMPLING, 1, &SAMPLING_FIELDS);
        let out = self.record(SAMPLING, 8 + 2 + 4 + 4);
        put(out, SELECTOR.to_be_bytes());
        put(out, SYSTEMATIC_COUNT_BASED.to_be_bytes());
        put(out, sampling.interval.to_be_bytes());
        put(out, sampling.space.to_be_bytes());
    }

    /// The selection of flows by hash. The initial value of the hash is 0.
    pub fn flow_selection(&mut self, selection: FlowHashSelection) {
        self.template(FLOW_SELECTION, 1, &FLOW_SELECTION_FIELDS);
        let out = self.record(FLOW_SELECTION, 8 + 2 + 8 + 5 * 2 + 4 * 8);
        put(out, SELECTOR.to_be_bytes());
        put(out, HASH_BASED_BOB.to_be_bytes());
        put(out, 0_u64.to_be_bytes());
        for element in HASH_DOMAIN {
            put(out, element.to_be_bytes());
        }
        let selected_maximum = selection.selected_maximum();
        for number in [0, u32::MAX, 0, selected_maximum] {
            put(out, u64::from(number).to_be_bytes());
        }
    }

    /// The names of interfaces.
    pub fn interfaces(&mut self, facts: &Facts) {
        self.template(INTERFACES, 1, &INTERFACE_FIELDS);
        for interface in facts.interfaces.iter() {
            // Both fit into the shortest Message, of 512 octets.
            let name = prefix(&interface.name, 254);
            let description = prefix(&interface.description, 200);
            let octets = name.len().saturating_add(description.len());
            let out = self.record(INTERFACES, octets.saturating_add(4 + 2));
            put(out, interface.index.to_be_bytes());
            write_text(out, name);
            write_text(out, description);
        }
    }

    /// Types of enterprise elements (RFC 5610).
    pub fn elements<'e>(&mut self, elements: impl Iterator<Item = ElementType<'e>>) {
        self.template(ELEMENTS, 2, &ELEMENT_FIELDS);
        for element in elements {
            let name = prefix(element.name, 254);
            let fixed = 4 + 2 + 1 + 1 + 2 + 8 + 8 + 1 + 1;
            let out = self.record(ELEMENTS, name.len().saturating_add(fixed));
            put(out, element.enterprise.to_be_bytes());
            put(out, element.id.to_be_bytes());
            put(out, [element.data_type, element.semantics]);
            put(out, element.units.to_be_bytes());
            // Empty range and description.
            put(out, [0; 16]);
            write_text(out, name);
            write_text(out, "");
        }
    }

    /// The Flow Key of templates.
    pub fn flow_keys(&mut self, templates: impl Iterator<Item = u16>) {
        self.template(FLOW_KEYS, 1, &FLOW_KEY_FIELDS);
        for template in templates {
            let out = self.record(FLOW_KEYS, 2 + 8);
            put(out, template.to_be_bytes());
            put(out, FLOW_KEY_INDICATOR.to_be_bytes());
        }
    }
}

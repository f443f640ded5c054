//! What the Collecting Process and netgauze-flow-pkt read from Messages with any templates and
//! values is the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use flowproto::collector::Limits;
use flowproto::element::{DataType, ELEMENTS, Element, REVERSE_ENTERPRISE};
use flowproto_judge::{Judge, Member, registered};
use netgauze_flow_pkt::ie::InformationElementDataType as ForeignType;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use serde_json::{Map, Value};

#[path = "../../tests/exporter/mod.rs"]
mod exporter;

use exporter::{Exporter, Header, options_template, template_of};

/// 149 is left out of the JSON form of a record: it is that of the Message.
const OBSERVATION_DOMAIN_ID: u16 = 149;

const VMWARE: u32 = 6876;

/// Seconds from 1900, the epoch of NTP, to 1970.
const NTP_SECONDS: u64 = 2_208_988_800;

/// Octets from which the values of a record are made.
type RandomOctets = [[u8; 32]; 24];

/// An element of a template, with a length in octets.
#[derive(Clone, Debug)]
struct Field {
    enterprise: u32,
    element: &'static Element,
    /// Octets of a value; of one of variable length, the maximum.
    length: usize,
    is_variable: bool,
}

impl Field {
    fn specifier(&self) -> (u32, u16, u16) {
        let length = match self.is_variable {
            true => u16::MAX,
            false => self.length.try_into().unwrap(),
        };
        (self.enterprise, self.element.id, length)
    }

    /// A value on the wire, made from random octets.
    fn octets(&self, random: &[u8; 32]) -> Vec<u8> {
        let wide: Vec<u8> = random.iter().copied().cycle().take(self.length).collect();
        let number = u64::from_be_bytes(random[..8].try_into().unwrap());
        let mut value = match self.element.data_type {
            // Version 0.13.0 reads false as true (findings/netgauze-flow-pkt-0.13.0-values.sh).
            DataType::Boolean => vec![1],
            // Version 0.13.0 refuses years that its type for times does not have.
            DataType::DateTimeMilliseconds => (number >> 20).to_be_bytes().to_vec(),
            // From 1970 to 2036.
            DataType::DateTimeMicroseconds | DataType::DateTimeNanoseconds => {
                number.max(NTP_SECONDS << 32).to_be_bytes().to_vec()
            }
            // Version 0.13.0 keeps the eight flags of the low octet.
            DataType::Unsigned if self.element.name == "tcpControlBits" && self.length == 2 => {
                vec![0, random[0]]
            }
            DataType::Float => match self.length {
                4 => f32::from_be_bytes(random[..4].try_into().unwrap())
                    .clamp(-1e30, 1e30)
                    .to_be_bytes()
                    .to_vec(),
                _ => (f64::from(random[0]) / 3.0 - number as f64)
                    .to_be_bytes()
                    .to_vec(),
            },
            // Version 0.13.0 refuses a text that is not UTF-8, which the collector repairs.
            DataType::String => wide.iter().map(|octet| b' ' + octet % 95).collect(),
            _ => wide,
        };
        if !self.is_variable {
            return value;
        }
        value.truncate(usize::from(random[31]) % (self.length + 1));
        value.insert(0, value.len().try_into().unwrap());
        value
    }
}

/// The fields of an element that both can read, with a length that `choice` selects.
fn field(enterprise: u32, element: &'static Element, choice: u8) -> Option<Field> {
    let (foreign, _) = registered(enterprise, element.id).unzip();
    let full = usize::from(element.octets);
    let choice = usize::from(choice);
    let (length, is_variable) = match (element.data_type, foreign) {
        // Lists: version 0.13.0 does not look into them.
        (DataType::BasicList | DataType::SubTemplateList | DataType::SubTemplateMultiList, _) => {
            return None;
        }
        // Numbers of 32 octets (RFC 9740) are octets for the collector.
        (_, Some(ForeignType::unsigned256)) => return None,
        // Elements of other registries: their octets. Version 0.13.0 does not read them with
        // variable length (findings/netgauze-flow-pkt-0.13.0-variable-length.sh).
        (_, None) => (full.max(1), false),
        // A number may have fewer octets (RFC 7011, 6.2). Version 0.13.0 reads the numbers of a
        // registry with all of them only.
        (DataType::Unsigned | DataType::Signed, _) => (full - choice % full, false),
        // Version 0.13.0 reads three octets of MPLS labels only, also from the section of a whole
        // stack.
        (DataType::OctetArray, _) if element.name.contains("LabelStackSection") => (3, false),
        // Version 0.13.0 reads the length of 255 octets or more wrong (the same file).
        (DataType::OctetArray | DataType::String, _) => match choice % 2 {
            0 => (1 + choice, false),
            _ => (choice.min(254), true),
        },
        _ => (full, false),
    };
    Some(Field {
        enterprise,
        element,
        length,
        is_variable,
    })
}

/// All elements that both registries have, and their reverse.
fn candidates() -> Vec<(u32, &'static Element)> {
    let both = ELEMENTS.iter().filter(|element| {
        element.enterprise == 0 && element.id != OBSERVATION_DOMAIN_ID
            || element.enterprise == VMWARE && element.octets > 0
    });
    let reverse = ELEMENTS
        .iter()
        .filter(|e| e.enterprise == 0 && e.octets > 0 && e.id % 7 == 1);
    both.map(|element| (element.enterprise, element))
        .chain(reverse.map(|element| (REVERSE_ENTERPRISE, element)))
        .collect()
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    let elements = subsequence(candidates(), 1..24).prop_shuffle();
    (elements, any::<[u8; 24]>()).prop_map(|(elements, choices)| {
        let fields = elements.into_iter().zip(choices);
        let fields = fields.filter_map(|((enterprise, e), choice)| field(enterprise, e, choice));
        fields.collect()
    })
}

/// Data Records of these fields, each made from random octets.
fn data_records(fields: &[Field], values: &[RandomOctets]) -> Vec<u8> {
    let record = |random: &RandomOctets| {
        let values = fields.iter().zip(random);
        let octets = values.flat_map(|(field, random)| field.octets(random));
        octets.collect::<Vec<u8>>()
    };
    values.iter().flat_map(record).collect()
}

/// A value as both read it. Of other types than these, the same JSON.
fn is_same(ours: &Value, theirs: &Member, field: &Field) -> bool {
    let units = match theirs.data_type {
        ForeignType::dateTimeMicroseconds => 1_000_000,
        ForeignType::dateTimeNanoseconds => 1_000_000_000,
        ForeignType::float32 | ForeignType::float64 => {
            return ours.as_f64() == theirs.value.as_f64();
        }
        _ => return *ours == theirs.value || is_unnamed(ours, theirs, field),
    };
    // Version 0.13.0 takes 1970 for the epoch (findings/netgauze-flow-pkt-0.13.0-values.sh), and
    // its fractions of a second are rounded down.
    let theirs = theirs
        .value
        .as_u64()
        .and_then(|time| time.checked_sub(NTP_SECONDS * units));
    match (ours.as_u64(), theirs) {
        (Some(ours), Some(theirs)) => ours.abs_diff(theirs) <= 1,
        _ => false,
    }
}

/// An element that the foreign registry does not have: its octets.
fn is_unnamed(ours: &Value, theirs: &Member, field: &Field) -> bool {
    if registered(field.enterprise, field.element.id).is_some() {
        return false;
    }
    let octets = theirs.value.as_str().unwrap();
    let octets: Vec<u8> = (0..octets.len() / 2)
        .map(|at| u8::from_str_radix(&octets[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let mut text = Vec::new();
    flowproto::json::write_value(Some(field.element.data_type), &octets, &mut text);
    serde_json::from_slice::<Value>(&text).unwrap() == *ours
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_read_the_same_values(
        fields in fields(),
        values in prop::collection::vec(any::<RandomOctets>(), 1..6),
        padding in any::<Index>(),
    ) {
        prop_assume!(!fields.is_empty());
        let specifiers: Vec<_> = fields.iter().map(Field::specifier).collect();
        let mut data = data_records(&fields, &values);
        // Padding is shorter than any record (RFC 7011, 3.3.1).
        let shortest: usize = fields.iter().map(|f| if f.is_variable { 1 } else { f.length }).sum();
        data.extend(vec![0; padding.index(shortest.min(4))]);
        prop_assume!(data.len() < 60_000);
        let message = Header::ipfix(0).with(&[(2, template_of(300, &specifiers)), (300, data)]);

        let mut ours = Exporter::new(Limits::default());
        ours.send(&message);
        prop_assert_eq!(ours.process.counters().unusable.total(), 0);
        let theirs = Judge::default().read(&message).unwrap();
        prop_assert_eq!(ours.taken.json.len(), values.len());
        prop_assert_eq!(theirs.records.len(), values.len());
        for (ours, theirs) in ours.taken.json.iter().zip(&theirs.records) {
            let ours: Map<String, Value> = serde_json::from_str(&format!("{{{ours}}}")).unwrap();
            prop_assert_eq!(ours.len(), fields.len());
            for (field, theirs) in fields.iter().zip(&theirs.fields) {
                let ours = ours.get(&theirs.name);
                prop_assert!(
                    ours.is_some_and(|ours| is_same(ours, theirs, field)),
                    "{:?} {:?} {:?}", ours, theirs, field
                );
            }
        }
    }

    #[test]
    fn both_read_as_many_options_records(
        fields in fields(), scope in any::<Index>(),
        values in prop::collection::vec(any::<RandomOctets>(), 1..6),
    ) {
        prop_assume!(!fields.is_empty());
        let specifiers: Vec<_> = fields.iter().map(Field::specifier).collect();
        let scope = 1 + scope.index(fields.len());
        let data = data_records(&fields, &values);
        prop_assume!(data.len() < 60_000);
        let template = options_template(300, scope.try_into().unwrap(), &specifiers);
        let message = Header::ipfix(0).with(&[(3, template), (300, data)]);

        let mut ours = Exporter::new(Limits::default());
        ours.send(&message);
        let theirs = Judge::default().read(&message).unwrap();
        prop_assert_eq!(theirs.records.len(), values.len());
        prop_assert_eq!(ours.process.counters().options_records, u64::try_from(values.len()).unwrap());
        prop_assert!(theirs.records.iter().all(|record| record.scope.len() == scope));
    }
}

#[test]
fn the_registries_agree_on_names_and_types() {
    let mut compared = 0;
    for element in ELEMENTS
        .iter()
        .filter(|e| e.enterprise == 0 || e.enterprise == VMWARE)
    {
        let Some((foreign, name)) = registered(element.enterprise, element.id) else {
            continue;
        };
        assert_eq!(element.data_type, common_type(foreign), "{name}");
        assert!(
            element.enterprise == VMWARE || element.name == name,
            "{} {name}",
            element.name
        );
        compared += 1;
    }
    assert!(compared > 500, "{compared}");
}

fn common_type(foreign: ForeignType) -> DataType {
    let number = u64::from(foreign as u8);
    DataType::of_number(number).unwrap_or(DataType::OctetArray)
}

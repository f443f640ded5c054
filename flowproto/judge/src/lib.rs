//! IPFIX Messages as netgauze-flow-pkt, an independent decoder, reads them.
//!
//! Values are in the form in which flowproto writes them as JSON, so that both readings can be
//! compared. The name of an element is that of flowproto's registries, the data type and the value
//! are those of the foreign decoder.

use chrono::{DateTime, Utc};
use flowproto::element::{self, REVERSE_ENTERPRISE};
use netgauze_flow_pkt::ie::{
    Field, HasIE, IE, InformationElementDataType as DataType, InformationElementTemplate as _,
    vmware,
};
use netgauze_flow_pkt::ipfix::{IpfixPacket, Set, TemplatesMap};
use netgauze_parse_utils::WritablePduWithOneInput as _;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput as _;
use serde_json::Value;

/// A Collecting Process with the templates of one Transport Session.
#[derive(Default)]
pub struct Judge(TemplatesMap);

/// A Message.
pub struct Message {
    /// Sequence Number.
    pub sequence: u32,
    /// Observation Domain ID.
    pub domain: u32,
    /// The Data Records of all Sets in their order.
    pub records: Vec<Record>,
}

/// A Data Record.
pub struct Record {
    /// The scope. Empty for records that are not options data.
    pub scope: Vec<Member>,
    /// The other fields.
    pub fields: Vec<Member>,
}

/// A field with its value.
#[derive(Debug)]
pub struct Member {
    /// Name of the element, `PEN:ID` if no registry has it.
    pub name: String,
    /// The data type of the foreign registry.
    pub data_type: DataType,
    /// The value as JSON. Times in units of their type since the epoch. Octets, also those of
    /// elements that the foreign registry does not have, in hexadecimal digits.
    pub value: Value,
}

impl Judge {
    /// Reads a Message.
    ///
    /// # Errors
    /// The error of the foreign decoder.
    pub fn read(&mut self, message: &[u8]) -> Result<Message, String> {
        let packet = IpfixPacket::parse(&mut SliceReader::new(message), &mut self.0)
            .map_err(|error| error.to_string())?;
        let mut records = Vec::new();
        for set in packet.sets() {
            if let Set::Data { records: data, .. } = set {
                records.extend(data.iter().map(|record| Record {
                    scope: record.scope_fields().iter().map(member).collect(),
                    fields: record.fields().iter().map(member).collect(),
                }));
            }
        }
        Ok(Message {
            sequence: packet.sequence_number(),
            domain: packet.observation_domain_id(),
            records,
        })
    }
}

impl Record {
    /// The value of the first field with this name, also one of the scope.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let mut members = self.scope.iter().chain(&self.fields);
        members.find(|m| m.name == name).map(|m| &m.value)
    }
}

/// The data type that the foreign registry has for an element, and its name.
#[must_use]
pub fn registered(enterprise: u32, id: u16) -> Option<(DataType, String)> {
    match IE::try_from((enterprise, id)).ok()? {
        IE::Unknown { .. } | IE::VMWare(vmware::IE::Unknown { .. }) => None,
        ie => Some((ie.data_type(), format!("{ie:?}"))),
    }
}

fn member(field: &Field) -> Member {
    let ie = field.ie();
    Member {
        name: name(ie.pen(), ie.id()),
        data_type: ie.data_type(),
        value: value(field, ie.data_type()),
    }
}

fn name(enterprise: u32, id: u16) -> String {
    let Some(element) = element::find(enterprise, id) else {
        return format!("{enterprise}:{id}");
    };
    if enterprise != REVERSE_ENTERPRISE {
        return element.name.to_owned();
    }
    let (first, rest) = element.name.split_at(1);
    format!("reverse{}{rest}", first.to_ascii_uppercase())
}

fn value(field: &Field, data_type: DataType) -> Value {
    let time = || TryInto::<DateTime<Utc>>::try_into(field.clone()).ok();
    match data_type {
        DataType::dateTimeSeconds => time().map(|time| time.timestamp()).into(),
        DataType::dateTimeMilliseconds => time().map(|time| time.timestamp_millis()).into(),
        DataType::dateTimeMicroseconds => time().map(|time| time.timestamp_micros()).into(),
        DataType::dateTimeNanoseconds => time().and_then(|time| time.timestamp_nanos_opt()).into(),
        _ => match (
            plain(serde_json::to_value(field).unwrap_or_default()),
            data_type,
        ) {
            (Value::Array(octets), DataType::macAddress) => digits(&octets, ":").into(),
            (Value::Array(octets), _) => digits(&octets, "").into(),
            (Value::Number(number), _) => Value::Number(number),
            (text, DataType::string | DataType::ipv4Address | DataType::ipv6Address) => text,
            (truth, DataType::boolean) => truth,
            // Names of numbers, and sets of flags.
            _ => number(field),
        },
    }
}

/// The value inside `{"name": value}`, with `{"vendor": …}` around that of a vendor's element.
fn plain(field: Value) -> Value {
    match field {
        Value::Object(object) => {
            let inner = object.into_iter().next();
            match inner {
                Some((key, Value::Object(mut unknown))) if key == "Unknown" => {
                    unknown.remove("value").unwrap_or_default()
                }
                Some((vendor, inner @ Value::Object(_))) if vendor == "VMWare" => plain(inner),
                Some((_, value)) => value,
                None => Value::Null,
            }
        }
        other => other,
    }
}

/// The number that the field writes as big-endian octets.
fn number(field: &Field) -> Value {
    let mut octets = Vec::new();
    match field.write(&mut octets, None) {
        Ok(()) => octets
            .iter()
            .fold(0_u64, |number, octet| number << 8 | u64::from(*octet))
            .into(),
        Err(_) => Value::Null,
    }
}

/// Octets as hexadecimal digits, with a separator.
fn digits(octets: &[Value], separator: &str) -> String {
    let octets = octets.iter().filter_map(Value::as_u64);
    let digits: Vec<String> = octets.map(|octet| format!("{octet:02x}")).collect();
    digits.join(separator)
}

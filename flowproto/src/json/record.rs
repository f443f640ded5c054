//! Data Records as JSON members.

use std::iter::successors;

use super::key::{write_key, write_number_key};
use super::list::{self, RecordWriter};
use super::output::Output;
use super::scalar::write_string;
use crate::element::DataType;
use crate::options::Metadata;
use crate::template::{Field, Template};

const INGRESS_INTERFACE: (u32, u16) = (0, 10);
const EGRESS_INTERFACE: (u32, u16) = (0, 14);
const APPLICATION_ID: (u32, u16) = (0, 95);
const APPLICATION_NAME: (u32, u16) = (0, 96);
/// Written by the caller, from the Message header.
const OBSERVATION_DOMAIN_ID: (u32, u16) = (0, 149);

/// Looks up the templates of records inside lists.
pub(crate) trait Templates {
    /// The template `id` of the record's Transport Session.
    fn template(&self, id: u16) -> Option<&Template>;
}

/// Appends the fields of a record as members of a JSON object, in at most `limit` octets. Returns
/// whether some are missing.
pub(crate) fn write_members<C: Templates + Metadata>(
    template: &Template,
    record: &[u8],
    context: &C,
    limit: usize,
    out: &mut Vec<u8>,
) -> bool {
    let mut out = Output::new(out, limit);
    Writer { context }.write(template, record, 0, &mut out);
    out.is_truncated()
}

struct Writer<'a, C> {
    context: &'a C,
}

impl<C: Templates + Metadata> Writer<'_, C> {
    /// `depth`: number of enclosing lists.
    fn write(&self, template: &Template, record: &[u8], depth: usize, out: &mut Output<'_>) {
        let fields = template.fields();
        // Elements seldom occur twice. If one does, its values are found without a search for each.
        let values: Vec<&[u8]> = match fields.iter().any(|field| field.is_repeated) {
            true => template.values(record).map(|(_, value)| value).collect(),
            false => Vec::new(),
        };
        let mut separator: &[u8] = b"";
        for (field, value) in template.values(record) {
            if field.is_repeated || field.specifier.element() == OBSERVATION_DOMAIN_ID {
                continue;
            }
            let begin = out.octets.len();
            out.octets.extend_from_slice(separator);
            separator = b",";
            let data_type = self.write_key(field, out.octets);
            let next = |at: &u16| fields.get(usize::from(*at))?.next_occurrence;
            let others = successors(field.next_occurrence, next);
            let others = others.map_while(|at| values.get(usize::from(at)));
            let mut others = others.copied().peekable();
            let is_list = others.peek().is_some();
            if is_list {
                out.octets.push(b'[');
            }
            list::write_value(data_type, value, self, depth, out);
            if is_list {
                for other in others {
                    let before = out.octets.len();
                    out.octets.push(b',');
                    list::write_value(data_type, other, self, depth, out);
                    if out.is_full(before) {
                        break;
                    }
                }
                out.octets.push(b']');
            }
            self.write_name(template, field, value, out.octets);
            if out.is_full(begin) {
                return;
            }
        }
    }

    /// Appends `"name":` of a field, and returns the data type of its values.
    fn write_key(&self, field: &Field, out: &mut Vec<u8>) -> Option<DataType> {
        let element = field.specifier.element();
        if field.is_name_taken {
            write_number_key(element, out);
            return field.element.map(|element| element.data_type);
        }
        write_key(element, field.element, self.context, out)
    }

    /// Appends a member with the name of an interface or application, if options data have one.
    fn write_name(&self, template: &Template, field: &Field, value: &[u8], out: &mut Vec<u8>) {
        let element = field.specifier.element();
        let (key, name): (&[u8], _) = match element {
            INGRESS_INTERFACE => (b",\"ingressInterfaceName\":", self.context.interface(value)),
            EGRESS_INTERFACE => (b",\"egressInterfaceName\":", self.context.interface(value)),
            APPLICATION_ID => (b",\"applicationName\":", self.context.application(value)),
            _ => return,
        };
        let Some(name) = name else { return };
        let has_own_name = || {
            let mut fields = template.fields().iter();
            fields.any(|field| field.specifier.element() == APPLICATION_NAME)
        };
        if element != APPLICATION_ID || !has_own_name() {
            out.extend_from_slice(key);
            write_string(name, out);
        }
    }
}

impl<C: Templates + Metadata> RecordWriter for Writer<'_, C> {
    type Metadata = C;

    fn metadata(&self) -> &C {
        self.context
    }

    fn record_length(&self, template: u16, octets: &[u8]) -> Option<usize> {
        self.context.template(template)?.record_length(octets)
    }

    fn write_record(&self, template: u16, record: &[u8], depth: usize, out: &mut Output<'_>) {
        if let Some(template) = self.context.template(template) {
            self.write(template, record, depth, out);
        }
    }
}

//! Keys of members: names of Information Elements.

use super::scalar::write_string;
use crate::element::{self, DataType, Element, REVERSE_ENTERPRISE};
use crate::options::Metadata;

/// Appends `"name":` of an element by the public registries, else by the exporter's type record,
/// else `"PEN:ID":`. Returns its data type.
pub(super) fn write_key(
    (enterprise, id): (u32, u16),
    element: Option<&Element>,
    metadata: &(impl Metadata + ?Sized),
    out: &mut Vec<u8>,
) -> Option<DataType> {
    if let Some(element) = element {
        if enterprise == REVERSE_ENTERPRISE {
            write_string(&element::reverse_name(element.name), out);
            out.push(b':');
        } else {
            out.extend_from_slice(element.key.as_bytes());
        }
        return Some(element.data_type);
    }
    let Some(described) = metadata.type_of(enterprise, id) else {
        write_number_key((enterprise, id), out);
        return None;
    };
    write_string(&described.name, out);
    out.push(b':');
    Some(described.data_type)
}

/// Appends `"PEN:ID":`.
pub(super) fn write_number_key((enterprise, id): (u32, u16), out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\"{enterprise}:{id}\":").as_bytes());
}

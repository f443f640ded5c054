//! Templates and Data Records as they came.

/// A Data Record as it came: the fields in the order of its template.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    _octets: &'a [u8],
}

impl Fields<'_> {
    /// Appends the fields to `out` as members of a JSON object, `"name":value` separated by commas and
    /// without braces: keys as in the registries, `PEN:ID` with hexadecimal where none names the
    /// element. Appends nothing for a record without fields.
    pub fn write_json(&self, _out: &mut Vec<u8>) {}
}

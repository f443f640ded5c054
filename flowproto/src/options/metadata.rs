//! Metadata: names of interfaces (10 → 82) and applications (95 → 96), and types of an exporter's
//! own elements (RFC 5610).

use crate::element::{self, DataType};
use crate::field::FieldSpecifier;
use crate::value::{trim_zeros, unsigned};

/// Maximum length of a name, octets; longer ones are cut.
const MAX_NAME_OCTETS: usize = 255;
/// Maximum length of an application identifier, octets (RFC 6759 §4.1).
const MAX_APPLICATION_OCTETS: usize = 24;

/// Name and data type of an Information Element, as its exporter describes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ElementType {
    pub(crate) name: Box<str>,
    pub(crate) data_type: DataType,
}

/// One piece of metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MetadataEntry {
    /// 82 or 83 of an interface.
    Interface(u32, Box<str>),
    /// 96 of an application.
    Application(Box<[u8]>, Box<str>),
    /// The type of an element.
    Type(u32, u16, ElementType),
}

/// Looks up names and types.
pub(crate) trait Metadata {
    /// The name of an interface by a value of 10 or 14.
    fn interface(&self, value: &[u8]) -> Option<&str>;
    /// The name of an application by a value of 95.
    fn application(&self, value: &[u8]) -> Option<&str>;
    /// The type of an element that no public registry has.
    fn type_of(&self, enterprise: u32, id: u16) -> Option<&ElementType>;
}

/// The metadata fields of one options record.
#[derive(Debug, Default)]
pub(crate) struct MetadataFields<'a> {
    interface: Option<u32>,
    interface_name: Option<&'a [u8]>,
    interface_description: Option<&'a [u8]>,
    application: Option<&'a [u8]>,
    application_name: Option<&'a [u8]>,
    enterprise: Option<u32>,
    element: Option<u16>,
    element_name: Option<&'a [u8]>,
    element_type: Option<u64>,
}

impl<'a> MetadataFields<'a> {
    /// Takes a field.
    pub(crate) fn add(&mut self, specifier: FieldSpecifier, value: &'a [u8]) {
        if specifier.enterprise != 0 {
            return;
        }
        match specifier.id {
            10 | 14 => self.interface = u32::try_from(unsigned(value)).ok(),
            82 => self.interface_name = Some(value),
            83 => self.interface_description = Some(value),
            95 => self.application = Some(value),
            96 => self.application_name = Some(value),
            303 => self.element = u16::try_from(unsigned(value)).ok(),
            339 => self.element_type = Some(unsigned(value)),
            341 => self.element_name = Some(value),
            346 => self.enterprise = u32::try_from(unsigned(value)).ok(),
            _ => {}
        }
    }

    /// Calls `each` with the entries that the fields make together.
    pub(crate) fn into_entries(self, mut each: impl FnMut(MetadataEntry)) {
        if let Some(id) = self.interface {
            let name = self.interface_name.and_then(text);
            if let Some(name) = name.or_else(|| self.interface_description.and_then(text)) {
                each(MetadataEntry::Interface(id, name));
            }
        }
        if let (Some(id), Some(name)) = (self.application, self.application_name.and_then(text))
            && id.len() <= MAX_APPLICATION_OCTETS
        {
            each(MetadataEntry::Application(id.into(), name));
        }
        if let (Some(id), Some(data_type)) = (
            self.element.map(|id| id & 0x7fff),
            self.element_type.and_then(DataType::of_number),
        ) && let Some(enterprise) = self.enterprise.filter(|enterprise| *enterprise != 0)
            // The public registries cannot be overruled.
            && element::find(enterprise, id).is_none()
            && let Some(name) = self.element_name.and_then(text).filter(|name| is_name(name))
        {
            each(MetadataEntry::Type(
                enterprise,
                id,
                ElementType { name, data_type },
            ));
        }
    }
}

/// Text as it is kept: without padding, cut at the maximum length. `None` if empty.
pub(crate) fn text(value: &[u8]) -> Option<Box<str>> {
    let value = trim_zeros(value.get(..MAX_NAME_OCTETS).unwrap_or(value));
    let text = String::from_utf8_lossy(value);
    (!text.is_empty()).then(|| text.into())
}

/// Member names of a flow-log line, and of a list in it, that are not registry names.
const RESERVED_NAMES: [&str; 8] = [
    "exporter",
    "version",
    "counted",
    "observer",
    "ingressInterfaceName",
    "egressInterfaceName",
    "semantic",
    "truncated",
];

/// Whether a name has the form of a registry name, and is neither in a registry nor reserved.
fn is_name(name: &str) -> bool {
    name.bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-' | b'.'))
        && !RESERVED_NAMES.contains(&name)
        && !element::is_named(name)
}

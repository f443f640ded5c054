//! An endpoint with its names and attributes at the time of the traffic.

use kipfix_service::exposition::protobuf::write_varint;

use super::varint;
use crate::aggregate::endpoint_text;
use crate::aggregate::field::{EndpointField, Value};
use crate::inventory::EndpointKind;
use crate::snapshots::EndpointView;

/// The fields that are stored as text, in the order of [`StoredEndpoint::texts`].
const TEXTS: [EndpointField; 14] = [
    EndpointField::Namespace,
    EndpointField::Kind,
    EndpointField::Workload,
    EndpointField::Pod,
    EndpointField::Node,
    EndpointField::Zone,
    EndpointField::Region,
    EndpointField::Pool,
    EndpointField::Cidr,
    EndpointField::AsName,
    EndpointField::Country,
    EndpointField::CloudProvider,
    EndpointField::CloudService,
    EndpointField::CloudRegion,
];

/// The kinds, in the order in which they are stored.
const KINDS: [EndpointKind; 5] = [
    EndpointKind::Pod,
    EndpointKind::Node,
    EndpointKind::Service,
    EndpointKind::External,
    EndpointKind::Link,
];

/// Maximum octets of a text. Names of Kubernetes have at most 253.
const MAX_TEXT_OCTETS: usize = 512;

/// One endpoint. All texts are in one allocation, since there are many endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StoredEndpoint {
    kind: EndpointKind,
    as_number: u32,
    texts: Box<str>,
    /// End of each text.
    ends: [u16; TEXTS.len()],
}

impl StoredEndpoint {
    /// Copies an endpoint of the inventory.
    #[must_use]
    pub fn new(view: EndpointView<'_>) -> Self {
        let kind = view.endpoint.kind;
        let text = |field| match field {
            EndpointField::Pod if kind != EndpointKind::Pod => "",
            field => endpoint_text(view, field),
        };
        Self::of_texts(kind, view.attributes.as_number, text)
    }

    /// The endpoint that stands for all that found no room.
    #[must_use]
    pub fn other() -> Self {
        Self::of_texts(EndpointKind::External, 0, |field| match field {
            EndpointField::Namespace | EndpointField::Kind | EndpointField::Workload => "other",
            _ => "",
        })
    }

    fn of_texts<'a>(
        kind: EndpointKind,
        as_number: u32,
        text: impl Fn(EndpointField) -> &'a str,
    ) -> Self {
        let mut texts = String::new();
        let ends = TEXTS.map(|field| {
            let text = text(field);
            texts.push_str(clipped(text));
            u16::try_from(texts.len()).unwrap_or(u16::MAX)
        });
        Self {
            kind,
            as_number,
            texts: texts.into(),
            ends,
        }
    }

    /// Appends it as octets.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let kind = KINDS.iter().position(|kind| *kind == self.kind);
        out.push(kind.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX));
        write_varint(self.as_number.into(), out);
        for field in TEXTS {
            let text = self.text(field);
            write_varint(u64::try_from(text.len()).unwrap_or_default(), out);
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// Removes one from the front of octets. `None` if they are not valid.
    pub(super) fn read(octets: &mut &[u8]) -> Option<Self> {
        let (kind, rest) = octets.split_first()?;
        *octets = rest;
        let kind = *KINDS.get(usize::from(*kind))?;
        let as_number = u32::try_from(varint::read(octets)?).ok()?;
        let mut texts: [&str; TEXTS.len()] = [""; TEXTS.len()];
        for text in &mut texts {
            let length = usize::try_from(varint::read(octets)?).ok()?;
            let (read, rest) = octets.split_at_checked(length)?;
            *octets = rest;
            *text = std::str::from_utf8(read)
                .ok()
                .filter(|text| text.len() <= MAX_TEXT_OCTETS)?;
        }
        let text = |field| {
            let mut fields = TEXTS.iter().zip(texts);
            fields
                .find(|(known, _)| **known == field)
                .map_or("", |(_, text)| text)
        };
        Some(Self::of_texts(kind, as_number, text))
    }

    /// Appends the names of the kinds and of the fields, in the order in which they are stored.
    pub(super) fn write_layout(out: &mut Vec<u8>) {
        let kinds = KINDS.map(<&str>::from);
        let names = kinds.into_iter().chain(TEXTS.map(<&str>::from));
        for name in names {
            out.extend_from_slice(name.as_bytes());
            out.push(b' ');
        }
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> EndpointKind {
        self.kind
    }

    /// The value of a text field; empty if it has none.
    #[must_use]
    pub fn text(&self, field: EndpointField) -> &str {
        let Some(at) = TEXTS.iter().position(|known| *known == field) else {
            return "";
        };
        let end = |at: usize| self.ends.get(at).copied().map_or(0, usize::from);
        let begin = at.checked_sub(1).map_or(0, end);
        self.texts.get(begin..end(at)).unwrap_or_default()
    }

    /// True if the value of a field is stored.
    #[must_use]
    pub fn has(field: EndpointField) -> bool {
        let computed = [
            EndpointField::Class,
            EndpointField::Name,
            EndpointField::AsNumber,
        ];
        TEXTS.contains(&field) || computed.contains(&field)
    }

    /// The value of a field.
    #[must_use]
    pub fn value(&self, field: EndpointField) -> Value<'_> {
        match field {
            EndpointField::Class => Value::Text(self.kind.into()),
            EndpointField::Name if self.kind == EndpointKind::External => {
                Value::text(self.text(EndpointField::Workload))
            }
            EndpointField::AsNumber if self.as_number != 0 => Value::Number(self.as_number.into()),
            _ => Value::text(self.text(field)),
        }
    }

    /// Octets of memory that it needs in a table, about.
    pub(super) fn octets(&self) -> usize {
        /// The slot, its hash, the reference counts and the rounding of the allocator.
        const OVERHEAD: usize = 64;
        size_of::<Self>() + self.texts.len() + OVERHEAD
    }
}

/// At most [`MAX_TEXT_OCTETS`] of a text.
fn clipped(text: &str) -> &str {
    let mut lengths = (0..=text.len().min(MAX_TEXT_OCTETS)).rev();
    lengths
        .find_map(|length| text.get(..length))
        .unwrap_or_default()
}

#[cfg(test)]
impl StoredEndpoint {
    /// A pod of a Deployment.
    pub(super) fn of_pod(namespace: &str, workload: &str, pod: &str, node: &str) -> Self {
        Self::of_texts(EndpointKind::Pod, 0, |field| match field {
            EndpointField::Namespace => namespace,
            EndpointField::Kind => "Deployment",
            EndpointField::Workload => workload,
            EndpointField::Pod => pod,
            EndpointField::Node => node,
            _ => "",
        })
    }

    /// A named external address.
    pub(super) fn of_external(name: &str, as_number: u32) -> Self {
        Self::of_texts(EndpointKind::External, as_number, |field| match field {
            EndpointField::Kind => "External",
            EndpointField::Workload | EndpointField::Cidr => name,
            _ => "",
        })
    }

    /// All addresses that do not leave their link.
    pub(super) fn of_link() -> Self {
        Self::of_texts(EndpointKind::Link, 0, |field| match field {
            EndpointField::Kind => "Link",
            _ => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_stored_on_its_own() {
        let pod = StoredEndpoint::of_pod("shop", "web", "web-1", "node-a");
        assert_eq!(pod.value(EndpointField::Namespace), Value::Text("shop"));
        assert_eq!(pod.value(EndpointField::Kind), Value::Text("Deployment"));
        assert_eq!(pod.value(EndpointField::Pod), Value::Text("web-1"));
        assert_eq!(pod.value(EndpointField::Node), Value::Text("node-a"));
        assert_eq!(pod.value(EndpointField::Class), Value::Text("pod"));
        assert_eq!(pod.value(EndpointField::Zone), Value::Absent);
        assert_eq!(pod.value(EndpointField::Name), Value::Absent);
        assert_eq!(pod.value(EndpointField::AsNumber), Value::Absent);
        let office = StoredEndpoint::of_external("office", 64_500);
        assert_eq!(office.value(EndpointField::Name), Value::Text("office"));
        assert_eq!(office.value(EndpointField::AsNumber), Value::Number(64_500));
    }

    #[test]
    fn a_text_of_unusual_length_is_cut_between_characters() {
        let long = "ö".repeat(5000);
        let pod = StoredEndpoint::of_pod(&long, "web", &long, "node-a");
        assert_eq!(pod.text(EndpointField::Namespace), "ö".repeat(256));
        assert_eq!(pod.text(EndpointField::Workload), "web");
        assert_eq!(pod.text(EndpointField::Node), "node-a");
    }
}

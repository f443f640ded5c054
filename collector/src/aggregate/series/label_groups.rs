//! Groups of labels. Labels that follow each other and are properties of the same endpoint are one
//! group, so that their text is looked up once for each endpoint.

use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use kipfix_service::exposition::text;

use super::super::detail::DetailParts;
use super::super::family::Label;
use super::super::field::{Field, Side};
use super::fragments::FragmentTable;
use crate::inventory::EndpointId;

/// Labels that follow each other and are properties of the same endpoint, or of the edge.
#[derive(Debug)]
pub(super) struct LabelGroup {
    pub(super) labels: Range<usize>,
    /// Its text begins with a comma: there are labels before it.
    pub(super) is_continuation: bool,
    /// The endpoint. `None` if they are properties of the edge.
    pub(super) side: Option<Side>,
    pub(super) texts: FragmentTable,
    /// Fragments of endpoints, as long as neither names nor fragments change.
    pub(super) known: HashMap<EndpointId, u32, RandomState>,
}

/// Labels that follow each other and are properties of the same endpoint, or of the edge.
pub(super) fn groups(labels: &[Label], has_constant: bool) -> Vec<LabelGroup> {
    let mut groups: Vec<LabelGroup> = Vec::new();
    for (at, label) in labels.iter().enumerate() {
        let side = side_of(label);
        match groups.last_mut() {
            Some(group) if group.side == side => group.labels.end = at + 1,
            _ => groups.push(LabelGroup {
                labels: at..at + 1,
                is_continuation: has_constant || at > 0,
                side,
                texts: FragmentTable::default(),
                known: HashMap::default(),
            }),
        }
    }
    groups
}

/// The only endpoint that a label depends on, if it is one.
fn side_of(label: &Label) -> Option<Side> {
    let mut fields = label.value.fields();
    let first = fields.next()?;
    let is_of =
        |side| move |field: &Field| field.side() == side && DetailParts::of(field).is_empty();
    let is_same = is_of(first.side());
    (is_same(first) && fields.all(is_same))
        .then(|| first.side())
        .flatten()
}

/// The key of an endpoint, or of its absence.
pub(super) fn known_key(id: Option<EndpointId>) -> EndpointId {
    id.unwrap_or(EndpointId(u32::MAX))
}

/// Appends `NAME="VALUE"`.
pub(super) fn write_label(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    text::write_label_value(value, out);
    out.push(b'"');
}

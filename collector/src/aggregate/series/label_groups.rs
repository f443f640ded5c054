//! Groups of labels. Labels that follow each other and are determined alike, for example by the
//! same endpoint, are one group, so that their text is made once for each endpoint.

use std::ops::Range;

use kipfix_service::exposition::text;

use super::determinant::Determinant;
use super::fragments::FragmentTable;
use crate::aggregate::family::Label;
use crate::dense_map::DenseMap;

/// Labels that follow each other and are determined alike.
#[derive(Debug)]
pub(super) struct LabelGroup {
    pub(super) labels: Range<usize>,
    /// Its text begins with a comma: there are labels before it.
    pub(super) is_continuation: bool,
    /// `None` if they are properties of single edges.
    pub(super) determinant: Option<Determinant>,
    pub(super) texts: FragmentTable,
    /// Fragments by the key of their determinant, as long as neither names nor fragments change.
    pub(super) known: DenseMap,
}

/// The groups of labels. `has_constant`: there is a label before them.
pub(super) fn groups(labels: &[Label], has_constant: bool) -> Vec<LabelGroup> {
    let mut groups: Vec<LabelGroup> = Vec::new();
    for (at, label) in labels.iter().enumerate() {
        let determinant = Determinant::of_all(label.value.fields());
        match groups.last_mut() {
            Some(group) if group.determinant == determinant => group.labels.end = at + 1,
            _ => groups.push(LabelGroup {
                labels: at..at + 1,
                is_continuation: has_constant || at > 0,
                determinant,
                texts: FragmentTable::default(),
                known: DenseMap::default(),
            }),
        }
    }
    groups
}

/// Appends `NAME="VALUE"`.
pub(super) fn write_label(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    text::write_label_value(value, out);
    out.push(b'"');
}

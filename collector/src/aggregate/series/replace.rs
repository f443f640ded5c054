//! The sets of rows of new families, given those of the families before.

use std::sync::Arc;

use super::family::ExposedFamily;
use super::set::SeriesSet;
use crate::aggregate::family::{Family, RowLayout};

/// The sets of `families`. Families that share rows follow each other. Those that `old` has, too,
/// with the same name, samples, labels and filter, stay in their set with its rows. A new family
/// begins without rows, even if others have the same labels, so that its counters begin at 0.
pub(super) fn sets(
    mut old: Vec<SeriesSet>,
    families: &[Family],
    cluster_name: &str,
) -> Vec<SeriesSet> {
    let mut sets = Vec::new();
    for group in families.chunk_by(Family::shares_rows) {
        let Some(layout) = group.first().map(|family| Arc::clone(&family.rows)) else {
            continue;
        };
        let mut new: Vec<Family> = group.to_vec();
        for set in old.extract_if(.., |set| group.iter().any(|family| shows(set, family))) {
            let (staying, others) = new.into_iter().partition(|family| shows(&set, family));
            let staying: Vec<Family> = staying;
            sets.push(showing(set, &staying, Arc::clone(&layout), cluster_name));
            new = others;
        }
        if !new.is_empty() {
            sets.push(SeriesSet::new(&new, layout, cluster_name));
        }
    }
    sets
}

/// True if the set shows the family, whatever its bounds are.
fn shows(set: &SeriesSet, family: &Family) -> bool {
    let is_same_layout =
        set.layout.labels == family.rows.labels && set.layout.filter == family.rows.filter;
    is_same_layout
        && set.families.iter().any(|exposed| {
            exposed.family.name == family.name && exposed.family.samples == family.samples
        })
}

/// The set with some of its families, and with their bounds.
fn showing(
    mut set: SeriesSet,
    families: &[Family],
    layout: Arc<RowLayout>,
    cluster_name: &str,
) -> SeriesSet {
    let of_rows = (set.columns.as_slice(), set.histograms.as_slice());
    let exposed = families
        .iter()
        .map(|family| ExposedFamily::new(family, of_rows, cluster_name));
    set.families = exposed.collect();
    set.layout = layout;
    set
}

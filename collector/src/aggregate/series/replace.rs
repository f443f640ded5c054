//! The sets of rows of new families, given those of the families before.

use std::sync::Arc;

use super::super::family::Family;
use super::set::SeriesSet;

/// The sets of `families`. Families that share rows follow each other. Those that `old` has, too, with
/// the same name, samples, labels and filter, stay in their set with its rows. A new family begins
/// without rows, even if others have the same labels, so that its counters begin at 0.
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
        for set in old.extract_if(.., |set| group.iter().any(|family| set.has(family))) {
            let (staying, others) = new.into_iter().partition(|family| set.has(family));
            let staying: Vec<Family> = staying;
            sets.push(set.with_families(&staying, Arc::clone(&layout), cluster_name));
            new = others;
        }
        if !new.is_empty() {
            sets.push(SeriesSet::new(&new, layout, cluster_name));
        }
    }
    sets
}

//! `--check`: warnings, the estimated number of series, and the effective settings.

use std::io::{self, Write};

use kipfix_export::counters::to_u64;
use kipfix_service::exit::Failure;

use super::inventory;
use crate::aggregate::{Family, KnownCluster, SeriesEstimate};
use crate::settings::Settings;
use crate::snapshots::SnapshotStore;

/// Prints the settings. Warnings and estimates go to stderr.
pub(super) fn run(settings: &Settings) -> Result<(), Failure> {
    let mut stderr = io::stderr().lock();
    for line in settings.lint()? {
        // A closed stderr is not an error.
        writeln!(stderr, "kipfix-collector: warning: metrics: {line}").ok();
    }
    // The files of other settings need not exist here either.
    let estimates = series(settings).unwrap_or_else(|failure| {
        let reason = failure.sentence();
        vec![format!("warning: series are not estimated: {reason}")]
    });
    for line in estimates {
        writeln!(stderr, "kipfix-collector: {line}").ok();
    }
    drop(stderr);
    kipfix_service::settings::print(settings)
}

/// The estimated number of series of each family. Those of the Kubernetes API are not known here.
fn series(settings: &Settings) -> Result<Vec<String>, Failure> {
    let mut inventory = inventory::read(settings)?;
    let named_cidrs = to_u64(inventory.cidrs.len());
    let store = SnapshotStore::new(inventory.writer.current(), Default::default(), "");
    let snapshots = store.load();
    let cluster = settings
        .attribution
        .inventory
        .is_some()
        .then_some(KnownCluster {
            snapshots: &snapshots,
            named_cidrs,
        });
    let families = settings.families()?;
    let groups = families.chunk_by(Family::shares_rows);
    let line = |group: &[Family]| {
        let rows = &group.first()?.rows;
        let estimate = SeriesEstimate::of(rows, cluster.as_ref());
        let names: Vec<&str> = group.iter().map(|family| &*family.name).collect();
        Some(sentence(
            &names.join(", "),
            &estimate,
            to_u64(rows.max_series),
        ))
    };
    Ok(groups.filter_map(line).collect())
}

/// The estimate of families as a sentence.
fn sentence(names: &str, estimate: &SeriesEstimate, max: u64) -> String {
    match estimate.rows() {
        None => {
            let factors = estimate.factors.iter();
            let open = factors.filter(|factor| factor.values.is_none());
            let open: Vec<&str> = open.map(|factor| factor.name.as_str()).collect();
            format!(
                "metrics: {names}: up to {max} series each (max_series): the number of values of {} \
                 depends on the cluster and its traffic",
                open.join(" and ")
            )
        }
        Some(rows) if rows > max => format!(
            "warning: metrics: {names}: up to {rows} series each ({estimate}), more than max_series \
             {max}; the others would be counted as other"
        ),
        Some(rows) => format!("metrics: {names}: up to {rows} series each (max_series {max})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Factor;

    #[test]
    fn more_series_than_the_maximum_are_a_warning() {
        let factor = |name: &str, values| Factor {
            name: name.into(),
            values,
        };
        let estimate = |values| SeriesEstimate {
            factors: vec![factor("src", values), factor("dst", Some(5))],
        };
        let known = estimate(Some(20));
        assert_eq!(
            sentence("a, b", &known, 100),
            "metrics: a, b: up to 100 series each (max_series 100)"
        );
        assert!(
            sentence("a", &known, 99).starts_with("warning: metrics: a: up to 100 series each")
        );
        assert!(sentence("a", &known, 99).contains("(src 20 × dst 5)"));
        assert_eq!(
            sentence("a", &estimate(None), 99),
            "metrics: a: up to 99 series each (max_series): the number of values of src depends on \
             the cluster and its traffic"
        );
    }
}

//! Families that are replaced while the collector runs.

use super::*;
use crate::aggregate::{FamilyDefinition, FamilyNeeds};

fn families_of(presets: &[Preset], yaml: &str, max_series: usize) -> Vec<Family> {
    let definitions: Vec<FamilyDefinition> = serde_saphyr::from_str(yaml).unwrap();
    families(presets, &definitions, max_series, Span::from_secs(1)).unwrap()
}

/// The value of the only series of a family; `None` if it has none.
fn value(table: &Arc<SeriesTable>, family: &str) -> Option<u64> {
    let text = text(table, Format::Text);
    let mut lines = text
        .lines()
        .filter(|line| line.starts_with(&format!("{family}{{")));
    let value = lines.next()?.rsplit_once(' ')?.1.parse().unwrap();
    assert_eq!(lines.next(), None);
    Some(value)
}

#[test]
fn families_that_stay_keep_their_values_and_new_ones_begin_at_zero() {
    let (index, [a, b, _]) = index();
    let snapshots = snapshots(index);
    let table = table(&[Preset::Workloads, Preset::Zones], 10, "");
    merge(&table, &snapshots, &[(a, b, 1000)], 5);
    // The same labels as those of the preset, but another name.
    let more = "
- {name: more_bytes_total, help: x, value: bytes, labels: [src.zone]}
- name: flows_total
  help: x
  value: flows
  labels: [src.namespace, src.kind, src.workload, dst.namespace, dst.kind, dst.workload, class]
";
    table.replace(&families_of(&[Preset::Workloads], more, 10));
    assert_eq!(value(&table, "kipfix_bytes_total"), Some(1000));
    assert_eq!(value(&table, "kipfix_zone_bytes_total"), None);
    assert_eq!(value(&table, "more_bytes_total"), None);
    merge(&table, &snapshots, &[(a, b, 500)], 6);
    assert_eq!(value(&table, "kipfix_bytes_total"), Some(1500));
    assert_eq!(value(&table, "kipfix_packets_total"), Some(150));
    assert_eq!(value(&table, "kipfix_connections_total"), Some(2));
    assert_eq!(value(&table, "more_bytes_total"), Some(500));
    assert_eq!(value(&table, "flows_total"), Some(1));
    // Both sets of the same labels remain.
    table.replace(&families_of(&[Preset::Workloads], more, 10));
    merge(&table, &snapshots, &[(a, b, 1)], 7);
    assert_eq!(value(&table, "kipfix_bytes_total"), Some(1501));
    assert_eq!(value(&table, "flows_total"), Some(2));
    table.replace(&families_of(&[Preset::Zones], "[]", 10));
    assert_eq!(value(&table, "kipfix_bytes_total"), None);
    assert_eq!(table.counts().series, 0);
}

#[test]
fn another_value_type_or_filter_is_another_family() {
    let (index, [a, b, _]) = index();
    let snapshots = snapshots(index);
    let family = |value: &str, more: &str| {
        let yaml = format!("- {{name: x, help: x, value: {value}, labels: [src.zone]{more}}}");
        families_of(&[], &yaml, 10)
    };
    let table = Arc::new(SeriesTable::new(
        &family("bytes", ""),
        SeriesSettings::default(),
    ));
    merge(&table, &snapshots, &[(a, b, 1000)], 5);
    table.replace(&family("bytes", ", max_series: 5, idle: 1h"));
    assert_eq!(value(&table, "x"), Some(1000));
    for (measure, more, series) in [
        ("packets", "", 1),
        ("packets", ", type: summary", 2),
        ("packets", ", filter: 'src.pod != \"\"'", 1),
    ] {
        table.replace(&family(measure, more));
        assert_eq!(table.counts().series, 0, "{measure}{more}");
        merge(&table, &snapshots, &[(a, b, 1000)], 6);
        assert_eq!(table.counts().series, series);
    }
}

#[test]
fn a_smaller_bound_keeps_the_rows_that_exist() {
    let (index, [a, b, c]) = index();
    let snapshots = snapshots(index);
    let table = table(&[Preset::Nodes], 10, "");
    merge(&table, &snapshots, &[(a, b, 1), (b, a, 2)], 5);
    table.replace(&families_of(&[Preset::Nodes], "[]", 1));
    merge(&table, &snapshots, &[(a, b, 1), (c, a, 4)], 6);
    let text = text(&table, Format::Text);
    let values = |name: &str| -> Vec<&str> {
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.rsplit_once(' ').unwrap().1).collect()
    };
    assert_eq!(values("kipfix_node_bytes_total{"), ["2", "2", "4"]);
    assert_eq!(table.counts().other, 1);
}

#[test]
fn an_exposition_ends_if_the_families_change() {
    let (index, [a, b, _]) = index();
    let snapshots = snapshots(index);
    let table = table(&Preset::DEFAULT, 10, "");
    merge(&table, &snapshots, &[(a, b, 1000)], 5);
    let now = ShownValues::Scrape(Now::of_packet(6));
    let mut chunks = SeriesChunks::new(Arc::clone(&table), Format::Text, now);
    let mut out = vec![b'x'; CHUNK_OCTETS];
    assert!(chunks.write_chunk(&mut out));
    table.replace(&families_of(&[Preset::Zones], "[]", 10));
    out.clear();
    assert!(!chunks.write_chunk(&mut out));
    assert!(out.is_empty());
}

#[test]
fn needs_are_those_of_any_family() {
    let needs = |presets: &[Preset]| FamilyNeeds::of(&families_of(presets, "[]", 1));
    let (default, services) = (needs(&Preset::DEFAULT), needs(&[Preset::Services]));
    assert_eq!(default, FamilyNeeds::default());
    assert!(services.details.need_extras() && !services.health.is_needed);
    let health = needs(&[Preset::Health]);
    assert!(health.health.is_needed);
    assert_eq!(
        needs(&[Preset::Services, Preset::Health]),
        services.and(health)
    );
}

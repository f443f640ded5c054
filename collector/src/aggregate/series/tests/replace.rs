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

/// An exposition during which families are replaced after the octets of the first chunk, and
/// whether it was not complete then.
fn exposition_with_replacement(first_octets: usize, shown: ShownValues) -> (String, bool) {
    let (index, [a, b, c]) = index();
    let snapshots = snapshots(index);
    let table = table(&[Preset::Zones, Preset::Workloads], 10, "");
    merge(
        &table,
        &snapshots,
        &[(a, b, 1000), (b, a, 20), (a, c, 3)],
        5,
    );
    let mut chunks = SeriesChunks::new(Arc::clone(&table), Format::Text, shown);
    let mut out = vec![b' '; CHUNK_OCTETS - first_octets];
    let mut is_more = chunks.write_chunk(&mut out);
    let is_interrupted = is_more;
    // The preset `zones` is gone, `nodes` is new, and one family of `workloads` has other labels.
    let yaml = "[{name: kipfix_packets_total, help: x, value: packets, labels: [src.zone]}]";
    let workloads = families_of(&[Preset::Nodes, Preset::Workloads], "[]", 10);
    let staying = workloads.into_iter();
    let staying = staying.filter(|family| &*family.name != "kipfix_packets_total");
    let families: Vec<Family> = families_of(&[], yaml, 10)
        .into_iter()
        .chain(staying)
        .collect();
    table.replace(&families);
    merge(&table, &snapshots, &[(a, b, 0)], 6);
    while is_more {
        let mut chunk = vec![b' '; CHUNK_OCTETS - 300];
        is_more = chunks.write_chunk(&mut chunk);
        out.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(out).unwrap();
    let lines = text.lines().map(|line| format!("{}\n", line.trim()));
    (lines.collect(), is_interrupted)
}

#[test]
fn an_exposition_is_completed_if_the_families_change() {
    let shown = [ShownValues::Scrape(Now::of_packet(6)), ShownValues::Final];
    let mut interrupted = 0;
    for (octets, shown) in (1..2700)
        .step_by(97)
        .flat_map(|octets| shown.map(|s| (octets, s)))
    {
        let (text, is_interrupted) = exposition_with_replacement(octets, shown);
        interrupted += u32::from(is_interrupted);
        let mut names = std::collections::HashSet::new();
        for line in text.lines() {
            let is_sample = !line.is_empty() && !line.starts_with("# TYPE");
            let name = line.rsplit_once(' ').map_or("", |(name, _)| name);
            let name = name
                .strip_prefix("# HELP ")
                .map_or(name, |help| help.split(' ').next().unwrap());
            assert!(
                !is_sample || names.insert(name.to_owned()),
                "{octets}: {line}\n{text}"
            );
        }
        let rows = |name: &str| {
            let lines = text
                .lines()
                .filter(|line| line.starts_with(&format!("{name}{{")));
            lines.count()
        };
        // All rows of the families that stay, and of those that are new.
        for name in ["kipfix_bytes_total", "kipfix_connections_total"] {
            assert_eq!(rows(name), 3, "{name} at {octets}\n{text}");
        }
        let new = usize::from(is_interrupted);
        assert_eq!(rows("kipfix_node_bytes_total"), new, "{octets}\n{text}");
        assert!(rows("kipfix_packets_total") <= 3, "{octets}\n{text}");
    }
    assert!(interrupted > 30, "{interrupted}");
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

#[test]
fn histograms_keep_their_buckets() {
    let (index, [a, b, _]) = index();
    let snapshots = snapshots(index);
    let table = table(&[Preset::Health], 10, "");
    health::add(&table, &snapshots, &[a, b], 5);
    let before = text(&table, Format::Text);
    assert!(before.contains("_bucket{"), "{before}");
    table.replace(&families_of(&[Preset::Health, Preset::Zones], "[]", 10));
    let after = text(&table, Format::Text);
    assert!(before.lines().all(|line| after.contains(line)));
    table.replace(&families_of(&[Preset::Zones], "[]", 10));
    assert!(!text(&table, Format::Text).contains("_bucket"));
}

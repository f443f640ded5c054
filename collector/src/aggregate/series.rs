//! The series table: families → labels → sums since the series began, and their exposition.
//!
//! Families with the same labels and filter share one set of rows, so an edge is turned into label
//! text once a set, and the text is kept ready for the scrape. A set that is full counts new edges
//! under the label value `other`: the distinction is lost and counted, the bytes are not.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use kipfix_service::exposition::{self, Format};

use super::edges::Measures;
use super::family::{Edge, Family, Filter, Label, Value};
use super::presets::Preset;
use crate::enrich::Known;
use crate::inventory::EndpointId;

/// How full the series table is, and what it did to stay in its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesCounts {
    /// Series now.
    pub series: u64,
    /// Series that went because nothing was added for too long.
    pub idle: u64,
    /// Edges counted as `other`, because their family was full.
    pub other: u64,
}

/// All series of all families.
#[derive(Debug)]
pub struct SeriesTable {
    sets: Vec<SeriesSet>,
    max_series: usize,
    idle_milliseconds: u64,
    idle: u64,
    other: u64,
    hasher: RandomState,
    /// What the labels of every series begin with.
    prefix: Vec<u8>,
    /// Label text of the edge at hand.
    text: Vec<u8>,
}

/// Families that have labels and filter, hence rows, in common.
#[derive(Debug)]
struct SeriesSet {
    families: Vec<&'static Family>,
    labels: &'static [Label],
    filter: Filter,
    rows: HashTable<Row>,
    other: Option<Row>,
}

#[derive(Debug)]
struct Row {
    /// The labels as the exposition has them, with their braces.
    labels: Box<[u8]>,
    sums: Measures,
    created_milliseconds: u64,
    last_milliseconds: u64,
}

impl SeriesTable {
    /// An empty table for the families of `presets`, with at most `max_series` series each family (one
    /// more for `other`) that go when nothing was added for `idle_milliseconds`.
    #[must_use]
    pub fn new(presets: &[Preset], max_series: usize, idle_milliseconds: u64) -> Self {
        let mut sets: Vec<SeriesSet> = Vec::new();
        let mut seen: Vec<Preset> = Vec::new();
        for preset in presets {
            if seen.contains(preset) {
                continue;
            }
            seen.push(*preset);
            for family in preset.families() {
                match sets
                    .iter_mut()
                    .find(|s| s.labels == family.labels && s.filter == family.filter)
                {
                    Some(set) => set.families.push(family),
                    None => sets.push(SeriesSet {
                        families: vec![family],
                        labels: family.labels,
                        filter: family.filter,
                        rows: HashTable::new(),
                        other: None,
                    }),
                }
            }
        }
        Self {
            sets,
            max_series,
            idle_milliseconds,
            idle: 0,
            other: 0,
            hasher: RandomState::default(),
            prefix: b"{".to_vec(),
            text: Vec::new(),
        }
    }

    /// The same, every series labelled with the name of the cluster; no label where it is empty.
    #[must_use]
    pub fn of_cluster(mut self, name: &str) -> Self {
        if !name.is_empty() {
            self.prefix = b"{cluster=\"".to_vec();
            exposition::write_label_value(name, &mut self.prefix);
            self.prefix.extend_from_slice(b"\",");
        }
        self
    }

    /// Adds drained edges, whose ends are `known`.
    pub fn merge(
        &mut self,
        known: Known<'_>,
        edges: impl Iterator<Item = (EndpointId, EndpointId, Measures)>,
        now_milliseconds: u64,
    ) {
        for (source, destination, measures) in edges {
            let edge = Edge::new(known, source, destination);
            for set in &mut self.sets {
                if !edge.passes(set.filter) {
                    continue;
                }
                let value = |label: &Label, out: &mut Vec<u8>| edge.write(label.source, out);
                write_labels(&self.prefix, set.labels, value, &mut self.text);
                let row = set.row(&self.text, &self.hasher, self.max_series, now_milliseconds);
                if let Some(row) = row {
                    row.sums.add(&measures);
                    row.last_milliseconds = now_milliseconds;
                    continue;
                }
                self.other = self.other.saturating_add(1);
                let other = set.other.get_or_insert_with(|| {
                    let value = |_: &Label, out: &mut Vec<u8>| out.extend_from_slice(b"other");
                    write_labels(&self.prefix, set.labels, value, &mut self.text);
                    Row::new(&self.text, now_milliseconds)
                });
                other.sums.add(&measures);
                other.last_milliseconds = now_milliseconds;
            }
        }
    }

    /// Forgets the series that nothing was added to for too long.
    pub fn expire(&mut self, now_milliseconds: u64) {
        let Some(oldest) = now_milliseconds.checked_sub(self.idle_milliseconds) else {
            return;
        };
        for set in &mut self.sets {
            let before = set.rows.len();
            set.rows.retain(|row| row.last_milliseconds >= oldest);
            let gone = before.saturating_sub(set.rows.len());
            let families = set.families.len();
            let series = u64::try_from(gone.saturating_mul(families)).unwrap_or(u64::MAX);
            self.idle = self.idle.saturating_add(series);
        }
    }

    /// How full it is.
    #[must_use]
    pub fn counts(&self) -> SeriesCounts {
        let series = self.sets.iter().map(|set| {
            let rows = set
                .rows
                .len()
                .saturating_add(usize::from(set.other.is_some()));
            rows.saturating_mul(set.families.len())
        });
        SeriesCounts {
            series: u64::try_from(series.sum::<usize>()).unwrap_or(u64::MAX),
            idle: self.idle,
            other: self.other,
        }
    }

    /// Appends every family. `ordered`: by label text, so that the same sums are the same text; a
    /// scrape has no use for that and does without the sorting.
    pub fn write(&self, format: Format, ordered: bool, out: &mut Vec<u8>) {
        for set in &self.sets {
            let mut order: Vec<&Row> = Vec::new();
            if ordered {
                order.extend(set.rows.iter().chain(&set.other));
                order.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
            }
            for family in &set.families {
                exposition::write_header(family.name, family.help, "counter", format, out);
                if ordered {
                    for row in &order {
                        row.write(family, format, out);
                    }
                } else {
                    for row in set.rows.iter().chain(&set.other) {
                        row.write(family, format, out);
                    }
                }
            }
        }
    }
}

impl SeriesSet {
    /// The row of these labels; `None` where it is new and the set full.
    fn row(
        &mut self,
        labels: &[u8],
        hasher: &RandomState,
        max_rows: usize,
        now_milliseconds: u64,
    ) -> Option<&mut Row> {
        let hash = |labels: &[u8]| hasher.hash_one(labels);
        let full = self.rows.len() >= max_rows;
        match self.rows.entry(
            hash(labels),
            |row| *row.labels == *labels,
            |row| hash(&row.labels),
        ) {
            hashbrown::hash_table::Entry::Occupied(row) => Some(row.into_mut()),
            hashbrown::hash_table::Entry::Vacant(_) if full => None,
            hashbrown::hash_table::Entry::Vacant(room) => {
                Some(room.insert(Row::new(labels, now_milliseconds)).into_mut())
            }
        }
    }
}

impl Row {
    fn new(labels: &[u8], now_milliseconds: u64) -> Self {
        Self {
            labels: labels.into(),
            sums: Measures::default(),
            created_milliseconds: now_milliseconds,
            last_milliseconds: now_milliseconds,
        }
    }

    fn write(&self, family: &Family, format: Format, out: &mut Vec<u8>) {
        let sum = match family.value {
            Value::Bytes => self.sums.bytes,
            Value::Packets => self.sums.packets,
            Value::Connections => self.sums.connections,
        };
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(family.name.as_bytes());
        out.extend_from_slice(&self.labels);
        out.push(b' ');
        out.extend_from_slice(digits.format(sum).as_bytes());
        out.push(b'\n');
        if format == Format::OpenMetrics {
            let bare = family.name.strip_suffix("_total").unwrap_or(family.name);
            out.extend_from_slice(bare.as_bytes());
            out.extend_from_slice(b"_created");
            out.extend_from_slice(&self.labels);
            out.push(b' ');
            let seconds = self.created_milliseconds / 1000;
            out.extend_from_slice(digits.format(seconds).as_bytes());
            out.push(b'.');
            // Three digits of milliseconds: 1007 → "007".
            let fraction = 1000 + self.created_milliseconds % 1000;
            let fraction = digits.format(fraction).as_bytes();
            out.extend_from_slice(fraction.get(1..).unwrap_or_default());
            out.push(b'\n');
        }
    }
}

fn write_labels(
    prefix: &[u8],
    labels: &'static [Label],
    value: impl Fn(&Label, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    out.clear();
    out.extend_from_slice(prefix);
    for (at, label) in labels.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(label.name.as_bytes());
        out.extend_from_slice(b"=\"");
        value(label, out);
        out.push(b'"');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use super::*;
    use crate::inventory::external::{self, ExternalSnapshot, ExternalSources};
    use crate::inventory::{Endpoint, EndpointKind, IndexBuilder, IndexSnapshot, Node};

    /// A pod in each of two zones, and one whose names need escaping.
    fn index() -> (IndexSnapshot, [EndpointId; 3]) {
        let mut builder = IndexBuilder::new();
        let ids = ["a", "b", "c\"\\\n"].map(|name| {
            let node = builder
                .add_node(Node {
                    name: Arc::from(format!("node-{name}")),
                    zone: Arc::from(if name == "c\"\\\n" { "" } else { name }),
                    ..Node::default()
                })
                .unwrap();
            builder.add_endpoint(Endpoint {
                kind: EndpointKind::Pod,
                namespace: Arc::from("ns"),
                name: Arc::from(name),
                workload_kind: Arc::from("Pod"),
                workload_name: Arc::from(name),
                node: Some(node),
                topology: None,
            })
        });
        (builder.build(), ids)
    }

    /// Nothing is known of the outside.
    fn known(index: &IndexSnapshot) -> Known<'_> {
        static NOTHING: LazyLock<ExternalSnapshot> = LazyLock::new(ExternalSnapshot::default);
        Known {
            index,
            outside: &NOTHING,
        }
    }

    fn measures(bytes: u64) -> Measures {
        Measures {
            bytes,
            packets: bytes / 10,
            connections: 1,
        }
    }

    fn text(table: &SeriesTable, format: Format) -> String {
        let mut out = Vec::new();
        table.write(format, true, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_edge_appears_in_every_family_that_it_belongs_to() {
        let (index, [a, b, _]) = index();
        let mut table = SeriesTable::new(&Preset::DEFAULT, 10, 1000);
        table.merge(known(&index), [(a, b, measures(1000))].into_iter(), 5);
        table.merge(known(&index), [(a, b, measures(500))].into_iter(), 6);

        let workload = r#"{src_namespace="ns",src_kind="Pod",src_workload="a",dst_namespace="ns",dst_kind="Pod",dst_workload="b",class="pod_to_pod"}"#;
        let node = r#"{src_node="node-a",dst_node="node-b",class="pod_to_pod",scope="internal"}"#;
        let zone = r#"{src_zone="a",dst_zone="b",src_namespace="ns",src_workload="a",dst_namespace="ns",dst_workload="b"}"#;
        let expected = format!(
            "\
# HELP kipfix_bytes_total Octets of IP packets from one workload to another.
# TYPE kipfix_bytes_total counter
kipfix_bytes_total{workload} 1500
# HELP kipfix_packets_total IP packets from one workload to another.
# TYPE kipfix_packets_total counter
kipfix_packets_total{workload} 150
# HELP kipfix_connections_total Connections that one workload opened to another and whose start was seen.
# TYPE kipfix_connections_total counter
kipfix_connections_total{workload} 2
# HELP kipfix_node_bytes_total Octets of IP packets from one node, or its pods, to another.
# TYPE kipfix_node_bytes_total counter
kipfix_node_bytes_total{node} 1500
# HELP kipfix_node_packets_total IP packets from one node, or its pods, to another.
# TYPE kipfix_node_packets_total counter
kipfix_node_packets_total{node} 150
# HELP kipfix_zone_bytes_total Octets of IP packets from a workload in one zone to a workload in another.
# TYPE kipfix_zone_bytes_total counter
kipfix_zone_bytes_total{zone} 1500
"
        );
        assert_eq!(text(&table, Format::Text), expected);
        assert_eq!(table.counts().series, 6);
    }

    #[test]
    fn openmetrics_says_when_a_series_began() {
        let (index, [a, b, _]) = index();
        let mut table = SeriesTable::new(&[Preset::Zones], 10, 1000);
        table.merge(
            known(&index),
            [(a, b, measures(1))].into_iter(),
            1_700_000_000_007,
        );
        let text = text(&table, Format::OpenMetrics);
        assert!(text.contains("# TYPE kipfix_zone_bytes counter\nkipfix_zone_bytes_total{"));
        assert!(text.contains("kipfix_zone_bytes_created{src_zone="));
        assert!(text.ends_with("} 1700000000.007\n"));
    }

    #[test]
    fn traffic_inside_a_zone_or_of_an_unknown_zone_is_not_cross_zone() {
        let (index, [a, b, nowhere]) = index();
        let mut table = SeriesTable::new(&[Preset::Zones], 10, 1000);
        let edges = [
            (a, a),
            (a, nowhere),
            (nowhere, b),
            (EndpointId::EXTERNAL, a),
        ];
        table.merge(
            known(&index),
            edges.map(|(s, d)| (s, d, measures(1))).into_iter(),
            5,
        );
        assert_eq!(table.counts().series, 0);
    }

    #[test]
    fn label_values_are_escaped() {
        let (index, [a, _, odd]) = index();
        let mut table = SeriesTable::new(&[Preset::Nodes], 10, 1000);
        table.merge(known(&index), [(odd, a, measures(1))].into_iter(), 5);
        assert!(
            text(&table, Format::Text).contains(r#"{src_node="node-c\"\\\n",dst_node="node-a""#)
        );
    }

    #[test]
    fn a_full_family_counts_new_edges_as_other_and_loses_no_bytes() {
        let (index, [a, b, c]) = index();
        let mut table = SeriesTable::new(&[Preset::Workloads], 1, 1000);
        let edges = [(a, b), (a, c), (b, c), (a, b)];
        for (source, destination) in edges {
            table.merge(
                known(&index),
                [(source, destination, measures(100))].into_iter(),
                5,
            );
        }
        let text = text(&table, Format::Text);
        assert!(
            text.contains(r#"dst_workload="b",class="pod_to_pod"} 200"#),
            "{text}"
        );
        assert!(text.contains(
            r#"kipfix_bytes_total{src_namespace="other",src_kind="other",src_workload="other",dst_namespace="other",dst_kind="other",dst_workload="other",class="other"} 200"#
        ));
        assert_eq!(table.counts().other, 2);
    }

    #[test]
    fn an_idle_series_goes_and_is_counted() {
        let (index, [a, b, c]) = index();
        let mut table = SeriesTable::new(&[Preset::Workloads], 10, 1000);
        table.merge(
            known(&index),
            [(a, b, measures(1)), (a, c, measures(1))].into_iter(),
            5000,
        );
        table.merge(known(&index), [(a, c, measures(1))].into_iter(), 5500);
        table.expire(6001);
        let counts = table.counts();
        assert_eq!((counts.series, counts.idle), (3, 3));
        table.expire(100);
        assert_eq!(table.counts().series, 3);
    }

    #[test]
    fn labels_whose_concatenation_is_equal_stay_apart() {
        let mut builder = IndexBuilder::new();
        let mut pod = |namespace: &str, name: &str| {
            builder.add_endpoint(Endpoint {
                kind: EndpointKind::Pod,
                namespace: Arc::from(namespace),
                workload_kind: Arc::from("Pod"),
                workload_name: Arc::from(name),
                ..Endpoint::default()
            })
        };
        let (one, two) = (pod("team-a", "b-x"), pod("team-ab", "-x"));
        let index = builder.build();
        let mut table = SeriesTable::new(&[Preset::Workloads], 10, 1000);
        table.merge(
            known(&index),
            [(one, two, measures(1)), (two, one, measures(1))].into_iter(),
            5,
        );
        assert_eq!(table.counts().series, 6);
    }

    #[test]
    fn what_crosses_the_border_is_counted_by_who_is_outside_and_which_way_it_went() {
        let (index, [a, b, _]) = index();
        let files = ExternalSources {
            cidrs: vec!["192.0.2.0/24=office".parse().unwrap()],
            ..ExternalSources::default()
        };
        let outside = external::load(&files).unwrap();
        let known = Known {
            index: &index,
            outside: &outside,
        };
        let address = flowproto::Address::from(std::net::Ipv4Addr::new(192, 0, 2, 1));
        let office = EndpointId::from_external(outside.lookup(address));
        let mut table = SeriesTable::new(&[Preset::External], 10, 1000).of_cluster("c1");
        let edges = [
            (a, office, 10),
            (office, a, 20),
            (a, b, 40),
            (office, office, 80),
        ];
        let edges = edges.map(|(s, d, bytes)| (s, d, measures(bytes)));
        table.merge(known, edges.into_iter(), 5);
        let text = text(&table, Format::Text);
        for (direction, bytes) in [("egress", 10), ("ingress", 20)] {
            let line = format!(
                r#"kipfix_external_bytes_total{{cluster="c1",workload_namespace="ns",workload_kind="Pod",workload="a",direction="{direction}",name="office",as_number="",as_name="",country="",cloud_provider="",cloud_service="",cloud_region=""}} {bytes}"#
            );
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert_eq!(table.counts().series, 6);
    }
}

//! Families of connection health: bounds, and their exposition in every format.

use super::*;
use crate::aggregate::edges::EdgeBatch;
use crate::aggregate::health_addition::HealthAddition;
use crate::pipeline::FlowHealth;

const NAMES: &str = r#"
- {name: lost_total, help: Lost., value: retransmitted_packets, labels: [src.pod]}
- {name: time_seconds, help: Time., value: rtt, type: histogram, labels: [src.pod]}
- {name: mean_seconds, help: Mean., value: rtt, type: summary, labels: [src.pod]}
- {name: lasted_seconds_total, help: Lasted., value: connection_seconds, labels: [src.pod]}
"#;

fn health_table(max_series: usize, created_samples: bool) -> Arc<SeriesTable> {
    let definitions: Vec<crate::aggregate::FamilyDefinition> =
        serde_saphyr::from_str(NAMES).unwrap();
    let families = families(&[], &definitions, max_series, Span::from_secs(1)).unwrap();
    let settings = SeriesSettings {
        created_samples,
        ..SeriesSettings::default()
    };
    Arc::new(SeriesTable::new(&families, settings))
}

/// Adds a record with a retransmission and a round-trip time of each source, and a connection of
/// 1.5 s.
pub(super) fn add(table: &SeriesTable, snapshots: &Snapshots, sources: &[EndpointId], time: u64) {
    let mut batch = EdgeBatch::new(table.needs().health);
    for source in sources {
        let mut health = FlowHealth::default();
        health.packets.retransmitted = 2;
        health.round_trip_time.add(300);
        health.connection.duration_milliseconds = Some(1500);
        health.connection.connections = 1;
        let packets = HealthAddition::Packets(health.packets, health.round_trip_time);
        batch.push_health(*source, *source, packets);
        let connection = HealthAddition::Connection(health.connection);
        batch.push_health(*source, *source, connection);
    }
    let mut edges = EdgeTable::new(100);
    batch.add_to(&mut edges, |_| panic!("the table has room"));
    table.merge(snapshots, &edges, Now::of_packet(time));
}

#[test]
fn a_histogram_has_buckets_sum_and_count_in_both_text_formats() {
    let (index, [a, _, _]) = index();
    let snapshots = snapshots(index);
    let table = health_table(10, true);
    add(&table, &snapshots, &[a], 7);
    add(&table, &snapshots, &[a], 9);
    let expected = "\
# HELP lost_total Lost.
# TYPE lost_total counter
lost_total{src_pod=\"a\"} 4
# HELP time_seconds Time.
# TYPE time_seconds histogram
time_seconds_bucket{src_pod=\"a\",le=\"0.0001\"} 0
time_seconds_bucket{src_pod=\"a\",le=\"0.00025\"} 0
time_seconds_bucket{src_pod=\"a\",le=\"0.0005\"} 2
time_seconds_bucket{src_pod=\"a\",le=\"0.001\"} 2
time_seconds_bucket{src_pod=\"a\",le=\"0.0025\"} 2
time_seconds_bucket{src_pod=\"a\",le=\"0.005\"} 2
time_seconds_bucket{src_pod=\"a\",le=\"0.01\"} 2
time_seconds_bucket{src_pod=\"a\",le=\"0.025\"} 2
time_seconds_bucket{src_pod=\"a\",le=\"0.05\"} 2
time_seconds_bucket{src_pod=\"a\",le=\"0.1\"} 2
time_seconds_bucket{src_pod=\"a\",le=\"0.25\"} 2
time_seconds_bucket{src_pod=\"a\",le=\"1.0\"} 2
time_seconds_bucket{src_pod=\"a\",le=\"+Inf\"} 2
time_seconds_sum{src_pod=\"a\"} 0.0006
time_seconds_count{src_pod=\"a\"} 2
# HELP mean_seconds Mean.
# TYPE mean_seconds summary
mean_seconds_sum{src_pod=\"a\"} 0.0006
mean_seconds_count{src_pod=\"a\"} 2
# HELP lasted_seconds_total Lasted.
# TYPE lasted_seconds_total counter
lasted_seconds_total{src_pod=\"a\"} 3
";
    assert_eq!(text(&table, Format::Text), expected);
    let open_metrics = text(&table, Format::OpenMetrics);
    for line in [
        "# TYPE time_seconds histogram",
        "time_seconds_created{src_pod=\"a\"} 0.007",
        "mean_seconds_created{src_pod=\"a\"} 0.007",
    ] {
        assert!(
            open_metrics.lines().any(|l| l == line),
            "{line}\n{open_metrics}"
        );
    }
    assert_eq!(table.counts().series, 1 + 15 + 2 + 1);
}

#[test]
fn a_new_series_shows_0_in_every_bucket() {
    let (index, [a, _, _]) = index();
    let snapshots = snapshots(index);
    let definitions = table_with(
        &[Preset::Health],
        10,
        SeriesSettings {
            birth_milliseconds: 1000,
            ..SeriesSettings::default()
        },
    );
    add(&definitions, &snapshots, &[a], 5000);
    let at = |time| {
        let shown = ShownValues::Scrape(Now::of_packet(time));
        String::from_utf8(exposition(&definitions, Format::Text, shown)).unwrap()
    };
    let values = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| line.starts_with("kipfix_rtt_seconds_"));
        lines
            .map(|l| l.rsplit_once(' ').unwrap().1.to_owned())
            .collect()
    };
    let early = values(&at(5999));
    assert_eq!(early.len(), 15);
    assert!(early.iter().all(|value| value == "0"), "{early:?}");
    assert_eq!(values(&at(6000)).last().unwrap(), "1");
}

#[test]
fn what_a_full_family_has_no_room_for_is_counted_as_other() {
    let (index, [a, b, c]) = index();
    let snapshots = snapshots(index);
    let table = health_table(1, false);
    add(&table, &snapshots, &[a, b, c], 5);
    let text = text(&table, Format::Text);
    for line in [
        "lost_total{src_pod=\"a\"} 2",
        "lost_total{src_pod=\"other\"} 4",
        "time_seconds_bucket{src_pod=\"other\",le=\"0.0005\"} 2",
        "time_seconds_sum{src_pod=\"other\"} 0.0006",
        "time_seconds_count{src_pod=\"other\"} 2",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert_eq!(table.counts().other, 2);
}

#[test]
fn a_row_that_is_used_again_begins_with_empty_buckets() {
    let (index, [a, b, _]) = index();
    let snapshots = snapshots(index);
    let table = health_table(10, false);
    add(&table, &snapshots, &[a], 0);
    table.expire(Now::of_packet(10_000));
    assert_eq!(table.counts().series, 0);
    add(&table, &snapshots, &[b], 10_000);
    let text = text(&table, Format::Text);
    let line = "time_seconds_bucket{src_pod=\"b\",le=\"+Inf\"} 1";
    assert!(text.lines().any(|l| l == line), "{text}");
}

#[test]
fn protobuf_has_classic_and_native_buckets() {
    let (index, [a, _, _]) = index();
    let snapshots = snapshots(index);
    let table = health_table(10, false);
    add(&table, &snapshots, &[a], 7);
    let octets = exposition(&table, Format::Protobuf, ShownValues::Final);
    let contains = |part: &[u8]| octets.windows(part.len()).any(|window| window == part);
    // Field 5, schema 3 as zigzag; field 12, a span of one bucket: 300 µs are in bucket -93.
    assert!(contains(&[0x28, 6]));
    assert!(contains(&[0x62, 5, 0x08, 0xb9, 0x01, 0x10, 1]));
}

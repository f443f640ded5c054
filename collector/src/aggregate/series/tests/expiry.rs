//! When a series is removed.

use super::*;

#[test]
fn an_idle_series_is_removed_and_counted_after_its_final_value_was_shown() {
    let (index, [a, b, c]) = index();
    let snapshots = snapshots(index);
    let table = table(&[Preset::Workloads], 10, "");
    merge(&table, &snapshots, &[(a, b, 1), (a, c, 1)], 5000);
    let scrape = |time| {
        let shown = ShownValues::Scrape(Now::of_packet(time));
        exposition(&table, Format::Text, shown);
    };
    scrape(4999);
    table.expire(Now::of_packet(6001));
    assert_eq!(table.counts().idle, 0);
    scrape(5000);
    merge(&table, &snapshots, &[(a, c, 1)], 5500);
    table.expire(Now::of_packet(6001));
    let counts = table.counts();
    assert_eq!((counts.series, counts.idle), (3, 3));
    table.expire(Now::of_packet(100));
    assert_eq!(table.counts().series, 3);
}

#[test]
fn without_scrapes_an_idle_series_is_kept_twice_as_long() {
    let (index, [a, b, _]) = index();
    let table = table(&[Preset::Workloads], 10, "");
    merge(&table, &snapshots(index), &[(a, b, 1)], 5000);
    table.expire(Now::of_packet(7000));
    assert_eq!(table.counts().idle, 0);
    table.expire(Now::of_packet(7001));
    assert_eq!(table.counts().idle, 3);
}

#[test]
fn a_series_that_shows_0_has_not_shown_its_final_value() {
    let (index, [a, b, _]) = index();
    let settings = SeriesSettings {
        birth_milliseconds: 800,
        ..SeriesSettings::default()
    };
    let table = table_with(&[Preset::Workloads], 10, settings);
    merge(&table, &snapshots(index), &[(a, b, 1)], 5000);
    let expire_after = |scrape| {
        let shown = ShownValues::Scrape(Now::of_packet(scrape));
        exposition(&table, Format::Text, shown);
        table.expire(Now::of_packet(6500));
        table.counts().idle
    };
    assert_eq!(expire_after(5799), 0);
    assert_eq!(expire_after(5800), 3);
}

#[test]
fn the_room_of_a_removed_series_is_used_again() {
    let (index, [a, b, c]) = index();
    let snapshots = snapshots(index);
    let table = table(&[Preset::Workloads], 1, "");
    let mut time = 5000;
    for (source, destination, bytes) in [(a, b, 7), (b, c, 8), (c, a, 9)] {
        merge(&table, &snapshots, &[(source, destination, bytes)], time);
        let shown = ShownValues::Scrape(Now::of_packet(time));
        let text = String::from_utf8(exposition(&table, Format::Text, shown)).unwrap();
        assert!(text.contains(&format!("}} {bytes}\n")), "{text}");
        assert_eq!(table.counts().series, 3, "{text}");
        time += 1001;
        table.expire(Now::of_packet(time));
        assert_eq!(table.counts().series, 0);
    }
    assert_eq!(table.counts().other, 0);
    assert_eq!(lock(&table.rows).sets[0].end(), 1);
}

#[test]
fn a_step_of_the_wall_clock_expires_no_series() {
    let (index, [a, b, _]) = index();
    let table = table(&[Preset::Workloads], 10, "");
    merge(&table, &snapshots(index), &[(a, b, 1)], 5000);
    table.expire(Now {
        wall_milliseconds: 9_000_000,
        monotonic_milliseconds: 5010,
    });
    assert_eq!(table.counts().idle, 0);
}

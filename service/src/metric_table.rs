//! Self-metrics that show counts which are kept elsewhere.
//!
//! The data path counts in plain integers. A [`MetricTable`] declares each metric once, with its
//! name, its description and the count that it shows, and copies the counts at a scrape.

use std::collections::BTreeMap;
use std::fmt;

use enum_map::{EnumArray, EnumMap};
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec};

use crate::metric_maker::{MetricMaker, level, raise};

/// Copies counts to a metric.
type Copy<T> = Box<dyn Fn(&[&T]) + Send + Sync>;
/// Reads the count of a series.
type Read<T> = fn(&T) -> u64;
/// Receives the label values of a series and its value.
type Series<'a, V> = dyn FnMut(&[&str], V) + 'a;

/// Metrics that show the counts in a `T`.
pub struct MetricTable<T> {
    copies: Vec<Copy<T>>,
}

impl<T> fmt::Debug for MetricTable<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metrics = self.copies.len();
        formatter
            .debug_struct("MetricTable")
            .field("metrics", &metrics)
            .finish()
    }
}

impl<T: 'static> MetricTable<T> {
    /// Declares metrics, and registers them.
    ///
    /// # Errors
    /// A name is registered already, which is a bug.
    pub fn new(
        make: &MetricMaker,
        declare: impl FnOnce(&mut Declarations<'_, T>),
    ) -> prometheus::Result<Self> {
        let mut declarations = Declarations {
            make,
            copies: Ok(Vec::new()),
        };
        declare(&mut declarations);
        let copies = declarations.copies?;
        Ok(Self { copies })
    }

    /// Copies the counts to the metrics. Counters never fall.
    pub fn publish(&self, counts: &T) {
        self.publish_sums(&[counts]);
    }

    /// Copies the sums of the counts of several threads to the metrics. Float gauges have
    /// the value of the last thread.
    pub fn publish_sums(&self, counts: &[&T]) {
        for copy in &self.copies {
            copy(counts);
        }
    }
}

/// The metrics of a [`MetricTable`] that is being made.
pub struct Declarations<'a, T> {
    make: &'a MetricMaker,
    /// The first error, if there was one.
    copies: prometheus::Result<Vec<Copy<T>>>,
}

impl<T> fmt::Debug for Declarations<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Declarations")
            .finish_non_exhaustive()
    }
}

impl<T: 'static> Declarations<'_, T> {
    fn add<M>(
        &mut self,
        metric: prometheus::Result<M>,
        copy: impl Fn(&M, &[&T]) + Send + Sync + 'static,
    ) where
        M: Send + Sync + 'static,
    {
        match (metric, &mut self.copies) {
            (Ok(metric), Ok(copies)) => copies.push(Box::new(move |counts| copy(&metric, counts))),
            (Err(error), Ok(_)) => self.copies = Err(error),
            (_, Err(_)) => {}
        }
    }

    /// A counter.
    pub fn counter(&mut self, name: &str, help: &str, read: Read<T>) {
        let counter = self.make.counter(name, help);
        self.add(counter, move |counter, counts| {
            raise(counter, sum(counts, read));
        });
    }

    /// A counter that exists already, also outside of this table.
    pub fn known_counter(&mut self, counter: IntCounter, read: Read<T>) {
        self.add(Ok(counter), move |counter, counts| {
            raise(counter, sum(counts, read));
        });
    }

    /// A gauge.
    pub fn gauge<V>(&mut self, name: &str, help: &str, read: fn(&T) -> V)
    where
        V: TryInto<i64> + 'static,
    {
        let gauge = self.make.gauge(name, help);
        self.add(gauge, move |gauge, counts| gauge.set(levels(counts, read)));
    }

    /// Counters of all variants of an enum, whose name is the value of the label.
    pub fn counter_by<K>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        read: for<'t> fn(&'t T) -> &'t EnumMap<K, u64>,
    ) where
        K: EnumArray<IntCounter> + EnumArray<u64> + Into<&'static str> + 'static,
        <K as EnumArray<IntCounter>>::Array: Send + Sync,
    {
        let counters = self.make.counter_by::<K>(name, help, label);
        self.add(counters, move |counters, counts| {
            let mut totals = EnumMap::<K, u64>::default();
            for part in counts {
                for (total, value) in totals.values_mut().zip(read(part).values()) {
                    *total = total.saturating_add(*value);
                }
            }
            for (counter, total) in counters.values().zip(totals.values()) {
                raise(counter, *total);
            }
        });
    }

    /// Counters with a label whose values are known.
    pub fn counter_of<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        series: [(&str, Read<T>); N],
    ) {
        let counters = self.make.counters(name, help, &[label]);
        let counters = counters.map(|counters| {
            series.map(|(value, read)| (counters.with_label_values(&[value]), read))
        });
        self.add(counters, |counters, counts| {
            for (counter, read) in counters {
                raise(counter, sum(counts, *read));
            }
        });
    }

    /// Counters whose series depend on the counts.
    pub fn counters(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        read: fn(&T, &mut Series<'_, u64>),
    ) {
        let counters = self.make.counters(name, help, labels);
        self.add_counters(counters, read);
    }

    /// Counters that exist already, also outside of this table, whose series depend on the counts.
    pub fn known_counters(&mut self, counters: IntCounterVec, read: fn(&T, &mut Series<'_, u64>)) {
        self.add_counters(Ok(counters), read);
    }

    fn add_counters(
        &mut self,
        counters: prometheus::Result<IntCounterVec>,
        read: fn(&T, &mut Series<'_, u64>),
    ) {
        self.add(counters, move |counters, counts| {
            let each = |values: &[&str], total| raise(&counters.with_label_values(values), total);
            each_series(counts, read, |total| total, u64::saturating_add, each);
        });
    }

    /// Gauges whose series depend on the counts.
    pub fn gauges<V>(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        read: fn(&T, &mut Series<'_, V>),
    ) where
        V: TryInto<i64> + 'static,
    {
        let gauges = self.make.gauges(name, help, labels);
        self.add(gauges, move |gauges, counts| {
            let each = |values: &[&str], value| gauges.with_label_values(values).set(value);
            each_series(counts, read, level, i64::saturating_add, each);
        });
    }

    /// Gauges of numbers that are not integers. Series that the counts no longer have are removed.
    pub fn float_gauges(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        read: fn(&T, &mut Series<'_, f64>),
    ) {
        let gauges = self.make.float_gauges(name, help, labels);
        self.add(gauges, move |gauges: &GaugeVec, counts| {
            gauges.reset();
            for part in counts {
                read(part, &mut |values, value| {
                    let gauge: Gauge = gauges.with_label_values(values);
                    gauge.set(value);
                });
            }
        });
    }
}

fn sum<T>(counts: &[&T], read: Read<T>) -> u64 {
    counts.iter().map(|part| read(part)).sum()
}

fn levels<T, V: TryInto<i64>>(counts: &[&T], read: fn(&T) -> V) -> i64 {
    counts.iter().map(|part| level(read(part))).sum()
}

/// Hands out each series with the sum of its numbers, directly if there is one thread.
fn each_series<T, V, N: std::marker::Copy>(
    counts: &[&T],
    read: fn(&T, &mut Series<'_, V>),
    number: fn(V) -> N,
    add: fn(N, N) -> N,
    mut each: impl FnMut(&[&str], N),
) {
    if let [part] = counts {
        return read(part, &mut |values, value| each(values, number(value)));
    }
    let mut sums: BTreeMap<Vec<String>, N> = BTreeMap::new();
    for part in counts {
        read(part, &mut |values, value| {
            let number = number(value);
            let values = values.iter().map(ToString::to_string).collect();
            sums.entry(values)
                .and_modify(|sum| *sum = add(*sum, number))
                .or_insert(number);
        });
    }
    for (values, sum) in &sums {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        each(&values, *sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enum_map::Enum;
    use strum::IntoStaticStr;

    #[derive(Clone, Copy, Enum, IntoStaticStr)]
    #[strum(serialize_all = "snake_case")]
    enum Reason {
        TooOld,
        TooLong,
    }

    #[derive(Default)]
    struct Counts {
        records: u64,
        lost: EnumMap<Reason, u64>,
        sockets: Vec<(&'static str, u64)>,
    }

    fn declare(table: &mut Declarations<'_, Counts>) {
        table.counter("records_total", "Records.", |counts| counts.records);
        table.gauge("records", "Records.", |counts| counts.records);
        table.counter_by("lost_total", "Lost.", "reason", |counts| &counts.lost);
        table.counter_of(
            "sent_total",
            "Sent.",
            "result",
            [("ok", |counts| counts.records), ("failed", |_| 0)],
        );
        table.gauges("socket", "Sockets.", &["socket"], |counts, add| {
            for (name, value) in &counts.sockets {
                add(&[name], *value);
            }
        });
    }

    fn text(make: &MetricMaker) -> String {
        let encoder = prometheus::TextEncoder::new();
        let text = encoder.encode_to_string(&make.registry().gather()).unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn known_series_begin_at_zero_and_follow_the_counts() {
        let make = MetricMaker::new("x");
        let table = MetricTable::new(&make, declare).unwrap();
        let at_zero = "x_lost_total{reason=\"too_long\"} 0\nx_lost_total{reason=\"too_old\"} 0\n\
             x_records 0\nx_records_total 0\n\
             x_sent_total{result=\"failed\"} 0\nx_sent_total{result=\"ok\"} 0";
        assert_eq!(text(&make), at_zero);
        let mut counts = Counts::default();
        for records in [7, 3] {
            counts.records = records;
            counts.lost[Reason::TooLong] = records;
            counts.sockets = vec![("a", records)];
            table.publish(&counts);
        }
        let expected = "x_lost_total{reason=\"too_long\"} 7\nx_lost_total{reason=\"too_old\"} 0\n\
             x_records 3\nx_records_total 7\n\
             x_sent_total{result=\"failed\"} 0\nx_sent_total{result=\"ok\"} 7\n\
             x_socket{socket=\"a\"} 3";
        assert_eq!(text(&make), expected);
    }

    #[test]
    fn the_counts_of_threads_are_added() {
        let make = MetricMaker::new("x");
        let table = MetricTable::new(&make, declare).unwrap();
        let counts = |records, sockets| Counts {
            records,
            lost: enum_map::enum_map! { Reason::TooOld => records, Reason::TooLong => 1 },
            sockets,
        };
        let (first, second) = (
            counts(3, vec![("a", 1)]),
            counts(4, vec![("a", 5), ("b", 2)]),
        );
        table.publish_sums(&[&first, &second]);
        let expected = "x_lost_total{reason=\"too_long\"} 2\nx_lost_total{reason=\"too_old\"} 7\n\
             x_records 7\nx_records_total 7\n\
             x_sent_total{result=\"failed\"} 0\nx_sent_total{result=\"ok\"} 7\n\
             x_socket{socket=\"a\"} 6\nx_socket{socket=\"b\"} 2";
        assert_eq!(text(&make), expected);
    }

    #[test]
    fn a_name_that_is_declared_twice_is_an_error() {
        let make = MetricMaker::new("x");
        let declared = MetricTable::<Counts>::new(&make, |table| {
            table.counter("records_total", "Records.", |_| 0);
            table.counter("records_total", "Records.", |_| 0);
            table.counter("others_total", "Others.", |_| 0);
        });
        assert!(declared.is_err());
    }
}

//! A family as an exposition writes it.

use kipfix_service::exposition::{Format, Histogram, Kind, Summary, Value, protobuf, text};

use super::histogram::{BucketSums, ClassicBuckets};
use super::seconds::{float, seconds, write_seconds};
use crate::aggregate::family::{Column, Family, GRPC_STATUS, Samples};
use crate::aggregate::health::{Distribution, HealthCount};

/// A family, and the beginnings of its lines.
#[derive(Debug)]
pub(super) struct ExposedFamily {
    pub(super) family: Family,
    /// The label `cluster`, or nothing.
    pub(super) constant_labels: Vec<u8>,
    lines: Vec<SampleLine>,
    created: Vec<u8>,
    buckets: Option<BucketLines>,
}

/// The samples of the buckets of a histogram.
#[derive(Debug)]
struct BucketLines {
    /// Name and constant labels.
    beginning: Vec<u8>,
    classic: ClassicBuckets,
}

/// A sample of each row.
#[derive(Debug)]
struct SampleLine {
    /// Name and constant labels.
    beginning: Vec<u8>,
    column: usize,
    /// A label behind those of the row, without the comma in front; or nothing.
    label: Vec<u8>,
    /// It is not shown unless this column has a value.
    shown_by: Option<usize>,
    /// The column has microseconds.
    is_time: bool,
    /// A new row shows its value at once.
    is_level: bool,
}

/// What an exposition shows of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShownRow<'a> {
    pub(super) labels: &'a [u8],
    /// The columns.
    pub(super) sums: &'a [u64],
    /// The buckets of its histograms.
    pub(super) buckets: &'a [BucketSums],
    /// Shows 0 instead of its values.
    pub(super) is_new: bool,
    pub(super) created_milliseconds: u64,
}

impl ExposedFamily {
    /// A family whose rows have these columns and histograms.
    pub(super) fn new(
        family: &Family,
        (columns, histograms): (&[Column], &[Distribution]),
        cluster_name: &str,
    ) -> Self {
        let mut constant_labels = Vec::new();
        if !cluster_name.is_empty() {
            text::write_label("cluster", cluster_name, &mut constant_labels);
        }
        let beginning = |name: &str, suffix: &str| {
            let name = [name.as_bytes(), suffix.as_bytes(), b"{"].concat();
            [name.as_slice(), &constant_labels].concat()
        };
        let position = |column: Column| {
            columns
                .iter()
                .position(|c| *c == column)
                .unwrap_or_default()
        };
        let line = |suffix: &str, column: Column| SampleLine {
            beginning: beginning(&family.name, suffix),
            column: position(column),
            label: Vec::new(),
            shown_by: None,
            is_time: column.is_time(),
            is_level: column == Column::OpenConnections,
        };
        let bare = family.name.strip_suffix("_total").unwrap_or(&family.name);
        let buckets = family.histogram().map(|distribution| {
            let position = histograms.iter().position(|h| *h == distribution);
            BucketLines {
                beginning: beginning(&family.name, "_bucket"),
                classic: ClassicBuckets::new(distribution, position.unwrap_or(0)),
            }
        });
        Self {
            lines: match family.samples {
                Samples::Counter(column) | Samples::Gauge(column) => vec![line("", column)],
                Samples::Summary { sum, count } => vec![line("_sum", sum), line("_count", count)],
                Samples::Histogram(of) => vec![
                    line("_sum", Column::Sum(of)),
                    line("_count", Column::Count(of)),
                ],
                Samples::GrpcCounter => Column::of_grpc()
                    .map(|(status, column)| {
                        let mut label = Vec::new();
                        text::write_label(GRPC_STATUS, status.into(), &mut label);
                        SampleLine {
                            label,
                            shown_by: Some(position(Column::Health(HealthCount::GrpcResponses))),
                            ..line("", column)
                        }
                    })
                    .collect(),
            },
            created: beginning(bare, "_created"),
            buckets,
            family: family.clone(),
            constant_labels,
        }
    }

    /// Number of samples of every row.
    pub(super) fn samples(&self) -> usize {
        let buckets = self.buckets.as_ref();
        let buckets = buckets.map_or(0, |buckets| buckets.classic.len());
        let lines = self.lines.iter().filter(|line| line.shown_by.is_none());
        lines.count().saturating_add(buckets)
    }

    /// Number of further samples of a row with these columns.
    pub(super) fn further_samples(&self, sums: &[u64]) -> usize {
        let is_shown = |column: usize| sums.get(column).is_some_and(|sum| *sum != 0);
        let lines = self.lines.iter().filter_map(|line| line.shown_by);
        lines.filter(|column| is_shown(*column)).count()
    }

    /// True if some rows have further samples.
    pub(super) fn has_further_samples(&self) -> bool {
        self.lines.iter().any(|line| line.shown_by.is_some())
    }

    const fn kind(&self) -> Kind {
        match self.family.samples {
            Samples::Counter(_) | Samples::GrpcCounter => Kind::Counter,
            Samples::Gauge(_) => Kind::Gauge,
            Samples::Summary { .. } => Kind::Summary,
            Samples::Histogram(_) => Kind::Histogram,
        }
    }

    /// Appends what is before the rows.
    pub(super) fn write_header(&self, format: Format, out: &mut Vec<u8>) {
        if format != Format::Protobuf {
            text::write_header(
                &self.family.name,
                &self.family.help,
                self.kind(),
                format,
                out,
            );
        }
    }

    /// Appends a row as text. With `created` the time of its creation follows.
    #[inline]
    pub(super) fn write_text(&self, shown: ShownRow<'_>, created: bool, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        if let Some(buckets) = &self.buckets {
            buckets.write(shown, out);
        }
        for line in self.lines.iter().filter(|line| shown.shows(line)) {
            let value = shown.value_of(line);
            shown.write_name(&line.beginning, &line.label, out);
            if line.is_time {
                write_seconds(value, out);
            } else {
                out.extend_from_slice(digits.format(value).as_bytes());
            }
            out.push(b'\n');
            if created && !line.label.is_empty() {
                self.write_created(shown, &line.label, out);
            }
        }
        let has_labels = self.lines.iter().any(|line| !line.label.is_empty());
        if created && self.kind() != Kind::Gauge && !has_labels {
            self.write_created(shown, &[], out);
        }
    }

    /// Appends the time when a row was created.
    fn write_created(&self, shown: ShownRow<'_>, label: &[u8], out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        shown.write_name(&self.created, label, out);
        let milliseconds = shown.created_milliseconds;
        out.extend_from_slice(digits.format(milliseconds / 1000).as_bytes());
        out.push(b'.');
        // Three digits of milliseconds: 1007 → "007".
        let fraction = digits.format(1000 + milliseconds % 1000).as_bytes();
        out.extend_from_slice(fraction.get(1..).unwrap_or_default());
        out.push(b'\n');
    }

    /// Appends a row as a message of protobuf. Its labels begin with the constant ones.
    pub(super) fn write_protobuf(&self, shown: ShownRow<'_>, out: &mut Vec<u8>) {
        let labels = shown.labels;
        let created = Some(shown.created_milliseconds);
        let number = |line: &SampleLine| match shown.value_of(line) {
            value if line.is_time => Value::Float(seconds(value)),
            value => Value::Integer(value),
        };
        if self.family.samples == Samples::GrpcCounter {
            let mut with_label = Vec::new();
            for line in self.lines.iter().filter(|line| shown.shows(line)) {
                with_label.clear();
                with_label.extend_from_slice(labels);
                if !labels.is_empty() {
                    with_label.push(b',');
                }
                with_label.extend_from_slice(&line.label);
                protobuf::write_metric(&with_label, self.kind(), number(line), created, out);
            }
            return;
        }
        let (first, count) = match self.lines.as_slice() {
            [only] => {
                protobuf::write_metric(labels, self.kind(), number(only), created, out);
                return;
            }
            [sum, count] => (number(sum), shown.value(count.column)),
            _ => return,
        };
        let sum = match first {
            Value::Float(sum) => sum,
            Value::Integer(sum) => float(sum),
            Value::Summary(_) | Value::Histogram(_) => return,
        };
        let Some(buckets) = &self.buckets else {
            let quantiles = &[];
            let summary = Summary {
                count,
                sum,
                quantiles,
            };
            let value = Value::Summary(&summary);
            protobuf::write_metric(labels, Kind::Summary, value, created, out);
            return;
        };
        let sums = buckets.sums(shown);
        buckets.classic.with_native(sums, |classic, native| {
            let histogram = Histogram {
                count,
                sum,
                buckets: classic,
                native: Some(native),
            };
            let value = Value::Histogram(&histogram);
            protobuf::write_metric(labels, Kind::Histogram, value, created, out);
        });
    }

    /// Appends metrics of [`Self::write_protobuf`] as a family.
    pub(super) fn write_protobuf_family(&self, metrics: &[u8], out: &mut Vec<u8>) {
        let (name, help) = (&self.family.name, &self.family.help);
        protobuf::write_family(name, help, self.kind(), metrics, out);
    }
}

impl BucketLines {
    /// The buckets of a row.
    fn sums<'a>(&self, shown: ShownRow<'a>) -> &'a BucketSums {
        let sums = shown.buckets.get(self.classic.position);
        sums.filter(|_| !shown.is_new).unwrap_or(&EMPTY)
    }

    fn write(&self, shown: ShownRow<'_>, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        for (end, count) in self.classic.lines(self.sums(shown)) {
            out.extend_from_slice(&self.beginning);
            out.extend_from_slice(shown.labels);
            if !out.ends_with(b"{") {
                out.push(b',');
            }
            out.extend_from_slice(end);
            out.extend_from_slice(digits.format(count).as_bytes());
            out.push(b'\n');
        }
    }
}

/// The buckets of a row that shows 0.
static EMPTY: BucketSums = BucketSums::new();

impl ShownRow<'_> {
    fn value_of(self, line: &SampleLine) -> u64 {
        let is_new = self.is_new && !line.is_level;
        Self { is_new, ..self }.value(line.column)
    }

    fn value(self, column: usize) -> u64 {
        if self.is_new {
            0
        } else {
            self.sums.get(column).copied().unwrap_or_default()
        }
    }

    /// False for a line whose column is not in use in the row.
    #[inline]
    fn shows(self, line: &SampleLine) -> bool {
        let sum = |column: usize| self.sums.get(column).copied().unwrap_or_default();
        line.shown_by.is_none_or(|column| sum(column) != 0)
    }

    #[inline]
    fn write_name(self, beginning: &[u8], label: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(beginning);
        out.extend_from_slice(self.labels);
        if !label.is_empty() {
            if !out.ends_with(b"{") {
                out.push(b',');
            }
            out.extend_from_slice(label);
        }
        out.extend_from_slice(b"} ");
    }
}

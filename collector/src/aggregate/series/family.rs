//! A family as an exposition writes it.

use kipfix_service::exposition::{Format, Kind, Summary, Value, protobuf, text};

use super::super::family::{Family, Measure, Samples};
use super::set::SeriesSet;

/// A family, and the beginnings of its lines.
#[derive(Debug)]
pub(super) struct ExposedFamily {
    pub(super) family: Family,
    /// The label `cluster`, or nothing.
    constant_labels: Vec<u8>,
    lines: Vec<SampleLine>,
    created: Vec<u8>,
}

/// A sample of each row.
#[derive(Debug)]
struct SampleLine {
    /// Name and constant labels.
    beginning: Vec<u8>,
    column: usize,
}

/// What an exposition shows of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShownRow {
    pub(super) row: usize,
    /// Shows 0 instead of its values.
    pub(super) is_new: bool,
    pub(super) created_milliseconds: u64,
}

impl ExposedFamily {
    pub(super) fn new(family: &Family, measures: &[Measure], cluster_name: &str) -> Self {
        let mut constant_labels = Vec::new();
        if !cluster_name.is_empty() {
            text::write_label("cluster", cluster_name, &mut constant_labels);
        }
        let beginning = |name: &str, suffix: &str| {
            let name = [name.as_bytes(), suffix.as_bytes(), b"{"].concat();
            [name.as_slice(), &constant_labels].concat()
        };
        let line = |suffix: &str, measure: Measure| SampleLine {
            beginning: beginning(&family.name, suffix),
            column: measures.iter().position(|m| *m == measure).unwrap_or(0),
        };
        let bare = family.name.strip_suffix("_total").unwrap_or(&family.name);
        Self {
            lines: match family.samples {
                Samples::Counter(measure) => vec![line("", measure)],
                Samples::Summary { sum, count } => vec![line("_sum", sum), line("_count", count)],
            },
            created: beginning(bare, "_created"),
            family: family.clone(),
            constant_labels,
        }
    }

    const fn kind(&self) -> Kind {
        match self.family.samples {
            Samples::Counter(_) => Kind::Counter,
            Samples::Summary { .. } => Kind::Summary,
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
    pub(super) fn write_text(
        &self,
        set: &SeriesSet,
        shown: ShownRow,
        created: bool,
        out: &mut Vec<u8>,
    ) {
        let mut digits = itoa::Buffer::new();
        let sums = set.sums(shown.row);
        for line in &self.lines {
            let value = shown.value(sums, line.column);
            Self::write_name(&line.beginning, set, shown.row, out);
            out.extend_from_slice(digits.format(value).as_bytes());
            out.push(b'\n');
        }
        if created {
            Self::write_name(&self.created, set, shown.row, out);
            let milliseconds = shown.created_milliseconds;
            out.extend_from_slice(digits.format(milliseconds / 1000).as_bytes());
            out.push(b'.');
            // Three digits of milliseconds: 1007 → "007".
            let fraction = digits.format(1000 + milliseconds % 1000).as_bytes();
            out.extend_from_slice(fraction.get(1..).unwrap_or_default());
            out.push(b'\n');
        }
    }

    #[inline]
    fn write_name(beginning: &[u8], set: &SeriesSet, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(beginning);
        set.write_labels(row, out);
        out.extend_from_slice(b"} ");
    }

    /// Appends a row as a message of protobuf.
    pub(super) fn write_protobuf(
        &self,
        set: &SeriesSet,
        shown: ShownRow,
        labels: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) {
        labels.clear();
        labels.extend_from_slice(&self.constant_labels);
        set.write_labels(shown.row, labels);
        let sums = set.sums(shown.row);
        let mut values = self.lines.iter().map(|line| shown.value(sums, line.column));
        let first = values.next().unwrap_or_default();
        let created = Some(shown.created_milliseconds);
        match values.next() {
            None => {
                protobuf::write_metric(labels, Kind::Counter, Value::Integer(first), created, out);
            }
            Some(count) => {
                let summary = Summary {
                    count,
                    sum: float(first),
                    quantiles: &[],
                };
                let value = Value::Summary(&summary);
                protobuf::write_metric(labels, Kind::Summary, value, created, out);
            }
        }
    }

    /// Appends metrics of [`Self::write_protobuf`] as a family.
    pub(super) fn write_protobuf_family(&self, metrics: &[u8], out: &mut Vec<u8>) {
        let (name, help) = (&self.family.name, &self.family.help);
        protobuf::write_family(name, help, self.kind(), metrics, out);
    }
}

impl ShownRow {
    fn value(self, sums: &[u64], column: usize) -> u64 {
        if self.is_new {
            0
        } else {
            sums.get(column).copied().unwrap_or_default()
        }
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "values in protobuf are doubles"
)]
const fn float(value: u64) -> f64 {
    value as f64
}

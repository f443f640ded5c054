//! A family as an exposition writes it.

use kipfix_service::exposition::{Format, Kind, Summary, Value, protobuf, text};

use super::super::family::{Family, Measure, Samples};

/// A family, and the beginnings of its lines.
#[derive(Debug)]
pub(super) struct ExposedFamily {
    pub(super) family: Family,
    /// The label `cluster`, or nothing.
    pub(super) constant_labels: Vec<u8>,
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
pub(super) struct ShownRow<'a> {
    pub(super) labels: &'a [u8],
    /// The columns.
    pub(super) sums: &'a [u64],
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
    pub(super) fn write_text(&self, shown: ShownRow<'_>, created: bool, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        for line in &self.lines {
            let value = shown.value(line.column);
            shown.write_name(&line.beginning, out);
            out.extend_from_slice(digits.format(value).as_bytes());
            out.push(b'\n');
        }
        if created {
            shown.write_name(&self.created, out);
            let milliseconds = shown.created_milliseconds;
            out.extend_from_slice(digits.format(milliseconds / 1000).as_bytes());
            out.push(b'.');
            // Three digits of milliseconds: 1007 → "007".
            let fraction = digits.format(1000 + milliseconds % 1000).as_bytes();
            out.extend_from_slice(fraction.get(1..).unwrap_or_default());
            out.push(b'\n');
        }
    }

    /// Appends a row as a message of protobuf. Its labels begin with the constant ones.
    pub(super) fn write_protobuf(&self, shown: ShownRow<'_>, out: &mut Vec<u8>) {
        let labels = shown.labels;
        let mut values = self.lines.iter().map(|line| shown.value(line.column));
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

impl ShownRow<'_> {
    fn value(self, column: usize) -> u64 {
        if self.is_new {
            0
        } else {
            self.sums.get(column).copied().unwrap_or_default()
        }
    }

    #[inline]
    fn write_name(self, beginning: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(beginning);
        out.extend_from_slice(self.labels);
        out.extend_from_slice(b"} ");
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

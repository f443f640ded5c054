//! The formats of `/metrics`: Prometheus text 0.0.4, OpenMetrics 1.0 and Prometheus protobuf, as
//! the client accepts.
//!
//! The `prometheus` crate writes neither OpenMetrics nor native histograms, so the families of its
//! registry are written here, by the encoders that other families use, too: [`text`] and
//! [`protobuf`]. An exposition is produced in [`Chunks`], so that it is never in memory as a whole.

mod accept;
pub mod protobuf;
mod registry;
pub mod text;
mod value;

pub use registry::write_registry;
pub use value::{Bucket, Histogram, Kind, NativeBuckets, Summary, Value};

/// Octets after which a chunk is handed over.
pub const CHUNK_OCTETS: usize = 60 * 1024;

/// An exposition format. Default: text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0: the family name of a counter has no `_total`, and the last line is `# EOF`.
    OpenMetrics,
    /// Messages `io.prometheus.client.MetricFamily`, each with its length in front.
    Protobuf,
}

impl Format {
    /// Returns the HTTP `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited"
            }
        }
    }
}

/// An exposition that is produced piece by piece.
pub trait Chunks: Send {
    /// Appends until `out` has about [`CHUNK_OCTETS`] octets. False if there is nothing left to
    /// append.
    fn write_chunk(&mut self, out: &mut Vec<u8>) -> bool;
}

/// An exposition that is in memory.
#[derive(Clone, Debug, Default)]
pub struct Written {
    text: Vec<u8>,
    position: usize,
}

impl From<Vec<u8>> for Written {
    fn from(text: Vec<u8>) -> Self {
        Self { text, position: 0 }
    }
}

impl Chunks for Written {
    fn write_chunk(&mut self, out: &mut Vec<u8>) -> bool {
        let rest = self.text.get(self.position..).unwrap_or_default();
        let chunk = rest.get(..CHUNK_OCTETS).unwrap_or(rest);
        out.extend_from_slice(chunk);
        self.position = self.position.saturating_add(chunk.len());
        self.position < self.text.len()
    }
}

/// Appends a family. `each` calls its argument with the labels (as in [`text`]) and the value of
/// each metric.
pub fn write_family(
    name: &str,
    help: &str,
    kind: Kind,
    format: Format,
    out: &mut Vec<u8>,
    each: impl FnOnce(&mut dyn FnMut(&[u8], Value<'_>)),
) {
    if format == Format::Protobuf {
        let mut metrics = Vec::new();
        each(&mut |labels, value| {
            protobuf::write_metric(labels, kind, value, None, &mut metrics);
        });
        protobuf::write_family(name, help, kind, &metrics, out);
    } else {
        text::write_header(name, help, kind, format, out);
        each(&mut |labels, value| text::write_metric(name, labels, value, out));
    }
}

/// Ends the exposition. The last line of OpenMetrics is `# EOF`.
pub fn finish(format: Format, out: &mut Vec<u8>) {
    if format == Format::OpenMetrics {
        out.extend_from_slice(b"# EOF\n");
    }
}

#[cfg(test)]
mod tests;

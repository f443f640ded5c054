//! A family as it is written in the settings.

use std::str::FromStr;
use std::sync::Arc;

use kipfix_service::settings::Span;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use strum::IntoStaticStr;

use super::{Column, Family, Label, Measure, RowLayout, Samples, name};
use crate::aggregate::expression::{Expression, ExpressionError, LabelValue};
use crate::aggregate::field::Field;

/// The label of gRPC responses with their status.
pub(in super::super) const GRPC_STATUS: &str = "grpc_status";
/// Maximum number of labels of a family.
const MAX_LABELS: usize = 32;
/// Maximum length of a help text, octets.
const MAX_HELP: usize = 500;

/// A metric family as it is written in the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyDefinition {
    /// Name in the exposition.
    pub name: String,
    /// HELP text.
    pub help: String,
    /// What is counted.
    pub value: Measure,
    /// Type of the family.
    #[serde(rename = "type", default)]
    pub family_type: FamilyType,
    /// The labels.
    pub labels: Vec<LabelDefinition>,
    /// The edges that belong to it. All of them by default.
    #[serde(
        default,
        deserialize_with = "filter",
        skip_serializing_if = "Option::is_none"
    )]
    pub filter: Option<Expression>,
    /// Maximum number of series. That of the settings by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_series: Option<usize>,
    /// Time after which an idle series is removed. That of the settings by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Span>,
}

/// The type of a family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum FamilyType {
    /// A counter of the value.
    #[default]
    Counter,
    /// A gauge of the open connections.
    Gauge,
    /// A summary without quantiles: the sum of the value, and the number of its observations, or of
    /// flow records if the value is not a distribution.
    Summary,
    /// A histogram of a distribution, with native buckets in Prometheus protobuf.
    Histogram,
}

/// A label: `FIELD`, whose name is made from the field, or `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabelDefinition {
    text: String,
    label: Label,
}

/// A mistake in a family.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metrics: {family}: {reason}")]
pub struct FamilyError {
    family: String,
    reason: String,
}

impl FamilyError {
    /// Two families have samples of the same name.
    pub(in super::super) fn collision(family: &Family, other: &Family) -> Self {
        let reason = if family.name == other.name {
            "name occurs twice".into()
        } else {
            format!(
                "the names of its samples collide with those of {}",
                other.name
            )
        };
        Self {
            family: family.name.to_string(),
            reason,
        }
    }
}

impl FamilyDefinition {
    /// Checks the family. `max_series` and `idle` are the defaults.
    ///
    /// # Errors
    /// The first mistake.
    pub fn to_family(&self, max_series: usize, idle: Span) -> Result<Family, FamilyError> {
        self.check().map_err(|reason| FamilyError {
            family: self.name.clone(),
            reason,
        })?;
        let idle = self.idle.unwrap_or(idle);
        Ok(Family {
            name: self.name.as_str().into(),
            help: self.help.as_str().into(),
            samples: self.samples(),
            rows: Arc::new(RowLayout {
                labels: self
                    .labels
                    .iter()
                    .map(|label| label.label.clone())
                    .collect(),
                filter: self.filter.clone(),
                max_series: self.max_series.unwrap_or(max_series),
                idle_milliseconds: idle.milliseconds(),
            }),
        })
    }

    fn samples(&self) -> Samples {
        let sum = self.value.sum();
        match (self.family_type, self.value.distribution()) {
            (FamilyType::Histogram, Some(distribution)) => Samples::Histogram(distribution),
            (FamilyType::Gauge, _) => Samples::Gauge(sum),
            (FamilyType::Counter, _) if self.value == Measure::GrpcResponses => {
                Samples::GrpcCounter
            }
            // A check refuses a histogram of anything else.
            (FamilyType::Counter | FamilyType::Histogram, _) => Samples::Counter(sum),
            (FamilyType::Summary, distribution) => Samples::Summary {
                sum,
                count: distribution.map_or(Column::Flows, Column::Count),
            },
        }
    }

    fn check_type(&self) -> Result<(), String> {
        match (self.family_type, self.value) {
            (FamilyType::Gauge, Measure::OpenConnections) => return Ok(()),
            (FamilyType::Gauge, _) => {
                return Err("invalid type gauge: value must be open_connections".into());
            }
            (other, Measure::OpenConnections) => {
                let other = <&str>::from(other);
                return Err(format!(
                    "invalid type {other}: must be gauge for the value open_connections"
                ));
            }
            _ => {}
        }
        match (self.family_type, self.value.distribution()) {
            (FamilyType::Histogram, None) => Err(
                "invalid type histogram: value must be rtt, handshake_rtt, \
                 connection_duration, dns_response_time or http_response_time"
                    .into(),
            ),
            (FamilyType::Counter, Some(_)) => Err(
                "invalid type counter: must be histogram or summary for the value of observed times"
                    .into(),
            ),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<(), String> {
        name::check_metric(&self.name)?;
        name::check_reserved(&self.name)?;
        self.check_type()?;
        if self.help.is_empty() || self.help.len() > MAX_HELP {
            return Err(format!("invalid help: must be 1–{MAX_HELP} octets"));
        }
        if self.labels.len() > MAX_LABELS {
            return Err(format!(
                "{} labels: at most {MAX_LABELS} are allowed",
                self.labels.len()
            ));
        }
        for (at, label) in self.labels.iter().enumerate() {
            let name = &label.label.name;
            name::check_label(name)?;
            if self.value == Measure::GrpcResponses && **name == *GRPC_STATUS {
                return Err(format!("label {name} is that of the value grpc_responses"));
            }
            let before = self.labels.iter().take(at);
            if before.into_iter().any(|other| other.label.name == *name) {
                return Err(format!("label {name} occurs twice"));
            }
        }
        if let Some(max) = self.max_series.filter(|max| !(1..=1 << 26).contains(max)) {
            return Err(format!("invalid max_series {max}: must be 1–{}", 1 << 26));
        }
        let [least, most] = [300, 365 * 86_400].map(Span::from_secs);
        if let Some(idle) = self.idle.filter(|idle| !(least..=most).contains(idle)) {
            return Err(format!("invalid idle {idle}: must be {least}–{most}"));
        }
        Ok(())
    }
}

impl LabelDefinition {
    /// The name of the label.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.label.name
    }
}

impl FromStr for LabelDefinition {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let named = text.split_once('=').map(|(name, rest)| (name.trim(), rest));
        // The `=` of `NAME=VALUE` is not the beginning of a comparison.
        let named = named.filter(|(name, rest)| {
            name::check_metric(name).is_ok() && !rest.starts_with(['=', '~'])
        });
        let label = match named {
            Some((name, value)) => {
                let columns = text.chars().count() - value.chars().count();
                Label {
                    name: name.into(),
                    value: value.parse().map_err(|error| moved(error, columns))?,
                }
            }
            None => {
                let value: LabelValue = text.parse()?;
                let Some(name) = value.as_field().map(Field::label_name) else {
                    let reason = "must have a name: NAME=VALUE".to_owned();
                    return Err(ExpressionError { column: 1, reason });
                };
                Label {
                    name: name.into(),
                    value,
                }
            }
        };
        Ok(Self {
            text: text.to_owned(),
            label,
        })
    }
}

/// A filter, whose errors say that they are its.
fn filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Expression>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let filter = text.parse().map(Some);
    filter.map_err(|error| D::Error::custom(format!("invalid filter {text}: {error}")))
}

/// An error in a text that begins at another column.
fn moved(error: ExpressionError, columns: usize) -> ExpressionError {
    ExpressionError {
        column: error.column.saturating_add(columns),
        ..error
    }
}

impl TryFrom<String> for LabelDefinition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let label = text.parse();
        label.map_err(|error: ExpressionError| format!("invalid label {text}: {error}"))
    }
}

impl From<LabelDefinition> for String {
    fn from(label: LabelDefinition) -> Self {
        label.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::health::{Distribution, HealthParts};

    fn family(yaml: &str) -> Result<Family, String> {
        let definition: FamilyDefinition =
            serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        let family = definition.to_family(1000, Span::from_secs(3600));
        family.map_err(|error| error.to_string())
    }

    fn with(change: &str) -> String {
        let base = "name: shop_bytes_total\nhelp: Octets.\nvalue: bytes\nlabels: [src.pod]\n";
        let key = change.split(':').next().unwrap();
        let kept = base.lines().filter(|line| !line.starts_with(key));
        kept.chain([change]).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_family_follows_its_definition() {
        let family = family(
            r#"
name: shop_bytes_total
help: Octets of the shop.
value: bytes
labels:
- src.workload
- 'team = src.namespace + "/" + src.workload'
- is_local=src.zone == dst.zone
filter: src.namespace == "shop"
max_series: 7
idle: 10m
"#,
        )
        .unwrap();
        assert_eq!(family.samples, Samples::Counter(Column::Bytes));
        let names: Vec<&str> = family.rows.labels.iter().map(|l| &*l.name).collect();
        assert_eq!(names, ["src_workload", "team", "is_local"]);
        assert_eq!(family.rows.max_series, 7);
        assert_eq!(family.rows.idle_milliseconds, 600_000);
        assert_eq!(family.rows.fields().count(), 6);
        assert!(family.rows.details().is_empty());
    }

    #[test]
    fn a_summary_counts_flow_records() {
        let family = family(&with("type: summary")).unwrap();
        let samples = Samples::Summary {
            sum: Column::Bytes,
            count: Column::Flows,
        };
        assert_eq!(family.samples, samples);
        assert_eq!(family.columns().count(), 2);
    }

    #[test]
    fn observed_times_are_a_histogram_or_a_summary() {
        let of = |family_type: &str| family(&with_value("handshake_rtt", family_type));
        let of_handshakes = Distribution::Handshake;
        let histogram = of("histogram").unwrap();
        assert_eq!(histogram.samples, Samples::Histogram(of_handshakes));
        let parts = Family::health(&[histogram]);
        assert!(parts.is_needed && parts.with_buckets[of_handshakes]);
        assert!(!parts.with_buckets[Distribution::RoundTrip]);
        let summary = of("summary").unwrap();
        let expected = Samples::Summary {
            sum: Column::Sum(of_handshakes),
            count: Column::Count(of_handshakes),
        };
        assert_eq!(summary.samples, expected);
        let parts = Family::health(&[summary]);
        assert!(parts.is_needed && !parts.with_buckets[of_handshakes]);
        let error = of("counter").unwrap_err();
        assert!(error.contains("must be histogram or summary"), "{error}");
        let error = family(&with_value("bytes", "gauge")).unwrap_err();
        assert!(error.contains("must be open_connections"), "{error}");
        let error = family(&with_value("open_connections", "counter")).unwrap_err();
        assert!(error.contains("must be gauge"), "{error}");
        let error = family(&with_value("bytes", "histogram")).unwrap_err();
        assert!(error.contains("must be rtt, handshake_rtt"), "{error}");
    }

    fn with_value(value: &str, family_type: &str) -> String {
        format!("name: a_seconds\nhelp: A.\nvalue: {value}\ntype: {family_type}\nlabels: []\n")
    }

    #[test]
    fn a_family_of_traffic_needs_no_health() {
        let family = family(&with("value: packets")).unwrap();
        assert_eq!(Family::health(&[family]), HealthParts::default());
    }

    #[test]
    fn a_mistake_is_named_with_what_is_allowed() {
        for (change, parts) in [
            ("name: shop-bytes", &["shop-bytes", "invalid name"][..]),
            ("labels: [src.pod, src.pod]", &["src_pod occurs twice"]),
            ("labels: [job=src.pod]", &["job", "Prometheus"]),
            ("labels: [__a=src.pod]", &["__a"]),
            ("labels: [le=src.pod]", &["le"]),
            ("labels: [src.port == 5]", &["NAME=VALUE"]),
            (
                "labels: [a=src.pot]",
                &["unknown field src.pot", "column 3"],
            ),
            (
                "filter: src.pod",
                &["invalid filter", "expected ==", "column 8"],
            ),
            (
                "filter: class == \"pods\"",
                &["invalid class \"pods\"", "pod_to_pod", "column 10"],
            ),
            ("name: kipfix_collector_bytes_total", &["kipfix_collector_"]),
            ("name: process_cpu_seconds_total", &["process_"]),
            ("max_series: 0", &["max_series 0", "1–"]),
            ("idle: 10s", &["idle 10s", "5m–"]),
            ("help: ''", &["help"]),
            ("value: octets", &["octets"]),
            ("unit: bytes", &["unit"]),
        ] {
            let error = family(&with(change)).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{change}: {error} lacks {part}");
            }
        }
    }
}

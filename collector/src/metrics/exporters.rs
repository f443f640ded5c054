//! Self-metrics of single exporters.

use std::collections::BTreeMap;
use std::sync::Mutex;

use flowproto::Address;
use flowproto::collector::{Convention, DomainReport, SequenceCounts, Statistics, Version};
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use super::maker::{Maker, level, raise};
use crate::lock::lock;
use crate::pipeline::RecordPolicy;

/// A copy of what a decoder knows of an Observation Domain.
#[derive(Clone, Debug)]
pub struct ExporterReport {
    exporter: Address,
    observation_domain_id: u32,
    version: Version,
    policy: RecordPolicy,
    name: Option<Box<str>>,
    records: u64,
    convention: Convention,
    sequence: SequenceCounts,
    statistics: Statistics,
}

impl ExporterReport {
    /// Copies a report. The name is left out if `with_name` is false.
    #[must_use]
    pub fn new(domain: &DomainReport<'_>, policy: RecordPolicy, with_name: bool) -> Self {
        Self {
            exporter: domain.exporter,
            observation_domain_id: domain.observation_domain_id,
            version: domain.version,
            policy,
            name: domain.name.filter(|_| with_name).map(Box::from),
            records: domain.records,
            convention: domain.convention,
            sequence: domain.sequence,
            statistics: domain.statistics,
        }
    }
}

/// Observation Domains. All sessions of one count together.
#[derive(Clone, Debug, Default)]
pub struct Exporters {
    by_key: BTreeMap<ExporterKey, Exporter>,
    without_series: u64,
    max_series: usize,
}

type ExporterKey = (Address, u32, u16);

#[derive(Clone, Debug)]
struct Exporter {
    name: Box<str>,
    policy: RecordPolicy,
    convention: &'static str,
    records: u64,
    sequence: SequenceCounts,
    reported: Vec<(&'static str, u64)>,
}

impl Exporters {
    /// Creates an empty set, in which `max_series` exporters have series.
    #[must_use]
    pub fn new(max_series: usize) -> Self {
        Self {
            max_series,
            ..Self::default()
        }
    }

    /// Adds a session of an exporter.
    pub fn add(&mut self, report: &ExporterReport) {
        let version = match report.version {
            Version::V5 => 5,
            Version::V7 => 7,
            Version::V9 => 9,
            Version::Ipfix => 10,
        };
        let key = (report.exporter, report.observation_domain_id, version);
        if self.by_key.len() >= self.max_series && !self.by_key.contains_key(&key) {
            self.without_series += 1;
            return;
        }
        let exporter = self.by_key.entry(key).or_insert_with(|| Exporter {
            name: Box::default(),
            policy: report.policy,
            convention: report.convention.as_str(),
            records: 0,
            sequence: SequenceCounts::default(),
            reported: Vec::new(),
        });
        if let Some(name) = &report.name {
            exporter.name.clone_from(name);
        }
        exporter.records += report.records;
        exporter.sequence.add(report.sequence);
        exporter.reported.extend(report.statistics.iter());
    }
}

/// The metrics.
#[derive(Debug)]
pub(super) struct ExporterMetrics {
    without_series: IntGauge,
    info: IntGaugeVec,
    records: IntCounterVec,
    sequence_lost: IntCounterVec,
    restarts: IntCounterVec,
    reported: IntGaugeVec,
    /// Label values published last.
    published: Mutex<Published>,
}

/// Label values of [`ExporterMetrics::info`], and of [`ExporterMetrics::reported`].
#[derive(Debug, Default)]
struct Published {
    infos: Vec<[String; 6]>,
    reported: Vec<[String; 4]>,
}

impl ExporterMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let exporter = ["exporter", "domain", "version"];
        Ok(Self {
            without_series: make.gauge(
                "exporters_without_series",
                "Observation Domains beyond max_exporter_series.",
            )?,
            info: make.gauges(
                "exporter_info",
                "Always 1; name of an exporter, the unit of its sequence numbers, and whether its records count (see exporters).",
                &[
                    "exporter", "domain", "version", "name", "sequence", "records",
                ],
            )?,
            records: make.counters(
                "exporter_records_total",
                "Data Records of an exporter, without those that wait for a template.",
                &exporter,
            )?,
            sequence_lost: make.counters(
                "exporter_sequence_lost_total",
                "What is missing from an exporter, in the unit of exporter_info.",
                &exporter,
            )?,
            restarts: make.counters(
                "exporter_restarts_total",
                "Restarts of an exporter.",
                &exporter,
            )?,
            reported: make.gauges(
                "exporter_reported",
                "What an exporter reports of itself in options data, since its start (elements 40-42 and 163-168).",
                &["exporter", "domain", "version", "statistic"],
            )?,
            published: Mutex::default(),
        })
    }

    pub(super) fn publish(&self, exporters: &Exporters) {
        self.without_series.set(level(exporters.without_series));
        // Series of exporters that are gone are removed. The others are never absent from a scrape.
        let mut published = lock(&self.published);
        let mut current = Published::default();
        for ((exporter, domain, version), known) in &exporters.by_key {
            let names = [
                exporter.to_string(),
                domain.to_string(),
                version.to_string(),
            ];
            let labels = names.each_ref().map(String::as_str);
            for (counters, total) in [
                (&self.records, known.records),
                (&self.sequence_lost, known.sequence.lost),
                (&self.restarts, known.sequence.restarts),
            ] {
                raise(&counters.with_label_values(&labels), total);
            }
            let [exporter, domain, version] = labels;
            let records = known.policy.as_str();
            let info = [
                exporter,
                domain,
                version,
                &known.name,
                known.convention,
                records,
            ];
            self.info.with_label_values(&info).set(1);
            current.infos.push(info.map(str::to_owned));
            for (statistic, value) in &known.reported {
                let labels = [exporter, domain, version, statistic];
                self.reported.with_label_values(&labels).set(level(*value));
                current.reported.push(labels.map(str::to_owned));
            }
        }
        self.remove_outdated(&published, &current);
        *published = current;
    }

    fn remove_outdated(&self, published: &Published, current: &Published) {
        let infos = published.infos.iter();
        for outdated in infos.filter(|info| !current.infos.contains(info)) {
            let labels = outdated.each_ref().map(String::as_str);
            // A series that does not exist need not be removed.
            self.info.remove_label_values(&labels).ok();
            let [exporter, domain, version, ..] = labels;
            let is_same = |info: &[String; 6]| info[..3] == outdated[..3];
            if !current.infos.iter().any(is_same) {
                for counters in [&self.records, &self.sequence_lost, &self.restarts] {
                    let labels = [exporter, domain, version];
                    counters.remove_label_values(&labels).ok();
                }
            }
        }
        let reported = published.reported.iter();
        for outdated in reported.filter(|one| !current.reported.contains(one)) {
            let labels = outdated.each_ref().map(String::as_str);
            self.reported.remove_label_values(&labels).ok();
        }
    }
}

/// A report of an exporter that sent this number of records.
#[cfg(test)]
pub(super) fn test_report(records: u64) -> ExporterReport {
    ExporterReport::new(
        &DomainReport {
            exporter: Address::from_v4_bits(0x0a00_0001),
            observation_domain_id: 1,
            version: Version::Ipfix,
            name: None,
            records,
            convention: Convention::Records,
            sequence: SequenceCounts::default(),
            statistics: Statistics::default(),
        },
        RecordPolicy::Auto,
        true,
    )
}

//! Self-metrics of single exporters.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use flowproto::Address;
#[cfg(test)]
use flowproto::collector::{Convention, Statistics};
use flowproto::collector::{DomainReport, SequenceCounts, Unusable, Version};
use flowproto::record::Sampling;
use kipfix_service::metric_maker::{MetricMaker, level, raise};
use kipfix_service::sync::lock;
use prometheus::{GaugeVec, IntCounterVec, IntGauge, IntGaugeVec};

use crate::pipeline::RecordPolicy;

/// A copy of what decoders know of an exporter: of one Observation Domain, or of those with the
/// same address, id and version in several pipelines.
#[derive(Clone, Debug)]
pub struct ExporterReport {
    key: ExporterKey,
    policy: RecordPolicy,
    name: Box<str>,
    convention: &'static str,
    records: u64,
    sequence: SequenceCounts,
    reported: Vec<(&'static str, u64)>,
    sampling: Sampling,
    records_of_unknown_sampling: u64,
    announcements_ignored: u64,
    sets_of_shared_templates: u64,
    last_record: u64,
}

impl ExporterReport {
    /// Copies a report.
    #[must_use]
    pub fn new(domain: &DomainReport<'_>, policy: RecordPolicy) -> Self {
        Self {
            key: (
                domain.exporter,
                domain.observation_domain_id,
                domain.version,
            ),
            policy,
            name: domain.name.unwrap_or_default().into(),
            convention: if domain.version.has_sequence() {
                domain.convention.into()
            } else {
                "none"
            },
            records: domain.records,
            sequence: domain.sequence,
            reported: domain.statistics.iter().collect(),
            sampling: domain.sampling,
            records_of_unknown_sampling: domain.records_of_unknown_sampling,
            announcements_ignored: domain.announcements_ignored,
            sets_of_shared_templates: domain.sets_of_shared_templates,
            last_record: 0,
        }
    }

    /// Adds the report of another pipeline.
    fn add(&mut self, other: Self) {
        if !other.name.is_empty() {
            self.name = other.name;
        }
        if other.sampling != Sampling::NONE {
            self.sampling = other.sampling;
        }
        self.records += other.records;
        self.sequence.add(other.sequence);
        self.reported.extend(other.reported);
        self.records_of_unknown_sampling += other.records_of_unknown_sampling;
        self.announcements_ignored += other.announcements_ignored;
        self.sets_of_shared_templates += other.sets_of_shared_templates;
    }
}

/// Observation Domains of all pipelines, and what their exporters sent that could not be used.
#[derive(Clone, Debug, Default)]
pub struct Exporters {
    by_key: BTreeMap<ExporterKey, ExporterReport>,
    without_series: u64,
    unusable: BTreeMap<(Option<Address>, &'static str), u64>,
    /// Maximum number of addresses with series in `unusable`.
    max_series: usize,
}

type ExporterKey = (Address, u32, Version);

/// What the API shows of an Observation Domain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExporterSummary<'a> {
    /// Source address.
    pub address: Address,
    /// Observation Domain ID, Source ID, or engine.
    pub observation_domain_id: u32,
    /// Its protocol.
    pub version: Version,
    /// 300 `observationDomainName`; empty if it reports none.
    pub name: &'a str,
    /// Data Records.
    pub records: u64,
    /// What is missing by its sequence numbers.
    pub sequence_lost: u64,
    /// Datagrams, Sets and templates of its address that could not be used.
    pub unusable: u64,
    /// Factor by which its counters are multiplied.
    pub sampling: f64,
    /// Time of the last drain before which it sent a record, milliseconds since the epoch.
    pub last_record: u64,
}

impl Exporters {
    /// Creates an empty set. Of what could not be used, `max_series` addresses have series.
    #[must_use]
    pub fn new(max_series: usize) -> Self {
        Self {
            max_series,
            ..Self::default()
        }
    }

    /// Adds a domain of a pipeline.
    pub fn add(&mut self, report: ExporterReport) {
        match self.by_key.entry(report.key) {
            Entry::Vacant(room) => {
                room.insert(report);
            }
            Entry::Occupied(mut known) => known.get_mut().add(report),
        }
    }

    /// Notes which exporters sent records since `before`, the exporters of the drain before this
    /// one at `now`, milliseconds since the epoch.
    pub fn note_activity(&mut self, before: &Self, now: u64) {
        for (key, exporter) in &mut self.by_key {
            let before = before.by_key.get(key);
            exporter.last_record = match before {
                Some(before) if before.records == exporter.records => before.last_record,
                _ => now,
            };
        }
    }

    /// What the API shows of each.
    pub fn summaries(&self) -> impl Iterator<Item = ExporterSummary<'_>> {
        self.by_key
            .iter()
            .map(|((address, domain, version), exporter)| {
                let unusable = self.unusable.range((Some(*address), "")..);
                let of_address = unusable.take_while(|((of, _), _)| *of == Some(*address));
                ExporterSummary {
                    address: *address,
                    observation_domain_id: *domain,
                    version: *version,
                    name: &exporter.name,
                    records: exporter.records,
                    sequence_lost: exporter.sequence.lost,
                    unusable: of_address.map(|(_, count)| count).sum(),
                    sampling: exporter.sampling.factor(),
                    last_record: exporter.last_record,
                }
            })
    }

    /// Adds a number of domains that have no series.
    pub const fn add_without_series(&mut self, domains: u64) {
        self.without_series += domains;
    }

    /// Adds what an exporter sent that could not be used.
    pub fn add_unusable(&mut self, exporter: Option<Address>, reason: Unusable, count: u64) {
        *self.unusable.entry((exporter, reason.into())).or_default() += count;
    }
}

/// The metrics.
#[derive(Debug)]
pub(super) struct ExporterMetrics {
    without_series: IntGauge,
    info: IntGaugeVec,
    counters: Vec<(IntCounterVec, ReadCount)>,
    reported: IntGaugeVec,
    sampling_factor: GaugeVec,
    unusable: IntCounterVec,
    /// Label values published last.
    published: Mutex<Published>,
}

/// Reads the count of a metric.
type ReadCount = fn(&ExporterReport) -> u64;

/// Name and description of each counter of exporters, and the count that it shows.
const COUNTERS: [(&str, &str, ReadCount); 6] = [
    (
        "exporter_records_total",
        "Data Records of an exporter, without those that wait for a template.",
        |known| known.records,
    ),
    (
        "exporter_sequence_lost_total",
        "What is missing from an exporter, in the unit of exporter_info.",
        |known| known.sequence.lost,
    ),
    (
        "exporter_restarts_total",
        "Restarts of an exporter.",
        |known| known.sequence.restarts,
    ),
    (
        "exporter_sampling_unknown_total",
        "Data Records of an exporter that name an unknown sampler, whose samplers contradict each other, or whose interval is above 16777215. They count as if not sampled.",
        |known| known.records_of_unknown_sampling,
    ),
    (
        "exporter_sampling_ignored_total",
        "Options records of an exporter that announce sampling in a way that is not understood.",
        |known| known.announcements_ignored,
    ),
    (
        "exporter_shared_templates_total",
        "Data Sets of an exporter that were read with a template from another of its ports.",
        |known| known.sets_of_shared_templates,
    ),
];

/// Label values of [`ExporterMetrics::info`], and of [`ExporterMetrics::reported`].
#[derive(Debug, Default)]
struct Published {
    infos: BTreeSet<[String; 6]>,
    reported: BTreeSet<[String; 4]>,
    /// Exporters with series of what could not be used.
    unusable: BTreeSet<Address>,
}

/// Stands for the exporters without series of their own.
const OTHERS: &str = "other";

impl ExporterMetrics {
    pub(super) fn new(make: &MetricMaker) -> prometheus::Result<Self> {
        let exporter = ["exporter", "domain", "version"];
        let counters = COUNTERS.into_iter().map(|(name, help, read)| {
            let counters = make.counters(name, help, &exporter)?;
            Ok((counters, read))
        });
        Ok(Self {
            counters: counters.collect::<prometheus::Result<_>>()?,
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
            reported: make.gauges(
                "exporter_reported",
                "What an exporter reports of itself in options data, since its start (elements 40-42 and 163-168).",
                &["exporter", "domain", "version", "statistic"],
            )?,
            sampling_factor: make.float_gauges(
                "exporter_sampling_factor",
                "Factor by which the counters of an exporter's records are multiplied, by the sampling of its latest record.",
                &exporter,
            )?,
            unusable: make.counters(
                "exporter_unusable_total",
                "Datagrams, Sets and templates of an exporter that could not be used; exporters beyond max_exporter_series are \"other\".",
                &["exporter", "reason"],
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
                version.number().to_string(),
            ];
            let labels = names.each_ref().map(String::as_str);
            for (counters, read) in &self.counters {
                raise(&counters.with_label_values(&labels), read(known));
            }
            self.sampling_factor
                .with_label_values(&labels)
                .set(known.sampling.factor());
            let [exporter, domain, version] = labels;
            let records = known.policy.into();
            let info = [
                exporter,
                domain,
                version,
                &known.name,
                known.convention,
                records,
            ];
            self.info.with_label_values(&info).set(1);
            current.infos.insert(info.map(str::to_owned));
            for (statistic, value) in &known.reported {
                let labels = [exporter, domain, version, statistic];
                self.reported.with_label_values(&labels).set(level(*value));
                current.reported.insert(labels.map(str::to_owned));
            }
        }
        self.remove_outdated(&published, &current);
        current.unusable = std::mem::take(&mut published.unusable);
        self.publish_unusable(exporters, &mut current.unusable);
        *published = current;
    }

    /// Updates the counters of what could not be used. An exporter that has series keeps them.
    fn publish_unusable(&self, exporters: &Exporters, with_series: &mut BTreeSet<Address>) {
        let mut others: BTreeMap<&str, u64> = BTreeMap::new();
        for ((exporter, reason), count) in &exporters.unusable {
            let has_series = exporter.is_some_and(|exporter| {
                with_series.contains(&exporter)
                    || with_series.len() < exporters.max_series && with_series.insert(exporter)
            });
            match exporter.filter(|_| has_series) {
                Some(exporter) => {
                    let labels = [&*exporter.to_string(), *reason];
                    raise(&self.unusable.with_label_values(&labels), *count);
                }
                None => *others.entry(*reason).or_default() += count,
            }
        }
        for (reason, count) in others {
            raise(&self.unusable.with_label_values(&[OTHERS, reason]), count);
        }
    }

    fn remove_outdated(&self, published: &Published, current: &Published) {
        for outdated in published.infos.difference(&current.infos) {
            let labels = outdated.each_ref().map(String::as_str);
            // A series that does not exist need not be removed.
            self.info.remove_label_values(&labels).ok();
            let [exporter, domain, version, ..] = labels;
            let is_same = |info: &[String; 6]| info[..3] == outdated[..3];
            if !current.infos.iter().any(is_same) {
                let labels = [exporter, domain, version];
                for (counters, _) in &self.counters {
                    counters.remove_label_values(&labels).ok();
                }
                self.sampling_factor.remove_label_values(&labels).ok();
            }
        }
        for outdated in published.reported.difference(&current.reported) {
            let labels = outdated.each_ref().map(String::as_str);
            self.reported.remove_label_values(&labels).ok();
        }
    }
}

/// A report of an exporter that sent this number of records.
#[cfg(test)]
pub(super) fn test_report(records: u64) -> ExporterReport {
    let domain = DomainReport {
        exporter: Address::from_v4_bits(0x0a00_0001),
        observation_domain_id: 1,
        version: Version::Ipfix,
        name: None,
        records,
        convention: Convention::Records,
        sequence: SequenceCounts::default(),
        statistics: Statistics::default(),
        sampling: Sampling::NONE,
        records_of_unknown_sampling: 0,
        announcements_ignored: 0,
        sets_of_shared_templates: 0,
    };
    ExporterReport::new(&domain, RecordPolicy::Auto)
}

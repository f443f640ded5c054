//! Self-metrics of the wire: connections, who was refused, what is known of each exporter, and how full
//! the decoder is.
//!
//! Identities, true in every scrape:
//!
//! * `connections_accepted_total` = `connections` + Σ `connections_refused_total` +
//!   Σ `connections_closed_total`
//! * datagrams that the kernel handed over = `datagrams_total` + Σ `datagrams_refused_total`

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use flowproto::collector::{Counters, DomainReport, Occupancy, SequenceCounts};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::{Maker, level, raise};
use crate::receive::connections::{ConnectionCounts, Ending, Refusal};
use crate::settings::Settings;

/// What sockets and connections had to do with besides datagrams.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    /// Connections.
    pub connections: ConnectionCounts,
    /// Datagrams of exporters that may not send.
    pub refused_datagrams: u64,
    /// How often certificates were read: well, and in vain.
    pub certificate_loads: (u64, u64),
}

/// Observation Domains, each under one name however many sessions it has.
#[derive(Clone, Debug, Default)]
pub struct Exporters {
    by_name: BTreeMap<(String, u32, u16), Exporter>,
    hidden: u64,
    bound: usize,
}

#[derive(Clone, Debug)]
struct Exporter {
    name: String,
    convention: &'static str,
    records: u64,
    sequence: SequenceCounts,
    reported: Vec<(&'static str, u64)>,
}

impl Exporters {
    /// None yet; `bound` of them are told by name.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self {
            bound,
            ..Self::default()
        }
    }

    /// Adds a domain, as a session of it was heard.
    pub fn add(&mut self, domain: &DomainReport<'_>) {
        if self.by_name.len() >= self.bound {
            // Whether it is one of those told already costs too much to find out for thousands.
            self.hidden += 1;
            return;
        }
        let version = match domain.version {
            flowproto::collector::Version::V5 => 5,
            flowproto::collector::Version::V7 => 7,
            flowproto::collector::Version::V9 => 9,
            flowproto::collector::Version::Ipfix => 10,
        };
        let key = (
            domain.exporter.to_string(),
            domain.observation_domain_id,
            version,
        );
        let exporter = self.by_name.entry(key).or_insert_with(|| Exporter {
            name: String::new(),
            convention: domain.convention.as_str(),
            records: 0,
            sequence: SequenceCounts::default(),
            reported: Vec::new(),
        });
        if let Some(name) = domain.name {
            name.clone_into(&mut exporter.name);
        }
        exporter.records += domain.records;
        exporter.sequence.add(domain.sequence);
        exporter.reported.extend(domain.statistics.iter());
    }
}

/// The metrics.
#[derive(Debug)]
pub(super) struct Wire {
    connections: IntGauge,
    accepted: IntCounter,
    refused: Vec<IntCounter>,
    closed: Vec<IntCounter>,
    accept_failures: IntCounter,
    refused_datagrams: IntCounter,
    certificates_loaded: IntCounter,
    certificates_failed: IntCounter,
    late: IntCounter,
    old: IntCounter,
    restarts: IntCounter,
    domains_crowded_out: IntCounter,
    domains_idle: IntCounter,
    templates_withdrawn: IntCounter,
    templates_idle: IntCounter,
    names: IntGauge,
    names_refused: IntCounter,
    totals: IntGauge,
    totals_forgotten: IntCounter,
    exporters_hidden: IntGauge,
    info: IntGaugeVec,
    records: IntCounterVec,
    sequence_lost: IntCounterVec,
    exporter_restarts: IntCounterVec,
    reported: IntGaugeVec,
    /// Label values of the exporters told last.
    told: Mutex<Told>,
}

/// Label values of [`Wire::info`], and of [`Wire::reported`].
#[derive(Debug, Default)]
struct Told {
    infos: Vec<[String; 5]>,
    reported: Vec<[String; 4]>,
}

impl Wire {
    pub(super) fn new(
        make: &Maker,
        limits: &IntGaugeVec,
        settings: &Settings,
    ) -> prometheus::Result<Self> {
        for (name, limit) in [
            ("connections", settings.max_connections),
            (
                "connections_of_address",
                settings.max_connections_of_address,
            ),
            ("names", settings.max_names),
            ("totals", settings.max_totals),
            ("exporter_series", settings.max_exporter_series),
        ] {
            limits.with_label_values(&[name]).set(level(limit));
        }
        let refused = make.counters(
            "connections_refused_total",
            "Connections refused, or gone, before anything of them was decoded.",
            "reason",
        )?;
        let closed = make.counters(
            "connections_closed_total",
            "Connections that were read from and have ended.",
            "reason",
        )?;
        let refused_datagrams = make.counters(
            "datagrams_refused_total",
            "Datagrams that were not decoded, because of who sent them.",
            "reason",
        )?;
        let loads = make.counters(
            "certificate_loads_total",
            "Times that the files of a TLS listener were read; after a failure, what was read before holds.",
            "result",
        )?;
        let forgotten = make.counters(
            "domains_forgotten_total",
            "Observation Domains forgotten, with their templates: for one more there was no room, or they were silent.",
            "reason",
        )?;
        let templates = make.counters(
            "templates_forgotten_total",
            "Templates withdrawn by their exporter or with their connection, and those neither sent nor used.",
            "reason",
        )?;
        let exporter = ["exporter", "domain", "version"];
        let counters = |name: &str, help: &str| {
            let opts = Opts::new(format!("kipfix_collector_{name}"), help);
            make.add(IntCounterVec::new(opts, &exporter))
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let opts = Opts::new(format!("kipfix_collector_{name}"), help);
            make.add(IntGaugeVec::new(opts, labels))
        };
        Ok(Self {
            connections: make.gauge("connections", "Connections that are open.")?,
            accepted: make.counter("connections_accepted_total", "Connections that came.")?,
            refused: Refusal::ALL
                .iter()
                .map(|reason| refused.with_label_values(&[reason.as_str()]))
                .collect(),
            closed: Ending::ALL
                .iter()
                .map(|reason| closed.with_label_values(&[reason.as_str()]))
                .collect(),
            accept_failures: make.counter(
                "accept_failures_total",
                "Times that the kernel gave no connection though one was there: out of file descriptors.",
            )?,
            refused_datagrams: refused_datagrams.with_label_values(&["not_allowed"]),
            certificates_loaded: loads.with_label_values(&["ok"]),
            certificates_failed: loads.with_label_values(&["failed"]),
            late: make.counter(
                "messages_late_total",
                "Messages that came late, by their sequence number, and filled a gap.",
            )?,
            old: make.counter(
                "messages_old_total",
                "Messages older than any gap: repeated, too late, or the first of an exporter that began anew.",
            )?,
            restarts: make.counter(
                "exporters_restarted_total",
                "Exporters that began anew, by their sequence numbers or up time.",
            )?,
            domains_crowded_out: forgotten.with_label_values(&["max_domains"]),
            domains_idle: forgotten.with_label_values(&["idle"]),
            templates_withdrawn: templates.with_label_values(&["withdrawn"]),
            templates_idle: templates.with_label_values(&["idle"]),
            names: make.gauge(
                "names",
                "Names of interfaces and applications, and types of elements, that exporters taught.",
            )?,
            names_refused: make.counter(
                "names_refused_total",
                "Names, types and samplers that exporters said and for which there was no room, and types named as another element is.",
            )?,
            totals: make.gauge(
                "totals",
                "Flows whose running totals are remembered, of exporters that send no deltas.",
            )?,
            totals_forgotten: make.counter(
                "totals_forgotten_total",
                "Flows forgotten because one more needed the room; the next record of each counts as a whole.",
            )?,
            exporters_hidden: make.gauge(
                "exporters_hidden",
                "Observation Domains beyond max_exporter_series, which have no series of their own.",
            )?,
            info: gauges(
                "exporter_info",
                "Always 1; what an exporter is called, and what its sequence numbers count.",
                &["exporter", "domain", "version", "name", "sequence"],
            )?,
            records: counters(
                "exporter_records_total",
                "Data Records of an exporter, those still waiting for a template excluded.",
            )?,
            sequence_lost: counters(
                "exporter_sequence_lost_total",
                "What never came from an exporter, in the unit that exporter_info says.",
            )?,
            exporter_restarts: counters(
                "exporter_restarts_total",
                "Times that an exporter began anew.",
            )?,
            reported: gauges(
                "exporter_reported",
                "What an exporter says of itself in options data, since it began (elements 40-42 and 163-168).",
                &["exporter", "domain", "version", "of"],
            )?,
            told: Mutex::default(),
        })
    }

    /// Brings them to what there is to tell now.
    pub(super) fn publish(
        &self,
        decoding: &Counters,
        occupancy: &Occupancy,
        reception: &Reception,
        exporters: &Exporters,
    ) {
        let connections = &reception.connections;
        self.connections.set(level(connections.open));
        raise(&self.accepted, connections.accepted);
        for (counter, total) in self.refused.iter().zip(&connections.refused) {
            raise(counter, *total);
        }
        for (counter, total) in self.closed.iter().zip(&connections.ended) {
            raise(counter, *total);
        }
        raise(&self.accept_failures, connections.accept_failures);
        raise(&self.refused_datagrams, reception.refused_datagrams);
        raise(&self.certificates_loaded, reception.certificate_loads.0);
        raise(&self.certificates_failed, reception.certificate_loads.1);
        for (counter, total) in [
            (&self.late, decoding.sequence.late),
            (&self.old, decoding.sequence.old),
            (&self.restarts, decoding.sequence.restarts),
            (&self.domains_crowded_out, decoding.domains_crowded_out),
            (&self.domains_idle, decoding.domains_idle),
            (&self.templates_withdrawn, decoding.templates_withdrawn),
            (&self.templates_idle, decoding.templates_idle),
            (&self.names_refused, decoding.words_refused),
            (&self.totals_forgotten, decoding.totals_forgotten),
        ] {
            raise(counter, total);
        }
        self.names.set(level(occupancy.words));
        self.totals.set(level(occupancy.totals));
        self.publish_exporters(exporters);
    }

    fn publish_exporters(&self, exporters: &Exporters) {
        self.exporters_hidden.set(level(exporters.hidden));
        // Series of exporters that are no more go, and no scrape sees the others away meanwhile.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = Told::default();
        for ((exporter, domain, version), known) in &exporters.by_name {
            let [domain, version] = [domain.to_string(), version.to_string()];
            let labels = [exporter.as_str(), &domain, &version];
            for (counters, total) in [
                (&self.records, known.records),
                (&self.sequence_lost, known.sequence.lost),
                (&self.exporter_restarts, known.sequence.restarts),
            ] {
                let counter = counters.with_label_values(&labels);
                if total < counter.get() {
                    counter.reset();
                }
                raise(&counter, total);
            }
            let info = [
                labels[0],
                labels[1],
                labels[2],
                &known.name,
                known.convention,
            ];
            self.info.with_label_values(&info).set(1);
            now.infos.push(info.map(str::to_owned));
            for (of, value) in &known.reported {
                let labels = [labels[0], labels[1], labels[2], of];
                self.reported.with_label_values(&labels).set(level(*value));
                now.reported.push(labels.map(str::to_owned));
            }
        }
        for gone in told.infos.iter().filter(|info| !now.infos.contains(info)) {
            let info = gone.each_ref().map(String::as_str);
            // What is not there any more is what is wanted.
            self.info.remove_label_values(&info).ok();
            let [exporter, domain, version, ..] = info;
            let labels = [exporter, domain, version];
            if !now.infos.iter().any(|info| info[..3] == gone[..3]) {
                for counters in [&self.records, &self.sequence_lost, &self.exporter_restarts] {
                    counters.remove_label_values(&labels).ok();
                }
            }
        }
        for gone in told
            .reported
            .iter()
            .filter(|one| !now.reported.contains(one))
        {
            let labels = gone.each_ref().map(String::as_str);
            self.reported.remove_label_values(&labels).ok();
        }
        *told = now;
    }
}

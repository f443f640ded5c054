//! The settings of each part of the collector.

use std::num::NonZeroU32;

use flowproto::collector::Limits;
use flowproto::element;
use kipfix_service::settings::{BadSettings, Size, Span};

use super::{MetricFlags, Settings, exporters};
use crate::aggregate::expression::Expression;
use crate::aggregate::field::Field;
use crate::aggregate::{
    self, Family, OpenConnectionSettings, Preset, RecordFilter, SeriesSettings,
};
use crate::emit::OverflowPolicy;
use crate::emit::flow_log::{FlowLogSettings, LineSettings, SelectedMembers, is_added_member};
use crate::emit::forward::ForwardSettings;
use crate::history::HistorySettings;
use crate::history::clickhouse::ClickHouseHistory;
use crate::history::prometheus::PrometheusHistory;
use crate::history::{HistoryEngine, HistorySource};
use crate::inventory::external::{ExternalSources, NamedCidr};
use crate::inventory::{Bounds, KeptLabels};
use crate::pipeline::{ExporterPolicies, ObserverTimeouts, PipelineSettings};
use crate::receive::connections::ConnectionLimits;
use crate::receive::sockets::SocketOptions;
use crate::recent::MAX_AGE_MILLISECONDS;

/// Time between the end of a record's waits and the drain of its edge, with a large margin.
const ID_REUSE_MARGIN_MILLISECONDS: u64 = 60_000;

impl Settings {
    /// Limits of the index of the cluster.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        // The longest way of a record: it waits for the initial list, then for its pod, then for
        // its observer, once more if the list arrives meanwhile. A savefile has no such limit.
        let waits = [
            self.attribution.inventory_wait,
            self.attribution.attribution_wait,
            self.attribution.observer_wait,
            self.attribution.observer_wait,
        ];
        let longest = waits.into_iter().map(Span::milliseconds).sum::<u64>();
        let is_live = self.input.read.is_empty();
        Bounds {
            endpoints: self.attribution.max_endpoints,
            nodes: self.attribution.max_nodes,
            kept_milliseconds: self.attribution.deleted_pods_kept.milliseconds(),
            id_reuse_delay_milliseconds: if is_live {
                // Recent records are filtered by the names of their endpoints.
                let recent = self
                    .recent_records_octets()
                    .map_or(0, |_| MAX_AGE_MILLISECONDS);
                longest
                    .saturating_add(recent)
                    .saturating_add(self.open_connection_milliseconds())
                    .saturating_add(ID_REUSE_MARGIN_MILLISECONDS)
            } else {
                u64::MAX
            },
        }
    }

    /// The labels that are kept: the chosen ones, and those of [`Self::labels_read`].
    ///
    /// # Errors
    /// A family is invalid.
    pub fn kept_labels(&self) -> Result<KeptLabels, BadSettings> {
        let mut kept = self.labels_read()?;
        for (kept, chosen) in [
            (&mut kept.pods, &self.attribution.pod_labels),
            (&mut kept.namespaces, &self.attribution.namespace_labels),
        ] {
            let more = chosen.iter().filter(|key| !kept.contains(key));
            let more: Vec<String> = more.cloned().collect();
            kept.extend(more);
        }
        Ok(kept)
    }

    /// The labels that metric families and the filter of the flow log read.
    ///
    /// # Errors
    /// A family is invalid.
    pub fn labels_read(&self) -> Result<KeptLabels, BadSettings> {
        let mut kept = KeptLabels::default();
        let families = self.families()?;
        let fields = families.iter().flat_map(|family| family.rows.fields());
        let filter = self
            .output
            .flow_log_filter
            .iter()
            .flat_map(Expression::fields);
        for field in fields.chain(filter) {
            let (keys, key) = match field {
                Field::Label(_, key) => (&mut kept.pods, key),
                Field::NamespaceLabel(_, key) => (&mut kept.namespaces, key),
                Field::Endpoint(..) | Field::Record(_) => continue,
            };
            if !keys.iter().any(|other| **other == **key) {
                keys.push(key.to_string());
            }
        }
        Ok(kept)
    }

    /// Sources of external address enrichment. `cidrs` are those of the inventory file.
    #[must_use]
    pub fn external_sources(&self, cidrs: Vec<NamedCidr>) -> ExternalSources {
        ExternalSources {
            cidrs: self.external.cidr.iter().cloned().chain(cidrs).collect(),
            databases: self.external.geoip.clone(),
            cloud_ranges: self.external.cloud_ranges.clone(),
            max_combinations: self.external.max_external,
        }
    }

    /// Settings of a pipeline. `started_milliseconds` as in [`PipelineSettings`].
    #[must_use]
    pub fn pipeline(&self, started_milliseconds: Option<u64>) -> PipelineSettings {
        PipelineSettings {
            limits: Limits {
                domains: self.decoder.max_domains,
                templates_per_domain: self.decoder.max_templates,
                pending_octets: octets(self.decoder.template_wait_size),
                pending_milliseconds: self.decoder.template_wait.milliseconds(),
                metadata_entries: self.decoder.max_metadata,
                totals: self.decoder.max_running_totals,
                idle_milliseconds: self.decoder.domain_idle.milliseconds(),
                template_fields: self.decoder.max_template_fields,
                address_share: self.decoder.max_address_share,
                template_sharing: self.decoder.template_sharing,
                ..Limits::default()
            },
            pending_octets: octets(self.attribution.pending_queue),
            attribution_wait_milliseconds: self.attribution.attribution_wait.milliseconds(),
            inventory_wait_milliseconds: self.attribution.inventory_wait.milliseconds(),
            max_clock_skew_milliseconds: self.attribution.max_clock_skew.milliseconds(),
            intra_node: self.metrics.intra_node,
            connections_from_flows: self.metrics.connections_from_flows,
            flow_direction: self.metrics.flow_direction,
            node_flow_direction: self.metrics.node_flow_direction,
            started_milliseconds,
        }
    }

    /// Bounds of the open connections of each worker.
    #[must_use]
    pub fn open_connections(&self) -> OpenConnectionSettings {
        OpenConnectionSettings {
            max_connections: self.metrics.max_open_connections,
            timeout_milliseconds: self.metrics.open_connection_timeout.milliseconds(),
        }
    }

    /// How long an open connection names its endpoints after its latest record, milliseconds.
    fn open_connection_milliseconds(&self) -> u64 {
        let families = self.families();
        let is_needed =
            families.is_ok_and(|families| Family::health(&families).has_open_connections);
        let timeout = self.metrics.open_connection_timeout.milliseconds();
        if is_needed { timeout } else { 0 }
    }

    /// When a silent node is taken to be unobserved.
    #[must_use]
    pub fn observer_timeouts(&self) -> ObserverTimeouts {
        ObserverTimeouts {
            wait_milliseconds: self.attribution.observer_wait.milliseconds(),
            active_milliseconds: self.attribution.observer_timeout.milliseconds(),
        }
    }

    /// Policies of exporters, from their file.
    ///
    /// # Errors
    /// The file cannot be read, or an entry is invalid.
    pub fn exporter_policies(&self) -> Result<ExporterPolicies, BadSettings> {
        let file = self.input.exporters.as_deref();
        file.map_or_else(|| Ok(ExporterPolicies::default()), exporters::read)
    }

    /// The metric families: those of the presets, then those of the file.
    ///
    /// # Errors
    /// A family is invalid, or two have the same name.
    pub fn families(&self) -> Result<Vec<Family>, BadSettings> {
        self.families_of(&self.metrics.preset)
    }

    /// The conventions for names that families of the file break.
    ///
    /// # Errors
    /// A family is invalid.
    pub fn lint(&self) -> Result<Vec<String>, BadSettings> {
        let families = self.families_of(&[])?;
        Ok(families.iter().flat_map(Family::lint).collect())
    }

    fn families_of(&self, presets: &[Preset]) -> Result<Vec<Family>, BadSettings> {
        let MetricFlags {
            metrics,
            max_series,
            series_idle,
            ..
        } = &self.metrics;
        aggregate::families(presets, metrics, *max_series, *series_idle).map_err(BadSettings::new)
    }

    /// Settings of the series table.
    #[must_use]
    pub fn series(&self) -> SeriesSettings {
        SeriesSettings {
            birth_milliseconds: self.metrics.series_birth.milliseconds(),
            created_samples: self.metrics.created_samples,
            cluster_name: self.attribution.cluster_name.clone(),
        }
    }

    /// Settings of the ring of the history; `None` if there is none.
    #[must_use]
    pub fn ring(&self) -> Option<HistorySettings> {
        let is_kept =
            self.history.history == HistorySource::Ring && self.history.history_size.bytes() > 0;
        is_kept.then(|| HistorySettings {
            max_octets: octets(self.history.history_size),
            counts_health: self.history.history_health,
            rings: self.history.history_rings.clone(),
        })
    }

    /// The engine that keeps the history; `None` if it is the ring.
    ///
    /// # Errors
    /// A file of its URL cannot be used.
    pub fn engine(&self) -> Result<Option<HistoryEngine>, BadSettings> {
        let engine = match &self.history.history {
            HistorySource::Ring => return Ok(None),
            HistorySource::Prometheus(engine) => {
                PrometheusHistory::new(engine, &self.families()?, &self.attribution.cluster_name)
                    .map(HistoryEngine::Prometheus)
            }
            HistorySource::ClickHouse(engine) => {
                ClickHouseHistory::new(engine, &self.attribution.cluster_name)
                    .map(HistoryEngine::ClickHouse)
            }
        };
        let engine = engine.map_err(|error| BadSettings::new(format!("history: {error:#}")))?;
        Ok(Some(engine))
    }

    /// Maximum memory of recent records, octets; `None` if there are none.
    #[must_use]
    pub fn recent_records_octets(&self) -> Option<usize> {
        let octets = octets(self.history.recent_records_size);
        (octets > 0).then_some(octets)
    }

    /// The lines of the flow log.
    #[must_use]
    pub fn flow_log_lines(&self) -> LineSettings {
        LineSettings {
            format: self.output.flow_log_format,
            members: SelectedMembers::new(&self.output.flow_log_fields),
            records: self.output.flow_log_records,
            filter: self.output.flow_log_filter.clone().map(RecordFilter::new),
            sample: NonZeroU32::new(self.output.flow_log_sample).filter(|sample| sample.get() > 1),
        }
    }

    /// Settings of the flow log; `None` if there is none.
    #[must_use]
    pub fn flow_log(&self, policy: OverflowPolicy) -> Option<FlowLogSettings> {
        let target = self.output.flow_log.clone()?;
        Some(FlowLogSettings {
            target,
            queue_octets: self.output.flow_log_queue.bytes(),
            policy,
            lines: self.flow_log_lines(),
        })
    }

    /// Names in `flow_log_fields` that neither the registries nor the collector give to a member. Only
    /// the type records of an exporter can.
    pub fn unknown_flow_log_fields(&self) -> impl Iterator<Item = &str> {
        let names = self.output.flow_log_fields.iter().map(String::as_str);
        names.filter(|name| !name.contains(':') && !is_member(name))
    }

    /// Settings of the forward thread.
    #[must_use]
    pub const fn forward(&self, policy: OverflowPolicy) -> ForwardSettings {
        ForwardSettings {
            filter: self.output.forward_records,
            queue_records: self.output.forward_queue,
            policy,
        }
    }

    /// Limits of connections.
    #[must_use]
    pub fn connections(&self) -> ConnectionLimits {
        ConnectionLimits {
            connections: self.input.max_connections,
            per_address: self.input.max_connections_per_address,
            read: self.input.read_timeout.duration(),
            idle: self.input.connection_idle.duration(),
        }
    }

    /// Options of the sockets.
    #[must_use]
    pub fn sockets(&self) -> SocketOptions {
        SocketOptions {
            workers: self.input.workers,
            receive_buffer_octets: octets(self.input.receive_buffer),
            max_connections: self.input.max_connections,
        }
    }

    /// The bounds that are shown as metrics, by resource.
    #[must_use]
    pub fn limits(&self) -> Vec<(&'static str, u64)> {
        let number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        vec![
            ("connections", number(self.input.max_connections)),
            (
                "connections_per_address",
                number(self.input.max_connections_per_address),
            ),
            ("domains", number(self.decoder.max_domains)),
            ("edges", number(self.metrics.max_edges)),
            ("exporter_series", number(self.metrics.max_exporter_series)),
            ("external_combinations", number(self.external.max_external)),
            ("flow_log_queue_bytes", self.output.flow_log_queue.bytes()),
            ("forward_queue_records", number(self.output.forward_queue)),
            ("history_bytes", self.history.history_size.bytes()),
            (
                "recent_records_bytes",
                self.history.recent_records_size.bytes(),
            ),
            ("metadata_entries", number(self.decoder.max_metadata)),
            (
                "open_connections",
                number(self.metrics.max_open_connections),
            ),
            ("receive_buffer_bytes", self.input.receive_buffer.bytes()),
            (
                "records_pending_bytes",
                self.attribution.pending_queue.bytes(),
            ),
            ("replicate_queue_bytes", self.output.replicate_queue.bytes()),
            ("running_totals", number(self.decoder.max_running_totals)),
            ("series_per_family", number(self.metrics.max_series)),
            (
                "sets_pending_bytes",
                self.decoder.template_wait_size.bytes(),
            ),
            ("template_fields", number(self.decoder.max_template_fields)),
            ("templates_per_domain", number(self.decoder.max_templates)),
        ]
    }
}

/// True for the name of an element, or of a member that the flow log adds.
fn is_member(name: &str) -> bool {
    let of_options = ["ingressInterfaceName", "egressInterfaceName"];
    is_added_member(name) || of_options.contains(&name) || element::is_named(name)
}

/// A size in octets.
fn octets(size: Size) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_reserved_for_longer_than_any_record_can_wait() {
        let longest = |settings: &Settings| {
            settings.attribution.inventory_wait.duration()
                + settings.attribution.attribution_wait.duration()
                + 2 * settings.attribution.observer_wait.duration()
        };
        let mut settings = Settings::default();
        for seconds in [0, 5, 60] {
            settings.attribution.inventory_wait = Span::from_secs(10 * seconds);
            settings.attribution.attribution_wait = Span::from_secs(seconds);
            settings.attribution.observer_wait = Span::from_secs(seconds);
            settings.attribution.deleted_pods_kept = Span::from_secs(0);
            let reserved = settings.bounds().id_reuse_delay_milliseconds;
            let margin = u128::from(reserved) - longest(&settings).as_millis();
            assert!(margin >= 60_000, "{margin}");
        }
        let reserved = |settings: &Settings| settings.bounds().id_reuse_delay_milliseconds;
        let without_open_connections = reserved(&settings);
        settings.metrics.preset.push(Preset::Health);
        let hour = settings.metrics.open_connection_timeout.milliseconds();
        assert_eq!(reserved(&settings), without_open_connections + hour);
        // A savefile is read for as long as it takes, and its records may wait until its end.
        settings.input.read = vec!["flows.pcap".into()];
        assert_eq!(settings.bounds().id_reuse_delay_milliseconds, u64::MAX);
    }
}

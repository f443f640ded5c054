//! What each part of the daemon needs of the settings.

use flowproto::collector::Limits;
use kipfix_service::settings::Span;

use super::Settings;
use crate::inventory::Bounds;
use crate::inventory::external::{ExternalSources, NamedCidr};
use crate::receive::connections::ConnectionLimits;
use crate::worker::WorkerSettings;

/// Time between the end of a record's waits and the drain of its edge, with a large margin.
const ID_REUSE_MARGIN_MILLISECONDS: u64 = 60_000;

impl Settings {
    /// Labels, and their values, of a pod that is a probe; `None` where the setting is not of that form.
    #[must_use]
    pub fn probe_labels(&self) -> Option<Vec<(String, String)>> {
        let pairs = self.probe_selector.split(',').map(|pair| {
            let (label, value) = pair.split_once('=')?;
            let (label, value) = (label.trim(), value.trim());
            (!label.is_empty()).then(|| (label.to_owned(), value.to_owned()))
        });
        pairs.collect()
    }

    /// Limits of the index of the cluster.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        // A record is resolved before or after any of these waits, and its edge is drained later.
        let waits = [
            self.observer_wait,
            self.attribution_wait,
            self.inventory_wait,
        ];
        let longest = waits.into_iter().map(milliseconds).sum::<u64>();
        Bounds {
            endpoints: self.max_endpoints,
            nodes: self.max_nodes,
            kept_milliseconds: milliseconds(self.deleted_pods_kept),
            id_reuse_delay_milliseconds: longest.saturating_add(ID_REUSE_MARGIN_MILLISECONDS),
        }
    }

    /// What says who is outside; `cidrs` are those of the inventory file.
    #[must_use]
    pub fn outside(&self, cidrs: Vec<NamedCidr>) -> ExternalSources {
        ExternalSources {
            cidrs: self.cidr.iter().cloned().chain(cidrs).collect(),
            databases: self.geoip.clone(),
            cloud_ranges: self.cloud_ranges.clone(),
            max_combinations: self.max_outside,
        }
    }

    /// What a worker needs of them. `began_milliseconds`: see [`WorkerSettings`].
    #[must_use]
    pub fn worker(&self, began_milliseconds: Option<u64>) -> WorkerSettings {
        WorkerSettings {
            limits: Limits {
                domains: self.max_domains,
                templates_per_domain: self.max_templates,
                held_octets: usize::try_from(self.template_wait_size.bytes()).unwrap_or(usize::MAX),
                held_milliseconds: milliseconds(self.template_wait),
                words: self.max_names,
                totals: self.max_totals,
                idle_milliseconds: milliseconds(self.domain_idle),
            },
            max_edges: self.max_edges,
            held_records: self.held_records,
            observer_wait_milliseconds: milliseconds(self.observer_wait),
            attribution_wait_milliseconds: milliseconds(self.attribution_wait),
            inventory_wait_milliseconds: milliseconds(self.inventory_wait),
            max_clock_skew_milliseconds: milliseconds(self.max_clock_skew),
            intra_node: self.intra_node,
            connections_from_flows: self.connections_from_flows,
            flow_direction: self.flow_direction.value(),
            node_flow_direction: self.node_flow_direction.value(),
            began_milliseconds,
        }
    }

    /// What is allowed of connections.
    #[must_use]
    pub fn connections(&self) -> ConnectionLimits {
        ConnectionLimits {
            connections: self.max_connections,
            of_address: self.max_connections_of_address,
            read: self.read_timeout.duration(),
            idle: self.connection_idle.duration(),
        }
    }
}

/// A span in milliseconds.
#[must_use]
pub fn milliseconds(span: Span) -> u64 {
    u64::try_from(span.duration().as_millis()).unwrap_or(u64::MAX)
}

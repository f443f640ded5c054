//! Presets: sets of metric families that answer a question. They are written like the families of
//! the settings.

use kipfix_service::settings::Span;
use serde::{Deserialize, Serialize};

use super::family::{Family, FamilyDefinition, FamilyError};

/// A set of metric families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Bytes, packets and connections between workloads.
    Workloads,
    /// Bytes and packets between nodes, and between nodes and external addresses.
    Nodes,
    /// Bytes between zones, by workload.
    Zones,
    /// Bytes, packets and connections across the border of the cluster, by workload and external
    /// endpoint.
    External,
    /// Bytes, packets and connections by pod.
    Pods,
    /// Bytes, packets and connections by Service and server port.
    Services,
    /// Retransmissions, failed connections, round-trip times and durations between workloads.
    Health,
    /// DNS queries, response codes and response times, by workload of the client and of the server.
    Dns,
    /// HTTP requests, response classes and response times, and gRPC responses by status, by
    /// workload of the client and of the server.
    Http,
    /// Packets and bytes between nodes, as both of them observed these.
    Loss,
    /// Bytes and packets by IP address.
    Addresses,
    /// Bytes, packets and flow records by exporter, interface, autonomous system and protocol.
    Exporters,
    /// Bytes that a pod sent to other zones, under the name and labels of kubezonnet.
    Kubezonnet,
    /// Bytes and durations of TCP connections by address and port, under the names and labels of
    /// k8spacket.
    K8spacket,
    /// Flow records, bytes and packets between applications, under the names and labels of the
    /// NetFlow collector of Palark.
    Palark,
    /// Bytes by pod, zone and region, under the names and labels that OpenCost reads.
    Opencost,
}

impl Preset {
    /// The default presets.
    pub const DEFAULT: [Self; 3] = [Self::Workloads, Self::Nodes, Self::Zones];

    /// The definitions of its families, as a YAML list.
    #[must_use]
    pub const fn yaml(self) -> &'static str {
        match self {
            Self::Workloads => include_str!("workloads.yaml"),
            Self::Nodes => include_str!("nodes.yaml"),
            Self::Zones => include_str!("zones.yaml"),
            Self::External => include_str!("external.yaml"),
            Self::Pods => include_str!("pods.yaml"),
            Self::Services => include_str!("services.yaml"),
            Self::Health => include_str!("health.yaml"),
            Self::Dns => include_str!("dns.yaml"),
            Self::Http => include_str!("http.yaml"),
            Self::Loss => include_str!("loss.yaml"),
            Self::Addresses => include_str!("addresses.yaml"),
            Self::Exporters => include_str!("exporters.yaml"),
            Self::Kubezonnet => include_str!("kubezonnet.yaml"),
            Self::K8spacket => include_str!("k8spacket.yaml"),
            Self::Palark => include_str!("palark.yaml"),
            Self::Opencost => include_str!("opencost.yaml"),
        }
    }

    /// The definitions of its families.
    ///
    /// # Panics
    /// Never: a test reads every preset.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test reads every preset")]
    pub fn definitions(self) -> Vec<FamilyDefinition> {
        serde_saphyr::from_str(self.yaml()).expect("the text of a preset is valid")
    }
}

/// The families of presets and definitions. Families that share rows follow each other.
/// `max_series` and `idle` are the defaults of the definitions.
///
/// # Errors
/// The first mistake, or a name that occurs twice.
pub fn families(
    presets: &[Preset],
    definitions: &[FamilyDefinition],
    max_series: usize,
    idle: Span,
) -> Result<Vec<Family>, FamilyError> {
    let mut seen: Vec<Preset> = Vec::new();
    let mut families: Vec<Family> = Vec::new();
    let of_presets = presets.iter().filter(|preset| {
        let is_new = !seen.contains(preset);
        seen.push(**preset);
        is_new
    });
    let of_presets = of_presets.flat_map(|preset| preset.definitions());
    for definition in of_presets.chain(definitions.iter().cloned()) {
        let family = definition.to_family(max_series, idle)?;
        if let Some(other) = families.iter().find(|other| family.collides_with(other)) {
            return Err(FamilyError::collision(&family, other));
        }
        let last = families
            .iter()
            .rposition(|other| other.shares_rows(&family));
        families.insert(last.map_or(families.len(), |at| at + 1), family);
    }
    Ok(families)
}

#[cfg(test)]
mod tests;

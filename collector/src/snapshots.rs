//! The inventory as one moment sees it. Records, series and forwarded Messages are looked up in
//! [`Snapshots`].
//!
//! [`SnapshotStore`] holds the newest ones. An [`EndpointId`] means the same in older and newer snapshots, so a
//! reader may take newer ones at any time.

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;

use crate::inventory::external::{
    ExternalAttributes, ExternalCounts, ExternalSnapshot, PublishedExternal,
};
use crate::inventory::{
    Endpoint, EndpointId, EndpointKind, IndexSnapshot, LabelSet, Node, Place, Topology,
};

static LINK: LazyLock<Endpoint> = LazyLock::new(|| Endpoint {
    kind: EndpointKind::Link,
    workload_kind: "Link".into(),
    ..Endpoint::default()
});

/// The newest snapshots, for any number of readers.
#[derive(Debug)]
pub struct SnapshotStore {
    index: ArcSwap<IndexSnapshot>,
    external: Arc<PublishedExternal>,
    cluster_name: Arc<str>,
}

impl SnapshotStore {
    /// A store that starts with `index` and follows `external`. `cluster_name` is empty if the
    /// cluster has none.
    #[must_use]
    pub fn new(index: IndexSnapshot, external: Arc<PublishedExternal>, cluster_name: &str) -> Self {
        Self {
            index: ArcSwap::from_pointee(index),
            external,
            cluster_name: cluster_name.into(),
        }
    }

    /// Publishes a newer snapshot of the cluster.
    pub fn publish(&self, index: IndexSnapshot) {
        self.index.store(Arc::new(index));
    }

    /// The newest snapshots.
    #[must_use]
    pub fn load(&self) -> Snapshots {
        Snapshots {
            index: self.index.load_full(),
            external: self.external.load_full(),
            cluster_name: Arc::clone(&self.cluster_name),
        }
    }

    /// Replaces `snapshots` by newer ones, without a lock. Returns true if there were any.
    #[inline]
    pub fn refresh(&self, snapshots: &mut Snapshots) -> bool {
        let (index, external) = (self.index.load(), self.external.load());
        let changed =
            !Arc::ptr_eq(&index, &snapshots.index) || !Arc::ptr_eq(&external, &snapshots.external);
        if changed {
            snapshots.index = Arc::clone(&index);
            snapshots.external = Arc::clone(&external);
        }
        changed
    }

    /// Occupancy and reloads of the external address enrichment.
    #[must_use]
    pub fn external_counts(&self) -> ExternalCounts {
        self.external.counts()
    }
}

/// What is known of addresses at one moment.
#[derive(Clone, Debug)]
pub struct Snapshots {
    /// The endpoints of the cluster, by address and time.
    pub index: Arc<IndexSnapshot>,
    /// Attributes of external addresses.
    pub external: Arc<ExternalSnapshot>,
    /// Name of the cluster; empty if it has none.
    pub cluster_name: Arc<str>,
}

impl Snapshots {
    /// True if both are the same snapshots.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.index, &other.index) && Arc::ptr_eq(&self.external, &other.external)
    }

    /// True if nothing can be added to any record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty() && self.external.is_empty()
    }

    /// Kind and node of an endpoint.
    #[inline]
    #[must_use]
    pub fn place(&self, id: EndpointId) -> Place {
        if id == EndpointId::LINK {
            return LINK.place();
        }
        self.index.place(id)
    }

    /// The endpoint of an id with its names and attributes.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> EndpointView<'_> {
        let external = id.external();
        let endpoint = match external {
            _ if id == EndpointId::LINK => &LINK,
            Some(_) => self.index.endpoint(EndpointId::EXTERNAL),
            None => self.index.endpoint(id),
        };
        let of_address = || {
            let address = endpoint.external_address.as_deref();
            address.map(|address| self.external.lookup(*address))
        };
        let attributes = external.or_else(of_address).unwrap_or_default();
        EndpointView {
            endpoint,
            attributes: self.external.attributes(attributes),
            index: &self.index,
        }
    }
}

/// An endpoint with its names and attributes.
#[derive(Clone, Copy, Debug)]
pub struct EndpointView<'a> {
    /// The endpoint in the cluster, or the one that stands for everything external.
    pub endpoint: &'a Endpoint,
    /// Attributes of an external address.
    pub attributes: &'a ExternalAttributes,
    index: &'a IndexSnapshot,
}

impl<'a> EndpointView<'a> {
    /// True if it is outside the cluster.
    #[must_use]
    pub fn is_external(self) -> bool {
        self.endpoint.kind == EndpointKind::External
    }

    /// The node that it is or runs on.
    #[must_use]
    pub fn node(self) -> Option<&'a Node> {
        self.endpoint.node.map(|node| self.index.node(node))
    }

    /// The zone that it is or runs in; empty if unknown.
    #[must_use]
    pub fn zone(self) -> &'a str {
        self.topology(|topology| &topology.zone, |node| &node.zone)
    }

    /// The region that it is or runs in; empty if unknown.
    #[must_use]
    pub fn region(self) -> &'a str {
        self.topology(|topology| &topology.region, |node| &node.region)
    }

    /// The label of the pod itself, else that of its node.
    fn topology(
        self,
        of_pod: impl Fn(&'a Topology) -> &'a str,
        of_node: impl Fn(&'a Node) -> &'a str,
    ) -> &'a str {
        let topology = self.endpoint.topology;
        let topology = topology.and_then(|id| self.index.topology(id));
        match topology.map_or("", of_pod) {
            "" => self.node().map_or("", of_node),
            label => label,
        }
    }

    /// The group of its namespace; empty if it has none.
    #[must_use]
    pub fn namespace_group(self) -> &'a str {
        self.index.namespace_group(&self.endpoint.namespace)
    }

    /// The labels of the pod that are kept.
    #[must_use]
    pub fn labels(self) -> Option<&'a LabelSet> {
        self.endpoint.labels.as_deref()
    }

    /// The labels of its namespace that are kept.
    #[must_use]
    pub fn namespace_labels(self) -> Option<&'a LabelSet> {
        self.index.namespace_labels(&self.endpoint.namespace)
    }

    /// The workload's name, or the name of an external endpoint.
    #[must_use]
    pub fn workload_name(self) -> &'a str {
        if self.endpoint.workload_name.is_empty() {
            &self.attributes.name
        } else {
            &self.endpoint.workload_name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::IndexWriter;
    use crate::inventory::external::{ExternalSources, ExternalWatcher};

    #[test]
    fn an_external_endpoint_of_a_service_has_the_attributes_of_its_address() {
        let sources = ExternalSources {
            cidrs: vec!["203.0.113.0/25=databases".parse().unwrap()],
            ..ExternalSources::default()
        };
        let mut writer = IndexWriter::default();
        let ids = [0xcb00_7107, 0xcb00_7187].map(|bits| {
            writer.add_endpoint(Endpoint {
                name: "billing.shop.svc".into(),
                workload_name: "billing.shop.svc".into(),
                external_address: Some(Box::new(flowproto::Address::from_v4_bits(bits))),
                ..Endpoint::default()
            })
        });
        let external = ExternalWatcher::new(&sources).unwrap().published();
        let snapshots = SnapshotStore::new(writer.current(), external, "").load();
        for (id, network) in ids.into_iter().zip(["databases", ""]) {
            let view = snapshots.endpoint(id);
            assert_eq!(view.workload_name(), "billing.shop.svc");
            assert_eq!(&*view.attributes.name, network);
        }
    }
}

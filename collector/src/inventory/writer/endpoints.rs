//! Endpoints, nodes and namespaces.

use std::sync::Arc;

use super::{ID_REUSE_DELAY_MILLISECONDS, IndexWriter};
use crate::inventory::endpoint::{Endpoint, EndpointId, Node, NodeId};

impl IndexWriter {
    /// Adds an endpoint. Returns [`EndpointId::EXTERNAL`] and counts an overflow if the limit is
    /// reached.
    pub fn add_endpoint(&mut self, endpoint: Endpoint, now_milliseconds: u64) -> EndpointId {
        let Some(number) = self.endpoint_ids.take(now_milliseconds) else {
            self.overflow = self.overflow.saturating_add(1);
            self.changed = true;
            return EndpointId::EXTERNAL;
        };
        let id = EndpointId(number);
        self.set_endpoint(id, endpoint);
        id
    }

    /// Replaces an endpoint.
    pub fn set_endpoint(&mut self, id: EndpointId, endpoint: Endpoint) {
        if let Some(place) = self.index.places.get_mut(id.0) {
            *place = endpoint.place();
        }
        if let Some(slot) = self.index.endpoints.get_mut(id.0) {
            *slot = Arc::new(endpoint);
        }
        self.index.empty &= id == EndpointId::EXTERNAL;
        self.changed = true;
    }

    /// Returns the current state of an endpoint.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> &Endpoint {
        self.index.endpoint(id)
    }

    /// Deletes an endpoint. Its addresses must be unassigned. Its id stays reserved for the time in
    /// which a record can name it.
    pub fn retire_endpoint(&mut self, id: EndpointId, now_milliseconds: u64) {
        if id != EndpointId::EXTERNAL {
            let reuse = self.reuse_from(now_milliseconds);
            self.endpoint_ids.release(id.0, reuse);
        }
    }

    const fn reuse_from(&self, now_milliseconds: u64) -> u64 {
        now_milliseconds
            .saturating_add(self.bounds.kept_milliseconds)
            .saturating_add(ID_REUSE_DELAY_MILLISECONDS)
    }

    /// Returns the node with this name, and adds it if there is none. Returns `None` and counts an
    /// overflow if the limit is reached.
    pub fn node(&mut self, name: &str, now_milliseconds: u64) -> Option<NodeId> {
        if let Some(id) = self.index.node_named(name) {
            self.deleted_nodes.remove(&id);
            return Some(id);
        }
        let Some(number) = self.node_ids.take(now_milliseconds) else {
            self.overflow = self.overflow.saturating_add(1);
            self.changed = true;
            return None;
        };
        let name = self.intern(name);
        let id = NodeId(number);
        if let Some(slot) = self.index.nodes.get_mut(number) {
            *slot = Arc::new(Node {
                name: Arc::clone(&name),
                ..Node::default()
            });
        }
        Arc::make_mut(&mut self.index.node_by_name).insert(name, id);
        self.nodes_changed();
        Some(id)
    }

    /// Returns the maximum number of endpoints.
    #[must_use]
    pub fn endpoint_bound(&self) -> usize {
        usize::try_from(self.bounds.endpoints).unwrap_or(usize::MAX)
    }

    /// Returns the node with this name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.index.node_named(name)
    }

    /// Replaces a node. Its name must stay the same.
    pub fn set_node(&mut self, id: NodeId, node: Node) {
        if let Some(slot) = self.index.nodes.get_mut(id.0) {
            *slot = Arc::new(node);
        }
        self.changed = true;
    }

    /// Returns the current state of a node.
    #[must_use]
    pub fn node_of(&self, id: NodeId) -> &Node {
        self.index.node(id)
    }

    /// Deletes a node. Its name is kept as long as an assignment that has ended.
    pub fn retire_node(&mut self, id: NodeId, now_milliseconds: u64) {
        self.deleted_nodes.insert(id, now_milliseconds);
    }

    /// Sets the group of a namespace, or removes it if `group` is empty. Returns false and counts an
    /// overflow if the limit is reached.
    pub fn set_namespace_group(&mut self, namespace: &str, group: &str) -> bool {
        let known = self.index.namespace_group(namespace);
        if known == group {
            return true;
        }
        let full = self.index.namespace_groups.len() >= self.endpoint_bound();
        if known.is_empty() && full {
            self.overflow = self.overflow.saturating_add(1);
            return false;
        }
        let (name, group) = (self.intern(namespace), self.intern(group));
        let groups = Arc::make_mut(&mut self.index.namespace_groups);
        if group.is_empty() {
            groups.remove(&name);
        } else {
            groups.insert(name, group);
        }
        self.changed = true;
        true
    }

    pub(super) fn nodes_changed(&mut self) {
        self.index.nodes_revision = self.index.nodes_revision.wrapping_add(1);
        self.index.empty = false;
        self.changed = true;
    }
}

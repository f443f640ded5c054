//! Endpoints, nodes and namespaces.

use std::sync::Arc;

use super::IndexWriter;
use crate::inventory::endpoint::{Endpoint, EndpointId, Node, NodeId};
use crate::inventory::labels::LabelSet;

impl IndexWriter {
    //------------ Endpoints ---------------------------------------------------------------------

    /// Adds an endpoint. Returns [`EndpointId::EXTERNAL`] and counts an overflow if the limit is
    /// reached.
    pub fn add_endpoint(&mut self, endpoint: Endpoint) -> EndpointId {
        let Some(number) = self.endpoint_ids.take(self.now) else {
            self.overflow = self.overflow.saturating_add(1);
            self.changed = true;
            return EndpointId::EXTERNAL;
        };
        let id = EndpointId(number);
        self.set_endpoint(id, endpoint);
        id
    }

    /// Replaces an endpoint. Its kind must stay the same.
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
    pub fn retire_endpoint(&mut self, id: EndpointId) {
        if id != EndpointId::EXTERNAL {
            let reserved = self.bounds.kept_milliseconds;
            let reserved = reserved.saturating_add(self.bounds.id_reuse_delay_milliseconds);
            self.endpoint_ids.release(id.0, self.now.after(reserved));
        }
    }

    /// Returns the maximum number of endpoints.
    #[must_use]
    pub fn endpoint_bound(&self) -> usize {
        usize::try_from(self.bounds.endpoints).unwrap_or(usize::MAX)
    }

    //------------ Nodes -------------------------------------------------------------------------

    /// Returns the node with this name, and adds it if there is none. It must be released. Returns
    /// `None` and counts an overflow if the limit is reached.
    pub fn acquire_node(&mut self, name: &str) -> Option<NodeId> {
        if let Some(id) = self.index.node_named(name) {
            let users = self.node_users.entry(id).or_default();
            *users = users.saturating_add(1);
            self.unused_nodes.remove(&id);
            return Some(id);
        }
        let Some(number) = self.node_ids.take(self.now) else {
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
        self.node_users.insert(id, 1);
        self.new_nodes.push(id);
        self.nodes_changed();
        Some(id)
    }

    /// Returns the nodes that have got an id since the previous call. The id of a removed node is
    /// reused.
    pub fn take_new_nodes(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.new_nodes)
    }

    /// Releases a node. When it has no users, its name is kept as long as an assignment that has
    /// ended.
    pub fn release_node(&mut self, id: NodeId) {
        let Some(users) = self.node_users.get_mut(&id) else {
            return;
        };
        *users = users.saturating_sub(1);
        if *users == 0 {
            self.node_users.remove(&id);
            self.unused_nodes.insert(id, self.now.wall_milliseconds);
        }
    }

    /// Removes nodes without users since before `oldest_milliseconds`.
    pub(super) fn forget_nodes(&mut self, oldest_milliseconds: u64) {
        let unused = self.unused_nodes.iter();
        let expired: Vec<NodeId> = unused
            .filter(|(_, since)| **since < oldest_milliseconds)
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            self.unused_nodes.remove(&id);
            let name = Arc::clone(&self.index.node(id).name);
            Arc::make_mut(&mut self.index.node_by_name).remove(&name);
            let delay = self.bounds.id_reuse_delay_milliseconds;
            self.node_ids.release(id.0, self.now.after(delay));
            self.nodes_changed();
        }
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

    pub(super) fn nodes_changed(&mut self) {
        self.index.nodes_revision = self.index.nodes_revision.wrapping_add(1);
        self.index.empty = false;
        self.changed = true;
    }

    //------------ Namespaces --------------------------------------------------------------------

    /// Sets the group of a namespace, or removes it if `group` is empty. Returns false and counts
    /// an overflow if the limit is reached.
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

    /// Sets the labels of a namespace that are kept, or removes them. Returns false and counts an
    /// overflow if the limit is reached.
    pub fn set_namespace_labels(&mut self, namespace: &str, labels: Option<Arc<LabelSet>>) -> bool {
        let known = self.index.namespace_labels.get(namespace);
        if known == labels.as_ref() {
            return true;
        }
        let full = self.index.namespace_labels.len() >= self.endpoint_bound();
        if known.is_none() && full {
            self.overflow = self.overflow.saturating_add(1);
            return false;
        }
        let name = self.intern(namespace);
        let all = Arc::make_mut(&mut self.index.namespace_labels);
        match labels {
            Some(labels) => drop(all.insert(name, labels)),
            None => drop(all.remove(&name)),
        }
        self.changed = true;
        true
    }
}

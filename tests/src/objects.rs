//! Kubernetes objects as tests need them: valid by the API server's own rules, and no longer than that.
//!
//! Every builder makes an [`Object`], JSON as it goes over the wire; what a test needs beyond the named
//! methods it says with [`Object::set`]. A `status` written here is what the node's agent or a controller
//! would report: [`Cluster::create`](crate::cluster::Cluster::create) sends it in its own request.

use serde_json::{Value, json};

/// One object, as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(pub Value);

/// A Namespace.
pub fn namespace(name: &str) -> Object {
    Object::new("v1", "Namespace", name)
}

/// A Node without addresses.
pub fn node(name: &str) -> Object {
    Object::new("v1", "Node", name)
}

/// A Pod with one container, not yet on a node.
pub fn pod(namespace: &str, name: &str) -> Object {
    Object::new("v1", "Pod", name)
        .within(namespace)
        .set("spec", pod_spec())
}

/// A Deployment, StatefulSet, DaemonSet or ReplicaSet (`apps/v1`).
pub fn workload(kind: &str, namespace: &str, name: &str) -> Object {
    let object = Object::new("apps/v1", kind, name)
        .within(namespace)
        .set("spec/selector/matchLabels/app", json!(name))
        .set("spec/template", template(json!({"app": name}), "Always"));
    match kind {
        "StatefulSet" => object.set("spec/serviceName", json!(name)),
        _ => object,
    }
}

/// A Job.
pub fn job(namespace: &str, name: &str) -> Object {
    let template = template(json!({}), "Never");
    Object::new("batch/v1", "Job", name)
        .within(namespace)
        .set("spec/template", template)
}

/// A CronJob, once an hour.
pub fn cron_job(namespace: &str, name: &str) -> Object {
    Object::new("batch/v1", "CronJob", name)
        .within(namespace)
        .set("spec/schedule", json!("0 * * * *"))
        .set(
            "spec/jobTemplate/spec/template",
            template(json!({}), "Never"),
        )
}

/// A controller of a kind that this server does not know, to be named as an owner. It is never created:
/// nobody looks an owner up, so its reference is as good as one to an object that is there.
pub fn foreign_owner(api_version: &str, kind: &str, name: &str) -> Object {
    let uid = format!(
        "00000000-0000-4000-8000-{:012x}",
        name.bytes().fold(0u64, |sum, octet| {
            (sum * 31 + u64::from(octet)) & 0xffff_ffff_ffff
        })
    );
    Object::new(api_version, kind, name).set("metadata/uid", json!(uid))
}

/// A Service with one port, 80/TCP, of these ClusterIPs: one or two (dual stack), `["None"]` for a headless
/// one.
pub fn service(namespace: &str, name: &str, cluster_ips: &[&str]) -> Object {
    let object = Object::new("v1", "Service", name)
        .within(namespace)
        .set("spec/selector/app", json!(name))
        .set("spec/clusterIPs", json!(cluster_ips))
        .set("spec/clusterIP", json!(cluster_ips.first()))
        .set(
            "spec/ports",
            json!([{"name": "http", "port": 80, "protocol": "TCP"}]),
        );
    match cluster_ips.len() {
        2 => object.set("spec/ipFamilyPolicy", json!("RequireDualStack")),
        _ => object,
    }
}

/// A Service's EndpointSlice with ready endpoints, all of one family. Its name is the Service's and the
/// family's.
pub fn endpoint_slice(namespace: &str, service: &str, addresses: &[&str]) -> Object {
    let v6 = addresses.iter().any(|address| address.contains(':'));
    let family = if v6 { "IPv6" } else { "IPv4" };
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"addresses": [address], "conditions": {"ready": true}}))
        .collect();
    Object::new(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        &format!("{service}-{}", family.to_lowercase()),
    )
    .within(namespace)
    .label("kubernetes.io/service-name", service)
    .set("addressType", json!(family))
    .set("endpoints", json!(endpoints))
    .set(
        "ports",
        json!([{"name": "http", "port": 80, "protocol": "TCP"}]),
    )
}

impl Object {
    /// An object of any kind with nothing but a name.
    pub fn new(api_version: &str, kind: &str, name: &str) -> Self {
        Self(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}))
    }

    /// Puts a value where `path` says (`spec/nodeName`); what is missing on the way is made.
    pub fn set(mut self, path: &str, value: Value) -> Self {
        let mut place = &mut self.0;
        for key in path.split('/') {
            place = &mut place[key];
        }
        *place = value;
        self
    }

    /// Appends a value to the list at `path`.
    pub fn push(self, path: &str, value: Value) -> Self {
        let mut list = self.at(path).as_array().cloned().unwrap_or_default();
        list.push(value);
        self.set(path, Value::Array(list))
    }

    /// The value at `path`; null where there is none.
    pub fn at(&self, path: &str) -> &Value {
        path.split('/').fold(&self.0, |place, key| &place[key])
    }

    /// The text at `path`; empty where there is none.
    pub fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_default()
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.text("metadata/name")
    }

    /// `metadata.uid`, which the server gives.
    pub fn uid(&self) -> &str {
        self.text("metadata/uid")
    }

    /// Puts it into a namespace.
    pub fn within(self, namespace: &str) -> Self {
        self.set("metadata/namespace", json!(namespace))
    }

    /// A label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = json!(value);
        self
    }

    /// An annotation, such as the ones in which a CNI keeps a node's tunnel address.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["annotations"][key] = json!(value);
        self
    }

    /// The well-known labels of a node's place.
    pub fn place(self, region: &str, zone: &str) -> Self {
        self.label("topology.kubernetes.io/region", region)
            .label("topology.kubernetes.io/zone", zone)
    }

    /// Names a controller as its owner; the owner must have its uid, so it is one that
    /// [`create`](crate::cluster::Cluster::create) gave back, or a [`foreign_owner`].
    pub fn owned_by(self, owner: &Self) -> Self {
        let reference = json!({
            "apiVersion": owner.text("apiVersion"),
            "kind": owner.text("kind"),
            "name": owner.name(),
            "uid": owner.uid(),
            "controller": true,
        });
        self.push("metadata/ownerReferences", reference)
    }

    /// A node's address: `InternalIP`, `ExternalIP`, `Hostname`, `InternalDNS` or `ExternalDNS`.
    pub fn node_address(self, of_type: &str, address: &str) -> Self {
        self.push(
            "status/addresses",
            json!({"type": of_type, "address": address}),
        )
    }

    /// A node's pod CIDRs, at most one a family.
    pub fn pod_cidrs(self, cidrs: &[&str]) -> Self {
        self.set("spec/podCIDRs", json!(cidrs))
            .set("spec/podCIDR", json!(cidrs.first()))
    }

    /// Where a pod runs.
    pub fn on(self, node: &str) -> Self {
        self.set("spec/nodeName", json!(node))
    }

    /// What the node's agent reports once a pod runs: its addresses, first the main one.
    pub fn running(self, addresses: &[&str]) -> Self {
        self.set("status", running(addresses))
    }

    /// A pod's phase: `Pending`, `Running`, `Succeeded`, `Failed`.
    pub fn phase(self, phase: &str) -> Self {
        self.set("status/phase", json!(phase))
    }

    /// Lets a pod use its node's network.
    pub fn host_network(self) -> Self {
        self.set("spec/hostNetwork", json!(true))
    }

    /// Opens a port of a pod's node that leads to a port of the pod.
    pub fn host_port(mut self, host_port: u16, container_port: u16, protocol: &str) -> Self {
        let ports = &mut self.0["spec"]["containers"][0]["ports"];
        let mut list = ports.as_array().cloned().unwrap_or_default();
        list.push(
            json!({"hostPort": host_port, "containerPort": container_port, "protocol": protocol}),
        );
        *ports = Value::Array(list);
        self
    }

    /// A Service's external addresses, which its owner routes to the nodes.
    pub fn external_ips(self, addresses: &[&str]) -> Self {
        self.set("spec/externalIPs", json!(addresses))
    }

    /// Opens a Service's port on every node, too.
    pub fn node_port(self, port: u16) -> Self {
        let ports = json!([{"name": "http", "port": 80, "protocol": "TCP", "nodePort": port}]);
        self.set("spec/type", json!("NodePort"))
            .set("spec/ports", ports)
    }

    /// The addresses that a load balancer reports for a Service.
    pub fn load_balancer(self, addresses: &[&str]) -> Self {
        let ingress: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        self.set("spec/type", json!("LoadBalancer"))
            .set("status/loadBalancer/ingress", json!(ingress))
    }
}

/// A pod's status once it runs with these addresses.
pub fn running(addresses: &[&str]) -> Value {
    let all: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    json!({"phase": "Running", "podIP": addresses.first(), "podIPs": all})
}

fn pod_spec() -> Value {
    json!({"containers": [{"name": "main", "image": "none.invalid/none"}]})
}

fn template(labels: Value, restart: &str) -> Value {
    let mut spec = pod_spec();
    spec["restartPolicy"] = json!(restart);
    json!({"metadata": {"labels": labels}, "spec": spec})
}

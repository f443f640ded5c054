//! Minimal valid Kubernetes objects for tests.
//!
//! Every builder creates an [`Object`] (JSON). [`Object::set`] sets any member. A `status` is what
//! a kubelet or a controller would report: [`Cluster::create`](crate::cluster::Cluster::create)
//! sends it in a separate request.

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

/// An owner of a kind that the server does not know. It is not created: the server does not resolve
/// references to owners.
pub fn foreign_owner(api_version: &str, kind: &str, name: &str) -> Object {
    let uid = format!(
        "00000000-0000-4000-8000-{:012x}",
        name.bytes().fold(0u64, |sum, octet| {
            (sum * 31 + u64::from(octet)) & 0xffff_ffff_ffff
        })
    );
    Object::new(api_version, kind, name).set("metadata/uid", json!(uid))
}

/// A Service with port 80/TCP and one or two ClusterIPs (dual stack). `["None"]`: headless.
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

/// An EndpointSlice of a Service with ready endpoints of one address family. Its name consists of
/// both.
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
    /// Creates an object with a name only.
    pub fn new(api_version: &str, kind: &str, name: &str) -> Self {
        Self(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}))
    }

    /// Sets the member at `path` (`spec/nodeName`). Creates missing parents.
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

    /// The value at `path`, or null.
    pub fn at(&self, path: &str) -> &Value {
        path.split('/').fold(&self.0, |place, key| &place[key])
    }

    /// The text at `path`, or an empty text.
    pub fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_default()
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.text("metadata/name")
    }

    /// `metadata.uid`, set by the server.
    pub fn uid(&self) -> &str {
        self.text("metadata/uid")
    }

    /// Sets the namespace.
    pub fn within(self, namespace: &str) -> Self {
        self.set("metadata/namespace", json!(namespace))
    }

    /// Adds a label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = json!(value);
        self
    }

    /// Adds an annotation, such as the tunnel address of a node.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["annotations"][key] = json!(value);
        self
    }

    /// Adds the labels for region and zone.
    pub fn place(self, region: &str, zone: &str) -> Self {
        self.label("topology.kubernetes.io/region", region)
            .label("topology.kubernetes.io/zone", zone)
    }

    /// Adds a controller as owner. The owner must have a uid: the result of
    /// [`create`](crate::cluster::Cluster::create) or a [`foreign_owner`].
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

    /// Adds an address of a node: `InternalIP`, `ExternalIP`, `Hostname`, `InternalDNS` or
    /// `ExternalDNS`.
    pub fn node_address(self, of_type: &str, address: &str) -> Self {
        self.push(
            "status/addresses",
            json!({"type": of_type, "address": address}),
        )
    }

    /// Sets the pod CIDRs of a node, one per address family.
    pub fn pod_cidrs(self, cidrs: &[&str]) -> Self {
        self.set("spec/podCIDRs", json!(cidrs))
            .set("spec/podCIDR", json!(cidrs.first()))
    }

    /// Sets the node of a pod.
    pub fn on(self, node: &str) -> Self {
        self.set("spec/nodeName", json!(node))
    }

    /// Sets the status of a running pod with its addresses, the primary one first.
    pub fn running(self, addresses: &[&str]) -> Self {
        self.set("status", running(addresses))
    }

    /// Sets the phase of a pod: `Pending`, `Running`, `Succeeded`, `Failed`.
    pub fn phase(self, phase: &str) -> Self {
        self.set("status/phase", json!(phase))
    }

    /// Sets `hostNetwork`.
    pub fn host_network(self) -> Self {
        self.set("spec/hostNetwork", json!(true))
    }

    /// Adds a `hostPort`.
    pub fn host_port(mut self, host_port: u16, container_port: u16, protocol: &str) -> Self {
        let ports = &mut self.0["spec"]["containers"][0]["ports"];
        let mut list = ports.as_array().cloned().unwrap_or_default();
        list.push(
            json!({"hostPort": host_port, "containerPort": container_port, "protocol": protocol}),
        );
        *ports = Value::Array(list);
        self
    }

    /// Sets the external addresses of a Service.
    pub fn external_ips(self, addresses: &[&str]) -> Self {
        self.set("spec/externalIPs", json!(addresses))
    }

    /// Sets a node port of a Service.
    pub fn node_port(self, port: u16) -> Self {
        let ports = json!([{"name": "http", "port": 80, "protocol": "TCP", "nodePort": port}]);
        self.set("spec/type", json!("NodePort"))
            .set("spec/ports", ports)
    }

    /// Sets the load balancer addresses of a Service.
    pub fn load_balancer(self, addresses: &[&str]) -> Self {
        let ingress: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        self.set("spec/type", json!("LoadBalancer"))
            .set("status/loadBalancer/ingress", json!(ingress))
    }
}

/// A pod that has been running on a node for long, with its addresses.
pub fn long_running_pod(namespace: &str, name: &str, node: &str, addresses: &[&str]) -> Object {
    let pod = pod(namespace, name).on(node).running(addresses);
    pod.set("status/startTime", json!("2024-01-01T00:00:00Z"))
}

/// The status of a running pod with its addresses.
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

//! `GET /api/v1/endpoints`: pods, Services and nodes, and the endpoint of an address at a time.

use std::net::IpAddr;

use axum::response::Response;
use flowproto::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::parameters::{self, MAX_LIMIT, number};
use super::{Api, Request, answer};
use crate::clock;
use crate::inventory::{AssignmentTime, Certainty, Endpoint, EndpointId, EndpointKind, TimeRange};
use crate::pipeline::enrich::resolve_address;
use crate::snapshots::Snapshots;

/// Maximum octets of `search`.
const MAX_SEARCH_OCTETS: usize = 512;

/// Parameters of a request for endpoints.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// Part of the name of a pod, Service, node, workload or namespace, in any case, or
    /// `NAMESPACE/NAME`. Default: all.
    search: Option<String>,
    /// Maximum number of endpoints, 1–10000. Default: 100.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 10_000)]
    limit: Option<String>,
    /// An IP address. The answer has its endpoint, and all endpoints that it was assigned to.
    address: Option<String>,
    /// The time for `address`, Unix milliseconds. Default: now.
    #[param(value_type = Option<u64>)]
    at: Option<String>,
}

/// Pods, Services and nodes, or the endpoint of an address.
///
/// Without `address`: the endpoints whose names contain the text. With `address`: the endpoint of
/// the address at a time, and why.
#[utoipa::path(
    get,
    path = "/api/v1/endpoints",
    params(Parameters),
    responses(
        (status = 200, body = AnswerJson),
        (status = 400, body = ApiError),
        (status = 401, body = ApiError),
        (status = 429, body = ApiError),
    )
)]
pub(super) async fn get(request: Request) -> Response {
    answer(request, run).await
}

fn run(api: &Api, query: &str) -> Result<AnswerJson, ApiError> {
    let parameters: Parameters = parameters::parse(query)?;
    let limit = number("limit", parameters.limit.as_deref(), 100, 1..=MAX_LIMIT)?;
    let snapshots = api.scrape.store.load();
    let Some(address) = parameters.address.as_deref() else {
        if parameters.at.is_some() {
            return Err(ApiError::invalid(
                "at",
                "invalid at: only allowed with address",
            ));
        }
        let search = parameters.search.unwrap_or_default();
        return found(&snapshots, &search, limit).map(AnswerJson::Found);
    };
    if parameters.search.is_some() {
        let error = "invalid search: not allowed with address";
        return Err(ApiError::invalid("search", error));
    }
    let parsed: Address = match address.parse::<IpAddr>() {
        Ok(parsed) => parsed.into(),
        Err(_) => {
            let error = format!("invalid address {address:?}: must be an IPv4 or IPv6 address");
            return Err(ApiError::invalid("address", error));
        }
    };
    let now = clock::wall_milliseconds();
    let at = number("at", parameters.at.as_deref(), now, 0..=u64::MAX)?;
    Ok(AnswerJson::Explained(Box::new(explained(
        &snapshots, parsed, at,
    ))))
}

fn found(snapshots: &Snapshots, search: &str, limit: usize) -> Result<FoundJson, ApiError> {
    if search.len() > MAX_SEARCH_OCTETS {
        let error = format!("invalid search: must have at most {MAX_SEARCH_OCTETS} octets");
        return Err(ApiError::invalid("search", error));
    }
    let text = search.trim().to_lowercase();
    let contains = |part: &str| part.to_lowercase().contains(&text);
    let is_wanted = |endpoint: &Endpoint| {
        !endpoint.name.is_empty()
            && endpoint.kind != EndpointKind::External
            && (contains(&endpoint.name)
                || contains(&endpoint.workload_name)
                || contains(&format!("{}/{}", endpoint.namespace, endpoint.name)))
    };
    let index = &snapshots.index;
    let mut ids: Vec<EndpointId> = index.find_endpoints(is_wanted).collect();
    let name = |id: &EndpointId| {
        let endpoint = index.endpoint(*id);
        (&*endpoint.namespace, &*endpoint.name)
    };
    ids.sort_by(|a, b| name(a).cmp(&name(b)));
    let truncated = ids.len() > limit;
    ids.truncate(limit);
    let mut addresses = index.addresses_of(&ids);
    let endpoint = |id: &EndpointId| EndpointJson {
        addresses: addresses
            .remove(id)
            .unwrap_or_default()
            .into_iter()
            .map(|(address, from)| AddressJson {
                address: address.to_string(),
                from,
            })
            .collect(),
        ..EndpointJson::new(snapshots, *id)
    };
    Ok(FoundJson {
        endpoints: ids.iter().map(endpoint).collect(),
        truncated,
    })
}

fn explained(snapshots: &Snapshots, address: Address, at: u64) -> ExplainedJson {
    let resolved = resolve_address(snapshots, address, TimeRange::instant(at));
    let view = snapshots.endpoint(resolved.id);
    let reason = match (resolved.certainty, resolved.place.kind) {
        (Certainty::Ambiguous, _) => Reason::Ambiguous,
        (Certainty::Unreported, _) => Reason::PodCidr,
        (_, EndpointKind::Pod) => Reason::Assigned,
        (_, EndpointKind::Node) => Reason::NodeAddress,
        (_, EndpointKind::Service) => Reason::Service,
        (_, EndpointKind::Link) => Reason::Link,
        (_, EndpointKind::External) if !view.endpoint.name.is_empty() => Reason::Service,
        (_, EndpointKind::External) if !view.attributes.name.is_empty() => Reason::NamedCidr,
        (_, EndpointKind::External) => Reason::External,
    };
    let is_known = !matches!(reason, Reason::External | Reason::Link);
    let assignments = snapshots.index.assignments_of(address);
    let assignment = |time: AssignmentTime| AssignmentJson {
        endpoint: EndpointJson::new(snapshots, time.endpoint),
        from: time.from_milliseconds,
        until: time.until_milliseconds,
    };
    ExplainedJson {
        address: address.to_string(),
        at,
        endpoint: is_known.then(|| EndpointJson::new(snapshots, resolved.id)),
        reason,
        assignments: assignments.into_iter().map(assignment).collect(),
    }
}

/// An answer.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum AnswerJson {
    /// Without `address`.
    Found(FoundJson),
    /// With `address`.
    Explained(Box<ExplainedJson>),
}

/// Endpoints.
#[derive(Serialize, ToSchema)]
struct FoundJson {
    /// By namespace and name.
    endpoints: Vec<EndpointJson>,
    /// There are more endpoints than are returned.
    truncated: bool,
}

/// A pod, Service, node or external endpoint.
#[derive(Serialize, ToSchema)]
struct EndpointJson {
    /// `Pod`, `Service`, `Node` or `External`.
    kind: &'static str,
    /// Empty if it has none.
    namespace: String,
    name: String,
    workload: Option<WorkloadJson>,
    /// The node that it is or runs on. Empty if unknown.
    node: String,
    /// Empty if unknown.
    zone: String,
    /// Empty if unknown.
    region: String,
    /// The addresses that are assigned to it now.
    addresses: Vec<AddressJson>,
}

/// A workload: the top-level controller of a pod.
#[derive(Serialize, ToSchema)]
struct WorkloadJson {
    kind: String,
    name: String,
}

/// An address.
#[derive(Serialize, ToSchema)]
struct AddressJson {
    address: String,
    /// Begin of the assignment, Unix milliseconds.
    from: u64,
}

/// The endpoint of an address at a time.
#[derive(Serialize, ToSchema)]
struct ExplainedJson {
    address: String,
    /// Unix milliseconds.
    at: u64,
    /// The endpoint of records of that time.
    endpoint: Option<EndpointJson>,
    reason: Reason,
    /// The endpoints that the address is or was assigned to, as far as they are kept.
    assignments: Vec<AssignmentJson>,
}

/// An assignment of the address.
#[derive(Serialize, ToSchema)]
struct AssignmentJson {
    endpoint: EndpointJson,
    /// Begin, Unix milliseconds.
    from: u64,
    /// End, Unix milliseconds. Absent while it lasts.
    until: Option<u64>,
}

/// Why an address has its endpoint.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Reason {
    /// The address is assigned to a pod.
    Assigned,
    /// It is an address of a node.
    NodeAddress,
    /// It is a virtual address of a Service, or of an external endpoint of one.
    Service,
    /// It is in the pod CIDR of a node, and no pod has reported it.
    PodCidr,
    /// It is in a named CIDR.
    NamedCidr,
    /// It is outside of the cluster, or nothing is known of it.
    External,
    /// It does not leave its link: multicast, broadcast, link-local, loopback.
    Link,
    /// Several endpoints had it at that time.
    Ambiguous,
}

impl EndpointJson {
    fn new(snapshots: &Snapshots, id: EndpointId) -> Self {
        let view = snapshots.endpoint(id);
        let endpoint = view.endpoint;
        let workload_name = view.workload_name();
        let named = if endpoint.name.is_empty() {
            workload_name
        } else {
            &endpoint.name
        };
        Self {
            kind: match endpoint.kind {
                EndpointKind::Pod => "Pod",
                EndpointKind::Node => "Node",
                EndpointKind::Service => "Service",
                EndpointKind::External => "External",
                EndpointKind::Link => "Link",
            },
            namespace: endpoint.namespace.to_string(),
            name: named.to_owned(),
            workload: (!workload_name.is_empty()).then(|| WorkloadJson {
                kind: endpoint.workload_kind.to_string(),
                name: workload_name.to_owned(),
            }),
            node: view
                .node()
                .map(|node| node.name.to_string())
                .unwrap_or_default(),
            zone: view.zone().to_owned(),
            region: view.region().to_owned(),
            addresses: Vec::new(),
        }
    }
}

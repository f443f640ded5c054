//! `GET /api/v1/endpoints`: pods, Services and nodes, and the endpoint of an address at a time.

use std::net::IpAddr;

use axum::response::Response;
use flowproto::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::edges::wait_for;
use super::error::ApiError;
use super::parameters::{self, MAX_LIMIT, number};
use super::{Api, Request, answer};
use crate::clock;
use crate::history::HistoryEngine;
use crate::history::clickhouse::{EndpointsQuery, SeenEndpoint};
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
    /// Begin of a range, Unix milliseconds. If negative, relative to the end. With `from` or `to`,
    /// the endpoints are those of the records of that time, which needs `--history clickhouse=URL`.
    #[param(value_type = Option<i64>)]
    from: Option<String>,
    /// End of the range, Unix milliseconds. Default: now.
    #[param(value_type = Option<u64>)]
    to: Option<String>,
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
        (status = 502, body = ApiError),
    )
)]
pub(super) async fn get(request: Request) -> Response {
    answer(request, run).await
}

fn run(api: &Api, query: &str) -> Result<AnswerJson, ApiError> {
    let parameters: Parameters = parameters::parse(query)?;
    let limit = number("limit", parameters.limit.as_deref(), 100, 1..=MAX_LIMIT)?;
    if parameters.from.is_some() || parameters.to.is_some() {
        return seen(api, &parameters, limit).map(AnswerJson::Found);
    }
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
    let parsed = parse_address(address)?;
    let now = clock::wall_milliseconds();
    let at = number("at", parameters.at.as_deref(), now, 0..=u64::MAX)?;
    Ok(AnswerJson::Explained(Box::new(explained(
        &snapshots, parsed, at,
    ))))
}

fn parse_address(address: &str) -> Result<Address, ApiError> {
    let parsed = address.parse::<IpAddr>().map(Address::from);
    parsed.map_err(|_| {
        let error = format!("invalid address {address:?}: must be an IPv4 or IPv6 address");
        ApiError::invalid("address", error)
    })
}

fn check_search(search: &str) -> Result<(), ApiError> {
    if search.len() > MAX_SEARCH_OCTETS {
        let error = format!("invalid search: must have at most {MAX_SEARCH_OCTETS} octets");
        return Err(ApiError::invalid("search", error));
    }
    Ok(())
}

/// The endpoints of the records of a time.
fn seen(api: &Api, parameters: &Parameters, limit: usize) -> Result<FoundJson, ApiError> {
    let Some(engine) = api.engine.as_ref().and_then(HistoryEngine::records) else {
        let name = if parameters.from.is_some() {
            "from"
        } else {
            "to"
        };
        let error = format!("invalid {name}: only allowed with --history clickhouse=URL");
        return Err(ApiError::invalid(name, error));
    };
    if parameters.at.is_some() {
        let error = "invalid at: not allowed with from and to";
        return Err(ApiError::invalid("at", error));
    }
    let search = parameters.search.as_deref().unwrap_or_default().trim();
    check_search(search)?;
    let query = EndpointsQuery {
        time: parameters::time(parameters.from.as_deref(), parameters.to.as_deref())?,
        search: search.to_owned(),
        address: parameters
            .address
            .as_deref()
            .map(parse_address)
            .transpose()?,
        limit: limit.saturating_add(1),
    };
    let mut endpoints = wait_for(engine.endpoints(&query, clock::wall_milliseconds()))?;
    let truncated = endpoints.len() > limit;
    endpoints.truncate(limit);
    Ok(FoundJson {
        source: "clickhouse",
        endpoints: endpoints
            .into_iter()
            .map(EndpointJson::of_records)
            .collect(),
        truncated,
    })
}

fn found(snapshots: &Snapshots, search: &str, limit: usize) -> Result<FoundJson, ApiError> {
    check_search(search)?;
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
        source: "inventory",
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
    /// What answered: `inventory` has the endpoints of the present, `clickhouse` those of records.
    source: &'static str,
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
    /// The addresses that are assigned to it now. Of records: up to 100 of the addresses in them.
    addresses: Vec<AddressJson>,
    /// Time of its first record, Unix milliseconds. Only of records.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
    /// Time of its last record, Unix milliseconds. Only of records.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u64>,
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
    /// Begin of the assignment, Unix milliseconds. Of records: time of the first one.
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
            first: None,
            last: None,
        }
    }

    fn of_records(seen: SeenEndpoint) -> Self {
        let is_pod = !seen.pod.is_empty();
        let address = |(address, from): (Address, u64)| AddressJson {
            address: address.to_string(),
            from,
        };
        Self {
            kind: match seen.workload_kind.as_str() {
                _ if is_pod => "Pod",
                // An address of a pod CIDR that no pod has reported.
                "Pod" => "Pod",
                "Service" => "Service",
                "External" => "External",
                "Link" => "Link",
                // A node, or a pod on its network.
                _ => "Node",
            },
            namespace: seen.namespace,
            name: if is_pod {
                seen.pod
            } else {
                seen.workload_name.clone()
            },
            workload: Some(WorkloadJson {
                kind: seen.workload_kind,
                name: seen.workload_name,
            }),
            node: seen.node,
            zone: seen.zone,
            region: seen.region,
            addresses: seen.addresses.into_iter().map(address).collect(),
            first: Some(seen.first),
            last: Some(seen.last),
        }
    }
}

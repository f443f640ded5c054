//! `/api/health`, `/api/graph/fields` and `/api/graph/data`: what the data source "Node Graph API"
//! of Grafana reads.

mod arcs;
mod json;
mod stat;

use axum::response::Response;
use serde::Deserialize;

use super::error::ApiError;
use super::parameters::{self, TimeParameters, choice, number};
use super::{Api, Request, answer};
use crate::aggregate::expression::Expression;
use crate::aggregate::field::Quoted;
use crate::history::{EdgesQuery, Order};
use arcs::ArcKind;
use json::{GraphFieldsJson, GraphJson};

/// The fields by which edges are grouped: those of a node of the graph, for both sides.
const GROUP_BY: &str = "src.namespace,src.kind,src.workload,dst.namespace,dst.kind,dst.workload";
/// Maximum of `limit`: more edges cannot be drawn.
const MAX_LIMIT: usize = 2000;

/// The modes with the values that they show. The first is the default.
const MODES: [(&str, Order); 5] = [
    ("bytes", Order::Bytes),
    ("connections", Order::Connections),
    ("duration", Order::ConnectionDuration),
    ("retransmits", Order::RetransmittedPackets),
    ("failures", Order::FailedConnections),
];

/// Parameters of a request for a graph.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct Parameters {
    #[param(ignore)]
    from: Option<String>,
    #[param(ignore)]
    to: Option<String>,
    /// Namespace of one of the endpoints. Default: all.
    namespace: Option<String>,
    /// Regular expression for the whole name of one of the workloads. Default: all.
    include: Option<String>,
    /// Regular expression for the whole name of workloads that are left out. Default: none.
    exclude: Option<String>,
    /// The value of nodes and edges: bytes, connections, duration (mean of those of connections),
    /// retransmits (retransmitted packets) or failures (refused and unanswered connections).
    /// Default: bytes.
    mode: Option<String>,
    /// What the circle of a node shows: traffic (share in the cluster and with external endpoints)
    /// or errors (share of retransmitted packets in the mode retransmits, else of connections that
    /// failed). Default: traffic.
    arcs: Option<String>,
    /// Maximum number of edges, 1–2000. Default: 500.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 2000)]
    limit: Option<String>,
}

/// A parameter with a value: Grafana sends those of empty variables, too.
fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

impl Parameters {
    fn order(&self) -> Result<Order, ApiError> {
        choice("mode", given(&self.mode), &MODES)
    }

    fn arcs(&self) -> Result<ArcKind, ApiError> {
        choice("arcs", given(&self.arcs), &ArcKind::ALL)
    }

    fn query(&self) -> Result<EdgesQuery, ApiError> {
        Ok(EdgesQuery {
            time: parameters::time(self.from.as_deref(), self.to.as_deref())?,
            group_by: parameters::group_by(None, GROUP_BY, |_| true)?,
            filter: self.filter()?,
            order: self.order()?,
            limit: number("limit", self.limit.as_deref(), 500, 1..=MAX_LIMIT)?,
            points: 0,
        })
    }

    fn filter(&self) -> Result<Option<Expression>, ApiError> {
        let of_either = |field: &str, operator: &str, text: &str| {
            let text = Quoted(text);
            format!("(src.{field} {operator} {text} || dst.{field} {operator} {text})")
        };
        let parts = [
            ("namespace", &self.namespace, "namespace", "==", ""),
            ("include", &self.include, "workload", "=~", ""),
            ("exclude", &self.exclude, "workload", "=~", "!"),
        ];
        let mut texts = Vec::new();
        for (parameter, value, field, operator, sign) in parts {
            let Some(value) = given(value) else {
                continue;
            };
            let text = format!("{sign}{}", of_either(field, operator, value));
            // On its own, so that an error belongs to this parameter.
            if let Err(error) = text.parse::<Expression>() {
                let error = format!("invalid {parameter}: {}", error.reason);
                return Err(ApiError::invalid(parameter, error));
            }
            texts.push(text);
        }
        parameters::filter(Some(&texts.join(" && ")), |_| true)
    }
}

/// Answers that the API can be reached, for Grafana's data source "Node Graph API".
#[utoipa::path(
    get,
    path = "/api/health",
    responses(
        (status = 200, body = str, content_type = "text/plain"),
        (status = 401, body = ApiError),
    )
)]
pub(super) async fn health() -> &'static str {
    "API is working well!"
}

/// The fields of nodes and edges, for Grafana's data source "Node Graph API".
#[utoipa::path(
    get,
    path = "/api/graph/fields",
    responses(
        (status = 200, body = GraphFieldsJson),
        (status = 401, body = ApiError),
    )
)]
pub(super) async fn fields(request: Request) -> Response {
    answer(request, |_, _| Ok(json::fields())).await
}

/// Workloads and external names as nodes, and the traffic between them as edges, for Grafana's data
/// source "Node Graph API".
#[utoipa::path(
    get,
    path = "/api/graph/data",
    params(TimeParameters, Parameters),
    responses(
        (status = 200, body = GraphJson),
        (status = 400, body = ApiError),
        (status = 401, body = ApiError),
        (status = 429, body = ApiError),
        (status = 502, body = ApiError),
        (status = 503, body = ApiError),
    )
)]
pub(super) async fn data(request: Request) -> Response {
    answer(request, run).await
}

fn run(api: &Api, query: &str) -> Result<GraphJson, ApiError> {
    let parameters = parameters::parse::<Parameters>(query)?;
    let (query, arcs) = (parameters.query()?, parameters.arcs()?);
    let answer = super::edges::answer(api, &query);
    // The value of an edge is its mode here.
    let (answer, _) = answer.map_err(|error| error.with_parameter("order", "mode"))?;
    Ok(GraphJson::new(&answer.edges, query.order, arcs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_are_expressions_and_errors_name_their_parameter() {
        let query = |text: &str| parameters::parse::<Parameters>(text).and_then(|p| p.query());
        let parsed = query("namespace=shop&include=web.*&exclude=a%22b&mode=connections").unwrap();
        let wanted = "(src.namespace == \"shop\" || dst.namespace == \"shop\") && \
                      (src.workload =~ \"web.*\" || dst.workload =~ \"web.*\") && \
                      !(src.workload =~ \"a\\\"b\" || dst.workload =~ \"a\\\"b\")";
        assert_eq!(parsed.filter.unwrap().text(), wanted);
        assert_eq!(parsed.order, Order::Connections);
        for (mode, order) in [
            ("retransmits", Order::RetransmittedPackets),
            ("failures", Order::FailedConnections),
            ("duration", Order::ConnectionDuration),
        ] {
            assert_eq!(query(&format!("mode={mode}")).unwrap().order, order);
        }
        assert!(query("namespace=&include=&mode=").unwrap().filter.is_none());
        let errors = parameters::parse::<Parameters>("arcs=errors").unwrap();
        assert_eq!(errors.arcs().unwrap(), ArcKind::Errors);
        for (text, name) in [
            ("include=(", "include"),
            ("exclude=%5B", "exclude"),
            ("mode=packets", "mode"),
            ("arcs=bytes", "arcs"),
            ("limit=2001", "limit"),
            ("from=x", "from"),
        ] {
            let both = |text| {
                let parsed = parameters::parse::<Parameters>(text)?;
                parsed.query().and(parsed.arcs().map(drop))
            };
            assert_eq!(both(text).unwrap_err().parameter(), Some(name), "{text}");
        }
    }
}

//! `GET /api/v1/edges`: the traffic between endpoints.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::error::ApiError;
use super::health::HealthJson;
use super::limits::JSON;
use super::parameters::{self, IsKnown, MAX_LIMIT, TimeParameters, choice, number};
use super::{Api, answer_octets};
use crate::clock;
use crate::history::{
    EdgeValues, EdgesAnswer, EdgesQuery, GroupedEdge, HistoryEngine, HistoryError, Order,
    StoredEdge, TimePoint,
};

/// The fields of the default grouping.
const DEFAULT_GROUP_BY: &str =
    "src.namespace,src.kind,src.workload,dst.namespace,dst.kind,dst.workload,class";
/// How long an answer of an engine is used again, milliseconds.
const ENGINE_CACHE_MILLISECONDS: u64 = 10_000;
/// Maximum of `points`.
const MAX_POINTS: usize = 500;
/// Maximum number of points of all edges.
const MAX_ALL_POINTS: usize = 100_000;

/// Parameters of a request for edges.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    #[param(ignore)]
    from: Option<String>,
    #[param(ignore)]
    to: Option<String>,
    /// Fields, separated by commas, whose values an edge of the answer has. Default: namespace,
    /// kind and workload of both sides, and the class.
    group_by: Option<String>,
    /// Expression that selects edges, such as `src.namespace == "shop" && class =~ ".*external"`.
    filter: Option<String>,
    /// Value by which edges are ordered, the largest first: bytes, packets, connections,
    /// retransmitted_packets, failed_connections (refused and unanswered) or connection_duration
    /// (sum of the durations). Default: bytes.
    order: Option<String>,
    /// Maximum number of edges, 1–10000. Default: 1000.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 10_000)]
    limit: Option<String>,
    /// Maximum number of intervals into which the range is divided, 2–500. Each edge has the values
    /// of each interval. `limit` × `points` must be at most 100000. Default: none.
    #[param(value_type = Option<usize>, minimum = 2, maximum = 500)]
    points: Option<String>,
}

impl Parameters {
    fn query(&self, is_known: IsKnown) -> Result<EdgesQuery, ApiError> {
        let points = number("points", self.points.as_deref(), 0, 2..=MAX_POINTS)?;
        let default_limit = match points {
            0 => 1000,
            points => (MAX_ALL_POINTS / points).min(1000),
        };
        let limit = number("limit", self.limit.as_deref(), default_limit, 1..=MAX_LIMIT)?;
        if limit.saturating_mul(points) > MAX_ALL_POINTS {
            let error =
                format!("invalid points {points}: limit × points must be at most {MAX_ALL_POINTS}");
            return Err(ApiError::invalid("points", error));
        }
        Ok(EdgesQuery {
            time: parameters::time(self.from.as_deref(), self.to.as_deref())?,
            group_by: parameters::group_by(self.group_by.as_deref(), DEFAULT_GROUP_BY, is_known)?,
            filter: parameters::filter(self.filter.as_deref(), is_known)?,
            order: choice("order", self.order.as_deref(), &Order::ALL)?,
            limit,
            points,
        })
    }
}

/// The traffic between endpoints.
///
/// Edges are grouped by fields and added up over the range of time. The largest are returned.
#[utoipa::path(
    get,
    path = "/api/v1/edges",
    params(TimeParameters, Parameters),
    responses(
        (status = 200, body = EdgesJson<'_>),
        (status = 400, body = ApiError),
        (status = 401, body = ApiError),
        (status = 429, body = ApiError),
        (status = 502, body = ApiError),
        (status = 503, body = ApiError),
    )
)]
pub(super) async fn get(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let cached = generation(&api).and_then(|generation| api.edges.get(generation, &query));
    if let Some(octets) = cached {
        return api.limits.answer(octets, JSON);
    }
    answer_octets(api, query, JSON, run).await
}

fn run(api: &Api, query: &str) -> Result<Bytes, ApiError> {
    let is_known: IsKnown = match &api.engine {
        Some(_) => |_| true,
        None => StoredEdge::has,
    };
    let parsed = parameters::parse::<Parameters>(query)?.query(is_known)?;
    let (answer, generation) = answer(api, &parsed)?;
    let names: Vec<String> = parsed.group_by.iter().map(ToString::to_string).collect();
    let json = serde_json::to_vec(&EdgesJson::new(source(api), &names, &answer));
    let octets = Bytes::from(json.map_err(|_| ApiError::internal())?);
    api.edges.insert(generation, query, &octets);
    Ok(octets)
}

/// The name of the engine that answers.
fn source(api: &Api) -> &'static str {
    api.engine.as_ref().map_or("ring", HistoryEngine::name)
}

/// A number that changes whenever the data change.
fn generation(api: &Api) -> Option<u64> {
    match (&api.engine, &api.scrape.history) {
        (Some(_), _) => Some(clock::wall_milliseconds() / ENGINE_CACHE_MILLISECONDS),
        (None, history) => history.as_ref().map(|history| history.generation()),
    }
}

/// The answer of an engine. Waits for it on this thread, which is one for blocking work.
pub(super) fn wait_for<T>(
    answer: impl Future<Output = Result<T, HistoryError>>,
) -> Result<T, ApiError> {
    let answer = tokio::runtime::Handle::current().block_on(answer);
    answer.map_err(ApiError::from)
}

/// The answer of the history, and the generation of its data.
pub(super) fn answer(api: &Api, query: &EdgesQuery) -> Result<(EdgesAnswer, u64), ApiError> {
    if let Some(engine) = &api.engine {
        let generation = generation(api).unwrap_or_default();
        let answer = wait_for(engine.edges(query, clock::wall_milliseconds()))?;
        return Ok((answer, generation));
    }
    let history = api.scrape.history.as_ref();
    let snapshot = history.ok_or_else(ApiError::no_history)?.snapshot();
    let answer = query.run(&snapshot)?;
    Ok((answer, snapshot.generation()))
}

/// Edges.
#[derive(Serialize, ToSchema)]
struct EdgesJson<'a> {
    /// What answered: `ring` is the memory of this collector, `prometheus` an engine that has the
    /// series of all collectors, `clickhouse` one that has their records.
    source: &'static str,
    /// Begin of the first interval that is included, Unix milliseconds.
    from: u64,
    /// End of the last interval that is included, Unix milliseconds.
    to: u64,
    /// Length of an interval, milliseconds. Intervals begin at multiples of it.
    step: u64,
    /// The fields by which edges are grouped.
    group_by: &'a [String],
    /// The largest edges, by the requested order.
    edges: Vec<EdgeJson<'a>>,
    /// All edges that match, returned or not.
    total: TotalJson,
    /// More edges match than are returned.
    truncated: bool,
    /// Parts of the range in which no collector ran: begin and end, Unix milliseconds. Absent if
    /// there are none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    gaps: &'a [(u64, u64)],
}

/// The sum of all edges.
#[derive(Serialize, ToSchema)]
struct TotalJson {
    /// Number of edges.
    edges: usize,
    #[serde(flatten)]
    values: ValuesJson,
}

/// An edge.
#[derive(Serialize, ToSchema)]
struct EdgeJson<'a> {
    /// The value of each field by which edges are grouped. Empty if there is none.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    labels: Labels<'a>,
    #[serde(flatten)]
    values: ValuesJson,
    /// Begin of an interval, Unix milliseconds, and its values.
    #[serde(skip_serializing_if = "Points::is_empty")]
    #[schema(value_type = Option<Vec<(u64, ValuesJson)>>)]
    points: Points<'a>,
}

/// Values of an edge.
#[derive(Serialize, ToSchema)]
struct ValuesJson {
    /// Octets of IP packets.
    bytes: u64,
    /// Packets.
    packets: u64,
    /// New connections.
    connections: u64,
    #[serde(flatten)]
    #[schema(value_type = HealthJson)]
    health: Option<HealthJson>,
}

impl From<&EdgeValues> for ValuesJson {
    fn from(values: &EdgeValues) -> Self {
        Self {
            bytes: values.traffic.bytes,
            packets: values.traffic.packets,
            connections: values.traffic.connections,
            health: values.health.as_ref().map(HealthJson::from),
        }
    }
}

/// Names of fields, with their values.
struct Labels<'a> {
    names: &'a [String],
    values: &'a [String],
}

struct Points<'a>(&'a [TimePoint]);

impl<'a> EdgesJson<'a> {
    fn new(source: &'static str, names: &'a [String], answer: &'a EdgesAnswer) -> Self {
        let edge = |edge: &'a GroupedEdge| EdgeJson {
            labels: Labels {
                names,
                values: &edge.labels,
            },
            values: (&edge.sum).into(),
            points: Points(&edge.points),
        };
        Self {
            source,
            from: answer.from,
            to: answer.to,
            step: answer.step,
            group_by: names,
            edges: answer.edges.iter().map(edge).collect(),
            total: TotalJson {
                edges: answer.total_edges,
                values: (&answer.total).into(),
            },
            truncated: answer.is_truncated(),
            gaps: &answer.gaps,
        }
    }
}

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.names.len()))?;
        for (name, value) in self.names.iter().zip(self.values) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Points<'_> {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut points = serializer.serialize_seq(Some(self.0.len()))?;
        for (begin, values) in self.0 {
            points.serialize_element(&(begin, ValuesJson::from(values)))?;
        }
        points.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Health;
    use crate::pipeline::Measures;

    fn query(text: &str) -> Result<EdgesQuery, ApiError> {
        parameters::parse::<Parameters>(text)?.query(StoredEdge::has)
    }

    #[test]
    fn the_defaults_are_the_last_minutes_by_workload() {
        let query = query("").unwrap();
        assert_eq!((query.time.from, query.time.to), (-900_000, None));
        assert_eq!(
            (query.group_by.len(), query.limit, query.points),
            (7, 1000, 0)
        );
        assert_eq!(query.order, Order::Bytes);
        assert!(query.filter.is_none());
    }

    #[test]
    fn an_invalid_parameter_is_named() {
        for (text, name) in [
            ("from=x", "from"),
            ("to=-1", "to"),
            ("limit=0", "limit"),
            ("limit=10001", "limit"),
            ("points=1", "points"),
            ("points=501", "points"),
            ("points=500&limit=1000", "points"),
            ("order=octets", "order"),
            ("group_by=src.nam", "group_by"),
            ("group_by=", "group_by"),
            ("group_by=port", "group_by"),
            ("filter=src.namespace%20==", "filter"),
            ("form=1", "form"),
        ] {
            let error = query(text).unwrap_err();
            assert_eq!(error.parameter(), Some(name), "{text}");
        }
        // Without a limit, the number of points decides.
        assert_eq!(query("points=500").unwrap().limit, 200);
    }

    #[test]
    fn an_answer_has_labels_by_field_and_points_by_time() {
        let values = EdgeValues::from(Measures {
            bytes: 5,
            packets: 4,
            connections: 3,
        });
        let with_health = EdgeValues {
            health: Some(Health {
                retransmitted_packets: 1,
                ..Health::default()
            }),
            ..values
        };
        let answer = EdgesAnswer {
            from: 10,
            to: 30,
            step: 10,
            edges: vec![GroupedEdge {
                labels: vec!["shop".into(), String::new()],
                sum: with_health,
                points: vec![(10, values)],
            }],
            total_edges: 2,
            total: values,
            gaps: vec![(12, 15)],
        };
        let names = ["src.namespace", "dst.name"].map(str::to_owned);
        let json = serde_json::to_value(EdgesJson::new("ring", &names, &answer)).unwrap();
        let wanted = serde_json::json!({
            "source": "ring", "from": 10, "to": 30, "step": 10,
            "group_by": ["src.namespace", "dst.name"],
            "edges": [{
                "labels": {"src.namespace": "shop", "dst.name": ""},
                "bytes": 5, "packets": 4, "connections": 3,
                "retransmitted_packets": 1, "refused_connections": 0,
                "unanswered_connections": 0, "reset_connections": 0,
                "points": [[10, {"bytes": 5, "packets": 4, "connections": 3}]],
            }],
            "total": {"edges": 2, "bytes": 5, "packets": 4, "connections": 3},
            "gaps": [[12, 15]], "truncated": true,
        });
        assert_eq!(json, wanted);
    }
}

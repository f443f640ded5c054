//! Edges from an engine that speaks the HTTP API of Prometheus and has the series of the
//! collectors: the traffic of all replicas, for as long as the engine keeps it.
//!
//! A query becomes one query for each measure of the metric families that have the fields of the
//! query as labels (`families`). Connection health is absent if no family with these labels has it.
//! The growth of a counter is an estimate of the engine: it extrapolates to the ends of the range.

mod answer;
mod families;
mod promql;
mod settings;

use std::collections::HashMap;

use url::Url;

use super::error::HistoryError;
use super::measures::EdgeValues;
use super::query::{EdgesAnswer, EdgesQuery, GroupedEdge, TimePoint};
use crate::aggregate::Family;
use crate::aggregate::field::Field;
use crate::http_client::HttpClient;
use answer::Series;
use families::{EdgeMeasure, FamilySet, HEALTH, Plan, TRAFFIC};
pub use settings::PrometheusSettings;

/// Maximum number of different edges of a query.
const MAX_EDGES: usize = 200_000;
/// The interval of points is at least this long, milliseconds: scrapes are as often.
const MIN_STEP: u64 = 60_000;

/// The engine.
#[derive(Debug)]
pub struct PrometheusHistory {
    client: HttpClient,
    url: Url,
    families: Vec<FamilySet>,
    cluster: String,
}

impl PrometheusHistory {
    /// Creates the client. `families` are those that the collectors serve, `cluster` is the value
    /// of the label `cluster`; if it is empty, there is no such label.
    ///
    /// # Errors
    /// A file of the settings cannot be used.
    pub fn new(
        settings: &PrometheusSettings,
        families: &[Family],
        cluster: &str,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            client: HttpClient::new(settings.client.clone())?,
            url: settings.url.clone(),
            families: FamilySet::of(families),
            cluster: cluster.to_owned(),
        })
    }

    /// The fields by which edges can be grouped and filtered. Not all of them can be combined.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::new();
        let sets = self.families.iter().filter(|set| set.has_traffic());
        for field in sets.flat_map(FamilySet::fields) {
            if !fields.contains(field) {
                fields.push(field.clone());
            }
        }
        fields
    }

    /// Answers a query at the wall-clock time `now`, milliseconds since the epoch.
    ///
    /// # Errors
    /// The series cannot answer it, or the engine does not.
    pub async fn edges(&self, query: &EdgesQuery, now: u64) -> Result<EdgesAnswer, HistoryError> {
        let (from, to) = query.time.resolve(now).ok_or(HistoryError::EmptyRange)?;
        let to = to.min(now);
        if from >= to {
            return Err(HistoryError::EmptyRange);
        }
        let families = || self.families.iter();
        let traffic = Plan::new(families().filter(|set| set.has_traffic()), query)?;
        // No family of connection health is needed for an answer.
        let health = Plan::new(families().filter(|set| set.has_health()), query).ok();
        let plans = Plans { traffic, health };
        if query.order.is_health() && plans.health.is_none() {
            return Err(HistoryError::no_health());
        }
        let mut edges: HashMap<Vec<String>, GroupedEdge> = HashMap::new();
        for (plan, measure) in plans.measures() {
            let text = promql::growth(plan, measure, &self.cluster, to - from);
            let form = [("query", text.as_str()), ("time", &promql::seconds(to))];
            for series in self.ask("query", &form, plan).await? {
                let edge = edge_of(&mut edges, &series);
                if let Some((_, value)) = series.points.last() {
                    *measure.0.value_of(&mut edge.sum) = *value;
                }
                if edges.len() > MAX_EDGES {
                    return Err(HistoryError::TooManyEdges(MAX_EDGES));
                }
            }
        }
        let step = match u64::try_from(query.points) {
            Ok(points) if points > 0 => (to - from).div_ceil(points).max(MIN_STEP),
            _ => to - from,
        };
        if query.points > 0 {
            self.add_points(&plans, &mut edges, (from, to, step))
                .await?;
        }
        Ok(self.answer(query, edges, (from, to, step)))
    }

    async fn add_points(
        &self,
        plans: &Plans<'_>,
        edges: &mut HashMap<Vec<String>, GroupedEdge>,
        (from, to, step): (u64, u64, u64),
    ) -> Result<(), HistoryError> {
        let begins = (0..(to - from).div_ceil(step)).map(|at| from + at * step);
        let zeros: Vec<TimePoint> = begins.map(|begin| (begin, EdgeValues::default())).collect();
        for edge in edges.values_mut() {
            edge.points.clone_from(&zeros);
        }
        let (first, last, width) = (
            promql::seconds(from + step),
            promql::seconds(from + (to - from).div_ceil(step) * step),
            promql::seconds(step),
        );
        for (plan, measure) in plans.measures() {
            let text = promql::growth(plan, measure, &self.cluster, step);
            let form = [
                ("query", text.as_str()),
                ("start", &first),
                ("end", &last),
                ("step", &width),
            ];
            for series in self.ask("query_range", &form, plan).await? {
                let Some(edge) = edges.get_mut(&series.labels) else {
                    continue;
                };
                for (end, value) in series.points {
                    let at = (end.saturating_sub(from) / step).saturating_sub(1);
                    let at = usize::try_from(at).unwrap_or(usize::MAX);
                    if let Some((_, sum)) = edge.points.get_mut(at) {
                        *measure.0.value_of(sum) = value;
                    }
                }
            }
        }
        Ok(())
    }

    fn answer(
        &self,
        query: &EdgesQuery,
        edges: HashMap<Vec<String>, GroupedEdge>,
        (from, to, step): (u64, u64, u64),
    ) -> EdgesAnswer {
        let mut edges: Vec<GroupedEdge> = edges
            .into_values()
            .filter(|edge| !edge.sum.is_zero())
            .collect();
        let mut total = EdgeValues::default();
        for edge in &edges {
            total.add(&edge.sum);
        }
        let total_edges = edges.len();
        edges.sort_unstable_by(|a, b| {
            let [one, other] = [a, b].map(|edge| query.order.of(&edge.sum));
            other.cmp(&one).then_with(|| a.labels.cmp(&b.labels))
        });
        edges.truncate(query.limit);
        EdgesAnswer {
            from,
            to,
            step,
            edges,
            total_edges,
            total,
            gaps: Vec::new(),
        }
    }

    async fn ask(
        &self,
        path: &str,
        form: &[(&str, &str)],
        plan: &Plan<'_>,
    ) -> Result<Vec<Series>, HistoryError> {
        let mut url = self.url.clone();
        url.set_path(&format!(
            "{}/api/v1/{path}",
            self.url.path().trim_end_matches('/')
        ));
        let response = self.client.post_form(&url, form).await;
        let response = response.map_err(HistoryError::Engine)?;
        answer::parse(&response, &plan.labels()).map_err(HistoryError::Engine)
    }
}

/// How a query is answered: by families of traffic, and those of connection health if there are
/// any.
struct Plans<'a> {
    traffic: Plan<'a>,
    health: Option<Plan<'a>>,
}

impl<'a> Plans<'a> {
    /// The measures with the names of their series.
    fn measures(&self) -> impl Iterator<Item = (&Plan<'a>, (EdgeMeasure, &'a str))> {
        let traffic = [(&self.traffic, TRAFFIC.as_slice())];
        let health = self.health.iter().map(|plan| (plan, HEALTH.as_slice()));
        let plans = traffic.into_iter().chain(health);
        plans.flat_map(|(plan, all)| plan.measures(all).map(move |measure| (plan, measure)))
    }
}

fn edge_of<'a>(
    edges: &'a mut HashMap<Vec<String>, GroupedEdge>,
    series: &Series,
) -> &'a mut GroupedEdge {
    edges
        .entry(series.labels.clone())
        .or_insert_with(|| GroupedEdge {
            labels: series.labels.clone(),
            sum: EdgeValues::default(),
            points: Vec::new(),
        })
}

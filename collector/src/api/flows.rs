//! `GET /api/v1/flows`: recent records, and streams of those that arrive.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use kipfix_service::admin::ConnectionLifetime;
use kipfix_service::signals::Stop;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder};
use utoipa::openapi::{RefOr, Schema};

use super::edges::wait_for;
use super::error::ApiError;
use super::parameters::{self, MAX_LIMIT, TimeParameters, number};
use super::{Api, answer_octets};
use crate::aggregate::expression::Expression;
use crate::clock;
use crate::history::clickhouse::FlowsQuery;
use crate::history::{HistoryEngine, HistoryError};
use crate::recent::{FollowedRecords, LostRecords, RecentRecords, RecordsQuery};

/// Media type of lines of JSON.
const JSON_LINES: &str = "application/x-ndjson";
/// Header that names what answered.
const SOURCE: HeaderName = HeaderName::from_static("kipfix-source");
/// Records of an answer by default.
const DEFAULT_LIMIT: usize = 100;
/// Maximum octets of the records of an answer.
const MAX_ANSWER_OCTETS: usize = 16 << 20;

/// Parameters of a request for records.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    #[param(ignore)]
    from: Option<String>,
    #[param(ignore)]
    to: Option<String>,
    /// Expression that selects records, such as `dst.name == "office" && port in [80, 443]`.
    filter: Option<String>,
    /// Maximum number of records. Without `follow`: the newest, 1–10000, 100 by default. With
    /// `follow`: the answer ends after this number of records. Default: it does not end.
    #[param(value_type = Option<u64>, minimum = 1)]
    limit: Option<String>,
    /// `true`: the answer has the records that arrive, until the client disconnects. Not allowed
    /// with `from` and `to`. Default: false.
    #[param(value_type = Option<bool>)]
    follow: Option<String>,
}

/// A checked request.
#[derive(Debug)]
enum Wanted {
    Recent(FlowsQuery),
    Follow {
        filter: Option<Expression>,
        limit: u64,
    },
}

impl Parameters {
    fn wanted(&self) -> Result<Wanted, ApiError> {
        let filter = parameters::record_filter(self.filter.as_deref())?;
        let limit = self.limit.as_deref();
        if !self.is_following()? {
            return Ok(Wanted::Recent(FlowsQuery {
                time: parameters::time(self.from.as_deref(), self.to.as_deref())?,
                filter,
                limit: number("limit", limit, DEFAULT_LIMIT, 1..=MAX_LIMIT)?,
            }));
        }
        for (name, value) in [("from", &self.from), ("to", &self.to)] {
            if value.is_some() {
                let error = format!("invalid {name}: not allowed with follow");
                return Err(ApiError::invalid(name, error));
            }
        }
        Ok(Wanted::Follow {
            filter,
            limit: number("limit", limit, u64::MAX, 1..=u64::MAX)?,
        })
    }

    fn is_following(&self) -> Result<bool, ApiError> {
        match self.follow.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                let error = format!("invalid follow {other:?}: must be true or false");
                Err(ApiError::invalid("follow", error))
            }
        }
    }
}

/// Recent records, as lines of JSON with the members of the flow log. The range is that of the
/// times at which the collector decided them.
///
/// With `--history clickhouse=URL` and without `follow`, the records of the table, for any time: a
/// biflow is a line for each direction, and the header `kipfix-source` is `clickhouse`. Otherwise
/// it is `ring`, and the collector keeps a sample: up to 200 records per second and worker, for 10
/// minutes or until their memory is used. With `follow`, the answer has every record that arrives.
/// A client that reads too slowly loses records. Their number is in a line `{"lostRecords":{…}}`
/// after the last record before the loss.
#[utoipa::path(
    get,
    path = "/api/v1/flows",
    params(TimeParameters, Parameters),
    responses(
        (status = 200, body = FlowLineJson, content_type = "application/x-ndjson"),
        (status = 400, body = ApiError),
        (status = 401, body = ApiError),
        (status = 429, body = ApiError),
        (status = 502, body = ApiError),
        (status = 503, body = ApiError),
    )
)]
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    lifetime: Option<Extension<ConnectionLifetime>>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let wanted = match wanted(&query) {
        Ok(wanted) => wanted,
        Err(error) => return error.into_response(),
    };
    let engine = api.engine.as_ref().and_then(HistoryEngine::records);
    let has_engine = engine.is_some();
    match (wanted, api.scrape.recent.clone()) {
        (Wanted::Recent(flows), _) if has_engine => {
            let run = move |api: &Api, _: &str| stored(api, &flows);
            let answer = answer_octets(api, query, JSON_LINES, run).await;
            with_source(answer, "clickhouse")
        }
        (_, None) => ApiError::no_recent_records().into_response(),
        (Wanted::Recent(flows), Some(recent)) => {
            let run = move |api: &Api, _: &str| select(api, &recent, &flows);
            let answer = answer_octets(api, query, JSON_LINES, run).await;
            with_source(answer, "ring")
        }
        (Wanted::Follow { filter, limit }, Some(recent)) => {
            let Some(followed) = recent.follow(filter) else {
                return ApiError::too_many_followers().into_response();
            };
            if let Some(Extension(lifetime)) = lifetime {
                lifetime.extend();
            }
            let answer = stream_of(followed, limit, api.stop.clone());
            with_source(answer, "ring")
        }
    }
}

/// Adds the header that names what answered.
fn with_source(mut answer: Response, source: &'static str) -> Response {
    let headers = answer.headers_mut();
    headers.insert(SOURCE, HeaderValue::from_static(source));
    answer
}

/// The records of the engine.
fn stored(api: &Api, query: &FlowsQuery) -> Result<Vec<u8>, ApiError> {
    let engine = api.engine.as_ref().and_then(HistoryEngine::records);
    let engine = engine.ok_or_else(ApiError::no_history)?;
    wait_for(engine.flows(query, clock::wall_milliseconds()))
}

fn wanted(query: &str) -> Result<Wanted, ApiError> {
    parameters::parse::<Parameters>(query)?.wanted()
}

fn select(api: &Api, recent: &RecentRecords, flows: &FlowsQuery) -> Result<Vec<u8>, ApiError> {
    let now = clock::now();
    // The end is not included, and the newest record is of this millisecond.
    let end = now.wall_milliseconds.saturating_add(1);
    let time = flows.time.resolve(end).ok_or(HistoryError::EmptyRange)?;
    let query = RecordsQuery {
        time,
        filter: flows.filter.as_ref(),
        limit: flows.limit,
        max_octets: MAX_ANSWER_OCTETS,
    };
    Ok(recent.select(query, &api.scrape.store.load(), now))
}

/// The answer to a client that follows: at most `limit` records, until `stop`.
fn stream_of(followed: FollowedRecords, limit: u64, stop: Stop) -> Response {
    let state = (followed, limit, stop);
    let lines = stream::unfold(state, async |(followed, left, stop)| {
        if left == 0 {
            return None;
        }
        let mut batch = tokio::select! {
            batch = followed.next() => batch,
            () = stop.wait() => return None,
        };
        batch.truncate(left);
        let left = left.saturating_sub(batch.records);
        if left > 0 && !batch.lost.is_none() {
            batch.text.extend(loss_line(batch.lost));
        }
        let item: Result<Bytes, Infallible> = Ok(batch.text.into());
        Some((item, (followed, left, stop)))
    });
    let headers = [
        (CONTENT_TYPE, JSON_LINES),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Body::from_stream(lines)).into_response()
}

fn loss_line(lost: LostRecords) -> Vec<u8> {
    let line = LossLineJson {
        lost_records: LostJson {
            queue_full: lost.queue_full,
            rate_limit: lost.rate_limit,
            filter_time: lost.filter_time,
        },
    };
    // It has only numbers.
    let mut text = serde_json::to_vec(&line).unwrap_or_default();
    text.push(b'\n');
    text
}

/// A line that reports losses to a client that follows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LossLineJson {
    /// Records that the client did not get since the last such line, by reason.
    lost_records: LostJson,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LostJson {
    /// The client reads too slowly.
    queue_full: u64,
    /// More than 20,000 records per second and worker match.
    rate_limit: u64,
    /// The filter takes more than 2.5 % of the time of a worker: these records were not compared.
    filter_time: u64,
}

/// Describes a line of the answer.
struct FlowLineJson;

impl utoipa::PartialSchema for FlowLineJson {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some(
                "A record with the members of the flow log; or only lostRecords, for records that the \
                 client did not get since the last such line",
            ))
            .property("lostRecords", <LostJson as utoipa::PartialSchema>::schema())
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}

impl ToSchema for FlowLineJson {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_parameter_is_named() {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=10001", "limit"),
            ("from=x", "from"),
            ("to=-1", "to"),
            ("follow=yes", "follow"),
            ("follow=true&from=-1000", "from"),
            ("follow=true&to=5", "to"),
            ("follow=true&limit=0", "limit"),
            ("filter=port%20==", "filter"),
            ("filter=src.label%5B%22team%22%5D%20==%20%22a%22", "filter"),
            ("group_by=port", "group_by"),
        ] {
            let error = wanted(query).unwrap_err();
            assert_eq!(error.parameter(), Some(name), "{query}");
        }
    }

    #[test]
    fn every_field_of_a_record_is_allowed_in_a_filter() {
        let query = "filter=src.port%20%3E%201024%20%26%26%20protocol%20==%20%22tcp%22&limit=5";
        let Ok(Wanted::Recent(flows)) = wanted(query) else {
            panic!("not a query for recent records");
        };
        assert_eq!((flows.filter.is_some(), flows.limit), (true, 5));
        let Ok(Wanted::Follow { limit, .. }) = wanted("follow=true&limit=20000") else {
            panic!("not a query that follows");
        };
        assert_eq!(limit, 20_000);
    }

    #[test]
    fn a_loss_is_a_line_of_its_own() {
        let lost = LostRecords {
            queue_full: 7,
            rate_limit: 0,
            filter_time: 0,
        };
        let line = loss_line(lost);
        assert_eq!(
            line,
            b"{\"lostRecords\":{\"queueFull\":7,\"rateLimit\":0,\"filterTime\":0}}\n"
        );
    }
}

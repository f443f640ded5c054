//! The API under `/api/v1`, and the page that shows its answers at `/`.
//!
//! Answers are JSON. A query runs on a thread for blocking work and reads snapshots, so it never
//! waits for a pipeline, nor a pipeline for it. The number of concurrent queries and the memory of
//! answers on their way to clients are limited. A bearer token can protect the API; the page has no
//! data and needs none.

mod access;
mod cache;
mod edges;
mod endpoints;
mod error;
mod exporters;
mod flows;
mod graph;
mod health;
mod limits;
mod openapi;
mod page;
mod parameters;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use kipfix_service::signals::Stop;
use serde::Serialize;

pub use access::{BearerToken, TokenError};

use crate::history::HistoryEngine;
use crate::serve::Scrape;
use cache::Cache;
use error::ApiError;
use limits::{JSON, Limits};

/// The state of the API.
#[derive(Debug)]
pub struct Api {
    scrape: Arc<Scrape>,
    /// Wall-clock time of the start, milliseconds since the epoch.
    started: u64,
    /// The token that requests must present, if there is one.
    token: Option<Arc<BearerToken>>,
    limits: Limits,
    edges: Cache,
    /// What answers for edges instead of the ring of the collector.
    engine: Option<HistoryEngine>,
    /// Ends the streams.
    stop: Stop,
}

impl Api {
    /// Creates the API of a collector that started at `started`, milliseconds since the epoch. With
    /// a `token`, requests below `/api` must present it. With an `engine`, it answers for edges.
    /// Streams end with `stop`.
    #[must_use]
    pub fn new(
        scrape: Arc<Scrape>,
        started: u64,
        token: Option<BearerToken>,
        engine: Option<HistoryEngine>,
        stop: Stop,
    ) -> Self {
        if token.is_some() {
            scrape.metrics.api().on_token_loaded();
        }
        Self {
            scrape,
            started,
            token: token.map(Arc::new),
            limits: Limits::default(),
            edges: Cache::default(),
            engine,
            stop,
        }
    }

    /// The routes of the API and of the page.
    pub fn router(self) -> Router {
        let state = Arc::new(self);
        let graph = Router::new()
            .route("/health", get(graph::health))
            .route("/graph/fields", get(graph::fields))
            .route("/graph/data", get(graph::data))
            .fallback(async || ApiError::not_found())
            .method_not_allowed_fallback(async || ApiError::method_not_allowed())
            .with_state(Arc::clone(&state));
        let api = Router::new()
            .route("/edges", get(edges::get))
            .route("/endpoints", get(endpoints::get))
            .route("/exporters", get(exporters::get))
            .route("/flows", get(flows::get))
            .route("/status", get(status::get))
            .route("/openapi.json", get(async || openapi::answer()))
            .fallback(async || ApiError::not_found())
            .method_not_allowed_fallback(async || ApiError::method_not_allowed())
            .with_state(Arc::clone(&state));
        let mut protected = graph.nest("/v1", api);
        if let Some(token) = &state.token {
            let check = (Arc::clone(&state), Arc::clone(token));
            protected = protected.layer(from_fn_with_state(check, access::require_token));
        }
        let nothing = any(async || ApiError::not_found());
        page::router()
            .route("/api/", nothing)
            .nest("/api", protected)
    }
}

/// A request: the state, and the text behind the `?`.
type Request = (State<Arc<Api>>, RawQuery);

/// Runs a query and returns its answer as JSON.
async fn answer<T: Serialize>(
    (State(api), RawQuery(query)): Request,
    run: impl FnOnce(&Api, &str) -> Result<T, ApiError> + Send + 'static,
) -> Response {
    let run_to_octets = move |api: &Api, query: &str| {
        let answer = run(api, query)?;
        serde_json::to_vec(&answer).map_err(|_| ApiError::internal())
    };
    answer_octets(api, query.unwrap_or_default(), JSON, run_to_octets).await
}

/// Runs a query whose answer is a document.
async fn answer_octets<B: Into<bytes::Bytes> + Send + 'static>(
    api: Arc<Api>,
    query: String,
    content_type: &'static str,
    run: impl FnOnce(&Api, &str) -> Result<B, ApiError> + Send + 'static,
) -> Response {
    let Some(permit) = api.limits.query().await else {
        return ApiError::too_many_requests().into_response();
    };
    let running = {
        let api = Arc::clone(&api);
        tokio::task::spawn_blocking(move || {
            let result = run(&api, &query);
            drop(permit);
            result
        })
    };
    match running.await {
        Ok(Ok(octets)) => api.limits.answer(octets.into(), content_type),
        Ok(Err(error)) => error.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

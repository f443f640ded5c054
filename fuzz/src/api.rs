//! The API: query strings of every path.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::http::Request;
use http_body_util::BodyExt as _;
use kipfix_collector::aggregate::{EdgeObserver, EdgeSink, EdgeTable, SeriesSettings, SeriesTable};
use kipfix_collector::api::Api;
use kipfix_collector::clock::{self, Clock};
use kipfix_collector::history::History;
use kipfix_collector::metrics::Metrics;
use kipfix_collector::outputs::Outputs;
use kipfix_collector::pipeline::{Pipeline, PipelineContext};
use kipfix_collector::receive::Ingest;
use kipfix_collector::receive::connections::Connections;
use kipfix_collector::receive::senders::Senders;
use kipfix_collector::recent::{RecentRecords, RecentSink};
use kipfix_collector::serve::{Scrape, SettingsStatus};
use kipfix_collector::settings::Settings;
use kipfix_service::signals::Stop;
use tokio::runtime::Runtime;
use tower_service::Service as _;

use crate::pipeline::snapshot_store;
use crate::seeds;

/// The paths that take parameters.
pub(crate) const PATHS: [&str; 6] = [
    "/api/v1/edges",
    "/api/v1/flows",
    "/api/v1/endpoints",
    "/api/v1/exporters",
    "/api/v1/status",
    "/api/graph/data",
];
/// Maximum octets of an answer: of 16 MiB of records, and of 10,000 edges with their names.
const MAX_ANSWER_OCTETS: usize = 32 << 20;

static API: LazyLock<(Router, Runtime)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let api = Api::new(scrape(), 0, None, None, Stop::new().unwrap());
    (api.router(), runtime)
});

/// A collector that has received some records.
fn scrape() -> Arc<Scrape> {
    let settings = Settings::default();
    let store = snapshot_store();
    let families = settings.families().unwrap();
    let series = Arc::new(SeriesTable::new(&families, SeriesSettings::default()));
    let now = clock::now();
    let history = settings.ring().unwrap();
    let history = Arc::new(History::new(history, now.wall_milliseconds - 60_000));
    let recent = Arc::new(RecentRecords::new(1 << 20));
    let context = PipelineContext::new(Arc::clone(&store), settings.observer_timeouts());
    let observers = Arc::clone(&context.observers);
    let observer: Arc<dyn EdgeObserver> = history.clone();
    let outputs = Outputs {
        recent: Some(RecentSink::new(Arc::clone(&recent))),
        ..Outputs::new(EdgeSink::new(1 << 10, Arc::clone(&series)).with_observer(Some(observer)))
    };
    let pipeline_settings = settings.pipeline(Some(0));
    let mut pipeline = Pipeline::new(pipeline_settings, context, outputs);
    let exporter: SocketAddr = "10.9.0.1:40000".parse().unwrap();
    for datagram in seeds::datagrams() {
        pipeline.datagram(exporter, &datagram, now);
        pipeline.flush();
    }
    pipeline.finish();
    let senders = Arc::new(Senders::new(&[]));
    let scrape = Scrape {
        metrics: Metrics::new(&[]).unwrap(),
        store,
        observers,
        series,
        history: Some(history),
        recent: Some(recent),
        pipeline_settings,
        pipelines: vec![Arc::new(Mutex::new(pipeline))],
        sockets: Vec::new(),
        listeners: Vec::new(),
        connections: Arc::new(Connections::new(
            settings.connections(),
            Arc::clone(&senders),
        )),
        senders,
        max_exporter_series: 16,
        flow_log: None,
        replicas: None,
        forward: None,
        savefile: Arc::default(),
        clock: Clock::Host,
        spare: Mutex::new(EdgeTable::new(1 << 10)),
        kubernetes: OnceLock::new(),
        last_totals: Mutex::default(),
        settings: SettingsStatus::new(0),
    };
    scrape.drain();
    assert!(scrape.last_totals.lock().unwrap().recent.records > 0);
    Arc::new(scrape)
}

/// A query string, behind an octet that selects the path. The answer is a bounded document, or an
/// error of one sentence. A stream is not read.
pub(crate) fn api(data: &[u8]) {
    let Some((path, query)) = data.split_first() else {
        return;
    };
    let path = PATHS[usize::from(*path) % PATHS.len()];
    // What a request line may have (RFC 9112 §3).
    let is_allowed = |octet: &&u8| octet.is_ascii_graphic() && **octet != b'#';
    let query: Vec<u8> = query.iter().filter(is_allowed).copied().collect();
    let uri = format!("{path}?{}", String::from_utf8(query).unwrap());
    let Ok(request) = Request::get(&uri).body(Body::empty()) else {
        return;
    };
    let (router, runtime) = &*API;
    let (status, media_type, body) = runtime.block_on(async {
        let response = router.clone().call(request).await.unwrap();
        let status = response.status().as_u16();
        let media_type = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        // Only a stream has no length.
        let is_stream = response.body().size_hint().exact().is_none();
        let body = match is_stream {
            true => None,
            false => Some(response.into_body().collect().await.unwrap().to_bytes()),
        };
        (status, media_type, body)
    });
    let Some(body) = body else {
        assert_eq!(path, "/api/v1/flows");
        return;
    };
    assert!(
        body.len() <= MAX_ANSWER_OCTETS,
        "{uri}: {} octets",
        body.len()
    );
    let text = std::str::from_utf8(&body).unwrap();
    match status {
        200 if media_type == "application/x-ndjson" => {
            for line in text.lines() {
                crate::json::check(line.as_bytes());
            }
        }
        200 => crate::json::check(&body),
        400 => {
            let error: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let sentence = error["error"].as_str().unwrap();
            assert!(
                !sentence.is_empty() && !sentence.contains('\n'),
                "{sentence:?}"
            );
            assert!(error["parameter"].is_string(), "{uri}: {error}");
        }
        _ => panic!("{uri}: status {status}"),
    }
}

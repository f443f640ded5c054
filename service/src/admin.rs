//! What a daemon tells about itself over HTTP: `/metrics`, `/livez`, `/readyz`.
//!
//! It must not cost the daemon its life: only GET and HEAD, a bound on connections, on the time a
//! request's head may take, on the life of a connection, and on scrapes whose text is in memory.

mod listener;
mod scrape;

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::exposition::Format;

pub use listener::Listener;
use scrape::Scrapes;

/// Whether a daemon can do its work, and what there is to say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// What is missing. `/readyz` answers 503 as long as there is one.
    pub missing: Vec<String>,
    /// What is amiss without stopping the work, e.g. carrying on with what is known.
    pub notes: Vec<String>,
}

/// The routes that both daemons have; others can be merged in.
///
/// `metrics` appends all metric families in a format, without the end mark, which is added here.
/// It runs on a thread for blocking work.
pub fn router(
    metrics: impl Fn(Format, &mut Vec<u8>) + Send + Sync + 'static,
    readiness: impl Fn() -> Readiness + Send + Sync + 'static,
) -> Router {
    let scrapes = Arc::new(Scrapes::new(metrics));
    let readiness = Arc::new(readiness);
    Router::new()
        .route(
            "/metrics",
            get(async move |headers| scrapes.answer(headers).await),
        )
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async move || ready_answer(&readiness())))
        .fallback(async || (StatusCode::NOT_FOUND, "try /metrics, /livez or /readyz\n"))
}

fn ready_answer(readiness: &Readiness) -> impl IntoResponse + use<> {
    let (status, mut text) = if readiness.missing.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned())
    };
    for line in readiness.missing.iter().chain(&readiness.notes) {
        // Writing to a String cannot fail.
        writeln!(text, "{line}").ok();
    }
    (status, text)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::signals::Stop;

    struct Served {
        address: SocketAddr,
        stop: Stop,
        thread: std::thread::JoinHandle<()>,
        stuck: Arc<AtomicBool>,
    }

    impl Served {
        fn with_metrics(metrics: impl Fn(Format, &mut Vec<u8>) + Send + Sync + 'static) -> Self {
            let stuck = Arc::new(AtomicBool::new(false));
            let seen = stuck.clone();
            let readiness = move || Readiness {
                missing: seen
                    .load(Ordering::Relaxed)
                    .then(|| "no socket".into())
                    .into_iter()
                    .collect(),
                notes: vec!["inventory is 5s old".into()],
            };
            let listener = Listener::bind("admin", "127.0.0.1:0".parse().unwrap()).unwrap();
            let address = listener.local_address();
            let stop = Stop::new().unwrap();
            let thread = listener
                .serve(router(metrics, readiness), stop.clone())
                .unwrap();
            Self {
                address,
                stop,
                thread,
                stuck,
            }
        }

        fn new() -> Self {
            Self::with_metrics(|format, out| writeln!(out, "x_total 1 # {format:?}").unwrap())
        }

        fn connect(&self) -> TcpStream {
            let stream = TcpStream::connect(self.address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            stream
        }

        /// Status line and headers, and the body.
        fn answer(&self, request: &str, headers: &str) -> (String, Vec<u8>) {
            let mut stream = self.connect();
            let request =
                format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            let head = answer
                .windows(4)
                .position(|end| end == b"\r\n\r\n")
                .unwrap();
            let body = answer.split_off(head + 4);
            (String::from_utf8(answer).unwrap(), body)
        }

        fn text(&self, request: &str, headers: &str) -> (String, String) {
            let (head, body) = self.answer(request, headers);
            let status = head.split(' ').nth(1).unwrap().to_owned();
            (status, String::from_utf8(body).unwrap())
        }
    }

    fn said(status: &str, body: &str) -> (String, String) {
        (status.to_owned(), body.to_owned())
    }

    #[test]
    fn live_and_ready_say_what_is_missing() {
        let served = Served::new();
        assert_eq!(served.text("GET /livez", ""), said("200", "ok\n"));
        assert_eq!(
            served.text("GET /readyz", ""),
            said("200", "ready\ninventory is 5s old\n")
        );
        served.stuck.store(true, Ordering::Relaxed);
        let missing = "not ready\nno socket\ninventory is 5s old\n";
        assert_eq!(served.text("GET /readyz", ""), said("503", missing));
    }

    #[test]
    fn metrics_come_in_the_format_and_coding_that_is_accepted() {
        let served = Served::new();
        assert_eq!(
            served.text("GET /metrics", ""),
            said("200", "x_total 1 # Text\n")
        );
        let (head, body) = served.answer(
            "GET /metrics",
            "Accept: application/openmetrics-text\r\nAccept-Encoding: gzip\r\n",
        );
        assert!(
            head.contains("content-type: application/openmetrics-text; version=1.0.0"),
            "{head}"
        );
        assert!(head.contains("content-encoding: gzip"), "{head}");
        let mut text = String::new();
        flate2::read::GzDecoder::new(body.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "x_total 1 # OpenMetrics\n# EOF\n");
    }

    #[test]
    fn head_has_no_body_and_other_methods_and_paths_are_refused() {
        let served = Served::new();
        assert_eq!(served.text("HEAD /metrics", ""), said("200", ""));
        assert_eq!(
            served.text("POST /metrics", "Content-Length: 0\r\n").0,
            "405"
        );
        assert_eq!(served.text("GET /", "").0, "404");
    }

    #[test]
    fn a_large_scrape_arrives_whole_and_slots_come_back() {
        let large = vec![b'#'; 3_000_000];
        let served = Served::with_metrics(move |_, out| out.extend_from_slice(&large));
        for _ in 0..10 {
            assert_eq!(served.answer("GET /metrics", "").1.len(), 3_000_000);
        }
    }

    #[test]
    fn scrapes_that_nobody_reads_are_bounded_and_the_rest_is_still_served() {
        let served = Served::with_metrics(|_, out| out.resize(30_000_000, b'#'));
        let mut unread = Vec::new();
        for _ in 0..4 {
            let mut stream = served.connect();
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                .unwrap();
            stream.read_exact(&mut [0; 15]).unwrap();
            unread.push(stream);
        }
        assert_eq!(
            served.text("GET /metrics", ""),
            said("503", "too many scrapes at a time\n")
        );
        assert_eq!(served.text("GET /livez", "").0, "200");
    }

    #[test]
    fn metrics_that_panic_cost_one_answer_only() {
        let served = Served::with_metrics(|_, _| panic!("a bug"));
        assert_eq!(served.text("GET /metrics", "").0, "500");
        assert_eq!(served.text("GET /livez", "").0, "200");
    }

    #[test]
    fn the_stop_ends_the_thread_although_a_client_says_nothing() {
        let served = Served::new();
        let _silent = served.connect();
        served.text("GET /livez", "");
        served.stop.set();
        served.thread.join().unwrap();
        assert!(TcpStream::connect(served.address).is_err());
    }

    #[test]
    fn a_port_in_use_is_one_sentence_with_the_setting_and_the_address() {
        let first = Listener::bind("admin", "[::]:0".parse().unwrap()).unwrap();
        let address = first.local_address();
        let failure = Listener::bind("http", address).unwrap_err();
        let expected = format!(
            "http: cannot listen on {address}: the port is in use, allowed is a free one (or 0 for any)"
        );
        assert_eq!((failure.code(), failure.sentence()), (1, expected));
        let failure = Listener::bind("admin", "192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert_eq!(
            failure.sentence(),
            "admin: cannot listen on 192.0.2.1:0: this host has no such address, allowed are its own \
             and [::] for all"
        );
    }
}

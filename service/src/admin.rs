//! The HTTP endpoints of a daemon: `/metrics`, `/livez`, `/readyz`.
//!
//! Clients cannot exhaust the daemon: only GET and HEAD are allowed, and the number of connections,
//! the time for a handshake and for the head of a request, the time for which a client does not
//! read, the lifetime of a connection and the number of concurrent scrapes are limited. A slow
//! scrape makes room for a new one.

mod encoding;
mod lifetime;
mod listener;
mod metrics;
mod scrape;
mod scrape_slots;
mod slots;
mod stall;
#[cfg(test)]
mod tls_tests;
mod transport;

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};

use crate::exposition::{Chunks, Format};

pub use lifetime::ConnectionLifetime;
pub use listener::Listener;
pub use metrics::HttpMetrics;
use scrape::Scrapes;

/// The answer of `/readyz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Reasons for not being ready. If there is one, `/readyz` answers 503.
    pub missing: Vec<String>,
    /// Problems that do not affect readiness, e.g. serving from cache while a watch is down.
    pub notes: Vec<String>,
}

/// Returns the routes of both daemons. Other routers can be merged into it.
///
/// `metrics` prepares an exposition of all metric families in a format, without the end mark, which
/// is added here. It runs on a thread for blocking work. The chunks of the exposition are produced
/// on the thread that serves, when the client has room for them.
pub fn router(
    metrics: impl Fn(Format) -> Box<dyn Chunks> + Send + Sync + 'static,
    readiness: impl Fn() -> Readiness + Send + Sync + 'static,
) -> Router {
    let scrapes = Arc::new(Scrapes::new(metrics));
    let readiness = Arc::new(readiness);
    Router::new()
        .route(
            "/metrics",
            get(
                async move |connection: Option<Extension<ConnectionLifetime>>, headers| {
                    let connection = connection.map(|Extension(lifetime)| lifetime);
                    scrapes.answer(connection, headers).await
                },
            ),
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
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::exposition::{CHUNK_OCTETS, Written};
    use crate::metric_maker::MetricMaker;
    use crate::signals::Stop;

    struct Served {
        address: SocketAddr,
        stop: Stop,
        thread: std::thread::JoinHandle<()>,
        stuck: Arc<AtomicBool>,
    }

    impl Served {
        fn with_metrics(metrics: impl Fn(Format, &mut Vec<u8>) + Send + Sync + 'static) -> Self {
            Self::with_chunks(move |format| {
                let mut text = Vec::new();
                metrics(format, &mut text);
                Box::new(Written::from(text))
            })
        }

        fn with_chunks(
            metrics: impl Fn(Format) -> Box<dyn Chunks> + Send + Sync + 'static,
        ) -> Self {
            Self::with_routes(metrics, Router::new())
        }

        fn with_routes(
            metrics: impl Fn(Format) -> Box<dyn Chunks> + Send + Sync + 'static,
            routes: Router,
        ) -> Self {
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
            let counters = HttpMetrics::new(&MetricMaker::new("test")).unwrap();
            let thread = listener
                .serve(
                    router(metrics, readiness).merge(routes),
                    counters,
                    stop.clone(),
                )
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

        /// Returns the status line and headers, and the body.
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
            let mut body = answer.split_off(head + 4);
            let head = String::from_utf8(answer).unwrap();
            if head.contains("transfer-encoding: chunked") {
                body = Self::without_chunks(&body);
            }
            (head, body)
        }

        /// Joins the chunks of a body (RFC 9112 §7.1), which must have its last one.
        fn without_chunks(mut body: &[u8]) -> Vec<u8> {
            let mut joined = Vec::new();
            while !body.is_empty() {
                let end = body.windows(2).position(|end| end == b"\r\n").unwrap();
                let size = std::str::from_utf8(&body[..end]).unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                joined.extend_from_slice(&body[end + 2..end + 2 + size]);
                assert_eq!(body[end + 2 + size..end + 4 + size], *b"\r\n");
                body = &body[end + 4 + size..];
                assert_eq!(size == 0, body.is_empty());
            }
            joined
        }

        fn text(&self, request: &str, headers: &str) -> (String, String) {
            let (head, body) = self.answer(request, headers);
            let status = head.split(' ').nth(1).unwrap().to_owned();
            (status, String::from_utf8(body).unwrap())
        }
    }

    fn response(status: &str, body: &str) -> (String, String) {
        (status.to_owned(), body.to_owned())
    }

    #[test]
    fn readyz_lists_the_reasons_for_not_being_ready() {
        let served = Served::new();
        assert_eq!(served.text("GET /livez", ""), response("200", "ok\n"));
        assert_eq!(
            served.text("GET /readyz", ""),
            response("200", "ready\ninventory is 5s old\n")
        );
        served.stuck.store(true, Ordering::Relaxed);
        let missing = "not ready\nno socket\ninventory is 5s old\n";
        assert_eq!(served.text("GET /readyz", ""), response("503", missing));
    }

    #[test]
    fn metrics_use_the_accepted_format_and_coding() {
        let served = Served::new();
        assert_eq!(
            served.text("GET /metrics", ""),
            response("200", "x_total 1 # Text\n")
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
        assert_eq!(served.text("HEAD /metrics", ""), response("200", ""));
        assert_eq!(
            served.text("POST /metrics", "Content-Length: 0\r\n").0,
            "405"
        );
        assert_eq!(served.text("GET /", "").0, "404");
    }

    #[test]
    fn metrics_are_compressed_by_zstd_if_it_is_accepted() {
        let served = Served::new();
        let (head, body) = served.answer("GET /metrics", "Accept-Encoding: gzip, zstd\r\n");
        assert!(head.contains("content-encoding: zstd"), "{head}");
        let text = zstd::decode_all(body.as_slice()).unwrap();
        assert_eq!(text, b"x_total 1 # Text\n");
    }

    #[test]
    fn a_large_scrape_is_the_same_in_every_coding() {
        let large: Vec<u8> = (0..40_000)
            .flat_map(|number| format!("x_total{{number=\"{number}\"}} {number}\n").into_bytes())
            .collect();
        let expected = large.clone();
        let served = Served::with_metrics(move |_, out| out.extend_from_slice(&large));
        assert_eq!(served.answer("GET /metrics", "").1, expected);
        let (_, body) = served.answer("GET /metrics", "Accept-Encoding: gzip\r\n");
        let mut text = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(body.as_slice());
        decoder.read_to_end(&mut text).unwrap();
        assert_eq!(text, expected);
        let (_, body) = served.answer("GET /metrics", "Accept-Encoding: zstd\r\n");
        assert_eq!(zstd::decode_all(body.as_slice()).unwrap(), expected);
    }

    #[test]
    fn no_more_chunks_are_produced_than_a_client_reads() {
        struct Endless(Arc<AtomicUsize>);
        impl Chunks for Endless {
            fn write_chunk(&mut self, out: &mut Vec<u8>) -> bool {
                out.resize(CHUNK_OCTETS, b'#');
                self.0.fetch_add(1, Ordering::Relaxed);
                true
            }
        }
        impl Drop for Endless {
            fn drop(&mut self) {
                self.0.store(usize::MAX, Ordering::Relaxed);
            }
        }
        let produced = Arc::new(AtomicUsize::new(0));
        let seen = produced.clone();
        let served = Served::with_chunks(move |_| Box::new(Endless(seen.clone())));
        let mut stream = served.connect();
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(request).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        let is_stalled = || {
            let before = produced.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(100));
            before == produced.load(Ordering::Relaxed)
        };
        while !is_stalled() {}
        // The buffers of the kernel, not gigabytes.
        assert!(produced.load(Ordering::Relaxed) < 1000);
        drop(stream);
        while produced.load(Ordering::Relaxed) != usize::MAX {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_large_scrape_is_complete_and_its_slot_is_released() {
        let large = vec![b'#'; 3_000_000];
        let served = Served::with_metrics(move |_, out| out.extend_from_slice(&large));
        for _ in 0..10 {
            assert_eq!(served.answer("GET /metrics", "").1.len(), 3_000_000);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the time of a test")]
    fn unread_scrapes_make_room_for_others() {
        let served = Served::with_metrics(|_, out| out.resize(30_000_000, b'#'));
        let mut unread = Vec::new();
        let began = Instant::now();
        for _ in 0..4 {
            let mut stream = served.connect();
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                .unwrap();
            stream.read_exact(&mut [0; 15]).unwrap();
            unread.push(stream);
        }
        // Refused until one of them is old enough to be closed. Within that time, all are too
        // young.
        let mut answer = served.text("GET /metrics", "");
        if began.elapsed() < scrape_slots::MIN_AGE {
            assert_eq!(answer.0, "503");
        }
        assert_eq!(served.text("GET /livez", "").0, "200");
        for _ in 0..200 {
            if answer.0 == "503" {
                assert_eq!(answer.1, "too many concurrent scrapes\n");
                std::thread::sleep(Duration::from_millis(50));
                answer = served.text("GET /metrics", "");
            }
        }
        assert_eq!((answer.0.as_str(), answer.1.len()), ("200", 30_000_000));
    }

    /// Sends a request and reads its response up to `end`.
    fn request(stream: &mut TcpStream, path: &str, end: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = Vec::new();
        while !response.ends_with(end.as_bytes()) {
            let mut octet = [0];
            stream.read_exact(&mut octet).unwrap();
            response.extend(octet);
        }
    }

    /// Takes all slots by connections that have sent a request.
    fn take_all_slots(served: &Served, path: &str, end: &str) -> Vec<TcpStream> {
        let connect = |_| {
            let mut stream = served.connect();
            request(&mut stream, path, end);
            stream
        };
        (0..listener::MAX_CONNECTIONS).map(connect).collect()
    }

    #[test]
    fn connections_that_are_kept_open_after_a_request_make_room_for_others() {
        let served = Served::new();
        let mut open = take_all_slots(&served, "/livez", "ok\n");
        for _ in 0..3 {
            assert_eq!(served.text("GET /livez", "").0, "200");
        }
        // The one that was idle for longest is closed, the others still answer.
        assert_eq!(open[0].read(&mut [0; 100]).unwrap_or_default(), 0);
        request(open.last_mut().unwrap(), "/livez", "ok\n");
    }

    #[test]
    fn unread_responses_of_one_address_make_room_for_others() {
        let large = Router::new().route("/large", get(async || vec![b'#'; 30_000_000]));
        let served = Served::with_routes(|_| Box::new(Written::default()), large);
        let _unread = take_all_slots(&served, "/large", "\r\n\r\n");
        // Refused, so that others do not wait behind it.
        assert_eq!(served.connect().read(&mut [0]).unwrap_or_default(), 0);
        let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let address: SocketAddr = "127.0.0.2:0".parse().unwrap();
        other.bind(&address.into()).unwrap();
        other.connect(&served.address.into()).unwrap();
        let mut other = TcpStream::from(other);
        other
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        request(&mut other, "/livez", "ok\n");
    }

    #[test]
    fn a_panic_while_writing_metrics_fails_one_request_only() {
        let served = Served::with_metrics(|_, _| panic!("a bug"));
        assert_eq!(served.text("GET /metrics", "").0, "500");
        assert_eq!(served.text("GET /livez", "").0, "200");
    }

    #[test]
    fn shutdown_ends_the_thread_with_an_idle_connection_open() {
        let served = Served::new();
        let _silent = served.connect();
        served.text("GET /livez", "");
        served.stop.set();
        served.thread.join().unwrap();
        assert!(TcpStream::connect(served.address).is_err());
    }

    #[test]
    fn the_error_for_a_port_in_use_has_the_setting_and_the_address() {
        let first = Listener::bind("admin", "[::]:0".parse().unwrap()).unwrap();
        let address = first.local_address();
        let failure = Listener::bind("http", address).unwrap_err();
        let expected = format!("http: cannot listen on {address}: port already in use");
        assert_eq!((failure.code(), failure.sentence()), (1, expected));
        let failure = Listener::bind("admin", "192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert_eq!(
            failure.sentence(),
            "admin: cannot listen on 192.0.2.1:0: not an address of this host (use [::] for all)"
        );
    }
}

//! `/metrics`: the exposition, with gzip if the client accepts it, in bounded memory.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::exposition::{Format, finish};

/// Maximum number of scrapes whose text is in memory: two Prometheus servers and two people.
const MAX_SCRAPES: usize = 4;
/// Octets of text passed to the socket at a time.
const CHUNK_BYTES: usize = 64 * 1024;

type WriteMetrics = dyn Fn(Format, &mut Vec<u8>) + Send + Sync;

pub(super) struct Scrapes {
    metrics: Arc<WriteMetrics>,
    slots: Arc<Semaphore>,
    /// Size of the last text: the capacity of the next one.
    last_size: Arc<AtomicUsize>,
}

impl Scrapes {
    pub(super) fn new(metrics: impl Fn(Format, &mut Vec<u8>) + Send + Sync + 'static) -> Self {
        Self {
            metrics: Arc::new(metrics),
            slots: Arc::new(Semaphore::new(MAX_SCRAPES)),
            last_size: Arc::default(),
        }
    }

    pub(super) async fn answer(&self, request: HeaderMap) -> Response {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                "too many concurrent scrapes\n",
            )
                .into_response();
        };
        let format = Format::from_accept(&joined(&request, &ACCEPT));
        let gzip = takes_gzip(&joined(&request, &ACCEPT_ENCODING));
        let (metrics, last_size) = (self.metrics.clone(), self.last_size.clone());
        let written = tokio::task::spawn_blocking(move || {
            let mut text = Vec::with_capacity(last_size.load(Ordering::Relaxed) + 1024);
            metrics(format, &mut text);
            finish(format, &mut text);
            last_size.store(text.len(), Ordering::Relaxed);
            if gzip { compressed(&text) } else { Ok(text) }
        });
        let Ok(Ok(text)) = written.await else {
            return (
                StatusCode::INTERNAL_SERVER_ERROR,
                "writing the metrics failed\n",
            )
                .into_response();
        };
        let headers = [
            (CONTENT_TYPE, format.content_type()),
            (VARY, "Accept, Accept-Encoding"),
        ];
        let body = Body::new(Text {
            rest: text.into(),
            _slot: slot,
        });
        let mut response = (headers, body).into_response();
        if gzip {
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// Joins all values of a header, which may be sent in several lines (RFC 9110 §5.3).
fn joined(request: &HeaderMap, name: &HeaderName) -> String {
    let values = request
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

/// Whether `Accept-Encoding` allows gzip: named, or `*`, without a weight of 0 (RFC 9110 §12.5.3).
fn takes_gzip(accept_encoding: &str) -> bool {
    let allows = |wanted: &str| {
        accept_encoding.split(',').find_map(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = parameters.trim().strip_prefix("q=").unwrap_or("1");
            name.trim().eq_ignore_ascii_case(wanted).then(|| {
                weight
                    .trim()
                    .parse::<f32>()
                    .is_ok_and(|weight| weight > 0.0)
            })
        })
    };
    allows("gzip").or_else(|| allows("*")).unwrap_or(false)
}

fn compressed(text: &[u8]) -> std::io::Result<Vec<u8>> {
    // Labels repeat a lot: higher levels gain little.
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish()
}

/// A body that holds the slot of its scrape while the text is in memory.
struct Text {
    rest: Bytes,
    _slot: OwnedSemaphorePermit,
}

impl http_body::Body for Text {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let size = self.rest.len().min(CHUNK_BYTES);
        let chunk = self.rest.split_to(size);
        Poll::Ready((size > 0).then(|| Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::takes_gzip;

    #[test]
    fn gzip_is_used_if_it_is_accepted() {
        for yes in [
            "gzip",
            "deflate, gzip;q=0.5",
            "br, GZIP",
            "*",
            "gzip;q=1, *;q=0",
        ] {
            assert!(takes_gzip(yes), "{yes:?}");
        }
        for no in [
            "",
            "identity",
            "gzip;q=0",
            "gzip; q=0.0, *",
            "gzipped",
            "*;q=0",
            "gzip;q=x",
        ] {
            assert!(!takes_gzip(no), "{no:?}");
        }
    }
}

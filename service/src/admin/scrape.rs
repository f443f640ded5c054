//! `/metrics`: the exposition, streamed in chunks, compressed if the client accepts it.
//!
//! A scrape is prepared on a thread for blocking work. Its chunks are produced when the connection
//! has room for them, so a slow client needs no more memory than a fast one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;

use super::encoding::{Compressor, Encoding};
use super::lifetime::ConnectionLifetime;
use super::scrape_slots::{ScrapeSlot, ScrapeSlots};
use crate::exposition::{CHUNK_OCTETS, Chunks, Format, finish};

type PrepareScrape = dyn Fn(Format) -> Box<dyn Chunks> + Send + Sync;

pub(super) struct Scrapes {
    prepare: Arc<PrepareScrape>,
    slots: ScrapeSlots,
}

impl Scrapes {
    pub(super) fn new(prepare: impl Fn(Format) -> Box<dyn Chunks> + Send + Sync + 'static) -> Self {
        Self {
            prepare: Arc::new(prepare),
            slots: ScrapeSlots::default(),
        }
    }

    /// Answers a scrape. `connection` is closed if another scrape needs the slot.
    pub(super) async fn answer(
        &self,
        connection: Option<ConnectionLifetime>,
        request: HeaderMap,
    ) -> Response {
        let Some(slot) = self.slots.acquire(connection, now()) else {
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                "too many concurrent scrapes\n",
            )
                .into_response();
        };
        let format = Format::from_accept(&joined(&request, &ACCEPT));
        let encoding = Encoding::from_accept(&joined(&request, &ACCEPT_ENCODING));
        let prepare = self.prepare.clone();
        let prepared = tokio::task::spawn_blocking(move || prepare(format)).await;
        let (Ok(chunks), Ok(compressor)) = (prepared, Compressor::new(encoding)) else {
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
        let body = Body::new(Stream {
            chunks,
            format,
            compressor,
            is_complete: false,
            slot,
        });
        let mut response = (headers, body).into_response();
        if let Some(name) = encoding.name() {
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        response
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the speed of a client is measured with this machine's time"
)]
fn now() -> Instant {
    Instant::now()
}

/// Joins all values of a header, which may be sent in several lines (RFC 9110 §5.3).
fn joined(request: &HeaderMap, name: &HeaderName) -> String {
    let values = request
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

/// A body that holds the slot of its scrape.
struct Stream {
    chunks: Box<dyn Chunks>,
    format: Format,
    compressor: Compressor,
    is_complete: bool,
    slot: ScrapeSlot,
}

impl Stream {
    /// The next octets to send. `None` after the last ones.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        while !self.is_complete {
            // With room for the line that ends a chunk, and below the size from which the
            // allocator maps pages for each.
            let mut chunk = Vec::with_capacity(CHUNK_OCTETS + (4 << 10));
            self.is_complete = !self.chunks.write_chunk(&mut chunk);
            if self.is_complete {
                finish(self.format, &mut chunk);
            }
            self.slot.advance(chunk.len());
            let octets = self.compressor.write(chunk, self.is_complete)?;
            if !octets.is_empty() {
                return Ok(Some(octets));
            }
        }
        Ok(None)
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let octets = self.next().transpose();
        Poll::Ready(octets.map(|octets| octets.map(|octets| Frame::data(octets.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_complete
    }
}

//! Limits: concurrent queries, and the memory of answers on their way to clients.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::ApiError;

/// Maximum number of queries that run at the same time.
const MAX_QUERIES: usize = 2;
/// Time for which a query waits for another one to end.
const QUERY_WAIT: Duration = Duration::from_secs(2);
/// Maximum memory of answers that clients have not read yet, KiB.
const MAX_ANSWERS_KIB: u32 = 64 << 10;
/// Media type of a JSON document.
pub(super) const JSON: &str = "application/json";
/// Octets passed to the socket at a time.
const CHUNK_OCTETS: usize = 64 << 10;

/// The limits.
#[derive(Debug)]
pub(super) struct Limits {
    queries: Arc<Semaphore>,
    answers: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        let answers = usize::try_from(MAX_ANSWERS_KIB).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            queries: Arc::new(Semaphore::new(MAX_QUERIES)),
            answers: Arc::new(Semaphore::new(answers)),
        }
    }
}

impl Limits {
    /// Waits until a query may run. `None` if there are too many.
    pub(super) async fn query(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.queries).acquire_owned();
        timeout(QUERY_WAIT, permit).await.ok()?.ok()
    }

    /// Sends a document, or an error if too much memory is used by other answers.
    pub(super) fn answer(&self, octets: Bytes, content_type: &'static str) -> Response {
        let kibibytes = octets.len() / 1024 + 1;
        let permits = u32::try_from(kibibytes).unwrap_or(MAX_ANSWERS_KIB);
        let memory = Arc::clone(&self.answers).try_acquire_many_owned(permits.min(MAX_ANSWERS_KIB));
        let Ok(memory) = memory else {
            return ApiError::too_many_requests().into_response();
        };
        let headers = [
            (CONTENT_TYPE, content_type),
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let body = Body::new(Answer {
            rest: octets,
            _memory: memory,
        });
        (headers, body).into_response()
    }
}

/// A body that counts as memory until it is sent.
struct Answer {
    rest: Bytes,
    _memory: OwnedSemaphorePermit,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let size = self.rest.len().min(CHUNK_OCTETS);
        let chunk = self.rest.split_to(size);
        Poll::Ready((size > 0).then(|| Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn answers_that_are_not_read_are_limited() {
        let limits = Limits::default();
        let octets = Bytes::from(vec![b' '; 30 << 20]);
        let unread = [(); 2].map(|()| limits.answer(octets.clone(), JSON));
        assert!(
            unread
                .iter()
                .all(|answer| answer.status() == StatusCode::OK)
        );
        let refused = limits.answer(octets.clone(), JSON);
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers()["retry-after"], "1");
        drop(unread);
        assert_eq!(limits.answer(octets, JSON).status(), StatusCode::OK);
    }
}

//! What the requests of a connection share: how long it lives, and the certificate of its client.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Notify;

use super::slots::{self, Requests};
use super::transport::ClientCertificate;

/// The lifetime of a connection. Each request has it as an extension.
#[derive(Clone, Debug, Default)]
pub struct ConnectionLifetime(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_extended: AtomicBool,
    closed: Notify,
}

impl ConnectionLifetime {
    /// Lets the response of this request take any time, as long as the client reads it. It is the
    /// last one of its connection after the usual lifetime.
    pub fn extend(&self) {
        self.0.is_extended.store(true, Ordering::Release);
    }

    pub(super) fn is_extended(&self) -> bool {
        self.0.is_extended.load(Ordering::Acquire)
    }

    /// Closes the connection immediately, even in the middle of a response.
    pub(super) fn close(&self) {
        self.0.closed.notify_one();
    }

    /// Waits until the connection is to be closed.
    pub(super) async fn closed(&self) {
        self.0.closed.notified().await;
    }
}

/// The routes, for the requests of one connection.
#[derive(Debug)]
pub(super) struct ConnectionService {
    routes: TowerToHyperService<Router>,
    lifetime: ConnectionLifetime,
    certificate: ClientCertificate,
    requests: Requests,
}

impl ConnectionService {
    pub(super) fn new(
        routes: Router,
        lifetime: ConnectionLifetime,
        certificate: ClientCertificate,
        requests: Requests,
    ) -> Self {
        Self {
            routes: TowerToHyperService::new(routes),
            lifetime,
            certificate,
            requests,
        }
    }
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let in_progress = self.requests.begin();
        request.extensions_mut().insert(self.lifetime.clone());
        request.extensions_mut().insert(self.certificate);
        let response = self.routes.call(request);
        Box::pin(async {
            let response = response.await?;
            Ok(response.map(|body| Answer {
                body,
                _in_progress: in_progress,
            }))
        })
    }
}

/// The body of a response. Its request is in progress until it is sent.
pub(super) struct Answer {
    body: Body,
    _in_progress: slots::Request,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

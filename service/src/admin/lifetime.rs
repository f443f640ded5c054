//! What the requests of a connection share: how long it lives, and the certificate of its client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Notify;

use super::slots::FirstRequest;
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
    first_request: Arc<FirstRequest>,
}

impl ConnectionService {
    pub(super) fn new(
        routes: Router,
        lifetime: ConnectionLifetime,
        certificate: ClientCertificate,
        first_request: Arc<FirstRequest>,
    ) -> Self {
        Self {
            routes: TowerToHyperService::new(routes),
            lifetime,
            certificate,
            first_request,
        }
    }
}

type Routes = TowerToHyperService<Router>;

impl Service<Request<Incoming>> for ConnectionService {
    type Response = <Routes as Service<Request<Incoming>>>::Response;
    type Error = <Routes as Service<Request<Incoming>>>::Error;
    type Future = <Routes as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.first_request.arrived();
        request.extensions_mut().insert(self.lifetime.clone());
        request.extensions_mut().insert(self.certificate);
        self.routes.call(request)
    }
}

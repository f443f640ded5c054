//! What the requests of a connection share: how long it lives, and the certificate of its client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::slots::FirstRequest;
use super::transport::ClientCertificate;

/// The lifetime of a connection. Each request has it as an extension.
#[derive(Clone, Debug, Default)]
pub struct ConnectionLifetime(Arc<AtomicBool>);

impl ConnectionLifetime {
    /// Lets the response of this request take any time, as long as the client reads it. It is the
    /// last one of its connection after the usual lifetime.
    pub fn extend(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_extended(&self) -> bool {
        self.0.load(Ordering::Acquire)
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

//! What a request can change of its connection: how long it lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

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
}

impl ConnectionService {
    pub(super) fn new(routes: Router, lifetime: ConnectionLifetime) -> Self {
        Self {
            routes: TowerToHyperService::new(routes),
            lifetime,
        }
    }
}

type Routes = TowerToHyperService<Router>;

impl Service<Request<Incoming>> for ConnectionService {
    type Response = <Routes as Service<Request<Incoming>>>::Response;
    type Error = <Routes as Service<Request<Incoming>>>::Error;
    type Future = <Routes as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.lifetime.clone());
        self.routes.call(request)
    }
}

//! Enrich: addresses and times of a flow → its endpoints, and the class of the traffic between them.
//!
//! Part of the Intermediate Process (RFC 6183). Nothing here allocates; names are looked up where they are written.

mod cache;
mod class;
mod endpoints;
mod lookup;
mod skew;

pub use cache::EndpointCache;
pub use class::{Scope, TrafficClass};
pub use endpoints::{Endpoints, resolve};
pub use lookup::ResolvedEndpoint;
pub use skew::{ClockSkew, time_range};

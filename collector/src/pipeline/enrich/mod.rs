//! Enrich: addresses and times of a flow → its endpoints, and the class of the traffic between
//! them.
//!
//! Part of the Intermediate Process (RFC 6183). Nothing here allocates; names are looked up where
//! they are written.

mod cache;
mod class;
mod endpoints;
mod lookup;
mod packed_place;
mod skew;
mod tunnels;

pub use cache::EndpointCache;
pub use class::{Direction, Scope, TrafficClass};
pub use endpoints::{Endpoints, Resolver};
pub use lookup::{ResolvedEndpoint, resolve_address};
pub use skew::{ClockOffset, ClockSkew, time_range};
pub use tunnels::{TunnelNetworks, TunnelUse};

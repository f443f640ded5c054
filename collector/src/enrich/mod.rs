//! Enrich: a flow record → who its two ends are and what class of traffic that is.
//!
//! Part of the Intermediate Process (RFC 6183), between the decoder and the counting; nothing here
//! allocates, the names are looked up when somebody reads them.

mod class;
mod clock;
mod endpoint;
mod known;
mod recent;

pub use class::{Scope, TrafficClass};
pub use clock::{Clock, span};
pub use endpoint::{Ends, ends};
pub use known::{End, Known};
pub use recent::Recent;

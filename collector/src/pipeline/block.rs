//! A block of decoded flows on their way through the stages.
//!
//! Stages work on a block at a time, so that the memory accesses of its flows overlap instead of
//! waiting for each other. The room of a block is reused.

use super::enrich::{Endpoints, Resolver};
use super::flow::{Flow, FlowExtras};
use super::health::FlowHealth;
use super::observers::Observers;

/// Flows of a full block. More do not fit in the first-level cache of the processor.
pub(super) const MAX_FLOWS: usize = 64;

/// Flows, and what the stages found out about them.
#[derive(Debug, Default)]
pub(super) struct Block {
    flows: Vec<Flow>,
    extras: Vec<FlowExtras>,
    health: Vec<FlowHealth>,
    endpoints: Vec<Endpoints>,
}

/// A flow of a block with what belongs to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedFlow<'a> {
    pub(super) flow: &'a Flow,
    pub(super) extras: Option<&'a FlowExtras>,
    pub(super) health: Option<&'a FlowHealth>,
    pub(super) endpoints: &'a Endpoints,
}

impl Flow {
    /// Its extras among those of its block.
    #[inline]
    pub(super) fn extras<'a>(&self, extras: &'a [FlowExtras]) -> Option<&'a FlowExtras> {
        extras.get(usize::try_from(self.extras?).ok()?)
    }

    /// Its health among that of its block.
    #[inline]
    fn health<'a>(&self, health: &'a [FlowHealth]) -> Option<&'a FlowHealth> {
        health.get(usize::try_from(self.health?).ok()?)
    }
}

impl Block {
    /// Keeps the health of a flow. Returns its position.
    pub(super) fn keep_health(&mut self, health: Option<FlowHealth>) -> Option<u32> {
        let at = u32::try_from(self.health.len()).ok()?;
        self.health.push(health?);
        Some(at)
    }

    /// Keeps the extras of a flow. Returns their position.
    pub(super) fn keep_extras(&mut self, extras: FlowExtras) -> Option<u32> {
        let at = u32::try_from(self.extras.len()).ok()?;
        self.extras.push(extras);
        Some(at)
    }

    /// Adds a flow. The reverse direction of a record follows its own direction.
    #[inline]
    pub(super) fn push(&mut self, flow: Flow) {
        self.flows.push(flow);
    }

    /// True if the flows should be processed before more are added.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.flows.len() >= MAX_FLOWS
    }

    /// True if there is no flow in it.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Resolves the endpoints of all flows.
    pub(super) fn resolve(&mut self, resolver: &mut Resolver<'_>) {
        // First the reads of all flows, which do not depend on each other, so that their cache
        // misses overlap.
        let mut touched = 0;
        for flow in &self.flows {
            let cache = &resolver.cache;
            touched ^= cache.touch(flow.source) ^ cache.touch(flow.destination);
        }
        std::hint::black_box(touched);
        for flow in &self.flows {
            let endpoints = match self.endpoints.last() {
                // A reverse direction follows its forward direction.
                Some(forward) if !flow.is_forward() => Endpoints::reversed(*forward),
                _ => resolver.resolve(flow, flow.extras(&self.extras)),
            };
            self.endpoints.push(endpoints);
        }
    }

    /// Reads the observers of the nodes of all flows, so that their cache misses overlap.
    pub(super) fn touch_observers(&self, observers: &Observers) {
        let mut touched = 0;
        for endpoints in &self.endpoints {
            for endpoint in [&endpoints.source, &endpoints.destination] {
                touched ^= endpoint.place.node.map_or(0, |node| observers.touch(node));
            }
        }
        std::hint::black_box(touched);
    }

    /// The flows with what belongs to them.
    pub(super) fn resolved(&self) -> impl Iterator<Item = ResolvedFlow<'_>> {
        let flows = self.flows.iter().zip(&self.endpoints);
        flows.map(|(flow, endpoints)| ResolvedFlow {
            flow,
            extras: flow.extras(&self.extras),
            health: flow.health(&self.health),
            endpoints,
        })
    }

    /// Removes all flows.
    pub(super) fn clear(&mut self) {
        self.flows.clear();
        self.extras.clear();
        self.health.clear();
        self.endpoints.clear();
    }
}

//! The sampling in force for a record, by what options data announced.
//!
//! The most specific announcement holds: of the selector or selection sequence that the record
//! names, of its interface, line card, port or Observation Point, of its template, of its domain,
//! of the device. A record that names no selector takes the one in which all selectors of its
//! domain agree.

use super::announced::{Announcer, Resolved};
use super::store::{OptionsStore, SamplerScope};
use crate::plan::{SamplingScopes, Selection};
use crate::record::FlowRecord;

/// Finds the sampling of the records of one Set.
#[derive(Debug)]
pub(crate) struct SamplingResolver<'a> {
    store: &'a OptionsStore,
    asking: Announcer,
    /// For records that nothing more specific applies to.
    default: Resolved<Selection>,
    /// The same without the agreement of all selectors.
    of_domain: Resolved<Selection>,
    /// The selector looked up last.
    latest: Option<(u64, Resolved<Selection>)>,
}

impl<'a> SamplingResolver<'a> {
    /// `None` if nothing was announced.
    /// `all_selectors`: the sampling in which all selectors of the domain agree.
    pub(crate) fn new(
        store: &'a OptionsStore,
        asking: Announcer,
        template: u16,
        all_selectors: Resolved<Selection>,
    ) -> Option<Self> {
        if !store.has_samplers() {
            return None;
        }
        let of_template = store.sampler(SamplerScope::Template(template), asking);
        let of_domain = match of_template {
            Resolved::Unknown => store.sampler(SamplerScope::Domain, asking),
            of_template => of_template,
        };
        let default = match of_domain {
            Resolved::Unknown => all_selectors,
            of_domain => of_domain,
        };
        Some(Self {
            store,
            asking,
            default,
            of_domain,
            latest: None,
        })
    }

    /// The sampling of all records that name no selector or other scope. `Ambiguous` if it depends
    /// on the record.
    pub(crate) fn of_all(&self) -> Resolved<Selection> {
        if self.store.are_samplers_of_domain() {
            self.default
        } else {
            Resolved::Ambiguous
        }
    }

    /// The sampling announced for a record that does not report its own, and whether it is not
    /// sure: the record names a selector that was not announced, or the announcements contradict
    /// each other. `scopes`: properties of the record.
    pub(crate) fn resolve(
        &mut self,
        record: &FlowRecord,
        scopes: Option<SamplingScopes>,
    ) -> (Option<Selection>, bool) {
        let scopes = scopes.unwrap_or_default();
        let resolved = match scopes.selector {
            Some(selector) => match self.selector(selector) {
                // 0 names none where it is not announced.
                Resolved::Unknown if selector == 0 => self.of_domain,
                Resolved::Unknown => {
                    return (self.of_domain.known(), true);
                }
                resolved => resolved,
            },
            None => self.by_properties(record, scopes),
        };
        match resolved {
            Resolved::Known(selection) => (Some(selection), false),
            Resolved::Ambiguous => (None, true),
            Resolved::Unknown => (None, false),
        }
    }

    fn by_properties(
        &mut self,
        record: &FlowRecord,
        scopes: SamplingScopes,
    ) -> Resolved<Selection> {
        if let Some(sequence) = scopes.sequence {
            match self.sequence(sequence) {
                Resolved::Unknown => {}
                resolved => return resolved,
            }
        }
        let interface = record.interfaces.map_or(0, |interfaces| {
            let (ingress, egress) = (interfaces.ingress_interface, interfaces.egress_interface);
            match (interfaces.flow_direction, ingress) {
                (Some(1), _) | (_, 0) => egress,
                _ => ingress,
            }
        });
        let specific = [
            (interface != 0).then_some(SamplerScope::Interface(interface)),
            scopes.port.map(SamplerScope::Port),
            scopes.line_card.map(SamplerScope::LineCard),
            scopes.observation_point.map(SamplerScope::ObservationPoint),
        ];
        for scope in specific.into_iter().flatten() {
            match self.store.sampler(scope, self.asking) {
                Resolved::Unknown => {}
                resolved => return resolved,
            }
        }
        self.default
    }

    fn selector(&mut self, selector: u64) -> Resolved<Selection> {
        if let Some((latest, resolved)) = self.latest
            && latest == selector
        {
            return resolved;
        }
        let scope = SamplerScope::Selector(selector);
        let resolved = self.store.sampler(scope, self.asking);
        self.latest = Some((selector, resolved));
        resolved
    }

    /// The selectors of a selection sequence, one after the other.
    fn sequence(&mut self, sequence: u64) -> Resolved<Selection> {
        let scope = SamplerScope::Sequence(sequence);
        let Some(selectors) = self.store.sequence(sequence, self.asking) else {
            return self.store.sampler(scope, self.asking);
        };
        let mut all = Selection::default();
        for selector in selectors {
            match self.selector(*selector) {
                Resolved::Known(selection) => all = all.and(selection),
                // A filter selects without a rate.
                Resolved::Unknown => {}
                Resolved::Ambiguous => return Resolved::Ambiguous,
            }
        }
        Resolved::Known(all)
    }
}

//! The sampling of the records of a Set: set by the operator, reported by the record, or announced.

use crate::options::{Resolved, SamplingResolver};
use crate::plan::{Selection, Values};
use crate::record::FlowRecord;
use crate::sessions::{Place, SamplingRule, Sessions};
use crate::template::Template;

/// Finds the sampling in force for the records of a Set.
pub(super) struct SamplingInForce<'a> {
    rule: SamplingRule,
    /// `None` if nothing was announced.
    announced: Option<SamplingResolver<'a>>,
    /// Records name a selector or another property by which sampling is announced.
    have_scopes: bool,
    /// Records report sampling themselves.
    have_own: bool,
    /// Records whose sampling is not known.
    pub(super) unknown: u32,
}

impl<'a> SamplingInForce<'a> {
    /// The sampling of the records of a template, in Messages of a session.
    pub(super) fn new(
        sessions: &'a Sessions,
        place: Place,
        (id, template): (u16, &Template),
    ) -> Self {
        let plan = template.plan();
        Self {
            rule: sessions.sampling_rule(place),
            announced: sessions.sampling(place, id),
            have_scopes: plan.have_sampling_scopes(),
            have_own: plan.have_sampling(),
            unknown: 0,
        }
    }

    /// Whether the sampling that records report is all there is.
    pub(super) fn is_none(&self) -> bool {
        self.announced.is_none()
            && self.rule == SamplingRule::default()
            && !self.have_scopes
            && !self.have_own
    }

    /// The sampling of all records that report none, if it does not depend on the record.
    pub(super) fn of_all(&self) -> Option<Selection> {
        if let Some(sampling) = self.rule.override_with {
            return Some(Selection::of_packets(sampling));
        }
        let announced = self.announced.as_ref();
        match announced.map_or(Resolved::Unknown, SamplingResolver::of_all) {
            Resolved::Known(selection) => Some(selection),
            Resolved::Unknown => Some(self.unannounced()),
            Resolved::Ambiguous => None,
        }
    }

    /// The sampling of records for which none is reported.
    fn unannounced(&self) -> Selection {
        Selection::of_packets(self.rule.default.unwrap_or_default())
    }

    /// Sets the sampling of a record.
    pub(super) fn apply(&mut self, values: &Values, record: &mut FlowRecord) {
        if let Some(sampling) = self.rule.override_with {
            return Selection::of_packets(sampling).apply(record);
        }
        if values.own_sampling().is_some() {
            return;
        }
        let scopes = self.have_scopes.then(|| values.sampling_scopes());
        let (selection, is_unknown) = match &mut self.announced {
            Some(announced) => announced.resolve(record, scopes),
            None => {
                let selector = scopes.and_then(|scopes| scopes.selector);
                (None, selector.is_some_and(|s| s != 0))
            }
        };
        let is_unknown = is_unknown || values.has_implausible_sampling() && selection.is_none();
        if is_unknown && (selection.is_some() || self.rule.default.is_none()) {
            self.unknown = self.unknown.saturating_add(1);
        }
        selection
            .unwrap_or_else(|| self.unannounced())
            .apply(record);
    }
}

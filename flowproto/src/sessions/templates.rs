//! Templates of sessions, and those that the sessions of one device can share.

use std::collections::HashMap;
use std::sync::Arc;

use super::clock::MessageClock;
use super::tracks::TrackId;
use crate::field::FieldSpecifier;
use crate::template::{Template, TemplateKind};

/// A Message that was sent before a change of a template arrives at most this time after it,
/// milliseconds.
const MAX_LATENESS_MILLISECONDS: u64 = 60_000;
/// Maximum number of different layouts with the same ID in one domain.
const MAX_LAYOUTS: usize = 8;

/// A template of a session.
#[derive(Clone, Debug)]
pub(super) struct TemplateEntry {
    pub(super) template: Arc<Template>,
    /// Order of definitions.
    pub(super) stamp: u64,
    /// Number of the datagram that defined it.
    pub(super) defined_in: u64,
    /// Time at which it was last sent, milliseconds since the epoch.
    pub(super) sent_milliseconds: u64,
    /// Time at which it was last sent or used, milliseconds since the epoch.
    pub(super) used_milliseconds: u64,
    /// It is in the [`Directory`], which accounts for its fields.
    pub(super) is_in_directory: bool,
    pub(super) change: Option<TemplateChange>,
}

/// The change of a template to another one, for Messages that were sent before it and arrive after
/// it.
#[derive(Clone, Debug)]
pub(super) struct TemplateChange {
    /// Number of the first Message with the later definition.
    pub(super) sequence: u32,
    /// Clocks of the Message with which the change arrived.
    pub(super) clock: MessageClock,
    /// The earlier template. `None` if there was no room for it.
    pub(super) earlier: Option<Arc<Template>>,
}

impl TemplateEntry {
    /// The fields that only this session accounts for.
    pub(super) fn own_fields(&self) -> usize {
        let own = if self.is_in_directory {
            0
        } else {
            self.template.len()
        };
        let change = self.change.as_ref().map_or(0, TemplateChange::fields);
        own.saturating_add(1).saturating_add(change)
    }

    /// The template of the records in a Message. `None` if it is an earlier one that is not known.
    /// `is_before`: whether the Message was sent before the change.
    pub(super) fn of_message(
        &self,
        is_before: impl FnOnce(&TemplateChange) -> bool,
    ) -> Option<&Arc<Template>> {
        match &self.change {
            Some(change) if is_before(change) => change.earlier.as_ref(),
            _ => Some(&self.template),
        }
    }

    /// Drops a change that `is_over` chooses. Returns the fields removed.
    pub(super) fn drop_change(&mut self, is_over: impl Fn(&TemplateChange) -> bool) -> usize {
        let dropped = self.change.take_if(|change| is_over(change));
        dropped.map_or(0, |change| change.fields())
    }
}

impl TemplateChange {
    /// The fields of the earlier template.
    pub(super) fn fields(&self) -> usize {
        self.earlier.as_ref().map_or(0, |earlier| earlier.len())
    }

    /// Whether no Message that arrives at this time can have been sent before it.
    pub(super) const fn is_over(&self, now_milliseconds: u64) -> bool {
        let received = self.clock.received_milliseconds;
        now_milliseconds.saturating_sub(received) > MAX_LATENESS_MILLISECONDS
    }
}

/// A layout that sessions of a domain have defined.
#[derive(Clone, Debug)]
pub(super) struct SharedTemplate {
    pub(super) template: Arc<Template>,
    /// Sessions that have this layout.
    owners: usize,
    /// The latest definition of it.
    pub(super) definition: SharedDefinition,
    pub(super) used_milliseconds: u64,
}

/// Where and when a layout was last defined, or used.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedDefinition {
    pub(super) stamp: u64,
    pub(super) track: Option<TrackId>,
    pub(super) clock: MessageClock,
}

/// Layouts by domain and template ID.
#[derive(Debug, Default)]
pub(super) struct Directory {
    layouts: HashMap<(u32, u16), Vec<SharedTemplate>, foldhash::fast::RandomState>,
}

impl Directory {
    /// The layout with these fields.
    pub(super) fn find(
        &self,
        key: (u32, u16),
        fields: &[FieldSpecifier],
        kind: TemplateKind,
    ) -> Option<Arc<Template>> {
        let layouts = self.layouts.get(&key)?;
        let layout = layouts.iter().find(|l| l.template.is(fields, kind))?;
        Some(Arc::clone(&layout.template))
    }

    /// A session has defined a layout that it did not have. Returns whether there was room for it,
    /// and the fields added and removed.
    pub(super) fn define(
        &mut self,
        key: (u32, u16),
        template: &Arc<Template>,
        definition: SharedDefinition,
    ) -> (bool, usize, usize) {
        if self.refresh(key, template, definition, 1) {
            return (true, 0, 0);
        }
        let layouts = self.layouts.entry(key).or_default();
        let mut removed = 0;
        if layouts.len() >= MAX_LAYOUTS {
            let orphans = layouts.iter().enumerate().filter(|(_, l)| l.owners == 0);
            let oldest = orphans.min_by_key(|(_, layout)| layout.definition.stamp);
            let Some((at, _)) = oldest else {
                return (false, 0, 0);
            };
            removed = layouts.remove(at).template.len();
        }
        layouts.push(SharedTemplate {
            template: Arc::clone(template),
            owners: 1,
            definition,
            used_milliseconds: definition.clock.received_milliseconds,
        });
        (true, template.len(), removed)
    }

    /// `owners` more sessions, none or one, have defined a layout. False if it is not here.
    pub(super) fn refresh(
        &mut self,
        key: (u32, u16),
        template: &Arc<Template>,
        definition: SharedDefinition,
        owners: usize,
    ) -> bool {
        let mut layouts = self.layouts.get_mut(&key).into_iter().flatten();
        let Some(layout) = layouts.find(|layout| Arc::ptr_eq(&layout.template, template)) else {
            return false;
        };
        layout.owners = layout.owners.saturating_add(owners);
        layout.definition = definition;
        layout.used_milliseconds = definition.clock.received_milliseconds;
        true
    }

    /// A session does not have this layout any longer. `keeps`: the layout stays even without
    /// owner. Returns the fields removed.
    pub(super) fn release(
        &mut self,
        key: (u32, u16),
        template: &Arc<Template>,
        keeps: bool,
    ) -> usize {
        let Some(layouts) = self.layouts.get_mut(&key) else {
            return 0;
        };
        let mut removed = 0_usize;
        layouts.retain_mut(|layout| {
            if !Arc::ptr_eq(&layout.template, template) {
                return true;
            }
            layout.owners = layout.owners.saturating_sub(1);
            let stays = keeps || layout.owners > 0;
            if !stays {
                removed = removed.saturating_add(layout.template.len());
            }
            stays
        });
        if layouts.is_empty() {
            self.layouts.remove(&key);
        }
        removed
    }

    /// The layouts of an ID.
    pub(super) fn layouts(&self, key: (u32, u16)) -> &[SharedTemplate] {
        self.layouts.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Marks a layout as used by a Message with these clocks.
    pub(super) fn touch(&mut self, key: (u32, u16), template: &Arc<Template>, clock: MessageClock) {
        let layouts = self.layouts.get_mut(&key).into_iter().flatten();
        for layout in layouts {
            if Arc::ptr_eq(&layout.template, template) {
                layout.used_milliseconds = clock.received_milliseconds;
                layout.definition.clock = clock;
            }
        }
    }

    /// Drops layouts without owner that `is_kept` does not keep. Returns the fields removed.
    pub(super) fn drop_orphans(&mut self, is_kept: impl Fn(&SharedTemplate) -> bool) -> usize {
        let mut removed = 0_usize;
        self.layouts.retain(|_, layouts| {
            layouts.retain(|layout| {
                let stays = layout.owners > 0 || is_kept(layout);
                if !stays {
                    removed = removed.saturating_add(layout.template.len());
                }
                stays
            });
            !layouts.is_empty()
        });
        removed
    }

    /// Layouts without owner.
    pub(super) fn orphans(&self) -> impl Iterator<Item = ((u32, u16), &SharedTemplate)> {
        let layouts = self.layouts.iter();
        let layouts = layouts.flat_map(|(key, layouts)| layouts.iter().map(move |l| (*key, l)));
        layouts.filter(|(_, layout)| layout.owners == 0)
    }

    /// The fields of all layouts.
    pub(super) fn fields(&self) -> usize {
        let layouts = self.layouts.values().flatten();
        layouts.map(|layout| layout.template.len()).sum()
    }
}

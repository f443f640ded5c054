//! The combinations of attributes and their ids: only ever added to, so that an id outlives reloads.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{ExternalAttributes, ExternalId};

/// Nothing is known.
pub(super) fn unknown() -> &'static ExternalAttributes {
    static UNKNOWN: LazyLock<ExternalAttributes> = LazyLock::new(ExternalAttributes::default);
    &UNKNOWN
}

/// All combinations that were ever met, up to a bound.
#[derive(Debug)]
pub(super) struct AttributeTable {
    /// By [`ExternalId`]; shared with the snapshots.
    all: Arc<Vec<ExternalAttributes>>,
    ids: HashTable<u32>,
    hasher: RandomState,
    texts: HashSet<Arc<str>, RandomState>,
    most: usize,
}

impl AttributeTable {
    /// [`ExternalId::UNKNOWN`] and [`ExternalId::OTHER`], and room for `most` altogether.
    pub(super) fn new(most: usize) -> Self {
        let mut names = Self {
            all: Arc::default(),
            ids: HashTable::new(),
            hasher: RandomState::default(),
            texts: HashSet::default(),
            most: most.clamp(2, 1 << 24),
        };
        names.id(unknown());
        let other: Arc<str> = Arc::from("other");
        names.id(&ExternalAttributes {
            name: Arc::clone(&other),
            as_number: 0,
            as_organisation: Arc::clone(&other),
            country: Arc::clone(&other),
            cloud_provider: Arc::clone(&other),
            cloud_service: Arc::clone(&other),
            cloud_region: other,
        });
        names
    }

    /// The ids of `facts`, in their order. Where room is short, what somebody named goes first, then
    /// clouds.
    pub(super) fn intern(&mut self, facts: &[ExternalAttributes]) -> Vec<ExternalId> {
        let importance = |a: &ExternalAttributes| (a.name.is_empty(), a.cloud_provider.is_empty());
        let mut order: Vec<(usize, &ExternalAttributes)> = facts.iter().enumerate().collect();
        order.sort_by_key(|(_, attributes)| importance(attributes));
        let mut ids = vec![ExternalId::UNKNOWN; facts.len()];
        for (at, attributes) in order {
            if let Some(slot) = ids.get_mut(at) {
                *slot = self.id(attributes);
            }
        }
        ids
    }

    /// What the ids stand for.
    pub(super) fn all(&self) -> Arc<Vec<ExternalAttributes>> {
        Arc::clone(&self.all)
    }

    fn id(&mut self, attributes: &ExternalAttributes) -> ExternalId {
        let mut attributes = attributes.clone();
        if attributes.cloud_service.is_empty() {
            attributes.cloud_service = whole(&attributes.cloud_provider);
        }
        let hash = self.hasher.hash_one(&attributes);
        let at = |id: u32| usize::try_from(id).ok().and_then(|at| self.all.get(at));
        if let Some(id) = self.ids.find(hash, |id| at(*id) == Some(&attributes)) {
            return ExternalId(*id);
        }
        if self.all.len() >= self.most {
            return ExternalId::OTHER;
        }
        let id = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        for text in [
            &mut attributes.name,
            &mut attributes.as_organisation,
            &mut attributes.country,
            &mut attributes.cloud_provider,
            &mut attributes.cloud_service,
            &mut attributes.cloud_region,
        ] {
            match self.texts.get(&**text) {
                Some(known) => *text = Arc::clone(known),
                None => {
                    self.texts.insert(Arc::clone(text));
                }
            }
        }
        // Copies the list where a snapshot still reads it: once a reload, for its first new entry.
        let all = Arc::make_mut(&mut self.all);
        all.push(attributes);
        let hasher = &self.hasher;
        self.ids.insert_unique(hash, id, |id| {
            let known = usize::try_from(*id).ok().and_then(|at| all.get(at));
            hasher.hash_one(known.unwrap_or_else(|| unknown()))
        });
        ExternalId(id)
    }
}

/// What a cloud calls the whole of its addresses.
fn whole(provider: &str) -> Arc<str> {
    Arc::from(match provider {
        "aws" => "AMAZON",
        "gcp" => "Google",
        "azure" => "AzureCloud",
        _ => "",
    })
}

//! Distinct combinations of attributes and their ids. Entries are never removed, so ids stay valid
//! when files are reloaded.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::attributes::{ExternalAttributes, ExternalId};

/// Returns the empty attributes.
pub(super) fn unknown() -> &'static ExternalAttributes {
    static UNKNOWN: LazyLock<ExternalAttributes> = LazyLock::new(ExternalAttributes::default);
    &UNKNOWN
}

/// All combinations since the start, up to a limit.
#[derive(Debug)]
pub(super) struct AttributeTable {
    /// Attributes by [`ExternalId`]. Shared with the snapshots.
    all: Arc<Vec<ExternalAttributes>>,
    ids: HashTable<u32>,
    hasher: RandomState,
    texts: HashSet<Arc<str>, RandomState>,
    max_count: usize,
}

impl AttributeTable {
    /// Creates a table with [`ExternalId::UNKNOWN`] and [`ExternalId::OTHER`]. `max_count`
    /// includes these two.
    pub(super) fn new(max_count: usize) -> Self {
        let mut table = Self {
            all: Arc::default(),
            ids: HashTable::new(),
            hasher: RandomState::default(),
            texts: HashSet::default(),
            max_count: max_count.clamp(2, 1 << 24),
        };
        table.id(unknown());
        let other: Arc<str> = Arc::from("other");
        table.id(&ExternalAttributes {
            name: Arc::clone(&other),
            as_number: 0,
            as_organisation: Arc::clone(&other),
            country: Arc::clone(&other),
            cloud_provider: Arc::clone(&other),
            cloud_service: Arc::clone(&other),
            cloud_region: other,
        });
        table
    }

    /// Returns the ids of `combinations`, in the same order. If there are too many, named CIDRs get
    /// ids first and cloud ranges second.
    pub(super) fn intern(&mut self, combinations: &[ExternalAttributes]) -> Vec<ExternalId> {
        let priority = |a: &ExternalAttributes| (a.name.is_empty(), a.cloud_provider.is_empty());
        let mut order: Vec<(usize, &ExternalAttributes)> =
            combinations.iter().enumerate().collect();
        order.sort_by_key(|(_, attributes)| priority(attributes));
        let mut ids = vec![ExternalId::UNKNOWN; combinations.len()];
        for (at, attributes) in order {
            if let Some(slot) = ids.get_mut(at) {
                *slot = self.id(attributes);
            }
        }
        ids
    }

    /// Returns the attributes by id.
    pub(super) fn all(&self) -> Arc<Vec<ExternalAttributes>> {
        Arc::clone(&self.all)
    }

    fn id(&mut self, attributes: &ExternalAttributes) -> ExternalId {
        let mut attributes = attributes.clone();
        if attributes.cloud_service.is_empty() {
            attributes.cloud_service = default_service(&attributes.cloud_provider);
        }
        let hash = self.hasher.hash_one(&attributes);
        let at = |id: u32| usize::try_from(id).ok().and_then(|at| self.all.get(at));
        if let Some(id) = self.ids.find(hash, |id| at(*id) == Some(&attributes)) {
            return ExternalId(*id);
        }
        if self.all.len() >= self.max_count {
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
        // Copies the list if a snapshot still uses it: once per reload, for the first new entry.
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

/// Returns the cloud's own name for all of its addresses.
fn default_service(provider: &str) -> Arc<str> {
    Arc::from(match provider {
        "aws" => "AMAZON",
        "gcp" => "Google",
        "azure" => "AzureCloud",
        _ => "",
    })
}

//! Maps numbers to numbers. Most keys are positions in a table, such as those of endpoints of the
//! cluster.
//!
//! A value takes four octets at the position of its key, so that a look-up is one read, and the
//! values of a large cluster fit in the processor's cache.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::inventory::EndpointId;

/// Marks a key without a value. It is not a value itself.
const NONE: u32 = u32::MAX;

/// Numbers by key. Keys below [`EndpointId::MAX_COUNT`] take room for all keys below them.
#[derive(Clone, Debug, Default)]
pub struct DenseMap {
    positions: Vec<u32>,
    others: HashMap<u32, u32, RandomState>,
}

impl DenseMap {
    /// The value of a key.
    #[inline]
    #[must_use]
    pub fn get(&self, key: u32) -> Option<u32> {
        if key < EndpointId::MAX_COUNT {
            let value = self.positions.get(position(key)).copied();
            value.filter(|value| *value != NONE)
        } else {
            self.others.get(&key).copied()
        }
    }

    /// Sets the value of a key. `u32::MAX` is not kept.
    pub fn insert(&mut self, key: u32, value: u32) {
        if key >= EndpointId::MAX_COUNT {
            self.others.insert(key, value);
            return;
        }
        let at = position(key);
        if at >= self.positions.len() {
            self.positions.resize(at.saturating_add(1), NONE);
        }
        if let Some(place) = self.positions.get_mut(at) {
            *place = value;
        }
    }

    /// Removes all values. The room stays.
    pub fn clear(&mut self) {
        self.positions.clear();
        self.others.clear();
    }
}

fn position(key: u32) -> usize {
    usize::try_from(key).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_value_until_all_are_removed() {
        let mut map = DenseMap::default();
        let keys = [3, 0, 70_000, EndpointId::MAX_COUNT, EndpointId::LINK.0];
        for turn in 0..2 {
            assert!(keys.iter().all(|key| map.get(*key).is_none()));
            for (key, value) in keys.into_iter().zip(turn..) {
                map.insert(key, value);
                assert_eq!(map.get(key), Some(value));
            }
            assert_eq!(map.get(1), None);
            map.insert(0, 9);
            assert_eq!((map.get(0), map.get(3)), (Some(9), Some(turn)));
            map.clear();
        }
    }
}

//! States of the slots that have one. Kept apart because most conversations have none.

use super::links::NONE;

/// States by slot.
#[derive(Debug)]
pub(super) struct SlotStates<T> {
    /// Position of the state of each slot, up to the last one that had one; [`NONE`] without one.
    positions: Vec<u32>,
    states: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for SlotStates<T> {
    fn default() -> Self {
        Self {
            positions: Vec::new(),
            states: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T: Default> SlotStates<T> {
    /// The state of a slot.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let position = self.position(slot)?;
        self.states.get_mut(position)
    }

    /// The state of a slot, which is created if there is none.
    pub(super) fn get_or_create(&mut self, slot: u32) -> Option<&mut T> {
        if let Some(position) = self.position(slot) {
            return self.states.get_mut(position);
        }
        let at = index(slot)?;
        if self.positions.len() <= at {
            self.positions.resize(at.checked_add(1)?, NONE);
        }
        let position = match self.free.pop() {
            Some(position) => position,
            None => {
                let position = u32::try_from(self.states.len()).ok()?;
                self.states.push(T::default());
                position
            }
        };
        *self.positions.get_mut(at)? = position;
        self.states.get_mut(index(position)?)
    }

    /// Frees the state of a slot, if it has one.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(position) = self.position(slot) else {
            return;
        };
        if let Some(state) = self.states.get_mut(position) {
            *state = T::default();
        }
        if let Some(place) = index(slot).and_then(|slot| self.positions.get_mut(slot)) {
            self.free.push(std::mem::replace(place, NONE));
        }
    }

    fn position(&self, slot: u32) -> Option<usize> {
        let position = self.positions.get(index(slot)?)?;
        index(*position).filter(|position| *position < self.states.len())
    }
}

fn index(slot: u32) -> Option<usize> {
    usize::try_from(slot).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_state_is_used_again_and_is_empty() {
        let mut states = SlotStates::<u32>::default();
        *states.get_or_create(5).unwrap() = 7;
        assert_eq!(states.get_mut(5), Some(&mut 7));
        states.remove(5);
        states.remove(9);
        assert_eq!(states.get_mut(5), None);
        assert_eq!(states.get_or_create(2), Some(&mut 0));
        assert_eq!((states.states.len(), states.free.len()), (1, 0));
    }
}

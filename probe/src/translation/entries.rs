//! Entries in the order of their insertion. Each has a number, by which it is found and removed.
//! Room is used again, so that a warm table does not allocate.

/// The end of the order.
const NONE: u32 = u32::MAX;

/// Entries by their number.
#[derive(Debug)]
pub(super) struct OrderedEntries<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    first: u32,
    last: u32,
    length: usize,
}

#[derive(Debug)]
struct Slot<T> {
    /// `None` if the number is free.
    entry: Option<T>,
    before: u32,
    after: u32,
}

impl<T> Default for OrderedEntries<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            first: NONE,
            last: NONE,
            length: 0,
        }
    }
}

impl<T> OrderedEntries<T> {
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// The entry that was inserted first, and its number.
    pub(super) fn first(&self) -> Option<(u32, &T)> {
        Some((self.first, self.get(self.first)?))
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.slot(number)?.entry.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.slot_mut(number)?.entry.as_mut()
    }

    /// All entries with their numbers, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let numbered = (0..NONE).zip(&self.slots);
        numbered.filter_map(|(number, slot)| Some((number, slot.entry.as_ref()?)))
    }

    /// Inserts an entry. Returns its number; `None` if there is no number left.
    pub(super) fn push(&mut self, entry: T) -> Option<u32> {
        let slot = Slot {
            entry: Some(entry),
            before: self.last,
            after: NONE,
        };
        let number = match self.free.pop() {
            Some(number) => {
                *self.slot_mut(number)? = slot;
                number
            }
            None => {
                let number = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(slot);
                number
            }
        };
        match self.last {
            NONE => self.first = number,
            last => self.slot_mut(last)?.after = number,
        }
        self.last = number;
        self.length += 1;
        Some(number)
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let slot = self.slot_mut(number)?;
        let entry = slot.entry.take()?;
        let (before, after) = (slot.before, slot.after);
        match self.slot_mut(before) {
            Some(slot) => slot.after = after,
            None => self.first = after,
        }
        match self.slot_mut(after) {
            Some(slot) => slot.before = before,
            None => self.last = before,
        }
        self.free.push(number);
        self.length -= 1;
        Some(entry)
    }

    fn slot(&self, number: u32) -> Option<&Slot<T>> {
        self.slots.get(usize::try_from(number).ok()?)
    }

    fn slot_mut(&mut self, number: u32) -> Option<&mut Slot<T>> {
        self.slots.get_mut(usize::try_from(number).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_leave_in_the_order_of_their_insertion_wherever_others_are_removed() {
        for removed in 0..4 {
            let mut entries = OrderedEntries::default();
            let numbers: Vec<u32> = (0..4).map(|n| entries.push(n).unwrap()).collect();
            assert_eq!(entries.remove(numbers[removed]), Some(removed));
            assert_eq!(entries.remove(numbers[removed]), None);
            let again = entries.push(9).unwrap();
            assert_eq!(again, numbers[removed]);
            assert_eq!((entries.len(), entries.iter().count()), (4, 4));
            let mut order = Vec::new();
            while let Some((number, entry)) = entries.first() {
                order.push(*entry);
                entries.remove(number);
            }
            let mut expected: Vec<usize> = (0..4).filter(|n| *n != removed).collect();
            expected.push(9);
            assert_eq!(order, expected);
        }
    }
}

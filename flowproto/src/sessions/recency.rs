//! Lists of sessions in the order of their last use.
//!
//! Doubly linked through a table of links by place, so that a session moves to the end of its list
//! without a search. A session is in one list of each [`Dimension`].

use super::key::Place;

/// Links of one kind of list.
#[derive(Debug, Default)]
pub(super) struct Dimension {
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    before: Option<u32>,
    after: Option<u32>,
}

/// The ends of a list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecencyList {
    first: Option<u32>,
    last: Option<u32>,
    length: usize,
}

impl RecencyList {
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// The session not used for longest.
    pub(super) fn first(&self) -> Option<Place> {
        self.first.and_then(|place| Place::try_from(place).ok())
    }
}

impl Dimension {
    /// Appends a session that is in no list.
    pub(super) fn push(&mut self, list: &mut RecencyList, place: Place) {
        let Ok(number) = u32::try_from(place) else {
            return;
        };
        let unlinked = Link {
            before: None,
            after: None,
        };
        if self.links.len() <= place {
            self.links.resize(place.saturating_add(1), unlinked);
        }
        let link = Link {
            before: list.last,
            ..unlinked
        };
        self.set(Some(number), |own| *own = link);
        self.set(list.last, |last| last.after = Some(number));
        list.last = Some(number);
        list.first = list.first.or(Some(number));
        list.length = list.length.saturating_add(1);
    }

    /// Removes a session of this list.
    pub(super) fn remove(&mut self, list: &mut RecencyList, place: Place) {
        let Some(Link { before, after }) = self.links.get(place).copied() else {
            return;
        };
        match before {
            Some(_) => self.set(before, |link| link.after = after),
            None => list.first = after,
        }
        match after {
            Some(_) => self.set(after, |link| link.before = before),
            None => list.last = before,
        }
        list.length = list.length.saturating_sub(1);
    }

    /// Moves a session of this list to its end.
    #[inline]
    pub(super) fn touch(&mut self, list: &mut RecencyList, place: Place) {
        if list
            .last
            .is_none_or(|last| Place::try_from(last) != Ok(place))
        {
            self.remove(list, place);
            self.push(list, place);
        }
    }

    fn set(&mut self, place: Option<u32>, change: impl FnOnce(&mut Link)) {
        let place = place.and_then(|place| Place::try_from(place).ok());
        if let Some(link) = place.and_then(|place| self.links.get_mut(place)) {
            change(link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(dimension: &Dimension, list: &RecencyList) -> Vec<u32> {
        let mut out = Vec::new();
        let mut at = list.first;
        while let Some(place) = at {
            out.push(place);
            at = dimension.links[Place::try_from(place).unwrap()].after;
        }
        assert_eq!(out.len(), list.len());
        out
    }

    #[test]
    fn a_used_session_moves_to_the_end_and_a_removed_one_leaves_no_trace() {
        let mut dimension = Dimension::default();
        let mut list = RecencyList::default();
        for place in [3, 0, 7] {
            dimension.push(&mut list, place);
        }
        assert_eq!(order(&dimension, &list), [3, 0, 7]);
        dimension.touch(&mut list, 3);
        dimension.touch(&mut list, 3);
        assert_eq!(order(&dimension, &list), [0, 7, 3]);
        dimension.remove(&mut list, 7);
        dimension.remove(&mut list, 0);
        assert_eq!(order(&dimension, &list), [3]);
        dimension.remove(&mut list, 3);
        assert_eq!((list.first(), list.len()), (None, 0));
        dimension.push(&mut list, 7);
        assert_eq!(order(&dimension, &list), [7]);
    }
}

//! Longest-prefix match for what nothing holds by its very address.

use flowproto::Address;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::IpNet;

use super::snapshot::EndpointId;

/// Prefixes flattened into ranges that do not overlap: the narrowest prefix around an address is found
/// by one binary search. Built once, never changed; small enough to stay in the cache.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// First address of each range, ascending; the first is 0.
    starts: Vec<u128>,
    ids: Vec<EndpointId>,
}

impl Ranges {
    pub(super) fn of(prefixes: &HashMap<IpNet, EndpointId, RandomState>) -> Self {
        let mut spans: Vec<(u128, u128, EndpointId)> = prefixes
            .iter()
            .map(|(prefix, id)| {
                let first = Address::from(prefix.network()).bits();
                let last = Address::from(prefix.broadcast()).bits();
                (first, last, *id)
            })
            .collect();
        // Wider prefixes first, so that what they enclose comes after them and is stacked on top.
        spans.sort_by_key(|(first, last, _)| (*first, std::cmp::Reverse(*last)));
        let mut ranges = Self::default();
        let mut open: Vec<(u128, EndpointId)> = Vec::new();
        ranges.begin(0, EndpointId::EXTERNAL);
        for (first, last, id) in spans {
            ranges.close(&mut open, Some(first));
            ranges.begin(first, id);
            open.push((last, id));
        }
        ranges.close(&mut open, None);
        ranges
    }

    /// Ends the prefixes that end before `next`; what encloses them goes on.
    fn close(&mut self, open: &mut Vec<(u128, EndpointId)>, next: Option<u128>) {
        while let Some((last, _)) = open.last().copied() {
            if next.is_some_and(|next| last >= next) {
                break;
            }
            open.pop();
            let enclosing = open.last().map_or(EndpointId::EXTERNAL, |(_, id)| *id);
            if let Some(after) = last.checked_add(1) {
                self.begin(after, enclosing);
            }
        }
    }

    fn begin(&mut self, start: u128, id: EndpointId) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.ids.pop();
        }
        self.starts.push(start);
        self.ids.push(id);
    }

    pub(super) fn find(&self, bits: u128) -> EndpointId {
        let after = self.starts.partition_point(|start| *start <= bits);
        after
            .checked_sub(1)
            .and_then(|at| self.ids.get(at))
            .copied()
            .unwrap_or(EndpointId::EXTERNAL)
    }
}

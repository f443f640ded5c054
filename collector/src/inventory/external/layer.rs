//! A layer: what one file says, as ranges of addresses that do not overlap, ascending, from the first
//! address of a family to its last.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::IpNet;

use super::ExternalAttributes;

/// AttributeTable are cut here, in octets: they become label values.
const LONGEST_NAME: usize = 128;

/// An address of one family.
pub(super) trait Bits: Copy + Ord + std::fmt::Debug {
    /// The first address.
    const FIRST: Self;
    /// The address after this one, if there is one.
    fn next(self) -> Option<Self>;
    /// Which of the 65536 buckets of a table it belongs to; never falls as addresses rise.
    fn bucket(self) -> usize;
}

impl Bits for u32 {
    const FIRST: Self = 0;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    #[inline]
    fn bucket(self) -> usize {
        usize::try_from(self >> 16).unwrap_or(0)
    }
}

impl Bits for u128 {
    const FIRST: Self = 0;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    /// All that is routed lies in `2000::/3`: the buckets divide that.
    #[inline]
    fn bucket(self) -> usize {
        const ROUTED: u128 = 0x2000 << 112;
        let within = self.saturating_sub(ROUTED) >> 109;
        usize::try_from(within.min(0xffff)).unwrap_or(0)
    }
}

/// The ranges of one family. A range ends where the next one starts.
#[derive(Clone, Debug)]
pub(super) struct Ranges<K> {
    /// First address of each range, ascending; the first is [`Bits::FIRST`].
    pub(super) starts: Vec<K>,
    /// What each range has: an index of [`Layer::facts`].
    pub(super) values: Vec<u32>,
}

impl<K: Bits> Default for Ranges<K> {
    fn default() -> Self {
        Self {
            starts: vec![K::FIRST],
            values: vec![0],
        }
    }
}

impl<K: Bits> Ranges<K> {
    /// From `start` on there is `value`. Starts never fall; of several at one start the last stays.
    pub(super) fn begin(&mut self, start: K, value: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    fn of(mut spans: Vec<Span<K>>, facts: &mut Facts) -> Self {
        // Wider spans first, so that what they enclose comes after them and lies on top.
        spans.sort_by_key(|span| (span.first, std::cmp::Reverse(span.last), span.rank));
        let mut ranges = Self::default();
        let mut open: Vec<(K, u32)> = Vec::new();
        for span in spans {
            ranges.close(&mut open, Some(span.first));
            let enclosing = open.last().map_or(0, |(_, value)| *value);
            let value = facts.combined(span.value, enclosing);
            ranges.begin(span.first, value);
            open.push((span.last, value));
        }
        ranges.close(&mut open, None);
        ranges
    }

    /// Ends the spans that end before `next`; what encloses them goes on.
    fn close(&mut self, open: &mut Vec<(K, u32)>, next: Option<K>) {
        while let Some((last, _)) = open.last().copied() {
            if next.is_some_and(|next| last >= next) {
                break;
            }
            open.pop();
            let enclosing = open.last().map_or(0, |(_, value)| *value);
            if let Some(after) = last.next() {
                self.begin(after, enclosing);
            }
        }
    }

    /// Both cut at the starts of both; `combine` says what is where this has its one value and
    /// `below` has its other.
    fn over(&self, below: &Self, mut combine: impl FnMut(u32, u32) -> u32) -> Self {
        let mut merged = Self::default();
        let mut top = self
            .starts
            .iter()
            .copied()
            .zip(self.values.iter().copied())
            .peekable();
        let mut under = below
            .starts
            .iter()
            .copied()
            .zip(below.values.iter().copied())
            .peekable();
        let (mut a, mut b) = (0, 0);
        loop {
            let start = match (top.peek(), under.peek()) {
                (None, None) => return merged,
                (Some((start, _)), None) | (None, Some((start, _))) => *start,
                (Some((one, _)), Some((two, _))) => *one.min(two),
            };
            if let Some((_, value)) = top.next_if(|(at, _)| *at == start) {
                a = value;
            }
            if let Some((_, value)) = under.next_if(|(at, _)| *at == start) {
                b = value;
            }
            merged.begin(start, combine(a, b));
        }
    }
}

#[derive(Debug)]
struct Span<K> {
    first: K,
    last: K,
    rank: u32,
    value: u32,
}

/// What one file says, or several laid over each other.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) v4: Ranges<u32>,
    pub(super) v6: Ranges<u128>,
    /// Without repetitions; the first is "nothing is known".
    pub(super) facts: Vec<ExternalAttributes>,
}

impl Default for Layer {
    fn default() -> Self {
        Self {
            v4: Ranges::default(),
            v6: Ranges::default(),
            facts: vec![ExternalAttributes::default()],
        }
    }
}

impl Layer {
    /// This on top of `below`.
    pub(super) fn over(&self, below: &Self) -> Self {
        let mut facts = Facts::default();
        let mut pairs: HashMap<(u32, u32), u32, RandomState> = HashMap::default();
        let mut combine = |top: u32, under: u32| {
            *pairs.entry((top, under)).or_insert_with(|| {
                match (fact(&self.facts, top), fact(&below.facts, under)) {
                    (Some(top), Some(under)) => facts.id(top.over(under)),
                    _ => 0,
                }
            })
        };
        let v4 = self.v4.over(&below.v4, &mut combine);
        let v6 = self.v6.over(&below.v6, &mut combine);
        Self {
            v4,
            v6,
            facts: facts.all,
        }
    }
}

fn fact(facts: &[ExternalAttributes], id: u32) -> Option<&ExternalAttributes> {
    facts.get(usize::try_from(id).ok()?)
}

/// Attributes without repetitions.
#[derive(Debug)]
struct Facts {
    all: Vec<ExternalAttributes>,
    ids: HashMap<ExternalAttributes, u32, RandomState>,
}

impl Default for Facts {
    fn default() -> Self {
        let mut facts = Self {
            all: Vec::new(),
            ids: HashMap::default(),
        };
        facts.id(ExternalAttributes::default());
        facts
    }
}

impl Facts {
    fn id(&mut self, attributes: ExternalAttributes) -> u32 {
        if let Some(id) = self.ids.get(&attributes) {
            return *id;
        }
        let id = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(attributes.clone());
        self.ids.insert(attributes, id);
        id
    }

    fn combined(&mut self, top: u32, below: u32) -> u32 {
        match (fact(&self.all, top), fact(&self.all, below)) {
            (Some(top), Some(below)) => self.id(top.over(below)),
            _ => 0,
        }
    }
}

/// Collects what a file says and builds the [`Layer`].
#[derive(Debug, Default)]
pub(super) struct LayerBuilder {
    v4: Vec<Span<u32>>,
    v6: Vec<Span<u128>>,
    facts: Facts,
    texts: HashSet<Arc<str>, RandomState>,
}

impl LayerBuilder {
    /// A name, kept once however often it occurs; cut where it is too long for a label.
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        let text = text.trim();
        let end = (0..=LONGEST_NAME.min(text.len())).rfind(|end| text.is_char_boundary(*end));
        let text = text.get(..end.unwrap_or(0)).unwrap_or_default();
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(text);
        self.texts.insert(Arc::clone(&new));
        new
    }

    /// The id that these attributes will have in the layer.
    pub(super) fn fact(&mut self, attributes: ExternalAttributes) -> u32 {
        self.facts.id(attributes)
    }

    /// Number of distinct attributes, "nothing is known" included.
    pub(super) const fn facts(&self) -> usize {
        self.facts.all.len()
    }

    /// The addresses of `net` have these attributes, and what they leave out as a wider claim has it.
    /// Of several claims on one `net` the highest `rank` lies on top.
    pub(super) fn claim(&mut self, net: IpNet, rank: u32, attributes: ExternalAttributes) {
        let value = self.fact(attributes);
        match plain(net) {
            IpNet::V4(net) => self.v4.push(Span {
                first: net.network().to_bits(),
                last: net.broadcast().to_bits(),
                rank,
                value,
            }),
            IpNet::V6(net) => self.v6.push(Span {
                first: net.network().to_bits(),
                last: net.broadcast().to_bits(),
                rank,
                value,
            }),
        }
    }

    /// The layer of all claims.
    pub(super) fn build(mut self) -> Layer {
        let v4 = Ranges::of(self.v4, &mut self.facts);
        let v6 = Ranges::of(self.v6, &mut self.facts);
        Layer {
            v4,
            v6,
            facts: self.facts.all,
        }
    }

    /// The layer of ranges that a file already has in order.
    pub(super) fn build_of(self, v4: Ranges<u32>, v6: Ranges<u128>) -> Layer {
        Layer {
            v4,
            v6,
            facts: self.facts.all,
        }
    }
}

/// A v4-mapped prefix as the plain IPv4 one: records have plain addresses.
fn plain(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else {
        return net;
    };
    let plain = v6.prefix_len().checked_sub(96).and_then(|length| {
        let v4 = v6.network().to_ipv4_mapped()?;
        ipnet::Ipv4Net::new(v4, length).ok()
    });
    plain.map_or(net, IpNet::V4)
}

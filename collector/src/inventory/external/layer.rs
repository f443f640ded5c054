//! A layer: the attributes that one source has for address ranges.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::IpNet;

use super::attributes::ExternalAttributes;
use crate::interval_map::{AddressRange, IntervalMap};

/// Maximum length of a name in octets. Names become label values.
const MAX_NAME_LENGTH: usize = 128;

/// The attributes of one source, or of several merged ones, by address.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// IPv4 addresses to positions in [`Self::attributes`].
    pub(super) v4: IntervalMap<u32, u32>,
    /// IPv6 addresses to positions in [`Self::attributes`].
    pub(super) v6: IntervalMap<u128, u32>,
    /// Distinct attributes. The first ones are empty.
    pub(super) attributes: Vec<ExternalAttributes>,
}

impl Default for Layer {
    fn default() -> Self {
        Self {
            v4: IntervalMap::default(),
            v6: IntervalMap::default(),
            attributes: vec![ExternalAttributes::default()],
        }
    }
}

impl Layer {
    /// Merges this layer with the one below. Attributes that are missing here come from below.
    pub(super) fn over(&self, below: &Self) -> Self {
        let mut merged = AttributeSet::default();
        let mut pairs: HashMap<(u32, u32), u32, RandomState> = HashMap::default();
        let mut combine = |top: u32, under: u32| {
            *pairs.entry((top, under)).or_insert_with(|| {
                let top = attributes_at(&self.attributes, top);
                match (top, attributes_at(&below.attributes, under)) {
                    (Some(top), Some(under)) => merged.add(top.over(under)),
                    _ => 0,
                }
            })
        };
        let v4 = self.v4.overlay(&below.v4, &mut combine);
        let v6 = self.v6.overlay(&below.v6, &mut combine);
        Self {
            v4,
            v6,
            attributes: merged.all,
        }
    }
}

fn attributes_at(all: &[ExternalAttributes], position: u32) -> Option<&ExternalAttributes> {
    all.get(usize::try_from(position).ok()?)
}

/// Distinct attributes with their positions.
#[derive(Debug)]
struct AttributeSet {
    all: Vec<ExternalAttributes>,
    positions: HashMap<ExternalAttributes, u32, RandomState>,
}

impl Default for AttributeSet {
    fn default() -> Self {
        let mut set = Self {
            all: Vec::new(),
            positions: HashMap::default(),
        };
        set.add(ExternalAttributes::default());
        set
    }
}

impl AttributeSet {
    fn add(&mut self, attributes: ExternalAttributes) -> u32 {
        if let Some(position) = self.positions.get(&attributes) {
            return *position;
        }
        let position = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(attributes.clone());
        self.positions.insert(attributes, position);
        position
    }

    fn combine(&mut self, top: u32, below: u32) -> u32 {
        let below = attributes_at(&self.all, below);
        match (attributes_at(&self.all, top), below) {
            (Some(top), Some(below)) => self.add(top.over(below)),
            _ => 0,
        }
    }
}

/// Collects the attributes of one source and builds its [`Layer`].
#[derive(Debug, Default)]
pub(super) struct LayerBuilder {
    v4: Vec<AddressRange<u32, u32>>,
    v6: Vec<AddressRange<u128, u32>>,
    attributes: AttributeSet,
    texts: HashSet<Arc<str>, RandomState>,
}

impl LayerBuilder {
    /// Returns a shared copy of a name, cut to [`MAX_NAME_LENGTH`].
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        let text = text.trim();
        let end = (0..=MAX_NAME_LENGTH.min(text.len())).rfind(|end| text.is_char_boundary(*end));
        let text = text.get(..end.unwrap_or(0)).unwrap_or_default();
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(text);
        self.texts.insert(Arc::clone(&new));
        new
    }

    /// Returns the position that these attributes will have in the layer.
    pub(super) fn add(&mut self, attributes: ExternalAttributes) -> u32 {
        self.attributes.add(attributes)
    }

    /// Returns the number of distinct attributes, including the empty ones.
    pub(super) const fn attribute_count(&self) -> usize {
        self.attributes.all.len()
    }

    /// Adds the attributes of a CIDR. Missing ones come from the CIDR around it. Of several claims
    /// on one CIDR, the one with the highest precedence is on top.
    pub(super) fn claim(&mut self, cidr: IpNet, precedence: u32, attributes: ExternalAttributes) {
        let value = self.add(attributes);
        if let Some(range) = AddressRange::of_v4(cidr, value) {
            self.v4.push(AddressRange {
                precedence,
                ..range
            });
        } else {
            let range = AddressRange::of(cidr, value);
            self.v6.push(AddressRange {
                precedence,
                ..range
            });
        }
    }

    /// Builds the layer of all claims.
    pub(super) fn build(mut self) -> Layer {
        let attributes = &mut self.attributes;
        let v4 =
            IntervalMap::from_nested_with(self.v4, |top, below| attributes.combine(top, below));
        let v6 =
            IntervalMap::from_nested_with(self.v6, |top, below| attributes.combine(top, below));
        Layer {
            v4,
            v6,
            attributes: self.attributes.all,
        }
    }

    /// Builds the layer of intervals that the source already has in order.
    pub(super) fn build_of(self, v4: IntervalMap<u32, u32>, v6: IntervalMap<u128, u32>) -> Layer {
        Layer {
            v4,
            v6,
            attributes: self.attributes.all,
        }
    }
}

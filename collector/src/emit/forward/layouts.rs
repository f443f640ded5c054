//! The templates of one Transport Session. Each [`Shape`] that occurs gets one.

use flowproto::exporter::Profile;
use flowproto::exporter::layout::FixedOctets;
use flowproto::field::FieldSpecifier;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::fields::{self, Source};
use super::names::{self, Names};
use super::shape::Shape;

/// Lower numbers are those of options templates.
const FIRST_TEMPLATE: u16 = 1024;
/// Templates in use at the same time. Records of a cluster have some dozens of shapes.
pub(super) const MAX_LAYOUTS: usize = 1024;

/// The template of one shape.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) template_id: u16,
    /// The fields of the template.
    pub(super) fields: Box<[FieldSpecifier]>,
    /// Octets of the fields of fixed length.
    fixed_octets: u16,
    /// A record was written since the last refresh.
    is_used: bool,
}

impl Layout {
    /// The template of a record of a shape.
    fn new(template_id: u16, shape: Shape, profile: Profile, source: &Source<'_>) -> Self {
        let (mut fixed, mut octets) = (Vec::new(), FixedOctets::default());
        fields::write(&mut fixed, profile, shape.fields, source);
        fields::write(&mut octets, profile, shape.fields, source);
        let fields = fixed.into_iter().chain(names::fields(shape.names));
        Self {
            template_id,
            fields: fields.collect(),
            fixed_octets: octets.0,
            is_used: true,
        }
    }

    /// Maximum octets of a record.
    pub(super) fn octets(&self, names: &Names<'_>) -> usize {
        usize::from(self.fixed_octets).saturating_add(names.octets())
    }
}

/// The layouts of one session, by shape.
#[derive(Debug)]
pub(super) struct Layouts {
    layouts: HashMap<Shape, Layout, RandomState>,
    profile: Profile,
    next_template_id: u16,
}

impl Layouts {
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            layouts: HashMap::default(),
            profile,
            next_template_id: FIRST_TEMPLATE,
        }
    }

    /// The layout of a shape, if there is one.
    pub(super) fn get(&mut self, shape: Shape) -> Option<&Layout> {
        let layout = self.layouts.get_mut(&shape)?;
        layout.is_used = true;
        Some(layout)
    }

    /// Creates the layout of the shape of a record. All others must be cleared before if
    /// [`Self::is_full`].
    pub(super) fn create(&mut self, shape: Shape, source: &Source<'_>) -> &Layout {
        let id = self.next_template_id;
        self.next_template_id = id.checked_add(1).unwrap_or(FIRST_TEMPLATE);
        let layout = Layout::new(id, shape, self.profile, source);
        self.layouts.entry(shape).insert(layout).into_mut()
    }

    /// True if there is no room for another shape.
    pub(super) fn is_full(&self) -> bool {
        self.layouts.len() >= MAX_LAYOUTS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.layouts.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.layouts.clear();
    }

    /// Removes the layouts that were not used since the last call. Returns the others in the order
    /// of their templates.
    pub(super) fn retain_used(&mut self) -> Vec<&Layout> {
        self.layouts
            .retain(|_, layout| std::mem::take(&mut layout.is_used));
        let mut layouts: Vec<&Layout> = self.layouts.values().collect();
        layouts.sort_unstable_by_key(|layout| layout.template_id);
        layouts
    }
}

//! Elements that are read as others.
//!
//! Exporters report counters in elements of their own, or in elements whose registry gives them
//! another meaning. The operator names the element that each of them is read as.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::element::{self, DataType, REVERSE_ENTERPRISE};
use crate::field::{ElementId, FieldSpecifier};
use crate::plan::Plan;

/// 210 `paddingOctets`: what is read as padding is not read.
pub(crate) const PADDING: ElementId = ElementId::iana(210);

/// The elements of an exporter that are read as others. Records that are logged in full or
/// replicated have the fields as received; records that are forwarded have what was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElementAliases(Arc<[(ElementId, ElementId)]>);

/// Why an element cannot be read as another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasError {
    /// No field of the [`crate::FlowRecord`] is filled by the element, so that reading another one
    /// as it has no effect.
    NotRead(ElementId),
    /// The values of both elements are of different types.
    OtherType(ElementId, ElementId),
    /// The element is to be read as two others.
    Repeated(ElementId),
}

impl ElementAliases {
    /// Creates aliases. Of each pair, the first element is read as the second one. Aliases are not
    /// applied to each other.
    ///
    /// # Errors
    /// An element cannot be read as the other one, or is repeated.
    pub fn new(
        aliases: impl IntoIterator<Item = (ElementId, ElementId)>,
    ) -> Result<Self, AliasError> {
        let aliases = aliases.into_iter().map(|(element, read_as)| {
            let is_padding = read_as == PADDING;
            if !is_padding && !Plan::reads(read_as.enterprise, read_as.id) {
                return Err(AliasError::NotRead(read_as));
            }
            let types = [element, read_as].map(data_type);
            match types {
                [Some(one), Some(other)] if one != other && !is_padding => {
                    Err(AliasError::OtherType(element, read_as))
                }
                _ => Ok((element, read_as)),
            }
        });
        let aliases: Vec<_> = aliases.collect::<Result<_, _>>()?;
        let mut elements = HashSet::new();
        match aliases
            .iter()
            .find(|(element, _)| !elements.insert(*element))
        {
            Some((repeated, _)) => Err(AliasError::Repeated(*repeated)),
            None => Ok(Self(aliases.into())),
        }
    }

    /// Returns whether there is no alias.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The element that `element` is read as. `None` if that is itself.
    #[must_use]
    pub fn read_as(&self, element: ElementId) -> Option<ElementId> {
        let mut aliases = self.0.iter();
        let alias = aliases.find(|(aliased, _)| *aliased == element);
        alias.map(|(_, read_as)| *read_as)
    }

    /// The fields of a template as they are read.
    pub(crate) fn apply<'a>(&self, specifiers: &'a [FieldSpecifier]) -> Cow<'a, [FieldSpecifier]> {
        if self.is_empty() {
            return specifiers.into();
        }
        let specifiers = specifiers.iter().map(|specifier| {
            let element = ElementId::new(specifier.enterprise, specifier.id);
            self.read_as(element)
                .map_or(*specifier, |read_as| read_as.with_length(specifier.length))
        });
        specifiers.collect()
    }
}

fn data_type(ElementId { enterprise, id }: ElementId) -> Option<DataType> {
    let element = element::find(enterprise, id)?;
    Some(element.data_type).filter(|kind| *kind != DataType::OctetArray)
}

/// The name of an element in the registries, else `PEN:ID`.
pub(crate) fn name(ElementId { enterprise, id }: ElementId) -> String {
    match element::find(enterprise, id) {
        Some(element) if enterprise == REVERSE_ENTERPRISE => element::reverse_name(element.name),
        Some(element) => element.name.to_owned(),
        None => format!("{enterprise}:{id}"),
    }
}

impl fmt::Display for AliasError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotRead(read_as) => {
                write!(f, "{} does not affect what is counted", name(read_as))
            }
            Self::OtherType(element, read_as) => {
                let (element, read_as) = (name(element), name(read_as));
                write!(f, "{element} and {read_as} have values of different types")
            }
            Self::Repeated(element) => write!(f, "{} is there twice", name(element)),
        }
    }
}

impl std::error::Error for AliasError {}

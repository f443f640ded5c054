//! What an exporter said beside its Data Records: templates, and in options data the names of interfaces
//! (10 → 82) and applications (95 → 96), and the types of its own elements (RFC 5610).

use std::collections::HashMap;
use std::sync::Arc;

use crate::element::{self, DataType};
use crate::json::unsigned;
use crate::template::{FieldSpecifier, Template};

/// The longest name that is kept, in octets.
const NAME_OCTETS: usize = 255;
/// The longest application identifier that is kept, in octets (RFC 6759 §4.1).
const APPLICATION_OCTETS: usize = 24;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Templates by their number.
pub(crate) type Templates = Map<u16, Arc<Template>>;

/// What an Information Element is called and how its values are read, as the exporter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ElementType {
    pub(crate) name: Box<str>,
    pub(crate) data_type: DataType,
}

/// Everything one Observation Domain said of this kind.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    pub(crate) templates: Templates,
    interfaces: Map<u32, Box<str>>,
    applications: Map<Box<[u8]>, Box<str>>,
    types: Map<(u32, u16), ElementType>,
    /// Which element has a name: the first one that was described so.
    names: Map<Box<str>, (u32, u16)>,
}

/// One thing to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// 82 or 83 of an interface.
    Interface(u32, Box<str>),
    /// 96 of an application.
    Application(Box<[u8]>, Box<str>),
    /// The type of an element.
    Type(u32, u16, ElementType),
}

impl Vocabulary {
    /// The name of an interface by a value of 10 or 14.
    pub(crate) fn interface(&self, value: &[u8]) -> Option<&str> {
        let number = u32::try_from(unsigned(value)).ok()?;
        self.interfaces.get(&number).map(|name| &**name)
    }

    /// The name of an application by a value of 95.
    pub(crate) fn application(&self, value: &[u8]) -> Option<&str> {
        self.applications.get(value).map(|name| &**name)
    }

    /// The type of an element that no public registry has.
    pub(crate) fn type_of(&self, enterprise: u32, id: u16) -> Option<&ElementType> {
        self.types.get(&(enterprise, id))
    }

    /// Names and types kept.
    pub(crate) fn words(&self) -> usize {
        let (interfaces, applications) = (self.interfaces.len(), self.applications.len());
        interfaces
            .saturating_add(applications)
            .saturating_add(self.types.len())
    }

    /// Whether `word` would be one more.
    pub(crate) fn is_new(&self, word: &Word) -> bool {
        match word {
            Word::Interface(id, _) => !self.interfaces.contains_key(id),
            Word::Application(id, _) => !self.applications.contains_key(id),
            Word::Type(enterprise, id, _) => !self.types.contains_key(&(*enterprise, *id)),
        }
    }

    /// Whether another element has the name of this one, so that a line of both would have it twice.
    pub(crate) fn is_taken(&self, word: &Word) -> bool {
        let Word::Type(enterprise, id, element) = word else {
            return false;
        };
        let holder = self.names.get(&element.name);
        holder.is_some_and(|holder| *holder != (*enterprise, *id))
    }

    /// Keeps a name or type, instead of what was said before.
    pub(crate) fn learn(&mut self, word: Word) {
        match word {
            Word::Interface(id, name) => drop(self.interfaces.insert(id, name)),
            Word::Application(id, name) => drop(self.applications.insert(id, name)),
            Word::Type(enterprise, id, element) => {
                let name = element.name.clone();
                if let Some(before) = self.types.insert((enterprise, id), element) {
                    self.names.remove(&before.name);
                }
                self.names.insert(name, (enterprise, id));
            }
        }
    }
}

/// What the fields of one options record say together.
#[derive(Debug, Default)]
pub(crate) struct Words<'a> {
    interface: Option<u32>,
    interface_name: Option<&'a [u8]>,
    interface_description: Option<&'a [u8]>,
    application: Option<&'a [u8]>,
    application_name: Option<&'a [u8]>,
    enterprise: Option<u32>,
    element: Option<u16>,
    element_name: Option<&'a [u8]>,
    element_type: Option<u64>,
}

impl<'a> Words<'a> {
    /// Takes a field.
    pub(crate) fn take(&mut self, specifier: FieldSpecifier, value: &'a [u8]) {
        if specifier.enterprise != 0 {
            return;
        }
        match specifier.id {
            10 | 14 => self.interface = u32::try_from(unsigned(value)).ok(),
            82 => self.interface_name = Some(value),
            83 => self.interface_description = Some(value),
            95 => self.application = Some(value),
            96 => self.application_name = Some(value),
            303 => self.element = u16::try_from(unsigned(value)).ok(),
            339 => self.element_type = Some(unsigned(value)),
            341 => self.element_name = Some(value),
            346 => self.enterprise = u32::try_from(unsigned(value)).ok(),
            _ => {}
        }
    }

    /// What they say; several things if need be.
    pub(crate) fn say(self, mut word: impl FnMut(Word)) {
        if let Some(id) = self.interface {
            let name = self.interface_name.and_then(text);
            if let Some(name) = name.or_else(|| self.interface_description.and_then(text)) {
                word(Word::Interface(id, name));
            }
        }
        if let (Some(id), Some(name)) = (self.application, self.application_name.and_then(text))
            && id.len() <= APPLICATION_OCTETS
        {
            word(Word::Application(id.into(), name));
        }
        if let (Some(id), Some(data_type)) = (
            self.element.map(|id| id & 0x7fff),
            self.element_type.and_then(DataType::of_number),
        ) && let Some(enterprise) = self.enterprise.filter(|enterprise| *enterprise != 0)
            // What a public registry says cannot be said otherwise.
            && element::find(enterprise, id).is_none()
            && let Some(name) = self.element_name.and_then(text).filter(|name| is_name(name))
        {
            word(Word::Type(enterprise, id, ElementType { name, data_type }));
        }
    }
}

/// Text as it is kept: not empty, without the zeros that pad it, cut where it is too long.
pub(crate) fn text(value: &[u8]) -> Option<Box<str>> {
    let text = String::from_utf8_lossy(value.get(..NAME_OCTETS).unwrap_or(value));
    let text = text.trim_end_matches('\0');
    (!text.is_empty()).then(|| text.into())
}

/// What a line of the flow log, or a list in it, has besides the names of registries.
const LINE: [&str; 7] = [
    "exporter",
    "version",
    "counted",
    "observer",
    "ingressInterfaceName",
    "egressInterfaceName",
    "semantic",
];

/// Whether a name is one that a registry could have, and none that a registry or a line of the flow log has.
fn is_name(name: &str) -> bool {
    name.bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-' | b'.'))
        && !LINE.contains(&name)
        && !element::is_named(name)
}

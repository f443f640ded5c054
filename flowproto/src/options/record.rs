//! The content of an options record, and its scope.

use super::announced::{AnnouncementOrigin, Announcer};
use super::metadata::{MetadataEntry, MetadataFields, text};
use super::store::{Content, SamplerScope};
use crate::address::Address;
use crate::plan::SamplingFields;
use crate::template::Template;
use crate::value::{low_u32, unsigned};

/// An options record.
#[derive(Debug, Default)]
pub(crate) struct OptionsRecord<'a> {
    /// 149 `observationDomainId`.
    domain: Option<u64>,
    /// The scope is the device: 144 (v9: System), 143, or 149 = 0.
    is_device: bool,
    /// The scope has a property that no record can be matched by.
    has_other_scope: bool,
    /// 302 or 48. A record about a selection sequence has several.
    selectors: Vec<u64>,
    /// 301.
    sequence: Option<u64>,
    /// 10 or 14.
    interface: Option<u64>,
    /// 141, 142, 138, 145.
    line_card: Option<u64>,
    port: Option<u64>,
    observation_point: Option<u64>,
    template: Option<u64>,
    name: Option<Box<str>>,
    address: Option<Address>,
    /// 160.
    system_init_milliseconds: Option<u64>,
    sampling: SamplingFields,
    metadata: MetadataFields<'a>,
}

impl<'a> OptionsRecord<'a> {
    /// Reads a record. `statistic` is called with each IANA element that is a number.
    pub(crate) fn read(
        template: &'a Template,
        octets: &'a [u8],
        mut statistic: impl FnMut(u16, u64),
    ) -> Self {
        let mut record = Self::default();
        let scope_fields = template.scope_fields();
        for (at, (field, value)) in template.values(octets).enumerate() {
            let (enterprise, id) = field.read_as.element();
            record.metadata.add(field.read_as, value);
            if enterprise != 0 {
                record.has_other_scope |= at < scope_fields;
                continue;
            }
            record.sampling.add(id, value);
            record.add(id, value, at < scope_fields);
            if (1..=8).contains(&value.len()) {
                statistic(id, unsigned(value));
            }
        }
        record
    }

    fn add(&mut self, id: u16, value: &[u8], is_scope: bool) {
        match (id, value.len()) {
            (300, _) => self.name = text(value),
            (131, 16) => {
                let bits = value.try_into().map_or(0, u128::from_be_bytes);
                let address = Some(Address::from_v6_bits(bits));
                self.address = address.filter(|_| bits != 0).or(self.address);
            }
            (130, 4) => {
                let bits = low_u32(unsigned(value));
                let address = Some(Address::from_v4_bits(bits));
                self.address = address.filter(|_| bits != 0).or(self.address);
            }
            (0, _) if is_scope => {}
            // There is one System: some exporters leave its value out.
            (143 | 144, _) if is_scope => self.is_device = true,
            (149, 0) if is_scope => {}
            (_, 1..=8) => self.add_number(id, unsigned(value), is_scope),
            _ => self.has_other_scope |= is_scope,
        }
    }

    fn add_number(&mut self, id: u16, number: u64, is_scope: bool) {
        match id {
            149 => self.domain = Some(number),
            48 | 302 => self.selectors.push(number),
            301 => self.sequence = Some(number),
            10 | 14 => self.interface = self.interface.or(Some(number)),
            141 => self.line_card = Some(number),
            142 => self.port = Some(number),
            138 => self.observation_point = Some(number),
            145 => self.template = Some(number),
            160 => self.system_init_milliseconds = Some(number).filter(|time| *time != 0),
            // The subjects of metadata.
            95 | 303 | 346 => {}
            _ => self.has_other_scope |= is_scope,
        }
    }

    /// The domain that the record is about, for a Message of `domain`; `None` for the whole device.
    pub(crate) fn domain(&self, domain: u32) -> Option<u32> {
        match self.domain.map(u32::try_from) {
            Some(Ok(0)) if domain != 0 => None,
            Some(Ok(other)) => Some(other),
            Some(Err(_)) => None,
            None if self.is_device => None,
            None => Some(domain),
        }
    }

    /// Whether all of it can be used.
    pub(crate) fn is_understood(&self) -> bool {
        !self.sampling.is_announcement() || self.sampling().is_some()
    }

    /// Passes what the record announces in a Message of the announcer to `each`.
    pub(crate) fn announce(
        self,
        announcer: Announcer,
        mut each: impl FnMut(AnnouncementOrigin, Content),
    ) {
        let concerned = self.domain(announcer.domain);
        let sampling = self.sampling();
        let announcer = Announcer {
            domain: concerned.unwrap_or(announcer.domain),
            ..announcer
        };
        // A scope that names a domain excludes the others.
        let of_device = self.domain.is_none() || concerned.is_none();
        let mut announce = |of_device: bool, content: Content| {
            let origin = AnnouncementOrigin {
                announcer,
                of_device,
            };
            each(origin, content);
        };
        if let Some(name) = self.name {
            announce(false, Content::DomainName(name));
        }
        if let Some(address) = self.address {
            announce(false, Content::ExporterAddress(address));
        }
        if let Some(milliseconds) = self.system_init_milliseconds {
            announce(of_device, Content::SystemInit(milliseconds));
        }
        if let Some((scope, selection)) = sampling {
            let is_local = matches!(scope, SamplerScope::Template(_) | SamplerScope::Domain);
            let of_device = of_device && (!is_local || self.is_device || concerned.is_none());
            announce(of_device, Content::Sampler(scope, selection));
        } else if let (Some(sequence), [_, ..]) = (self.sequence, self.selectors.as_slice()) {
            announce(
                of_device,
                Content::Sequence(sequence, self.selectors.into()),
            );
        }
        self.metadata.into_entries(|entry| {
            let content = match entry {
                MetadataEntry::Interface(id, name) => Content::Interface(id, name),
                MetadataEntry::Application(id, name) => Content::Application(id, name),
                MetadataEntry::Type(enterprise, id, element) => {
                    Content::Type((enterprise, id), element)
                }
            };
            announce(of_device, content);
        });
    }

    /// The sampling, and what it applies to.
    fn sampling(&self) -> Option<(SamplerScope, crate::plan::Selection)> {
        let selection = self.sampling.selection()?;
        let narrow = |number: u64| u32::try_from(number).ok();
        let scope = if let [selector] = self.selectors.as_slice() {
            SamplerScope::Selector(*selector)
        } else if self.selectors.len() > 1 {
            return None;
        } else if let Some(sequence) = self.sequence {
            SamplerScope::Sequence(sequence)
        } else if let Some(interface) = self.interface.filter(|interface| *interface != 0) {
            SamplerScope::Interface(narrow(interface)?)
        } else if let Some(line_card) = self.line_card {
            SamplerScope::LineCard(line_card)
        } else if let Some(port) = self.port {
            SamplerScope::Port(port)
        } else if let Some(point) = self.observation_point {
            SamplerScope::ObservationPoint(point)
        } else if let Some(template) = self.template {
            SamplerScope::Template(u16::try_from(template).ok()?)
        } else if self.has_other_scope {
            return None;
        } else {
            SamplerScope::Domain
        };
        Some((scope, selection))
    }
}

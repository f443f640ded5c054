//! Names of the interfaces that records came from.

use std::collections::HashSet;
use std::sync::Arc;

use flowproto::FlowRecord;
use flowproto::collector::Fields;
use foldhash::fast::RandomState;

/// Maximum number of texts that are kept.
const MAX_TEXTS: usize = 1 << 16;

/// Names of interfaces, each once in memory.
#[derive(Debug, Default)]
pub(super) struct InterfaceNames(HashSet<Arc<str>, RandomState>);

impl InterfaceNames {
    /// 10 `ingressInterface` and 14 `egressInterface` of a record: their names, else their ifIndex.
    /// `None` for an interface that the record does not have.
    pub(super) fn of(&mut self, record: &FlowRecord, fields: &Fields<'_>) -> [Option<Arc<str>>; 2] {
        let interfaces = record.interfaces.unwrap_or_default();
        [interfaces.ingress_interface, interfaces.egress_interface].map(|index| {
            let known = Some(index).filter(|index| *index != 0)?;
            Some(match fields.interface_name(known) {
                Some(name) => self.shared(name),
                None => self.shared(itoa::Buffer::new().format(known)),
            })
        })
    }

    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(text) = self.0.get(text) {
            return Arc::clone(text);
        }
        if self.0.len() >= MAX_TEXTS {
            self.0.clear();
        }
        let text: Arc<str> = text.into();
        self.0.insert(Arc::clone(&text));
        text
    }
}

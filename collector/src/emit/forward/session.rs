//! Records with their names → IPFIX Messages for one target.

use std::sync::Arc;

use flowproto::FlowKey;
use flowproto::exporter::message::{
    IpfixHeader, MessageWriter, OPTIONS_TEMPLATE_SET, TEMPLATE_SET,
};
use flowproto::exporter::options::{self, Options};
use flowproto::exporter::refresh::Refresh;
use flowproto::exporter::{Profile, Send, Unsupported};
use kipfix_export::{Encoding, RecordOf, SessionStart, TransportSession};

use super::fields::{self, MAX_FIXED_OCTETS, Source, fixed_octets};
use super::layouts::Layouts;
use super::names::{self, Names};
use super::record::ForwardedRecord;
use super::shape::{Shape, TUNNELLED, fields_of};
use crate::snapshots::{SnapshotStore, Snapshots};

/// Templates and descriptions are sent again after this time …
const REFRESH_MILLISECONDS: u64 = 60_000;
/// … or after this number of Messages, if the transport can lose them (RFC 7011 §8.4).
const REFRESH_MESSAGES: u64 = 4096;
/// RFC 7011 §3.1: 0, because the records are of several Observation Domains; 405 has that of each.
const OBSERVATION_DOMAIN: u32 = 0;
/// Octets of the Message header and the Set header.
const HEADERS: usize = 16 + 4;

/// The encoding of enriched records.
#[derive(Clone, Debug)]
pub(super) struct Enrichment {
    pub(super) store: Arc<SnapshotStore>,
    pub(super) profile: Profile,
}

impl Encoding for Enrichment {
    type Session = Forwarding;

    fn begin(&self, start: SessionStart) -> Forwarding {
        Forwarding {
            snapshots: self.store.load(),
            store: Arc::clone(&self.store),
            wire: Wire {
                message: MessageWriter::new(
                    IpfixHeader::new(OBSERVATION_DOMAIN),
                    start.max_message_octets,
                ),
                max_message_octets: start.max_message_octets,
                reliable: start.reliable,
                layouts: Layouts::new(self.profile),
                profile: self.profile,
                tunnels_described: false,
                refresh: if start.reliable {
                    Refresh::once()
                } else {
                    Refresh::every(REFRESH_MILLISECONDS, REFRESH_MESSAGES)
                },
            },
        }
    }

    fn flow_key(record: &RecordOf<Self>) -> FlowKey {
        record.record.key
    }
}

/// The Transport Session to one target.
#[derive(Debug)]
pub(super) struct Forwarding {
    store: Arc<SnapshotStore>,
    /// The names that records are sent with.
    snapshots: Snapshots,
    wire: Wire,
}

/// The Messages of a session, and what they have announced.
#[derive(Debug)]
struct Wire {
    message: MessageWriter,
    max_message_octets: usize,
    reliable: bool,
    layouts: Layouts,
    profile: Profile,
    tunnels_described: bool,
    refresh: Refresh,
}

impl TransportSession for Forwarding {
    type Record = ForwardedRecord;

    fn add(
        &mut self,
        record: &ForwardedRecord,
        now: u64,
        send: &mut Send<'_>,
    ) -> Result<(), Unsupported> {
        self.wire.refresh_if_due(now, send);
        self.store.refresh(&mut self.snapshots);
        let mut names = match self.wire.profile {
            Profile::All => Names::of(record, &self.snapshots),
            Profile::Registered => Names::default(),
        };
        let fields = fields_of(record, &names);
        let room = self.wire.max_message_octets.saturating_sub(HEADERS);
        if names.octets().saturating_add(MAX_FIXED_OCTETS) > room {
            let source = Source {
                record,
                names: &names,
            };
            let fixed_octets = fixed_octets(fields, &source);
            names.fit(room.saturating_sub(fixed_octets));
        }
        let shape = Shape {
            fields,
            names: names.known,
        };
        let source = Source {
            record,
            names: &names,
        };
        self.wire.add(shape, &source, now, send);
        Ok(())
    }

    fn refresh(&mut self) {
        self.wire.refresh.restart();
    }

    fn flush(&mut self, now: u64, send: &mut Send<'_>) {
        self.wire.refresh_if_due(now, send);
        self.wire.message.send(now, send);
    }

    fn close(&mut self, now: u64, send: &mut Send<'_>) {
        self.wire.close(now, send);
    }

    fn limit_message_octets(&mut self, octets: usize) {
        self.wire.max_message_octets = octets;
        self.wire.message.limit(octets);
    }
}

impl Wire {
    /// Adds a record to the Message.
    fn add(&mut self, shape: Shape, source: &Source<'_>, now: u64, send: &mut Send<'_>) {
        let layout = match self.layouts.get(shape) {
            Some(layout) => layout,
            None => {
                self.announce(shape, source, now, send);
                let Some(layout) = self.layouts.get(shape) else {
                    return;
                };
                layout
            }
        };
        let octets = layout.octets(source.names);
        let out = self.message.open(layout.template_id, octets, now, send);
        fields::write(out, self.profile, shape.fields, source);
        source.names.write(out);
        self.message.count_record(&source.record.record);
    }

    fn refresh_if_due(&mut self, now: u64, send: &mut Send<'_>) {
        if self.refresh.is_due(now, self.message.sent().0) {
            self.send_templates(now, send);
        }
    }

    /// Sends all templates and descriptions again. Templates that were not used since the last time
    /// are forgotten.
    #[cold]
    fn send_templates(&mut self, now: u64, send: &mut Send<'_>) {
        self.refresh.begin(now);
        self.message.send(now, send);
        for layout in self.layouts.retain_used() {
            self.message
                .template(layout.template_id, &layout.fields, now, send);
        }
        // Some tools do not read a Message that has both templates of flows and options data.
        self.message.send(now, send);
        self.describe(names::types(), true, now, send);
        if self.tunnels_described {
            self.describe(options::tunnel_elements(), false, now, send);
        }
        self.refresh.end(self.message.sent().0);
    }

    /// Sends descriptions of elements (RFC 5610).
    fn describe(
        &mut self,
        types: impl Iterator<Item = options::ElementType<'static>>,
        with_template: bool,
        now: u64,
        send: &mut Send<'_>,
    ) {
        if self.profile == Profile::Registered {
            return;
        }
        let mut options = Options {
            message: &mut self.message,
            now,
            send,
            with_template,
        };
        options.elements(types);
    }

    /// Sends the template of a shape, in a Message of its own.
    #[cold]
    fn announce(&mut self, shape: Shape, source: &Source<'_>, now: u64, send: &mut Send<'_>) {
        if shape.fields & TUNNELLED != 0 && !self.tunnels_described {
            self.tunnels_described = true;
            self.describe(options::tunnel_elements(), false, now, send);
        }
        self.message.send(now, send);
        if self.layouts.is_full() {
            self.withdraw(now, send);
            self.layouts.clear();
        }
        let layout = self.layouts.create(shape, source);
        self.message
            .template(layout.template_id, &layout.fields, now, send);
        self.message.send(now, send);
    }

    /// Withdraws all templates of records, where they do not expire.
    fn withdraw(&mut self, now: u64, send: &mut Send<'_>) {
        // Only what was sent can be withdrawn.
        if self.reliable && !self.layouts.is_empty() {
            self.message
                .withdrawal(TEMPLATE_SET, TEMPLATE_SET, now, send);
        }
    }

    fn close(&mut self, now: u64, send: &mut Send<'_>) {
        self.withdraw(now, send);
        if self.reliable && !self.refresh.is_first() && self.profile == Profile::All {
            self.message
                .withdrawal(OPTIONS_TEMPLATE_SET, OPTIONS_TEMPLATE_SET, now, send);
        }
        self.message.send(now, send);
    }
}

#[cfg(test)]
mod tests;

//! Records with their names → IPFIX Messages for one target.

use std::sync::Arc;

use flowproto::FlowKey;
use flowproto::exporter::message::{MessageWriter, OPTIONS_TEMPLATE_SET, TEMPLATE_SET};
use flowproto::exporter::options::{self, Options};
use flowproto::exporter::{Send, Unsupported};
use kipfix_export::{Encoding, RecordOf, SessionStart, TransportSession};

use super::names::{self, Names};
use super::record::ForwardedRecord;
use super::shape::{Shape, Source};
use crate::snapshots::{SnapshotStore, Snapshots};

/// Templates and descriptions are sent again after this time …
const REFRESH_MILLISECONDS: u64 = 60_000;
/// … or after this number of Messages, if the transport may lose them (RFC 7011 §8.4).
const REFRESH_MESSAGES: u64 = 4096;
/// RFC 7011 §3.1: 0, because the records are of several Observation Domains; 405 has that of each.
const OBSERVATION_DOMAIN: u32 = 0;
/// Octets of the Message header and the Set header.
const HEADERS: usize = 16 + 4;

/// The encoding of enriched records.
#[derive(Clone, Debug)]
pub(super) struct Enrichment {
    pub(super) store: Arc<SnapshotStore>,
}

impl Encoding for Enrichment {
    type Session = Forwarding;

    fn begin(&self, start: SessionStart) -> Forwarding {
        Forwarding {
            snapshots: self.store.load(),
            store: Arc::clone(&self.store),
            message: MessageWriter::new(OBSERVATION_DOMAIN, start.max_message_octets),
            max_message_octets: start.max_message_octets,
            reliable: start.reliable,
            octets: vec![0; Shape::COUNT].into_boxed_slice(),
            announced: Vec::new(),
            tunnels_described: false,
            refreshed: None,
            messages_at_refresh: 0,
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
    message: MessageWriter,
    max_message_octets: usize,
    reliable: bool,
    /// Octets of the fields of fixed length, for each shape whose template was sent; 0 for others.
    octets: Box<[u16]>,
    announced: Vec<Shape>,
    tunnels_described: bool,
    refreshed: Option<u64>,
    messages_at_refresh: u64,
}

impl TransportSession for Forwarding {
    type Record = ForwardedRecord;

    fn add(
        &mut self,
        record: &ForwardedRecord,
        now: u64,
        send: &mut Send<'_>,
    ) -> Result<(), Unsupported> {
        self.refresh_if_due(now, send);
        let shape = Shape::of(record);
        let mut fixed = self.octets.get(shape.index()).copied().unwrap_or_default();
        if fixed == 0 {
            self.announce(shape, now, send);
            fixed = shape.octets();
        }
        self.store.refresh(&mut self.snapshots);
        let room = self
            .max_message_octets
            .saturating_sub(HEADERS)
            .saturating_sub(fixed.into());
        let names = Names::of(record, &self.snapshots, room);
        let octets = usize::from(fixed).saturating_add(names.octets());
        let out = self.message.open(shape.template_id(), octets, now, send);
        let source = Source {
            record,
            names: &names,
        };
        shape.write(&source, out);
        names.write(out);
        self.message.count_record(&record.record);
        Ok(())
    }

    fn refresh(&mut self) {
        self.refreshed = None;
    }

    fn flush(&mut self, now: u64, send: &mut Send<'_>) {
        self.refresh_if_due(now, send);
        self.message.send(now, send);
    }

    fn close(&mut self, now: u64, send: &mut Send<'_>) {
        // Only what was sent can be withdrawn.
        if self.reliable && !self.announced.is_empty() {
            self.message
                .withdrawal(TEMPLATE_SET, TEMPLATE_SET, now, send);
        }
        if self.reliable && self.refreshed.is_some() {
            self.message
                .withdrawal(OPTIONS_TEMPLATE_SET, OPTIONS_TEMPLATE_SET, now, send);
        }
        self.message.send(now, send);
    }

    fn limit_message_octets(&mut self, octets: usize) {
        self.max_message_octets = octets;
        self.message.limit(octets);
    }
}

impl Forwarding {
    fn refresh_if_due(&mut self, now: u64, send: &mut Send<'_>) {
        let messages = self
            .message
            .sent()
            .0
            .saturating_sub(self.messages_at_refresh);
        // A clock that was set back must not delay the refresh.
        let due = self.refreshed.is_none_or(|last| {
            !self.reliable
                && (now.abs_diff(last) >= REFRESH_MILLISECONDS || messages >= REFRESH_MESSAGES)
        });
        if due {
            self.refresh(now, send);
        }
    }

    #[cold]
    fn refresh(&mut self, now: u64, send: &mut Send<'_>) {
        self.refreshed = Some(now);
        self.messages_at_refresh = self.message.sent().0;
        self.tunnels_described = false;
        self.describe(names::types(), true, now, send);
        for shape in std::mem::take(&mut self.announced) {
            self.announce(shape, now, send);
        }
    }

    /// Sends descriptions of elements (RFC 5610).
    fn describe(
        &mut self,
        types: impl Iterator<Item = options::ElementType<'static>>,
        with_template: bool,
        now: u64,
        send: &mut Send<'_>,
    ) {
        let mut options = Options {
            message: &mut self.message,
            now,
            send,
            with_template,
        };
        options.elements(types);
    }

    /// Sends the template of a shape.
    #[cold]
    fn announce(&mut self, shape: Shape, now: u64, send: &mut Send<'_>) {
        if shape.is_tunnelled() && !self.tunnels_described {
            self.tunnels_described = true;
            self.describe(options::tunnel_elements(), false, now, send);
        }
        let fields = shape.fields().chain(names::fields());
        self.message
            .template(shape.template_id(), fields, now, send);
        if let Some(octets) = self.octets.get_mut(shape.index()) {
            *octets = shape.octets();
        }
        self.announced.push(shape);
    }
}

#[cfg(test)]
mod tests {
    use flowproto::FlowRecord;
    use flowproto::collector::Version;

    use super::*;
    use crate::inventory::{self, Bounds};
    use crate::pipeline::Origin;
    use crate::pipeline::enrich::{Endpoints, ResolvedEndpoint};

    const NOW: u64 = 1_700_000_000_000;

    /// A cluster of one pod whose names have this number of letters.
    fn store(letters: usize) -> Arc<SnapshotStore> {
        let name = "n".repeat(letters);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.yaml");
        let text = format!(
            "nodes: [{{name: {name}, addresses: [10.9.0.1], podCIDRs: [10.1.1.0/24], zone: {name}}}]\n\
             pods: [{{name: {name}, namespace: shop, addresses: [10.1.1.1], node: {name}, \
             workload: {{kind: Deployment, name: {name}}}}}]\n"
        );
        std::fs::write(&path, text).unwrap();
        let mut inventory = inventory::file::read(&path, Bounds::default()).unwrap();
        let index = inventory.writer.current();
        Arc::new(SnapshotStore::new(index, Arc::default(), &name))
    }

    fn record(store: &SnapshotStore, octets: u64) -> ForwardedRecord {
        let mut record = FlowRecord {
            octet_delta_count: octets,
            packet_delta_count: 1,
            flow_start_milliseconds: NOW,
            flow_end_milliseconds: NOW,
            ..FlowRecord::default()
        };
        record.key.source_address = std::net::Ipv4Addr::new(10, 1, 1, 1).into();
        record.key.destination_address = std::net::Ipv4Addr::new(192, 0, 2, 1).into();
        let snapshots = store.load();
        let resolve = |address| {
            let found = snapshots
                .index
                .lookup(address, inventory::TimeRange::instant(NOW));
            ResolvedEndpoint {
                id: found.endpoint,
                place: snapshots.place(found.endpoint),
                certainty: found.certainty,
            }
        };
        ForwardedRecord {
            endpoints: Endpoints {
                source: resolve(record.key.source_address),
                destination: resolve(record.key.destination_address),
                source_service: None,
                destination_service: None,
            },
            record,
            origin: Arc::new(Origin {
                source_address: std::net::Ipv4Addr::new(192, 0, 2, 9).into(),
                reported_address: flowproto::Address::UNSPECIFIED,
                observation_domain_id: 7,
                version: Version::Ipfix,
                name: "edge".into(),
            }),
        }
    }

    fn session(store: &Arc<SnapshotStore>, octets: usize, reliable: bool) -> Forwarding {
        let store = Arc::clone(store);
        Enrichment { store }.begin(SessionStart {
            exporter_address: flowproto::Address::UNSPECIFIED,
            max_message_octets: octets,
            reliable,
            now_milliseconds: NOW,
        })
    }

    /// Set numbers of a Message, in order.
    fn sets(message: &[u8]) -> Vec<u16> {
        let (mut at, mut sets) = (16, Vec::new());
        while at < message.len() {
            sets.push(u16::from_be_bytes([message[at], message[at + 1]]));
            at += usize::from(u16::from_be_bytes([message[at + 2], message[at + 3]]));
        }
        sets
    }

    #[test]
    fn long_names_are_truncated_so_that_a_record_fits_its_message() {
        let store = store(250);
        for octets in [512, 1400] {
            let mut session = session(&store, octets, false);
            let mut sent = Vec::new();
            let record = record(&store, 1);
            for _ in 0..10 {
                session
                    .add(&record, NOW, &mut |m| sent.push(m.octets.to_vec()))
                    .unwrap();
            }
            session.flush(NOW, &mut |m| sent.push(m.octets.to_vec()));
            let longest = sent.iter().map(Vec::len).max().unwrap();
            assert!(longest <= octets, "{longest} of {octets}");
        }
    }

    #[test]
    fn a_warm_session_allocates_nothing_per_record() {
        let store = store(20);
        let mut session = session(&store, 1400, true);
        let record = record(&store, 1);
        let mut records = 0;
        let mut add = |times| {
            for _ in 0..times {
                session
                    .add(&record, NOW, &mut |m| records += m.weight.records)
                    .unwrap();
            }
        };
        add(100);
        let measured = allocation_counter::measure(|| add(10_000));
        assert_eq!(measured.count_total, 0);
        assert!(records > 9_000);
    }

    #[test]
    fn templates_are_repeated_over_udp_and_withdrawn_on_a_stream() {
        let store = store(5);
        let sent = |reliable| {
            let mut session = session(&store, 65_535, reliable);
            let mut sent = Vec::new();
            let mut send = |m: flowproto::exporter::OutgoingMessage<'_>| sent.push(sets(m.octets));
            for now in [NOW, NOW + 1000, NOW + 61_000] {
                session.add(&record(&store, 1), now, &mut send).unwrap();
                session.flush(now, &mut send);
            }
            session.close(NOW + 61_000, &mut send);
            sent
        };
        let whole = vec![3, 524, 2, 1024];
        assert_eq!(sent(false), [whole.clone(), vec![1024], whole.clone()]);
        assert_eq!(sent(true), [whole, vec![1024], vec![1024], vec![2, 3]]);
    }

    #[test]
    fn only_templates_that_were_sent_are_withdrawn() {
        let store = store(5);
        let sent = |is_flushed| {
            let mut session = session(&store, 1400, true);
            let mut sent = Vec::new();
            if is_flushed {
                session.flush(NOW, &mut |_| {});
            }
            session.close(NOW, &mut |m| sent.push(sets(m.octets)));
            sent
        };
        assert_eq!(sent(false), [[0_u16; 0]; 0]);
        assert_eq!(sent(true), [vec![3]]);
    }

    #[test]
    fn the_family_of_an_address_after_translation_does_not_depend_on_the_one_before() {
        let store = store(5);
        let mut record = record(&store, 1);
        let after = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into();
        record.record.translation = Some(flowproto::record::Translation {
            post_nat_source_address: after,
            ..Default::default()
        });
        record.record.ip_next_hop_address = after;
        let elements: Vec<u16> = Shape::of(&record).fields().map(|f| f.id).collect();
        for id in [8, 12, 281, 282, 62] {
            assert!(elements.contains(&id), "{id}");
        }
        for id in [27, 28, 225, 226, 15] {
            assert!(!elements.contains(&id), "{id}");
        }
    }
}

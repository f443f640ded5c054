//! The records of a Set.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counters of 64 bits do not overflow"
)]

use std::sync::Arc;

use super::buffers::RecordBuffers;
use super::observer::Observer;
use super::process::{CollectingProcess, OpenMessage};
use super::sink::{Fields, RecordSink};
use crate::options::{Resolved, SamplingResolver};
use crate::plan::{MessageContext, Selection, TrafficReader, Values};
use crate::record::{FlowRecord, Sampling};
use crate::sessions::{SamplingRule, Unusable};
use crate::template::Template;
use crate::wire::{Records, fixed};

/// Finds the sampling in force for the records of a Set.
struct SamplingInForce<'a> {
    rule: SamplingRule,
    /// `None` if nothing was announced.
    announced: Option<SamplingResolver<'a>>,
    /// Records name a selector or another property by which sampling is announced.
    have_scopes: bool,
    /// Records report sampling themselves.
    have_own: bool,
    /// Records whose sampling is not known.
    unknown: u32,
}

impl SamplingInForce<'_> {
    /// Whether the sampling that records report is all there is.
    fn is_none(&self) -> bool {
        self.announced.is_none()
            && self.rule == SamplingRule::default()
            && !self.have_scopes
            && !self.have_own
    }

    /// The sampling of all records that report none, if it does not depend on the record.
    fn of_all(&self) -> Option<Selection> {
        if let Some(sampling) = self.rule.override_with {
            return Some(Selection::of_packets(sampling));
        }
        let announced = self.announced.as_ref();
        match announced.map_or(Resolved::Unknown, SamplingResolver::of_all) {
            Resolved::Known(selection) => Some(selection),
            Resolved::Unknown => Some(self.unannounced()),
            Resolved::Ambiguous => None,
        }
    }

    /// The sampling of records for which none is reported.
    fn unannounced(&self) -> Selection {
        Selection::of_packets(self.rule.default.unwrap_or_default())
    }

    /// Sets the sampling of a record.
    fn apply(&mut self, values: &Values, record: &mut FlowRecord) {
        if let Some(sampling) = self.rule.override_with {
            return Selection::of_packets(sampling).apply(record);
        }
        if values.own_sampling().is_some() {
            return;
        }
        let scopes = self.have_scopes.then(|| values.sampling_scopes());
        let (selection, is_unknown) = match &mut self.announced {
            Some(announced) => announced.resolve(record, scopes),
            None => {
                let selector = scopes.and_then(|scopes| scopes.selector);
                (None, selector.is_some_and(|s| s != 0))
            }
        };
        let is_unknown = is_unknown || values.has_implausible_sampling() && selection.is_none();
        if is_unknown && (selection.is_some() || self.rule.default.is_none()) {
            self.unknown = self.unknown.saturating_add(1);
        }
        selection
            .unwrap_or_else(|| self.unannounced())
            .apply(record);
    }
}

/// Reads the records of a Set that a sink takes by their traffic.
struct TrafficRecords<'a> {
    reader: &'a TrafficReader,
    context: &'a MessageContext,
    selection: Selection,
}

impl TrafficRecords<'_> {
    /// Passes the records up to the first one that `sink` does not take, and returns their number.
    fn pass(&self, records: &mut Records<'_, '_>, sink: &mut impl RecordSink) -> u32 {
        if self.reader.has_ipv6() {
            self.pass_family::<true>(records, sink)
        } else {
            self.pass_family::<false>(records, sink)
        }
    }

    #[inline]
    fn pass_family<const IPV6: bool>(
        &self,
        records: &mut Records<'_, '_>,
        sink: &mut impl RecordSink,
    ) -> u32 {
        let mut taken = 0_u16;
        for octets in records.of_fixed_length() {
            let traffic = self
                .reader
                .read::<IPV6>(octets, self.context, self.selection);
            if self.reader.may_have_outgoing(&traffic) || !sink.traffic(&traffic) {
                break;
            }
            // A Set has at most 65,535 octets.
            taken = taken.wrapping_add(1);
        }
        records.skip(taken.into());
        taken.into()
    }
}

/// Passes the addresses of all records of a Set to `sink`.
fn read_ahead(reader: &TrafficReader, records: &Records<'_, '_>, sink: &impl RecordSink) {
    let records = records.of_fixed_length();
    if reader.has_ipv6() {
        records.for_each(|octets| sink.read_ahead(reader.addresses::<true>(octets)));
    } else {
        records.for_each(|octets| sink.read_ahead(reader.addresses::<false>(octets)));
    }
}

impl CollectingProcess {
    /// The records of a v1, v5 or v7 datagram.
    pub(super) fn fixed_records<'a>(
        &mut self,
        message: &mut OpenMessage,
        records: impl Iterator<Item = &'a [u8; fixed::V5_OCTETS]> + Clone,
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        let rule = self.sessions.sampling_rule(message.place());
        let reported = fixed::sampling(&message.header);
        let sampling = rule.override_with.or(reported).or(rule.default);
        // All records fill the same fields; the other fields are cleared once.
        let mut record = FlowRecord {
            sampling: sampling.unwrap_or_default(),
            ..FlowRecord::default()
        };
        let described = message.describe(&self.sessions);
        let takes_traffic = sink.takes_traffic(false);
        for octets in records.clone() {
            sink.read_ahead(fixed::addresses(octets));
        }
        let mut count = 0_u32;
        for octets in records {
            count = count.saturating_add(1);
            if takes_traffic
                && sink.traffic(&fixed::traffic(octets, &message.header, record.sampling))
            {
                continue;
            }
            fixed::fill(&mut record, octets, &message.header);
            observer.fixed_record(octets, &record);
            sink.record(&described, &record, Fields::of_record(&record));
        }
        self.counters.records += u64::from(count);
        message.tally.records = count;
        self.add_records(message, count, record.sampling, 0);
    }

    pub(super) fn options_records(
        &mut self,
        message: &mut OpenMessage,
        template: &Arc<Template>,
        content: &[u8],
        observer: &mut impl Observer,
    ) {
        let mut records = Records::new(template, content);
        let (mut count, mut is_cut) = (0_u32, false);
        while let Some(record) = records.next(&mut self.buffers.spans) {
            let Ok(octets) = record else {
                is_cut = true;
                break;
            };
            count = count.saturating_add(1);
            observer.record(octets, template, None);
            let announced = self.sessions.announce(&message.session, template, octets);
            self.counters.metadata_refused += announced.refused;
            self.counters.announcements_ignored += announced.ignored;
        }
        observer.end_of_records(records.rest(), template, is_cut);
        self.counters.options_records += u64::from(count);
        message.tally.options_records = message.tally.options_records.saturating_add(count);
        if count > 0 {
            self.sessions.has_decoded(message.place());
        }
        self.end_of_set(message, is_cut);
    }

    pub(super) fn flow_records(
        &mut self,
        message: &mut OpenMessage,
        (id, template): (u16, &Arc<Template>),
        content: &[u8],
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        let place = message.place();
        self.sessions.refresh_sampling(place);
        let RecordBuffers {
            spans,
            values,
            record,
            names,
        } = &mut self.buffers;
        spans.clear();
        let plan = template.plan();
        let described = message.describe(&self.sessions);
        let session = self.sessions.view(place);
        let context = MessageContext {
            export_time_milliseconds: message.header.export_time_milliseconds,
            sys_up_time: message.header.sys_up_time,
            system_init_milliseconds: self.sessions.system_init(place),
        };
        let mut sampling = SamplingInForce {
            rule: self.sessions.sampling_rule(place),
            announced: self.sessions.sampling(place, id),
            have_scopes: plan.have_sampling_scopes(),
            have_own: plan.have_sampling(),
            unknown: 0,
        };
        let reader = plan.traffic();
        let traffic = reader
            .filter(|reader| sink.takes_traffic(reader.has_health()))
            .and_then(|reader| {
                Some(TrafficRecords {
                    reader,
                    context: &context,
                    selection: sampling.of_all()?,
                })
            });
        let mut records = Records::new(template, content);
        if let Some(reader) = reader {
            read_ahead(reader, &records, sink);
        }
        let mut latest_sampling = match &traffic {
            Some(traffic) => traffic.selection.in_force(),
            None => Sampling::NONE,
        };
        let has_sampling = !sampling.is_none();
        // Running totals and firewall connections cost a look-up for each record; exporters of deltas
        // do not pay for it. A reported packet is neither.
        let kinds = plan.counter_kinds();
        let are_kept = !plan.has_packet()
            && (kinds.iter().any(|kind| kind.is_total()) || plan.are_firewall_connections());
        let totals_of = are_kept.then(|| self.sessions.domain_key(place)).flatten();
        let has_names = plan.has_names();
        let mut count = 0_u32;
        let (mut is_begun, mut is_cut) = (false, false);
        loop {
            if let Some(traffic) = &traffic {
                count = count.saturating_add(traffic.pass(&mut records, sink));
            }
            let Some(next) = records.next(spans) else {
                break;
            };
            let Ok(octets) = next else {
                is_cut = true;
                break;
            };
            count = count.saturating_add(1);
            if !is_begun {
                plan.begin(values, record);
                is_begun = true;
            }
            plan.read(octets, spans, &context, values, record);
            if has_names {
                let name = plan.read_name(octets, spans, names);
                record.responder_name = name.unwrap_or_else(|error| {
                    self.counters.refuse_name(error);
                    None
                });
            }
            if has_sampling {
                sampling.apply(values, record);
            }
            observer.record(octets, template, Some(record));
            if let Some(domain) = totals_of {
                let is_evicted = self.totals.count(domain, kinds, values, record);
                self.counters.totals_evicted += u64::from(is_evicted);
            }
            let fields = Fields::of_template(template, octets, session);
            sink.record(&described, record, fields);
            latest_sampling = record.sampling;
        }
        observer.end_of_records(records.rest(), template, is_cut);
        let unknown = sampling.unknown;
        self.counters.records += u64::from(count);
        message.tally.records = message.tally.records.saturating_add(count);
        self.add_records(message, count, latest_sampling, unknown);
        self.end_of_set(message, is_cut);
    }

    fn add_records(&mut self, message: &OpenMessage, count: u32, latest: Sampling, unknown: u32) {
        self.counters.records_of_unknown_sampling += u64::from(unknown);
        self.sessions
            .add_records(message.place(), count, latest, unknown);
        if count > 0 {
            self.sessions.has_decoded(message.place());
        }
    }

    fn end_of_set(&mut self, message: &mut OpenMessage, is_cut: bool) {
        if is_cut {
            message.tally.has_unread = true;
            self.count_unusable(message.place(), Unusable::FieldLength);
        }
    }
}

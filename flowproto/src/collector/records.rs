//! The records of a Set.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counters of 64 bits do not overflow"
)]

use std::sync::Arc;

use super::buffers::RecordBuffers;
use super::observer::Observer;
use super::process::{CollectingProcess, OpenMessage};
use super::sampling::SamplingInForce;
use super::sink::{Fields, RecordSink};
use super::traffic::{TrafficRecords, read_ahead};
use crate::plan::MessageContext;
use crate::record::{FlowRecord, Sampling};
use crate::sessions::Unusable;
use crate::template::Template;
use crate::wire::{Records, fixed};

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
        let mut sampling = SamplingInForce::new(&self.sessions, place, (id, template));
        let mut records = Records::new(template, content);
        let traffic = plan.traffic().and_then(|reader| {
            read_ahead(reader, &records, sink);
            TrafficRecords::new(reader, &context, &sampling, sink)
        });
        let mut latest_sampling = traffic
            .as_ref()
            .map_or(Sampling::NONE, TrafficRecords::sampling);
        let has_sampling = !sampling.is_none();
        let totals_of = plan
            .need_totals()
            .then(|| self.sessions.domain_key(place))
            .flatten();
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
                let kinds = plan.counter_kinds();
                let is_evicted = self.totals.count(domain, kinds, values, record);
                self.counters.totals_evicted += u64::from(is_evicted);
            }
            let fields = Fields::of_template(template, octets, session);
            sink.record(&described, record, fields);
            latest_sampling = record.sampling;
        }
        observer.end_of_records(records.rest(), template, is_cut);
        let unknown = sampling.unknown;
        self.add_records(message, count, latest_sampling, unknown);
        self.end_of_set(message, is_cut);
    }

    fn add_records(
        &mut self,
        message: &mut OpenMessage,
        count: u32,
        latest: Sampling,
        of_unknown_sampling: u32,
    ) {
        self.counters.records += u64::from(count);
        self.counters.records_of_unknown_sampling += u64::from(of_unknown_sampling);
        message.tally.records = message.tally.records.saturating_add(count);
        let place = message.place();
        self.sessions
            .add_records(place, count, latest, of_unknown_sampling);
        if count > 0 {
            self.sessions.has_decoded(place);
        }
    }

    fn end_of_set(&mut self, message: &mut OpenMessage, is_cut: bool) {
        if is_cut {
            message.tally.has_unread = true;
            self.count_unusable(message.place(), Unusable::FieldLength);
        }
    }
}

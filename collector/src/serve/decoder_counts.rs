//! Sums of the decoders' counts.

use flowproto::collector::{Counters, Occupancy};

/// Adds the counters of another decoder.
pub(super) fn add_counters(sum: &mut Counters, more: &Counters) {
    let Counters {
        datagrams,
        octets,
        messages,
        records,
        options_records,
        templates,
        sets_held,
        sets_released,
        sequence,
        domains_crowded_out,
        domains_idle,
        templates_withdrawn,
        templates_idle,
        words_refused,
        totals_forgotten,
        unusable,
    } = more;
    sum.sequence.add(*sequence);
    for (sum, more) in [
        (&mut sum.datagrams, datagrams),
        (&mut sum.octets, octets),
        (&mut sum.records, records),
        (&mut sum.options_records, options_records),
        (&mut sum.templates, templates),
        (&mut sum.sets_held, sets_held),
        (&mut sum.sets_released, sets_released),
        (&mut sum.domains_crowded_out, domains_crowded_out),
        (&mut sum.domains_idle, domains_idle),
        (&mut sum.templates_withdrawn, templates_withdrawn),
        (&mut sum.templates_idle, templates_idle),
        (&mut sum.words_refused, words_refused),
        (&mut sum.totals_forgotten, totals_forgotten),
    ] {
        *sum += more;
    }
    for (sum, more) in sum.messages.iter_mut().zip(messages) {
        *sum += more;
    }
    for (sum, more) in sum.unusable.iter_mut().zip(unusable) {
        *sum += more;
    }
}

/// Adds the occupancy of another decoder.
pub(super) const fn add_occupancy(sum: &mut Occupancy, more: &Occupancy) {
    let Occupancy {
        domains,
        templates,
        held_sets,
        held_octets,
        words,
        totals,
    } = more;
    sum.domains += *domains;
    sum.templates += *templates;
    sum.held_sets += *held_sets;
    sum.held_octets += *held_octets;
    sum.words += *words;
    sum.totals += *totals;
}

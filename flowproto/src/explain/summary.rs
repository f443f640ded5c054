//! The summary: what each exporter sent, and which rules it broke.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::collector::{DomainReport, MessageTally};
use crate::record::Sampling;
use crate::rule::Rule;

/// Maximum number of exporters with a line of their own. The others are added up in one line.
const MAX_EXPORTERS: usize = 4096;

/// One Observation Domain of an exporter; `None` for those without a line of their own.
pub(super) type Source = Option<(IpAddr, u32, u16)>;

/// Totals of a [`Source`].
#[derive(Clone, Copy, Debug, Default)]
struct SourceTotals {
    messages: u64,
    octets: u64,
    templates: u64,
    records: u64,
    options_records: u64,
    broken_rules: u64,
}

/// A rule that an exporter broke.
#[derive(Clone, Copy, Debug)]
struct BrokenRule {
    count: u64,
    /// Number of the first datagram that broke it.
    first: u64,
    version: u16,
}

#[derive(Debug, Default)]
pub(super) struct Summary {
    datagrams: u64,
    sources: BTreeMap<Source, SourceTotals>,
    broken_rules: BTreeMap<(Rule, Option<IpAddr>), BrokenRule>,
}

impl Summary {
    pub(super) const fn add_datagram(&mut self) {
        self.datagrams += 1;
    }

    /// The line of an Observation Domain.
    pub(super) fn source(&self, exporter: SocketAddr, domain: u32, version: u16) -> Source {
        let source = Some((exporter.ip(), domain, version));
        let has_line = self.sources.len() < MAX_EXPORTERS || self.sources.contains_key(&source);
        source.filter(|_| has_line)
    }

    /// Adds a Message.
    pub(super) fn add_message(&mut self, source: Source, octets: u32, tally: &MessageTally) {
        let totals = self.sources.entry(source).or_default();
        totals.messages += 1;
        totals.octets += u64::from(octets);
        totals.templates += u64::from(tally.templates);
        self.add_records(source, tally);
    }

    /// Adds records, also those of a Set that had to wait.
    pub(super) fn add_records(&mut self, source: Source, tally: &MessageTally) {
        let totals = self.sources.entry(source).or_default();
        totals.records += u64::from(tally.records);
        totals.options_records += u64::from(tally.options_records);
    }

    /// Adds a broken rule.
    pub(super) fn add(&mut self, source: Source, rule: Rule, version: u16, datagram: u64) {
        self.sources.entry(source).or_default().broken_rules += 1;
        let key = (rule, source.map(|(exporter, _, _)| exporter));
        let broken = self.broken_rules.entry(key).or_insert(BrokenRule {
            count: 0,
            first: datagram,
            version,
        });
        broken.count += 1;
    }

    /// Number of times that a rule was broken, by all exporters.
    pub(super) fn count(&self, rule: Rule) -> u64 {
        let exporters = (rule, None)..;
        let of_rule = self
            .broken_rules
            .range(exporters)
            .take_while(|((other, _), _)| *other == rule);
        of_rule.map(|(_, broken)| broken.count).sum()
    }

    /// Writes the summary. `domains`: reports of the Observation Domains.
    pub(super) fn write<'a>(
        &self,
        domains: impl Iterator<Item = DomainReport<'a>>,
        out: &mut Vec<u8>,
    ) {
        let sum = |of: fn(&SourceTotals) -> u64| self.sources.values().map(of).sum::<u64>();
        drop(writeln!(
            out,
            "Summary: {} datagrams, {} Messages, {} templates, {} records, {} options records",
            self.datagrams,
            sum(|t| t.messages),
            sum(|t| t.templates),
            sum(|t| t.records),
            sum(|t| t.options_records),
        ));
        if !self.sources.is_empty() {
            drop(writeln!(
                out,
                "\n  {:<39}  {:<7}  {:>10}  {:>9}  {:>9}  {:>9}  {:>8}  {:>12}  {:>8}",
                "EXPORTER",
                "VERSION",
                "DOMAIN",
                "MESSAGES",
                "TEMPLATES",
                "RECORDS",
                "OPTIONS",
                "OCTETS",
                "PROBLEMS"
            ));
        }
        for (source, totals) in &self.sources {
            let (exporter, version, domain) = match source {
                Some((exporter, domain, version)) => (
                    address(*exporter),
                    version_name(*version),
                    domain.to_string(),
                ),
                None => ("others".into(), "", String::new()),
            };
            drop(writeln!(
                out,
                "  {exporter:<39}  {version:<7}  {domain:>10}  {:>9}  {:>9}  {:>9}  {:>8}  {:>12}  {:>8}",
                totals.messages,
                totals.templates,
                totals.records,
                totals.options_records,
                totals.octets,
                totals.broken_rules,
            ));
        }
        write_sampling(domains, out);
        if self.broken_rules.is_empty() {
            if self.datagrams > 0 {
                out.extend_from_slice(b"\n  No problem found.\n");
            }
            return;
        }
        drop(writeln!(
            out,
            "\n  {:<18}  {:>8}  {:>8}  {:<39}  RULE",
            "PROBLEM", "COUNT", "FIRST IN", "EXPORTER"
        ));
        // Requirements first, then advice.
        for errors in [true, false] {
            for ((rule, exporter), broken) in self
                .broken_rules
                .iter()
                .filter(|((rule, _), _)| rule.is_error() == errors)
            {
                let mark = mark(*rule);
                let requirement = rule.requirement(broken.version);
                drop(writeln!(
                    out,
                    "{mark} {:<18}  {:>8}  {:>8}  {:<39}  {}: {}",
                    rule.as_str(),
                    broken.count,
                    format!("#{}", broken.first),
                    exporter.map_or_else(|| "others".to_owned(), address),
                    requirement.reference,
                    requirement.text,
                ));
            }
        }
        out.extend_from_slice(b"\n  ! breaks the protocol   ~ worth knowing\n");
    }
}

/// Writes the sampling in force at the end, of each Observation Domain that has any, or whose
/// records or options data leave it open.
fn write_sampling<'a>(domains: impl Iterator<Item = DomainReport<'a>>, out: &mut Vec<u8>) {
    let mut lines: Vec<_> = domains
        .filter(|domain| {
            domain.sampling != Sampling::NONE
                || domain.records_of_unknown_sampling > 0
                || domain.announcements_ignored > 0
        })
        .map(|domain| (domain.exporter, domain.observation_domain_id, domain))
        .collect();
    lines.sort_by_key(|(exporter, domain, report)| (*exporter, *domain, report.version));
    lines.truncate(MAX_EXPORTERS);
    if lines.is_empty() {
        return;
    }
    drop(writeln!(
        out,
        "\n  {:<39}  {:<7}  {:>10}  {:>20}  {:>15}  {:>15}",
        "EXPORTER", "VERSION", "DOMAIN", "SAMPLED", "UNKNOWN RECORDS", "UNKNOWN OPTIONS"
    ));
    for (exporter, domain, report) in lines {
        drop(writeln!(
            out,
            "  {:<39}  {:<7}  {domain:>10}  {:>20}  {:>15}  {:>15}",
            address(exporter.to_ip()),
            version_name(report.version.number()),
            sampling(report.sampling),
            report.records_of_unknown_sampling,
            report.announcements_ignored,
        ));
    }
}

/// `1 in 100`.
pub(super) fn sampling(sampling: Sampling) -> String {
    let Sampling { interval, space } = sampling;
    match space {
        0 => "all".to_owned(),
        _ => format!("{interval} in {}", u64::from(interval) + u64::from(space)),
    }
}

pub(super) const fn mark(rule: Rule) -> char {
    if rule.is_error() { '!' } else { '~' }
}

pub(super) fn address(exporter: IpAddr) -> String {
    if exporter.is_unspecified() {
        "(file)".to_owned()
    } else {
        exporter.to_string()
    }
}

pub(super) const fn version_name(version: u16) -> &'static str {
    match version {
        1 => "v1",
        5 => "v5",
        7 => "v7",
        9 => "v9",
        10 => "IPFIX",
        _ => "?",
    }
}

//! The last page: what there was from whom, and what was wrong, by problem and by exporter.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::problem::Problem;

/// Exporters that are told apart; what more of them send is added up in one line.
const MAX_EXPORTERS: usize = 4096;

/// One Observation Domain of an exporter; `None` for those for which there was no room.
pub(super) type Source = Option<(IpAddr, u32, u16)>;

/// What came from a [`Source`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) octets: u64,
    pub(super) templates: u64,
    pub(super) records: u64,
    pub(super) options_records: u64,
    pub(super) problems: u64,
}

/// A problem of an exporter.
#[derive(Clone, Copy, Debug)]
struct Seen {
    count: u64,
    /// The datagram that showed it first.
    first: u64,
    version: u16,
}

#[derive(Debug, Default)]
pub(super) struct Summary {
    datagrams: u64,
    sources: BTreeMap<Source, Tally>,
    problems: BTreeMap<(Problem, Option<IpAddr>), Seen>,
}

impl Summary {
    pub(super) const fn datagram(&mut self) {
        self.datagrams += 1;
    }

    /// Where to count what comes from here.
    pub(super) fn source(&self, exporter: SocketAddr, domain: u32, version: u16) -> Source {
        let source = Some((exporter.ip(), domain, version));
        if self.sources.len() < MAX_EXPORTERS || self.sources.contains_key(&source) {
            source
        } else {
            None
        }
    }

    pub(super) fn tally(&mut self, source: Source) -> &mut Tally {
        self.sources.entry(source).or_default()
    }

    pub(super) fn problem(&mut self, source: Source, problem: Problem, version: u16, number: u64) {
        self.tally(source).problems += 1;
        let key = (problem, source.map(|(exporter, _, _)| exporter));
        let seen = self.problems.entry(key).or_insert(Seen {
            count: 0,
            first: number,
            version,
        });
        seen.count += 1;
    }

    /// How often a problem was seen, from all exporters.
    pub(super) fn count(&self, problem: Problem) -> u64 {
        let of = self.problems.iter().filter(|((p, _), _)| *p == problem);
        of.map(|(_, seen)| seen.count).sum()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let sum = |of: fn(&Tally) -> u64| self.sources.values().map(of).sum::<u64>();
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
        for (source, tally) in &self.sources {
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
                tally.messages,
                tally.templates,
                tally.records,
                tally.options_records,
                tally.octets,
                tally.problems,
            ));
        }
        if self.problems.is_empty() {
            out.extend_from_slice(b"\n  Nothing is wrong with them.\n");
            return;
        }
        drop(writeln!(
            out,
            "\n  {:<18}  {:>8}  {:>8}  {:<39}  RULE",
            "PROBLEM", "COUNT", "FIRST IN", "EXPORTER"
        ));
        // Broken rules first, then what is only worth knowing.
        for errors in [true, false] {
            for ((problem, exporter), seen) in self
                .problems
                .iter()
                .filter(|((problem, _), _)| problem.is_error() == errors)
            {
                let mark = mark(*problem);
                let rule = problem.rule(seen.version);
                drop(writeln!(
                    out,
                    "{mark} {:<18}  {:>8}  {:>8}  {:<39}  {}: {}",
                    problem.as_str(),
                    seen.count,
                    format!("#{}", seen.first),
                    exporter.map_or_else(|| "others".to_owned(), address),
                    rule.reference,
                    rule.asks,
                ));
            }
        }
        out.extend_from_slice(b"\n  ! breaks a rule of the protocol   ~ is worth knowing\n");
    }
}

pub(super) const fn mark(problem: Problem) -> char {
    if problem.is_error() { '!' } else { '~' }
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
        5 => "v5",
        7 => "v7",
        9 => "v9",
        10 => "IPFIX",
        _ => "?",
    }
}

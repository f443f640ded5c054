//! The lines of the flow log: at once where a record is decided, begun where it waits.

use flowproto::collector::Message;
use flowproto::template::Fields;

use super::Intermediate;
use super::exporter::Exporter;
use crate::emit::line;
use crate::enrich::{Ends, Known};
use crate::inventory::NodeId;

/// Where the line of a record comes from.
pub(super) enum Line<'a> {
    /// Nothing of it is written yet.
    Fields(&'a Message<'a>, Fields<'a>),
    /// The fields are there; empty where there is no flow log.
    /// With whether it brings names.
    Begun(Vec<u8>, bool),
}

impl Line<'_> {
    /// Appends what the record itself says; whether it brings names.
    fn begin(self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Fields(message, fields) => {
                line::begin(message, fields, out);
                line::brings_names(fields)
            }
            Self::Begun(begun, brings_names) => {
                if out.is_empty() {
                    *out = begun;
                } else {
                    out.extend_from_slice(&begun);
                }
                brings_names
            }
        }
    }
}

impl Intermediate {
    /// Writes a whole line.
    pub(super) fn log(
        &mut self,
        ends: Ends,
        exporter: Option<NodeId>,
        line: Line<'_>,
        counted: bool,
    ) {
        let Some(log) = &mut self.log else { return };
        let known = Known {
            index: &self.index,
            outside: &self.outside,
        };
        let out = log.text();
        let from = out.len();
        let brings_names = line.begin(out);
        if !known.is_empty() {
            let observer = self
                .exporters
                .get(self.domain_index)
                .and_then(Option::as_ref);
            let observer = observer
                .filter(|_| exporter.is_none())
                .map(Exporter::observer);
            line::add_ends(known, ends, observer, out);
            line::add_cluster(&self.shared.cluster_name, out);
            line::add_counted(counted, out);
            if brings_names {
                line::keep_last(out, from);
            }
        }
        line::end(out);
        log.end_line();
    }

    /// A line that lacks only whether the record counts; empty where there is no flow log.
    pub(super) fn open_line(&self, ends: Ends, line: Line<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        if self.log.is_some() {
            let brings_names = line.begin(&mut out);
            line::add_ends(self.known(), ends, None, &mut out);
            line::add_cluster(&self.shared.cluster_name, &mut out);
            if brings_names {
                line::keep_last(&mut out, 0);
            }
        }
        out
    }
}

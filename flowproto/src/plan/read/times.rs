//! The times of a record.

use super::{Values, bits};
use crate::plan::MessageContext;
use crate::plan::slot::{ENDS, STARTS, Slot};
use crate::plan::time::to_epoch;
use crate::record::FlowRecord;

/// Times that are not in milliseconds.
pub(super) const OTHER_UNITS: u128 = bits([
    Slot::StartSysUpTime,
    Slot::EndSysUpTime,
    Slot::StartSeconds,
    Slot::EndSeconds,
    Slot::StartNtp,
    Slot::EndNtp,
    Slot::StartDeltaMicroseconds,
    Slot::EndDeltaMicroseconds,
]);

impl Values {
    /// The plan kept only the finest start and the finest end of a template.
    pub(super) fn fill_times(&self, context: &MessageContext, record: &mut FlowRecord) {
        let init = self.system_init(context);
        let time = |alternatives: [Slot; 5]| {
            let mut filled = alternatives.into_iter();
            let slot = filled.find(|slot| self.any(slot.bit()))?;
            Some(to_epoch(slot, self.number(slot), init, context))
        };
        record.flow_start_milliseconds = time(STARTS).unwrap_or_default();
        record.flow_end_milliseconds = time(ENDS).unwrap_or_default();
    }

    /// Start and end of the reverse direction (RFC 5103), in the units of their elements.
    pub(super) fn fill_reverse_times(&self, context: &MessageContext, record: &mut FlowRecord) {
        let init = self.system_init(context);
        let [start, end] = self.reverse_times;
        let time = |unit, slot| to_epoch(unit, self.number(slot), init, context);
        record.reverse_flow_start_milliseconds = time(start, Slot::ReverseStart);
        record.reverse_flow_end_milliseconds = time(end, Slot::ReverseEnd);
    }

    /// The time at which the `sysUpTime` of the exporter was 0.
    fn system_init(&self, context: &MessageContext) -> Option<u64> {
        self.number_if(Slot::SystemInitTime)
            .filter(|init| *init != 0)
            .or(context.system_init_milliseconds)
    }

    /// The start of the flow, to compare with that of its other records; 0 if it is not known. It
    /// is compared as it is: a `sysUpTime` differs between Messages as calendar time, because their
    /// export times are whole seconds. An offset from the export time is compared as calendar time.
    pub(crate) fn start_identity(&self, record: &FlowRecord) -> u64 {
        let mut starts = STARTS.into_iter();
        match starts.find(|slot| self.any(slot.bit())) {
            None | Some(Slot::StartDeltaMicroseconds) => record.flow_start_milliseconds,
            Some(slot) => self.number(slot),
        }
    }
}

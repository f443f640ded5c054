//! Emit: what goes on to others. The flow log is one JSON object a record.

mod flow_log;
pub(crate) mod line;

pub use flow_log::{FlowLog, FlowLogCounts, FlowLogTarget, LineBuffer, Patience};

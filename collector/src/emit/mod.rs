//! Emit: what goes on to others. The flow log is one JSON object a record; [`replicate`] passes datagrams on as
//! they came.

mod flow_log;
pub(crate) mod line;
mod mailbox;
pub mod replicate;

pub use flow_log::{FlowLog, FlowLogCounts, FlowLogTarget, LineBuffer, Patience};

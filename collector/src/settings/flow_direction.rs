//! The setting for exporters that report a flow on each of its interfaces.

use serde::{Deserialize, Serialize};

/// The records that count if an exporter makes two of the same packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowDirection {
    /// Records of both directions.
    #[default]
    Both,
    /// Records of packets that enter.
    Ingress,
    /// Records of packets that leave.
    Egress,
}

impl FlowDirection {
    /// The value of 61 `flowDirection` that counts; `None` for both.
    #[must_use]
    pub const fn value(self) -> Option<u8> {
        match self {
            Self::Both => None,
            Self::Ingress => Some(0),
            Self::Egress => Some(1),
        }
    }
}

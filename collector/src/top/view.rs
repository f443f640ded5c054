//! The views: which edges are shown, and how they are grouped.

use clap::ValueEnum;

/// A view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// Traffic between workloads.
    Workloads,
    /// Traffic of workloads with external endpoints, by name.
    External,
    /// Traffic between zones, by workload.
    Zones,
}

impl View {
    /// All views, in the order in which Tab shows them.
    pub(super) const ALL: [Self; 3] = [Self::Workloads, Self::External, Self::Zones];

    /// Its position in [`Self::ALL`].
    #[expect(clippy::as_conversions, reason = "the variants are numbered from 0")]
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// The view at a position.
    pub(super) fn of_index(index: usize) -> Self {
        Self::ALL.get(index).copied().unwrap_or(Self::Workloads)
    }

    /// Its name.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Workloads => "workloads",
            Self::External => "external names",
            Self::Zones => "traffic between zones",
        }
    }

    /// The fields by which edges are grouped.
    pub(super) const fn group_by(self) -> &'static str {
        match self {
            Self::Workloads => {
                "src.namespace,src.kind,src.workload,dst.namespace,dst.kind,dst.workload,class"
            }
            Self::External => {
                "internal.namespace,internal.kind,internal.workload,external.name,\
                 external.as_name,external.country,direction"
            }
            Self::Zones => {
                "src.namespace,src.kind,src.workload,src.zone,\
                 dst.namespace,dst.kind,dst.workload,dst.zone"
            }
        }
    }

    /// The edges that it shows. `None` for all.
    pub(super) const fn filter(self) -> Option<&'static str> {
        match self {
            Self::Workloads => None,
            Self::External => Some(r#"direction in ["egress", "ingress"]"#),
            Self::Zones => Some(r#"src.zone != dst.zone && src.zone != "" && dst.zone != """#),
        }
    }
}

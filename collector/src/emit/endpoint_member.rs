//! The names of an endpoint as members of a record: in the lines of the flow log, the columns of
//! enriched records, and the tables of an engine.

use enum_map::Enum;
use strum::VariantArray;

/// An end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum, VariantArray)]
pub enum EndpointSide {
    /// The source.
    Source,
    /// The destination.
    Destination,
}

macro_rules! endpoint_members {
    ($($(#[$doc:meta])* $member:ident,)*) => {
        /// What is known about an endpoint. Members that Antrea has are spelled as Antrea does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
        pub enum EndpointMember {
            $($(#[$doc])* $member,)*
        }

        impl EndpointMember {
            /// The name of the member for an endpoint, such as `sourcePodName`.
            #[must_use]
            pub const fn name(self, side: EndpointSide) -> &'static str {
                match (self, side) {
                    $(
                        (Self::$member, EndpointSide::Source) => {
                            concat!("source", stringify!($member))
                        }
                        (Self::$member, EndpointSide::Destination) => {
                            concat!("destination", stringify!($member))
                        }
                    )*
                }
            }
        }
    };
}

endpoint_members! {
    /// IP address.
    Address,
    /// Port.
    TransportPort,
    /// Namespace of the endpoint, whatever its kind.
    Namespace,
    /// Namespace of a pod.
    PodNamespace,
    /// Group of that namespace.
    NamespaceGroup,
    /// Name of a pod.
    PodName,
    /// Kind of the workload.
    WorkloadKind,
    /// Name of the workload.
    WorkloadName,
    /// Namespace of the Service whose virtual address the record has.
    ServiceNamespace,
    /// Name of that Service.
    ServiceName,
    /// Node.
    NodeName,
    /// Pool of that node.
    NodePool,
    /// Zone of that node.
    Zone,
    /// Region of that node.
    Region,
    /// Name of an external endpoint.
    Name,
    /// AS number of an external endpoint.
    AsNumber,
    /// Organisation of that AS.
    AsName,
    /// Country of an external endpoint.
    Country,
    /// Cloud provider of an external endpoint.
    CloudProvider,
    /// Service of that cloud.
    CloudService,
    /// Region of that cloud.
    CloudRegion,
    /// Labels of a pod.
    Labels,
    /// Labels of a namespace.
    NamespaceLabels,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_a_name_for_each_side() {
        let member = EndpointMember::PodName;
        let names = EndpointSide::VARIANTS.iter().map(|side| member.name(*side));
        assert!(names.eq(["sourcePodName", "destinationPodName"]));
    }
}

//! Values of nodes and edges as texts.

use kipfix_service::terminal::bytes;

use super::arcs::{errors, share};
use crate::history::{EdgeValues, Order};

/// The value of a node or an edge, with its unit.
pub(super) fn main(values: &EdgeValues, order: Order) -> String {
    let value = order.of(values);
    match order {
        Order::Bytes => bytes(value),
        Order::Packets => format!("{value} packets"),
        Order::Connections => format!("{value} connections"),
        Order::RetransmittedPackets => format!("{value} retransmits"),
        Order::FailedConnections => format!("{value} failed"),
        Order::ConnectionDuration => match value.checked_div(durations(values)) {
            Some(mean) => duration(mean),
            None => "unknown".to_owned(),
        },
    }
}

/// The second value: what the first one is a part, or the mean, of.
pub(super) fn secondary(values: &EdgeValues, order: Order) -> String {
    match order {
        Order::RetransmittedPackets | Order::FailedConnections => {
            let (errors, all) = errors(values, order);
            let unit = if order == Order::RetransmittedPackets {
                "packets"
            } else {
                "connections"
            };
            format!("{:.1} % of {all} {unit}", share(errors, all) * 100.0)
        }
        Order::ConnectionDuration => format!("mean of {} connections", durations(values)),
        Order::Bytes | Order::Packets | Order::Connections => {
            format!("{} packets", values.traffic.packets)
        }
    }
}

fn durations(values: &EdgeValues) -> u64 {
    values.health.map_or(0, |health| health.duration_count)
}

/// Milliseconds with a unit.
fn duration(milliseconds: u64) -> String {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    let in_unit = |unit: u64, name: &str| {
        let tenths = milliseconds % unit * 10 / unit;
        format!("{}.{tenths} {name}", milliseconds / unit)
    };
    match milliseconds {
        0..SECOND => format!("{milliseconds} ms"),
        SECOND..MINUTE => in_unit(SECOND, "s"),
        MINUTE..HOUR => in_unit(MINUTE, "min"),
        HOUR.. => in_unit(HOUR, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (milliseconds, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1500, "1.5 s"),
            (90_000, "1.5 min"),
            (7_200_000, "2.0 h"),
        ] {
            assert_eq!(duration(milliseconds), text);
        }
    }

    #[test]
    fn a_duration_without_connections_is_unknown() {
        let values = EdgeValues::default();
        assert_eq!(main(&values, Order::ConnectionDuration), "unknown");
    }
}

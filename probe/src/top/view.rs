//! The views, and the columns of their tables.

use std::time::Duration;

use flowproto::{FlowKey, protocol};
use kipfix_service::terminal::{Cell, Column, Table, bytes, decimal, time};

use super::totals::{Amounts, ServerPort, Snapshot, Sums};
use crate::settings::TopView;

/// What rates are computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rates {
    /// The last interval, of this length.
    OfInterval(Duration),
    /// Everything, in this time.
    OfTotal(Duration),
}

impl TopView {
    /// All views, in the order in which Tab shows them.
    pub(super) const ALL: [Self; 3] = [Self::Conversations, Self::Hosts, Self::Ports];

    /// Its position in [`Self::ALL`].
    #[expect(clippy::as_conversions, reason = "the variants are numbered from 0")]
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// The view at a position.
    pub(super) fn of_index(index: usize) -> Self {
        Self::ALL.get(index).copied().unwrap_or(Self::Conversations)
    }

    /// Its name.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Conversations => "conversations",
            Self::Hosts => "hosts",
            Self::Ports => "server ports",
        }
    }

    /// The columns of text.
    const fn texts(self) -> &'static [&'static str] {
        match self {
            Self::Conversations => &["SOURCE", "DESTINATION", "PROTOCOL"],
            Self::Hosts => &["HOST"],
            Self::Ports => &["PORT"],
        }
    }

    /// The column by which rows are ordered at first: bytes per second.
    pub(super) const fn sorted_column(self) -> usize {
        self.texts().len()
    }

    /// The rows of a snapshot.
    pub(super) fn table(self, snapshot: &Snapshot, rates: Rates) -> Table {
        let numbers = [
            "BYTES/S",
            "PACKETS/S",
            "SENT",
            "RECEIVED",
            "PACKETS",
            "CONN",
            "RETRANS",
            "RTT",
        ];
        let column = |is_number| move |name: &'static str| Column { name, is_number };
        let texts = self.texts().iter().copied().map(column(false));
        let columns = texts.chain(numbers.map(column(true))).collect();
        let row = |(mut texts, sums): (Vec<Cell>, &Sums)| {
            texts.extend(number_cells(sums, rates));
            texts
        };
        let rows = match self {
            Self::Conversations => {
                let rows = snapshot.conversations.iter();
                rows.map(|(key, sums)| row((key_cells(key), sums)))
                    .collect()
            }
            Self::Hosts => {
                let rows = snapshot.hosts.iter();
                rows.map(|(host, sums)| row((vec![Cell::text(&host.to_string())], sums)))
                    .collect()
            }
            Self::Ports => {
                let rows = snapshot.ports.iter();
                rows.map(|(port, sums)| row((vec![port_cell(*port)], sums)))
                    .collect()
            }
        };
        Table { columns, rows }
    }

    /// One line about everything. `drops` is what the kernel dropped.
    pub(super) fn title(self, snapshot: &Snapshot, rates: Rates, drops: f64) -> String {
        let all = &snapshot.all;
        let (octets, packets) = rates.of(all);
        let mut parts = vec![self.as_str().to_owned()];
        // A narrow terminal cuts the end of the line.
        if drops > 0.0 {
            parts.push(format!("{drops:.0} packets dropped by the kernel"));
        }
        parts.extend([
            format!("{}/s", bytes(octets)),
            format!("{} packets/s", decimal(packets)),
            format!(
                "{} in {} packets",
                bytes(all.total.octets()),
                all.total.packets
            ),
            format!("{} connections", all.total.connections),
        ]);
        for (count, name) in [
            (all.retransmitted, "retransmitted"),
            (snapshot.not_shown, "records not shown"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {name}"));
            }
        }
        parts.join("  |  ")
    }
}

impl Rates {
    /// Octets per second, and tenths of packets per second.
    fn of(self, sums: &Sums) -> (u64, u64) {
        let (amounts, time): (&Amounts, Duration) = match self {
            Self::OfInterval(time) => (&sums.last, time),
            Self::OfTotal(time) => (&sums.total, time),
        };
        let milliseconds = time.as_millis().max(1);
        let per_second = |value: u64, factor: u128| {
            let rate = u128::from(value) * factor / milliseconds;
            u64::try_from(rate).unwrap_or(u64::MAX)
        };
        (
            per_second(amounts.octets(), 1000),
            per_second(amounts.packets, 10_000),
        )
    }
}

fn key_cells(key: &FlowKey) -> Vec<Cell> {
    let end = |address: flowproto::Address, port: u16| {
        let text = match (
            protocol::has_ports(key.protocol_identifier),
            address.is_ipv4(),
        ) {
            (false, _) => address.to_string(),
            (true, true) => format!("{address}:{port}"),
            (true, false) => format!("[{address}]:{port}"),
        };
        Cell::text(&text)
    };
    vec![
        end(key.source_address, key.source_port),
        end(key.destination_address, key.destination_port),
        Cell::text(&protocol_text(key.protocol_identifier)),
    ]
}

fn port_cell(port: ServerPort) -> Cell {
    let name = protocol_text(port.protocol);
    Cell::text(&if protocol::has_ports(port.protocol) {
        format!("{name}/{}", port.port)
    } else {
        name
    })
}

fn protocol_text(number: u8) -> String {
    protocol::name(number).map_or_else(|| number.to_string(), str::to_owned)
}

fn number_cells(sums: &Sums, rates: Rates) -> [Cell; 8] {
    let (octets, packets) = rates.of(sums);
    let total = &sums.total;
    let count = |value: u64| Cell::number(value, value.to_string());
    let round_trip = sums.round_trip_microseconds();
    [
        Cell::number(octets, bytes(octets)),
        Cell::number(packets, decimal(packets)),
        Cell::number(total.sent_octets, bytes(total.sent_octets)),
        Cell::number(total.received_octets, bytes(total.received_octets)),
        count(total.packets),
        count(total.connections),
        count(sums.retransmitted),
        Cell::number(
            round_trip,
            match round_trip {
                0 => "-".to_owned(),
                microseconds => time(microseconds),
            },
        ),
    ]
}

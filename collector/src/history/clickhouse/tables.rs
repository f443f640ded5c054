//! The tables of `deploy/clickhouse/`, and the one that answers a query.

/// Milliseconds of a minute.
pub(super) const MINUTE: u64 = 60_000;
/// Milliseconds of an hour.
pub(super) const HOUR: u64 = 60 * MINUTE;
/// How long the table of records keeps a record by default, milliseconds.
const RECORDS_KEPT: u64 = 30 * 24 * HOUR;
/// How long the sums by minute are kept by default, milliseconds.
const MINUTES_KEPT: u64 = 90 * 24 * HOUR;
/// Sums of an interval are used for ranges of at least this number of intervals, since the range is
/// extended to whole intervals.
const MIN_INTERVALS: u64 = 60;

/// What has the columns of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableKind {
    /// Sums by pair of workloads.
    Workloads,
    /// Sums by pair of zones.
    Zones,
    /// Sums by workload and external endpoint.
    Externals,
    /// Records.
    Flows,
    /// Connection health by pair of workloads.
    WorkloadsHealth,
    /// Connection health of records.
    Health,
}

impl TableKind {
    /// The kinds with traffic, the smallest tables first.
    pub(super) const TRAFFIC: [Self; 4] =
        [Self::Zones, Self::Workloads, Self::Externals, Self::Flows];

    const fn name(self) -> &'static str {
        match self {
            Self::Workloads => "workloads",
            Self::Zones => "zones",
            Self::Externals => "externals",
            Self::Flows => "flows",
            Self::WorkloadsHealth => "workloads_health",
            Self::Health => "health",
        }
    }

    /// True if it has a column. Those of records have all.
    pub(super) fn has(self, column: &str) -> bool {
        match self {
            Self::Flows | Self::Health => true,
            Self::Workloads | Self::WorkloadsHealth => matches!(
                column,
                "sourceNamespace"
                    | "sourceWorkloadKind"
                    | "sourceWorkloadName"
                    | "destinationNamespace"
                    | "destinationWorkloadKind"
                    | "destinationWorkloadName"
                    | "trafficClass"
            ),
            Self::Zones => matches!(
                column,
                "sourceRegion"
                    | "sourceZone"
                    | "destinationRegion"
                    | "destinationZone"
                    | "trafficScope"
            ),
            Self::Externals => matches!(
                column,
                "workloadNamespace"
                    | "workloadKind"
                    | "workloadName"
                    | "direction"
                    | "name"
                    | "asNumber"
                    | "asName"
                    | "country"
                    | "cloudProvider"
                    | "cloudService"
                    | "cloudRegion"
            ),
        }
    }
}

/// A table, or the sums of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) kind: TableKind,
    /// Length of its intervals, milliseconds; `None` if it has the time of each record.
    pub(super) interval: Option<u64>,
}

impl Table {
    /// The table of records.
    pub(super) const FLOWS: Self = Self {
        kind: TableKind::Flows,
        interval: None,
    };

    /// The table of a kind for a range of time, Unix milliseconds.
    pub(super) const fn of(kind: TableKind, (from, to): (u64, u64), now: u64) -> Option<Self> {
        let range = to.saturating_sub(from);
        let age = now.saturating_sub(from);
        let interval = if matches!(kind, TableKind::Flows) {
            None
        } else if range >= MIN_INTERVALS * HOUR || age > MINUTES_KEPT {
            Some(HOUR)
        } else if range >= MIN_INTERVALS * MINUTE || age > RECORDS_KEPT {
            Some(MINUTE)
        } else {
            return None;
        };
        Some(Self { kind, interval })
    }

    /// The table with the connection health of the same edges; `None` if there is none.
    pub(super) const fn health(self) -> Option<Self> {
        let kind = match self.kind {
            TableKind::Workloads => TableKind::WorkloadsHealth,
            TableKind::Flows => TableKind::Health,
            _ => return None,
        };
        Some(Self {
            kind,
            interval: self.interval,
        })
    }

    /// Its name, without the database.
    pub(super) fn name(self) -> String {
        let name = self.kind.name();
        match self.interval {
            None => name.to_owned(),
            Some(HOUR) => format!("{name}_1h"),
            Some(_) => format!("{name}_1m"),
        }
    }

    /// The time of a row, Unix milliseconds.
    pub(super) const fn milliseconds(self) -> &'static str {
        match self.interval {
            None => "toUnixTimestamp64Milli(collectionTimeMilliseconds)",
            Some(_) => "toInt64(toUnixTimestamp(time)) * 1000",
        }
    }

    /// The condition that the time of a row is in a range. `from` and `to` are places of
    /// parameters, Unix milliseconds.
    pub(super) fn in_range(self, from: &str, to: &str) -> String {
        match self.interval {
            None => format!(
                "collectionTimeMilliseconds >= fromUnixTimestamp64Milli(toInt64({from}), 'UTC') \
                 AND collectionTimeMilliseconds < fromUnixTimestamp64Milli(toInt64({to}), 'UTC')"
            ),
            Some(_) => format!(
                "time >= toDateTime(intDiv({from}, 1000), 'UTC') \
                 AND time < toDateTime(intDiv({to}, 1000), 'UTC')"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_or_old_range_is_answered_by_sums() {
        const NOW: u64 = 1_700_000_000_000;
        let day = 24 * HOUR;
        let name = |kind, age, length| {
            let range = (NOW - age, NOW - age + length);
            Table::of(kind, range, NOW).map(Table::name)
        };
        let workloads = |age, length| name(TableKind::Workloads, age, length);
        assert_eq!(workloads(15 * MINUTE, 15 * MINUTE), None);
        let range = (NOW - HOUR, NOW);
        let sums = Table::of(TableKind::Workloads, range, NOW).unwrap();
        assert_eq!(sums.health().unwrap().name(), "workloads_health_1m");
        let zones = Table::of(TableKind::Zones, range, NOW).unwrap();
        assert_eq!(zones.health(), None);
        assert_eq!(Table::FLOWS.health().unwrap().name(), "health");
        assert_eq!(workloads(HOUR, HOUR).unwrap(), "workloads_1m");
        assert_eq!(workloads(7 * day, 7 * day).unwrap(), "workloads_1h");
        assert_eq!(workloads(31 * day, MINUTE).unwrap(), "workloads_1m");
        assert_eq!(workloads(91 * day, MINUTE).unwrap(), "workloads_1h");
        for (age, length) in [(MINUTE, MINUTE), (91 * day, 91 * day)] {
            assert_eq!(name(TableKind::Flows, age, length).unwrap(), "flows");
        }
    }
}

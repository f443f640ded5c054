-- Sums of the records by minute and by hour. Each is a table, and a materialised view that fills it while records are
-- inserted into kipfix.flows. The rows of a key are merged later, so a query adds them up:
-- SELECT ..., sum(octets) ... GROUP BY ...
-- The time is that of collection, as in the metrics.

-- Pairs of workloads.
CREATE TABLE IF NOT EXISTS kipfix.workloads_1m
(
    time DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    clusterId LowCardinality(String),
    sourceNamespace LowCardinality(String),
    sourceWorkloadKind LowCardinality(String),
    sourceWorkloadName LowCardinality(String),
    destinationNamespace LowCardinality(String),
    destinationWorkloadKind LowCardinality(String),
    destinationWorkloadName LowCardinality(String),
    trafficClass LowCardinality(String),
    octets UInt64 CODEC(T64, ZSTD),
    packets UInt64 CODEC(T64, ZSTD),
    connections UInt64 CODEC(T64, ZSTD),
    records UInt64 CODEC(T64, ZSTD)
)
ENGINE = SummingMergeTree((octets, packets, connections, records))
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, clusterId, sourceNamespace, sourceWorkloadKind, sourceWorkloadName, destinationNamespace,
    destinationWorkloadKind, destinationWorkloadName, trafficClass)
TTL time + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS kipfix.workloads_1m_fill TO kipfix.workloads_1m AS
SELECT
    toStartOfMinute(collectionTimeMilliseconds, 'UTC') AS time,
    f.clusterId AS clusterId,
    f.sourceNamespace AS sourceNamespace,
    f.sourceWorkloadKind AS sourceWorkloadKind,
    f.sourceWorkloadName AS sourceWorkloadName,
    f.destinationNamespace AS destinationNamespace,
    f.destinationWorkloadKind AS destinationWorkloadKind,
    f.destinationWorkloadName AS destinationWorkloadName,
    f.trafficClass AS trafficClass,
    sum(f.octets) AS octets,
    sum(f.packets) AS packets,
    sum(f.connections) AS connections,
    count() AS records
FROM kipfix.flows AS f
WHERE f.counted
GROUP BY time, clusterId, sourceNamespace, sourceWorkloadKind, sourceWorkloadName, destinationNamespace,
    destinationWorkloadKind, destinationWorkloadName, trafficClass;

-- Pairs of workloads.
CREATE TABLE IF NOT EXISTS kipfix.workloads_1h
(
    time DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    clusterId LowCardinality(String),
    sourceNamespace LowCardinality(String),
    sourceWorkloadKind LowCardinality(String),
    sourceWorkloadName LowCardinality(String),
    destinationNamespace LowCardinality(String),
    destinationWorkloadKind LowCardinality(String),
    destinationWorkloadName LowCardinality(String),
    trafficClass LowCardinality(String),
    octets UInt64 CODEC(T64, ZSTD),
    packets UInt64 CODEC(T64, ZSTD),
    connections UInt64 CODEC(T64, ZSTD),
    records UInt64 CODEC(T64, ZSTD)
)
ENGINE = SummingMergeTree((octets, packets, connections, records))
PARTITION BY toYYYYMM(time)
ORDER BY (time, clusterId, sourceNamespace, sourceWorkloadKind, sourceWorkloadName, destinationNamespace,
    destinationWorkloadKind, destinationWorkloadName, trafficClass)
TTL time + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS kipfix.workloads_1h_fill TO kipfix.workloads_1h AS
SELECT
    toStartOfHour(collectionTimeMilliseconds, 'UTC') AS time,
    f.clusterId AS clusterId,
    f.sourceNamespace AS sourceNamespace,
    f.sourceWorkloadKind AS sourceWorkloadKind,
    f.sourceWorkloadName AS sourceWorkloadName,
    f.destinationNamespace AS destinationNamespace,
    f.destinationWorkloadKind AS destinationWorkloadKind,
    f.destinationWorkloadName AS destinationWorkloadName,
    f.trafficClass AS trafficClass,
    sum(f.octets) AS octets,
    sum(f.packets) AS packets,
    sum(f.connections) AS connections,
    count() AS records
FROM kipfix.flows AS f
WHERE f.counted
GROUP BY time, clusterId, sourceNamespace, sourceWorkloadKind, sourceWorkloadName, destinationNamespace,
    destinationWorkloadKind, destinationWorkloadName, trafficClass;

-- Pairs of zones.
CREATE TABLE IF NOT EXISTS kipfix.zones_1m
(
    time DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    clusterId LowCardinality(String),
    sourceRegion LowCardinality(String),
    sourceZone LowCardinality(String),
    destinationRegion LowCardinality(String),
    destinationZone LowCardinality(String),
    trafficScope LowCardinality(String),
    octets UInt64 CODEC(T64, ZSTD),
    packets UInt64 CODEC(T64, ZSTD),
    connections UInt64 CODEC(T64, ZSTD),
    records UInt64 CODEC(T64, ZSTD)
)
ENGINE = SummingMergeTree((octets, packets, connections, records))
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, clusterId, sourceRegion, sourceZone, destinationRegion, destinationZone, trafficScope)
TTL time + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS kipfix.zones_1m_fill TO kipfix.zones_1m AS
SELECT
    toStartOfMinute(collectionTimeMilliseconds, 'UTC') AS time,
    f.clusterId AS clusterId,
    f.sourceRegion AS sourceRegion,
    f.sourceZone AS sourceZone,
    f.destinationRegion AS destinationRegion,
    f.destinationZone AS destinationZone,
    f.trafficScope AS trafficScope,
    sum(f.octets) AS octets,
    sum(f.packets) AS packets,
    sum(f.connections) AS connections,
    count() AS records
FROM kipfix.flows AS f
WHERE f.counted
GROUP BY time, clusterId, sourceRegion, sourceZone, destinationRegion, destinationZone, trafficScope;

-- Pairs of zones.
CREATE TABLE IF NOT EXISTS kipfix.zones_1h
(
    time DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    clusterId LowCardinality(String),
    sourceRegion LowCardinality(String),
    sourceZone LowCardinality(String),
    destinationRegion LowCardinality(String),
    destinationZone LowCardinality(String),
    trafficScope LowCardinality(String),
    octets UInt64 CODEC(T64, ZSTD),
    packets UInt64 CODEC(T64, ZSTD),
    connections UInt64 CODEC(T64, ZSTD),
    records UInt64 CODEC(T64, ZSTD)
)
ENGINE = SummingMergeTree((octets, packets, connections, records))
PARTITION BY toYYYYMM(time)
ORDER BY (time, clusterId, sourceRegion, sourceZone, destinationRegion, destinationZone, trafficScope)
TTL time + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS kipfix.zones_1h_fill TO kipfix.zones_1h AS
SELECT
    toStartOfHour(collectionTimeMilliseconds, 'UTC') AS time,
    f.clusterId AS clusterId,
    f.sourceRegion AS sourceRegion,
    f.sourceZone AS sourceZone,
    f.destinationRegion AS destinationRegion,
    f.destinationZone AS destinationZone,
    f.trafficScope AS trafficScope,
    sum(f.octets) AS octets,
    sum(f.packets) AS packets,
    sum(f.connections) AS connections,
    count() AS records
FROM kipfix.flows AS f
WHERE f.counted
GROUP BY time, clusterId, sourceRegion, sourceZone, destinationRegion, destinationZone, trafficScope;

-- Workloads and external endpoints.
CREATE TABLE IF NOT EXISTS kipfix.externals_1m
(
    time DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    clusterId LowCardinality(String),
    workloadNamespace LowCardinality(String),
    workloadKind LowCardinality(String),
    workloadName LowCardinality(String),
    direction LowCardinality(String),
    name LowCardinality(String),
    asNumber UInt32,
    asName LowCardinality(String),
    country LowCardinality(String),
    cloudProvider LowCardinality(String),
    cloudService LowCardinality(String),
    cloudRegion LowCardinality(String),
    octets UInt64 CODEC(T64, ZSTD),
    packets UInt64 CODEC(T64, ZSTD),
    connections UInt64 CODEC(T64, ZSTD),
    records UInt64 CODEC(T64, ZSTD)
)
ENGINE = SummingMergeTree((octets, packets, connections, records))
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, clusterId, workloadNamespace, workloadKind, workloadName, direction, name, asNumber, asName,
    country, cloudProvider, cloudService, cloudRegion)
TTL time + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS kipfix.externals_1m_fill TO kipfix.externals_1m AS
SELECT
    toStartOfMinute(collectionTimeMilliseconds, 'UTC') AS time,
    f.clusterId AS clusterId,
    if(f.destinationWorkloadKind = 'External', 'egress', 'ingress') AS direction,
    if(direction = 'egress', f.sourceNamespace, f.destinationNamespace) AS workloadNamespace,
    if(direction = 'egress', f.sourceWorkloadKind, f.destinationWorkloadKind) AS workloadKind,
    if(direction = 'egress', f.sourceWorkloadName, f.destinationWorkloadName) AS workloadName,
    if(direction = 'egress', f.destinationName, f.sourceName) AS name,
    if(direction = 'egress', f.destinationAsNumber, f.sourceAsNumber) AS asNumber,
    if(direction = 'egress', f.destinationAsName, f.sourceAsName) AS asName,
    if(direction = 'egress', f.destinationCountry, f.sourceCountry) AS country,
    if(direction = 'egress', f.destinationCloudProvider, f.sourceCloudProvider) AS cloudProvider,
    if(direction = 'egress', f.destinationCloudService, f.sourceCloudService) AS cloudService,
    if(direction = 'egress', f.destinationCloudRegion, f.sourceCloudRegion) AS cloudRegion,
    sum(f.octets) AS octets,
    sum(f.packets) AS packets,
    sum(f.connections) AS connections,
    count() AS records
FROM kipfix.flows AS f
WHERE f.counted AND f.trafficScope = 'external' AND f.trafficClass != 'external_to_external'
GROUP BY time, clusterId, workloadNamespace, workloadKind, workloadName, direction, name, asNumber, asName,
    country, cloudProvider, cloudService, cloudRegion;

-- Workloads and external endpoints.
CREATE TABLE IF NOT EXISTS kipfix.externals_1h
(
    time DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    clusterId LowCardinality(String),
    workloadNamespace LowCardinality(String),
    workloadKind LowCardinality(String),
    workloadName LowCardinality(String),
    direction LowCardinality(String),
    name LowCardinality(String),
    asNumber UInt32,
    asName LowCardinality(String),
    country LowCardinality(String),
    cloudProvider LowCardinality(String),
    cloudService LowCardinality(String),
    cloudRegion LowCardinality(String),
    octets UInt64 CODEC(T64, ZSTD),
    packets UInt64 CODEC(T64, ZSTD),
    connections UInt64 CODEC(T64, ZSTD),
    records UInt64 CODEC(T64, ZSTD)
)
ENGINE = SummingMergeTree((octets, packets, connections, records))
PARTITION BY toYYYYMM(time)
ORDER BY (time, clusterId, workloadNamespace, workloadKind, workloadName, direction, name, asNumber, asName,
    country, cloudProvider, cloudService, cloudRegion)
TTL time + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS kipfix.externals_1h_fill TO kipfix.externals_1h AS
SELECT
    toStartOfHour(collectionTimeMilliseconds, 'UTC') AS time,
    f.clusterId AS clusterId,
    if(f.destinationWorkloadKind = 'External', 'egress', 'ingress') AS direction,
    if(direction = 'egress', f.sourceNamespace, f.destinationNamespace) AS workloadNamespace,
    if(direction = 'egress', f.sourceWorkloadKind, f.destinationWorkloadKind) AS workloadKind,
    if(direction = 'egress', f.sourceWorkloadName, f.destinationWorkloadName) AS workloadName,
    if(direction = 'egress', f.destinationName, f.sourceName) AS name,
    if(direction = 'egress', f.destinationAsNumber, f.sourceAsNumber) AS asNumber,
    if(direction = 'egress', f.destinationAsName, f.sourceAsName) AS asName,
    if(direction = 'egress', f.destinationCountry, f.sourceCountry) AS country,
    if(direction = 'egress', f.destinationCloudProvider, f.sourceCloudProvider) AS cloudProvider,
    if(direction = 'egress', f.destinationCloudService, f.sourceCloudService) AS cloudService,
    if(direction = 'egress', f.destinationCloudRegion, f.sourceCloudRegion) AS cloudRegion,
    sum(f.octets) AS octets,
    sum(f.packets) AS packets,
    sum(f.connections) AS connections,
    count() AS records
FROM kipfix.flows AS f
WHERE f.counted AND f.trafficScope = 'external' AND f.trafficClass != 'external_to_external'
GROUP BY time, clusterId, workloadNamespace, workloadKind, workloadName, direction, name, asNumber, asName,
    country, cloudProvider, cloudService, cloudRegion;

-- Exporters.
CREATE TABLE IF NOT EXISTS kipfix.exporters_1m
(
    time DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    exporterAddress IPv6,
    observationDomainId UInt32,
    observationDomainName LowCardinality(String),
    exportVersion UInt16,
    counted Bool,
    octets UInt64 CODEC(T64, ZSTD),
    packets UInt64 CODEC(T64, ZSTD),
    connections UInt64 CODEC(T64, ZSTD),
    records UInt64 CODEC(T64, ZSTD)
)
ENGINE = SummingMergeTree((octets, packets, connections, records))
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, exporterAddress, observationDomainId, observationDomainName, exportVersion, counted)
TTL time + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS kipfix.exporters_1m_fill TO kipfix.exporters_1m AS
SELECT
    toStartOfMinute(collectionTimeMilliseconds, 'UTC') AS time,
    f.exporterAddress AS exporterAddress,
    f.observationDomainId AS observationDomainId,
    f.observationDomainName AS observationDomainName,
    f.exportVersion AS exportVersion,
    f.counted AS counted,
    sum(f.octets) AS octets,
    sum(f.packets) AS packets,
    sum(f.connections) AS connections,
    count() AS records
FROM kipfix.flows AS f
GROUP BY time, exporterAddress, observationDomainId, observationDomainName, exportVersion, counted;

-- Exporters.
CREATE TABLE IF NOT EXISTS kipfix.exporters_1h
(
    time DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    exporterAddress IPv6,
    observationDomainId UInt32,
    observationDomainName LowCardinality(String),
    exportVersion UInt16,
    counted Bool,
    octets UInt64 CODEC(T64, ZSTD),
    packets UInt64 CODEC(T64, ZSTD),
    connections UInt64 CODEC(T64, ZSTD),
    records UInt64 CODEC(T64, ZSTD)
)
ENGINE = SummingMergeTree((octets, packets, connections, records))
PARTITION BY toYYYYMM(time)
ORDER BY (time, exporterAddress, observationDomainId, observationDomainName, exportVersion, counted)
TTL time + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS kipfix.exporters_1h_fill TO kipfix.exporters_1h AS
SELECT
    toStartOfHour(collectionTimeMilliseconds, 'UTC') AS time,
    f.exporterAddress AS exporterAddress,
    f.observationDomainId AS observationDomainId,
    f.observationDomainName AS observationDomainName,
    f.exportVersion AS exportVersion,
    f.counted AS counted,
    sum(f.octets) AS octets,
    sum(f.packets) AS packets,
    sum(f.connections) AS connections,
    count() AS records
FROM kipfix.flows AS f
GROUP BY time, exporterAddress, observationDomainId, observationDomainName, exportVersion, counted;

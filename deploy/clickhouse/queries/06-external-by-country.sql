-- With which countries and autonomous systems do workloads communicate? Parameters: from, until.
SELECT
    direction, country, asNumber, any(asName) AS asName, name,
    sum(octets) AS octets, sum(connections) AS connections, uniq(workloadNamespace, workloadName) AS workloads
FROM kipfix.externals_1h
WHERE time BETWEEN {from:DateTime('UTC')} AND {until:DateTime('UTC')}
GROUP BY direction, country, asNumber, name
ORDER BY octets DESC
LIMIT 100;

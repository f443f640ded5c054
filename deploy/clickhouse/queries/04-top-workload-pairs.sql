-- Which workloads exchange most? Parameters: from, until.
SELECT
    sourceNamespace, sourceWorkloadName, destinationNamespace, destinationWorkloadName,
    sum(octets) AS octets, sum(connections) AS connections
FROM kipfix.workloads_1h
WHERE time BETWEEN {from:DateTime('UTC')} AND {until:DateTime('UTC')}
GROUP BY ALL
ORDER BY octets DESC
LIMIT 50;

-- Which endpoints contact unusually many ports or addresses? Parameters: from, until.
SELECT
    sourceAddress, any(sourceNamespace) AS namespace, any(sourceWorkloadName) AS workload,
    uniq(destinationAddress) AS addresses, uniq(destinationAddress, destinationTransportPort) AS ports,
    sum(packets) AS packets, sum(octets) AS octets
FROM kipfix.flows
WHERE counted AND biflowDirection = 1 AND protocolIdentifier IN (6, 17)
    AND collectionTimeMilliseconds BETWEEN {from:DateTime('UTC')} AND {until:DateTime('UTC')}
GROUP BY sourceAddress
ORDER BY ports DESC
LIMIT 50;

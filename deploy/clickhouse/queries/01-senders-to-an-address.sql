-- Who sent to an address? Parameters: address, from, until.
SELECT
    sourceNamespace, sourceWorkloadKind, sourceWorkloadName, sourcePodName,
    if(sourceWorkloadKind = 'External', toString(sourceAddress), '') AS externalAddress,
    destinationTransportPort, protocolIdentifier,
    sum(octets) AS octets, sum(packets) AS packets, sum(connections) AS connections,
    min(flowStartMilliseconds) AS first, max(flowEndMilliseconds) AS last
FROM kipfix.flows
WHERE destinationAddress = {address:IPv6} AND counted
    AND collectionTimeMilliseconds BETWEEN {from:DateTime('UTC')} AND {until:DateTime('UTC')}
GROUP BY ALL
ORDER BY octets DESC
LIMIT 100;

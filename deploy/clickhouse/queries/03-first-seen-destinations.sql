-- Which destinations of a workload are new? Those of the time that it did not send to in the records before.
-- Parameters: namespace, workload, from, until.
SELECT
    destinationNamespace, destinationWorkloadKind, destinationWorkloadName,
    if(destinationWorkloadKind = 'External', toString(destinationAddress), '') AS externalAddress,
    destinationTransportPort,
    min(collectionTimeMilliseconds) AS firstSeen, sum(octets) AS octets
FROM kipfix.flows
WHERE counted AND sourceNamespace = {namespace:String} AND sourceWorkloadName = {workload:String}
    AND collectionTimeMilliseconds <= {until:DateTime('UTC')}
GROUP BY ALL
HAVING firstSeen >= {from:DateTime('UTC')}
ORDER BY firstSeen
LIMIT 100;

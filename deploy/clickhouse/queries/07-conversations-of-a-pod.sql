-- What did a pod send and receive? Parameters: namespace, pod, from, until.
SELECT
    flowStartMilliseconds, flowEndMilliseconds,
    if(sourcePodName = {pod:String}, 'sent', 'received') AS direction,
    if(direction = 'sent', destinationAddress, sourceAddress) AS peer,
    if(direction = 'sent', destinationWorkloadName, sourceWorkloadName) AS peerWorkload,
    sourceTransportPort, destinationTransportPort, protocolIdentifier, octets, packets, tcpControlBits
FROM kipfix.flows
WHERE counted
    AND ((sourceNamespace = {namespace:String} AND sourcePodName = {pod:String})
        OR (destinationNamespace = {namespace:String} AND destinationPodName = {pod:String}))
    AND collectionTimeMilliseconds BETWEEN {from:DateTime('UTC')} AND {until:DateTime('UTC')}
ORDER BY flowStartMilliseconds
LIMIT 1000;

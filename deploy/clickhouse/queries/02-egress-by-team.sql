-- Which team sends most to external addresses? A team is a group of namespaces (--namespace-label), else the namespace.
-- Parameters: from, until.
SELECT
    if(sourceNamespaceGroup = '', sourceNamespace, sourceNamespaceGroup) AS team,
    sum(octets) AS octets, sum(connections) AS connections, uniq(destinationAddress) AS destinations
FROM kipfix.flows
WHERE counted AND destinationWorkloadKind = 'External' AND sourceWorkloadKind != 'External'
    AND collectionTimeMilliseconds BETWEEN {from:DateTime('UTC')} AND {until:DateTime('UTC')}
GROUP BY team
ORDER BY octets DESC
LIMIT 50;

-- Which exporters have stopped sending, or miss minutes? Parameters: from, until.
SELECT
    exporterAddress, observationDomainName,
    count(DISTINCT time) AS minutes,
    dateDiff('minute', {from:DateTime('UTC')}, {until:DateTime('UTC')}) AS expected,
    max(time) AS last, sum(records) AS records
FROM kipfix.exporters_1m
WHERE time >= {from:DateTime('UTC')} AND time < {until:DateTime('UTC')}
GROUP BY exporterAddress, observationDomainName
ORDER BY minutes, last
LIMIT 100;

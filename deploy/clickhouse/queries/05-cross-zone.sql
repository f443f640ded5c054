-- How much traffic crosses zones, by day? Parameters: from, until.
SELECT
    toDate(time) AS day, sourceZone, destinationZone, sum(octets) AS octets
FROM kipfix.zones_1h
WHERE time BETWEEN {from:DateTime('UTC')} AND {until:DateTime('UTC')}
    AND sourceZone != '' AND destinationZone != '' AND sourceZone != destinationZone
GROUP BY ALL
ORDER BY day, octets DESC;

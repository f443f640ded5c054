-- Which workloads send more than in the time of the same length before? Parameters: from, until.
WITH {from:DateTime('UTC')} AS begin, {until:DateTime('UTC')} AS end, begin - (end - begin) AS before
SELECT
    sourceNamespace, sourceWorkloadName,
    sumIf(w.octets, time >= begin) AS current, sumIf(w.octets, time < begin) AS previous,
    current / greatest(previous, 1) AS factor
FROM kipfix.workloads_1h AS w
WHERE time >= before AND time < end AND sourceWorkloadKind != 'External'
GROUP BY sourceNamespace, sourceWorkloadName
ORDER BY toInt64(current) - toInt64(previous) DESC
LIMIT 50;

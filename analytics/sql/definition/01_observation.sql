-- def_observation: the observations that count, each once, with what its strength allows.
--
-- Only Wi-Fi takes part (R4), and only strengths from -120 to -1 dBm (R2); a device on the list of those that are in no count does not
-- (R10). An observation arrives once or many times; it counts when one of its arrivals was in time: no more than 120 s before the moment
-- it tells of, no more than allowed_lateness_s after it (R6). The same observation again changes nothing (R3).
--
-- Three strengths: to be heard at all, to stay, to enter. A client that is connected to the network has them all, however weak it is,
-- where the profile says so (R5). `random` marks an address that the client has invented.
CREATE TABLE def_observation AS
SELECT DISTINCT
    r.site,
    r.client,
    r.ap,
    r.t,
    r.t - r.t % 60 AS minute,
    r.rssi,
    r.associated,
    r.random,
    CASE WHEN r.rssi >= p.ignore_dbm OR (r.associated = 1 AND p.assoc_bypasses = 1) THEN 1 ELSE 0 END AS audible,
    CASE WHEN r.rssi >= p.stay_dbm OR (r.associated = 1 AND p.assoc_bypasses = 1) THEN 1 ELSE 0 END AS qualifies,
    CASE WHEN r.rssi >= p.enter_dbm OR (r.associated = 1 AND p.assoc_bypasses = 1) THEN 1 ELSE 0 END AS enters
FROM raw r
CROSS JOIN param p
WHERE r.radio = 'wifi'
  AND r.excluded = 0
  AND r.rssi BETWEEN -120 AND -1
  AND r.t <= r.received + 120
  AND r.t >= r.received - p.allowed_lateness_s;

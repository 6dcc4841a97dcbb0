-- def_run: the qualifying observations of a client, numbered by the run they belong to.
--
-- Neighbours in time at most gap_s apart are of one run; one second more begins the next (R7). The sum takes equal times together, so
-- that which of them opens the run does not matter.
CREATE TABLE def_run AS
WITH gap AS (
    SELECT
        o.site, o.client, o.ap, o.t, o.minute, o.rssi, o.associated, o.random, o.enters,
        CASE WHEN o.t - lag(o.t) OVER (PARTITION BY o.site, o.client ORDER BY o.t) <= p.gap_s THEN 0 ELSE 1 END AS opens
    FROM def_observation o
    CROSS JOIN param p
    WHERE o.qualifies = 1
)
SELECT
    site, client, ap, t, minute, rssi, associated, random, enters,
    sum(opens) OVER (PARTITION BY site, client ORDER BY t) AS run
FROM gap;

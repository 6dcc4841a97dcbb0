-- def_span: the sessions, before anything is said of their kind.
--
-- A session starts with the first entering observation of a run and ends with the run's last qualifying one, which is all that was
-- heard: no gap is added to it. A run that never enters is no session (R7).
--
-- Everything else is said by whole UTC minutes, from the minute of the start to that of the end, because a minute is the least that
-- the engine remembers (R12): `minutes` counts those with a qualifying observation (R8), and connected_at is the first associated
-- one among them, or the start if that comes later (R27). An associated observation a few seconds before the start therefore counts.
CREATE TABLE def_span AS
WITH core AS (
    SELECT site, client, run, min(CASE WHEN enters = 1 THEN t END) AS started, max(t) AS ended
    FROM def_run
    GROUP BY site, client, run
)
SELECT
    c.site,
    c.client,
    c.started,
    c.ended,
    count(DISTINCT r.minute) AS minutes,
    min(CASE WHEN r.associated = 0 THEN NULL WHEN r.t > c.started THEN r.t ELSE c.started END) AS connected_at,
    max(r.random) AS random
FROM core c
JOIN def_run r ON r.site = c.site AND r.client = c.client AND r.run = c.run AND r.minute >= c.started - c.started % 60
WHERE c.started IS NOT NULL
GROUP BY c.site, c.client, c.started, c.ended;

-- def_movement: what adds up over windows: begun, ended, time spent, bounced. Hours add up to their day (R40).
--
-- A visit or stay is begun in the window it starts in and exits in the one it ends in; its time falls on each window it overlaps. What
-- an edge of the key's epoch cuts is neither begun nor exits (R33), but its time counts. Bounces are those of the site, whole ones.
CREATE TABLE def_movement AS
WITH part AS (
    SELECT
        p.site, p.place_kind, p.place, w.kind, w.a,
        CASE WHEN p.begins = 1 AND p.a >= w.a THEN 1 ELSE 0 END AS visits,
        CASE WHEN p.exits = 1 AND p.b < w.b THEN 1 ELSE 0 END AS exits,
        CASE WHEN p.b < w.b THEN p.b ELSE w.b END - CASE WHEN p.a > w.a THEN p.a ELSE w.a END AS dwell,
        0 AS bounces,
        CASE WHEN p.begins = 1 AND p.a >= w.a AND p.is_returning IS NOT NULL THEN 1 ELSE 0 END AS known,
        CASE WHEN p.begins = 1 AND p.a >= w.a AND p.is_returning = 1 THEN 1 ELSE 0 END AS returned
    FROM def_presence p
    JOIN win w ON w.site = p.site AND p.a < w.b AND p.b >= w.a
    UNION ALL
    SELECT s.site, 'site', s.site, w.kind, w.a, 0, 0, 0, 1, 0, 0
    FROM def_session s
    JOIN win w ON w.site = s.site AND s.started >= w.a AND s.started < w.b
    WHERE s.class = 'bounce' AND s.identity <> 'local_unassoc' AND s.cut IS NULL
)
SELECT
    site, place_kind, place, kind, a,
    sum(visits) AS visits,
    sum(exits) AS exits,
    CAST(sum(dwell) AS BIGINT) AS dwell_total,
    sum(bounces) AS bounces,
    sum(known) AS known,
    sum(returned) AS returned
FROM part
GROUP BY site, place_kind, place, kind, a;

-- def_dwell: how long those stayed that came in a window.
--
-- Asked of what starts in the window, by full length, and not of what an edge of the key's epoch cuts at either end (R33). The mean is
-- not rounded. Percentiles are nearest rank: of n lengths in order the one at place (p * n + 99) / 100, cut to a whole number (R24).
CREATE TABLE def_dwell AS
WITH ordered AS (
    SELECT
        p.site, p.place_kind, p.place, w.kind, w.a,
        p.b - p.a AS dwell,
        row_number() OVER (PARTITION BY p.site, p.place_kind, p.place, w.kind, w.a ORDER BY p.b - p.a) AS nth,
        count(*) OVER (PARTITION BY p.site, p.place_kind, p.place, w.kind, w.a) AS n
    FROM def_presence p
    JOIN win w ON w.site = p.site AND p.a >= w.a AND p.a < w.b
    WHERE p.begins = 1 AND p.exits = 1
)
SELECT
    site, place_kind, place, kind, a,
    CAST(sum(dwell) AS DOUBLE PRECISION) / count(*) AS dwell_avg,
    max(CASE WHEN nth = (50 * n + 99) / 100 THEN dwell END) AS dwell_p50,
    max(CASE WHEN nth = (90 * n + 99) / 100 THEN dwell END) AS dwell_p90
FROM ordered
GROUP BY site, place_kind, place, kind, a;

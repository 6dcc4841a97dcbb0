-- def_client: one row for every client that was anything at a place in a window. The distinct counts are counts of these rows.
--
-- A session, visit or stay overlaps the window [a, b) when it starts before b and ends after a, or starts at a or later: one of no
-- length is in the window it starts in, and one that ends with the full hour is not in the next (R21).
--
-- A client is seen when it was heard in the window, entered or visited (R22). At places nobody enters (R23). Of several visits in the
-- window the first says whether the client is returning, so that new, returning and unknown add up to the visitors.
--
-- A visitor is connected when an associated qualifying observation at the place lies in a minute of the window and of the visit (R23);
-- by minutes, as with connected_at.
CREATE TABLE def_client AS
WITH visitor AS (
    SELECT
        p.site, p.place_kind, p.place, w.kind, w.a, p.client, p.identity, p.is_returning,
        row_number() OVER (PARTITION BY p.site, p.place_kind, p.place, w.kind, w.a, p.client ORDER BY p.a) AS nth,
        CASE WHEN EXISTS (
            SELECT 1 FROM def_evidence e
            WHERE e.site = p.site AND e.place_kind = p.place_kind AND e.place = p.place AND e.client = p.client AND e.links = 1
              AND e.minute >= w.a AND e.minute < w.b
              AND e.minute >= p.started - p.started % 60 AND e.minute <= p.ended - p.ended % 60
        ) THEN 1 ELSE 0 END AS connected
    FROM def_presence p
    JOIN win w ON w.site = p.site AND p.a < w.b AND (p.b > w.a OR p.a >= w.a)
),
part AS (
    SELECT
        e.site, e.place_kind, e.place, w.kind, w.a, e.client,
        CASE WHEN e.random = 0 THEN 1 ELSE 0 END AS is_global,
        0 AS entered, 0 AS visitor, 0 AS connected, 0 AS returning_visitor, 0 AS new_visitor
    FROM def_evidence e
    JOIN win w ON w.site = e.site AND w.a <= e.t AND e.t < w.b
    WHERE e.heard = 1
    UNION ALL
    SELECT
        s.site, 'site', s.site, w.kind, w.a, s.client,
        CASE WHEN s.identity = 'global' THEN 1 ELSE 0 END,
        1, 0, 0, 0, 0
    FROM def_session s
    JOIN win w ON w.site = s.site AND s.started < w.b AND (s.ended > w.a OR s.started >= w.a)
    WHERE s.class <> 'fixture' AND s.identity <> 'local_unassoc'
    UNION ALL
    SELECT
        site, place_kind, place, kind, a, client,
        CASE WHEN identity = 'global' THEN 1 ELSE 0 END,
        0, 1, connected,
        CASE WHEN nth = 1 AND is_returning = 1 THEN 1 ELSE 0 END,
        CASE WHEN nth = 1 AND is_returning = 0 THEN 1 ELSE 0 END
    FROM visitor
)
SELECT
    site, place_kind, place, kind, a, client,
    max(is_global) AS is_global,
    max(entered) AS entered,
    max(visitor) AS visitor,
    max(connected) AS connected,
    max(returning_visitor) AS returning_visitor,
    max(new_visitor) AS new_visitor
FROM part
GROUP BY site, place_kind, place, kind, a, client;

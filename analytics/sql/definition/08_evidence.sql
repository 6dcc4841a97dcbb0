-- def_evidence: what an observation says at the site, at its access point and at the zones that this is in at that time.
--
-- heard: it counts for `seen`. An invented address is heard by its associated observations only (R11), and a fixture not at all: not
-- on a fixture day, nor within a fixture's session (R10). Within means by UTC minutes, from the minute of the session's start to that
-- of its end, because the engine remembers no less than a minute (R12).
--
-- links: it counts for `connected`: associated and qualifying (R23).
CREATE TABLE def_evidence AS
WITH told AS (
    SELECT
        o.site, o.client, o.ap, o.t, o.minute, o.random,
        CASE
            WHEN o.audible = 0 OR (o.random = 1 AND o.associated = 0) THEN 0
            WHEN EXISTS (
                SELECT 1 FROM def_session s
                WHERE s.site = o.site AND s.client = o.client AND s.class = 'fixture'
                  AND s.started - s.started % 60 <= o.minute AND o.minute <= s.ended - s.ended % 60
            ) THEN 0
            WHEN EXISTS (
                SELECT 1 FROM def_fixture_day f
                WHERE f.site = o.site AND f.client = o.client AND f.a <= o.t AND o.t < f.b
            ) THEN 0
            ELSE 1
        END AS heard,
        CASE WHEN o.qualifies = 1 AND o.associated = 1 THEN 1 ELSE 0 END AS links
    FROM def_observation o
)
SELECT site, 'site' AS place_kind, site AS place, client, t, minute, random, heard, links
FROM told
WHERE heard = 1 OR links = 1
UNION ALL
SELECT site, 'ap', ap, client, t, minute, random, heard, links
FROM told
WHERE heard = 1 OR links = 1
UNION ALL
SELECT o.site, 'zone', z.zone, o.client, o.t, o.minute, o.random, o.heard, o.links
FROM told o
JOIN zone_ap z ON z.site = o.site AND z.ap = o.ap AND z.since <= o.t AND (z.until IS NULL OR o.t < z.until)
WHERE o.heard = 1 OR o.links = 1;

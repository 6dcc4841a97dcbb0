-- def_presence: what the counts count: at the site the visits, at an access point or in a zone the stays of those visits (R23).
--
-- Bounces and fixtures are not in it, nor are invented addresses without association (R11).
--
-- begins and exits are 0 where an edge of the key's epoch cuts: the client may have come before, or have stayed, under a pseudonym
-- that nobody can pair with this one (R33). Of a cut visit the first stay at a place does not begin there, or the last does not exit.
CREATE TABLE def_presence AS
WITH visit AS (
    SELECT
        site, client, started, ended, identity, connected_at, is_returning,
        CASE WHEN cut IN ('start', 'both') THEN 1 ELSE 0 END AS cut_start,
        CASE WHEN cut IN ('end', 'both') THEN 1 ELSE 0 END AS cut_end
    FROM def_session
    WHERE class = 'visit' AND identity <> 'local_unassoc'
)
SELECT
    site, 'site' AS place_kind, site AS place, client, started, ended, identity, connected_at, is_returning,
    started AS a,
    ended AS b,
    1 - cut_start AS begins,
    1 - cut_end AS exits
FROM visit
UNION ALL
SELECT
    v.site, s.place_kind, s.place, v.client, v.started, v.ended, v.identity, v.connected_at, v.is_returning,
    s.a,
    s.b,
    CASE WHEN v.cut_start = 1 AND s.a = v.started THEN 0 ELSE 1 END,
    CASE WHEN v.cut_end = 1 AND s.b = v.ended THEN 0 ELSE 1 END
FROM visit v
JOIN def_stay s ON s.site = v.site AND s.client = v.client AND s.started = v.started
WHERE s.place_kind IN ('ap', 'zone');

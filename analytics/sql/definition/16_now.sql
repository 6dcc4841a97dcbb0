-- def_now: who is there at a time t.
--
-- A client is there when its latest session is no fixture and ends later than present_s before t: visit or not, over or not. What was
-- heard after t counts too, since t is how far the data is complete and some of it is always further (R30). The client is at the access
-- point of its last stay and in the zones of that; where the last stay is unlocated it is at the site only. It is connected once the
-- session is (R27).
CREATE TABLE def_now AS
WITH latest AS (
    SELECT
        site, client, started, ended, class, identity, connected_at,
        row_number() OVER (PARTITION BY site, client ORDER BY started DESC) AS nth
    FROM def_session
),
present AS (
    SELECT n.t, l.site, l.client, l.started, l.ended, CASE WHEN l.connected_at IS NULL THEN 0 ELSE 1 END AS connected
    FROM latest l
    JOIN now_at n ON n.site = l.site
    CROSS JOIN param p
    WHERE l.nth = 1 AND l.class <> 'fixture' AND l.identity <> 'local_unassoc' AND l.ended > n.t - p.present_s
),
placed AS (
    SELECT t, site, 'site' AS place_kind, site AS place, connected
    FROM present
    UNION ALL
    SELECT n.t, n.site, s.place_kind, s.place, n.connected
    FROM present n
    JOIN def_stay s ON s.site = n.site AND s.client = n.client AND s.started = n.started AND s.b = n.ended
    WHERE s.place_kind IN ('ap', 'zone')
)
SELECT site, t, place_kind, place, count(*) AS devices, sum(connected) AS connected
FROM placed
GROUP BY site, t, place_kind, place;

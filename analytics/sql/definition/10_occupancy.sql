-- def_occupancy: how many devices were at a place at the full minute.
--
-- A visit or stay counts at m:00 when it has begun by then and not yet ended (R25). To count every minute that it touches would be
-- too much by up to two minutes each. A visit is connected from its first associated observation on (R27).
CREATE TABLE def_occupancy AS
SELECT
    p.site,
    p.place_kind,
    p.place,
    m.a AS minute,
    count(*) AS devices,
    sum(CASE WHEN p.connected_at <= m.a THEN 1 ELSE 0 END) AS connected
FROM def_presence p
JOIN minute m ON m.a >= p.a AND m.a < p.b
GROUP BY p.site, p.place_kind, p.place, m.a;

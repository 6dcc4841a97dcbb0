-- def_stay: where a client was during a session: one after the other at access points or unlocated, and beside that in zones.
--
-- An access point holds from its minute to the next observed one, but no longer than ap_gap_s after the end of its minute; the rest is
-- `unlocated` (R18). That is laid in after settling: it never makes a leg fall, but it ends a stay (R19). Neighbouring pieces of one
-- place are one stay. The first begins with the session and the last ends with it, so lengths add up to the session's; a last piece
-- of no length is dropped, unless the session has none either (R20).
--
-- A zone's stay is made of neighbouring stays at its access points; any other place and unlocated time end it. A stay belongs to the
-- zones its access point was in when it began (R26). `seq` counts the stays of a session, and those of each zone by themselves.
-- Fixtures have no stays (R10).
CREATE TABLE def_stay AS
WITH observed AS (
    SELECT
        s.site, s.client, s.started, s.ended, s.minute, s.ap,
        s.minute + 60 + p.ap_gap_s AS holds_until,
        lead(s.minute) OVER (PARTITION BY s.site, s.client, s.started ORDER BY s.minute) AS next_minute
    FROM def_settled s
    CROSS JOIN param p
),
piece AS (
    SELECT
        site, client, started, ended, 'ap' AS place_kind, ap AS place,
        CASE WHEN minute > started THEN minute ELSE started END AS a,
        CASE WHEN next_minute IS NULL THEN ended WHEN next_minute > holds_until THEN holds_until ELSE next_minute END AS b
    FROM observed
    UNION ALL
    SELECT site, client, started, ended, 'unlocated', 'unlocated', holds_until, next_minute
    FROM observed
    WHERE next_minute > holds_until
),
turn AS (
    SELECT
        site, client, started, place_kind, place, a, b,
        CASE WHEN place = lag(place) OVER (PARTITION BY site, client, started ORDER BY a) THEN 0 ELSE 1 END AS opens
    FROM piece
    WHERE a < b OR started = ended
),
numbered AS (
    SELECT
        site, client, started, place_kind, place, a, b,
        sum(opens) OVER (PARTITION BY site, client, started ORDER BY a) AS seq
    FROM turn
),
stay AS (
    SELECT site, client, started, seq, place_kind, place, min(a) AS a, max(b) AS b
    FROM numbered
    GROUP BY site, client, started, seq, place_kind, place
),
member AS (
    SELECT DISTINCT s.site, s.client, s.started, s.seq, z.zone, s.a, s.b
    FROM stay s
    JOIN zone_ap z ON z.site = s.site AND z.ap = s.place AND z.since <= s.a AND (z.until IS NULL OR s.a < z.until)
    WHERE s.place_kind = 'ap'
),
-- Stays in a row have numbers in a row, so the difference stays the same as long as none of another place comes between.
island AS (
    SELECT
        site, client, started, zone, a, b,
        seq - row_number() OVER (PARTITION BY site, client, started, zone ORDER BY seq) AS island
    FROM member
)
SELECT site, client, started, seq, place_kind, place, a, b
FROM stay
UNION ALL
SELECT
    site, client, started,
    row_number() OVER (PARTITION BY site, client, started, zone ORDER BY min(a)),
    'zone', zone, min(a), max(b)
FROM island
GROUP BY site, client, started, zone, island;

-- def_flow: how visits moved between places, by the hour of the site's calendar.
--
-- Places are access points and `unlocated`; a visit comes from `outside` at its start and goes there at its end, and changes place
-- when the later stay begins (R28). So in an hour the moves to A are the stays begun at A, and those from A the stays ended (R29).
-- What an edge of the key's epoch cuts neither comes in nor goes out, as it neither begins nor exits (R33): the balance holds.
CREATE TABLE def_flow AS
WITH step AS (
    SELECT
        s.site, s.place, s.a, s.b, v.started, v.ended, v.cut,
        lag(s.place) OVER (PARTITION BY s.site, s.client, s.started ORDER BY s.seq) AS place_before
    FROM def_stay s
    JOIN def_session v ON v.site = s.site AND v.client = s.client AND v.started = s.started
    WHERE s.place_kind IN ('ap', 'unlocated') AND v.class = 'visit' AND v.identity <> 'local_unassoc'
),
move AS (
    SELECT site, 'outside' AS from_place, place AS to_place, a AS at
    FROM step
    WHERE a = started AND (cut IS NULL OR cut = 'end')
    UNION ALL
    SELECT site, place_before, place, a
    FROM step
    WHERE place_before IS NOT NULL
    UNION ALL
    SELECT site, place, 'outside', b
    FROM step
    WHERE b = ended AND (cut IS NULL OR cut = 'start')
)
SELECT m.site, m.from_place, m.to_place, h.a AS hour, count(*) AS transitions
FROM move m
JOIN win h ON h.site = m.site AND h.kind = 'hour' AND h.a <= m.at AND m.at < h.b
GROUP BY m.site, m.from_place, m.to_place, h.a;

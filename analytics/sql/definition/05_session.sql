-- def_session: every session, and what it is.
--
-- class: a fixture lasts longer than max_visit_s or starts on a fixture day (R9, R10). A visit lasts at least min_dwell_s and was
-- heard in at least min_minutes minutes. What is neither is a bounce (R8).
--
-- identity: an address that is the device's own is `global`. An invented one is `local_assoc` in a session in which it was
-- associated, else `local_unassoc`, and then it is listed but not counted (R11).
--
-- cut: a client has another pseudonym after each edge of the key's epoch. A session that ends within gap_s before an edge, or starts
-- within gap_s after one, may be half of a longer one (R33).
--
-- is_returning: whether the client had a visit here on an earlier local day, loyalty_days back at most (R31). It is null where that
-- cannot be known: the identity does not last as long, the address is an invented one without association, or no visit was found
-- and the key is younger than the days looked at (R32). It is asked of visits only.
CREATE TABLE def_session AS
WITH classed AS (
    SELECT
        s.site, s.client, s.started, s.ended, s.minutes, s.connected_at, d.n AS day,
        CASE
            WHEN s.ended - s.started > p.max_visit_s OR f.n IS NOT NULL THEN 'fixture'
            WHEN s.ended - s.started >= p.min_dwell_s AND s.minutes >= p.min_minutes THEN 'visit'
            ELSE 'bounce'
        END AS class,
        CASE WHEN s.random = 0 THEN 'global' WHEN s.connected_at IS NOT NULL THEN 'local_assoc' ELSE 'local_unassoc' END AS identity,
        EXISTS (SELECT 1 FROM edge e WHERE e.site = s.site AND s.started - e.at BETWEEN 0 AND p.gap_s) AS cuts_start,
        EXISTS (SELECT 1 FROM edge e WHERE e.site = s.site AND e.at - s.ended BETWEEN 1 AND p.gap_s) AS cuts_end
    FROM def_span s
    CROSS JOIN param p
    JOIN win d ON d.site = s.site AND d.kind = 'day' AND d.a <= s.started AND s.started < d.b
    LEFT JOIN def_fixture_day f ON f.site = s.site AND f.client = s.client AND f.n = d.n
)
SELECT
    c.site, c.client, c.started, c.ended, c.minutes, c.class, c.identity, c.connected_at,
    CASE
        WHEN c.class <> 'visit' OR c.identity = 'local_unassoc' OR p.identity_days < p.loyalty_days THEN NULL
        WHEN EXISTS (
            SELECT 1 FROM classed v
            WHERE v.site = c.site AND v.client = c.client AND v.class = 'visit' AND v.day BETWEEN c.day - p.loyalty_days AND c.day - 1
        ) THEN 1
        WHEN EXISTS (
            SELECT 1 FROM win d JOIN key_birth k ON k.site = d.site
            WHERE d.site = c.site AND d.kind = 'day' AND d.n BETWEEN c.day - p.loyalty_days AND c.day - 1 AND d.a < k.at
        ) THEN NULL
        ELSE 0
    END AS is_returning,
    CASE WHEN c.cuts_start AND c.cuts_end THEN 'both' WHEN c.cuts_start THEN 'start' WHEN c.cuts_end THEN 'end' END AS cut
FROM classed c
CROSS JOIN param p;

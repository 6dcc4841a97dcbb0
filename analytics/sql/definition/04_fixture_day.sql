-- def_fixture_day: the local days on which a client is taken for a fixture: a printer, a till, the neighbour's television.
--
-- It is one on day d when it qualified in 18 or more hours of three or more of the seven days before d (R9). Day d itself says
-- nothing, so that a day that is over does not change. An identity that lasts less than eight days cannot show this.
CREATE TABLE def_fixture_day AS
WITH long_day AS (
    SELECT o.site, o.client, h.n
    FROM def_observation o
    JOIN win h ON h.site = o.site AND h.kind = 'hour' AND h.a <= o.t AND o.t < h.b
    WHERE o.qualifies = 1
    GROUP BY o.site, o.client, h.n
    HAVING count(DISTINCT h.a) >= 18
)
SELECT l.site, l.client, d.n, d.a, d.b
FROM long_day l
JOIN win d ON d.site = l.site AND d.kind = 'day' AND d.n > l.n AND d.n <= l.n + 7
CROSS JOIN param p
WHERE p.identity_days >= 8
GROUP BY l.site, l.client, d.n, d.a, d.b
HAVING count(*) >= 3;

-- def_counts: the counts and rates of a place in an hour or day of the site's calendar.
--
-- Rates are made of the counts beside them, and null over zero (R43); return_rate is the share of returning among the visits begun of
-- which it is known (R32), and capture_rate_global asks global addresses only, above and below (R51). At places, where nobody enters
-- and nothing bounces, those columns are null (R23). Distinct counts of hours or places do not add up: the day has its own.
--
-- seen >= entered >= visitors >= connected holds in every row of a site.
CREATE TABLE def_counts AS
WITH crowd AS (
    SELECT
        site, place_kind, place, kind, a,
        count(*) AS seen,
        sum(entered) AS entered,
        sum(visitor) AS visitors,
        sum(connected) AS connected,
        sum(is_global) AS seen_global,
        sum(CASE WHEN visitor = 1 AND is_global = 1 THEN 1 ELSE 0 END) AS visitors_global,
        sum(new_visitor) AS new_visitors,
        sum(returning_visitor) AS returning_visitors
    FROM def_client
    GROUP BY site, place_kind, place, kind, a
),
bucket AS (
    SELECT site, place_kind, place, kind, a FROM crowd
    UNION
    SELECT site, place_kind, place, kind, a FROM def_movement
),
filled AS (
    SELECT
        b.site, b.place_kind, b.place, b.kind, b.a,
        coalesce(c.seen, 0) AS seen,
        coalesce(c.entered, 0) AS entered,
        coalesce(c.visitors, 0) AS visitors,
        coalesce(c.connected, 0) AS connected,
        coalesce(c.seen_global, 0) AS seen_global,
        coalesce(c.visitors_global, 0) AS visitors_global,
        coalesce(c.new_visitors, 0) AS new_visitors,
        coalesce(c.returning_visitors, 0) AS returning_visitors,
        coalesce(m.visits, 0) AS visits,
        coalesce(m.exits, 0) AS exits,
        coalesce(m.dwell_total, 0) AS dwell_total,
        coalesce(m.bounces, 0) AS bounces,
        coalesce(m.known, 0) AS known,
        coalesce(m.returned, 0) AS returned
    FROM bucket b
    LEFT JOIN crowd c ON c.site = b.site AND c.place_kind = b.place_kind AND c.place = b.place AND c.kind = b.kind AND c.a = b.a
    LEFT JOIN def_movement m ON m.site = b.site AND m.place_kind = b.place_kind AND m.place = b.place AND m.kind = b.kind AND m.a = b.a
)
SELECT
    f.site, f.place_kind, f.place, f.kind, f.a,
    f.seen,
    CASE WHEN f.place_kind = 'site' THEN f.entered END AS entered,
    f.visitors,
    f.seen - f.visitors AS passersby,
    f.connected,
    f.visits,
    f.exits,
    f.dwell_total,
    d.dwell_avg,
    d.dwell_p50,
    d.dwell_p90,
    CASE WHEN f.place_kind = 'site' THEN f.bounces END AS bounces,
    CASE WHEN f.place_kind = 'site' THEN CAST(f.bounces AS DOUBLE PRECISION) / nullif(f.visits + f.bounces, 0) END AS bounce_rate,
    CAST(f.visitors AS DOUBLE PRECISION) / nullif(f.seen, 0) AS capture_rate,
    CAST(f.visitors AS DOUBLE PRECISION) / nullif(f.seen - f.visitors, 0) AS entry_ratio,
    CAST(f.connected AS DOUBLE PRECISION) / nullif(f.visitors, 0) AS connect_rate,
    CASE WHEN f.place_kind = 'site' THEN CAST(f.visits AS DOUBLE PRECISION) / nullif(f.visits + f.bounces, 0) END AS stay_rate,
    CAST(f.returned AS DOUBLE PRECISION) / nullif(f.known, 0) AS return_rate,
    CAST(f.visitors_global AS DOUBLE PRECISION) / nullif(f.seen_global, 0) AS capture_rate_global,
    f.new_visitors,
    f.returning_visitors,
    f.visitors - f.new_visitors - f.returning_visitors AS unknown_visitors
FROM filled f
LEFT JOIN def_dwell d ON d.site = f.site AND d.place_kind = f.place_kind AND d.place = f.place AND d.kind = f.kind AND d.a = f.a
WHERE f.seen > 0 OR f.visits > 0 OR f.exits > 0 OR f.bounces > 0;

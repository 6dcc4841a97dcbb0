-- One day of all sites, which are open from 8 to 20 o'clock: its number, its first second, and the second up to which all is told are filled in.
DROP TABLE IF EXISTS made_session;

-- Seven of twelve sessions are visits of 5 to 25 minutes, the others bounces. A client comes on three days.
CREATE TEMP TABLE made_session AS
SELECT scope, ap, next_ap, zone, (slot * 31 + $day / 3) * 68719476767 AS client, started_at, started_at + 60 AS middle,
    CASE WHEN started_at + length_s < $until THEN started_at + length_s ELSE $until END AS ended_at, is_visit, is_visit AND slot % 2 = 1 AS moved
FROM (
    SELECT scope, ap, next_ap, zone, slot, is_visit, $start + 28800 + n * 43200 / $sessions + mixed % 300 AS started_at,
        CASE WHEN is_visit THEN 300 + mixed / 300 % 1200 ELSE mixed / 300 % 240 END AS length_s
    FROM (
        SELECT p.scope, p.ap, p.ap - p.ap_number + (p.ap_number + 1) % $aps AS next_ap, p.zone, k.n, k.n * 7 % 12 < 7 AS is_visit,
            (p.scope * $aps + p.ap_number) * $sessions + k.n AS slot,
            (((p.scope * $aps + p.ap_number) * $sessions + k.n) * 7919 + $day * 104729) % 1000003 * 2654435761 % 4294967291 AS mixed
        FROM made_place p CROSS JOIN made_number k WHERE k.n < $sessions
    ) slots
) sessions
WHERE started_at < $until
ORDER BY started_at;

INSERT INTO presence_session
    (scope, started_at, client, visit_high, visit_low, ended_at, minutes, is_visit, identity, connected_at, is_returning, cut, last_kind, last_place, last_since, rev)
SELECT scope, at(started_at), client, client / 3, client - started_at, at(ended_at), 1 + (ended_at - started_at) / 60, is_visit,
    CASE WHEN client % 5 = 0 THEN 1 ELSE 0 END, CASE WHEN client % 5 < 2 THEN at(started_at + 30) END, client % 3 = 0, 0, 1,
    CASE WHEN moved THEN next_ap ELSE ap END, at(CASE WHEN moved THEN middle ELSE started_at END), 3
FROM made_session ORDER BY started_at;

DROP TABLE IF EXISTS made_stay;

-- Three of seven visits go on to the next access point after a minute.
CREATE TEMP TABLE made_stay AS
SELECT scope, started_at AS started, client, 0 AS number, 1 AS place_kind, ap AS place, started_at, CASE WHEN moved THEN middle ELSE ended_at END AS ended_at
FROM made_session WHERE is_visit
UNION ALL
SELECT scope, started_at, client, 1, 1, next_ap, middle, ended_at FROM made_session WHERE moved
UNION ALL
SELECT scope, started_at, client, 0, 2, zone, started_at, ended_at FROM made_session WHERE is_visit;

INSERT INTO presence_stay (scope, visit_started_at, client, in_zones, number, place_kind, place, started_at, ended_at, is_measured)
SELECT scope, at(started), client, place_kind = 2, number, place_kind, place, at(started_at), at(ended_at), 1 = 1 FROM made_stay ORDER BY started;

-- Hours and the day, of access points, zones and sites. What has closed is not stale.
INSERT INTO presence_count
    (scope, level, start_at, place_kind, place, day, opens_at, closes_at, seen, seen_global, entered, visitors, visitors_global, connected, visits, exits, bounces,
     dwell_total, measured, measured_s, known, returning_visits, new_visitors, returning_visitors, unknown_visitors, dwell_p50, dwell_p90, is_stale)
SELECT scope, level, at(start_s), place_kind, place, $start / 86400, at(start_s), at(start_s + length_s), visits * 4, visits * 3, visits + bounces, visits, visits / 2,
    visits / 3, visits, visits, bounces, dwell_s, visits, dwell_s, visits, visits / 3, visits / 2, visits - visits / 2, 0, CAST(dwell_s AS bigint) / visits, dwell_max_s,
    start_s + length_s > $until - 1200
FROM (
    SELECT scope, 0 AS level, 3600 AS length_s, started_at / 3600 * 3600 AS start_s, place_kind, place, count(*) AS visits, 0 AS bounces,
        sum(ended_at - started_at) AS dwell_s, max(ended_at - started_at) AS dwell_max_s
    FROM made_stay GROUP BY scope, started_at / 3600 * 3600, place_kind, place
    UNION ALL
    SELECT scope, 1, 86400, $start, place_kind, place, count(*), 0, sum(ended_at - started_at), max(ended_at - started_at)
    FROM made_stay GROUP BY scope, place_kind, place
    UNION ALL
    SELECT scope, 0, 3600, started_at / 3600 * 3600, 0, 0, count(CASE WHEN is_visit THEN 1 END), count(CASE WHEN NOT is_visit THEN 1 END),
        sum(CASE WHEN is_visit THEN ended_at - started_at ELSE 0 END), max(ended_at - started_at)
    FROM made_session GROUP BY scope, started_at / 3600 * 3600
    UNION ALL
    SELECT scope, 1, 86400, $start, 0, 0, count(CASE WHEN is_visit THEN 1 END), count(CASE WHEN NOT is_visit THEN 1 END),
        sum(CASE WHEN is_visit THEN ended_at - started_at ELSE 0 END), max(ended_at - started_at)
    FROM made_session GROUP BY scope
) counts
ORDER BY start_s, scope, place_kind, place;

-- The site and its zones are never empty while it is open, an access point in two of three.
INSERT INTO presence_occupancy (scope, minute, place_kind, place, devices, connected)
SELECT scope, at($start + minute * 60), place_kind, place, heads + (minute * 7 + place) % 4, minute % 2
FROM (
    SELECT n AS minute, scope, 1 AS place_kind, ap AS place, 1 AS heads FROM made_number CROSS JOIN made_place WHERE (n + ap_number) % 3 < 2
    UNION ALL
    SELECT DISTINCT n, scope, 2, CAST(zone AS bigint), 10 FROM made_number CROSS JOIN made_place
    UNION ALL
    SELECT DISTINCT n, scope, 0, CAST(0 AS bigint), 50 FROM made_number CROSS JOIN made_place
) places
WHERE minute BETWEEN 480 AND 1199 AND $start + minute * 60 < $until
ORDER BY minute, scope, place_kind, place;

-- Of each access point, people come from outside, go on to the next two, and leave.
INSERT INTO presence_flow (scope, hour, from_kind, from_place, to_kind, to_place, transitions)
SELECT p.scope, at($start + h.n * 3600), CASE WHEN w.n = 0 THEN 4 ELSE 1 END, CASE WHEN w.n = 0 THEN 0 ELSE p.ap END,
    CASE WHEN w.n = 1 THEN 4 ELSE 1 END, CASE w.n WHEN 0 THEN p.ap WHEN 1 THEN 0 ELSE p.ap - p.ap_number + (p.ap_number + w.n - 1) % $aps END,
    1 + (h.n + p.ap_number * w.n) % 7
FROM made_number h CROSS JOIN made_place p CROSS JOIN made_number w
WHERE h.n BETWEEN 8 AND 19 AND w.n < 4 AND $start + h.n * 3600 < $until
ORDER BY h.n, p.scope, p.ap, w.n;

-- Posts arrive in the night too.
INSERT INTO presence_covered (scope, level, start_at, minutes)
SELECT s.n, 0, at($start + h.n * 3600), 60 FROM made_number s CROSS JOIN made_number h
WHERE s.n BETWEEN 1 AND $sites AND h.n < 24 AND $start + h.n * 3600 < $until
UNION ALL
SELECT n, 1, at($start), 1440 FROM made_number WHERE n BETWEEN 1 AND $sites;

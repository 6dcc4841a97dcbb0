-- The views of presence. Names, columns and meanings are the same in Postgres; docs/sql.md has the formulas.
-- Times are ISO 8601 in UTC, booleans are 0 and 1.

CREATE VIEW visits AS
-- Visits: sessions long enough, and observed in enough minutes.
SELECT
    printf('%016x%016x', s.visit_high, s.visit_low) AS visit_id, -- first 128 bits of a hash of profile, site, client and start, in hexadecimal
    c.profile AS profile, -- profile with its version
    c.site AS site, -- site
    CASE s.client >> 48 WHEN 0 THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', s.client >> 40, s.client >> 32 & 255, s.client >> 24 & 255, s.client >> 16 & 255, s.client >> 8 & 255, s.client & 255) WHEN 1 THEN NULL ELSE printf('%016x', s.client) END AS client, -- pseudonym of 16 hexadecimal digits, or the address when clients are kept plain; null once the key of its epoch is destroyed
    strftime('%Y-%m-%dT%H:%M:%SZ', s.started_at, 'unixepoch') AS started_at, -- first entering observation
    strftime('%Y-%m-%dT%H:%M:%SZ', s.ended_at, 'unixepoch') AS ended_at, -- last qualifying observation
    s.ended_at - s.started_at AS dwell_s, -- length in seconds
    s.minutes AS minutes, -- distinct minutes with a qualifying observation
    s.connected_at IS NOT NULL AS associated, -- whether the client was connected during the visit
    CASE s.identity WHEN 0 THEN 'global' WHEN 1 THEN 'local_assoc' ELSE 'local_unassoc' END AS identity, -- global, local_assoc, or local_unassoc, which no count counts
    s.is_returning AS is_returning, -- whether the client visited on an earlier day; null where that cannot be known
    CASE s.cut WHEN 1 THEN 'start' WHEN 2 THEN 'end' WHEN 3 THEN 'both' END AS cut, -- ends that a change of pseudonym keys cut; null when none
    c.watermark > s.ended_at + (c.gap_s + c.allowed_lateness_s) OR s.ended_at < coalesce(c.ended_until, s.ended_at) AS final, -- whether nothing can change it any more
    s.rev AS rev -- how often it was written
FROM presence_session s
JOIN presence_scope c ON c.id = s.scope AND c.is_shown
WHERE s.is_visit;

CREATE VIEW stays AS
-- Where visits were, and how long; the stays at access points and unlocated of a visit add up to it.
SELECT
    printf('%016x%016x', v.visit_high, v.visit_low) AS visit_id, -- visit it is part of
    c.profile AS profile, -- profile with its version
    c.site AS site, -- site
    CASE s.place_kind WHEN 0 THEN 'site' WHEN 1 THEN 'ap' WHEN 2 THEN 'zone' ELSE 'unlocated' END AS place_kind, -- ap, zone or unlocated
    CASE s.place_kind WHEN 0 THEN c.site WHEN 1 THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', s.place >> 40, s.place >> 32 & 255, s.place >> 24 & 255, s.place >> 16 & 255, s.place >> 8 & 255, s.place & 255) WHEN 2 THEN z.name WHEN 3 THEN 'unlocated' ELSE 'outside' END AS place, -- address of the access point, or name of the zone
    strftime('%Y-%m-%dT%H:%M:%SZ', s.started_at, 'unixepoch') AS started_at, -- when it began
    strftime('%Y-%m-%dT%H:%M:%SZ', s.ended_at, 'unixepoch') AS ended_at, -- when it ended
    s.ended_at - s.started_at AS dwell_s -- length in seconds
FROM presence_stay s
JOIN presence_scope c ON c.id = s.scope AND c.is_shown
JOIN presence_session v ON v.scope = s.scope AND v.started_at = s.visit_started_at AND v.client = s.client
LEFT JOIN presence_zone z ON s.place_kind = 2 AND z.id = s.place;

CREATE VIEW occupancy AS
-- Devices at each place at the first instant of each minute; minutes without any have no row.
SELECT
    c.profile AS profile, -- profile with its version
    c.site AS site, -- site
    CASE o.place_kind WHEN 0 THEN 'site' WHEN 1 THEN 'ap' WHEN 2 THEN 'zone' ELSE 'unlocated' END AS place_kind, -- site, ap or zone
    CASE o.place_kind WHEN 0 THEN c.site WHEN 1 THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', o.place >> 40, o.place >> 32 & 255, o.place >> 24 & 255, o.place >> 16 & 255, o.place >> 8 & 255, o.place & 255) WHEN 2 THEN z.name WHEN 3 THEN 'unlocated' ELSE 'outside' END AS place, -- site, address of the access point, or name of the zone
    strftime('%Y-%m-%dT%H:%M:%SZ', o.minute, 'unixepoch') AS minute, -- the minute's first instant
    o.devices AS devices, -- visits, or stays, that cover the instant
    o.connected AS connected -- of them, those connected by then
FROM presence_occupancy o
JOIN presence_scope c ON c.id = o.scope AND c.is_shown
LEFT JOIN presence_zone z ON o.place_kind = 2 AND z.id = o.place
WHERE o.devices > 0;

CREATE VIEW hourly AS
-- Counts per hour and place. Distinct counts are never added over rows: each row is a set of its own.
SELECT
    c.profile AS profile, -- profile with its version
    c.site AS site, -- site
    CASE n.place_kind WHEN 0 THEN 'site' WHEN 1 THEN 'ap' WHEN 2 THEN 'zone' ELSE 'unlocated' END AS place_kind, -- site, ap or zone
    CASE n.place_kind WHEN 0 THEN c.site WHEN 1 THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', n.place >> 40, n.place >> 32 & 255, n.place >> 24 & 255, n.place >> 16 & 255, n.place >> 8 & 255, n.place & 255) WHEN 2 THEN z.name WHEN 3 THEN 'unlocated' ELSE 'outside' END AS place, -- site, address of the access point, or name of the zone
    strftime('%Y-%m-%dT%H:%M:%SZ', n.start_at, 'unixepoch') AS hour, -- when the hour begins, in UTC; hours count from the start of the local day
    n.seen AS seen, -- distinct clients heard, or with a session
    CASE WHEN n.place_kind = 0 THEN n.entered END AS entered, -- distinct clients with a session; null at places
    n.visitors AS visitors, -- distinct clients with a visit, at a place with a stay
    n.seen - n.visitors AS passersby, -- seen less visitors
    n.connected AS connected, -- of visitors, those with an associated observation there during the visit
    n.visits AS visits, -- visits that began, at a place stays
    n.exits AS exits, -- visits that ended, at a place stays
    n.dwell_total AS dwell_total, -- person-seconds of visits within the window
    1.0 * n.measured_s / nullif(n.measured, 0) AS dwell_avg, -- mean length in seconds of visits that began; null when none did
    CASE WHEN NOT n.is_stale THEN n.dwell_p50 WHEN n.place_kind = 0 THEN (SELECT r.dwell_s FROM (SELECT s.ended_at - s.started_at AS dwell_s, row_number() OVER (ORDER BY s.ended_at - s.started_at) AS number FROM presence_session s WHERE s.scope = n.scope AND s.started_at >= n.opens_at AND s.started_at < n.closes_at AND s.is_visit AND s.identity < 2 AND s.cut = 0) r WHERE r.number = (50 * n.measured + 99) / 100) ELSE (SELECT r.dwell_s FROM (SELECT s.ended_at - s.started_at AS dwell_s, row_number() OVER (ORDER BY s.ended_at - s.started_at) AS number FROM presence_stay s WHERE s.scope = n.scope AND s.place_kind = n.place_kind AND s.place = n.place AND s.started_at >= n.opens_at AND s.started_at < n.closes_at AND s.is_measured) r WHERE r.number = (50 * n.measured + 99) / 100) END AS dwell_p50, -- median of their lengths, nearest rank
    CASE WHEN NOT n.is_stale THEN n.dwell_p90 WHEN n.place_kind = 0 THEN (SELECT r.dwell_s FROM (SELECT s.ended_at - s.started_at AS dwell_s, row_number() OVER (ORDER BY s.ended_at - s.started_at) AS number FROM presence_session s WHERE s.scope = n.scope AND s.started_at >= n.opens_at AND s.started_at < n.closes_at AND s.is_visit AND s.identity < 2 AND s.cut = 0) r WHERE r.number = (90 * n.measured + 99) / 100) ELSE (SELECT r.dwell_s FROM (SELECT s.ended_at - s.started_at AS dwell_s, row_number() OVER (ORDER BY s.ended_at - s.started_at) AS number FROM presence_stay s WHERE s.scope = n.scope AND s.place_kind = n.place_kind AND s.place = n.place AND s.started_at >= n.opens_at AND s.started_at < n.closes_at AND s.is_measured) r WHERE r.number = (90 * n.measured + 99) / 100) END AS dwell_p90, -- 90th percentile of their lengths, nearest rank
    CASE WHEN n.place_kind = 0 THEN n.bounces END AS bounces, -- sessions that began and are no visits; null at places
    CASE WHEN n.place_kind = 0 THEN 1.0 * n.bounces / nullif(n.visits + n.bounces, 0) END AS bounce_rate, -- bounces of sessions that began; null at places and over 0
    1.0 * n.visitors / nullif(n.seen, 0) AS capture_rate, -- visitors of seen; too high where the cloud leaves random addresses out (docs/presence.md)
    1.0 * n.visitors / nullif(n.seen - n.visitors, 0) AS entry_ratio, -- visitors beside passersby
    1.0 * n.connected / nullif(n.visitors, 0) AS connect_rate, -- connected of visitors
    CASE WHEN n.place_kind = 0 THEN 1.0 * n.visits / nullif(n.visits + n.bounces, 0) END AS stay_rate, -- visits of sessions that began, 1 - bounce_rate; null at places and over 0
    1.0 * n.returning_visits / nullif(n.known, 0) AS return_rate, -- returning of the visits that began and of which it is known
    1.0 * n.visitors_global / nullif(n.seen_global, 0) AS capture_rate_global, -- capture_rate of makers' addresses alone
    n.new_visitors AS new_visitors, -- visitors whose first visit in the window was new
    n.returning_visitors AS returning_visitors, -- visitors whose first visit in the window was returning
    n.unknown_visitors AS unknown_visitors, -- visitors of whom that cannot be known
    CASE WHEN n.known > 0 THEN NULL WHEN c.lasts_days < c.loyalty_days THEN 'identity_epoch' WHEN n.visits = 0 THEN 'no_visits' ELSE 'key_birth' END AS return_reason, -- why return_rate is null: identity_epoch, pseudonyms last for fewer days than are looked back; key_birth, the key is younger than that; no_visits
    CASE WHEN min(n.closes_at, c.watermark) > n.opens_at THEN min(1.0, coalesce(m.minutes, 0) / ((min(n.closes_at, c.watermark) - n.opens_at) / 60.0)) END AS coverage, -- minutes with a post of the site, of those up to data_until
    coalesce(n.closes_at <= c.final_until, 0) AS final, -- whether nothing can change it any more
    strftime('%Y-%m-%dT%H:%M:%SZ', c.watermark, 'unixepoch') AS data_until -- up to where everything is told
FROM presence_count n
JOIN presence_scope c ON c.id = n.scope AND c.is_shown
LEFT JOIN presence_zone z ON n.place_kind = 2 AND z.id = n.place
LEFT JOIN presence_covered m ON m.scope = n.scope AND m.level = n.level AND m.start_at = n.start_at
WHERE n.level = 0 AND (n.seen > 0 OR n.visits <> 0 OR n.exits <> 0 OR n.bounces <> 0 OR n.measured <> 0);

CREATE VIEW daily AS
-- Counts per local day and place. Distinct counts are never added over rows: each row is a set of its own.
SELECT
    c.profile AS profile, -- profile with its version
    c.site AS site, -- site
    CASE n.place_kind WHEN 0 THEN 'site' WHEN 1 THEN 'ap' WHEN 2 THEN 'zone' ELSE 'unlocated' END AS place_kind, -- site, ap or zone
    CASE n.place_kind WHEN 0 THEN c.site WHEN 1 THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', n.place >> 40, n.place >> 32 & 255, n.place >> 24 & 255, n.place >> 16 & 255, n.place >> 8 & 255, n.place & 255) WHEN 2 THEN z.name WHEN 3 THEN 'unlocated' ELSE 'outside' END AS place, -- site, address of the access point, or name of the zone
    date(n.day * 86400, 'unixepoch') AS day, -- local date
    n.seen AS seen, -- distinct clients heard, or with a session
    CASE WHEN n.place_kind = 0 THEN n.entered END AS entered, -- distinct clients with a session; null at places
    n.visitors AS visitors, -- distinct clients with a visit, at a place with a stay
    n.seen - n.visitors AS passersby, -- seen less visitors
    n.connected AS connected, -- of visitors, those with an associated observation there during the visit
    n.visits AS visits, -- visits that began, at a place stays
    n.exits AS exits, -- visits that ended, at a place stays
    n.dwell_total AS dwell_total, -- person-seconds of visits within the window
    1.0 * n.measured_s / nullif(n.measured, 0) AS dwell_avg, -- mean length in seconds of visits that began; null when none did
    CASE WHEN NOT n.is_stale THEN n.dwell_p50 WHEN n.place_kind = 0 THEN (SELECT r.dwell_s FROM (SELECT s.ended_at - s.started_at AS dwell_s, row_number() OVER (ORDER BY s.ended_at - s.started_at) AS number FROM presence_session s WHERE s.scope = n.scope AND s.started_at >= n.opens_at AND s.started_at < n.closes_at AND s.is_visit AND s.identity < 2 AND s.cut = 0) r WHERE r.number = (50 * n.measured + 99) / 100) ELSE (SELECT r.dwell_s FROM (SELECT s.ended_at - s.started_at AS dwell_s, row_number() OVER (ORDER BY s.ended_at - s.started_at) AS number FROM presence_stay s WHERE s.scope = n.scope AND s.place_kind = n.place_kind AND s.place = n.place AND s.started_at >= n.opens_at AND s.started_at < n.closes_at AND s.is_measured) r WHERE r.number = (50 * n.measured + 99) / 100) END AS dwell_p50, -- median of their lengths, nearest rank
    CASE WHEN NOT n.is_stale THEN n.dwell_p90 WHEN n.place_kind = 0 THEN (SELECT r.dwell_s FROM (SELECT s.ended_at - s.started_at AS dwell_s, row_number() OVER (ORDER BY s.ended_at - s.started_at) AS number FROM presence_session s WHERE s.scope = n.scope AND s.started_at >= n.opens_at AND s.started_at < n.closes_at AND s.is_visit AND s.identity < 2 AND s.cut = 0) r WHERE r.number = (90 * n.measured + 99) / 100) ELSE (SELECT r.dwell_s FROM (SELECT s.ended_at - s.started_at AS dwell_s, row_number() OVER (ORDER BY s.ended_at - s.started_at) AS number FROM presence_stay s WHERE s.scope = n.scope AND s.place_kind = n.place_kind AND s.place = n.place AND s.started_at >= n.opens_at AND s.started_at < n.closes_at AND s.is_measured) r WHERE r.number = (90 * n.measured + 99) / 100) END AS dwell_p90, -- 90th percentile of their lengths, nearest rank
    CASE WHEN n.place_kind = 0 THEN n.bounces END AS bounces, -- sessions that began and are no visits; null at places
    CASE WHEN n.place_kind = 0 THEN 1.0 * n.bounces / nullif(n.visits + n.bounces, 0) END AS bounce_rate, -- bounces of sessions that began; null at places and over 0
    1.0 * n.visitors / nullif(n.seen, 0) AS capture_rate, -- visitors of seen; too high where the cloud leaves random addresses out (docs/presence.md)
    1.0 * n.visitors / nullif(n.seen - n.visitors, 0) AS entry_ratio, -- visitors beside passersby
    1.0 * n.connected / nullif(n.visitors, 0) AS connect_rate, -- connected of visitors
    CASE WHEN n.place_kind = 0 THEN 1.0 * n.visits / nullif(n.visits + n.bounces, 0) END AS stay_rate, -- visits of sessions that began, 1 - bounce_rate; null at places and over 0
    1.0 * n.returning_visits / nullif(n.known, 0) AS return_rate, -- returning of the visits that began and of which it is known
    1.0 * n.visitors_global / nullif(n.seen_global, 0) AS capture_rate_global, -- capture_rate of makers' addresses alone
    n.new_visitors AS new_visitors, -- visitors whose first visit in the window was new
    n.returning_visitors AS returning_visitors, -- visitors whose first visit in the window was returning
    n.unknown_visitors AS unknown_visitors, -- visitors of whom that cannot be known
    CASE WHEN n.known > 0 THEN NULL WHEN c.lasts_days < c.loyalty_days THEN 'identity_epoch' WHEN n.visits = 0 THEN 'no_visits' ELSE 'key_birth' END AS return_reason, -- why return_rate is null: identity_epoch, pseudonyms last for fewer days than are looked back; key_birth, the key is younger than that; no_visits
    CASE WHEN min(n.closes_at, c.watermark) > n.opens_at THEN min(1.0, coalesce(m.minutes, 0) / ((min(n.closes_at, c.watermark) - n.opens_at) / 60.0)) END AS coverage, -- minutes with a post of the site, of those up to data_until
    coalesce(n.closes_at <= c.final_until, 0) AS final, -- whether nothing can change it any more
    strftime('%Y-%m-%dT%H:%M:%SZ', c.watermark, 'unixepoch') AS data_until -- up to where everything is told
FROM presence_count n
JOIN presence_scope c ON c.id = n.scope AND c.is_shown
LEFT JOIN presence_zone z ON n.place_kind = 2 AND z.id = n.place
LEFT JOIN presence_covered m ON m.scope = n.scope AND m.level = n.level AND m.start_at = n.start_at
WHERE n.level = 1 AND (n.seen > 0 OR n.visits <> 0 OR n.exits <> 0 OR n.bounces <> 0 OR n.measured <> 0);

CREATE VIEW flow AS
-- Changes of place within visits, with outside before the first and after the last.
SELECT
    c.profile AS profile, -- profile with its version
    c.site AS site, -- site
    'ap' AS place_kind, -- ap
    CASE f.from_kind WHEN 1 THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', f.from_place >> 40, f.from_place >> 32 & 255, f.from_place >> 24 & 255, f.from_place >> 16 & 255, f.from_place >> 8 & 255, f.from_place & 255) WHEN 3 THEN 'unlocated' ELSE 'outside' END AS from_place, -- address of the access point left, outside or unlocated
    CASE f.to_kind WHEN 1 THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', f.to_place >> 40, f.to_place >> 32 & 255, f.to_place >> 24 & 255, f.to_place >> 16 & 255, f.to_place >> 8 & 255, f.to_place & 255) WHEN 3 THEN 'unlocated' ELSE 'outside' END AS to_place, -- address of the access point reached, outside or unlocated
    strftime('%Y-%m-%dT%H:%M:%SZ', f.hour, 'unixepoch') AS hour, -- when the hour begins
    f.transitions AS transitions -- how many
FROM presence_flow f
JOIN presence_scope c ON c.id = f.scope AND c.is_shown
WHERE f.transitions <> 0;

CREATE VIEW now AS
-- Who is there, up to data_until: under the first live profile.
WITH present AS MATERIALIZED (
    -- Whoever came again is in here with that too, so that the latest session of each is found in here.
    SELECT c.id AS scope, c.site, c.watermark, s.identity, s.connected_at, s.last_since, CASE s.last_kind WHEN 1 THEN s.last_place END AS last_ap,
        row_number() OVER (PARTITION BY c.id, s.client ORDER BY s.ended_at DESC, s.started_at DESC) AS number
    FROM presence_scope c
    CROSS JOIN presence_session s
    WHERE c.is_main AND s.scope = c.id AND s.ended_at > c.watermark + -c.present_s
)
SELECT
    p.site AS site, -- site
    'site' AS place_kind, -- site, ap or zone
    p.site AS place, -- site, address of the access point of the last stay, or name of its zone
    count(*) AS devices, -- clients whose latest session ended less than present_s before data_until
    count(p.connected_at) AS connected, -- of them, those connected during it
    strftime('%Y-%m-%dT%H:%M:%SZ', p.watermark, 'unixepoch') AS data_until -- up to where everything is told
FROM present p
WHERE p.number = 1 AND p.identity < 2
GROUP BY p.scope, p.site, p.watermark
UNION ALL
SELECT
    p.site AS site,
    'ap' AS place_kind,
    printf('%02x:%02x:%02x:%02x:%02x:%02x', p.last_ap >> 40, p.last_ap >> 32 & 255, p.last_ap >> 24 & 255, p.last_ap >> 16 & 255, p.last_ap >> 8 & 255, p.last_ap & 255) AS place,
    count(*) AS devices,
    count(p.connected_at) AS connected,
    strftime('%Y-%m-%dT%H:%M:%SZ', p.watermark, 'unixepoch') AS data_until
FROM present p
WHERE p.number = 1 AND p.identity < 2 AND p.last_ap IS NOT NULL
GROUP BY p.scope, p.site, p.watermark, p.last_ap
UNION ALL
SELECT
    p.site AS site,
    'zone' AS place_kind,
    z.name AS place,
    count(*) AS devices,
    count(p.connected_at) AS connected,
    strftime('%Y-%m-%dT%H:%M:%SZ', p.watermark, 'unixepoch') AS data_until
FROM present p
JOIN presence_member m ON m.scope = p.scope AND m.ap = p.last_ap AND m.since <= p.last_since AND p.last_since < m.until
JOIN presence_zone z ON z.id = m.zone
WHERE p.number = 1 AND p.identity < 2
GROUP BY p.scope, p.site, p.watermark, z.id;

CREATE VIEW heard AS
-- With privacy.mode = anonymous: how many devices were heard in ten minutes. Never added over rows: a device is another one in each.
SELECT
    r.value AS receiver, -- receiver that took the posts
    n.value AS network, -- id of the Meraki network; null in v2
    CASE WHEN h.ap >= 0 THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', h.ap >> 40, h.ap >> 32 & 255, h.ap >> 24 & 255, h.ap >> 16 & 255, h.ap >> 8 & 255, h.ap & 255) END AS ap, -- address of the access point; null for all of them together
    CASE h.radio WHEN 0 THEN 'wifi' ELSE 'ble' END AS radio, -- wifi or ble
    strftime('%Y-%m-%dT%H:%M:%SZ', h.started_at, 'unixepoch') AS started_at, -- when the ten minutes began
    strftime('%Y-%m-%dT%H:%M:%SZ', h.ended_at, 'unixepoch') AS ended_at, -- when they ended
    h.devices AS devices, -- distinct clients that were heard
    h.connected AS connected -- of them, those that were connected
FROM heard_count h
JOIN dictionary r ON r.id = h.receiver
LEFT JOIN dictionary n ON n.id = h.network;

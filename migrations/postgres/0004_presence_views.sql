-- The views of presence. Names, columns and meanings are the same in SQLite; docs/sql.md has the formulas.

CREATE VIEW visits AS
SELECT
    lpad(to_hex(s.visit_high), 16, '0') || lpad(to_hex(s.visit_low), 16, '0') AS visit_id,
    c.profile,
    c.site,
    CASE s.client >> 48 WHEN 0 THEN lpad(to_hex(s.client), 12, '0')::macaddr::text WHEN 1 THEN NULL ELSE lpad(to_hex(s.client), 16, '0') END AS client,
    s.started_at,
    s.ended_at,
    extract(epoch FROM s.ended_at - s.started_at)::bigint AS dwell_s,
    s.minutes,
    s.connected_at IS NOT NULL AS associated,
    CASE s.identity WHEN 0 THEN 'global' WHEN 1 THEN 'local_assoc' ELSE 'local_unassoc' END AS identity,
    s.is_returning,
    CASE s.cut WHEN 1 THEN 'start' WHEN 2 THEN 'end' WHEN 3 THEN 'both' END AS cut,
    c.watermark > s.ended_at + (c.gap_s + c.allowed_lateness_s) * interval '1 second' OR s.ended_at < coalesce(c.ended_until, '-infinity') AS final,
    s.rev
FROM presence_session s
JOIN presence_scope c ON c.id = s.scope AND c.is_shown
WHERE s.is_visit;
COMMENT ON VIEW visits IS 'Visits: sessions long enough, and observed in enough minutes.';
COMMENT ON COLUMN visits.visit_id IS 'First 128 bits of a hash of profile, site, client and start, in hexadecimal.';
COMMENT ON COLUMN visits.profile IS 'Profile with its version.';
COMMENT ON COLUMN visits.site IS 'Site.';
COMMENT ON COLUMN visits.client IS 'Pseudonym of 16 hexadecimal digits, or the address when clients are kept plain; null once the key of its epoch is destroyed.';
COMMENT ON COLUMN visits.started_at IS 'First entering observation.';
COMMENT ON COLUMN visits.ended_at IS 'Last qualifying observation.';
COMMENT ON COLUMN visits.dwell_s IS 'Length in seconds.';
COMMENT ON COLUMN visits.minutes IS 'Distinct minutes with a qualifying observation.';
COMMENT ON COLUMN visits.associated IS 'Whether the client was connected during the visit.';
COMMENT ON COLUMN visits.identity IS 'Global, local_assoc, or local_unassoc, which no count counts.';
COMMENT ON COLUMN visits.is_returning IS 'Whether the client visited on an earlier day; null where that cannot be known.';
COMMENT ON COLUMN visits.cut IS 'Ends that a change of pseudonym keys cut; null when none.';
COMMENT ON COLUMN visits.final IS 'Whether nothing can change it any more.';
COMMENT ON COLUMN visits.rev IS 'How often it was written.';

CREATE VIEW stays AS
SELECT
    lpad(to_hex(v.visit_high), 16, '0') || lpad(to_hex(v.visit_low), 16, '0') AS visit_id,
    c.profile,
    c.site,
    CASE s.place_kind WHEN 0 THEN 'site' WHEN 1 THEN 'ap' WHEN 2 THEN 'zone' ELSE 'unlocated' END AS place_kind,
    CASE s.place_kind WHEN 0 THEN c.site WHEN 1 THEN lpad(to_hex(s.place), 12, '0')::macaddr::text WHEN 2 THEN z.name WHEN 3 THEN 'unlocated' ELSE 'outside' END AS place,
    s.started_at,
    s.ended_at,
    extract(epoch FROM s.ended_at - s.started_at)::bigint AS dwell_s
FROM presence_stay s
JOIN presence_scope c ON c.id = s.scope AND c.is_shown
JOIN presence_session v ON v.scope = s.scope AND v.started_at = s.visit_started_at AND v.client = s.client
LEFT JOIN presence_zone z ON s.place_kind = 2 AND z.id = s.place;
COMMENT ON VIEW stays IS 'Where visits were, and how long; the stays at access points and unlocated of a visit add up to it.';
COMMENT ON COLUMN stays.visit_id IS 'Visit it is part of.';
COMMENT ON COLUMN stays.profile IS 'Profile with its version.';
COMMENT ON COLUMN stays.site IS 'Site.';
COMMENT ON COLUMN stays.place_kind IS 'Ap, zone or unlocated.';
COMMENT ON COLUMN stays.place IS 'Address of the access point, or name of the zone.';
COMMENT ON COLUMN stays.started_at IS 'When it began.';
COMMENT ON COLUMN stays.ended_at IS 'When it ended.';
COMMENT ON COLUMN stays.dwell_s IS 'Length in seconds.';

CREATE VIEW occupancy AS
SELECT
    c.profile,
    c.site,
    CASE o.place_kind WHEN 0 THEN 'site' WHEN 1 THEN 'ap' WHEN 2 THEN 'zone' ELSE 'unlocated' END AS place_kind,
    CASE o.place_kind WHEN 0 THEN c.site WHEN 1 THEN lpad(to_hex(o.place), 12, '0')::macaddr::text WHEN 2 THEN z.name WHEN 3 THEN 'unlocated' ELSE 'outside' END AS place,
    o.minute,
    o.devices,
    o.connected
FROM presence_occupancy o
JOIN presence_scope c ON c.id = o.scope AND c.is_shown
LEFT JOIN presence_zone z ON o.place_kind = 2 AND z.id = o.place
WHERE o.devices > 0;
COMMENT ON VIEW occupancy IS 'Devices at each place at the first instant of each minute; minutes without any have no row.';
COMMENT ON COLUMN occupancy.profile IS 'Profile with its version.';
COMMENT ON COLUMN occupancy.site IS 'Site.';
COMMENT ON COLUMN occupancy.place_kind IS 'Site, ap or zone.';
COMMENT ON COLUMN occupancy.place IS 'Site, address of the access point, or name of the zone.';
COMMENT ON COLUMN occupancy.minute IS 'The minute''s first instant.';
COMMENT ON COLUMN occupancy.devices IS 'Visits, or stays, that cover the instant.';
COMMENT ON COLUMN occupancy.connected IS 'Of them, those connected by then.';

CREATE VIEW hourly AS
SELECT
    c.profile,
    c.site,
    CASE n.place_kind WHEN 0 THEN 'site' WHEN 1 THEN 'ap' WHEN 2 THEN 'zone' ELSE 'unlocated' END AS place_kind,
    CASE n.place_kind WHEN 0 THEN c.site WHEN 1 THEN lpad(to_hex(n.place), 12, '0')::macaddr::text WHEN 2 THEN z.name WHEN 3 THEN 'unlocated' ELSE 'outside' END AS place,
    n.start_at AS hour,
    n.seen,
    CASE WHEN n.place_kind = 0 THEN n.entered END AS entered,
    n.visitors,
    n.seen - n.visitors AS passersby,
    n.connected,
    n.visits,
    n.exits,
    n.dwell_total,
    n.measured_s::float8 / nullif(n.measured, 0) AS dwell_avg,
    CASE WHEN n.is_stale THEN d.dwell[1] ELSE n.dwell_p50 END AS dwell_p50,
    CASE WHEN n.is_stale THEN d.dwell[2] ELSE n.dwell_p90 END AS dwell_p90,
    CASE WHEN n.place_kind = 0 THEN n.bounces END AS bounces,
    CASE WHEN n.place_kind = 0 THEN n.bounces::float8 / nullif(n.visits + n.bounces, 0) END AS bounce_rate,
    n.visitors::float8 / nullif(n.seen, 0) AS capture_rate,
    n.visitors::float8 / nullif(n.seen - n.visitors, 0) AS entry_ratio,
    n.connected::float8 / nullif(n.visitors, 0) AS connect_rate,
    CASE WHEN n.place_kind = 0 THEN n.visits::float8 / nullif(n.visits + n.bounces, 0) END AS stay_rate,
    n.returning_visits::float8 / nullif(n.known, 0) AS return_rate,
    n.visitors_global::float8 / nullif(n.seen_global, 0) AS capture_rate_global,
    n.new_visitors,
    n.returning_visitors,
    n.unknown_visitors,
    CASE WHEN n.known > 0 THEN NULL WHEN c.lasts_days < c.loyalty_days THEN 'identity_epoch' WHEN n.visits = 0 THEN 'no_visits' ELSE 'key_birth' END AS return_reason,
    CASE WHEN least(n.closes_at, c.watermark) > n.opens_at THEN least(1.0, coalesce(m.minutes, 0) / ((extract(epoch FROM least(n.closes_at, c.watermark) - n.opens_at)::bigint) / 60.0)) END::float8 AS coverage,
    coalesce(n.closes_at <= c.final_until, false) AS final,
    c.watermark AS data_until
FROM presence_count n
JOIN presence_scope c ON c.id = n.scope AND c.is_shown
LEFT JOIN presence_zone z ON n.place_kind = 2 AND z.id = n.place
LEFT JOIN presence_covered m ON m.scope = n.scope AND m.level = n.level AND m.start_at = n.start_at
-- Both percentiles at once, and none for whoever does not name them: the planner leaves a join out that can add no row.
LEFT JOIN LATERAL (
    SELECT percentile_disc(ARRAY[0.50, 0.90]) WITHIN GROUP (ORDER BY l.dwell_s) AS dwell
    FROM (
        SELECT extract(epoch FROM s.ended_at - s.started_at)::integer AS dwell_s FROM presence_session s
        WHERE n.is_stale AND n.place_kind = 0 AND s.scope = n.scope AND s.started_at >= n.opens_at AND s.started_at < n.closes_at AND s.is_visit AND s.identity < 2 AND s.cut = 0
        UNION ALL
        SELECT extract(epoch FROM s.ended_at - s.started_at)::integer FROM presence_stay s
        WHERE n.is_stale AND n.place_kind <> 0 AND s.scope = n.scope AND s.place_kind = n.place_kind AND s.place = n.place AND s.started_at >= n.opens_at AND s.started_at < n.closes_at AND s.is_measured
    ) l
) d ON true
WHERE n.level = 0 AND (n.seen > 0 OR n.visits <> 0 OR n.exits <> 0 OR n.bounces <> 0 OR n.measured <> 0);
COMMENT ON VIEW hourly IS 'Counts per hour and place. Distinct counts are never added over rows: each row is a set of its own.';
COMMENT ON COLUMN hourly.profile IS 'Profile with its version.';
COMMENT ON COLUMN hourly.site IS 'Site.';
COMMENT ON COLUMN hourly.place_kind IS 'Site, ap or zone.';
COMMENT ON COLUMN hourly.place IS 'Site, address of the access point, or name of the zone.';
COMMENT ON COLUMN hourly.hour IS 'When the hour begins, in UTC; hours count from the start of the local day.';
COMMENT ON COLUMN hourly.seen IS 'Distinct clients heard, or with a session.';
COMMENT ON COLUMN hourly.entered IS 'Distinct clients with a session; null at places.';
COMMENT ON COLUMN hourly.visitors IS 'Distinct clients with a visit, at a place with a stay.';
COMMENT ON COLUMN hourly.passersby IS 'Seen less visitors.';
COMMENT ON COLUMN hourly.connected IS 'Of visitors, those with an associated observation there during the visit.';
COMMENT ON COLUMN hourly.visits IS 'Visits that began, at a place stays.';
COMMENT ON COLUMN hourly.exits IS 'Visits that ended, at a place stays.';
COMMENT ON COLUMN hourly.dwell_total IS 'Person-seconds of visits within the window.';
COMMENT ON COLUMN hourly.dwell_avg IS 'Mean length in seconds of visits that began; null when none did.';
COMMENT ON COLUMN hourly.dwell_p50 IS 'Median of their lengths, nearest rank.';
COMMENT ON COLUMN hourly.dwell_p90 IS '90th percentile of their lengths, nearest rank.';
COMMENT ON COLUMN hourly.bounces IS 'Sessions that began and are no visits; null at places.';
COMMENT ON COLUMN hourly.bounce_rate IS 'Bounces of sessions that began; null at places and over 0.';
COMMENT ON COLUMN hourly.capture_rate IS 'Visitors of seen; too high where the cloud leaves random addresses out (docs/presence.md).';
COMMENT ON COLUMN hourly.entry_ratio IS 'Visitors beside passersby.';
COMMENT ON COLUMN hourly.connect_rate IS 'Connected of visitors.';
COMMENT ON COLUMN hourly.stay_rate IS 'Visits of sessions that began, 1 - bounce_rate; null at places and over 0.';
COMMENT ON COLUMN hourly.return_rate IS 'Returning of the visits that began and of which it is known.';
COMMENT ON COLUMN hourly.capture_rate_global IS 'Capture_rate of makers'' addresses alone.';
COMMENT ON COLUMN hourly.new_visitors IS 'Visitors whose first visit in the window was new.';
COMMENT ON COLUMN hourly.returning_visitors IS 'Visitors whose first visit in the window was returning.';
COMMENT ON COLUMN hourly.unknown_visitors IS 'Visitors of whom that cannot be known.';
COMMENT ON COLUMN hourly.return_reason IS 'Why return_rate is null: identity_epoch, pseudonyms last for fewer days than are looked back; key_birth, the key is younger than that; no_visits.';
COMMENT ON COLUMN hourly.coverage IS 'Minutes with a post of the site, of those up to data_until.';
COMMENT ON COLUMN hourly.final IS 'Whether nothing can change it any more.';
COMMENT ON COLUMN hourly.data_until IS 'Up to where everything is told.';

CREATE VIEW daily AS
SELECT
    c.profile,
    c.site,
    CASE n.place_kind WHEN 0 THEN 'site' WHEN 1 THEN 'ap' WHEN 2 THEN 'zone' ELSE 'unlocated' END AS place_kind,
    CASE n.place_kind WHEN 0 THEN c.site WHEN 1 THEN lpad(to_hex(n.place), 12, '0')::macaddr::text WHEN 2 THEN z.name WHEN 3 THEN 'unlocated' ELSE 'outside' END AS place,
    lpad(extract(year FROM date '1970-01-01' + n.day)::text, 4, '0') || '-' || lpad(extract(month FROM date '1970-01-01' + n.day)::text, 2, '0') || '-' || lpad(extract(day FROM date '1970-01-01' + n.day)::text, 2, '0') AS day,
    n.seen,
    CASE WHEN n.place_kind = 0 THEN n.entered END AS entered,
    n.visitors,
    n.seen - n.visitors AS passersby,
    n.connected,
    n.visits,
    n.exits,
    n.dwell_total,
    n.measured_s::float8 / nullif(n.measured, 0) AS dwell_avg,
    CASE WHEN n.is_stale THEN d.dwell[1] ELSE n.dwell_p50 END AS dwell_p50,
    CASE WHEN n.is_stale THEN d.dwell[2] ELSE n.dwell_p90 END AS dwell_p90,
    CASE WHEN n.place_kind = 0 THEN n.bounces END AS bounces,
    CASE WHEN n.place_kind = 0 THEN n.bounces::float8 / nullif(n.visits + n.bounces, 0) END AS bounce_rate,
    n.visitors::float8 / nullif(n.seen, 0) AS capture_rate,
    n.visitors::float8 / nullif(n.seen - n.visitors, 0) AS entry_ratio,
    n.connected::float8 / nullif(n.visitors, 0) AS connect_rate,
    CASE WHEN n.place_kind = 0 THEN n.visits::float8 / nullif(n.visits + n.bounces, 0) END AS stay_rate,
    n.returning_visits::float8 / nullif(n.known, 0) AS return_rate,
    n.visitors_global::float8 / nullif(n.seen_global, 0) AS capture_rate_global,
    n.new_visitors,
    n.returning_visitors,
    n.unknown_visitors,
    CASE WHEN n.known > 0 THEN NULL WHEN c.lasts_days < c.loyalty_days THEN 'identity_epoch' WHEN n.visits = 0 THEN 'no_visits' ELSE 'key_birth' END AS return_reason,
    CASE WHEN least(n.closes_at, c.watermark) > n.opens_at THEN least(1.0, coalesce(m.minutes, 0) / ((extract(epoch FROM least(n.closes_at, c.watermark) - n.opens_at)::bigint) / 60.0)) END::float8 AS coverage,
    coalesce(n.closes_at <= c.final_until, false) AS final,
    c.watermark AS data_until
FROM presence_count n
JOIN presence_scope c ON c.id = n.scope AND c.is_shown
LEFT JOIN presence_zone z ON n.place_kind = 2 AND z.id = n.place
LEFT JOIN presence_covered m ON m.scope = n.scope AND m.level = n.level AND m.start_at = n.start_at
-- Both percentiles at once, and none for whoever does not name them: the planner leaves a join out that can add no row.
LEFT JOIN LATERAL (
    SELECT percentile_disc(ARRAY[0.50, 0.90]) WITHIN GROUP (ORDER BY l.dwell_s) AS dwell
    FROM (
        SELECT extract(epoch FROM s.ended_at - s.started_at)::integer AS dwell_s FROM presence_session s
        WHERE n.is_stale AND n.place_kind = 0 AND s.scope = n.scope AND s.started_at >= n.opens_at AND s.started_at < n.closes_at AND s.is_visit AND s.identity < 2 AND s.cut = 0
        UNION ALL
        SELECT extract(epoch FROM s.ended_at - s.started_at)::integer FROM presence_stay s
        WHERE n.is_stale AND n.place_kind <> 0 AND s.scope = n.scope AND s.place_kind = n.place_kind AND s.place = n.place AND s.started_at >= n.opens_at AND s.started_at < n.closes_at AND s.is_measured
    ) l
) d ON true
WHERE n.level = 1 AND (n.seen > 0 OR n.visits <> 0 OR n.exits <> 0 OR n.bounces <> 0 OR n.measured <> 0);
COMMENT ON VIEW daily IS 'Counts per local day and place. Distinct counts are never added over rows: each row is a set of its own.';
COMMENT ON COLUMN daily.profile IS 'Profile with its version.';
COMMENT ON COLUMN daily.site IS 'Site.';
COMMENT ON COLUMN daily.place_kind IS 'Site, ap or zone.';
COMMENT ON COLUMN daily.place IS 'Site, address of the access point, or name of the zone.';
COMMENT ON COLUMN daily.day IS 'Local date.';
COMMENT ON COLUMN daily.seen IS 'Distinct clients heard, or with a session.';
COMMENT ON COLUMN daily.entered IS 'Distinct clients with a session; null at places.';
COMMENT ON COLUMN daily.visitors IS 'Distinct clients with a visit, at a place with a stay.';
COMMENT ON COLUMN daily.passersby IS 'Seen less visitors.';
COMMENT ON COLUMN daily.connected IS 'Of visitors, those with an associated observation there during the visit.';
COMMENT ON COLUMN daily.visits IS 'Visits that began, at a place stays.';
COMMENT ON COLUMN daily.exits IS 'Visits that ended, at a place stays.';
COMMENT ON COLUMN daily.dwell_total IS 'Person-seconds of visits within the window.';
COMMENT ON COLUMN daily.dwell_avg IS 'Mean length in seconds of visits that began; null when none did.';
COMMENT ON COLUMN daily.dwell_p50 IS 'Median of their lengths, nearest rank.';
COMMENT ON COLUMN daily.dwell_p90 IS '90th percentile of their lengths, nearest rank.';
COMMENT ON COLUMN daily.bounces IS 'Sessions that began and are no visits; null at places.';
COMMENT ON COLUMN daily.bounce_rate IS 'Bounces of sessions that began; null at places and over 0.';
COMMENT ON COLUMN daily.capture_rate IS 'Visitors of seen; too high where the cloud leaves random addresses out (docs/presence.md).';
COMMENT ON COLUMN daily.entry_ratio IS 'Visitors beside passersby.';
COMMENT ON COLUMN daily.connect_rate IS 'Connected of visitors.';
COMMENT ON COLUMN daily.stay_rate IS 'Visits of sessions that began, 1 - bounce_rate; null at places and over 0.';
COMMENT ON COLUMN daily.return_rate IS 'Returning of the visits that began and of which it is known.';
COMMENT ON COLUMN daily.capture_rate_global IS 'Capture_rate of makers'' addresses alone.';
COMMENT ON COLUMN daily.new_visitors IS 'Visitors whose first visit in the window was new.';
COMMENT ON COLUMN daily.returning_visitors IS 'Visitors whose first visit in the window was returning.';
COMMENT ON COLUMN daily.unknown_visitors IS 'Visitors of whom that cannot be known.';
COMMENT ON COLUMN daily.return_reason IS 'Why return_rate is null: identity_epoch, pseudonyms last for fewer days than are looked back; key_birth, the key is younger than that; no_visits.';
COMMENT ON COLUMN daily.coverage IS 'Minutes with a post of the site, of those up to data_until.';
COMMENT ON COLUMN daily.final IS 'Whether nothing can change it any more.';
COMMENT ON COLUMN daily.data_until IS 'Up to where everything is told.';

CREATE VIEW flow AS
SELECT
    c.profile,
    c.site,
    'ap'::text AS place_kind,
    CASE f.from_kind WHEN 1 THEN lpad(to_hex(f.from_place), 12, '0')::macaddr::text WHEN 3 THEN 'unlocated' ELSE 'outside' END AS from_place,
    CASE f.to_kind WHEN 1 THEN lpad(to_hex(f.to_place), 12, '0')::macaddr::text WHEN 3 THEN 'unlocated' ELSE 'outside' END AS to_place,
    f.hour,
    f.transitions
FROM presence_flow f
JOIN presence_scope c ON c.id = f.scope AND c.is_shown
WHERE f.transitions <> 0;
COMMENT ON VIEW flow IS 'Changes of place within visits, with outside before the first and after the last.';
COMMENT ON COLUMN flow.profile IS 'Profile with its version.';
COMMENT ON COLUMN flow.site IS 'Site.';
COMMENT ON COLUMN flow.place_kind IS 'Ap.';
COMMENT ON COLUMN flow.from_place IS 'Address of the access point left, outside or unlocated.';
COMMENT ON COLUMN flow.to_place IS 'Address of the access point reached, outside or unlocated.';
COMMENT ON COLUMN flow.hour IS 'When the hour begins.';
COMMENT ON COLUMN flow.transitions IS 'How many.';

CREATE VIEW now AS
WITH present AS MATERIALIZED (
    -- Whoever came again is in here with that too, so that the latest session of each is found in here.
    SELECT c.id AS scope, c.site, c.watermark, s.identity, s.connected_at, s.last_since, CASE s.last_kind WHEN 1 THEN s.last_place END AS last_ap,
        row_number() OVER (PARTITION BY c.id, s.client ORDER BY s.ended_at DESC, s.started_at DESC) AS number
    FROM presence_scope c
    -- By itself and between two bounds: the planner would expect a third of all sessions beyond one, and read the whole table.
    CROSS JOIN LATERAL (
        SELECT * FROM presence_session a WHERE a.scope = c.id AND a.ended_at > c.watermark - c.present_s * interval '1 second' AND a.ended_at < 'infinity' OFFSET 0
    ) s
    WHERE c.is_main
)
SELECT
    p.site,
    'site'::text AS place_kind,
    p.site AS place,
    count(*) AS devices,
    count(p.connected_at) AS connected,
    p.watermark AS data_until
FROM present p
WHERE p.number = 1 AND p.identity < 2
GROUP BY p.scope, p.site, p.watermark
UNION ALL
SELECT
    p.site,
    'ap'::text AS place_kind,
    lpad(to_hex(p.last_ap), 12, '0')::macaddr::text AS place,
    count(*) AS devices,
    count(p.connected_at) AS connected,
    p.watermark AS data_until
FROM present p
WHERE p.number = 1 AND p.identity < 2 AND p.last_ap IS NOT NULL
GROUP BY p.scope, p.site, p.watermark, p.last_ap
UNION ALL
SELECT
    p.site,
    'zone'::text AS place_kind,
    z.name AS place,
    count(*) AS devices,
    count(p.connected_at) AS connected,
    p.watermark AS data_until
FROM present p
JOIN presence_member m ON m.scope = p.scope AND m.ap = p.last_ap AND m.since <= p.last_since AND p.last_since < m.until
JOIN presence_zone z ON z.id = m.zone
WHERE p.number = 1 AND p.identity < 2
GROUP BY p.scope, p.site, p.watermark, z.id;
COMMENT ON VIEW now IS 'Who is there, up to data_until: under the first live profile.';
COMMENT ON COLUMN now.site IS 'Site.';
COMMENT ON COLUMN now.place_kind IS 'Site, ap or zone.';
COMMENT ON COLUMN now.place IS 'Site, address of the access point of the last stay, or name of its zone.';
COMMENT ON COLUMN now.devices IS 'Clients whose latest session ended less than present_s before data_until.';
COMMENT ON COLUMN now.connected IS 'Of them, those connected during it.';
COMMENT ON COLUMN now.data_until IS 'Up to where everything is told.';

CREATE VIEW heard AS
SELECT
    r.value AS receiver,
    n.value AS network,
    CASE WHEN h.ap >= 0 THEN lpad(to_hex(h.ap), 12, '0')::macaddr::text END AS ap,
    CASE h.radio WHEN 0 THEN 'wifi' ELSE 'ble' END AS radio,
    h.started_at,
    h.ended_at,
    h.devices,
    h.connected
FROM heard_count h
JOIN dictionary r ON r.id = h.receiver
LEFT JOIN dictionary n ON n.id = h.network;
COMMENT ON VIEW heard IS 'With privacy.mode = anonymous: how many devices were heard in ten minutes. Never added over rows: a device is another one in each.';
COMMENT ON COLUMN heard.receiver IS 'Receiver that took the posts.';
COMMENT ON COLUMN heard.network IS 'Id of the Meraki network; null in v2.';
COMMENT ON COLUMN heard.ap IS 'Address of the access point; null for all of them together.';
COMMENT ON COLUMN heard.radio IS 'wifi or ble.';
COMMENT ON COLUMN heard.started_at IS 'When the ten minutes began.';
COMMENT ON COLUMN heard.ended_at IS 'When they ended.';
COMMENT ON COLUMN heard.devices IS 'Distinct clients that were heard.';
COMMENT ON COLUMN heard.connected IS 'Of them, those that were connected.';

-- What stands still: sites, access points, zones. `history.rs` fills in what begins with a dollar sign; at(..) makes a time of seconds.
CREATE TEMP TABLE made_place AS
SELECT s.n AS scope, a.n AS ap_number, $address + s.n * $addresses + a.n AS ap, (s.n - 1) * $zones + 1 + a.n * $zones / $aps AS zone
FROM made_number s CROSS JOIN made_number a
WHERE s.n BETWEEN 1 AND $sites AND a.n < $aps;

INSERT INTO presence_scope (profile, site, is_shown, is_main, watermark, covered_minute, gap_s, allowed_lateness_s, max_visit_s, present_s, loyalty_days, definition, final_until)
SELECT 'standard@1', 'mall/L_' || n, 1 = 1, 1 = 1, at($until), at($until), 1200, 86400, 43200, 600, 28, 'made', at($until - 90000)
FROM made_number WHERE n BETWEEN 1 AND $sites ORDER BY n;

INSERT INTO presence_zone (name)
SELECT 'zone ' || n FROM made_number WHERE n BETWEEN 1 AND $sites * $zones ORDER BY n;

INSERT INTO presence_member (scope, zone, ap, since, until)
SELECT scope, zone, ap, at(0), at(4102444800) FROM made_place;

INSERT INTO access_point (receiver, ap, name, first_seen, last_seen)
SELECT d.id, p.ap, 'ap ' || p.scope || '-' || p.ap_number, at($from), at($until) FROM dictionary d CROSS JOIN made_place p WHERE d.value = 'mall';

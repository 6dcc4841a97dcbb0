-- The views that people and tools read. Names, columns and meanings are the same in SQLite.

CREATE VIEW observations AS
SELECT
    o.observed_at,
    o.received_at,
    r.value AS receiver,
    n.value AS network,
    lpad(to_hex(s.ap), 12, '0')::macaddr::text AS ap,
    CASE WHEN o.client >> 48 = 0 THEN lpad(to_hex(o.client), 12, '0')::macaddr::text ELSE lpad(to_hex(o.client), 16, '0') END AS client,
    CASE s.radio WHEN 0 THEN 'wifi' ELSE 'ble' END AS radio,
    o.rssi AS rssi_dbm,
    d.value AS ssid,
    o.ssid IS NOT NULL AS associated
FROM observation o
JOIN source s ON s.id = o.source
JOIN dictionary r ON r.id = s.receiver
LEFT JOIN dictionary n ON n.id = s.network
LEFT JOIN dictionary d ON d.id = o.ssid;
COMMENT ON VIEW observations IS 'One access point heard one client at one time with one signal strength. A set: repeats are not stored.';
COMMENT ON COLUMN observations.observed_at IS 'When the client was heard, whole seconds.';
COMMENT ON COLUMN observations.received_at IS 'When the first post that told it had arrived.';
COMMENT ON COLUMN observations.receiver IS 'Receiver that took the post.';
COMMENT ON COLUMN observations.network IS 'Id of the Meraki network; null in v2.';
COMMENT ON COLUMN observations.ap IS 'Address of the access point.';
COMMENT ON COLUMN observations.client IS 'Pseudonym of 16 hexadecimal digits, or the address when clients are kept plain.';
COMMENT ON COLUMN observations.radio IS 'wifi or ble.';
COMMENT ON COLUMN observations.rssi_dbm IS 'Signal strength in dBm, -120 to -1.';
COMMENT ON COLUMN observations.ssid IS 'Network name the client was connected to; null when it was not.';
COMMENT ON COLUMN observations.associated IS 'Whether the client was connected.';

CREATE VIEW locations AS
SELECT
    l.observed_at,
    l.received_at,
    r.value AS receiver,
    n.value AS network,
    CASE WHEN l.client >> 48 = 0 THEN lpad(to_hex(l.client), 12, '0')::macaddr::text ELSE lpad(to_hex(l.client), 16, '0') END AS client,
    CASE s.radio WHEN 0 THEN 'wifi' ELSE 'ble' END AS radio,
    f.value AS floor_plan,
    g.value AS floor_plan_name,
    l.x_m,
    l.y_m,
    l.lat,
    l.lng,
    l.uncertainty_m
FROM location l
JOIN source s ON s.id = l.source
JOIN dictionary r ON r.id = s.receiver
LEFT JOIN dictionary n ON n.id = s.network
LEFT JOIN dictionary f ON f.id = l.floor_plan
LEFT JOIN dictionary g ON g.id = l.floor_plan_name;
COMMENT ON VIEW locations IS 'Where the cloud placed a client at one time. A set: repeats are not stored.';
COMMENT ON COLUMN locations.observed_at IS 'When the client was there, whole seconds.';
COMMENT ON COLUMN locations.received_at IS 'When the first post that told it had arrived.';
COMMENT ON COLUMN locations.receiver IS 'Receiver that took the post.';
COMMENT ON COLUMN locations.network IS 'Id of the Meraki network; null in v2.';
COMMENT ON COLUMN locations.client IS 'Pseudonym of 16 hexadecimal digits, or the address when clients are kept plain.';
COMMENT ON COLUMN locations.radio IS 'wifi or ble.';
COMMENT ON COLUMN locations.floor_plan IS 'Id of the floor plan; null in v2.';
COMMENT ON COLUMN locations.floor_plan_name IS 'Name of the floor plan.';
COMMENT ON COLUMN locations.x_m IS 'Metres to the right of the lower-left corner of the plan.';
COMMENT ON COLUMN locations.y_m IS 'Metres above the lower-left corner of the plan.';
COMMENT ON COLUMN locations.lat IS 'Latitude in degrees, WGS84.';
COMMENT ON COLUMN locations.lng IS 'Longitude in degrees, WGS84.';
COMMENT ON COLUMN locations.uncertainty_m IS 'Radius of uncertainty in metres.';

CREATE VIEW access_points AS
SELECT
    lpad(to_hex(a.ap), 12, '0')::macaddr::text AS ap,
    a.name,
    a.serial,
    a.network,
    r.value AS receiver,
    a.tags,
    a.floor_plan,
    a.x_m,
    a.y_m,
    a.lat,
    a.lng,
    a.first_seen,
    a.last_seen
FROM access_point a
JOIN dictionary r ON r.id = a.receiver;
COMMENT ON VIEW access_points IS 'One row per receiver and access point, with what was told of it last.';
COMMENT ON COLUMN access_points.ap IS 'Its address.';
COMMENT ON COLUMN access_points.name IS 'Its name in the Meraki dashboard.';
COMMENT ON COLUMN access_points.serial IS 'Its serial number.';
COMMENT ON COLUMN access_points.network IS 'Id of its Meraki network.';
COMMENT ON COLUMN access_points.receiver IS 'Receiver that was told of it.';
COMMENT ON COLUMN access_points.tags IS 'Its tags, a JSON array of strings.';
COMMENT ON COLUMN access_points.floor_plan IS 'Id of the floor plan it is on.';
COMMENT ON COLUMN access_points.x_m IS 'Metres to the right of the lower-left corner of the plan.';
COMMENT ON COLUMN access_points.y_m IS 'Metres above the lower-left corner of the plan.';
COMMENT ON COLUMN access_points.lat IS 'Latitude in degrees, WGS84.';
COMMENT ON COLUMN access_points.lng IS 'Longitude in degrees, WGS84.';
COMMENT ON COLUMN access_points.first_seen IS 'Earliest time anything was told of it.';
COMMENT ON COLUMN access_points.last_seen IS 'Latest time anything was told of it.';

CREATE VIEW clients AS
SELECT
    r.value AS receiver,
    CASE WHEN c.client >> 48 = 0 THEN lpad(to_hex(c.client), 12, '0')::macaddr::text ELSE lpad(to_hex(c.client), 16, '0') END AS client,
    CASE c.radio WHEN 0 THEN 'wifi' ELSE 'ble' END AS radio,
    c.manufacturer,
    c.os,
    c.random_address,
    c.group_address,
    c.is_excluded,
    c.first_seen,
    c.last_seen,
    c.ipv4,
    c.ipv6,
    c.hostname,
    c.user_id,
    c.device_name
FROM client c
JOIN dictionary r ON r.id = c.receiver;
COMMENT ON VIEW clients IS 'One row per receiver, client and radio, with what was told of it last.';
COMMENT ON COLUMN clients.receiver IS 'Receiver that was told of it.';
COMMENT ON COLUMN clients.client IS 'Pseudonym of 16 hexadecimal digits, or the address when clients are kept plain.';
COMMENT ON COLUMN clients.radio IS 'wifi or ble.';
COMMENT ON COLUMN clients.manufacturer IS 'Maker, as Meraki names it.';
COMMENT ON COLUMN clients.os IS 'Operating system, as Meraki names it.';
COMMENT ON COLUMN clients.random_address IS 'Whether its address is locally administered; null for Bluetooth.';
COMMENT ON COLUMN clients.group_address IS 'Whether its address is a group address, which no single device has.';
COMMENT ON COLUMN clients.is_excluded IS 'Whether presence.excluded listed its address when it was told of last: it is in no count.';
COMMENT ON COLUMN clients.first_seen IS 'Earliest time it was heard or placed.';
COMMENT ON COLUMN clients.last_seen IS 'Latest time it was heard or placed.';
COMMENT ON COLUMN clients.ipv4 IS 'IPv4 address; null unless privacy.keep lists ip.';
COMMENT ON COLUMN clients.ipv6 IS 'IPv6 address; null unless privacy.keep lists ip.';
COMMENT ON COLUMN clients.hostname IS 'Host name; null unless privacy.keep lists hostname.';
COMMENT ON COLUMN clients.user_id IS 'User who signed in; null unless privacy.keep lists user.';
COMMENT ON COLUMN clients.device_name IS 'Name that a Bluetooth device gives itself; null unless privacy.keep lists device_name.';

CREATE VIEW posts AS
SELECT
    r.value AS receiver,
    n.value AS network,
    lpad(to_hex(s.ap), 12, '0')::macaddr::text AS ap,
    CASE s.radio WHEN 0 THEN 'wifi' ELSE 'ble' END AS radio,
    p.minute,
    sum(p.posts)::bigint AS posts,
    sum(p.observations)::bigint AS observations
FROM post p
JOIN source s ON s.id = p.source
JOIN dictionary r ON r.id = s.receiver
LEFT JOIN dictionary n ON n.id = s.network
GROUP BY r.value, n.value, s.ap, s.radio, p.minute;
COMMENT ON VIEW posts IS 'How much arrived, per source and minute.';
COMMENT ON COLUMN posts.receiver IS 'Receiver that took the posts.';
COMMENT ON COLUMN posts.network IS 'Id of the Meraki network; null in v2.';
COMMENT ON COLUMN posts.ap IS 'Access point that posted, in v2; null in v3.';
COMMENT ON COLUMN posts.radio IS 'wifi or ble.';
COMMENT ON COLUMN posts.minute IS 'Minute of arrival.';
COMMENT ON COLUMN posts.posts IS 'Posts that arrived.';
COMMENT ON COLUMN posts.observations IS 'Observations that they told, repeats and discarded ones too.';

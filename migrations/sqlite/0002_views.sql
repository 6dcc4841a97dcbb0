-- The views that people and tools read. Names, columns and meanings are the same in Postgres.
-- Times are ISO 8601 in UTC, so that they sort and date() reads them; booleans are 0 and 1.

CREATE VIEW observations AS
-- One access point heard one client at one time with one signal strength. A set: repeats are not stored.
SELECT
    strftime('%Y-%m-%dT%H:%M:%SZ', o.observed_at, 'unixepoch') AS observed_at, -- when the client was heard, whole seconds
    strftime('%Y-%m-%dT%H:%M:%S', o.received_at / 1000, 'unixepoch') || printf('.%03dZ', o.received_at % 1000) AS received_at, -- when the first post that told it had arrived
    r.value AS receiver, -- receiver that took the post
    n.value AS network, -- id of the Meraki network; null in v2
    CASE WHEN s.ap IS NOT NULL THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', s.ap >> 40, s.ap >> 32 & 255, s.ap >> 24 & 255, s.ap >> 16 & 255, s.ap >> 8 & 255, s.ap & 255) END AS ap, -- address of the access point
    CASE WHEN o.client >> 48 = 0 THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', o.client >> 40, o.client >> 32 & 255, o.client >> 24 & 255, o.client >> 16 & 255, o.client >> 8 & 255, o.client & 255) ELSE printf('%016x', o.client) END AS client, -- pseudonym of 16 hexadecimal digits, or the address when clients are kept plain
    CASE s.radio WHEN 0 THEN 'wifi' ELSE 'ble' END AS radio, -- wifi or ble
    o.rssi AS rssi_dbm, -- signal strength in dBm, -120 to -1
    d.value AS ssid, -- network name the client was connected to; null when it was not
    o.ssid IS NOT NULL AS associated -- whether the client was connected
FROM observation o
JOIN source s ON s.id = o.source
JOIN dictionary r ON r.id = s.receiver
LEFT JOIN dictionary n ON n.id = s.network
LEFT JOIN dictionary d ON d.id = o.ssid;

CREATE VIEW locations AS
-- Where the cloud placed a client at one time. A set: repeats are not stored.
SELECT
    strftime('%Y-%m-%dT%H:%M:%SZ', l.observed_at, 'unixepoch') AS observed_at, -- when the client was there, whole seconds
    strftime('%Y-%m-%dT%H:%M:%S', l.received_at / 1000, 'unixepoch') || printf('.%03dZ', l.received_at % 1000) AS received_at, -- when the first post that told it had arrived
    r.value AS receiver, -- receiver that took the post
    n.value AS network, -- id of the Meraki network; null in v2
    CASE WHEN l.client >> 48 = 0 THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', l.client >> 40, l.client >> 32 & 255, l.client >> 24 & 255, l.client >> 16 & 255, l.client >> 8 & 255, l.client & 255) ELSE printf('%016x', l.client) END AS client, -- pseudonym of 16 hexadecimal digits, or the address when clients are kept plain
    CASE s.radio WHEN 0 THEN 'wifi' ELSE 'ble' END AS radio, -- wifi or ble
    f.value AS floor_plan, -- id of the floor plan; null in v2
    g.value AS floor_plan_name, -- name of the floor plan
    l.x_m AS x_m, -- metres to the right of the lower-left corner of the plan
    l.y_m AS y_m, -- metres above the lower-left corner of the plan
    l.lat AS lat, -- latitude in degrees, WGS84
    l.lng AS lng, -- longitude in degrees, WGS84
    l.uncertainty_m AS uncertainty_m -- radius of uncertainty in metres
FROM location l
JOIN source s ON s.id = l.source
JOIN dictionary r ON r.id = s.receiver
LEFT JOIN dictionary n ON n.id = s.network
LEFT JOIN dictionary f ON f.id = l.floor_plan
LEFT JOIN dictionary g ON g.id = l.floor_plan_name;

CREATE VIEW access_points AS
-- One row per receiver and access point, with what was told of it last.
SELECT
    printf('%02x:%02x:%02x:%02x:%02x:%02x', a.ap >> 40, a.ap >> 32 & 255, a.ap >> 24 & 255, a.ap >> 16 & 255, a.ap >> 8 & 255, a.ap & 255) AS ap, -- its address
    a.name AS name, -- its name in the Meraki dashboard
    a.serial AS serial, -- its serial number
    a.network AS network, -- id of its Meraki network
    r.value AS receiver, -- receiver that was told of it
    a.tags AS tags, -- its tags, a JSON array of strings
    a.floor_plan AS floor_plan, -- id of the floor plan it is on
    a.x_m AS x_m, -- metres to the right of the lower-left corner of the plan
    a.y_m AS y_m, -- metres above the lower-left corner of the plan
    a.lat AS lat, -- latitude in degrees, WGS84
    a.lng AS lng, -- longitude in degrees, WGS84
    strftime('%Y-%m-%dT%H:%M:%SZ', a.first_seen, 'unixepoch') AS first_seen, -- earliest time anything was told of it
    strftime('%Y-%m-%dT%H:%M:%SZ', a.last_seen, 'unixepoch') AS last_seen -- latest time anything was told of it
FROM access_point a
JOIN dictionary r ON r.id = a.receiver;

CREATE VIEW clients AS
-- One row per receiver, client and radio, with what was told of it last.
SELECT
    r.value AS receiver, -- receiver that was told of it
    CASE WHEN c.client >> 48 = 0 THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', c.client >> 40, c.client >> 32 & 255, c.client >> 24 & 255, c.client >> 16 & 255, c.client >> 8 & 255, c.client & 255) ELSE printf('%016x', c.client) END AS client, -- pseudonym of 16 hexadecimal digits, or the address when clients are kept plain
    CASE c.radio WHEN 0 THEN 'wifi' ELSE 'ble' END AS radio, -- wifi or ble
    c.manufacturer AS manufacturer, -- maker, as Meraki names it
    c.os AS os, -- operating system, as Meraki names it
    c.random_address AS random_address, -- whether its address is locally administered; null for Bluetooth
    c.group_address AS group_address, -- whether its address is a group address, which no single device has
    c.is_excluded AS is_excluded, -- whether presence.excluded listed its address when it was told of last: it is in no count
    strftime('%Y-%m-%dT%H:%M:%SZ', c.first_seen, 'unixepoch') AS first_seen, -- earliest time it was heard or placed
    strftime('%Y-%m-%dT%H:%M:%SZ', c.last_seen, 'unixepoch') AS last_seen, -- latest time it was heard or placed
    c.ipv4 AS ipv4, -- IPv4 address; null unless privacy.keep lists ip
    c.ipv6 AS ipv6, -- IPv6 address; null unless privacy.keep lists ip
    c.hostname AS hostname, -- host name; null unless privacy.keep lists hostname
    c.user_id AS user_id, -- user who signed in; null unless privacy.keep lists user
    c.device_name AS device_name -- name that a Bluetooth device gives itself; null unless privacy.keep lists device_name
FROM client c
JOIN dictionary r ON r.id = c.receiver;

CREATE VIEW posts AS
-- How much arrived, per source and minute.
SELECT
    r.value AS receiver, -- receiver that took the posts
    n.value AS network, -- id of the Meraki network; null in v2
    CASE WHEN s.ap IS NOT NULL THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', s.ap >> 40, s.ap >> 32 & 255, s.ap >> 24 & 255, s.ap >> 16 & 255, s.ap >> 8 & 255, s.ap & 255) END AS ap, -- access point that posted, in v2; null in v3
    CASE s.radio WHEN 0 THEN 'wifi' ELSE 'ble' END AS radio, -- wifi or ble
    strftime('%Y-%m-%dT%H:%M:%SZ', p.minute, 'unixepoch') AS minute, -- minute of arrival
    p.posts AS posts, -- posts that arrived
    p.observations AS observations -- observations that they told, repeats and discarded ones too
FROM post p
JOIN source s ON s.id = p.source
JOIN dictionary r ON r.id = s.receiver
LEFT JOIN dictionary n ON n.id = s.network;

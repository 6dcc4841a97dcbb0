-- The rows of posts, narrow: strings and sources stand once in dictionaries, rows carry their ids.

CREATE TABLE dictionary (
    -- Strings that rows name by id: receivers, networks, SSIDs, floor plans. Only ever added to.
    id INTEGER PRIMARY KEY, -- what rows carry
    value TEXT NOT NULL UNIQUE -- the string
) STRICT;

CREATE TABLE source (
    -- Where rows come from: each distinct receiver, network, access point and radio once. Only ever added to.
    id INTEGER PRIMARY KEY, -- what rows carry
    receiver INTEGER NOT NULL, -- name of the receiver, in dictionary
    network INTEGER, -- id of the Meraki network, in dictionary; null in Scanning API v2, which does not tell it
    ap INTEGER, -- address of the access point as a 48-bit number: who heard, or who posted in v2; null for locations and v3 posts
    radio INTEGER NOT NULL -- 0 Wi-Fi, 1 Bluetooth Low Energy
) STRICT;
CREATE UNIQUE INDEX source_once ON source (receiver, coalesce(network, -1), coalesce(ap, -1), radio);

CREATE TABLE observation (
    -- One row per distinct observation, in the order of arrival; people read the view observations.
    observed_at INTEGER NOT NULL, -- when the access point heard the client, seconds since 1970
    received_at INTEGER NOT NULL, -- when the post that told it first had arrived, milliseconds since 1970
    client INTEGER NOT NULL, -- the client: a 64-bit pseudonym, or its address when the high 16 bits are zero
    source INTEGER NOT NULL, -- receiver, network, access point and radio, in source
    ssid INTEGER, -- network name the client was connected to, in dictionary; null when it was not connected
    rssi INTEGER NOT NULL -- signal strength in dBm, -120 to -1
) STRICT;
CREATE INDEX observation_observed_at ON observation (observed_at);

CREATE TABLE location (
    -- One row per distinct place that the cloud worked out for a client, in the order of arrival; people read the view locations.
    observed_at INTEGER NOT NULL, -- when the client was there, seconds since 1970
    received_at INTEGER NOT NULL, -- when the post that told it first had arrived, milliseconds since 1970
    client INTEGER NOT NULL, -- the client: a 64-bit pseudonym, or its address when the high 16 bits are zero
    source INTEGER NOT NULL, -- receiver, network and radio, in source
    floor_plan INTEGER, -- id of the floor plan, in dictionary
    floor_plan_name INTEGER, -- name of the floor plan, in dictionary
    x_m REAL, -- metres to the right of the lower-left corner of the plan
    y_m REAL, -- metres above the lower-left corner of the plan
    lat REAL, -- latitude in degrees, WGS84
    lng REAL, -- longitude in degrees, WGS84
    uncertainty_m REAL -- radius of uncertainty in metres
) STRICT;
CREATE INDEX location_observed_at ON location (observed_at);

CREATE TABLE post (
    -- How much arrived per source and minute; people read the view posts.
    minute INTEGER NOT NULL, -- minute of arrival, seconds since 1970
    source INTEGER NOT NULL, -- receiver, network, posting access point (v2) and radio, in source
    posts INTEGER NOT NULL, -- posts that arrived
    observations INTEGER NOT NULL, -- observations that they told, repeats and discarded ones too
    PRIMARY KEY (minute, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE access_point (
    -- What is known of each access point; of several values the one true latest stands. People read the view access_points.
    receiver INTEGER NOT NULL, -- name of the receiver, in dictionary
    ap INTEGER NOT NULL, -- its address as a 48-bit number
    network TEXT, -- id of its Meraki network
    network_at INTEGER, -- as of when network was told, seconds since 1970
    name TEXT, -- its name in the Meraki dashboard
    name_at INTEGER, -- as of when name was told, seconds since 1970
    serial TEXT, -- its serial number
    serial_at INTEGER, -- as of when serial was told, seconds since 1970
    tags TEXT CHECK (json_valid(tags)), -- its tags, a JSON array of strings
    tags_at INTEGER, -- as of when tags was told, seconds since 1970
    floor_plan TEXT, -- id of the floor plan it is on
    floor_plan_at INTEGER, -- as of when floor_plan was told, seconds since 1970
    x_m REAL, -- metres to the right of the lower-left corner of the plan
    y_m REAL, -- metres above the lower-left corner of the plan
    on_plan_at INTEGER, -- as of when x_m and y_m were told, seconds since 1970
    lat REAL, -- latitude in degrees, WGS84
    lng REAL, -- longitude in degrees, WGS84
    on_earth_at INTEGER, -- as of when lat and lng were told, seconds since 1970
    first_seen INTEGER NOT NULL, -- earliest time anything was told of it, seconds since 1970
    last_seen INTEGER NOT NULL, -- latest time anything was told of it, seconds since 1970
    PRIMARY KEY (receiver, ap)
) STRICT, WITHOUT ROWID;

CREATE TABLE client (
    -- What is known of each client; of several values the one true latest stands. People read the view clients.
    receiver INTEGER NOT NULL, -- name of the receiver, in dictionary
    client INTEGER NOT NULL, -- the client: a 64-bit pseudonym, or its address when the high 16 bits are zero
    radio INTEGER NOT NULL, -- 0 Wi-Fi, 1 Bluetooth Low Energy
    random_address INTEGER, -- 1 when its address is locally administered, else 0; null for Bluetooth
    group_address INTEGER NOT NULL, -- 1 when its address is a group address, which no single device has, else 0
    is_excluded INTEGER NOT NULL, -- 1 when presence.excluded listed its address when it was told of last: it is in no count; else 0
    manufacturer TEXT, -- maker, as Meraki names it
    manufacturer_at INTEGER, -- as of when manufacturer was told, seconds since 1970
    os TEXT, -- operating system, as Meraki names it
    os_at INTEGER, -- as of when os was told, seconds since 1970
    ipv4 TEXT, -- IPv4 address; null unless privacy.keep lists ip
    ipv4_at INTEGER, -- as of when ipv4 was told, seconds since 1970
    ipv6 TEXT, -- IPv6 address; null unless privacy.keep lists ip
    ipv6_at INTEGER, -- as of when ipv6 was told, seconds since 1970
    hostname TEXT, -- host name; null unless privacy.keep lists hostname
    hostname_at INTEGER, -- as of when hostname was told, seconds since 1970
    user_id TEXT, -- user who signed in; null unless privacy.keep lists user
    user_id_at INTEGER, -- as of when user_id was told, seconds since 1970
    device_name TEXT, -- name that a Bluetooth device gives itself; null unless privacy.keep lists device_name
    device_name_at INTEGER, -- as of when device_name was told, seconds since 1970
    first_seen INTEGER NOT NULL, -- earliest time it was heard or placed, seconds since 1970
    last_seen INTEGER NOT NULL, -- latest time it was heard or placed, seconds since 1970
    PRIMARY KEY (receiver, client, radio)
) STRICT, WITHOUT ROWID;

CREATE TABLE journal_cursor (
    -- How far each journal has been applied; moved in the transaction that writes the rows, so each record is applied once.
    journal TEXT PRIMARY KEY, -- name of the journal, made with its data directory
    epoch INTEGER NOT NULL, -- raised by each process that takes the journal over; an older epoch moves nothing
    position INTEGER NOT NULL, -- the next record to apply
    turn INTEGER NOT NULL DEFAULT 0, -- how many transactions have moved it
    newest_received_at INTEGER, -- latest received_at of an observation or location that came from it, milliseconds since 1970
    unpublished_since INTEGER, -- observations from it on are not in the rows of presence yet, seconds since 1970; null when all are
    updated_at TEXT NOT NULL -- when the cursor moved last, by the clock of the database
) STRICT, WITHOUT ROWID;

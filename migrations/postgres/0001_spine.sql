-- The rows of posts, narrow: strings and sources stand once in dictionaries, rows carry their ids.
-- observation, location and post are partitioned by the UTC day of arrival; the writer makes the days' partitions.

CREATE TABLE dictionary (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    value text NOT NULL
);
COMMENT ON TABLE dictionary IS 'Strings that rows name by id: receivers, networks, SSIDs, floor plans. Only ever added to.';
COMMENT ON COLUMN dictionary.id IS 'What rows carry.';
COMMENT ON COLUMN dictionary.hash IS 'First 16 bytes of the BLAKE3 hash of value: a B-tree over value itself would refuse long strings.';
COMMENT ON COLUMN dictionary.value IS 'The string.';

CREATE TABLE source (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receiver integer NOT NULL,
    network integer,
    ap bigint,
    radio smallint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (receiver, network, ap, radio)
);
COMMENT ON TABLE source IS 'Where rows come from: each distinct receiver, network, access point and radio once. Only ever added to.';
COMMENT ON COLUMN source.id IS 'What rows carry.';
COMMENT ON COLUMN source.receiver IS 'Name of the receiver, in dictionary.';
COMMENT ON COLUMN source.network IS 'Id of the Meraki network, in dictionary; null in Scanning API v2, which does not tell it.';
COMMENT ON COLUMN source.ap IS 'Address of the access point as a 48-bit number: who heard, or who posted in v2; null for locations and v3 posts.';
COMMENT ON COLUMN source.radio IS '0 Wi-Fi, 1 Bluetooth Low Energy.';

CREATE TABLE observation (
    observed_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    client bigint NOT NULL,
    source integer NOT NULL,
    ssid integer,
    rssi smallint NOT NULL
) PARTITION BY RANGE (received_at);
CREATE INDEX observation_observed_at ON observation USING brin (observed_at) WITH (autosummarize = on);
CREATE TABLE observation_default PARTITION OF observation DEFAULT;
COMMENT ON TABLE observation IS 'One row per distinct observation, partitioned by the UTC day of arrival; people read the view observations.';
COMMENT ON COLUMN observation.observed_at IS 'When the access point heard the client, whole seconds.';
COMMENT ON COLUMN observation.received_at IS 'When the post that told it first had arrived, milliseconds.';
COMMENT ON COLUMN observation.client IS 'The client: a 64-bit pseudonym, or its address when the high 16 bits are zero.';
COMMENT ON COLUMN observation.source IS 'Receiver, network, access point and radio, in source.';
COMMENT ON COLUMN observation.ssid IS 'Network name the client was connected to, in dictionary; null when it was not connected.';
COMMENT ON COLUMN observation.rssi IS 'Signal strength in dBm, -120 to -1.';

CREATE TABLE location (
    observed_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    client bigint NOT NULL,
    source integer NOT NULL,
    floor_plan integer,
    floor_plan_name integer,
    x_m float8,
    y_m float8,
    lat float8,
    lng float8,
    uncertainty_m float8
) PARTITION BY RANGE (received_at);
CREATE INDEX location_observed_at ON location USING brin (observed_at) WITH (autosummarize = on);
CREATE TABLE location_default PARTITION OF location DEFAULT;
COMMENT ON TABLE location IS 'One row per distinct place that the cloud worked out for a client, partitioned by the UTC day of arrival; people read the view locations.';
COMMENT ON COLUMN location.observed_at IS 'When the client was there, whole seconds.';
COMMENT ON COLUMN location.received_at IS 'When the post that told it first had arrived, milliseconds.';
COMMENT ON COLUMN location.client IS 'The client: a 64-bit pseudonym, or its address when the high 16 bits are zero.';
COMMENT ON COLUMN location.source IS 'Receiver, network and radio, in source.';
COMMENT ON COLUMN location.floor_plan IS 'Id of the floor plan, in dictionary.';
COMMENT ON COLUMN location.floor_plan_name IS 'Name of the floor plan, in dictionary.';
COMMENT ON COLUMN location.x_m IS 'Metres to the right of the lower-left corner of the plan.';
COMMENT ON COLUMN location.y_m IS 'Metres above the lower-left corner of the plan.';
COMMENT ON COLUMN location.lat IS 'Latitude in degrees, WGS84.';
COMMENT ON COLUMN location.lng IS 'Longitude in degrees, WGS84.';
COMMENT ON COLUMN location.uncertainty_m IS 'Radius of uncertainty in metres.';

CREATE TABLE post (
    minute timestamptz NOT NULL,
    source integer NOT NULL,
    posts bigint NOT NULL,
    observations bigint NOT NULL
) PARTITION BY RANGE (minute);
CREATE TABLE post_default PARTITION OF post DEFAULT;
CREATE INDEX post_minute ON post USING brin (minute);
COMMENT ON TABLE post IS 'How much arrived per source and minute, a row for each transaction that tells of it, partitioned by UTC day; people read the view posts, which adds up.';
COMMENT ON COLUMN post.minute IS 'Minute of arrival.';
COMMENT ON COLUMN post.source IS 'Receiver, network, posting access point (v2) and radio, in source.';
COMMENT ON COLUMN post.posts IS 'Posts that arrived, of those that this row counts.';
COMMENT ON COLUMN post.observations IS 'Observations that they told, repeats and discarded ones too.';

CREATE TABLE access_point (
    receiver integer NOT NULL,
    ap bigint NOT NULL,
    network text,
    network_at timestamptz,
    name text,
    name_at timestamptz,
    serial text,
    serial_at timestamptz,
    tags json,
    tags_at timestamptz,
    floor_plan text,
    floor_plan_at timestamptz,
    x_m float8,
    y_m float8,
    on_plan_at timestamptz,
    lat float8,
    lng float8,
    on_earth_at timestamptz,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (receiver, ap)
) WITH (fillfactor = 80);
COMMENT ON TABLE access_point IS 'What is known of each access point; of several values the one true latest stands. People read the view access_points.';
COMMENT ON COLUMN access_point.receiver IS 'Name of the receiver, in dictionary.';
COMMENT ON COLUMN access_point.ap IS 'Its address as a 48-bit number.';
COMMENT ON COLUMN access_point.network IS 'Id of its Meraki network.';
COMMENT ON COLUMN access_point.network_at IS 'As of when network was told.';
COMMENT ON COLUMN access_point.name IS 'Its name in the Meraki dashboard.';
COMMENT ON COLUMN access_point.name_at IS 'As of when name was told.';
COMMENT ON COLUMN access_point.serial IS 'Its serial number.';
COMMENT ON COLUMN access_point.serial_at IS 'As of when serial was told.';
COMMENT ON COLUMN access_point.tags IS 'Its tags, a JSON array of strings.';
COMMENT ON COLUMN access_point.tags_at IS 'As of when tags was told.';
COMMENT ON COLUMN access_point.floor_plan IS 'Id of the floor plan it is on.';
COMMENT ON COLUMN access_point.floor_plan_at IS 'As of when floor_plan was told.';
COMMENT ON COLUMN access_point.x_m IS 'Metres to the right of the lower-left corner of the plan.';
COMMENT ON COLUMN access_point.y_m IS 'Metres above the lower-left corner of the plan.';
COMMENT ON COLUMN access_point.on_plan_at IS 'As of when x_m and y_m were told.';
COMMENT ON COLUMN access_point.lat IS 'Latitude in degrees, WGS84.';
COMMENT ON COLUMN access_point.lng IS 'Longitude in degrees, WGS84.';
COMMENT ON COLUMN access_point.on_earth_at IS 'As of when lat and lng were told.';
COMMENT ON COLUMN access_point.first_seen IS 'Earliest time anything was told of it.';
COMMENT ON COLUMN access_point.last_seen IS 'Latest time anything was told of it.';

CREATE TABLE client (
    receiver integer NOT NULL,
    client bigint NOT NULL,
    radio smallint NOT NULL,
    random_address boolean,
    group_address boolean NOT NULL,
    is_excluded boolean NOT NULL,
    manufacturer text,
    manufacturer_at timestamptz,
    os text,
    os_at timestamptz,
    ipv4 text,
    ipv4_at timestamptz,
    ipv6 text,
    ipv6_at timestamptz,
    hostname text,
    hostname_at timestamptz,
    user_id text,
    user_id_at timestamptz,
    device_name text,
    device_name_at timestamptz,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (receiver, client, radio)
) WITH (fillfactor = 80);
COMMENT ON TABLE client IS 'What is known of each client; of several values the one true latest stands. People read the view clients.';
COMMENT ON COLUMN client.receiver IS 'Name of the receiver, in dictionary.';
COMMENT ON COLUMN client.client IS 'The client: a 64-bit pseudonym, or its address when the high 16 bits are zero.';
COMMENT ON COLUMN client.radio IS '0 Wi-Fi, 1 Bluetooth Low Energy.';
COMMENT ON COLUMN client.random_address IS 'Whether its address is locally administered; null for Bluetooth.';
COMMENT ON COLUMN client.group_address IS 'Whether its address is a group address, which no single device has.';
COMMENT ON COLUMN client.is_excluded IS 'Whether presence.excluded listed its address when it was told of last: it is in no count.';
COMMENT ON COLUMN client.manufacturer IS 'Maker, as Meraki names it.';
COMMENT ON COLUMN client.manufacturer_at IS 'As of when manufacturer was told.';
COMMENT ON COLUMN client.os IS 'Operating system, as Meraki names it.';
COMMENT ON COLUMN client.os_at IS 'As of when os was told.';
COMMENT ON COLUMN client.ipv4 IS 'IPv4 address; null unless privacy.keep lists ip.';
COMMENT ON COLUMN client.ipv4_at IS 'As of when ipv4 was told.';
COMMENT ON COLUMN client.ipv6 IS 'IPv6 address; null unless privacy.keep lists ip.';
COMMENT ON COLUMN client.ipv6_at IS 'As of when ipv6 was told.';
COMMENT ON COLUMN client.hostname IS 'Host name; null unless privacy.keep lists hostname.';
COMMENT ON COLUMN client.hostname_at IS 'As of when hostname was told.';
COMMENT ON COLUMN client.user_id IS 'User who signed in; null unless privacy.keep lists user.';
COMMENT ON COLUMN client.user_id_at IS 'As of when user_id was told.';
COMMENT ON COLUMN client.device_name IS 'Name that a Bluetooth device gives itself; null unless privacy.keep lists device_name.';
COMMENT ON COLUMN client.device_name_at IS 'As of when device_name was told.';
COMMENT ON COLUMN client.first_seen IS 'Earliest time it was heard or placed.';
COMMENT ON COLUMN client.last_seen IS 'Latest time it was heard or placed.';

CREATE TABLE journal_cursor (
    journal uuid PRIMARY KEY,
    epoch bigint NOT NULL,
    position bigint NOT NULL,
    turn bigint NOT NULL DEFAULT 0,
    newest_received_at timestamptz,
    unpublished_since timestamptz,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE journal_cursor IS 'How far each journal has been applied; moved in the transaction that writes the rows, so each record is applied once.';
COMMENT ON COLUMN journal_cursor.journal IS 'Name of the journal, made with its data directory.';
COMMENT ON COLUMN journal_cursor.epoch IS 'Raised by each process that takes the journal over; an older epoch moves nothing.';
COMMENT ON COLUMN journal_cursor.position IS 'The next record to apply.';
COMMENT ON COLUMN journal_cursor.turn IS 'How many transactions have moved it.';
COMMENT ON COLUMN journal_cursor.newest_received_at IS 'Latest received_at of an observation or location that came from it.';
COMMENT ON COLUMN journal_cursor.unpublished_since IS 'Observations from it on are not in the rows of presence yet; null when all are.';
COMMENT ON COLUMN journal_cursor.updated_at IS 'When the cursor moved last, by the clock of the database.';

-- Presence: what the observations mean. Every number is a sum over clients of a function of that client's observations (docs/sql.md).
-- Times are seconds since 1970.

CREATE TABLE presence_scope (
    -- One profile at one site: what its rows were made by, and how far they have come.
    id INTEGER PRIMARY KEY, -- what rows carry
    profile TEXT NOT NULL, -- name and version of the profile
    site TEXT NOT NULL, -- name of the site
    is_shown INTEGER NOT NULL, -- whether the views show it; not while it is being recomputed
    is_main INTEGER NOT NULL, -- whether it is the first live profile, which the view now shows
    watermark INTEGER NOT NULL, -- everything before it is told, but for what comes late
    covered_minute INTEGER NOT NULL, -- latest minute in which something arrived
    gap_s INTEGER NOT NULL, -- longest silence within a session, in seconds
    allowed_lateness_s INTEGER NOT NULL, -- how late an observation may come, in seconds
    max_visit_s INTEGER NOT NULL, -- longest visit, in seconds
    present_s INTEGER NOT NULL, -- how old the end of a session may be in the view now, in seconds
    loyalty_days INTEGER NOT NULL, -- how many days back a client is looked for to tell whether it returns
    lasts_days INTEGER, -- for how many days a client keeps its pseudonym; null when for good
    definition TEXT NOT NULL, -- hash of all that the rows depend on beside the observations
    final_until INTEGER, -- windows that end before it cannot change any more; null when none is known to be so
    ended_until INTEGER, -- the keys of all epochs before it are destroyed, so that nothing of then can come any more; null when there were none
    UNIQUE (profile, site)
) STRICT;

CREATE TABLE presence_zone (
    -- Names of zones.
    id INTEGER PRIMARY KEY, -- what rows carry
    name TEXT NOT NULL, -- name of the zone
    UNIQUE (name)
) STRICT;

CREATE TABLE presence_session (
    -- Visits and bounces; people read the view visits. Fixtures have no row.
    scope INTEGER NOT NULL, -- profile and site, in presence_scope
    started_at INTEGER NOT NULL, -- first entering observation
    client INTEGER NOT NULL, -- the client: a 64-bit pseudonym, or its address when the high 16 bits are zero; a number of the visit alone when they are 1, once the key of its epoch is destroyed
    visit_high INTEGER NOT NULL, -- first half of the visit's id
    visit_low INTEGER NOT NULL, -- second half of the visit's id
    ended_at INTEGER NOT NULL, -- last qualifying observation
    minutes INTEGER NOT NULL, -- distinct minutes with a qualifying observation
    is_visit INTEGER NOT NULL, -- visit, or else bounce
    identity INTEGER NOT NULL, -- 0 global, 1 local_assoc, 2 local_unassoc, which no count counts
    connected_at INTEGER, -- first associated observation; null when there is none
    is_returning INTEGER, -- whether the client visited on an earlier day; null where that cannot be known
    cut INTEGER NOT NULL, -- ends that a change of pseudonym keys cut: 1 the start, 2 the end, 3 both
    last_kind INTEGER NOT NULL, -- kind of the place where it ended, as in place_kind
    last_place INTEGER NOT NULL, -- place where it ended
    last_since INTEGER NOT NULL, -- since when it was there
    rev INTEGER NOT NULL DEFAULT 1, -- how often the row was written
    PRIMARY KEY (scope, started_at, client)
) STRICT, WITHOUT ROWID;
CREATE INDEX presence_session_ended ON presence_session (scope, ended_at);
-- As the views show it, so that a condition on the text finds the rows of each scope.
CREATE INDEX presence_session_text ON presence_session (scope, strftime('%Y-%m-%dT%H:%M:%SZ', started_at, 'unixepoch')) WHERE is_visit;

CREATE TABLE presence_stay (
    -- Where visits were; people read the view stays.
    scope INTEGER NOT NULL, -- profile and site, in presence_scope
    visit_started_at INTEGER NOT NULL, -- start of the visit, in presence_session
    client INTEGER NOT NULL, -- the client, in presence_session
    in_zones INTEGER NOT NULL, -- whether the stay is in a zone
    number INTEGER NOT NULL, -- its number among the visit's stays at access points, or in zones
    place_kind INTEGER NOT NULL, -- 0 the site, 1 an access point, 2 a zone, 3 unlocated, 4 outside
    place INTEGER NOT NULL, -- address of the access point as a 48-bit number, or id of the zone in presence_zone; 0 for the others
    started_at INTEGER NOT NULL, -- when it began
    ended_at INTEGER NOT NULL, -- when it ended
    is_measured INTEGER NOT NULL, -- whether its length stands in averages: counted, and not cut by a change of keys
    PRIMARY KEY (scope, visit_started_at, client, in_zones, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX presence_stay_place ON presence_stay (scope, place_kind, place, started_at);
-- As the views show it, so that a condition on the text finds the rows of each scope.
CREATE INDEX presence_stay_text ON presence_stay (scope, strftime('%Y-%m-%dT%H:%M:%SZ', started_at, 'unixepoch'));

CREATE TABLE presence_count (
    -- Counts of each place in each hour and day: sums over clients. People read the views hourly and daily.
    scope INTEGER NOT NULL, -- profile and site, in presence_scope
    level INTEGER NOT NULL, -- 0 an hour, 1 a day
    start_at INTEGER NOT NULL, -- when the window begins
    place_kind INTEGER NOT NULL, -- 0 the site, 1 an access point, 2 a zone, 3 unlocated, 4 outside
    place INTEGER NOT NULL, -- address of the access point as a 48-bit number, or id of the zone in presence_zone; 0 for the others
    day INTEGER NOT NULL, -- local date that it belongs to, days since 1970-01-01
    opens_at INTEGER NOT NULL, -- what is counted begins here: the window's beginning, or when the site opens
    closes_at INTEGER NOT NULL, -- and ends here
    seen INTEGER NOT NULL, -- distinct clients heard, or with a session
    seen_global INTEGER NOT NULL, -- of seen, those with a maker's address
    entered INTEGER NOT NULL, -- distinct clients with a session; 0 at places
    visitors INTEGER NOT NULL, -- distinct clients with a visit, at a place with a stay
    visitors_global INTEGER NOT NULL, -- of visitors, those with a maker's address
    connected INTEGER NOT NULL, -- of visitors, those with an associated observation there during the visit
    visits INTEGER NOT NULL, -- visits that began, at a place stays
    exits INTEGER NOT NULL, -- visits that ended, at a place stays
    bounces INTEGER NOT NULL, -- sessions that began and are no visits; 0 at places
    dwell_total INTEGER NOT NULL, -- person-seconds of visits within the window
    measured INTEGER NOT NULL, -- visits that began and whose length stands in averages
    measured_s INTEGER NOT NULL, -- the sum of their lengths, in seconds
    known INTEGER NOT NULL, -- visits that began and of which is known whether the client returned
    returning_visits INTEGER NOT NULL, -- of them, those of clients that returned
    new_visitors INTEGER NOT NULL, -- visitors whose first visit here was their first in the loyalty days
    returning_visitors INTEGER NOT NULL, -- visitors whose first visit here was not
    unknown_visitors INTEGER NOT NULL, -- visitors of whom that cannot be known
    dwell_p50 INTEGER, -- median length of the visits measured, in seconds; as of when is_stale was false
    dwell_p90 INTEGER, -- 90th percentile likewise
    is_stale INTEGER NOT NULL DEFAULT 1, -- whether lengths may have changed since dwell_p50 and dwell_p90 were worked out
    PRIMARY KEY (scope, level, start_at, place_kind, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX presence_count_stale ON presence_count (scope) WHERE is_stale;
-- As the views show it, so that a condition on the text finds the rows of each scope.
CREATE INDEX presence_count_hour ON presence_count (scope, strftime('%Y-%m-%dT%H:%M:%SZ', start_at, 'unixepoch')) WHERE level = 0;
-- As the views show it, so that a condition on the text finds its rows.
CREATE INDEX presence_count_day ON presence_count (date(day * 86400, 'unixepoch')) WHERE level = 1;

CREATE TABLE presence_occupancy (
    -- Devices at each place at each full minute; people read the view occupancy.
    scope INTEGER NOT NULL, -- profile and site, in presence_scope
    minute INTEGER NOT NULL, -- the minute's first instant
    place_kind INTEGER NOT NULL, -- 0 the site, 1 an access point, 2 a zone, 3 unlocated, 4 outside
    place INTEGER NOT NULL, -- address of the access point as a 48-bit number, or id of the zone in presence_zone; 0 for the others
    devices INTEGER NOT NULL, -- visits, or stays, that cover the instant
    connected INTEGER NOT NULL, -- of them, those connected by then
    PRIMARY KEY (scope, minute, place_kind, place)
) STRICT, WITHOUT ROWID;
-- As the views show it, so that a condition on the text finds the rows of each scope.
CREATE INDEX presence_occupancy_text ON presence_occupancy (scope, strftime('%Y-%m-%dT%H:%M:%SZ', minute, 'unixepoch'));

CREATE TABLE presence_flow (
    -- Changes of place within visits, per hour; people read the view flow.
    scope INTEGER NOT NULL, -- profile and site, in presence_scope
    hour INTEGER NOT NULL, -- when the hour begins
    from_kind INTEGER NOT NULL, -- kind of the place left, as in place_kind
    from_place INTEGER NOT NULL, -- place left
    to_kind INTEGER NOT NULL, -- kind of the place reached, as in place_kind
    to_place INTEGER NOT NULL, -- place reached
    transitions INTEGER NOT NULL, -- how many
    PRIMARY KEY (scope, hour, from_kind, from_place, to_kind, to_place)
) STRICT, WITHOUT ROWID;
-- As the views show it, so that a condition on the text finds the rows of each scope.
CREATE INDEX presence_flow_text ON presence_flow (scope, strftime('%Y-%m-%dT%H:%M:%SZ', hour, 'unixepoch'));

CREATE TABLE presence_covered (
    -- Minutes of each hour and day in which a post of the site arrived.
    scope INTEGER NOT NULL, -- profile and site, in presence_scope
    level INTEGER NOT NULL, -- 0 an hour, 1 a day
    start_at INTEGER NOT NULL, -- when the window begins
    minutes INTEGER NOT NULL, -- how many
    PRIMARY KEY (scope, level, start_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE presence_member (
    -- Which access points belong to which zones, and when.
    scope INTEGER NOT NULL, -- profile and site, in presence_scope
    zone INTEGER NOT NULL, -- zone, in presence_zone
    ap INTEGER NOT NULL, -- address of the access point as a 48-bit number
    since INTEGER NOT NULL, -- from then on
    until INTEGER NOT NULL, -- up to, not including, then
    PRIMARY KEY (scope, zone, ap, since)
) STRICT, WITHOUT ROWID;

CREATE TABLE presence_recompute (
    -- How far footfall recompute has come, for each profile that it works on.
    profile TEXT NOT NULL, -- name and version of the profile
    from_day TEXT NOT NULL, -- first local day of the rows that are made anew
    made_by TEXT NOT NULL, -- hash of what the new rows are made by
    committed_ms INTEGER NOT NULL, -- latest arrival that the store had when it began, milliseconds since 1970
    reached INTEGER, -- observations before it are in the new rows; null when none are
    PRIMARY KEY (profile)
) STRICT, WITHOUT ROWID;

CREATE TABLE presence_record (
    -- What is known of each client, packed: what its rows are worked out from.
    scope INTEGER NOT NULL, -- profile and site, in presence_scope
    client INTEGER NOT NULL, -- the client: a 64-bit pseudonym, or its address when the high 16 bits are zero
    last_at INTEGER NOT NULL, -- when it was observed last
    body BLOB NOT NULL, -- minutes and access points, as the engine packs them
    PRIMARY KEY (scope, client)
) STRICT, WITHOUT ROWID;
CREATE INDEX presence_record_last ON presence_record (last_at);

CREATE TABLE heard_count (
    -- What is kept of an epoch with privacy.mode = anonymous; people read the view heard.
    started_at INTEGER NOT NULL, -- when the epoch began
    ended_at INTEGER NOT NULL, -- when it ended
    receiver INTEGER NOT NULL, -- name of the receiver, in dictionary
    network INTEGER NOT NULL, -- id of the Meraki network, in dictionary; 0 in Scanning API v2, which does not tell it
    ap INTEGER NOT NULL, -- address of the access point as a 48-bit number; -1 for all of them together
    radio INTEGER NOT NULL, -- 0 Wi-Fi, 1 Bluetooth Low Energy
    devices INTEGER NOT NULL, -- distinct clients that were heard in the epoch
    connected INTEGER NOT NULL, -- of them, those that were connected
    PRIMARY KEY (started_at, receiver, network, ap, radio)
) STRICT, WITHOUT ROWID;

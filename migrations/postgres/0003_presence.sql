-- Presence: what the observations mean. Every number is a sum over clients of a function of that client's observations (docs/sql.md).

CREATE TABLE presence_scope (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    profile text NOT NULL,
    site text NOT NULL,
    is_shown boolean NOT NULL,
    is_main boolean NOT NULL,
    watermark timestamptz NOT NULL,
    covered_minute timestamptz NOT NULL,
    gap_s integer NOT NULL,
    allowed_lateness_s integer NOT NULL,
    max_visit_s integer NOT NULL,
    present_s integer NOT NULL,
    loyalty_days integer NOT NULL,
    lasts_days integer,
    definition text NOT NULL,
    final_until timestamptz,
    ended_until timestamptz,
    UNIQUE (profile, site)
);
COMMENT ON TABLE presence_scope IS 'One profile at one site: what its rows were made by, and how far they have come.';
COMMENT ON COLUMN presence_scope.id IS 'What rows carry.';
COMMENT ON COLUMN presence_scope.profile IS 'Name and version of the profile.';
COMMENT ON COLUMN presence_scope.site IS 'Name of the site.';
COMMENT ON COLUMN presence_scope.is_shown IS 'Whether the views show it; not while it is being recomputed.';
COMMENT ON COLUMN presence_scope.is_main IS 'Whether it is the first live profile, which the view now shows.';
COMMENT ON COLUMN presence_scope.watermark IS 'Everything before it is told, but for what comes late.';
COMMENT ON COLUMN presence_scope.covered_minute IS 'Latest minute in which something arrived.';
COMMENT ON COLUMN presence_scope.gap_s IS 'Longest silence within a session, in seconds.';
COMMENT ON COLUMN presence_scope.allowed_lateness_s IS 'How late an observation may come, in seconds.';
COMMENT ON COLUMN presence_scope.max_visit_s IS 'Longest visit, in seconds.';
COMMENT ON COLUMN presence_scope.present_s IS 'How old the end of a session may be in the view now, in seconds.';
COMMENT ON COLUMN presence_scope.loyalty_days IS 'How many days back a client is looked for to tell whether it returns.';
COMMENT ON COLUMN presence_scope.lasts_days IS 'For how many days a client keeps its pseudonym; null when for good.';
COMMENT ON COLUMN presence_scope.definition IS 'Hash of all that the rows depend on beside the observations.';
COMMENT ON COLUMN presence_scope.final_until IS 'Windows that end before it cannot change any more; null when none is known to be so.';
COMMENT ON COLUMN presence_scope.ended_until IS 'The keys of all epochs before it are destroyed, so that nothing of then can come any more; null when there were none.';

CREATE TABLE presence_zone (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    UNIQUE (name)
);
COMMENT ON TABLE presence_zone IS 'Names of zones.';
COMMENT ON COLUMN presence_zone.id IS 'What rows carry.';
COMMENT ON COLUMN presence_zone.name IS 'Name of the zone.';

CREATE TABLE presence_session (
    scope integer NOT NULL,
    started_at timestamptz NOT NULL,
    client bigint NOT NULL,
    visit_high bigint NOT NULL,
    visit_low bigint NOT NULL,
    ended_at timestamptz NOT NULL,
    minutes integer NOT NULL,
    is_visit boolean NOT NULL,
    identity smallint NOT NULL,
    connected_at timestamptz,
    is_returning boolean,
    cut smallint NOT NULL,
    last_kind smallint NOT NULL,
    last_place bigint NOT NULL,
    last_since timestamptz NOT NULL,
    rev integer NOT NULL DEFAULT 1,
    PRIMARY KEY (scope, started_at, client)
);
COMMENT ON TABLE presence_session IS 'Visits and bounces; people read the view visits. Fixtures have no row.';
COMMENT ON COLUMN presence_session.scope IS 'Profile and site, in presence_scope.';
COMMENT ON COLUMN presence_session.started_at IS 'First entering observation.';
COMMENT ON COLUMN presence_session.client IS 'The client: a 64-bit pseudonym, or its address when the high 16 bits are zero; a number of the visit alone when they are 1, once the key of its epoch is destroyed.';
COMMENT ON COLUMN presence_session.visit_high IS 'First half of the visit''s id.';
COMMENT ON COLUMN presence_session.visit_low IS 'Second half of the visit''s id.';
COMMENT ON COLUMN presence_session.ended_at IS 'Last qualifying observation.';
COMMENT ON COLUMN presence_session.minutes IS 'Distinct minutes with a qualifying observation.';
COMMENT ON COLUMN presence_session.is_visit IS 'Visit, or else bounce.';
COMMENT ON COLUMN presence_session.identity IS '0 global, 1 local_assoc, 2 local_unassoc, which no count counts.';
COMMENT ON COLUMN presence_session.connected_at IS 'First associated observation; null when there is none.';
COMMENT ON COLUMN presence_session.is_returning IS 'Whether the client visited on an earlier day; null where that cannot be known.';
COMMENT ON COLUMN presence_session.cut IS 'Ends that a change of pseudonym keys cut: 1 the start, 2 the end, 3 both.';
COMMENT ON COLUMN presence_session.last_kind IS 'Kind of the place where it ended, as in place_kind.';
COMMENT ON COLUMN presence_session.last_place IS 'Place where it ended.';
COMMENT ON COLUMN presence_session.last_since IS 'Since when it was there.';
COMMENT ON COLUMN presence_session.rev IS 'How often the row was written.';
CREATE INDEX presence_session_ended ON presence_session (scope, ended_at);

CREATE TABLE presence_stay (
    scope integer NOT NULL,
    visit_started_at timestamptz NOT NULL,
    client bigint NOT NULL,
    in_zones boolean NOT NULL,
    number integer NOT NULL,
    place_kind smallint NOT NULL,
    place bigint NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    is_measured boolean NOT NULL,
    PRIMARY KEY (scope, visit_started_at, client, in_zones, number)
);
COMMENT ON TABLE presence_stay IS 'Where visits were; people read the view stays.';
COMMENT ON COLUMN presence_stay.scope IS 'Profile and site, in presence_scope.';
COMMENT ON COLUMN presence_stay.visit_started_at IS 'Start of the visit, in presence_session.';
COMMENT ON COLUMN presence_stay.client IS 'The client, in presence_session.';
COMMENT ON COLUMN presence_stay.in_zones IS 'Whether the stay is in a zone.';
COMMENT ON COLUMN presence_stay.number IS 'Its number among the visit''s stays at access points, or in zones.';
COMMENT ON COLUMN presence_stay.place_kind IS '0 the site, 1 an access point, 2 a zone, 3 unlocated, 4 outside.';
COMMENT ON COLUMN presence_stay.place IS 'Address of the access point as a 48-bit number, or id of the zone in presence_zone; 0 for the others.';
COMMENT ON COLUMN presence_stay.started_at IS 'When it began.';
COMMENT ON COLUMN presence_stay.ended_at IS 'When it ended.';
COMMENT ON COLUMN presence_stay.is_measured IS 'Whether its length stands in averages: counted, and not cut by a change of keys.';
CREATE INDEX presence_stay_place ON presence_stay (scope, place_kind, place, started_at);

CREATE TABLE presence_count (
    scope integer NOT NULL,
    level smallint NOT NULL,
    start_at timestamptz NOT NULL,
    place_kind smallint NOT NULL,
    place bigint NOT NULL,
    day integer NOT NULL,
    opens_at timestamptz NOT NULL,
    closes_at timestamptz NOT NULL,
    seen bigint NOT NULL,
    seen_global bigint NOT NULL,
    entered bigint NOT NULL,
    visitors bigint NOT NULL,
    visitors_global bigint NOT NULL,
    connected bigint NOT NULL,
    visits bigint NOT NULL,
    exits bigint NOT NULL,
    bounces bigint NOT NULL,
    dwell_total bigint NOT NULL,
    measured bigint NOT NULL,
    measured_s bigint NOT NULL,
    known bigint NOT NULL,
    returning_visits bigint NOT NULL,
    new_visitors bigint NOT NULL,
    returning_visitors bigint NOT NULL,
    unknown_visitors bigint NOT NULL,
    dwell_p50 integer,
    dwell_p90 integer,
    is_stale boolean NOT NULL DEFAULT true,
    PRIMARY KEY (scope, level, start_at, place_kind, place)
);
COMMENT ON TABLE presence_count IS 'Counts of each place in each hour and day: sums over clients. People read the views hourly and daily.';
COMMENT ON COLUMN presence_count.scope IS 'Profile and site, in presence_scope.';
COMMENT ON COLUMN presence_count.level IS '0 an hour, 1 a day.';
COMMENT ON COLUMN presence_count.start_at IS 'When the window begins.';
COMMENT ON COLUMN presence_count.place_kind IS '0 the site, 1 an access point, 2 a zone, 3 unlocated, 4 outside.';
COMMENT ON COLUMN presence_count.place IS 'Address of the access point as a 48-bit number, or id of the zone in presence_zone; 0 for the others.';
COMMENT ON COLUMN presence_count.day IS 'Local date that it belongs to, days since 1970-01-01.';
COMMENT ON COLUMN presence_count.opens_at IS 'What is counted begins here: the window''s beginning, or when the site opens.';
COMMENT ON COLUMN presence_count.closes_at IS 'And ends here.';
COMMENT ON COLUMN presence_count.seen IS 'Distinct clients heard, or with a session.';
COMMENT ON COLUMN presence_count.seen_global IS 'Of seen, those with a maker''s address.';
COMMENT ON COLUMN presence_count.entered IS 'Distinct clients with a session; 0 at places.';
COMMENT ON COLUMN presence_count.visitors IS 'Distinct clients with a visit, at a place with a stay.';
COMMENT ON COLUMN presence_count.visitors_global IS 'Of visitors, those with a maker''s address.';
COMMENT ON COLUMN presence_count.connected IS 'Of visitors, those with an associated observation there during the visit.';
COMMENT ON COLUMN presence_count.visits IS 'Visits that began, at a place stays.';
COMMENT ON COLUMN presence_count.exits IS 'Visits that ended, at a place stays.';
COMMENT ON COLUMN presence_count.bounces IS 'Sessions that began and are no visits; 0 at places.';
COMMENT ON COLUMN presence_count.dwell_total IS 'Person-seconds of visits within the window.';
COMMENT ON COLUMN presence_count.measured IS 'Visits that began and whose length stands in averages.';
COMMENT ON COLUMN presence_count.measured_s IS 'The sum of their lengths, in seconds.';
COMMENT ON COLUMN presence_count.known IS 'Visits that began and of which is known whether the client returned.';
COMMENT ON COLUMN presence_count.returning_visits IS 'Of them, those of clients that returned.';
COMMENT ON COLUMN presence_count.new_visitors IS 'Visitors whose first visit here was their first in the loyalty days.';
COMMENT ON COLUMN presence_count.returning_visitors IS 'Visitors whose first visit here was not.';
COMMENT ON COLUMN presence_count.unknown_visitors IS 'Visitors of whom that cannot be known.';
COMMENT ON COLUMN presence_count.dwell_p50 IS 'Median length of the visits measured, in seconds; as of when is_stale was false.';
COMMENT ON COLUMN presence_count.dwell_p90 IS '90th percentile likewise.';
COMMENT ON COLUMN presence_count.is_stale IS 'Whether lengths may have changed since dwell_p50 and dwell_p90 were worked out.';
CREATE INDEX presence_count_stale ON presence_count (scope) WHERE is_stale;
-- As the view shows them, so that a condition on a day finds its rows; hours are found by the key.
CREATE INDEX presence_count_day ON presence_count ((lpad(extract(year FROM date '1970-01-01' + day)::text, 4, '0') || '-' || lpad(extract(month FROM date '1970-01-01' + day)::text, 2, '0') || '-' || lpad(extract(day FROM date '1970-01-01' + day)::text, 2, '0')), (CASE place_kind WHEN 0 THEN 'site' WHEN 1 THEN 'ap' WHEN 2 THEN 'zone' ELSE 'unlocated' END), scope) WHERE level = 1;

CREATE TABLE presence_occupancy (
    scope integer NOT NULL,
    minute timestamptz NOT NULL,
    place_kind smallint NOT NULL,
    place bigint NOT NULL,
    devices integer NOT NULL,
    connected integer NOT NULL,
    PRIMARY KEY (scope, minute, place_kind, place)
);
COMMENT ON TABLE presence_occupancy IS 'Devices at each place at each full minute; people read the view occupancy.';
COMMENT ON COLUMN presence_occupancy.scope IS 'Profile and site, in presence_scope.';
COMMENT ON COLUMN presence_occupancy.minute IS 'The minute''s first instant.';
COMMENT ON COLUMN presence_occupancy.place_kind IS '0 the site, 1 an access point, 2 a zone, 3 unlocated, 4 outside.';
COMMENT ON COLUMN presence_occupancy.place IS 'Address of the access point as a 48-bit number, or id of the zone in presence_zone; 0 for the others.';
COMMENT ON COLUMN presence_occupancy.devices IS 'Visits, or stays, that cover the instant.';
COMMENT ON COLUMN presence_occupancy.connected IS 'Of them, those connected by then.';

-- As the view says it, so that the few rows of sites are found among those of their places.
CREATE INDEX presence_occupancy_site ON presence_occupancy (scope, minute) WHERE CASE place_kind WHEN 0 THEN 'site' WHEN 1 THEN 'ap' WHEN 2 THEN 'zone' ELSE 'unlocated' END = 'site';

CREATE TABLE presence_flow (
    scope integer NOT NULL,
    hour timestamptz NOT NULL,
    from_kind smallint NOT NULL,
    from_place bigint NOT NULL,
    to_kind smallint NOT NULL,
    to_place bigint NOT NULL,
    transitions bigint NOT NULL,
    PRIMARY KEY (scope, hour, from_kind, from_place, to_kind, to_place)
);
COMMENT ON TABLE presence_flow IS 'Changes of place within visits, per hour; people read the view flow.';
COMMENT ON COLUMN presence_flow.scope IS 'Profile and site, in presence_scope.';
COMMENT ON COLUMN presence_flow.hour IS 'When the hour begins.';
COMMENT ON COLUMN presence_flow.from_kind IS 'Kind of the place left, as in place_kind.';
COMMENT ON COLUMN presence_flow.from_place IS 'Place left.';
COMMENT ON COLUMN presence_flow.to_kind IS 'Kind of the place reached, as in place_kind.';
COMMENT ON COLUMN presence_flow.to_place IS 'Place reached.';
COMMENT ON COLUMN presence_flow.transitions IS 'How many.';

CREATE TABLE presence_covered (
    scope integer NOT NULL,
    level smallint NOT NULL,
    start_at timestamptz NOT NULL,
    minutes integer NOT NULL,
    PRIMARY KEY (scope, level, start_at)
);
COMMENT ON TABLE presence_covered IS 'Minutes of each hour and day in which a post of the site arrived.';
COMMENT ON COLUMN presence_covered.scope IS 'Profile and site, in presence_scope.';
COMMENT ON COLUMN presence_covered.level IS '0 an hour, 1 a day.';
COMMENT ON COLUMN presence_covered.start_at IS 'When the window begins.';
COMMENT ON COLUMN presence_covered.minutes IS 'How many.';

CREATE TABLE presence_member (
    scope integer NOT NULL,
    zone integer NOT NULL,
    ap bigint NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (scope, zone, ap, since)
);
COMMENT ON TABLE presence_member IS 'Which access points belong to which zones, and when.';
COMMENT ON COLUMN presence_member.scope IS 'Profile and site, in presence_scope.';
COMMENT ON COLUMN presence_member.zone IS 'Zone, in presence_zone.';
COMMENT ON COLUMN presence_member.ap IS 'Address of the access point as a 48-bit number.';
COMMENT ON COLUMN presence_member.since IS 'From then on.';
COMMENT ON COLUMN presence_member.until IS 'Up to, not including, then.';

CREATE TABLE presence_recompute (
    profile text NOT NULL,
    from_day text NOT NULL,
    made_by text NOT NULL,
    committed_ms bigint NOT NULL,
    reached timestamptz,
    PRIMARY KEY (profile)
);
COMMENT ON TABLE presence_recompute IS 'How far footfall recompute has come, for each profile that it works on.';
COMMENT ON COLUMN presence_recompute.profile IS 'Name and version of the profile.';
COMMENT ON COLUMN presence_recompute.from_day IS 'First local day of the rows that are made anew.';
COMMENT ON COLUMN presence_recompute.made_by IS 'Hash of what the new rows are made by.';
COMMENT ON COLUMN presence_recompute.committed_ms IS 'Latest arrival that the store had when it began, milliseconds since 1970.';
COMMENT ON COLUMN presence_recompute.reached IS 'Observations before it are in the new rows; null when none are.';

CREATE TABLE presence_record (
    scope integer NOT NULL,
    client bigint NOT NULL,
    last_at timestamptz NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (scope, client)
);
COMMENT ON TABLE presence_record IS 'What is known of each client, packed: what its rows are worked out from.';
COMMENT ON COLUMN presence_record.scope IS 'Profile and site, in presence_scope.';
COMMENT ON COLUMN presence_record.client IS 'The client: a 64-bit pseudonym, or its address when the high 16 bits are zero.';
COMMENT ON COLUMN presence_record.last_at IS 'When it was observed last.';
COMMENT ON COLUMN presence_record.body IS 'Minutes and access points, as the engine packs them.';
CREATE INDEX presence_record_last ON presence_record (last_at);

CREATE TABLE heard_count (
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    receiver integer NOT NULL,
    network integer NOT NULL,
    ap bigint NOT NULL,
    radio smallint NOT NULL,
    devices bigint NOT NULL,
    connected bigint NOT NULL,
    PRIMARY KEY (started_at, receiver, network, ap, radio)
);
COMMENT ON TABLE heard_count IS 'What is kept of an epoch with privacy.mode = anonymous; people read the view heard.';
COMMENT ON COLUMN heard_count.started_at IS 'When the epoch began.';
COMMENT ON COLUMN heard_count.ended_at IS 'When it ended.';
COMMENT ON COLUMN heard_count.receiver IS 'Name of the receiver, in dictionary.';
COMMENT ON COLUMN heard_count.network IS 'Id of the Meraki network, in dictionary; 0 in Scanning API v2, which does not tell it.';
COMMENT ON COLUMN heard_count.ap IS 'Address of the access point as a 48-bit number; -1 for all of them together.';
COMMENT ON COLUMN heard_count.radio IS '0 Wi-Fi, 1 Bluetooth Low Energy.';
COMMENT ON COLUMN heard_count.devices IS 'Distinct clients that were heard in the epoch.';
COMMENT ON COLUMN heard_count.connected IS 'Of them, those that were connected.';

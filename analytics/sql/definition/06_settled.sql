-- def_settled: at which access point a client was, for each minute of a session in which it was observed.
--
-- A minute belongs to the access point of its strongest qualifying observation; of equal ones the lower address has it (R13). All of
-- the minute is asked, also what stands before the start of the session (R14). Minutes in a row at one access point are a leg, and
-- minutes without observation do not end it (R15).
--
-- Signals flicker, so not every leg is a change of place. A leg stands when it is the first; or it lasted settle_s, its first to
-- its last minute; or it came in settle_db stronger than the minute before (R16). A leg that does not stand belongs to the last one
-- before it that does (R17): the sum over `stands` numbers them.
CREATE TABLE def_settled AS
WITH ranked AS (
    SELECT
        s.site, s.client, s.started, s.ended, r.minute, r.ap, r.rssi,
        row_number() OVER (PARTITION BY s.site, s.client, s.started, r.minute ORDER BY r.rssi DESC, r.ap) AS nth
    FROM def_session s
    JOIN def_run r
        ON r.site = s.site AND r.client = s.client
        AND r.minute >= s.started - s.started % 60 AND r.minute <= s.ended - s.ended % 60
    WHERE s.class <> 'fixture'
),
cell AS (
    SELECT
        site, client, started, ended, minute, ap, rssi,
        lag(ap) OVER (PARTITION BY site, client, started ORDER BY minute) AS ap_before,
        lag(rssi) OVER (PARTITION BY site, client, started ORDER BY minute) AS rssi_before
    FROM ranked
    WHERE nth = 1
),
numbered AS (
    SELECT
        site, client, started, ended, minute, ap,
        CASE WHEN ap <> ap_before THEN rssi - rssi_before END AS gain_db,
        sum(CASE WHEN ap = ap_before THEN 0 ELSE 1 END) OVER (PARTITION BY site, client, started ORDER BY minute) AS leg
    FROM cell
),
leg AS (
    SELECT
        site, client, started, leg,
        min(ap) AS ap,
        min(minute) AS first_minute,
        max(minute) AS last_minute,
        max(gain_db) AS gain_db
    FROM numbered
    GROUP BY site, client, started, leg
),
standing AS (
    SELECT
        l.site, l.client, l.started, l.leg, l.ap,
        CASE WHEN l.leg = 1 OR l.last_minute - l.first_minute + 60 >= p.settle_s OR l.gain_db >= p.settle_db THEN 1 ELSE 0 END AS stands
    FROM leg l
    CROSS JOIN param p
),
grouped AS (
    SELECT
        site, client, started, leg, ap, stands,
        sum(stands) OVER (PARTITION BY site, client, started ORDER BY leg) AS home
    FROM standing
),
settled AS (
    SELECT
        site, client, started, leg,
        max(CASE WHEN stands = 1 THEN ap END) OVER (PARTITION BY site, client, started, home) AS ap
    FROM grouped
)
SELECT n.site, n.client, n.started, n.ended, n.minute, s.ap
FROM numbered n
JOIN settled s ON s.site = n.site AND s.client = n.client AND s.started = n.started AND s.leg = n.leg;

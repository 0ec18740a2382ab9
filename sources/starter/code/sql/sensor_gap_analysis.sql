-- Quality report over one-minute readings of a river gauge (SQLite).
-- Finds outages, stuck sensors and flood events with window functions only.

.mode box
.headers on

CREATE TABLE reading (
    station     TEXT    NOT NULL,
    at          INTEGER NOT NULL,          -- Unix time, whole minutes
    level_cm    REAL    NOT NULL,
    PRIMARY KEY (station, at),
    CHECK (at % 60 = 0)
) WITHOUT ROWID;

-- A synthetic day: slow tide, one flood wave, an outage and a stuck float.
WITH RECURSIVE minute(n) AS (
    SELECT 0 UNION ALL SELECT n + 1 FROM minute WHERE n < 1439
),
shaped AS (
    SELECT n,
           180
           + 12 * (1 - abs((n % 720) - 360) / 180.0)
           + CASE WHEN n BETWEEN 500 AND 800
                  THEN 95 * (1 - abs(n - 650) / 150.0) ELSE 0 END
           + (n * 7919 % 13) / 20.0 AS level_cm
    FROM minute
)
INSERT INTO reading
SELECT 'upper mill',
       1930003200 + 60 * n,
       CASE WHEN n BETWEEN 1000 AND 1075 THEN 171.5 ELSE round(level_cm, 1) END
FROM shaped
WHERE n NOT BETWEEN 220 AND 251 AND n <> 900;

-- 1. Outages: a reading whose predecessor is more than one minute back.
WITH spaced AS (
    SELECT station, at,
           lag(at) OVER (PARTITION BY station ORDER BY at) AS previous_at
    FROM reading
)
SELECT station,
       time(previous_at, 'unixepoch') AS last_seen,
       time(at, 'unixepoch')          AS back_at,
       (at - previous_at) / 60 - 1    AS minutes_missing
FROM spaced
WHERE at - previous_at > 60
ORDER BY at;

-- 2. Stuck sensor: the same value for half an hour or more. The difference of two
--    running numbers is constant within an island of equal values.
WITH numbered AS (
    SELECT station, at, level_cm,
           row_number() OVER (PARTITION BY station ORDER BY at)
         - row_number() OVER (PARTITION BY station, level_cm ORDER BY at) AS island
    FROM reading
)
SELECT station, level_cm,
       time(min(at), 'unixepoch') AS since,
       count(*)                   AS readings
FROM numbered
GROUP BY station, level_cm, island
HAVING count(*) >= 30
ORDER BY since;

-- 3. Flood events: the smoothed level crosses 220 cm. A crossing starts a new event,
--    a running sum of crossings numbers the events, dips under 10 minutes are bridged.
WITH smoothed AS (
    SELECT station, at, level_cm,
           avg(level_cm) OVER last_quarter AS mean_cm
    FROM reading
    WINDOW last_quarter AS (
        PARTITION BY station ORDER BY at
        RANGE BETWEEN 900 PRECEDING AND CURRENT ROW
    )
),
high AS (
    SELECT *,
           CASE WHEN at - lag(at) OVER w <= 600 THEN 0 ELSE 1 END AS starts
    FROM smoothed
    WHERE mean_cm > 220
    WINDOW w AS (PARTITION BY station ORDER BY at)
),
event AS (
    SELECT *, sum(starts) OVER (PARTITION BY station ORDER BY at) AS event_no
    FROM high
)
SELECT station, event_no,
       time(min(at), 'unixepoch')                                AS began,
       (max(at) - min(at)) / 60                                  AS minutes,
       max(level_cm)                                             AS peak_cm,
       (SELECT time(p.at, 'unixepoch') FROM event AS p
        WHERE p.station = e.station AND p.event_no = e.event_no
        ORDER BY p.level_cm DESC, p.at LIMIT 1)                  AS peak_at
FROM event AS e
GROUP BY station, event_no;

-- 4. Hourly summary with a median, which SQLite lacks as an aggregate, and the
--    share of minutes that actually arrived.
WITH ranked AS (
    SELECT station, at / 3600 AS hour, level_cm,
           row_number() OVER h                            AS rank,
           count(*) OVER (PARTITION BY station, at / 3600) AS n
    FROM reading
    WINDOW h AS (PARTITION BY station, at / 3600 ORDER BY level_cm)
),
hourly AS (
    SELECT station, hour, n,
           avg(level_cm) FILTER (WHERE rank IN ((n + 1) / 2, (n + 2) / 2)) AS median_cm,
           max(level_cm) - min(level_cm)                                  AS spread_cm
    FROM ranked
    GROUP BY station, hour
)
SELECT strftime('%H:00', hour * 3600, 'unixepoch')  AS hour,
       round(median_cm, 1)                          AS median_cm,
       round(spread_cm, 1)                          AS spread_cm,
       round(median_cm - lag(median_cm) OVER trend, 1) AS change_cm,
       printf('%3d %%', 100 * n / 60)               AS complete,
       CASE ntile(4) OVER (ORDER BY spread_cm DESC)
            WHEN 1 THEN 'volatile' WHEN 4 THEN 'calm' ELSE '' END AS note
FROM hourly
WINDOW trend AS (PARTITION BY station ORDER BY hour)
ORDER BY hourly.hour
LIMIT 14;

-- Meeting rooms: bookings that cannot overlap, recurring series, and a free-slot
-- search, in PostgreSQL with range types and an exclusion constraint.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE room (
    room_id     int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    floor       int NOT NULL,
    seats       int NOT NULL CHECK (seats > 0),
    features    text[] NOT NULL DEFAULT '{}',
    time_zone   text NOT NULL DEFAULT 'Europe/Lisbon'
);

CREATE TABLE series (
    series_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title       text NOT NULL,
    organizer   text NOT NULL,
    every       interval NOT NULL CHECK (every >= interval '1 day'),
    occurrences int NOT NULL CHECK (occurrences BETWEEN 2 AND 104)
);

CREATE TABLE booking (
    booking_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room_id     int NOT NULL REFERENCES room,
    series_id   bigint REFERENCES series ON DELETE CASCADE,
    title       text NOT NULL,
    organizer   text NOT NULL,
    during      tstzrange NOT NULL,
    cancelled   boolean NOT NULL DEFAULT false,
    CHECK (NOT isempty(during) AND lower_inc(during) AND NOT upper_inc(during)),
    CHECK (upper(during) - lower(during) BETWEEN interval '15 minutes' AND interval '12 hours'),
    -- The heart of it: no two live bookings of one room may share an instant.
    CONSTRAINT booking_no_overlap
        EXCLUDE USING gist (room_id WITH =, during WITH &&) WHERE (NOT cancelled)
);

CREATE INDEX booking_by_organizer ON booking (organizer, lower(during)) WHERE NOT cancelled;

-- Books a whole series in local time, so that "09:30" stays 09:30 after the clocks
-- change. Conflicting dates are reported, not booked; the rest of the series stands.
CREATE FUNCTION book_series(
    p_room text, p_title text, p_organizer text,
    p_first timestamp, p_length interval, p_every interval, p_occurrences int
)
RETURNS TABLE (local_start timestamp, booking_id bigint, conflict_with text)
LANGUAGE plpgsql AS $$
DECLARE
    v_room   room;
    v_series bigint;
BEGIN
    SELECT * INTO STRICT v_room FROM room WHERE name = p_room;
    INSERT INTO series (title, organizer, every, occurrences)
    VALUES (p_title, p_organizer, p_every, p_occurrences)
    RETURNING series_id INTO v_series;

    FOR i IN 0 .. p_occurrences - 1 LOOP
        local_start := p_first + i * p_every;
        booking_id := NULL;
        conflict_with := NULL;
        BEGIN
            INSERT INTO booking AS b (room_id, series_id, title, organizer, during)
            VALUES (v_room.room_id, v_series, p_title, p_organizer,
                    tstzrange(local_start AT TIME ZONE v_room.time_zone,
                              (local_start + p_length) AT TIME ZONE v_room.time_zone))
            RETURNING b.booking_id INTO booking_id;
        EXCEPTION WHEN exclusion_violation THEN
            SELECT string_agg(format('%s (%s)', b.title, b.organizer), ', ')
            INTO conflict_with
            FROM booking AS b
            WHERE b.room_id = v_room.room_id AND NOT b.cancelled
              AND b.during && tstzrange(local_start AT TIME ZONE v_room.time_zone,
                                        (local_start + p_length) AT TIME ZONE v_room.time_zone);
        END;
        RETURN NEXT;
    END LOOP;
END;
$$;

-- Free slots of at least p_length inside office hours, smallest suitable room first.
-- Subtracting a multirange of bookings from the opening hours does the real work.
CREATE FUNCTION free_slots(
    p_day date, p_length interval, p_seats int,
    p_features text[] DEFAULT '{}', p_opens time DEFAULT '08:00', p_closes time DEFAULT '18:30'
)
RETURNS TABLE (room text, seats int, free_from timestamptz, free_to timestamptz)
LANGUAGE sql STABLE AS $$
    WITH candidate AS (
        SELECT r.*,
               tstzrange((p_day + p_opens) AT TIME ZONE r.time_zone,
                         (p_day + p_closes) AT TIME ZONE r.time_zone) AS office
        FROM room AS r
        WHERE r.seats >= p_seats AND r.features @> p_features
    )
    SELECT c.name, c.seats, lower(gap), upper(gap)
    FROM candidate AS c
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(b.during), '{}'::tstzmultirange) AS taken
        FROM booking AS b
        WHERE b.room_id = c.room_id AND NOT b.cancelled AND b.during && c.office
    ) AS busy
    CROSS JOIN LATERAL unnest(tstzmultirange(c.office) - busy.taken) AS gap
    WHERE upper(gap) - lower(gap) >= p_length
    ORDER BY c.seats, lower(gap), c.name;
$$;

-- Utilisation per room and week, for the facilities team.
CREATE VIEW weekly_utilisation AS
SELECT r.name,
       date_trunc('week', lower(b.during) AT TIME ZONE r.time_zone)::date AS week,
       count(*)                                                           AS bookings,
       round((sum(extract(epoch FROM upper(b.during) - lower(b.during))) / 3600 / 52.5 * 100)::numeric, 1)
                                                                          AS percent_of_office_hours,
       mode() WITHIN GROUP (ORDER BY b.organizer)                         AS most_frequent_organizer
FROM booking AS b
JOIN room AS r USING (room_id)
WHERE NOT b.cancelled
GROUP BY r.room_id, week;

INSERT INTO room (name, floor, seats, features) VALUES
    ('Azulejo', 1, 4, '{screen}'),
    ('Miradouro', 5, 12, '{screen,camera,whiteboard}'),
    ('Tejo', 2, 8, '{whiteboard}');

SELECT * FROM book_series('Miradouro', 'Design review', 'ines',
                          '2031-03-24 09:30', '90 minutes', '7 days', 3);

-- Row-level security for a clinic's records (PostgreSQL 15).
--
-- The application connects as clinic_app and names the person at work once per
-- transaction with clinic.begin_work(); every policy below reads that setting. No
-- query in the application needs, or may forget, a WHERE clause about permissions.

BEGIN;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clinic_app') THEN
        CREATE ROLE clinic_app NOLOGIN NOBYPASSRLS;
    END IF;
END;
$$;

CREATE SCHEMA clinic;

CREATE TABLE clinic.staff (
    staff_id    int PRIMARY KEY,
    full_name   text NOT NULL,
    duty        text NOT NULL CHECK (duty IN ('physician', 'nurse', 'reception', 'billing')),
    ward        text NOT NULL,
    left_on     date
);

CREATE TABLE clinic.patient (
    patient_id  int PRIMARY KEY,
    full_name   text NOT NULL,
    born_on     date NOT NULL,
    ward        text NOT NULL,
    insurer     text
);

CREATE TABLE clinic.care_team (
    patient_id  int REFERENCES clinic.patient,
    staff_id    int REFERENCES clinic.staff,
    during      daterange NOT NULL DEFAULT daterange(current_date, NULL),
    PRIMARY KEY (patient_id, staff_id)
);

CREATE TABLE clinic.note (
    note_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id  int NOT NULL REFERENCES clinic.patient,
    author_id   int NOT NULL REFERENCES clinic.staff,
    written_at  timestamptz NOT NULL DEFAULT now(),
    sensitive   boolean NOT NULL DEFAULT false,
    body        text NOT NULL CHECK (length(body) BETWEEN 1 AND 20000)
);

CREATE TABLE clinic.emergency_access (
    staff_id    int NOT NULL REFERENCES clinic.staff,
    patient_id  int NOT NULL REFERENCES clinic.patient,
    reason      text NOT NULL CHECK (length(reason) >= 15),
    granted_at  timestamptz NOT NULL DEFAULT now()
);

-- An unknown or departed person ends up with NULL, and NULL matches no row.
CREATE FUNCTION clinic.me() RETURNS clinic.staff
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = clinic, pg_temp AS $$
    SELECT s FROM staff AS s
    WHERE s.staff_id = nullif(current_setting('clinic.staff_id', true), '')::int
      AND (s.left_on IS NULL OR s.left_on > current_date);
$$;

CREATE FUNCTION clinic.begin_work(who int) RETURNS void
LANGUAGE sql AS $$
    SELECT set_config('clinic.staff_id', who::text, true);  -- true: until the transaction ends
$$;

-- SECURITY DEFINER keeps the policies from recursing into each other's tables.
CREATE FUNCTION clinic.treats(patient int) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = clinic, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM care_team AS c
        WHERE c.patient_id = patient AND c.staff_id = (clinic.me()).staff_id
          AND c.during @> current_date
    ) OR EXISTS (
        SELECT FROM emergency_access AS e
        WHERE e.patient_id = patient AND e.staff_id = (clinic.me()).staff_id
          AND e.granted_at > now() - interval '12 hours'
    );
$$;

ALTER TABLE clinic.patient ENABLE ROW LEVEL SECURITY;
ALTER TABLE clinic.note ENABLE ROW LEVEL SECURITY;
ALTER TABLE clinic.emergency_access ENABLE ROW LEVEL SECURITY;

CREATE POLICY front_desk ON clinic.patient FOR SELECT TO clinic_app
    USING ((SELECT (clinic.me()).duty) IN ('reception', 'billing'));
CREATE POLICY same_ward ON clinic.patient FOR SELECT TO clinic_app
    USING (ward = (SELECT (clinic.me()).ward));
CREATE POLICY treating ON clinic.patient FOR SELECT TO clinic_app
    USING (clinic.treats(patient_id));

CREATE POLICY read_notes ON clinic.note FOR SELECT TO clinic_app
    USING (clinic.treats(patient_id));
CREATE POLICY write_own_notes ON clinic.note FOR INSERT TO clinic_app
    WITH CHECK (author_id = (SELECT (clinic.me()).staff_id) AND clinic.treats(patient_id));
CREATE POLICY correct_own_notes ON clinic.note FOR UPDATE TO clinic_app
    USING (author_id = (SELECT (clinic.me()).staff_id) AND written_at > now() - interval '24 hours')
    WITH CHECK (author_id = (SELECT (clinic.me()).staff_id));
-- Restrictive policies are ANDed with all of the above.
CREATE POLICY sensitive_for_physicians ON clinic.note AS RESTRICTIVE FOR SELECT TO clinic_app
    USING (NOT sensitive OR (SELECT (clinic.me()).duty) = 'physician');

CREATE POLICY break_the_glass ON clinic.emergency_access FOR INSERT TO clinic_app
    WITH CHECK (staff_id = (SELECT (clinic.me()).staff_id)
                AND (SELECT (clinic.me()).duty) IN ('physician', 'nurse'));

GRANT USAGE ON SCHEMA clinic TO clinic_app;
GRANT SELECT ON clinic.patient TO clinic_app;
GRANT SELECT, INSERT ON clinic.note TO clinic_app;
GRANT UPDATE (body, sensitive) ON clinic.note TO clinic_app;
GRANT INSERT ON clinic.emergency_access TO clinic_app;

INSERT INTO clinic.staff (staff_id, full_name, duty, ward) VALUES
    (1, 'Physician on ward 3', 'physician', '3'),
    (2, 'Night nurse', 'nurse', '5'),
    (3, 'Front desk', 'reception', 'entrance');
INSERT INTO clinic.patient VALUES (71, 'Test Patient A', '1960-02-11', '3', NULL),
                                  (72, 'Test Patient B', '1988-09-30', '5', 'Example Mutual');
INSERT INTO clinic.care_team VALUES (71, 1, daterange('2020-01-01', NULL));

COMMIT;

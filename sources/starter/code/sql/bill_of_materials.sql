-- Bill of materials with revisions (SQLite 3.38 or later).
--
-- A part is bought or made. Made parts list their components; a trigger keeps the
-- structure free of cycles, so the recursive views below always terminate.

PRAGMA foreign_keys = ON;

CREATE TABLE part (
    part_no       TEXT PRIMARY KEY CHECK (part_no GLOB '[A-Z][A-Z]-[0-9][0-9][0-9]'),
    description   TEXT NOT NULL,
    source        TEXT NOT NULL CHECK (source IN ('buy', 'make')),
    unit_cost     INTEGER CHECK (unit_cost >= 0),          -- cents; bought parts only
    lead_days     INTEGER NOT NULL DEFAULT 0 CHECK (lead_days >= 0),
    CHECK ((source = 'buy') = (unit_cost IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE component (
    assembly_no   TEXT NOT NULL REFERENCES part ON UPDATE CASCADE,
    part_no       TEXT NOT NULL REFERENCES part ON UPDATE CASCADE,
    valid_from    TEXT NOT NULL DEFAULT '2030-01-01',
    valid_to      TEXT NOT NULL DEFAULT '9999-12-31',
    quantity      REAL NOT NULL CHECK (quantity > 0),
    scrap_rate    REAL NOT NULL DEFAULT 0 CHECK (scrap_rate BETWEEN 0 AND 0.5),
    PRIMARY KEY (assembly_no, part_no, valid_from),
    CHECK (valid_from < valid_to)
) STRICT, WITHOUT ROWID;

CREATE INDEX component_by_part ON component (part_no);

CREATE TRIGGER component_no_cycle
BEFORE INSERT ON component
BEGIN
    SELECT RAISE(ABORT, 'component would contain its own assembly')
    WHERE NEW.assembly_no IN (
        WITH RECURSIVE below(part_no) AS (
            VALUES (NEW.part_no)
            UNION                                          -- not UNION ALL: diamonds are common
            SELECT c.part_no FROM component AS c JOIN below AS b ON c.assembly_no = b.part_no
        )
        SELECT part_no FROM below
    );
END;

CREATE TRIGGER component_only_under_made_parts
BEFORE INSERT ON component
WHEN (SELECT source FROM part WHERE part_no = NEW.assembly_no) <> 'make'
BEGIN
    SELECT RAISE(ABORT, 'a bought part has no components');
END;

CREATE TRIGGER component_validity_disjoint
BEFORE INSERT ON component
BEGIN
    SELECT RAISE(ABORT, 'validity overlaps an existing line')
    FROM component AS c
    WHERE c.assembly_no = NEW.assembly_no AND c.part_no = NEW.part_no
      AND c.valid_from < NEW.valid_to AND NEW.valid_from < c.valid_to;
END;

INSERT INTO part (part_no, description, source, unit_cost, lead_days) VALUES
    ('BK-001', 'Cargo bike, two wheels',      'make', NULL, 3),
    ('FR-010', 'Frame, welded and painted',   'make', NULL, 12),
    ('TU-100', 'Steel tube 34 mm, per metre', 'buy',   780, 20),
    ('WH-020', 'Wheel 20 inch',               'make', NULL, 1),
    ('SP-200', 'Spoke 190 mm',                'buy',    14, 10),
    ('RM-210', 'Rim 20 inch',                 'buy',  1990, 15),
    ('HB-220', 'Hub, disc brake',             'buy',  2450, 30),
    ('HB-221', 'Hub, disc brake, thru axle',  'buy',  2790, 45),
    ('BX-030', 'Box, folding plywood',        'buy', 11900, 25);

INSERT INTO component (assembly_no, part_no, valid_from, valid_to, quantity, scrap_rate) VALUES
    ('WH-020', 'SP-200', '2030-01-01', '9999-12-31', 36,  0.02),
    ('WH-020', 'RM-210', '2030-01-01', '9999-12-31', 1,   0.01),
    ('WH-020', 'HB-220', '2030-01-01', '2031-06-01', 1,   0),
    ('WH-020', 'HB-221', '2031-06-01', '9999-12-31', 1,   0),
    ('FR-010', 'TU-100', '2030-01-01', '9999-12-31', 6.4, 0.05),
    ('BK-001', 'FR-010', '2030-01-01', '9999-12-31', 1,   0),
    ('BK-001', 'WH-020', '2030-01-01', '9999-12-31', 2,   0),
    ('BK-001', 'BX-030', '2030-01-01', '9999-12-31', 1,   0);

-- The indented structure on a given day, in the order a person would read it.
CREATE TEMP TABLE setting (on_day TEXT NOT NULL);
INSERT INTO setting VALUES ('2031-07-15');

WITH RECURSIVE tree(part_no, depth, quantity, path) AS (
    SELECT 'BK-001', 0, 1.0, 'BK-001'
    UNION ALL
    SELECT c.part_no,
           t.depth + 1,
           t.quantity * c.quantity / (1 - c.scrap_rate),
           t.path || '/' || c.part_no
    FROM tree AS t
    JOIN component AS c ON c.assembly_no = t.part_no
    JOIN setting AS s ON s.on_day >= c.valid_from AND s.on_day < c.valid_to
)
SELECT printf('%*s%s', 2 * t.depth, '', t.part_no) AS structure,
       p.description,
       round(t.quantity, 2)                        AS per_bike
FROM tree AS t
JOIN part AS p USING (part_no)
ORDER BY t.path;

-- Material for an order of 25, the cost of each part, and its share of the total.
-- The parts that make up four fifths of the cost form class A.
WITH RECURSIVE need(part_no, quantity) AS (
    VALUES ('BK-001', 25.0)
    UNION ALL
    SELECT c.part_no, n.quantity * c.quantity / (1 - c.scrap_rate)
    FROM need AS n
    JOIN component AS c ON c.assembly_no = n.part_no
    JOIN setting AS s ON s.on_day >= c.valid_from AND s.on_day < c.valid_to
),
bought AS (
    SELECT p.part_no, p.description, sum(n.quantity) AS quantity, sum(n.quantity) * p.unit_cost AS cost
    FROM need AS n
    JOIN part AS p USING (part_no)
    WHERE p.source = 'buy'
    GROUP BY p.part_no
),
ranked AS (
    SELECT *,
           1.0 * cost / sum(cost) OVER ()                                       AS share,
           1.0 * sum(cost) OVER (ORDER BY cost DESC, part_no) / sum(cost) OVER () AS running
    FROM bought
)
SELECT part_no,
       round(quantity, 1)                     AS quantity,
       printf('%.2f', cost / 100.0)           AS cost,
       printf('%.1f %%', 100 * share)         AS share,
       CASE WHEN running - share < 0.80 THEN 'A' WHEN running - share < 0.95 THEN 'B' ELSE 'C' END AS class
FROM ranked
ORDER BY ranked.cost DESC;

-- Critical path: the chain of lead times that decides the delivery date.
WITH RECURSIVE chain(part_no, days, path) AS (
    SELECT part_no, lead_days, part_no FROM part WHERE part_no = 'BK-001'
    UNION ALL
    SELECT c.part_no, ch.days + p.lead_days, ch.path || ' < ' || c.part_no
    FROM chain AS ch
    JOIN component AS c ON c.assembly_no = ch.part_no AND c.valid_to = '9999-12-31'
    JOIN part AS p ON p.part_no = c.part_no
)
SELECT days, path FROM chain ORDER BY days DESC LIMIT 1;

-- First-in, first-out valuation of a coffee roaster's green stock (SQLite).
--
-- Receipts open cost layers, issues consume them oldest first. Instead of looping
-- over layers, both sides are laid out on one axis of cumulative quantity: receipt
-- intervals and issue intervals of the same lot overlap exactly where one feeds the
-- other, and the length of the overlap is the quantity taken.

PRAGMA foreign_keys = ON;

CREATE TABLE bean (
    bean_id   INTEGER PRIMARY KEY,
    origin    TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE movement (
    movement_id INTEGER PRIMARY KEY,
    bean_id     INTEGER NOT NULL REFERENCES bean,
    moved_on    TEXT NOT NULL CHECK (moved_on IS date(moved_on)),
    kg          REAL NOT NULL CHECK (kg <> 0),          -- negative: issued to the roaster
    cents_per_kg INTEGER,
    reference   TEXT NOT NULL,
    CHECK ((kg > 0) = (cents_per_kg IS NOT NULL))
) STRICT;

CREATE INDEX movement_in_order ON movement (bean_id, moved_on, movement_id);

CREATE TRIGGER movement_covers_issue BEFORE INSERT ON movement WHEN NEW.kg < 0
BEGIN
    SELECT RAISE(ABORT, 'more is issued than was on hand that day')
    WHERE NEW.kg + (
        SELECT coalesce(sum(kg), 0) FROM movement
        WHERE bean_id = NEW.bean_id AND moved_on <= NEW.moved_on
    ) < -0.0005;
END;

CREATE TRIGGER movement_in_sequence BEFORE INSERT ON movement
BEGIN
    -- Back-dating would silently revalue issues that were reported already.
    SELECT RAISE(ABORT, 'a later movement of this bean exists')
    FROM movement WHERE bean_id = NEW.bean_id AND moved_on > NEW.moved_on;
END;

CREATE VIEW receipt_span AS
SELECT movement_id, bean_id, moved_on, cents_per_kg, reference,
       sum(kg) OVER earlier - kg AS from_kg,
       sum(kg) OVER earlier      AS to_kg
FROM movement
WHERE kg > 0
WINDOW earlier AS (PARTITION BY bean_id ORDER BY moved_on, movement_id);

CREATE VIEW issue_span AS
SELECT movement_id, bean_id, moved_on, reference,
       -sum(kg) OVER earlier + kg AS from_kg,
       -sum(kg) OVER earlier      AS to_kg
FROM movement
WHERE kg < 0
WINDOW earlier AS (PARTITION BY bean_id ORDER BY moved_on, movement_id);

-- Which issue took how much from which receipt.
CREATE VIEW allocation AS
SELECT i.movement_id AS issue_id,
       r.movement_id AS receipt_id,
       i.bean_id,
       i.moved_on,
       min(i.to_kg, r.to_kg) - max(i.from_kg, r.from_kg) AS kg,
       r.cents_per_kg
FROM issue_span AS i
JOIN receipt_span AS r
  ON r.bean_id = i.bean_id
 AND r.from_kg < i.to_kg
 AND i.from_kg < r.to_kg;

CREATE VIEW layer_left AS
WITH used AS (
    SELECT receipt_id, sum(kg) AS kg FROM allocation GROUP BY receipt_id
)
SELECT r.bean_id, r.movement_id AS receipt_id, r.moved_on, r.reference, r.cents_per_kg,
       r.to_kg - r.from_kg - coalesce(u.kg, 0) AS kg
FROM receipt_span AS r
LEFT JOIN used AS u ON u.receipt_id = r.movement_id
WHERE r.to_kg - r.from_kg - coalesce(u.kg, 0) > 0.0005;

INSERT INTO bean VALUES (1, 'Huila, washed'), (2, 'Sidama, natural');

INSERT INTO movement (bean_id, moved_on, kg, cents_per_kg, reference) VALUES
    (1, '2031-01-08',  350, 610, 'container 17'),
    (2, '2031-01-08',  120, 845, 'container 17'),
    (1, '2031-01-20',  -90, NULL, 'roast 201'),
    (1, '2031-02-03', -180, NULL, 'roast 207'),
    (2, '2031-02-04',  -75, NULL, 'roast 208'),
    (1, '2031-02-17',  280, 655, 'container 19'),
    (1, '2031-02-18', -120, NULL, 'roast 214'),
    (2, '2031-03-02',  180, 802, 'spot purchase'),
    (2, '2031-03-05', -110.5, NULL, 'roast 220'),
    (1, '2031-03-11',  -60, NULL, 'roast 223');

-- Cost of each roast; a batch that straddles two layers shows both prices.
SELECT i.reference                                                AS roast,
       b.origin,
       printf('%.1f kg', sum(a.kg))                               AS quantity,
       group_concat(printf('%g at %.2f', a.kg, a.cents_per_kg / 100.0), ' + ') AS layers,
       printf('%.2f', sum(a.kg * a.cents_per_kg) / 100)           AS cost
FROM allocation AS a
JOIN issue_span AS i ON i.movement_id = a.issue_id
JOIN bean AS b ON b.bean_id = a.bean_id
GROUP BY a.issue_id
ORDER BY i.moved_on, a.issue_id;

-- Stock value by layer with the age of each layer and a subtotal per bean.
SELECT CASE WHEN receipt_id IS NULL THEN 'total' ELSE reference END AS layer,
       origin, kg, value
FROM (
    SELECT b.origin, l.receipt_id, l.reference, round(l.kg, 1) AS kg,
           printf('%.2f', l.kg * l.cents_per_kg / 100) AS value
    FROM layer_left AS l JOIN bean AS b USING (bean_id)
    UNION ALL
    SELECT b.origin, NULL, NULL, round(sum(l.kg), 1), printf('%.2f', sum(l.kg * l.cents_per_kg) / 100)
    FROM layer_left AS l JOIN bean AS b USING (bean_id)
    GROUP BY b.bean_id
)
ORDER BY origin, receipt_id IS NULL, receipt_id;

-- Proof: what was bought is what was used plus what is left, to the cent.
SELECT 'cents unaccounted for' AS check_name,
       (SELECT sum(kg * cents_per_kg) FROM movement WHERE kg > 0)
     - (SELECT sum(kg * cents_per_kg) FROM allocation)
     - (SELECT sum(kg * cents_per_kg) FROM layer_left) AS difference;

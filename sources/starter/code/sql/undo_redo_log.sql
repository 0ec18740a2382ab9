-- Undo and redo for a desktop drawing program that stores its document in SQLite.
--
-- Triggers record, for every change, the SQL text that reverses it. Undoing a step
-- means running those texts backwards; the same triggers then record how to redo.
-- The program calls the two views at the end and executes what they return.

CREATE TABLE layer (
    layer_id  INTEGER PRIMARY KEY,
    name      TEXT NOT NULL,
    z_order   INTEGER NOT NULL,
    locked    INTEGER NOT NULL DEFAULT 0 CHECK (locked IN (0, 1))
);

CREATE TABLE shape (
    shape_id  INTEGER PRIMARY KEY,
    layer_id  INTEGER NOT NULL REFERENCES layer,
    kind      TEXT NOT NULL CHECK (kind IN ('rect', 'ellipse', 'path', 'text')),
    outline   TEXT NOT NULL,
    fill      TEXT,
    CHECK (kind <> 'path' OR outline LIKE 'M%')
);

-- direction: 'do' while the user works, 'undo' or 'redo' while replaying.
CREATE TABLE history_state (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    direction TEXT NOT NULL CHECK (direction IN ('do', 'undo', 'redo', 'off')),
    step      INTEGER NOT NULL
);
INSERT INTO history_state VALUES (1, 'do', 1);

CREATE TABLE history (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    stack     TEXT NOT NULL CHECK (stack IN ('undo', 'redo')),
    step      INTEGER NOT NULL,
    sql       TEXT NOT NULL
);

-- Reversals of a normal change or a redo go to the undo stack, those of an undo to
-- the redo stack.
CREATE VIEW history_entry AS SELECT sql FROM history;
CREATE TRIGGER history_entry_insert INSTEAD OF INSERT ON history_entry
WHEN (SELECT direction FROM history_state) <> 'off'
BEGIN
    -- A new change by the user makes everything that was undone unreachable.
    DELETE FROM history
    WHERE stack = 'redo' AND (SELECT direction FROM history_state) = 'do';
    INSERT INTO history (stack, step, sql)
    SELECT CASE direction WHEN 'undo' THEN 'redo' ELSE 'undo' END, step, NEW.sql
    FROM history_state;
END;

CREATE TRIGGER shape_inserted AFTER INSERT ON shape
BEGIN
    INSERT INTO history_entry VALUES (printf('DELETE FROM shape WHERE shape_id = %d', NEW.shape_id));
END;

CREATE TRIGGER shape_deleted AFTER DELETE ON shape
BEGIN
    INSERT INTO history_entry VALUES (printf(
        'INSERT INTO shape (shape_id, layer_id, kind, outline, fill) VALUES (%d, %d, %s, %s, %s)',
        OLD.shape_id, OLD.layer_id, quote(OLD.kind), quote(OLD.outline), quote(OLD.fill)));
END;

-- Dragging updates a shape many times per second. Within one step, only the state
-- before the first update matters, so later ones are not recorded.
CREATE TRIGGER shape_updated AFTER UPDATE OF layer_id, outline, fill ON shape
WHEN NOT EXISTS (
    SELECT 1 FROM history AS h JOIN history_state AS s ON h.step = s.step
    WHERE s.direction = 'do' AND h.stack = 'undo'
      AND h.sql LIKE printf('UPDATE shape %% WHERE shape_id = %d', OLD.shape_id)
)
BEGIN
    INSERT INTO history_entry VALUES (printf(
        'UPDATE shape SET layer_id = %d, outline = %s, fill = %s WHERE shape_id = %d',
        OLD.layer_id, quote(OLD.outline), quote(OLD.fill), OLD.shape_id));
END;

CREATE TRIGGER layer_inserted AFTER INSERT ON layer
BEGIN
    INSERT INTO history_entry VALUES (printf('DELETE FROM layer WHERE layer_id = %d', NEW.layer_id));
END;

CREATE TRIGGER layer_updated AFTER UPDATE ON layer
WHEN OLD.name IS NOT NEW.name OR OLD.z_order <> NEW.z_order OR OLD.locked <> NEW.locked
BEGIN
    INSERT INTO history_entry VALUES (printf(
        'UPDATE layer SET name = %s, z_order = %d, locked = %d WHERE layer_id = %d',
        quote(OLD.name), OLD.z_order, OLD.locked, OLD.layer_id));
END;

CREATE TRIGGER layer_lock_respected BEFORE UPDATE ON shape
WHEN (SELECT locked FROM layer WHERE layer_id = OLD.layer_id) = 1
 AND (SELECT direction FROM history_state) = 'do'
BEGIN
    SELECT RAISE(ABORT, 'the layer of this shape is locked');
END;

-- What the program executes, statement by statement, to go one step back or forward.
CREATE VIEW next_undo AS
SELECT seq, sql FROM history
WHERE stack = 'undo' AND step = (SELECT max(step) FROM history WHERE stack = 'undo')
ORDER BY seq DESC;

CREATE VIEW next_redo AS
SELECT seq, sql FROM history
WHERE stack = 'redo' AND step = (SELECT min(step) FROM history WHERE stack = 'redo')
ORDER BY seq DESC;

-- A short session: two steps, the second of them undone by hand.
INSERT INTO layer (layer_id, name, z_order) VALUES (1, 'Base', 0);
INSERT INTO shape (shape_id, layer_id, kind, outline, fill)
VALUES (10, 1, 'text', 'It''s a plan', 'black');

UPDATE history_state SET step = step + 1;
UPDATE shape SET outline = 'It''s a better plan' WHERE shape_id = 10;
UPDATE shape SET outline = 'It''s the best plan' WHERE shape_id = 10;
UPDATE shape SET fill = NULL WHERE shape_id = 10;

SELECT 'to undo: ' || sql FROM next_undo;

UPDATE history_state SET direction = 'undo', step = (SELECT max(step) FROM history WHERE stack = 'undo');
UPDATE shape SET layer_id = 1, outline = 'It''s a plan', fill = 'black' WHERE shape_id = 10;
DELETE FROM history WHERE stack = 'undo' AND step = (SELECT step FROM history_state);
UPDATE history_state SET direction = 'do', step = step + 1;

SELECT 'after undo: ' || outline || ', ' || fill FROM shape;
SELECT 'to redo: ' || sql FROM next_redo;

-- Double-entry ledger for a marketplace (PostgreSQL 15).
--
-- Guarantees made by the schema itself, whatever the application does:
--   * a journal balances to zero in every currency when its transaction commits;
--   * posted lines never change and are never deleted, mistakes are reversed;
--   * wallets cannot be overdrawn, even by concurrent transfers.

BEGIN;

CREATE SCHEMA ledger;
SET LOCAL search_path = ledger;

CREATE TYPE account_kind AS ENUM ('asset', 'liability', 'income', 'expense');

CREATE DOMAIN currency_code AS char(3) CHECK (VALUE ~ '^[A-Z]{3}$');

CREATE TABLE account (
    account_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code            text NOT NULL UNIQUE CHECK (code ~ '^[a-z]+(:[a-z0-9-]+)*$'),
    kind            account_kind NOT NULL,
    currency        currency_code NOT NULL,
    may_overdraw    boolean NOT NULL DEFAULT false,
    -- Credits are negative, so a wallet (a liability) with money in it stands below zero.
    balance         numeric(18, 2) NOT NULL DEFAULT 0,
    CONSTRAINT wallet_not_overdrawn
        CHECK (may_overdraw OR kind <> 'liability' OR balance <= 0),
    UNIQUE (account_id, currency)
);

CREATE TABLE journal (
    journal_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE,
    booked_at       timestamptz NOT NULL DEFAULT now(),
    memo            text NOT NULL,
    reverses        bigint UNIQUE REFERENCES journal
);

CREATE TABLE line (
    journal_id      bigint NOT NULL REFERENCES journal,
    line_no         smallint NOT NULL CHECK (line_no > 0),
    account_id      bigint NOT NULL,
    currency        currency_code NOT NULL,
    amount          numeric(18, 2) NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (journal_id, line_no),
    -- The composite key makes a line in the wrong currency impossible.
    FOREIGN KEY (account_id, currency) REFERENCES account (account_id, currency)
);

CREATE INDEX line_by_account ON line (account_id, journal_id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'Post a journal that reverses the mistake.';
END;
$$;

CREATE TRIGGER line_is_final BEFORE UPDATE OR DELETE ON line
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_is_final BEFORE UPDATE OR DELETE ON journal
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION apply_to_balances() RETURNS trigger
LANGUAGE plpgsql SET search_path = ledger AS $$
BEGIN
    -- Locking in the order of the keys keeps crossing transfers from deadlocking.
    PERFORM 1 FROM account
    WHERE account_id IN (SELECT account_id FROM added)
    ORDER BY account_id FOR NO KEY UPDATE;

    UPDATE account AS a
    SET balance = a.balance + d.delta
    FROM (SELECT account_id, sum(amount) AS delta FROM added GROUP BY account_id) AS d
    WHERE a.account_id = d.account_id;
    RETURN NULL;
END;
$$;

CREATE TRIGGER line_moves_balance AFTER INSERT ON line
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION apply_to_balances();

CREATE FUNCTION assert_balanced() RETURNS trigger
LANGUAGE plpgsql SET search_path = ledger AS $$
DECLARE
    culprit record;
BEGIN
    SELECT currency, sum(amount) AS off_by INTO culprit
    FROM line WHERE journal_id = NEW.journal_id
    GROUP BY currency HAVING sum(amount) <> 0
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % is off by % %', NEW.journal_id, culprit.off_by, culprit.currency
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END;
$$;

-- Deferred: lines may arrive in several statements, the sum counts at COMMIT.
CREATE CONSTRAINT TRIGGER journal_balances AFTER INSERT ON line
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION assert_balanced();

-- Posts a journal from [{"account": "...", "amount": "12.50"}, ...]. Repeating a call
-- with the same key returns the first journal instead of booking twice.
CREATE FUNCTION post(key text, memo text, entries jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = ledger AS $$
DECLARE
    new_id bigint;
BEGIN
    INSERT INTO journal (idempotency_key, memo) VALUES (key, post.memo)
    ON CONFLICT (idempotency_key) DO NOTHING
    RETURNING journal_id INTO new_id;
    IF new_id IS NULL THEN
        RETURN (SELECT journal_id FROM journal WHERE idempotency_key = key);
    END IF;

    INSERT INTO line (journal_id, line_no, account_id, currency, amount)
    SELECT new_id, e.position, a.account_id, a.currency, (e.entry ->> 'amount')::numeric
    FROM jsonb_array_elements(entries) WITH ORDINALITY AS e (entry, position)
    LEFT JOIN account AS a ON a.code = e.entry ->> 'account';  -- unknown code: NOT NULL fails
    RETURN new_id;
END;
$$;

CREATE VIEW statement AS
SELECT a.code, j.booked_at, j.memo, l.amount, l.currency,
       sum(l.amount) OVER (PARTITION BY a.account_id ORDER BY j.booked_at, j.journal_id, l.line_no)
           AS balance_after
FROM line AS l
JOIN journal AS j USING (journal_id)
JOIN account AS a USING (account_id);

COMMIT;

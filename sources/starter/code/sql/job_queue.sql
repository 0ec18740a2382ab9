-- A job queue inside PostgreSQL: priorities, delayed starts, retries with backoff,
-- one-at-a-time keys, and wake-ups through NOTIFY instead of polling.

CREATE TYPE job_state AS ENUM ('ready', 'running', 'done', 'dead');

CREATE TABLE job (
    job_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue         text NOT NULL DEFAULT 'default',
    kind          text NOT NULL,
    args          jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(args) = 'object'),
    priority      smallint NOT NULL DEFAULT 0,
    state         job_state NOT NULL DEFAULT 'ready',
    run_at        timestamptz NOT NULL DEFAULT now(),
    attempts      int NOT NULL DEFAULT 0,
    max_attempts  int NOT NULL DEFAULT 8 CHECK (max_attempts > 0),
    dedupe_key    text,
    serial_key    text,
    worker        text,
    heartbeat_at  timestamptz,
    last_error    text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    CHECK ((state = 'running') = (worker IS NOT NULL)),
    CHECK ((state IN ('done', 'dead')) = (finished_at IS NOT NULL))
) WITH (fillfactor = 80);  -- leaves room for in-page updates of hot rows

-- Only live rows are indexed, so the index stays small however long history grows.
CREATE INDEX job_next ON job (queue, priority DESC, run_at, job_id) WHERE state = 'ready';
CREATE INDEX job_silent ON job (heartbeat_at) WHERE state = 'running';
CREATE UNIQUE INDEX job_dedupe ON job (queue, dedupe_key) WHERE state = 'ready';
CREATE UNIQUE INDEX job_serial ON job (serial_key) WHERE state = 'running';

CREATE FUNCTION job_announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'ready' AND NEW.run_at <= now() THEN
        -- Equal payloads within one transaction are merged by the server.
        PERFORM pg_notify('job_ready', NEW.queue);
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER job_announce AFTER INSERT OR UPDATE OF state, run_at ON job
    FOR EACH ROW EXECUTE FUNCTION job_announce();

-- A second request for a job that still waits only moves it forward.
CREATE FUNCTION job_enqueue(
    p_kind text, p_args jsonb DEFAULT '{}', p_queue text DEFAULT 'default',
    p_priority int DEFAULT 0, p_delay interval DEFAULT '0', p_dedupe text DEFAULT NULL,
    p_serial text DEFAULT NULL
) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO job AS j (kind, args, queue, priority, run_at, dedupe_key, serial_key)
    VALUES (p_kind, p_args, p_queue, p_priority::smallint, now() + p_delay, p_dedupe, p_serial)
    ON CONFLICT (queue, dedupe_key) WHERE state = 'ready' DO UPDATE
    SET run_at = least(j.run_at, excluded.run_at),
        priority = greatest(j.priority, excluded.priority),
        args = excluded.args
    RETURNING job_id;
$$;

CREATE FUNCTION job_claim(p_worker text, p_queues text[], p_limit int DEFAULT 1)
RETURNS SETOF job LANGUAGE sql AS $$
    WITH candidate AS MATERIALIZED (
        SELECT c.job_id, c.serial_key
        FROM job AS c
        WHERE c.state = 'ready' AND c.queue = ANY (p_queues) AND c.run_at <= now()
          AND NOT EXISTS (SELECT FROM job AS r
                          WHERE r.state = 'running' AND r.serial_key = c.serial_key)
          -- Two workers may see the same idle key; the advisory lock lets one pass.
          AND (c.serial_key IS NULL OR pg_try_advisory_xact_lock(hashtextextended(c.serial_key, 0)))
        ORDER BY c.priority DESC, c.run_at, c.job_id
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ),
    chosen AS (
        SELECT DISTINCT ON (coalesce(serial_key, job_id::text)) job_id
        FROM candidate
        ORDER BY coalesce(serial_key, job_id::text), job_id
    )
    UPDATE job AS j
    SET state = 'running', worker = p_worker, attempts = j.attempts + 1, heartbeat_at = now()
    FROM chosen
    WHERE j.job_id = chosen.job_id
    RETURNING j.*;
$$;

-- Reports success or failure. False means the job was taken away meanwhile, and the
-- worker must discard what it did.
CREATE FUNCTION job_finish(p_job bigint, p_worker text, p_error text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE job
    SET state = CASE WHEN p_error IS NULL THEN 'done'
                     WHEN attempts >= max_attempts THEN 'dead'
                     ELSE 'ready' END::job_state,
        finished_at = CASE WHEN p_error IS NULL OR attempts >= max_attempts THEN now() END,
        -- 15 s, 1 min, 4 min, 16 min ... up to six hours, plus up to a fifth at random.
        run_at = CASE WHEN p_error IS NULL THEN run_at
                      ELSE now() + least(interval '15 s' * 4 ^ (attempts - 1), interval '6 hours')
                                   * (1 + random() / 5) END,
        last_error = coalesce(left(p_error, 4000), last_error),
        worker = NULL,
        heartbeat_at = NULL,
        dedupe_key = CASE WHEN p_error IS NULL THEN dedupe_key END
    WHERE job_id = p_job AND worker = p_worker AND state = 'running';
    RETURN FOUND;
END;
$$;

-- Run every minute: workers that fell silent lose their jobs.
CREATE FUNCTION job_reap(p_silence interval DEFAULT '2 minutes') RETURNS int
LANGUAGE sql AS $$
    WITH lost AS (
        SELECT job_id, worker FROM job
        WHERE state = 'running' AND heartbeat_at < now() - p_silence
        FOR UPDATE SKIP LOCKED
    )
    SELECT count(*) FILTER (WHERE job_finish(job_id, worker, 'worker ' || worker || ' fell silent'))::int
    FROM lost;
$$;

CREATE VIEW queue_health AS
SELECT queue,
       count(*) FILTER (WHERE state = 'ready' AND run_at <= now())                    AS waiting,
       count(*) FILTER (WHERE state = 'ready' AND run_at > now())                     AS delayed,
       count(*) FILTER (WHERE state = 'running')                                      AS running,
       count(*) FILTER (WHERE state = 'dead' AND finished_at > now() - interval '1 d') AS died_today,
       max(now() - run_at) FILTER (WHERE state = 'ready' AND run_at <= now())         AS oldest_wait
FROM job
GROUP BY queue;

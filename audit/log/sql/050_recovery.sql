-- Recovery of a frozen log. Two ways out, and the database takes no other: its tree comes to what was known outside (the exact
-- entries are inserted again), or a new log with another name begins after it and the old one stays as it is for ever.
-- Only log_owner can go them, as the migrate role; app, sequencer and signer cannot.
SET LOCAL ROLE @log_owner@;

-- The logs of this installation, one after the other. `base` is log.leaf.idx of entry 0: leaves are numbered through, so an old
-- log and its successor lie in the same tables, and nothing is moved.
CREATE TABLE log.origin (
    number integer PRIMARY KEY CHECK (number >= 1),
    base   bigint NOT NULL CHECK (base >= 0),
    at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO log.origin (number, base) VALUES (1, 0);

ALTER TABLE log.checkpoint ADD COLUMN origin integer NOT NULL DEFAULT 1 REFERENCES log.origin;
ALTER TABLE log.tile ADD COLUMN origin integer NOT NULL DEFAULT 1 REFERENCES log.origin;
ALTER TABLE log.tile DROP CONSTRAINT tile_pkey, ADD PRIMARY KEY (origin, level, n);
ALTER TABLE logwork.step ADD COLUMN origin integer NOT NULL DEFAULT 1 REFERENCES log.origin;
ALTER TABLE logwork.step DROP CONSTRAINT step_pkey, ADD PRIMARY KEY (origin, size);

-- Where an entry is: in which log, and its index there.
CREATE VIEW log.place AS
    SELECT l.idx, l.entry_id, o.number AS origin, l.idx - o.base AS index
    FROM log.leaf l
    CROSS JOIN LATERAL (SELECT r.number, r.base FROM log.origin r WHERE r.base <= l.idx ORDER BY r.number DESC LIMIT 1) o;

-- One line for every time that a frozen log went on.
CREATE TABLE logwork.recovery (
    frozen_at timestamptz PRIMARY KEY,
    reason    text NOT NULL,
    size      bigint NOT NULL,
    root      bytea NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Whatever is written belongs to the log that is open; the earlier ones get no more checkpoints, tiles or steps.
CREATE FUNCTION log.of_current_origin() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT o.number INTO STRICT NEW.origin FROM log.origin o ORDER BY o.number DESC LIMIT 1;
    RETURN NEW;
END $$;

CREATE FUNCTION log.origins_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (NEW.number = (SELECT max(o.number) + 1 FROM log.origin o)
        AND NEW.base = (SELECT coalesce(max(l.idx) + 1, 0) FROM log.leaf l)) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'A log is succeeded by the next number, after its last leaf.';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION logwork.forward() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    o     log.origin;
    next_ bigint;
BEGIN
    SELECT * INTO STRICT o FROM log.origin r ORDER BY r.number DESC LIMIT 1;
    SELECT coalesce(max(l.idx) + 1, 0) INTO STRICT next_ FROM log.leaf l;
    IF (TG_OP = 'UPDATE' AND NEW.size = next_ - o.base
        AND ((NEW.size > OLD.size AND EXISTS (SELECT FROM logwork.step s WHERE s.origin = o.number AND s.size = NEW.size AND s.root = NEW.root))
            OR (NEW.size = 0 AND NEW.root = sha256('')))) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'The head of the log only grows, by the leaves that are there.';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION log.checkpoint_within_tree() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (EXISTS (SELECT FROM logwork.step s WHERE s.origin = NEW.origin AND s.size = NEW.size AND s.root = NEW.root)
        AND split_part(NEW.note, chr(10), 2) = NEW.size::text
        AND split_part(NEW.note, chr(10), 3) = encode(NEW.root, 'base64')) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'The checkpoint does not fit the tree.';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION log.leaves_continue() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    size_ bigint;
    o     log.origin;
    added record;
BEGIN
    SELECT h.size INTO STRICT size_ FROM logwork.head h;
    SELECT * INTO STRICT o FROM log.origin r ORDER BY r.number DESC LIMIT 1;
    SELECT min(f.idx) AS first, max(f.idx) AS last, count(*) AS leaves INTO added FROM fresh f;
    IF added.leaves = 0 THEN
        RETURN NULL;
    END IF;
    IF (added.first = o.base + size_ AND added.last = o.base + size_ + added.leaves - 1 AND NOT EXISTS (SELECT FROM logwork.frozen)) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'Leaves continue the tree where it ends, and not while it is frozen.';
    END IF;
    IF logwork.is_cleared() IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'The signer has not compared this database with what is known outside: no leaf is added.';
    END IF;
    IF size_ = 0 AND o.number > 1 AND NOT EXISTS (
        SELECT FROM fresh f JOIN log.entry e ON e.id = f.entry_id WHERE f.idx = o.base AND e.type = 'log:origin:succeeded') THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'A log that succeeds another begins by saying so.';
    END IF;
    RETURN NULL;
END $$;

-- A frozen log goes on only when its tree holds what was known outside, or when it is succeeded. Asked when the transaction ends.
CREATE FUNCTION logwork.unfrozen_rightly() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM log.origin o WHERE o.number > 1 AND o.at > OLD.at) THEN
        RETURN NULL;
    END IF;
    IF (TG_OP = 'DELETE' AND EXISTS (
        SELECT FROM logwork.recovery r
        JOIN logwork.step s ON s.size = r.size AND s.root = r.root AND s.origin = (SELECT max(o.number) FROM log.origin o)
        WHERE r.frozen_at = OLD.at AND r.size >= coalesce(OLD.known_size, 0)
            AND r.size >= (SELECT coalesce(max(c.size), 0) FROM log.checkpoint c WHERE c.origin = s.origin)
            AND (OLD.known_size IS NULL OR OLD.known_size = 0 OR EXISTS (
                SELECT FROM logwork.step k WHERE k.origin = s.origin AND k.size = OLD.known_size AND k.root = OLD.known_root))
    )) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'A frozen log goes on only when it holds what is known of it outside, or is succeeded by another.';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION logwork.clear(p_size bigint, p_root bytea, p_seconds integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM logwork.frozen) THEN
        RAISE EXCEPTION USING ERRCODE = 'GC503', MESSAGE = 'The log is frozen: nothing can be recorded until it is recovered.';
    END IF;
    IF (p_seconds BETWEEN 1 AND 3600) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = 'A clearance lasts 1 to 3600 seconds.';
    END IF;
    IF ((p_size = 0 AND p_root = sha256('')) OR EXISTS (SELECT FROM logwork.step s
        WHERE s.origin = (SELECT max(o.number) FROM log.origin o) AND s.size = p_size AND s.root = p_root)) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'The tree that was compared is not the one in this database.';
    END IF;
    INSERT INTO logwork.clearance (incarnation, until)
    VALUES (logwork.incarnation(), clock_timestamp() + make_interval(secs => p_seconds))
    ON CONFLICT (one) DO UPDATE SET incarnation = excluded.incarnation, until = CASE
        WHEN clearance.incarnation = excluded.incarnation THEN greatest(clearance.until, excluded.until) ELSE excluded.until END;
END $$;

CREATE OR REPLACE FUNCTION log.covered(p_uid uuid) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT convert_from(e.body, 'UTF8')::jsonb
    FROM log.entry e JOIN log.place f ON f.entry_id = e.id
    WHERE e.uid = p_uid AND f.index < (SELECT max(c.size) FROM log.checkpoint c WHERE c.origin = f.origin)
$$;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['log.origin', 'logwork.recovery'] LOOP
        EXECUTE format('CREATE TRIGGER immutable_row BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION log.immutable()', t);
        EXECUTE format('CREATE TRIGGER immutable_all BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION log.immutable()', t);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER immutable_row', t);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER immutable_all', t);
    END LOOP;
    -- Before `within_tree`, which compares with the origin: triggers of one kind run in the order of their names.
    FOREACH t IN ARRAY ARRAY['log.checkpoint', 'log.tile', 'logwork.step'] LOOP
        EXECUTE format('CREATE TRIGGER of_current_origin BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION log.of_current_origin()', t);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER of_current_origin', t);
    END LOOP;
END $$;
CREATE TRIGGER origins_follow BEFORE INSERT ON log.origin FOR EACH ROW EXECUTE FUNCTION log.origins_follow();
CREATE CONSTRAINT TRIGGER unfrozen_rightly AFTER UPDATE OR DELETE ON logwork.frozen
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION logwork.unfrozen_rightly();
CREATE TRIGGER immutable_all BEFORE TRUNCATE ON logwork.frozen FOR EACH STATEMENT EXECUTE FUNCTION log.immutable();
ALTER TABLE log.origin ENABLE ALWAYS TRIGGER origins_follow;
ALTER TABLE logwork.frozen ENABLE ALWAYS TRIGGER unfrozen_rightly;
ALTER TABLE logwork.frozen ENABLE ALWAYS TRIGGER immutable_all;

REVOKE ALL ON FUNCTION log.of_current_origin(), log.origins_follow(), logwork.unfrozen_rightly() FROM PUBLIC;
GRANT SELECT ON log.origin, log.place TO @app@, @sequencer@, @signer@, @witness_client@, @notifier@, @reader@;

RESET ROLE;

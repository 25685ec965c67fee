-- A database gets new leaves only while the signer clears it, after it has compared the tree with what is known outside. A
-- clearance lasts seconds and belongs to one running server, one database, one table: whatever a restore brings back was cleared
-- by nobody. Who waits for its index meanwhile waits in logwork.pending and is not lost.
SET LOCAL ROLE @log_owner@;

-- What somebody outside knows and this database does not: it can be unfrozen only when its tree has come to that.
ALTER TABLE logwork.frozen ADD COLUMN known_size bigint CHECK (known_size >= 0);
ALTER TABLE logwork.frozen ADD COLUMN known_root bytea CHECK (octet_length(known_root) = 32);

CREATE TABLE logwork.clearance (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    incarnation text NOT NULL,
    until       timestamptz NOT NULL
);

-- Differs after every start of a server, in every copy of a database, and after every restore of the table.
CREATE FUNCTION logwork.incarnation() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()),
        (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()), 'logwork.head'::regclass::oid)
$$;

CREATE FUNCTION logwork.is_cleared() RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM logwork.clearance c WHERE c.incarnation = logwork.incarnation() AND c.until > clock_timestamp())
$$;

-- For the signer: the tree with this head extends everything that is known of it.
CREATE FUNCTION logwork.clear(p_size bigint, p_root bytea, p_seconds integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM logwork.frozen) THEN
        RAISE EXCEPTION USING ERRCODE = 'GC503', MESSAGE = 'The log is frozen: nothing can be recorded until it is recovered.';
    END IF;
    IF (p_seconds BETWEEN 1 AND 3600) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = 'A clearance lasts 1 to 3600 seconds.';
    END IF;
    IF ((p_size = 0 AND p_root = sha256('')) OR EXISTS (SELECT FROM logwork.step s WHERE s.size = p_size AND s.root = p_root)) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'The tree that was compared is not the one in this database.';
    END IF;
    INSERT INTO logwork.clearance (incarnation, until)
    VALUES (logwork.incarnation(), clock_timestamp() + make_interval(secs => p_seconds))
    ON CONFLICT (one) DO UPDATE SET incarnation = excluded.incarnation, until = CASE
        WHEN clearance.incarnation = excluded.incarnation THEN greatest(clearance.until, excluded.until) ELSE excluded.until END;
END $$;

CREATE FUNCTION logwork.freeze(p_reason text, p_size bigint, p_root bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO logwork.frozen (reason, known_size, known_root) VALUES (left(p_reason, 400), p_size, p_root) ON CONFLICT (one) DO NOTHING;
END $$;

-- Leaves continue the tree without a gap, not while it is frozen, and not before the database was compared.
CREATE OR REPLACE FUNCTION log.leaves_continue() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    size_ bigint;
    added record;
BEGIN
    SELECT h.size INTO STRICT size_ FROM logwork.head h;
    SELECT min(f.idx) AS first, max(f.idx) AS last, count(*) AS leaves INTO added FROM fresh f;
    IF added.leaves = 0 THEN
        RETURN NULL;
    END IF;
    IF (added.first = size_ AND added.last = size_ + added.leaves - 1 AND NOT EXISTS (SELECT FROM logwork.frozen)) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'Leaves continue the tree where it ends, and not while it is frozen.';
    END IF;
    IF logwork.is_cleared() IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'The signer has not compared this database with what is known outside: no leaf is added.';
    END IF;
    RETURN NULL;
END $$;

REVOKE ALL ON FUNCTION logwork.incarnation(), logwork.is_cleared(), logwork.clear(bigint, bytea, integer), logwork.freeze(text, bigint, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION logwork.is_cleared() TO @sequencer@, @signer@, @app@, @reader@;
GRANT EXECUTE ON FUNCTION logwork.clear(bigint, bytea, integer), logwork.freeze(text, bigint, bytea) TO @signer@;

RESET ROLE;

-- The log: entries, their place in the tree, full tiles and checkpoints. Append-only without exception.
-- Owned by a role that nobody can log in as. No foreign keys to or from Django's tables: ON DELETE runs with the owner's rights.
SET LOCAL ROLE @log_owner@;

CREATE TABLE log.event_type (
    type     text PRIMARY KEY,
    writer   text NOT NULL,
    fields   jsonb NOT NULL,      -- field -> kind, envelope included
    required text[] NOT NULL,
    commits  text[] NOT NULL
);

CREATE TABLE log.entry (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- has gaps; it is not the log index
    uid       uuid NOT NULL UNIQUE,
    type      text NOT NULL REFERENCES log.event_type,
    request   uuid,
    at        bigint NOT NULL,                                  -- milliseconds, as in the entry
    body      bytea NOT NULL CHECK (octet_length(body) BETWEEN 2 AND 4096),
    leaf_hash bytea NOT NULL GENERATED ALWAYS AS (sha256(decode('00', 'hex') || body)) STORED
);
CREATE INDEX entry_request ON log.entry (request, type) WHERE request IS NOT NULL;
CREATE INDEX entry_type ON log.entry (type, id);

CREATE TABLE log.leaf (
    idx      bigint PRIMARY KEY CHECK (idx >= 0),               -- dense: the log index
    entry_id bigint NOT NULL UNIQUE REFERENCES log.entry
);

CREATE TABLE log.tile (                                         -- full tiles only; the rest is derived
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    n     bigint NOT NULL CHECK (n >= 0),
    data  bytea NOT NULL CHECK (octet_length(data) = 8192),
    root  bytea NOT NULL CHECK (octet_length(root) = 32),
    PRIMARY KEY (level, n)
);

CREATE TABLE log.checkpoint (
    size bigint NOT NULL CHECK (size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    note text NOT NULL CHECK (octet_length(note) < 65536),
    at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (size, at)
);

CREATE TABLE logwork.pending (
    entry_id bigint PRIMARY KEY REFERENCES log.entry,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE logwork.head (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    size bigint NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32)
);
INSERT INTO logwork.head VALUES (true, 0, sha256(''));

-- Every size that the tree has had after a step of the sequencer: a checkpoint is of one of these.
CREATE TABLE logwork.step (
    size bigint PRIMARY KEY,
    root bytea NOT NULL CHECK (octet_length(root) = 32)
);

CREATE TABLE logwork.frozen (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    reason text NOT NULL CHECK (octet_length(reason) < 500),
    at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION log.immutable() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'GC403',
        MESSAGE = format('The log is append-only: %s on %s.%s is refused.', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME);
END $$;

CREATE FUNCTION logwork.forward() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (TG_OP = 'UPDATE' AND NEW.size > OLD.size AND NEW.size = (SELECT max(l.idx) + 1 FROM log.leaf l)
        AND EXISTS (SELECT FROM logwork.step s WHERE s.size = NEW.size AND s.root = NEW.root)) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'The head of the log only grows, by the leaves that are there.';
    END IF;
    RETURN NEW;
END $$;

-- A checkpoint is of a tree that the sequencer made, and its note says so. Whether the note is signed, SQL cannot tell: signer,
-- workers and everybody who serves or exports it verify that.
CREATE FUNCTION log.checkpoint_within_tree() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (EXISTS (SELECT FROM logwork.step s WHERE s.size = NEW.size AND s.root = NEW.root)
        AND split_part(NEW.note, chr(10), 2) = NEW.size::text
        AND split_part(NEW.note, chr(10), 3) = encode(NEW.root, 'base64')) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'The checkpoint does not fit the tree.';
    END IF;
    RETURN NEW;
END $$;

-- Leaves continue the tree without a gap, and not while it is frozen.
CREATE FUNCTION log.leaves_continue() RETURNS trigger
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
    RETURN NULL;
END $$;

-- An entry leaves the waiting list only into the tree: otherwise whoever sequences could hide it for ever.
CREATE FUNCTION logwork.only_into_the_tree() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM gone g WHERE NOT EXISTS (SELECT FROM log.leaf l WHERE l.entry_id = g.entry_id)) THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'An entry leaves the waiting list only into the tree.';
    END IF;
    RETURN NULL;
END $$;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['log.entry', 'log.leaf', 'log.tile', 'log.checkpoint', 'logwork.step'] LOOP
        EXECUTE format('CREATE TRIGGER immutable_row BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION log.immutable()', t);
        EXECUTE format('CREATE TRIGGER immutable_all BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION log.immutable()', t);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER immutable_row', t);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER immutable_all', t);
    END LOOP;
END $$;
CREATE TRIGGER forward BEFORE UPDATE OR DELETE ON logwork.head FOR EACH ROW EXECUTE FUNCTION logwork.forward();
CREATE TRIGGER forward_all BEFORE TRUNCATE ON logwork.head FOR EACH STATEMENT EXECUTE FUNCTION log.immutable();
CREATE TRIGGER leaves_continue AFTER INSERT ON log.leaf
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION log.leaves_continue();
CREATE TRIGGER only_into_the_tree AFTER DELETE ON logwork.pending
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION logwork.only_into_the_tree();
CREATE TRIGGER within_tree BEFORE INSERT ON log.checkpoint FOR EACH ROW EXECUTE FUNCTION log.checkpoint_within_tree();
ALTER TABLE logwork.head ENABLE ALWAYS TRIGGER forward;
ALTER TABLE logwork.head ENABLE ALWAYS TRIGGER forward_all;
ALTER TABLE log.checkpoint ENABLE ALWAYS TRIGGER within_tree;
ALTER TABLE log.leaf ENABLE ALWAYS TRIGGER leaves_continue;
ALTER TABLE logwork.pending ENABLE ALWAYS TRIGGER only_into_the_tree;

GRANT USAGE ON SCHEMA log TO @app@, @sequencer@, @signer@, @witness_client@, @notifier@, @reader@, @migrate@, @gate_owner@, @gallery_owner@, @vault_owner@;
GRANT USAGE ON SCHEMA logwork TO @app@, @sequencer@, @signer@, @reader@;
GRANT SELECT ON log.event_type, log.entry, log.leaf, log.tile, log.checkpoint TO @app@, @sequencer@, @signer@, @witness_client@, @notifier@, @reader@;
GRANT SELECT ON logwork.head, logwork.step, logwork.pending, logwork.frozen TO @app@, @sequencer@, @signer@, @reader@;
GRANT INSERT ON log.leaf, log.tile, logwork.step TO @sequencer@;
GRANT DELETE ON logwork.pending TO @sequencer@;
GRANT UPDATE (size, root) ON logwork.head TO @sequencer@;
GRANT INSERT (size, root, note) ON log.checkpoint TO @signer@;

RESET ROLE;

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
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (TG_OP = 'UPDATE' AND NEW.size > OLD.size) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'The head of the log only grows.';
    END IF;
    RETURN NEW;
END $$;

-- A checkpoint never claims more than the sequencer has put into the tree.
CREATE FUNCTION log.checkpoint_within_tree() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head logwork.head;
BEGIN
    SELECT * INTO STRICT head FROM logwork.head;
    IF (NEW.size < head.size OR (NEW.size = head.size AND NEW.root = head.root)) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'The checkpoint does not fit the tree.';
    END IF;
    RETURN NEW;
END $$;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['log.entry', 'log.leaf', 'log.tile', 'log.checkpoint'] LOOP
        EXECUTE format('CREATE TRIGGER immutable_row BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION log.immutable()', t);
        EXECUTE format('CREATE TRIGGER immutable_all BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION log.immutable()', t);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER immutable_row', t);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER immutable_all', t);
    END LOOP;
END $$;
CREATE TRIGGER forward BEFORE UPDATE OR DELETE ON logwork.head FOR EACH ROW EXECUTE FUNCTION logwork.forward();
CREATE TRIGGER forward_all BEFORE TRUNCATE ON logwork.head FOR EACH STATEMENT EXECUTE FUNCTION log.immutable();
CREATE TRIGGER within_tree BEFORE INSERT ON log.checkpoint FOR EACH ROW EXECUTE FUNCTION log.checkpoint_within_tree();
ALTER TABLE logwork.head ENABLE ALWAYS TRIGGER forward;
ALTER TABLE logwork.head ENABLE ALWAYS TRIGGER forward_all;
ALTER TABLE log.checkpoint ENABLE ALWAYS TRIGGER within_tree;

GRANT USAGE ON SCHEMA log TO @app@, @sequencer@, @signer@, @witness_client@, @notifier@, @reader@, @migrate@, @gate_owner@, @gallery_owner@, @vault_owner@;
GRANT USAGE ON SCHEMA logwork TO @app@, @sequencer@, @signer@, @reader@;
GRANT SELECT ON log.event_type, log.entry, log.leaf, log.tile, log.checkpoint TO @app@, @sequencer@, @signer@, @witness_client@, @notifier@, @reader@;
GRANT SELECT ON logwork.head, logwork.pending, logwork.frozen TO @app@, @sequencer@, @signer@, @reader@;
GRANT INSERT ON log.leaf, log.tile TO @sequencer@;
GRANT DELETE ON logwork.pending TO @sequencer@;
GRANT UPDATE (size, root) ON logwork.head TO @sequencer@;
GRANT INSERT (size, root, note) ON log.checkpoint TO @signer@;

RESET ROLE;

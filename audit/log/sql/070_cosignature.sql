-- Cosignatures of witnesses, how many of them the log needs, and which entries are covered under that rule. Whether a cosignature
-- is right, SQL cannot tell: here it is counted under the role that recorded it; workers and everybody who serves, exports or
-- reads the log verify it.
SET LOCAL ROLE @log_owner@;

CREATE TABLE log.cosignature (
    origin   integer NOT NULL REFERENCES log.origin,               -- of which log: that of the checkpoint
    size     bigint NOT NULL,
    root     bytea NOT NULL CHECK (octet_length(root) = 32),
    witness  text NOT NULL CHECK (octet_length(witness) < 1000),   -- its verifier key
    cosigned bigint NOT NULL CHECK (cosigned >= 0),                -- Unix seconds, as the witness signed them
    line     text NOT NULL CHECK (octet_length(line) < 2000),      -- the signature line, without its newline
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The line too: a forged one of the same second does not keep the right one out.
    PRIMARY KEY (origin, size, root, witness, cosigned, line)
);
CREATE INDEX cosignature_witness ON log.cosignature (witness, origin, size, at);

-- A cosignature is of a recorded checkpoint, and its line is one by the witness's key at that time.
CREATE FUNCTION log.cosignature_fits() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name_   text := split_part(NEW.witness, '+', 1);
    id_     text := split_part(NEW.witness, '+', 2);
    typed   bytea;
    payload bytea;
BEGIN
    SELECT max(c.origin) INTO NEW.origin FROM log.checkpoint c WHERE c.size = NEW.size AND c.root = NEW.root;
    IF NEW.origin IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'The cosignature is not of a recorded checkpoint.';
    END IF;
    BEGIN
        typed := decode(substr(NEW.witness, length(name_) + 11), 'base64');
        payload := decode(split_part(NEW.line, ' ', 3), 'base64');
    EXCEPTION WHEN OTHERS THEN
        payload := NULL;
    END;
    IF (name_ <> '' AND octet_length(typed) = 33 AND get_byte(typed, 0) = 4
        AND encode(substr(sha256(convert_to(name_, 'UTF8') || decode('0a', 'hex') || typed), 1, 4), 'hex') = id_
        AND NEW.line = chr(8212) || ' ' || name_ || ' ' || split_part(NEW.line, ' ', 3)
        AND octet_length(payload) = 76
        AND encode(substr(payload, 1, 4), 'hex') = id_
        AND ('x' || encode(substr(payload, 5, 8), 'hex'))::bit(64)::bigint = NEW.cosigned) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'The cosignature is not a line by the key of this witness.';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER immutable_row BEFORE UPDATE OR DELETE ON log.cosignature FOR EACH ROW EXECUTE FUNCTION log.immutable();
CREATE TRIGGER immutable_all BEFORE TRUNCATE ON log.cosignature FOR EACH STATEMENT EXECUTE FUNCTION log.immutable();
CREATE TRIGGER fits BEFORE INSERT ON log.cosignature FOR EACH ROW EXECUTE FUNCTION log.cosignature_fits();
ALTER TABLE log.cosignature ENABLE ALWAYS TRIGGER immutable_row;
ALTER TABLE log.cosignature ENABLE ALWAYS TRIGGER immutable_all;
ALTER TABLE log.cosignature ENABLE ALWAYS TRIGGER fits;

-- What the gate's settings say about witnesses: how many have to cosign (0: none), and for how many minutes after so many were
-- last seen the signer's word alone suffices.
CREATE TABLE logwork.quorum (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    witnesses     integer NOT NULL CHECK (witnesses >= 0),
    grace_minutes integer NOT NULL CHECK (grace_minutes >= 0)
);
INSERT INTO logwork.quorum VALUES (true, 0, 0);

CREATE FUNCTION logwork.set_quorum(p_witnesses integer, p_grace_minutes integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE logwork.quorum SET witnesses = p_witnesses, grace_minutes = p_grace_minutes;
END $$;

-- When the largest tree of the open log that so many witnesses have cosigned was last cosigned by so many; NULL: there is none.
CREATE FUNCTION logwork.quorum_met_at(p_witnesses integer) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (SELECT w.at FROM (SELECT max(k.at) AS at FROM log.cosignature k
            WHERE k.origin = g.origin AND k.size = g.size AND k.root = g.root GROUP BY k.witness) w
        ORDER BY w.at DESC OFFSET p_witnesses - 1 LIMIT 1)
    FROM (SELECT k.origin, k.size, k.root FROM log.cosignature k WHERE k.origin = (SELECT max(o.number) FROM log.origin o)
        GROUP BY k.origin, k.size, k.root
        HAVING count(DISTINCT k.witness) >= p_witnesses ORDER BY k.origin DESC, k.size DESC, k.root DESC LIMIT 1) g
$$;

-- Whether the entry at this index of this log is under a checkpoint that counts.
CREATE FUNCTION logwork.covers(p_origin integer, p_index bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    q logwork.quorum;
BEGIN
    SELECT * INTO STRICT q FROM logwork.quorum;
    IF q.witnesses > 0 THEN
        IF EXISTS (SELECT FROM log.cosignature k WHERE k.origin = p_origin AND k.size > p_index GROUP BY k.size, k.root
            HAVING count(DISTINCT k.witness) >= q.witnesses ORDER BY k.size, k.root LIMIT 1)
        THEN
            RETURN true;
        END IF;
        IF (logwork.quorum_met_at(q.witnesses) > clock_timestamp() - make_interval(mins => q.grace_minutes)) IS NOT TRUE THEN
            RETURN false;
        END IF;
    END IF;
    RETURN coalesce(p_index < (SELECT max(c.size) FROM log.checkpoint c WHERE c.origin = p_origin), false);
END $$;

-- The entry when a checkpoint that counts covers it, else NULL: only such an entry has a receipt.
CREATE OR REPLACE FUNCTION log.covered(p_uid uuid) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT convert_from(e.body, 'UTF8')::jsonb
    FROM log.entry e JOIN log.place f ON f.entry_id = e.id
    WHERE e.uid = p_uid AND logwork.covers(f.origin, f.index)
$$;

-- That the quorum was lost, or came back, is said once, also by two clients at once; NULL when it is said already.
CREATE FUNCTION log.append_as_witness_client(p_body bytea) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text := substring(convert_from(p_body, 'UTF8') FROM '"type":"(log:quorum:(lost|restored))"');
    last text;
BEGIN
    IF kind IS NOT NULL THEN
        PERFORM FROM logwork.quorum FOR UPDATE;
        SELECT e.type INTO last FROM log.entry e WHERE e.type IN ('log:quorum:lost', 'log:quorum:restored') ORDER BY e.id DESC LIMIT 1;
        IF kind = coalesce(last, 'log:quorum:restored') THEN
            RETURN NULL;
        END IF;
    END IF;
    RETURN log.accept(p_body, 'witness_client');
END $$;

REVOKE ALL ON FUNCTION log.cosignature_fits(), logwork.set_quorum(integer, integer), logwork.quorum_met_at(integer),
    logwork.covers(integer, bigint), log.append_as_witness_client(bytea) FROM PUBLIC;
GRANT USAGE ON SCHEMA logwork TO @witness_client@, @gate_owner@;
GRANT SELECT ON log.cosignature TO @app@, @signer@, @witness_client@, @reader@;
GRANT SELECT ON logwork.quorum TO @app@, @witness_client@, @reader@;
GRANT SELECT ON logwork.frozen TO @witness_client@;
GRANT INSERT (size, root, witness, cosigned, line) ON log.cosignature TO @witness_client@;
GRANT EXECUTE ON FUNCTION log.append_as_witness_client(bytea), logwork.freeze(text, bigint, bytea) TO @witness_client@;
GRANT EXECUTE ON FUNCTION logwork.set_quorum(integer, integer) TO @gate_owner@;

RESET ROLE;

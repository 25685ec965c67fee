-- Personal values behind the commitments of entries. The application encrypts them under keys that are not in the database;
-- here they are only kept, handed out against an entry of the reading, and erased.
SET LOCAL ROLE @vault_owner@;

CREATE TABLE vault.sealed (
    entry  uuid NOT NULL,
    field  text NOT NULL,
    record uuid NOT NULL,
    sealed bytea NOT NULL CHECK (octet_length(sealed) < 100000),
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (entry, field)
);
ALTER TABLE vault.sealed ALTER COLUMN sealed SET STATISTICS 0;
CREATE INDEX sealed_record ON vault.sealed (record);

CREATE FUNCTION vault.put(p_entry uuid, p_field text, p_record uuid, p_sealed bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Beside the entry's own transaction only: nobody adds values to entries that are in the tree.
    IF (p_entry IS NOT NULL AND p_record IS NOT NULL AND p_sealed IS NOT NULL AND log.sequenced(p_entry) IS NULL) IS NOT TRUE THEN
        PERFORM gate.refuse('vault', 'Values are put into the vault together with their entry.');
    END IF;
    INSERT INTO vault.sealed (entry, field, record, sealed) VALUES (p_entry, p_field, p_record, p_sealed);
EXCEPTION WHEN unique_violation THEN
    PERFORM gate.refuse('vault', 'This value is in the vault already.');
END $$;

-- `view` is a vault:record:viewed entry in the tree that names the entry whose values are opened, less than ten minutes old; only
-- who filed it has the secret of its claim.
CREATE FUNCTION vault.get(p_view uuid, p_secret bytea) RETURNS TABLE (entry uuid, field text, record uuid, sealed bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e jsonb;
BEGIN
    e := log.sequenced(p_view);
    IF (e IS NOT NULL AND e ->> 'type' = 'vault:record:viewed' AND sha256(p_secret) = decode(e ->> 'claim', 'hex')
        AND (e ->> 'at')::bigint > floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint - 600000) IS NOT TRUE THEN
        PERFORM gate.refuse('view', 'Opening sealed values needs a fresh entry of the reading in the log first.');
    END IF;
    RETURN QUERY SELECT s.entry, s.field, s.record, s.sealed FROM vault.sealed s WHERE s.entry = (e ->> 'entry')::uuid ORDER BY s.field;
END $$;

CREATE FUNCTION vault.erase(p_record uuid, p_proposal uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who  uuid[];
    gone integer;
BEGIN
    who := gate.consume('vault:erase', jsonb_build_object('record', p_record), ARRAY[p_proposal], 1);
    IF (gate.is_held(p_record)) IS NOT FALSE THEN
        PERFORM gate.refuse('hold', 'A legal hold covers this record: nothing may be erased until it is lifted.');
    END IF;
    DELETE FROM vault.sealed WHERE record = p_record;
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM log.append_as_vault('vault:record:erased', jsonb_build_object('record', p_record, 'values', gone, 'approver', who[1]));
    RETURN gone;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA vault FROM PUBLIC;
GRANT USAGE ON SCHEMA vault TO @app@;
GRANT EXECUTE ON FUNCTION vault.put(uuid, text, uuid, bytea), vault.get(uuid, bytea), vault.erase(uuid, uuid) TO @app@;

RESET ROLE;

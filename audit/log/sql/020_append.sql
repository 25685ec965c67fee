-- The only ways into the log: one append wrapper per writer role. Each checks the whole entry against the registry and its
-- canonical form, so that nothing can enter the tree which a verifier would later reject.
-- No backslash stands in any literal here: standard_conforming_strings belongs to the caller.
SET LOCAL ROLE @log_owner@;

-- RFC 8785 for what entries may hold: one flat object of ASCII strings, integers, booleans, lists of strings, and one object.
CREATE FUNCTION log.canonical(entry jsonb) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT '{' || string_agg(
        to_json(key)::text || ':' || CASE jsonb_typeof(value)
            WHEN 'array' THEN (
                SELECT '[' || coalesce(string_agg(item::text, ',' ORDER BY place), '') || ']'
                FROM jsonb_array_elements(value) WITH ORDINALITY AS list (item, place))
            WHEN 'object' THEN (
                SELECT '{' || coalesce(string_agg(to_json(name)::text || ':' || item::text, ',' ORDER BY name COLLATE "C"), '') || '}'
                FROM jsonb_each(value) AS inside (name, item))
            ELSE value::text END,
        ',' ORDER BY key COLLATE "C") || '}'
    FROM jsonb_each(entry)
$$;

CREATE FUNCTION log.digest(entry jsonb) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT sha256(convert_to(log.canonical(entry), 'UTF8'))
$$;

CREATE FUNCTION log.fits(kind text, value jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE kind
        WHEN 'int' THEN jsonb_typeof(value) = 'number' AND value::text ~ '^(0|-?[1-9][0-9]{0,15})$'
            AND abs((value #>> '{}')::numeric) <= 9007199254740991
        WHEN 'bool' THEN jsonb_typeof(value) = 'boolean'
        WHEN 'id' THEN jsonb_typeof(value) = 'string' AND (value #>> '{}') ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
        WHEN 'hash' THEN jsonb_typeof(value) = 'string' AND (value #>> '{}') ~ '^[0-9a-f]{64}$'
        WHEN 'nonce' THEN jsonb_typeof(value) = 'string' AND (value #>> '{}') ~ '^[0-9a-f]{32}$'
        WHEN 'code' THEN jsonb_typeof(value) = 'string' AND (value #>> '{}') ~ '^[a-z0-9][a-z0-9_.:-]{0,79}$'
        WHEN 'ids' THEN jsonb_typeof(value) = 'array' AND jsonb_array_length(value) <= 64
            AND NOT EXISTS (SELECT FROM jsonb_array_elements(value) AS item WHERE log.fits('id', item) IS NOT TRUE)
        WHEN 'codes' THEN jsonb_typeof(value) = 'array' AND jsonb_array_length(value) <= 64
            AND NOT EXISTS (SELECT FROM jsonb_array_elements(value) AS item WHERE log.fits('code', item) IS NOT TRUE)
        ELSE false
    END
$$;

CREATE FUNCTION log.accept(p_body bytea, p_writer text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e       jsonb;
    t       log.event_type;
    c       jsonb;
    fresh   bigint;
    stamp   bigint;
BEGIN
    -- An older snapshot would not see that the log was frozen since.
    IF (current_setting('transaction_isolation') = 'read committed') IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', HINT = 'isolation', MESSAGE = 'Entries are taken under READ COMMITTED only.';
    END IF;
    IF EXISTS (SELECT FROM logwork.frozen) THEN
        RAISE EXCEPTION USING ERRCODE = 'GC503', MESSAGE = 'The log is frozen: nothing can be recorded until it is recovered.';
    END IF;
    BEGIN
        IF (octet_length(p_body) BETWEEN 2 AND 4096 AND convert_from(p_body, 'UTF8') IS JSON OBJECT WITH UNIQUE KEYS) IS NOT TRUE THEN
            RAISE EXCEPTION USING ERRCODE = 'GC422';
        END IF;
        e := convert_from(p_body, 'UTF8')::jsonb;
    EXCEPTION WHEN OTHERS THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = 'The entry is not a JSON object with unique keys of at most 4096 bytes.';
    END;
    SELECT * INTO t FROM log.event_type r WHERE r.type = e ->> 'type';
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = 'The event type is not in the registry.';
    END IF;
    IF (t.writer = p_writer) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = format('Entries of type %s are written by %s only.', t.type, t.writer);
    END IF;
    IF (e -> 'v' = to_jsonb(1)) IS NOT TRUE
        OR (e ?& t.required) IS NOT TRUE
        OR EXISTS (SELECT FROM jsonb_each(e - 'c') AS f (name, value) WHERE log.fits(t.fields ->> f.name, f.value) IS NOT TRUE)
    THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = format('The entry does not follow the registry of %s.', t.type);
    END IF;
    IF e ? 'c' THEN
        c := e -> 'c';
        IF (jsonb_typeof(c) = 'object' AND c <> '{}'::jsonb) IS NOT TRUE THEN
            RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = format('The commitments do not follow the registry of %s.', t.type);
        END IF;
        IF EXISTS (SELECT FROM jsonb_each(c) AS f (name, value) WHERE (f.name = ANY (t.commits) AND log.fits('hash', f.value)) IS NOT TRUE) THEN
            RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = format('The commitments do not follow the registry of %s.', t.type);
        END IF;
    END IF;
    IF (convert_to(log.canonical(e), 'UTF8') = p_body) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = 'The entry is not in canonical form (RFC 8785).';
    END IF;
    stamp := (e ->> 'at')::bigint;
    IF (abs(stamp - floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) <= 5000) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = 'The time of the entry is more than 5 seconds from the database clock.';
    END IF;
    BEGIN
        INSERT INTO log.entry (uid, type, request, at, body)
        VALUES ((e ->> 'id')::uuid, t.type, (e ->> 'request')::uuid, stamp, p_body)
        RETURNING id INTO fresh;
    EXCEPTION WHEN unique_violation THEN
        RAISE EXCEPTION USING ERRCODE = 'GC409', MESSAGE = 'An entry with this id is in the log already.';
    END;
    INSERT INTO logwork.pending (entry_id) VALUES (fresh);
    RETURN (e ->> 'id')::uuid;
END $$;

-- Entries that database functions write: the envelope is made here, from random bytes and the clock.
CREATE FUNCTION log.compose(p_type text, p_fields jsonb) RETURNS bytea
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT convert_to(log.canonical(jsonb_strip_nulls(p_fields) || jsonb_build_object(
        'v', 1,
        'type', p_type,
        'id', gen_random_uuid(),
        'at', floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,
        'nonce', encode(uuid_send(gen_random_uuid()), 'hex'))), 'UTF8')
$$;

-- SHA-256("glasscase/v1" 0x00 field 0x00 salt canonical-JSON value); the value comes as its canonical JSON text.
CREATE FUNCTION log.commitment(p_field text, p_salt bytea, p_value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT encode(sha256(convert_to('glasscase/v1', 'UTF8') || decode('00', 'hex') || convert_to(p_field, 'UTF8')
        || decode('00', 'hex') || p_salt || convert_to(p_value, 'UTF8')), 'hex')
$$;

CREATE FUNCTION log.append(p_body bytea) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT log.accept(p_body, 'app') $$;
CREATE FUNCTION log.append_as_signer(p_body bytea) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT log.accept(p_body, 'signer') $$;
CREATE FUNCTION log.append_as_notifier(p_body bytea) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT log.accept(p_body, 'notifier') $$;
CREATE FUNCTION log.append_as_migrate(p_body bytea) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT log.accept(p_body, 'migrate') $$;
CREATE FUNCTION log.append_as_gate(p_type text, p_fields jsonb) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT log.accept(log.compose(p_type, p_fields), 'gate_owner') $$;
CREATE FUNCTION log.append_as_gallery(p_type text, p_fields jsonb) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT log.accept(log.compose(p_type, p_fields), 'gallery_owner') $$;
CREATE FUNCTION log.append_as_vault(p_type text, p_fields jsonb) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT log.accept(log.compose(p_type, p_fields), 'vault_owner') $$;

-- The entry when the sequencer has put it into the tree, else NULL.
CREATE FUNCTION log.sequenced(p_uid uuid) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT convert_from(e.body, 'UTF8')::jsonb
    FROM log.entry e JOIN log.leaf f ON f.entry_id = e.id
    WHERE e.uid = p_uid
$$;

-- The entry when a checkpoint that the signer recorded covers it, else NULL: only such an entry has a receipt.
CREATE FUNCTION log.covered(p_uid uuid) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT convert_from(e.body, 'UTF8')::jsonb
    FROM log.entry e JOIN log.leaf f ON f.entry_id = e.id
    WHERE e.uid = p_uid AND f.idx < (SELECT max(size) FROM log.checkpoint)
$$;

CREATE FUNCTION logwork.freeze(p_reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO logwork.frozen (reason) VALUES (left(p_reason, 400)) ON CONFLICT (one) DO NOTHING;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA log FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA logwork FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.append(bytea) TO @app@;
GRANT EXECUTE ON FUNCTION log.append_as_signer(bytea) TO @signer@;
GRANT EXECUTE ON FUNCTION log.append_as_notifier(bytea) TO @notifier@;
GRANT EXECUTE ON FUNCTION log.append_as_migrate(bytea) TO @migrate@;
GRANT EXECUTE ON FUNCTION log.append_as_gate(text, jsonb), log.sequenced(uuid), log.covered(uuid) TO @gate_owner@;
GRANT EXECUTE ON FUNCTION log.append_as_gallery(text, jsonb) TO @gallery_owner@;
GRANT EXECUTE ON FUNCTION log.append_as_vault(text, jsonb), log.sequenced(uuid) TO @vault_owner@;
GRANT EXECUTE ON FUNCTION log.canonical(jsonb), log.digest(jsonb), log.commitment(text, bytea, text) TO @gate_owner@, @gallery_owner@, @vault_owner@;
GRANT EXECUTE ON FUNCTION logwork.freeze(text) TO @signer@;

RESET ROLE;

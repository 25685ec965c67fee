-- The checks of an entry in one pass over the fields that its type may have, in the order in which RFC 8785 writes them. They are
-- those of 020_append.sql, which looked at every field in a function of its own, about ten times slower.
SET LOCAL ROLE @log_owner@;

-- What the pass needs of a type, side by side: its fields in order, the kind of each, and whether it must be there. Where the type
-- has commitments, `c` stands among its fields. Made by the database from the registry, so nobody can fill in something else.
ALTER TABLE log.event_type ADD COLUMN names text[], ADD COLUMN kinds text[], ADD COLUMN needed boolean[];

CREATE FUNCTION log.lay_out() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT array_agg(f.name ORDER BY f.name COLLATE "C"),
           array_agg(f.kind ORDER BY f.name COLLATE "C"),
           array_agg(f.name = ANY (NEW.required) ORDER BY f.name COLLATE "C")
    INTO STRICT NEW.names, NEW.kinds, NEW.needed
    FROM (SELECT key AS name, value AS kind FROM jsonb_each_text(NEW.fields)
          UNION ALL SELECT 'c', 'commitments' WHERE cardinality(NEW.commits) > 0) AS f;
    IF (NEW.required <@ NEW.names AND NOT NEW.fields ? 'c') IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = format('The fields of %s do not fit each other.', NEW.type);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER lay_out BEFORE INSERT OR UPDATE ON log.event_type FOR EACH ROW EXECUTE FUNCTION log.lay_out();
ALTER TABLE log.event_type ENABLE ALWAYS TRIGGER lay_out;
UPDATE log.event_type SET type = type;
ALTER TABLE log.event_type
    ALTER COLUMN names SET NOT NULL, ALTER COLUMN kinds SET NOT NULL, ALTER COLUMN needed SET NOT NULL;

-- A foreign key locks the row that it points to. At 32 clients all of them queued for the row of one event type, to guard against
-- what cannot happen: entries come in by log.accept alone, which has read that row, and from now on no type is ever removed.
ALTER TABLE log.entry DROP CONSTRAINT entry_type_fkey;
CREATE TRIGGER immutable_row BEFORE DELETE ON log.event_type FOR EACH ROW EXECUTE FUNCTION log.immutable();
CREATE TRIGGER immutable_all BEFORE TRUNCATE ON log.event_type FOR EACH STATEMENT EXECUTE FUNCTION log.immutable();
ALTER TABLE log.event_type ENABLE ALWAYS TRIGGER immutable_row, ENABLE ALWAYS TRIGGER immutable_all;
-- Written by log.accept beside the entry, and no entry is ever removed either.
ALTER TABLE logwork.pending DROP CONSTRAINT pending_entry_id_fkey;
-- Asked for all leaves of a step at once instead.
ALTER TABLE log.leaf DROP CONSTRAINT leaf_entry_id_fkey;
CREATE FUNCTION log.leaves_are_entries() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM fresh f WHERE NOT EXISTS (SELECT FROM log.entry e WHERE e.id = f.entry_id)) THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'A leaf of the tree is an entry of the log.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER leaves_are_entries AFTER INSERT ON log.leaf
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION log.leaves_are_entries();
ALTER TABLE log.leaf ENABLE ALWAYS TRIGGER leaves_are_entries;

-- Runs inside the append wrappers alone, as their owner and with their settings: it needs none of its own.
CREATE OR REPLACE FUNCTION log.accept(p_body bytea, p_writer text) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    body  text;
    e     jsonb;
    t     record;
    anew  record;
    fresh bigint;
    stamp bigint;
BEGIN
    -- An older snapshot would not see that the log was frozen since.
    IF (current_setting('transaction_isolation') = 'read committed') IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', HINT = 'isolation', MESSAGE = 'Entries are taken under READ COMMITTED only.';
    END IF;
    IF EXISTS (SELECT FROM logwork.frozen) THEN
        RAISE EXCEPTION USING ERRCODE = 'GC503', MESSAGE = 'The log is frozen: nothing can be recorded until it is recovered.';
    END IF;
    BEGIN
        body := convert_from(p_body, 'UTF8');
        IF (octet_length(p_body) BETWEEN 2 AND 4096 AND body IS JSON OBJECT WITH UNIQUE KEYS) IS NOT TRUE THEN
            RAISE EXCEPTION USING ERRCODE = 'GC422';
        END IF;
        e := body::jsonb;
    EXCEPTION WHEN OTHERS THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = 'The entry is not a JSON object with unique keys of at most 4096 bytes.';
    END;
    SELECT r.type, r.writer, r.names, r.kinds, r.needed, r.commits INTO t FROM log.event_type r WHERE r.type = e ->> 'type';
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = 'The event type is not in the registry.';
    END IF;
    IF (t.writer = p_writer) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = format('Entries of type %s are written by %s only.', t.type, t.writer);
    END IF;
    -- Each field that the type may have is checked by its kind and written anew. What is written is in canonical form and holds
    -- nothing else, so an entry equal to it is in that form, has each field once and none too many. Kinds that are not written out
    -- here are checked by log.fits, which is slower and says the same of the others.
    SELECT bool_and(CASE
               WHEN f.written IS NULL THEN NOT f.needed
               WHEN f.kind = 'id' THEN f.written ~ '^"[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+"$'
                   AND f.written LIKE '"________-____-____-____-____________"'
               WHEN f.kind = 'hash' THEN length(f.written) = 66 AND f.written ~ '^"[0-9a-f]+"$'
               WHEN f.kind = 'nonce' THEN length(f.written) = 34 AND f.written ~ '^"[0-9a-f]+"$'
               WHEN f.kind = 'code' THEN length(f.written) BETWEEN 3 AND 82 AND f.written ~ '^"[a-z0-9][a-z0-9_.:-]*"$'
               WHEN f.kind = 'bool' THEN f.written IN ('true', 'false')
               WHEN f.kind = 'int' AND length(f.written) <= 15 THEN f.written ~ '^(0|-?[1-9][0-9]*)$'
               WHEN f.kind = 'commitments' THEN true  -- written from the right ones alone
               ELSE log.fits(f.kind, e -> f.name) END IS TRUE) AS fits,
           '{' || string_agg('"' || f.name || '":' || f.written, ',' ORDER BY f.place) || '}' AS written
    INTO STRICT anew
    FROM (
        SELECT g.name, g.kind, g.needed, g.place, CASE
            WHEN g.kind = 'commitments' THEN (
                SELECT '{' || string_agg('"' || c.name || '":' || (e -> 'c' -> c.name)::text, ',' ORDER BY c.name COLLATE "C") || '}'
                FROM unnest(t.commits) AS c (name)
                WHERE length((e -> 'c' -> c.name)::text) = 66 AND (e -> 'c' -> c.name)::text ~ '^"[0-9a-f]+"$')
            WHEN g.kind IN ('id', 'hash', 'nonce', 'code', 'int', 'bool') THEN (e -> g.name)::text
            ELSE replace((e -> g.name)::text, ', ', ',') END AS written  -- a list: its items hold neither comma nor space
        FROM unnest(t.names, t.kinds, t.needed) WITH ORDINALITY AS g (name, kind, needed, place)
        OFFSET 0  -- each is written once, not wherever it is looked at
    ) AS f;
    IF (anew.fits AND e -> 'v' = to_jsonb(1)) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = format('The entry does not follow the registry of %s.', t.type);
    END IF;
    IF (anew.written = body) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422',
            MESSAGE = format('The entry is not in canonical form (RFC 8785), or has a field or commitment that %s has not.', t.type);
    END IF;
    stamp := (e ->> 'at')::bigint;
    IF (abs(stamp - floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) <= 5000) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC422', MESSAGE = 'The time of the entry is more than 5 seconds from the database clock.';
    END IF;
    INSERT INTO log.entry (uid, type, request, at, body)
    VALUES ((e ->> 'id')::uuid, t.type, (e ->> 'request')::uuid, stamp, p_body)
    ON CONFLICT (uid) DO NOTHING
    RETURNING id INTO fresh;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'GC409', MESSAGE = 'An entry with this id is in the log already.';
    END IF;
    INSERT INTO logwork.pending (entry_id) VALUES (fresh);
    RETURN (e ->> 'id')::uuid;
END $$;

-- Nearly every entry comes in by this one; plpgsql starts quicker than SQL.
CREATE OR REPLACE FUNCTION log.append(p_body bytea) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN log.accept(p_body, 'app'); END $$;

REVOKE ALL ON FUNCTION log.lay_out(), log.leaves_are_entries() FROM PUBLIC;

RESET ROLE;

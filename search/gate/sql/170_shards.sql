-- Galleries that are spread over several servers, each with its own gate and log. Every gate knows which server it is and over
-- which ones a gallery is spread; it binds only what lists exactly these, and opens no candidate before its own log says that all
-- of them have their result. What the others have, no gate can see: that is said in the signed log, by the SHA-256 of each result.
SET LOCAL ROLE @log_owner@;

-- The entries of a type about a request that a checkpoint which counts covers.
CREATE FUNCTION log.covered_about(p_request uuid, p_type text) RETURNS SETOF jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.entry FROM log.entry e CROSS JOIN LATERAL (SELECT log.covered(e.uid) AS entry) c
    WHERE e.request = p_request AND e.type = p_type AND c.entry IS NOT NULL
$$;
REVOKE ALL ON FUNCTION log.covered_about(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.covered_about(uuid, text) TO @gate_owner@;

SET LOCAL ROLE @gallery_owner@;
GRANT EXECUTE ON FUNCTION gallery.editions() TO @gate_owner@;

SET LOCAL ROLE @gate_owner@;

-- Which server this is. Written once by whoever migrates; without a row it is the main one.
CREATE TABLE gate.place (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,30}$' AND name <> 'main')
);
CREATE TABLE gate.spread (gallery uuid PRIMARY KEY, shards text[] NOT NULL);

CREATE FUNCTION gate.here() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT p.name FROM gate.place p), 'main')
$$;

-- Fixes over which servers a gallery is spread: before anybody is enrolled, and for good. Asked again, it answers the same.
CREATE FUNCTION gate.spread_gallery(p_gallery uuid, p_shards text[], p_proposal uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who   uuid[];
    known text[];
BEGIN
    who := gate.consume('gate:spread_gallery', jsonb_build_object('gallery', p_gallery, 'shards', to_jsonb(p_shards)), ARRAY[p_proposal], 1);
    IF (cardinality(p_shards) BETWEEN 2 AND 32 AND gate.here() = ANY (p_shards) AND 'main' = ANY (p_shards)
        AND p_shards = ARRAY(SELECT DISTINCT s COLLATE "C" FROM unnest(p_shards) AS s ORDER BY 1)
        AND NOT EXISTS (SELECT FROM unnest(p_shards) AS s WHERE (s ~ '^[a-z][a-z0-9_]{0,30}$') IS NOT TRUE)) IS NOT TRUE THEN
        PERFORM gate.refuse('shards', 'Name 2 to 32 servers in order, main and this one among them.');
    END IF;
    SELECT s.shards INTO known FROM gate.spread s WHERE s.gallery = p_gallery FOR UPDATE;
    IF FOUND AND known = p_shards THEN
        RETURN;
    END IF;
    IF FOUND OR EXISTS (SELECT FROM gallery.editions() e WHERE e.gallery = p_gallery) THEN
        PERFORM gate.refuse('shards', 'It is fixed already over which servers this gallery is spread. Make a new gallery for others.');
    END IF;
    INSERT INTO gate.spread (gallery, shards) VALUES (p_gallery, p_shards);
    PERFORM log.append_as_gate('gate:gallery:spread', jsonb_build_object(
        'gallery', p_gallery, 'shards', to_jsonb(p_shards), 'approver', who[1]));
END $$;

-- What an approval was given for, where the intent lists servers: everything but the edition, which each of them has its own of,
-- and the list, which has them all. What else an approval is given for belongs into search_params_of_one.
ALTER FUNCTION gate.search_params(jsonb) RENAME TO search_params_of_one;
CREATE FUNCTION gate.search_params(e jsonb) RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN e ? 'shards' THEN log.digest(jsonb_build_object(
            'search', encode(gate.search_params_of_one(e || jsonb_build_object('edition', 0)), 'hex'), 'shards', e -> 'shards'))
        ELSE gate.search_params_of_one(e) END
$$;

-- A search is bound here only when its intent lists exactly the servers of its gallery, and this one with the edition that is bound.
CREATE FUNCTION gate.only_as_listed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e      jsonb := log.covered(NEW.intent);
    wanted text[];
BEGIN
    SELECT s.shards INTO wanted FROM gate.spread s WHERE s.gallery = (e ->> 'gallery')::uuid;
    IF e IS NOT NULL AND wanted IS NULL AND gate.here() = 'main' AND NOT e ? 'shards' THEN
        RETURN NEW;
    END IF;
    IF (ARRAY(SELECT split_part(l.one, ':', 1) FROM jsonb_array_elements_text(e -> 'shards') WITH ORDINALITY AS l (one, place) ORDER BY l.place) = wanted
        AND e -> 'shards' ? format('%s:%s', gate.here(), NEW.edition)) IS NOT TRUE THEN
        PERFORM gate.refuse('shards', 'The intent does not list exactly the servers over which this gallery is spread, with the edition here.');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER only_as_listed BEFORE INSERT ON gate.bound FOR EACH ROW EXECUTE FUNCTION gate.only_as_listed();
ALTER TABLE gate.bound ENABLE ALWAYS TRIGGER only_as_listed;

-- No reading of a part: the log here has to say that every listed server has its result, each another one, and this one's as it is,
-- with the cut of its two stages where it had any.
CREATE FUNCTION gate.only_whole() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e    jsonb;
    mine jsonb;
BEGIN
    SELECT log.covered(b.intent) INTO e FROM gate.bound b WHERE b.request = NEW.request;
    IF e IS NULL THEN
        PERFORM gate.refuse('receipt', 'The intent of this search is not in the signed log: nothing of it is opened.');
    END IF;
    IF NOT e ? 'shards' THEN
        RETURN NEW;
    END IF;
    SELECT log.covered(o.entry) INTO mine FROM gate.outcome o WHERE o.request = NEW.request;
    IF EXISTS (SELECT FROM log.covered_about(NEW.request, 'search:result:merged') AS m,
            jsonb_array_elements_text(e -> 'shards') WITH ORDINALITY AS l (one, place)
        WHERE m -> 'shards' = e -> 'shards' AND jsonb_array_length(m -> 'results') = jsonb_array_length(e -> 'shards')
            AND jsonb_array_length(m -> 'results') = (SELECT count(DISTINCT r) FROM jsonb_array_elements_text(m -> 'results') AS r)
            AND jsonb_array_length(m -> 'cuts') = jsonb_array_length(e -> 'shards')
            AND split_part(l.one, ':', 1) = gate.here()
            AND encode(log.digest(mine), 'hex') = m -> 'results' ->> (l.place - 1)::integer
            AND coalesce(mine ->> 'cut', 'exact') = m -> 'cuts' ->> (l.place - 1)::integer
            AND (mine ->> 'cut' IS NULL OR (m ->> 'loss_one_in')::bigint <= (mine ->> 'loss_one_in')::bigint)) IS NOT TRUE THEN
        PERFORM gate.refuse('incomplete', 'This search is incomplete: not every server over which the gallery is spread has given its result.');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER only_whole BEFORE INSERT ON gate.view FOR EACH ROW EXECUTE FUNCTION gate.only_whole();
ALTER TABLE gate.view ENABLE ALWAYS TRIGGER only_whole;

-- What opens the commitment to the bound embedding, for the worker that holds the claim: it compares what every server has bound
-- with what it read in the photo.
CREATE FUNCTION gate.bound_salt(p_request uuid, p_claim_secret bytea) RETURNS bytea
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b gate.bound;
BEGIN
    PERFORM gate.require_read_committed();
    SELECT * INTO b FROM gate.bound x WHERE x.request = p_request AND x.xid <> pg_current_xact_id();
    IF NOT FOUND THEN
        PERFORM gate.refuse('bound', 'The search is not bound here.');
    END IF;
    IF (b.claim = sha256(p_claim_secret)) IS NOT TRUE THEN
        PERFORM gate.refuse('claim', 'Only the worker that holds the claim of this search may check what is bound.');
    END IF;
    IF b.salt IS NULL THEN
        PERFORM gate.refuse('erased', 'What was bound for this search has been erased.');
    END IF;
    RETURN b.salt;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gate FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gate.here(), gate.spread_gallery(uuid, text[], uuid), gate.bound_salt(uuid, bytea) TO @app@;
RESET ROLE;

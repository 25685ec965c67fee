-- Templates. One partition per gallery edition; write-once; enrolled in batches that are opened and sealed with the same claim;
-- only sealed batches are ever scanned. The application can insert and nothing else: it cannot read back what it wrote.
SET LOCAL ROLE @gallery_owner@;

CREATE TABLE gallery.edition (
    edition   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gallery   uuid NOT NULL,
    model     text NOT NULL CHECK (model ~ '^[0-9a-f]{64}$'),
    dimension integer NOT NULL CHECK (dimension BETWEEN 16 AND 4000),
    version   integer NOT NULL DEFAULT 0,
    UNIQUE (gallery, model)
);

CREATE TABLE gallery.current (gallery uuid PRIMARY KEY, edition integer NOT NULL REFERENCES gallery.edition);

-- What a version of an edition holds: the batches up to `batch`, less the templates removed up to this version.
CREATE TABLE gallery.version (
    edition   integer NOT NULL REFERENCES gallery.edition,
    version   integer NOT NULL,
    batch     integer NOT NULL,
    templates integer NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (edition, version)
);

CREATE TABLE gallery.batch (
    edition   integer NOT NULL REFERENCES gallery.edition,
    batch     integer NOT NULL,
    claim     bytea NOT NULL CHECK (octet_length(claim) = 32),
    opened    timestamptz NOT NULL DEFAULT clock_timestamp(),
    sealed    timestamptz,
    discarded timestamptz,
    templates integer,
    digest    bytea,
    PRIMARY KEY (edition, batch)
);
-- One open batch an edition: batches are sealed in the order of their numbers.
CREATE UNIQUE INDEX batch_open ON gallery.batch (edition) WHERE sealed IS NULL AND discarded IS NULL;

CREATE TABLE gallery.template (
    edition   integer NOT NULL,
    batch     integer NOT NULL,
    template  uuid NOT NULL,
    person    uuid NOT NULL,
    embedding public.halfvec NOT NULL,
    PRIMARY KEY (edition, template)
) PARTITION BY LIST (edition);

ALTER TABLE gallery.template ALTER COLUMN embedding SET STATISTICS 0, ALTER COLUMN template SET STATISTICS 0,
    ALTER COLUMN person SET STATISTICS 0;

CREATE TABLE gallery.removed (
    edition  integer NOT NULL,
    template uuid NOT NULL,
    version  integer NOT NULL,
    PRIMARY KEY (edition, template)
);

-- One half of the key of an enrolled photo; the other half lies in the key store outside the database.
CREATE TABLE gallery.photo_half (
    edition  integer NOT NULL,
    template uuid NOT NULL,
    half     bytea NOT NULL CHECK (octet_length(half) = 32),
    PRIMARY KEY (edition, template)
);

ALTER TABLE gallery.photo_half ALTER COLUMN half SET STATISTICS 0;

CREATE FUNCTION gallery.only_into_open_batches() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target record;
BEGIN
    FOR target IN SELECT DISTINCT f.edition, f.batch FROM fresh f LOOP
        PERFORM FROM gallery.batch b
        WHERE b.edition = target.edition AND b.batch = target.batch AND b.sealed IS NULL AND b.discarded IS NULL
        FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'GC403', HINT = 'batch',
                MESSAGE = 'Templates can be added to an open enrolment batch only.';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER only_into_open_batches AFTER INSERT ON gallery.template
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION gallery.only_into_open_batches();
ALTER TABLE gallery.template ENABLE ALWAYS TRIGGER only_into_open_batches;

CREATE FUNCTION gallery.register_edition(p_gallery uuid, p_model text, p_dimension integer, p_proposal uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    who   uuid[];
    fresh integer;
BEGIN
    who := gate.consume('gallery:register_edition', jsonb_build_object(
        'gallery', p_gallery, 'model', p_model, 'dimension', p_dimension), ARRAY[p_proposal], 1);
    IF EXISTS (SELECT FROM gallery.edition e WHERE e.gallery = p_gallery AND e.model = p_model) THEN
        PERFORM gate.refuse('edition', 'This gallery has an edition under this face model already.');
    END IF;
    INSERT INTO gallery.edition (gallery, model, dimension) VALUES (p_gallery, p_model, p_dimension) RETURNING edition INTO fresh;
    INSERT INTO gallery.version (edition, version, batch, templates) VALUES (fresh, 0, 0, 0);
    -- Own table first, then attached: the checks bind the rows to the model's dimension and to unit length, because a longer
    -- vector would be at rank 1 for everyone.
    EXECUTE format(
        'CREATE TABLE gallery.template_%1$s (LIKE gallery.template INCLUDING DEFAULTS,
            CONSTRAINT dimension CHECK (public.vector_dims(embedding) = %2$s),
            CONSTRAINT unit_norm CHECK (abs(public.l2_norm(embedding) - 1) < 0.01))', fresh, p_dimension);
    EXECUTE format('ALTER TABLE gallery.template_%s ALTER COLUMN embedding SET STORAGE PLAIN', fresh);
    EXECUTE format('ALTER TABLE gallery.template_%s SET (parallel_workers = 2)', fresh);
    -- The planner's statistics would keep copies of embeddings, also of people who are expunged later: none are taken.
    EXECUTE format('ALTER TABLE gallery.template_%1$s ALTER COLUMN embedding SET STATISTICS 0,
        ALTER COLUMN template SET STATISTICS 0, ALTER COLUMN person SET STATISTICS 0', fresh);
    EXECUTE format('ALTER TABLE gallery.template ATTACH PARTITION gallery.template_%1$s FOR VALUES IN (%1$s)', fresh);
    INSERT INTO gallery.current (gallery, edition) VALUES (p_gallery, fresh) ON CONFLICT (gallery) DO NOTHING;
    PERFORM log.append_as_gallery('gallery:edition:registered', jsonb_build_object(
        'gallery', p_gallery, 'edition', fresh, 'model', p_model, 'dimension', p_dimension, 'approver', who[1]));
    RETURN fresh;
END $$;

CREATE FUNCTION gallery.switch_edition(p_gallery uuid, p_edition integer, p_proposal uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who uuid[];
BEGIN
    who := gate.consume('gallery:switch_edition', jsonb_build_object('gallery', p_gallery, 'edition', p_edition), ARRAY[p_proposal], 1);
    IF NOT EXISTS (SELECT FROM gallery.edition e WHERE e.edition = p_edition AND e.gallery = p_gallery) THEN
        PERFORM gate.refuse('edition', 'This gallery has no such edition.');
    END IF;
    INSERT INTO gallery.current (gallery, edition) VALUES (p_gallery, p_edition)
    ON CONFLICT (gallery) DO UPDATE SET edition = p_edition;
    PERFORM log.append_as_gallery('gallery:edition:switched', jsonb_build_object(
        'gallery', p_gallery, 'edition', p_edition, 'approver', who[1]));
END $$;

CREATE FUNCTION gallery.open_batch(p_edition integer, p_claim bytea) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e     gallery.edition;
    fresh integer;
BEGIN
    PERFORM gate.require_read_committed();
    IF (octet_length(p_claim) = 32) IS NOT TRUE THEN
        PERFORM gate.refuse('claim', 'A batch is opened with a claim: the SHA-256 of a secret that the worker keeps.');
    END IF;
    SELECT * INTO e FROM gallery.edition x WHERE x.edition = p_edition FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM gate.refuse('edition', 'There is no such gallery edition.');
    END IF;
    IF EXISTS (SELECT FROM gallery.batch b WHERE b.edition = p_edition AND b.sealed IS NULL AND b.discarded IS NULL) THEN
        PERFORM gate.refuse('batch', 'Another enrolment into this gallery edition is open. Finish or discard it first.');
    END IF;
    SELECT coalesce(max(batch), 0) + 1 INTO fresh FROM gallery.batch b WHERE b.edition = p_edition;
    INSERT INTO gallery.batch (edition, batch, claim) VALUES (p_edition, fresh, p_claim);
    PERFORM log.append_as_gallery('gallery:batch:opened', jsonb_build_object(
        'edition', p_edition, 'batch', fresh, 'claim', encode(p_claim, 'hex')));
    RETURN fresh;
END $$;

CREATE FUNCTION gallery.claimed_batch(p_edition integer, p_batch integer, p_secret bytea) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM gallery.batch b
    WHERE b.edition = p_edition AND b.batch = p_batch AND b.claim = sha256(p_secret) AND b.sealed IS NULL AND b.discarded IS NULL
    FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM gate.refuse('claim', 'This is not your open enrolment batch.');
    END IF;
END $$;

CREATE FUNCTION gallery.empty_batch(p_edition integer, p_batch integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone integer;
BEGIN
    DELETE FROM gallery.photo_half h USING gallery.template t
    WHERE t.edition = p_edition AND t.batch = p_batch AND h.edition = t.edition AND h.template = t.template;
    DELETE FROM gallery.template t WHERE t.edition = p_edition AND t.batch = p_batch;
    GET DIAGNOSTICS gone = ROW_COUNT;
    UPDATE gallery.batch SET discarded = clock_timestamp() WHERE edition = p_edition AND batch = p_batch;
    RETURN gone;
END $$;

CREATE FUNCTION gallery.discard_batch(p_edition integer, p_batch integer, p_secret bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone integer;
BEGIN
    -- An older snapshot would not see, and so not delete, what was added since.
    PERFORM gate.require_read_committed();
    PERFORM gallery.claimed_batch(p_edition, p_batch, p_secret);
    gone := gallery.empty_batch(p_edition, p_batch);
    PERFORM log.append_as_gallery('gallery:batch:discarded', jsonb_build_object(
        'edition', p_edition, 'batch', p_batch, 'templates', gone));
END $$;

-- For a batch whose secret is lost, or that was opened to be in the way: one approval instead of the claim.
CREATE FUNCTION gallery.abandon_batch(p_edition integer, p_batch integer, p_proposal uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who  uuid[];
    gone integer;
BEGIN
    who := gate.consume('gallery:abandon_batch', jsonb_build_object('edition', p_edition, 'batch', p_batch), ARRAY[p_proposal], 1);
    PERFORM FROM gallery.batch b
    WHERE b.edition = p_edition AND b.batch = p_batch AND b.sealed IS NULL AND b.discarded IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM gate.refuse('batch', 'There is no such open enrolment batch.');
    END IF;
    gone := gallery.empty_batch(p_edition, p_batch);
    PERFORM log.append_as_gallery('gallery:batch:discarded', jsonb_build_object(
        'edition', p_edition, 'batch', p_batch, 'templates', gone, 'approver', who[1]));
END $$;

-- Refuses whatever the worker did not compute itself: a row that somebody else slipped into the open batch changes the digest.
-- digest = SHA-256 over the batch's rows in template order, each as SHA-256(template || person || halfvec in binary form).
CREATE FUNCTION gallery.seal(p_edition integer, p_batch integer, p_secret bytea, p_templates integer, p_digest bytea) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    counted integer;
    summed  bytea;
    fresh   integer;
    total   integer;
BEGIN
    PERFORM gate.require_read_committed();
    PERFORM FROM gallery.edition e WHERE e.edition = p_edition FOR UPDATE;
    PERFORM gallery.claimed_batch(p_edition, p_batch, p_secret);
    SELECT count(*), sha256(coalesce(string_agg(sha256(uuid_send(t.template) || uuid_send(t.person)
        || public.halfvec_send(t.embedding)), ''::bytea ORDER BY t.template), ''::bytea))
    INTO counted, summed FROM gallery.template t WHERE t.edition = p_edition AND t.batch = p_batch;
    IF (counted = p_templates AND summed = p_digest) IS NOT TRUE THEN
        PERFORM gate.refuse('digest', 'The batch holds something else than what was enrolled: discard it and enrol again.');
    END IF;
    UPDATE gallery.batch SET sealed = clock_timestamp(), templates = counted, digest = summed
    WHERE edition = p_edition AND batch = p_batch;
    UPDATE gallery.edition SET version = version + 1 WHERE edition = p_edition RETURNING version INTO fresh;
    SELECT v.templates + counted INTO total FROM gallery.version v WHERE v.edition = p_edition AND v.version = fresh - 1;
    INSERT INTO gallery.version (edition, version, batch, templates) VALUES (p_edition, fresh, p_batch, total);
    -- Without the size of the partition the planner would not scan it in parallel until it is analysed some time later.
    EXECUTE format('ANALYZE gallery.template_%s (edition, batch)', p_edition);
    PERFORM log.append_as_gallery('gallery:batch:sealed', jsonb_build_object(
        'edition', p_edition, 'batch', p_batch, 'templates', counted, 'digest', encode(summed, 'hex'), 'version', fresh));
    RETURN fresh;
END $$;

CREATE FUNCTION gallery.remove(p_edition integer, p_templates uuid[], p_proposal uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who   uuid[];
    fresh integer;
    gone  integer;
    wanted uuid[];
BEGIN
    SELECT array_agg(DISTINCT x ORDER BY x) INTO wanted FROM unnest(p_templates) AS x;
    who := gate.consume('gallery:remove', jsonb_build_object(
        'edition', p_edition, 'templates', encode(sha256(convert_to(array_to_string(wanted, ','), 'UTF8')), 'hex')), ARRAY[p_proposal], 1);
    PERFORM FROM gallery.edition e WHERE e.edition = p_edition FOR UPDATE;
    UPDATE gallery.edition SET version = version + 1 WHERE edition = p_edition RETURNING version INTO fresh;
    INSERT INTO gallery.removed (edition, template, version)
    SELECT t.edition, t.template, fresh FROM gallery.template t
        JOIN gallery.batch b ON b.edition = t.edition AND b.batch = t.batch AND b.sealed IS NOT NULL
    WHERE t.edition = p_edition AND t.template = ANY (wanted)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF (gone > 0) IS NOT TRUE THEN
        PERFORM gate.refuse('template', 'None of these templates is in the gallery edition.');
    END IF;
    INSERT INTO gallery.version (edition, version, batch, templates)
    SELECT p_edition, fresh, v.batch, v.templates - gone FROM gallery.version v WHERE v.edition = p_edition AND v.version = fresh - 1;
    PERFORM log.append_as_gallery('gallery:template:removed', jsonb_build_object(
        'edition', p_edition, 'version', fresh, 'templates', gone,
        'digest', encode(sha256(convert_to(array_to_string(wanted, ','), 'UTF8')), 'hex'), 'approver', who[1]));
    RETURN gone;
END $$;

-- Expungement deletes the rows of a person from every edition, and the database's half of each photo key.
CREATE FUNCTION gallery.expunge(p_person uuid, p_proposal uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who   uuid[];
    gone  integer := 0;
    here  integer;
    shown integer;
    e     gallery.edition;
BEGIN
    who := gate.consume('gallery:expunge', jsonb_build_object('person', p_person), ARRAY[p_proposal], 1);
    IF (gate.is_held(p_person)) IS NOT FALSE THEN
        PERFORM gate.refuse('hold', 'A legal hold covers this person: nothing may be erased until it is lifted.');
    END IF;
    FOR e IN SELECT * FROM gallery.edition x ORDER BY x.edition FOR UPDATE LOOP
        SELECT count(*) INTO shown FROM gallery.template t
            JOIN gallery.batch b ON b.edition = t.edition AND b.batch = t.batch AND b.sealed IS NOT NULL
        WHERE t.edition = e.edition AND t.person = p_person
            AND NOT EXISTS (SELECT FROM gallery.removed r WHERE r.edition = t.edition AND r.template = t.template);
        DELETE FROM gallery.removed r USING gallery.template t
        WHERE t.edition = e.edition AND t.person = p_person AND r.edition = t.edition AND r.template = t.template;
        DELETE FROM gallery.photo_half h USING gallery.template t
        WHERE t.edition = e.edition AND t.person = p_person AND h.edition = t.edition AND h.template = t.template;
        DELETE FROM gallery.template t WHERE t.edition = e.edition AND t.person = p_person;
        GET DIAGNOSTICS here = ROW_COUNT;
        IF here > 0 THEN
            UPDATE gallery.edition SET version = version + 1 WHERE edition = e.edition;
            INSERT INTO gallery.version (edition, version, batch, templates)
            SELECT e.edition, e.version + 1, v.batch, v.templates - shown
            FROM gallery.version v WHERE v.edition = e.edition AND v.version = e.version;
            gone := gone + here;
        END IF;
    END LOOP;
    IF gone = 0 THEN
        PERFORM gate.refuse('person', 'Nobody with this id is enrolled.');
    END IF;
    PERFORM log.append_as_gallery('gallery:person:expunged', jsonb_build_object(
        'person', p_person, 'templates', gone, 'approver', who[1]));
    RETURN gone;
END $$;

-- What pages and workers may know of an edition: its model, size and version, never a template.
CREATE FUNCTION gallery.editions() RETURNS TABLE (
    edition integer, gallery uuid, model text, dimension integer, version integer, templates integer, is_current boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.edition, e.gallery, e.model, e.dimension, e.version, v.templates,
        EXISTS (SELECT FROM gallery.current c WHERE c.gallery = e.gallery AND c.edition = e.edition)
    FROM gallery.edition e JOIN gallery.version v ON v.edition = e.edition AND v.version = e.version
    ORDER BY e.edition
$$;

-- Reads the whole edition once, so that the first search does not; returns nothing about it.
CREATE FUNCTION gallery.warm(p_edition integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM count(public.vector_dims(t.embedding)) FROM gallery.template t WHERE t.edition = p_edition;
END $$;

-- The exact scan. The inner RETURN QUERY keeps its parallel plan; every setting that a caller could turn is pinned here.
-- Ties and threshold are decided on the integer score (millionths), so that the order does not hang on the last bit.
CREATE FUNCTION gallery.scan(p_edition integer, p_batches integer[], p_version integer, p_probe public.halfvec, p_threshold integer, p_k integer)
RETURNS TABLE (template uuid, score integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = on SET enable_indexscan = off SET enable_indexonlyscan = off SET enable_bitmapscan = off
    SET enable_hashjoin = on SET enable_sort = on SET enable_partition_pruning = on SET plan_cache_mode = force_custom_plan
    SET max_parallel_workers = 8 SET max_parallel_workers_per_gather = 2 SET parallel_leader_participation = on
    SET parallel_setup_cost = 0 SET parallel_tuple_cost = 0 SET min_parallel_table_scan_size = 0
    SET work_mem = '64MB' SET jit = off SET transform_null_equals = off
AS $$
BEGIN
    RETURN QUERY
    SELECT f.template, f.score FROM (
        SELECT t.template, round(-(t.embedding OPERATOR(public.<#>) p_probe) * 1000000)::integer AS score
        FROM gallery.template t
        WHERE t.edition = p_edition AND t.batch = ANY (p_batches)
            AND (t.embedding OPERATOR(public.<#>) p_probe) <= (0.6 - p_threshold) / 1000000.0::double precision
            AND NOT EXISTS (
                SELECT FROM gallery.removed r
                WHERE r.edition = p_edition AND r.template = t.template AND r.version <= p_version)
    ) f
    WHERE f.score >= p_threshold
    ORDER BY f.score DESC, f.template
    LIMIT p_k;
END $$;

-- What the gate asks the gallery while it binds: locked against a switch in the same instant.
CREATE FUNCTION gallery.searchable(p_gallery uuid, p_edition integer, p_model text) RETURNS TABLE (dimension integer, version integer)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.dimension, e.version FROM gallery.edition e
    JOIN gallery.current c ON c.gallery = e.gallery AND c.edition = e.edition
    WHERE e.edition = p_edition AND e.gallery = p_gallery AND e.model = p_model AND e.version > 0
    FOR SHARE
$$;

-- The sealed batches of a version: a discarded or open one is never among them, whatever its rows are.
CREATE FUNCTION gallery.version_of(p_edition integer, p_version integer) RETURNS TABLE (batches integer[], templates integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT ARRAY(SELECT b.batch FROM gallery.batch b WHERE b.edition = p_edition AND b.sealed IS NOT NULL AND b.batch <= v.batch
        ORDER BY b.batch), v.templates
    FROM gallery.version v WHERE v.edition = p_edition AND v.version = p_version
$$;

CREATE FUNCTION gallery.exists_still(p_edition integer, p_template uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM gallery.template t WHERE t.edition = p_edition AND t.template = p_template)
$$;

CREATE FUNCTION gallery.half_of(p_edition integer, p_template uuid) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.half FROM gallery.photo_half h WHERE h.edition = p_edition AND h.template = p_template
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gallery FROM PUBLIC;
GRANT USAGE ON SCHEMA gallery TO @app@, @gate_owner@, @reader@;
GRANT INSERT ON gallery.template, gallery.photo_half TO @app@;
GRANT EXECUTE ON FUNCTION gallery.register_edition(uuid, text, integer, uuid), gallery.switch_edition(uuid, integer, uuid),
    gallery.open_batch(integer, bytea), gallery.discard_batch(integer, integer, bytea), gallery.abandon_batch(integer, integer, uuid),
    gallery.seal(integer, integer, bytea, integer, bytea), gallery.remove(integer, uuid[], uuid), gallery.expunge(uuid, uuid),
    gallery.editions(), gallery.warm(integer) TO @app@;
GRANT EXECUTE ON FUNCTION gallery.editions() TO @reader@;
GRANT EXECUTE ON FUNCTION gallery.scan(integer, integer[], integer, public.halfvec, integer, integer), gallery.searchable(uuid, integer, text),
    gallery.version_of(integer, integer), gallery.exists_still(integer, uuid), gallery.half_of(integer, uuid) TO @gate_owner@;

RESET ROLE;

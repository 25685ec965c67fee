-- The scan, tuned: it reads the partition itself, asks for as many workers as the partition's size deserves, and can be narrowed to a
-- sub-gallery. The functions of the gate that call it follow in 130 and 140; evaluation editions get the same text again (110_evaluation_scan.sql).
SET LOCAL ROLE @gallery_owner@;

-- One bit for each sub-gallery of the gallery that the template belongs to; written once, with the template.
ALTER TABLE gallery.template ADD COLUMN marks bigint NOT NULL DEFAULT 0;
ALTER TABLE gallery.template ALTER COLUMN marks SET STATISTICS 0;

DO $$
DECLARE
    e integer;
BEGIN
    FOR e IN SELECT x.edition FROM gallery.edition x LOOP
        EXECUTE format('ALTER TABLE gallery.template_%s SET (parallel_workers = 64)', e);
        EXECUTE format('ALTER TABLE gallery.template_%s ALTER COLUMN marks SET STATISTICS 0', e);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION gallery.register_edition(p_gallery uuid, p_model text, p_dimension integer, p_proposal uuid) RETURNS integer
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
    -- The scan itself decides how many workers help.
    EXECUTE format('ALTER TABLE gallery.template_%s SET (parallel_workers = 64)', fresh);
    -- The planner's statistics would keep copies of embeddings, also of people who are expunged later: none are taken.
    EXECUTE format('ALTER TABLE gallery.template_%1$s ALTER COLUMN embedding SET STATISTICS 0,
        ALTER COLUMN template SET STATISTICS 0, ALTER COLUMN person SET STATISTICS 0, ALTER COLUMN marks SET STATISTICS 0', fresh);
    EXECUTE format('ALTER TABLE gallery.template ATTACH PARTITION gallery.template_%1$s FOR VALUES IN (%1$s)', fresh);
    INSERT INTO gallery.current (gallery, edition) VALUES (p_gallery, fresh) ON CONFLICT (gallery) DO NOTHING;
    PERFORM log.append_as_gallery('gallery:edition:registered', jsonb_build_object(
        'gallery', p_gallery, 'edition', fresh, 'model', p_model, 'dimension', p_dimension, 'approver', who[1]));
    RETURN fresh;
END $$;

-- Refuses whatever the worker did not compute itself: a row that somebody else slipped into the open batch changes the digest.
-- digest = SHA-256 over the batch's rows in template order, each as SHA-256(template || person || halfvec in binary form), and
-- the 8 bytes of the marks behind it where a template has any: the digests of batches sealed before there were marks stay what they are.
CREATE OR REPLACE FUNCTION gallery.seal(p_edition integer, p_batch integer, p_secret bytea, p_templates integer, p_digest bytea) RETURNS integer
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
        || public.halfvec_send(t.embedding) || CASE WHEN t.marks = 0 THEN ''::bytea ELSE int8send(t.marks) END), ''::bytea ORDER BY t.template), ''::bytea))
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

-- Reads the whole edition once, so that the first search does not; returns nothing about it. By a range of row addresses, because a
-- sequential scan of more than a quarter of shared_buffers goes through a small ring and leaves nothing there. What does not fit is
-- not read: it would only drive out everything else.
CREATE OR REPLACE FUNCTION gallery.warm(p_edition integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_tidscan = on SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    leaf text := 'template_' || p_edition;
BEGIN
    IF pg_relation_size(to_regclass(format('gallery.%I', leaf))) <= pg_size_bytes(current_setting('shared_buffers')) * 3 / 4 THEN
        EXECUTE format('SELECT count(*) FROM gallery.%I t WHERE t.ctid >= %L', leaf, '(0,0)');
    END IF;
END $$;

-- The exact scan. The inner RETURN QUERY keeps its parallel plan; every setting that a caller could turn is pinned here.
-- Ties and threshold are decided on the integer score (millionths), so that the order does not hang on the last bit.
-- p_marks: the bit of a sub-gallery, or NULL for everybody. Nothing but integers becomes part of the statement's text.
DROP FUNCTION gallery.scan(integer, integer[], integer, public.halfvec, integer, integer);
CREATE FUNCTION gallery.scan(p_edition integer, p_batches integer[], p_version integer, p_probe public.halfvec, p_threshold integer,
    p_k integer, p_marks bigint)
RETURNS TABLE (template uuid, score integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = on SET enable_indexscan = off SET enable_indexonlyscan = off SET enable_bitmapscan = off SET enable_tidscan = off
    SET enable_hashjoin = on SET enable_mergejoin = off SET enable_nestloop = off SET enable_parallel_hash = on
    SET enable_sort = on SET enable_incremental_sort = off SET enable_gathermerge = on SET enable_material = on
    SET seq_page_cost = 1 SET random_page_cost = 4 SET cpu_tuple_cost = 0.01 SET cpu_operator_cost = 0.0025
    SET max_parallel_workers = 64 SET max_parallel_workers_per_gather = 0 SET parallel_leader_participation = on
    SET parallel_setup_cost = 0 SET parallel_tuple_cost = 0 SET min_parallel_table_scan_size = 0 SET debug_parallel_query = off
    SET work_mem = '64MB' SET hash_mem_multiplier = 2 SET jit = off SET transform_null_equals = off
AS $$
DECLARE
    leaf  text := 'template_' || p_edition;
    bytes bigint := pg_relation_size(to_regclass(format('gallery.%I', leaf)));
    -- Batches are numbered from 1 and sealed in that order: the list matters only where one was discarded.
    gaps  boolean := p_batches <> ARRAY(SELECT generate_series(1, cardinality(p_batches)));
    -- Read before the search: a join would read them only once a row passes, and the statistics, which everybody may read, would tell.
    gone  uuid[] := ARRAY(SELECT r.template FROM gallery.removed r WHERE r.edition = p_edition AND r.version <= p_version);
BEGIN
    IF bytes IS NULL OR p_batches = '{}' THEN
        RETURN;
    END IF;
    -- Below 8 MB the search is over before a worker has started. One of the server's worker processes is not for queries.
    PERFORM set_config('max_parallel_workers_per_gather', least(
        CASE WHEN bytes < 8388608 THEN 0 ELSE 1 + bytes / 67108864 END,
        greatest(current_setting('max_worker_processes')::integer - 1, 0), 64)::text, true);
    RETURN QUERY EXECUTE format(
        'SELECT f.template, f.score FROM (
            SELECT t.template, round(-(t.embedding OPERATOR(public.<#>) $1) * 1000000)::integer AS score
            FROM gallery.%I t
            WHERE %s%s
                AND (t.embedding OPERATOR(public.<#>) $1) <= (0.6 - $2) / 1000000.0::double precision%s
        ) f
        WHERE f.score >= $2
        ORDER BY f.score DESC, f.template
        LIMIT $3',
        leaf,
        CASE WHEN gaps THEN 't.batch = ANY ($4)' ELSE format('t.batch <= %s', cardinality(p_batches)) END,
        CASE WHEN p_marks IS NOT NULL THEN ' AND (t.marks & $5) <> 0' END,
        CASE WHEN gone <> '{}' THEN ' AND t.template <> ALL ($6)' END)
    USING p_probe, p_threshold, p_k, p_batches, p_marks, gone;
END $$;
REVOKE ALL ON FUNCTION gallery.scan(integer, integer[], integer, public.halfvec, integer, integer, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gallery.scan(integer, integer[], integer, public.halfvec, integer, integer, bigint) TO @gate_owner@;

RESET ROLE;
SET LOCAL ROLE @evaluation_owner@;

-- No evaluation edition has sub-galleries; the scan is the same text.
ALTER TABLE evaluation.template ADD COLUMN marks bigint NOT NULL DEFAULT 0;

CREATE OR REPLACE FUNCTION evaluation.open_edition(p_dimension integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET transform_null_equals = off AS $$
DECLARE
    fresh integer;
BEGIN
    IF (p_dimension BETWEEN 2 AND 4000) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', HINT = 'dimension', MESSAGE = 'An embedding has 2 to 4,000 dimensions.';
    END IF;
    INSERT INTO evaluation.edition (dimension) VALUES (p_dimension) RETURNING edition INTO fresh;
    EXECUTE format(
        'CREATE TABLE evaluation.template_%1$s (LIKE evaluation.template INCLUDING DEFAULTS,
            CONSTRAINT dimension CHECK (public.vector_dims(embedding) = %2$s),
            CONSTRAINT unit_norm CHECK (abs(public.l2_norm(embedding) - 1) < 0.01))', fresh, p_dimension);
    EXECUTE format('ALTER TABLE evaluation.template_%s ALTER COLUMN embedding SET STORAGE PLAIN', fresh);
    EXECUTE format('ALTER TABLE evaluation.template_%s SET (parallel_workers = 64)', fresh);
    EXECUTE format('ALTER TABLE evaluation.template_%1$s ALTER COLUMN embedding SET STATISTICS 0', fresh);
    EXECUTE format('ALTER TABLE evaluation.template ATTACH PARTITION evaluation.template_%1$s FOR VALUES IN (%1$s)', fresh);
    RETURN fresh;
END $$;

DROP FUNCTION evaluation.scan(integer, integer[], integer, public.halfvec, integer, integer);

RESET ROLE;

-- The first stage of a search in two stages: codes. For each edition the database draws 1,280 random hyperplanes; the code of a template
-- says on which side of each it lies. Two unit vectors at angle a lie on different sides of one with probability a / pi, whatever embeddings
-- look like, so the distance of two codes is binomial and the cut that loses a candidate at the threshold with a chance of at most one
-- in a million is a theorem (Goemans and Williamson 1995, Charikar 2002). The database draws the planes and computes the codes
-- itself: nobody plants a code that loses a person.
SET LOCAL ROLE @gallery_owner@;

-- `coding` are the batches that are being coded, in one pass over the pages `page` to `pages` of the partition `file`.
CREATE TABLE gallery.codebook (
    edition integer PRIMARY KEY REFERENCES gallery.edition,
    digest  bytea NOT NULL,                        -- SHA-256 over the planes in order, each in binary form
    longest double precision NOT NULL DEFAULT 0,   -- length of the longest template that has a code
    near    integer,                               -- the distance within which 1 % of the templates lie of each other
    coding  integer[] NOT NULL DEFAULT '{}',
    page    bigint NOT NULL DEFAULT 0,
    pages   bigint NOT NULL DEFAULT 0,
    file    oid
);

CREATE TABLE gallery.plane (
    edition integer NOT NULL REFERENCES gallery.codebook,
    place   integer NOT NULL,
    plane   public.vector NOT NULL,
    PRIMARY KEY (edition, place)
);
-- In the row as long as a row can hold it.
ALTER TABLE gallery.plane ALTER COLUMN plane SET STORAGE MAIN, ALTER COLUMN plane SET STATISTICS 0;

-- As many codes in a row as a page of 8 kB holds, because finding the next row costs PostgreSQL more than comparing a code. code_i belongs to
-- the i-th of the templates. Without an index: it is only ever read as a whole.
DO $$
DECLARE
    names  text[] := ARRAY(SELECT 'code_' || i FROM generate_series(1, 44) AS i);
    listed text := array_to_string(names, ', ');
    one    text;
BEGIN
    EXECUTE format('CREATE TABLE gallery.code (
        edition integer NOT NULL, %1$s bit(1280), templates uuid[] NOT NULL,
        CONSTRAINT paired CHECK (num_nonnulls(%2$s) = cardinality(templates) AND array_position(templates, NULL) IS NULL)
    ) PARTITION BY LIST (edition)', array_to_string(names, ' bit(1280), '), listed);
    FOREACH one IN ARRAY names || 'templates'::text LOOP
        EXECUTE format('ALTER TABLE gallery.code ALTER COLUMN %1$s SET STATISTICS 0, ALTER COLUMN %1$s SET STORAGE PLAIN', one);
    END LOOP;
    EXECUTE format('CREATE VIEW gallery.code_of_template AS SELECT c.edition, u.template, u.code
        FROM gallery.code c, unnest(c.templates, ARRAY[%s]) AS u (template, code) WHERE u.template IS NOT NULL', listed);
END $$;

-- Batches of which every template has its code.
CREATE TABLE gallery.coded (edition integer NOT NULL, batch integer NOT NULL, PRIMARY KEY (edition, batch));

-- Independent normal numbers by Box and Muller from the bits of random uuids: a caller can seed random(), these not.
CREATE FUNCTION gallery.draw_planes(p_edition integer, p_dimension integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    summed bytea;
    one    name;
BEGIN
    INSERT INTO gallery.codebook (edition, digest) VALUES (p_edition, '');
    WITH drawn AS MATERIALIZED (
        SELECT place, pair, replace(gen_random_uuid()::text, '-', '') AS bits
        FROM generate_series(1, 1280) AS place, generate_series(1, (p_dimension + 1) / 2) AS pair
    ), polar AS (
        SELECT place, pair,
            sqrt(-2 * ln((('x' || left(bits, 12))::bit(48)::bigint + 1) / 281474976710656::double precision)) AS radius,
            2 * pi() * ('x' || right(bits, 12))::bit(48)::bigint / 281474976710656::double precision AS angle
        FROM drawn
    )
    INSERT INTO gallery.plane (edition, place, plane)
    SELECT p_edition, place,
        ((array_agg(radius * cos(angle)) || array_agg(radius * sin(angle)))[1:p_dimension])::real[]::public.vector
    FROM polar GROUP BY place;
    SELECT sha256(string_agg(public.vector_send(p.plane), ''::bytea ORDER BY p.place)) INTO summed
    FROM gallery.plane p WHERE p.edition = p_edition;
    UPDATE gallery.codebook SET digest = summed WHERE edition = p_edition;
    EXECUTE format('CREATE TABLE gallery.code_%s (LIKE gallery.code INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', p_edition);
    FOR one IN SELECT a.attname FROM pg_attribute a WHERE a.attrelid = 'gallery.code'::regclass AND a.attnum > 1 LOOP
        EXECUTE format('ALTER TABLE gallery.code_%s ALTER COLUMN %I SET STATISTICS 0', p_edition, one);
    END LOOP;
    -- The first stage itself decides how many workers help.
    EXECUTE format('ALTER TABLE gallery.code_%s SET (parallel_workers = 64)', p_edition);
    EXECUTE format('ALTER TABLE gallery.code ATTACH PARTITION gallery.code_%1$s FOR VALUES IN (%1$s)', p_edition);
    PERFORM log.append_as_gallery('gallery:codes:drawn', jsonb_build_object(
        'edition', p_edition, 'bits', 1280, 'digest', encode(summed, 'hex')));
END $$;

-- The statement that puts codes into rows: of what `p_source` selects as template and code.
CREATE FUNCTION gallery.packing(p_edition integer, p_source text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('INSERT INTO gallery.code_%s (edition, templates, %s)
        SELECT %s, array_agg(p.template), %s
        FROM (SELECT s.template, s.code, (row_number() OVER () - 1) / 44 AS pack FROM (%s) s) p GROUP BY p.pack',
        p_edition, string_agg('code_' || i, ', ' ORDER BY i), p_edition,
        string_agg(format('(array_agg(p.code))[%s]', i), ', ' ORDER BY i), p_source)
    FROM generate_series(1, 44) AS i
$$;

-- One slice of the work; called until `done` is `whole`. The rows of a sealed batch neither change nor move, so a pass over the pages
-- sees each of them once; it is counted at the end all the same, and begins again when something is missing.
CREATE FUNCTION gallery.build_codes(p_edition integer, p_pages integer) RETURNS TABLE (done bigint, whole bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET transform_null_equals = off
    SET enable_tidscan = on SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_seqscan = on
    SET max_parallel_workers_per_gather = 0 SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
    e         gallery.edition;
    c         gallery.codebook;
    relation  regclass;
    signs     text;
    reach     bigint;
    norm      double precision;
    templates bigint;
    codes     bigint;
BEGIN
    PERFORM gate.require_read_committed();
    IF (p_pages BETWEEN 1 AND 10000) IS NOT TRUE THEN
        PERFORM gate.refuse('pages', 'Codes are built in slices of 1 to 10,000 pages.');
    END IF;
    -- Against expungements: they lock the edition, and none of them may fall between the reading of a template and its code.
    IF NOT EXISTS (SELECT FROM gallery.codebook x WHERE x.edition = p_edition) THEN
        SELECT * INTO e FROM gallery.edition x WHERE x.edition = p_edition FOR UPDATE;
    ELSE
        SELECT * INTO e FROM gallery.edition x WHERE x.edition = p_edition FOR SHARE;
    END IF;
    IF e.edition IS NULL THEN
        PERFORM gate.refuse('edition', 'There is no such gallery edition.');
    END IF;
    SELECT * INTO c FROM gallery.codebook x WHERE x.edition = p_edition FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM gallery.draw_planes(p_edition, e.dimension);
        RETURN QUERY VALUES (0::bigint, 1::bigint);
        RETURN;
    END IF;
    relation := format('gallery.template_%s', p_edition)::regclass;
    IF c.coding = '{}' OR c.file IS DISTINCT FROM pg_relation_filenode(relation) THEN
        IF c.coding <> '{}' THEN
            PERFORM gallery.drop_codes(p_edition);
        END IF;
        c.coding := ARRAY(SELECT b.batch FROM gallery.batch b WHERE b.edition = p_edition AND b.sealed IS NOT NULL
            AND NOT EXISTS (SELECT FROM gallery.coded d WHERE d.edition = b.edition AND d.batch = b.batch) ORDER BY b.batch);
        c.page := 0;
        c.pages := pg_relation_size(relation) / current_setting('block_size')::bigint;
        UPDATE gallery.codebook SET coding = c.coding, page = 0, pages = c.pages, file = pg_relation_filenode(relation)
        WHERE edition = p_edition;
        IF c.coding = '{}' THEN
            RETURN QUERY VALUES (1::bigint, 1::bigint);
            RETURN;
        END IF;
    END IF;
    IF c.page < c.pages THEN
        reach := least(c.page + p_pages, c.pages);
        -- Each plane is read once a slice and stands in no text of a statement, which the context of an error would show.
        SELECT string_agg(format('(SELECT p.plane FROM gallery.plane p WHERE p.edition = %s AND p.place = %s) OPERATOR(public.<#>) x.face',
            p_edition, place), ', ' ORDER BY place) INTO signs FROM generate_series(1, 1280) AS place;
        EXECUTE gallery.packing(p_edition, format('SELECT x.template, public.binary_quantize((ARRAY[%2$s])::public.vector) AS code FROM (
                SELECT t.template, t.embedding::public.vector AS face FROM gallery.template_%1$s t
                WHERE t.ctid >= $1 AND t.ctid < $2 AND t.batch = ANY ($3) OFFSET 0) x', p_edition, signs))
            USING format('(%s,0)', c.page)::tid, format('(%s,0)', reach)::tid, c.coding;
        EXECUTE format('SELECT max(public.l2_norm(t.embedding)) FROM gallery.template_%s t
            WHERE t.ctid >= $1 AND t.ctid < $2 AND t.batch = ANY ($3)', p_edition)
            INTO norm USING format('(%s,0)', c.page)::tid, format('(%s,0)', reach)::tid, c.coding;
        UPDATE gallery.codebook SET page = reach, longest = greatest(longest, norm) WHERE edition = p_edition;
        RETURN QUERY VALUES (reach, c.pages + 1);
        RETURN;
    END IF;
    SELECT coalesce(sum(cardinality(x.templates)), 0) INTO codes FROM gallery.code x WHERE x.edition = p_edition;
    SELECT count(*) INTO templates FROM gallery.template t WHERE t.edition = p_edition AND t.batch = ANY (
        c.coding || ARRAY(SELECT d.batch FROM gallery.coded d WHERE d.edition = p_edition));
    IF codes <> templates THEN
        PERFORM gallery.drop_codes(p_edition);
        RETURN QUERY VALUES (0::bigint, 1::bigint);
        RETURN;
    END IF;
    INSERT INTO gallery.coded (edition, batch) SELECT p_edition, b FROM unnest(c.coding) AS b;
    UPDATE gallery.codebook SET coding = '{}', near = (
        SELECT percentile_disc(0.01) WITHIN GROUP (ORDER BY a.code OPERATOR(public.<~>) o.code)
        FROM (SELECT x.code, x.template FROM gallery.code_of_template x WHERE x.edition = p_edition LIMIT 32) a
        JOIN (SELECT x.code, x.template FROM gallery.code_of_template x WHERE x.edition = p_edition LIMIT 10000) o ON o.template <> a.template)
    WHERE edition = p_edition;
    EXECUTE format('ANALYZE gallery.code_%s (edition)', p_edition);
    PERFORM log.append_as_gallery('gallery:codes:built', jsonb_build_object(
        'edition', p_edition, 'batches', cardinality(c.coding), 'templates', templates));
    RETURN QUERY VALUES (c.pages + 1, c.pages + 1);
END $$;

CREATE FUNCTION gallery.drop_codes(p_edition integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM gallery.coded WHERE edition = p_edition;
    DELETE FROM gallery.code WHERE edition = p_edition;
    UPDATE gallery.codebook SET coding = '{}' WHERE edition = p_edition;
END $$;

-- Whoever deletes a template deletes its code: the rows that hold one are written again without it. One after the other, because the second of
-- two at once would not see the rows that the first wrote.
CREATE FUNCTION gallery.no_code_without_template() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e       integer;
    begun   integer[];
    lost    uuid[];
    columns text := (SELECT string_agg('c.code_' || i, ', ' ORDER BY i) FROM generate_series(1, 44) AS i);
BEGIN
    FOR e IN SELECT DISTINCT g.edition FROM gone g JOIN gallery.codebook c ON c.edition = g.edition ORDER BY g.edition LOOP
        SELECT x.coding INTO begun FROM gallery.codebook x WHERE x.edition = e FOR UPDATE;
        SELECT array_agg(g.template) INTO lost FROM gone g WHERE g.edition = e AND (
            g.batch = ANY (begun) OR g.batch IN (SELECT d.batch FROM gallery.coded d WHERE d.edition = e));
        CONTINUE WHEN lost IS NULL;
        EXECUTE format('WITH held AS (DELETE FROM gallery.code_%s c WHERE EXISTS (SELECT FROM unnest(c.templates) AS t WHERE t = ANY ($1)) RETURNING c.*) ', e)
            || gallery.packing(e, format('SELECT u.template, u.code FROM held c, unnest(c.templates, ARRAY[%s]) AS u (template, code)
                WHERE u.template <> ALL ($1)', columns)) USING lost;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER no_code_without_template AFTER DELETE ON gallery.template
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION gallery.no_code_without_template();
ALTER TABLE gallery.template ENABLE ALWAYS TRIGGER no_code_without_template;

-- The smallest distance that a binomial number of `p_bits` trials exceeds with a probability of at most `p_loss`, each trial with the
-- probability that a random plane parts two vectors at this cosine. Raised by what single precision can turn over: the sum of d products
-- errs by at most d (sqrt(d) + 6) / 2^24 for planes of up to that length (shorter by 6 would be one plane in 10^8), and a normal number
-- lies that near to 0 with at most sqrt(2 / pi) times as much, for each of the two codes.
CREATE FUNCTION gallery.cut(p_bits integer, p_dimension integer, p_cosine double precision, p_loss double precision) RETURNS integer
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    p    double precision := acos(greatest(-1, least(1, p_cosine))) / pi()
        + 2 * sqrt(2 / pi()) * (p_dimension + 2) * (sqrt(p_dimension) + 6) / 16777216;
    k    integer := p_bits;
    term double precision;        -- logarithm of the probability of exactly k
    tail double precision := 0;   -- probability of k or more
BEGIN
    IF p >= 1 THEN
        RETURN p_bits;
    END IF;
    term := p_bits * ln(p);
    LOOP
        IF term > -700 THEN
            tail := tail + exp(term);
        END IF;
        IF tail > p_loss OR k = 0 THEN
            RETURN k;
        END IF;
        term := term + ln(k) - ln(p_bits - k + 1) + ln(1 - p) - ln(p);
        k := k - 1;
    END LOOP;
END $$;

-- Whether every template of these batches has its code. Holds the codes until the end of the transaction: they are not dropped while
-- somebody searches by them.
CREATE FUNCTION gallery.is_coded(p_edition integer, p_batches integer[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET transform_null_equals = off AS $$
BEGIN
    PERFORM FROM gallery.coded d WHERE d.edition = p_edition AND d.batch = p_batches[1] FOR KEY SHARE;
    RETURN cardinality(p_batches) > 0
        AND p_batches <@ ARRAY(SELECT d.batch FROM gallery.coded d WHERE d.edition = p_edition);
END $$;

-- The cut for this probe and threshold (millionths). A score is an inner product in single precision, rounded, of vectors that are
-- almost of length 1.
CREATE FUNCTION gallery.cut_of(p_edition integer, p_probe public.halfvec, p_threshold integer, p_loss double precision) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT gallery.cut(1280, e.dimension, ((p_threshold - 0.6) / 1000000 - (e.dimension + 2) / 16777216.0)
        / (c.longest * public.l2_norm(p_probe)), p_loss)
    FROM gallery.codebook c JOIN gallery.edition e ON e.edition = c.edition WHERE c.edition = p_edition AND c.longest > 0
$$;

CREATE FUNCTION gallery.code_of(p_edition integer, p_probe public.halfvec) RETURNS bit varying
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT public.binary_quantize((array_agg(p.plane OPERATOR(public.<#>) p_probe::public.vector ORDER BY p.place))::public.vector)
    FROM gallery.plane p WHERE p.edition = p_edition
$$;

-- The first stage. As the exact scan it reads the partition itself, keeps its parallel plan through the inner RETURN QUERY and pins what a
-- caller could turn.
CREATE FUNCTION gallery.within_cut(p_edition integer, p_code bit varying, p_cut integer) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = on SET plan_cache_mode = force_custom_plan
    SET seq_page_cost = 1 SET random_page_cost = 4 SET cpu_tuple_cost = 0.01 SET cpu_operator_cost = 0.0025
    SET max_parallel_workers = 64 SET max_parallel_workers_per_gather = 0 SET parallel_leader_participation = on
    SET parallel_setup_cost = 0 SET parallel_tuple_cost = 0 SET min_parallel_table_scan_size = 0 SET debug_parallel_query = off
    SET work_mem = '64MB' SET jit = off SET transform_null_equals = off
AS $$
DECLARE
    leaf  text := 'code_' || p_edition;
    bytes bigint := pg_relation_size(to_regclass(format('gallery.%I', leaf)));
    within text;
BEGIN
    IF (bytes IS NOT NULL AND length(p_code) = 1280) IS NOT TRUE THEN
        PERFORM gate.refuse('codes', 'There are no codes to search this gallery edition by.');
    END IF;
    PERFORM set_config('max_parallel_workers_per_gather', least(
        CASE WHEN bytes < 8388608 THEN 0 ELSE 1 + bytes / 67108864 END,
        greatest(current_setting('max_worker_processes')::integer - 1, 0), 64)::text, true);
    SELECT string_agg(format('(c.code_%s OPERATOR(public.<~>) $1) <= $2', i), ', ' ORDER BY i) INTO within FROM generate_series(1, 44) AS i;
    RETURN QUERY EXECUTE format('SELECT u.template FROM gallery.%I c, unnest(c.templates, ARRAY[%s]) AS u (template, near) WHERE (%s) AND u.near',
        leaf, within, replace(within, ', ', ' OR '))
        USING p_code::bit(1280), p_cut::double precision;
END $$;

-- Whether a cut leaves few enough for two stages, and how many rows the second one reads. Both follow from the edition and the threshold
-- alone: the statistics of PostgreSQL, which everybody may read, count rows, and the result's entry names the method. If either hung on
-- what passed the cut, a search that is rolled back would say whether it found somebody. `reads` is a fifth more than random vectors
-- would leave, and never below 1,000: where more than that pass, the number says nothing about one person.
CREATE FUNCTION gallery.second_stage(p_edition integer, p_cut integer, p_templates integer) RETURNS TABLE (few boolean, reads integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET transform_null_equals = off AS $$
DECLARE
    term  double precision := 1280 * ln(0.5);  -- logarithm of the probability that k of 1,280 bits differ by chance
    share double precision := 0;
BEGIN
    FOR k IN 0..coalesce(p_cut, -1) LOOP
        IF term > -700 THEN
            share := share + exp(term);
        END IF;
        term := term + ln(greatest(1280 - k, 1)::double precision) - ln((k + 1)::double precision);
    END LOOP;
    few := coalesce(p_cut <= (SELECT c.near FROM gallery.codebook c WHERE c.edition = p_edition), false);
    reads := least(p_templates, greatest(1000, ceil(1.2 * share * p_templates)::integer));
    RETURN NEXT;
END $$;

-- The templates within the cut.
CREATE FUNCTION gallery.shortlist(p_edition integer, p_probe public.halfvec, p_cut integer) RETURNS uuid[]
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(w), ARRAY[]::uuid[]) FROM gallery.within_cut(p_edition, gallery.code_of(p_edition, p_probe), p_cut) AS w
$$;

-- The second stage: the exact scan restricted to a shortlist, by primary key. p_marks: the bit of a sub-gallery, as in gallery.scan.
-- It reads `p_reads` rows whatever the shortlist holds, filled up with others that can become no candidates; OFFSET 0 keeps every test
-- behind the reading, and what was removed is looked up before.
CREATE FUNCTION gallery.rerank(p_edition integer, p_batches integer[], p_version integer, p_probe public.halfvec, p_threshold integer,
    p_k integer, p_marks bigint, p_shortlist uuid[], p_reads integer) RETURNS TABLE (template uuid, score integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_nestloop = on SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_sort = on SET enable_hashjoin = off
    SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_partition_pruning = on
    SET enable_memoize = off SET plan_cache_mode = force_custom_plan SET max_parallel_workers_per_gather = 0 SET debug_parallel_query = off
    SET seq_page_cost = 1 SET random_page_cost = 4 SET cpu_tuple_cost = 0.01 SET cpu_operator_cost = 0.0025
    SET work_mem = '64MB' SET jit = off SET transform_null_equals = off
AS $$
DECLARE
    near   integer := cardinality(p_shortlist);
    others uuid[] := ARRAY(SELECT c.template FROM gallery.code_of_template c WHERE c.edition = p_edition LIMIT p_reads);
    gone   uuid[] := ARRAY(SELECT r.template FROM gallery.removed r WHERE r.edition = p_edition AND r.version <= p_version);
    ids    uuid[];
BEGIN
    SELECT p_shortlist || coalesce(array_agg(o) FILTER (WHERE place <= p_reads - near), '{}') INTO ids FROM (
        SELECT o, row_number() OVER () AS place FROM unnest(others) AS o WHERE o <> ALL (p_shortlist)) x;
    RETURN QUERY
    SELECT f.template, f.score FROM (
        SELECT t.template, t.batch, t.marks, n.place, round(-(t.embedding OPERATOR(public.<#>) p_probe) * 1000000)::integer AS score
        FROM unnest(ids) WITH ORDINALITY AS n (template, place) JOIN gallery.template t ON t.template = n.template
        WHERE t.edition = p_edition OFFSET 0
    ) f
    WHERE f.place <= near AND f.score >= p_threshold AND f.batch = ANY (p_batches) AND (p_marks IS NULL OR (f.marks & p_marks) <> 0)
        AND f.template <> ALL (gone)
    ORDER BY f.score DESC, f.template
    LIMIT p_k;
END $$;

-- What pages and workers may know of codes: how many sealed batches of an edition wait for them.
CREATE FUNCTION gallery.uncoded() RETURNS TABLE (edition integer, batches integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT b.edition, count(*)::integer FROM gallery.batch b
    WHERE b.sealed IS NOT NULL AND NOT EXISTS (SELECT FROM gallery.coded d WHERE d.edition = b.edition AND d.batch = b.batch)
    GROUP BY b.edition ORDER BY b.edition
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gallery FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gallery.build_codes(integer, integer), gallery.uncoded() TO @app@;
GRANT EXECUTE ON FUNCTION gallery.is_coded(integer, integer[]), gallery.cut_of(integer, public.halfvec, integer, double precision),
    gallery.second_stage(integer, integer, integer), gallery.shortlist(integer, public.halfvec, integer),
    gallery.rerank(integer, integer[], integer, public.halfvec, integer, integer, bigint, uuid[], integer) TO @gate_owner@;
RESET ROLE;

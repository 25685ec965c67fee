-- Evaluation editions: benchmark people only, in tables of their own, searched by the gate's scan word for word. Its owner has no
-- right on the schema gallery, so whatever is asked here, no operational template is read: no oracle beside the gate.
-- Embeddings of benchmark people may be read by the application, which computed them.
SET LOCAL ROLE @evaluation_owner@;

CREATE TABLE evaluation.edition (
    edition   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dimension integer NOT NULL CHECK (dimension BETWEEN 2 AND 4000),
    opened    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE evaluation.template (
    edition   integer NOT NULL,
    batch     integer NOT NULL,
    template  uuid NOT NULL,
    person    uuid NOT NULL,
    embedding public.halfvec NOT NULL,
    PRIMARY KEY (edition, template)
) PARTITION BY LIST (edition);

-- Nothing is ever removed from an evaluation edition; the scan asks all the same.
CREATE TABLE evaluation.removed (
    edition  integer NOT NULL,
    template uuid NOT NULL,
    version  integer NOT NULL,
    PRIMARY KEY (edition, template)
);

CREATE FUNCTION evaluation.open_edition(p_dimension integer) RETURNS integer
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
    EXECUTE format('ALTER TABLE evaluation.template_%s SET (parallel_workers = 2)', fresh);
    EXECUTE format('ALTER TABLE evaluation.template_%1$s ALTER COLUMN embedding SET STATISTICS 0', fresh);
    EXECUTE format('ALTER TABLE evaluation.template ATTACH PARTITION evaluation.template_%1$s FOR VALUES IN (%1$s)', fresh);
    RETURN fresh;
END $$;

-- After the templates are in: without the size of the partition the planner would not scan it in parallel.
CREATE FUNCTION evaluation.filled(p_edition integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET transform_null_equals = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM evaluation.edition e WHERE e.edition = p_edition) THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', HINT = 'edition', MESSAGE = 'There is no such evaluation edition.';
    END IF;
    EXECUTE format('ANALYZE evaluation.template_%s (edition, batch)', p_edition);
END $$;

CREATE FUNCTION evaluation.drop_edition(p_edition integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET transform_null_equals = off AS $$
DECLARE
    before text := current_setting('glasscase.maintenance', true);
BEGIN
    DELETE FROM evaluation.edition e WHERE e.edition = p_edition;
    IF FOUND THEN
        -- A DROP in this schema is refused unless the transaction says that it means it.
        PERFORM set_config('glasscase.maintenance', 'on', true);
        EXECUTE format('DROP TABLE evaluation.template_%s', p_edition);
        PERFORM set_config('glasscase.maintenance', coalesce(before, ''), true);
    END IF;
END $$;

RESET ROLE;

-- The gate's scan, taken from the catalogue of this database and only pointed at the other schema.
DO $$
DECLARE
    source text := (SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'gallery' AND p.proname = 'scan');
BEGIN
    SET LOCAL ROLE @evaluation_owner@;
    EXECUTE replace(source, 'gallery.', 'evaluation.');
    RESET ROLE;
END $$;

SET LOCAL ROLE @evaluation_owner@;

-- The same settings as on the gate's functions (060_pins.sql).
DO $$
DECLARE
    f    record;
    pin  text;
BEGIN
    FOR f IN
        SELECT p.oid::regprocedure AS signature, coalesce(p.proconfig, '{}') AS config
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'evaluation' AND p.prosecdef
    LOOP
        FOREACH pin IN ARRAY ARRAY[
            'debug_print_parse = off', 'debug_print_rewritten = off', 'debug_print_plan = off', 'trace_sort = off',
            'client_min_messages = warning', 'timezone = "UTC"', 'datestyle = "ISO, MDY"', 'intervalstyle = postgres',
            'bytea_output = hex', 'extra_float_digits = 1', 'standard_conforming_strings = on', 'transform_null_equals = off',
            'plan_cache_mode = auto', 'lock_timeout = "5s"'
        ] LOOP
            IF NOT EXISTS (SELECT FROM unnest(f.config) AS c WHERE lower(split_part(c, '=', 1)) = split_part(pin, ' ', 1)) THEN
                EXECUTE format('ALTER FUNCTION %s SET %s', f.signature, pin);
            END IF;
        END LOOP;
    END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA evaluation FROM PUBLIC;
GRANT USAGE ON SCHEMA evaluation TO @app@;
GRANT SELECT, INSERT ON evaluation.template TO @app@;
GRANT SELECT ON evaluation.edition TO @app@;
GRANT EXECUTE ON FUNCTION evaluation.open_edition(integer), evaluation.filled(integer), evaluation.drop_edition(integer),
    evaluation.scan(integer, integer[], integer, public.halfvec, integer, integer) TO @app@;

RESET ROLE;

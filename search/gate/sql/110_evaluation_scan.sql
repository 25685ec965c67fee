-- The gate's scan for evaluation editions: taken from the catalogue of this database, settings and all, and only pointed at the other
-- schema. To be run again after every change of gallery.scan, once its settings are pinned.
DO $$
DECLARE
    source text := (SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'gallery' AND p.proname = 'scan');
BEGIN
    SET LOCAL ROLE @evaluation_owner@;
    EXECUTE replace(source, 'gallery.', 'evaluation.');
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA evaluation FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION evaluation.scan(integer, integer[], integer, public.halfvec, integer, integer, bigint) TO @app@;
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

RESET ROLE;

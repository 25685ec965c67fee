-- Settings that a caller could turn, pinned on every definer function: some print what a function computes (debug_print_plan shows
-- a function's variables as constants), some move its clock arithmetic (a time zone with a jump of 48 hours), some change how
-- literals are read. Functions that are not definers inherit them from the one that calls them.
DO $$
DECLARE
    owner_ record;
    f      record;
    pin    text;
    name_  text;
BEGIN
    FOR owner_ IN
        SELECT DISTINCT p.proowner, pg_get_userbyid(p.proowner) AS rolname
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname IN ('log', 'logwork', 'gallery', 'gate', 'vault') AND p.prosecdef
    LOOP
        EXECUTE format('SET LOCAL ROLE %I', owner_.rolname);
        FOR f IN
            SELECT p.oid::regprocedure AS signature, coalesce(p.proconfig, '{}') AS config
            FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE n.nspname IN ('log', 'logwork', 'gallery', 'gate', 'vault') AND p.prosecdef AND p.proowner = owner_.proowner
        LOOP
            FOREACH pin IN ARRAY ARRAY[
                'debug_print_parse = off', 'debug_print_rewritten = off', 'debug_print_plan = off', 'trace_sort = off',
                'client_min_messages = warning', 'timezone = "UTC"', 'datestyle = "ISO, MDY"', 'intervalstyle = postgres',
                'bytea_output = hex', 'extra_float_digits = 1', 'standard_conforming_strings = on', 'transform_null_equals = off',
                'plan_cache_mode = auto', 'lock_timeout = "5s"'
            ] LOOP
                name_ := split_part(pin, ' ', 1);
                IF NOT EXISTS (SELECT FROM unnest(f.config) AS c WHERE lower(split_part(c, '=', 1)) = name_) THEN
                    EXECUTE format('ALTER FUNCTION %s SET %s', f.signature, pin);
                END IF;
            END LOOP;
        END LOOP;
        RESET ROLE;
    END LOOP;
END $$;

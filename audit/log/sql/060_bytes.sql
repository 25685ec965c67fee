-- A kind of field for bytes, as base64url without padding: what a passkey signed, and its public key.
SET LOCAL ROLE @log_owner@;
CREATE OR REPLACE FUNCTION log.fits(kind text, value jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE kind
        WHEN 'int' THEN jsonb_typeof(value) = 'number' AND value::text ~ '^(0|-?[1-9][0-9]{0,15})$'
            AND abs((value #>> '{}')::numeric) <= 9007199254740991
        WHEN 'bool' THEN jsonb_typeof(value) = 'boolean'
        WHEN 'id' THEN jsonb_typeof(value) = 'string' AND (value #>> '{}') ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
        WHEN 'hash' THEN jsonb_typeof(value) = 'string' AND (value #>> '{}') ~ '^[0-9a-f]{64}$'
        WHEN 'nonce' THEN jsonb_typeof(value) = 'string' AND (value #>> '{}') ~ '^[0-9a-f]{32}$'
        WHEN 'code' THEN jsonb_typeof(value) = 'string' AND (value #>> '{}') ~ '^[a-z0-9][a-z0-9_.:-]{0,79}$'
        WHEN 'bytes' THEN jsonb_typeof(value) = 'string' AND length(value #>> '{}') <= 1400 AND (value #>> '{}') ~ '^[A-Za-z0-9_-]+$'
        WHEN 'ids' THEN jsonb_typeof(value) = 'array' AND jsonb_array_length(value) <= 64
            AND NOT EXISTS (SELECT FROM jsonb_array_elements(value) AS item WHERE log.fits('id', item) IS NOT TRUE)
        WHEN 'codes' THEN jsonb_typeof(value) = 'array' AND jsonb_array_length(value) <= 64
            AND NOT EXISTS (SELECT FROM jsonb_array_elements(value) AS item WHERE log.fits('code', item) IS NOT TRUE)
        ELSE false
    END
$$;
RESET ROLE;

-- A full tile is made of what is below it. It was believed before: whoever had the sequencer's password could store one that left
-- out an entry, and the signer, which reads the root of a full tile, signed a tree without that entry.
SET LOCAL ROLE @log_owner@;

-- The root of a full tile (RFC 6962): its hashes in pairs, until one is left.
CREATE FUNCTION log.tile_root(p_hashes bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    node   constant bytea := decode('01', 'hex');
    hashes bytea := p_hashes;
BEGIN
    WHILE octet_length(hashes) > 32 LOOP
        SELECT string_agg(sha256(node || substr(hashes, 64 * pair + 1, 64)), decode('', 'hex') ORDER BY pair) INTO STRICT hashes
        FROM generate_series(0, octet_length(hashes) / 64 - 1) AS pair;
    END LOOP;
    RETURN hashes;
END $$;

CREATE FUNCTION log.tile_within_tree() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    hashes bytea;
BEGIN
    IF NEW.level = 0 THEN
        SELECT string_agg(e.leaf_hash, decode('', 'hex') ORDER BY l.idx) INTO hashes
        FROM log.origin o
        JOIN log.leaf l ON l.idx >= o.base + NEW.n * 256 AND l.idx < o.base + NEW.n * 256 + 256
        JOIN log.entry e ON e.id = l.entry_id
        WHERE o.number = NEW.origin;
    ELSE
        SELECT string_agg(t.root, decode('', 'hex') ORDER BY t.n) INTO hashes
        FROM log.tile t
        WHERE t.origin = NEW.origin AND t.level = NEW.level - 1 AND t.n >= NEW.n * 256 AND t.n < NEW.n * 256 + 256;
    END IF;
    IF (octet_length(hashes) = 8192 AND NEW.data = hashes AND NEW.root = log.tile_root(hashes)) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = 'A full tile holds the hashes of what is below it, and their root.';
    END IF;
    RETURN NEW;
END $$;

-- After `of_current_origin`, which says of which log the tile is: triggers of one kind run in the order of their names.
CREATE TRIGGER within_tree BEFORE INSERT ON log.tile FOR EACH ROW EXECUTE FUNCTION log.tile_within_tree();
ALTER TABLE log.tile ENABLE ALWAYS TRIGGER within_tree;

REVOKE ALL ON FUNCTION log.tile_root(bytea), log.tile_within_tree() FROM PUBLIC;

RESET ROLE;

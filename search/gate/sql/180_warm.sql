-- The codes of searches in two stages are read at every such search: they are warmed before the templates.
SET LOCAL ROLE @gallery_owner@;

-- Reads templates and codes of an edition once, so that the first search does not; returns nothing about them. By a range of row addresses,
-- because a sequential scan of more than a quarter of shared_buffers goes through a small ring and leaves nothing there. What does not
-- fit is not read: it would only drive out everything else.
CREATE OR REPLACE FUNCTION gallery.warm(p_edition integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_tidscan = on SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    room bigint := pg_size_bytes(current_setting('shared_buffers')) * 3 / 4;
    leaf text;
BEGIN
    FOREACH leaf IN ARRAY ARRAY['code_' || p_edition, 'template_' || p_edition] LOOP
        room := room - coalesce(pg_relation_size(to_regclass(format('gallery.%I', leaf))), 0);
        IF room >= 0 AND to_regclass(format('gallery.%I', leaf)) IS NOT NULL THEN
            EXECUTE format('SELECT count(*) FROM gallery.%I t WHERE t.ctid >= %L', leaf, '(0,0)');
        END IF;
    END LOOP;
END $$;

RESET ROLE;

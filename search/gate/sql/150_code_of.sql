-- The sides before they are put in order: sorting whole planes took longer than the rest, and went to disk.
SET LOCAL ROLE @gallery_owner@;

CREATE OR REPLACE FUNCTION gallery.code_of(p_edition integer, p_probe public.halfvec) RETURNS bit varying
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT public.binary_quantize((array_agg(s.side ORDER BY s.place))::public.vector) FROM (
        SELECT p.place, p.plane OPERATOR(public.<#>) x.face AS side
        FROM (SELECT p_probe::public.vector AS face OFFSET 0) x, gallery.plane p WHERE p.edition = p_edition OFFSET 0) s
$$;

RESET ROLE;

-- A search in two stages where two approvers allow it: the gate asks for the cut, the templates within it are compared exactly, and the
-- result's entry says so. A replay does as the first time did, and says what the exact scan finds besides.
SET LOCAL ROLE @gate_owner@;

INSERT INTO gate.setting (name, value, minimum, maximum, note) VALUES
    ('two_stage_from', 0, 0, 1000000000, 'editions of so many templates on may be searched in two stages, where a photo exactly at the threshold is lost with a chance of at most 1 in 1,000,000; 0: every search is exact');
-- The cut of a search in two stages; none of an exact one.
ALTER TABLE gate.outcome ADD COLUMN cut integer;

CREATE OR REPLACE FUNCTION gate.replay(p_request uuid, p_proposal uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b         gate.bound;
    o         gate.outcome;
    v         record;
    near      uuid[];
    reads     integer;
    lost      integer;
    who       uuid[];
    templates uuid[];
    scores    integer[];
    expunged  integer;
    at_limit  integer;
    differing integer;
    verdict   text;
    done      uuid;
BEGIN
    who := gate.consume('gate:replay', jsonb_build_object('request', p_request), ARRAY[p_proposal], 1);
    SELECT * INTO b FROM gate.bound x WHERE x.request = p_request AND x.probe IS NOT NULL AND x.xid <> pg_current_xact_id();
    IF NOT FOUND THEN
        PERFORM gate.refuse('bound', 'There is no bound probe to replay: the search was not run, or its probe is erased.');
    END IF;
    SELECT * INTO o FROM gate.outcome x WHERE x.request = p_request AND x.xid <> pg_current_xact_id();
    IF NOT FOUND THEN
        PERFORM gate.refuse('bound', 'The search has no stored result to compare with.');
    END IF;
    SELECT * INTO v FROM gallery.version_of(b.edition, b.version);
    IF o.cut IS NOT NULL THEN
        IF (gallery.is_coded(b.edition, v.batches)) IS NOT TRUE THEN
            PERFORM gate.refuse('codes', 'The codes of this gallery edition are being built. Replay the search when they are complete.');
        END IF;
        near := gallery.shortlist(b.edition, b.probe, o.cut);
        SELECT s.reads INTO reads FROM gallery.second_stage(b.edition, o.cut, v.templates) s;
        SELECT count(*) INTO lost FROM (SELECT unnest(e.templates) FROM gate.compare(b, v.batches, NULL, NULL) e
            EXCEPT SELECT unnest(n.templates) FROM gate.compare(b, v.batches, near, reads) n) x;
    END IF;
    SELECT * INTO templates, scores FROM gate.compare(b, v.batches, near, reads);
    SELECT count(*) INTO expunged FROM gate.unpack(o.packed) u WHERE NOT gallery.exists_still(b.edition, u.template);
    -- Of the first list, what still exists has to come back at the same place; what follows an expunged row moves up, and new
    -- rows may fill the end of a full list.
    SELECT count(*) INTO differing FROM (
        SELECT u.template, u.score, row_number() OVER (ORDER BY u.rank) AS place
        FROM gate.unpack(o.packed) u WHERE gallery.exists_still(b.edition, u.template)) a
    FULL JOIN (
        SELECT t AS template, s AS score, place FROM unnest(templates, scores) WITH ORDINALITY AS l (t, s, place)) n
        ON n.place = a.place AND n.template = a.template AND n.score = a.score
    WHERE (a.template IS NULL OR n.template IS NULL)
        AND NOT (a.template IS NULL AND expunged > 0 AND n.place > cardinality(templates) - expunged);
    SELECT count(*) INTO at_limit FROM unnest(scores) AS s WHERE s - b.threshold <= 1;
    verdict := CASE WHEN differing = 0 AND expunged = 0 THEN 'same'
                    WHEN differing = 0 THEN 'same_except_expunged' ELSE 'different' END;
    done := log.append_as_gate('search:result:replayed', jsonb_build_object(
        'request', p_request, 'comparison', verdict, 'expunged', expunged, 'near_threshold', at_limit, 'approver', who[1],
        'lost', lost));
    INSERT INTO gate.replay (entry, request, packed) VALUES (done, p_request, gate.pack(templates, scores));
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gate FROM PUBLIC;
RESET ROLE;

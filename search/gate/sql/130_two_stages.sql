-- A search in two stages where two approvers allow it: the gate asks for the cut, the templates within it are compared exactly, and the
-- result's entry says so. A replay does as the first time did, and says what the exact scan finds besides.
SET LOCAL ROLE @gate_owner@;

INSERT INTO gate.setting (name, value, minimum, maximum, note) VALUES
    ('two_stage_from', 0, 0, 1000000000, 'editions of so many templates on may be searched in two stages, where a photo exactly at the threshold is lost with a chance of at most 1 in 1,000,000; 0: every search is exact');
-- The cut of a search in two stages; none of an exact one.
ALTER TABLE gate.outcome ADD COLUMN cut integer;

-- The list of a bound search: of a shortlist, or of the whole edition without one.
CREATE FUNCTION gate.compare(b gate.bound, p_batches integer[], p_shortlist uuid[], p_reads integer, OUT templates uuid[], OUT scores integer[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_shortlist IS NULL THEN
        SELECT coalesce(array_agg(s.template ORDER BY s.place), ARRAY[]::uuid[]), coalesce(array_agg(s.score ORDER BY s.place), ARRAY[]::integer[])
        INTO templates, scores
        FROM gallery.scan(b.edition, p_batches, b.version, b.probe, b.threshold, b.k, NULL) WITH ORDINALITY AS s (template, score, place);
    ELSE
        SELECT coalesce(array_agg(s.template ORDER BY s.place), ARRAY[]::uuid[]), coalesce(array_agg(s.score ORDER BY s.place), ARRAY[]::integer[])
        INTO templates, scores
        FROM gallery.rerank(b.edition, p_batches, b.version, b.probe, b.threshold, b.k, NULL, p_shortlist, p_reads)
            WITH ORDINALITY AS s (template, score, place);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION gate.execute(p_request uuid, p_claim_secret bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET transform_null_equals = off AS $$
DECLARE
    b         gate.bound;
    v         record;
    cut       integer;
    second    record;
    near      uuid[];
    loss      constant integer := 1000000;
    templates uuid[];
    scores    integer[];
    salt      bytea := uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
    salt_mu   bytea := uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
    started   bigint := gate.now_ms();
    done      uuid;
BEGIN
    PERFORM gate.require_read_committed();
    SELECT * INTO b FROM gate.bound x WHERE x.request = p_request AND x.xid <> pg_current_xact_id() FOR UPDATE;
    IF NOT FOUND OR (log.sequenced(b.entry) IS NOT NULL) IS NOT TRUE THEN
        PERFORM gate.refuse('bound', 'The search is not bound, or its bound entry is not in the log yet.');
    END IF;
    IF (b.claim = sha256(p_claim_secret)) IS NOT TRUE THEN
        PERFORM gate.refuse('claim', 'Only the worker that holds the claim of this search may run it.');
    END IF;
    IF EXISTS (SELECT FROM gate.outcome o WHERE o.request = p_request) THEN
        PERFORM gate.refuse('executed', 'This search has been run already.');
    END IF;
    IF (EXISTS (SELECT FROM gate.acceptance a WHERE a.model = (log.sequenced(b.intent)) ->> 'model' AND a.verdict = 'met'
        AND a.expires > gate.now_ms() AND a.threshold <= b.threshold)) IS NOT TRUE THEN
        PERFORM gate.refuse('evaluation', 'The face model has no current evaluation any more that allows this threshold.');
    END IF;
    IF EXISTS (SELECT FROM gate.withdrawal w WHERE w.request = p_request) THEN
        PERFORM gate.refuse('withdrawn', 'The search was withdrawn.');
    END IF;
    IF (b.expires > gate.now_ms()) IS NOT TRUE THEN
        PERFORM gate.refuse('expired', 'The search has expired. Request it again.');
    END IF;
    SELECT * INTO v FROM gallery.version_of(b.edition, b.version);
    -- Two stages where two people allowed them for editions of this size, every template has its code and the cut leaves few: decided
    -- before anything is compared, so that the method says nothing about what was found.
    IF (gate.value('two_stage_from') BETWEEN 1 AND v.templates AND gallery.is_coded(b.edition, v.batches)) THEN
        cut := gallery.cut_of(b.edition, b.probe, b.threshold, 1.0 / loss);
        SELECT * INTO second FROM gallery.second_stage(b.edition, cut, v.templates);
        cut := CASE WHEN second.few THEN cut END;
    END IF;
    IF cut IS NOT NULL THEN
        near := gallery.shortlist(b.edition, b.probe, cut);
        SELECT * INTO templates, scores FROM gate.compare(b, v.batches, near, second.reads);
    ELSE
        SELECT * INTO templates, scores FROM gate.compare(b, v.batches, NULL, NULL);
    END IF;
    done := log.append_as_gate('search:result:stored', jsonb_build_object(
        'request', p_request, 'intent', b.intent, 'bound', b.entry, 'edition', b.edition, 'version', b.version,
        'templates', v.templates, 'threshold', b.threshold, 'k', b.k, 'started', started,
        'method', CASE WHEN cut IS NULL THEN 'exact' ELSE 'two_stage' END,
        'bits', CASE WHEN cut IS NOT NULL THEN 1024 END, 'cut', cut, 'loss_one_in', CASE WHEN cut IS NOT NULL THEN loss END,
        'c', jsonb_build_object(
            'candidates', log.commitment('candidates', salt, gate.list_text(templates, scores, 1000)),
            'candidates_micro', log.commitment('candidates_micro', salt_mu, gate.list_text(templates, scores, 1)))));
    BEGIN
        INSERT INTO gate.outcome (request, packed, salt, salt_micro, entry, cut)
        VALUES (p_request, gate.pack(templates, scores), salt, salt_mu, done, cut);
    EXCEPTION WHEN unique_violation THEN
        PERFORM gate.refuse('executed', 'This search has been run already.');
    END;
END $$;

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

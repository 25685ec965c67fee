-- Erasing what a search left: its embedding and its candidates. The rows stay, because they count against the limits and keep a request
-- from being used twice. Ordered with an approval; by age, and after the deadline of an emergency that nobody approved, without one.
SET LOCAL ROLE @gate_owner@;

INSERT INTO gate.setting (name, value, minimum, maximum, note) VALUES
    ('probe_days', 1825, 1, 36500, 'how long photos, embeddings and candidates of searches are kept, in days');
ALTER TABLE gate.bound ALTER COLUMN probe DROP NOT NULL, ALTER COLUMN salt DROP NOT NULL;
ALTER TABLE gate.outcome ADD COLUMN erased timestamptz;

CREATE OR REPLACE FUNCTION gate.require_open(o gate.outcome) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b gate.bound;
BEGIN
    IF o.erased IS NOT NULL THEN
        PERFORM gate.refuse('erased', 'The candidates of this search have been erased.');
    END IF;
    SELECT * INTO b FROM gate.bound x WHERE x.request = o.request;
    IF o.sealed IS NOT NULL OR (b.deadline IS NULL OR b.deadline > clock_timestamp()
        OR EXISTS (SELECT FROM gate.covered_approval(b.request, b.requester, b.params))) IS NOT TRUE THEN
        PERFORM gate.refuse('sealed', 'The result is sealed: no approval of the emergency search was filed in time.');
    END IF;
END $$;

-- A hold on a request or on its case covers what the search left.
CREATE FUNCTION gate.require_no_hold(p_request uuid, p_case uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (gate.is_held(p_request) OR (p_case IS NOT NULL AND gate.is_held(p_case))) IS NOT FALSE THEN
        PERFORM gate.refuse('hold', 'A legal hold covers this search: nothing may be erased until it is lifted.');
    END IF;
END $$;

CREATE FUNCTION gate.forget_search(p_request uuid, p_reason text, p_approver uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b gate.bound;
BEGIN
    SELECT * INTO b FROM gate.bound x WHERE x.request = p_request FOR UPDATE;
    IF NOT FOUND OR b.probe IS NULL THEN
        RETURN;
    END IF;
    IF (EXISTS (SELECT FROM gate.outcome o WHERE o.request = p_request) OR b.expires < gate.now_ms()) IS NOT TRUE THEN
        PERFORM gate.refuse('running', 'This search has not ended: it cannot be erased now.');
    END IF;
    UPDATE gate.bound SET probe = NULL, salt = NULL WHERE request = p_request;
    UPDATE gate.outcome SET packed = decode(repeat('00', octet_length(packed)), 'hex'), salt = '', salt_micro = '',
        erased = clock_timestamp() WHERE request = p_request;
    DELETE FROM gate.replay WHERE request = p_request;
    PERFORM log.append_as_gate('search:probe:erased', jsonb_build_object(
        'request', p_request, 'reason', p_reason, 'approver', p_approver));
END $$;

CREATE FUNCTION gate.case_of(p_request uuid) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (log.sequenced(b.intent) ->> 'case')::uuid FROM gate.bound b WHERE b.request = p_request
$$;

CREATE FUNCTION gate.erase_search(p_request uuid, p_proposal uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who uuid[];
BEGIN
    who := gate.consume('gate:erase_search', jsonb_build_object('request', p_request), ARRAY[p_proposal], 1);
    PERFORM gate.require_no_hold(p_request, gate.case_of(p_request));
    PERFORM gate.forget_search(p_request, 'ordered', who[1]);
END $$;

-- Without an approval: what is older than the limit, and an emergency that nobody approved until its deadline. A search that was never
-- bound has nothing here; asking tells whether a hold covers it.
CREATE FUNCTION gate.erase_due(p_request uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b gate.bound;
    reason text;
BEGIN
    PERFORM gate.require_read_committed();
    PERFORM gate.require_no_hold(p_request, gate.case_of(p_request));
    SELECT * INTO b FROM gate.bound x WHERE x.request = p_request FOR UPDATE;
    IF NOT FOUND OR b.probe IS NULL THEN
        RETURN;
    END IF;
    IF b.at <= clock_timestamp() - make_interval(days => gate.value('probe_days')::int) THEN
        reason := 'retention';
    ELSIF EXISTS (SELECT FROM gate.outcome o WHERE o.request = p_request AND o.sealed IS NOT NULL) AND b.deadline <= clock_timestamp() THEN
        reason := 'emergency_overdue';
    ELSE
        PERFORM gate.refuse('retention', 'This search is not due for erasure. Erase it with an approval, or wait.');
    END IF;
    PERFORM gate.forget_search(p_request, reason, NULL);
END $$;

CREATE OR REPLACE FUNCTION gate.replay(p_request uuid, p_proposal uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b         gate.bound;
    o         gate.outcome;
    v         record;
    who       uuid[];
    templates uuid[];
    scores    integer[];
    expunged  integer;
    near      integer;
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
    SELECT coalesce(array_agg(s.template ORDER BY s.place), ARRAY[]::uuid[]), coalesce(array_agg(s.score ORDER BY s.place), ARRAY[]::integer[])
    INTO templates, scores
    FROM gallery.scan(b.edition, v.batches, b.version, b.probe, b.threshold, b.k) WITH ORDINALITY AS s (template, score, place);
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
    SELECT count(*) INTO near FROM unnest(scores) AS s WHERE s - b.threshold <= 1;
    verdict := CASE WHEN differing = 0 AND expunged = 0 THEN 'same'
                    WHEN differing = 0 THEN 'same_except_expunged' ELSE 'different' END;
    done := log.append_as_gate('search:result:replayed', jsonb_build_object(
        'request', p_request, 'comparison', verdict, 'expunged', expunged, 'near_threshold', near, 'approver', who[1]));
    INSERT INTO gate.replay (entry, request, packed) VALUES (done, p_request, gate.pack(templates, scores));
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gate FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gate.erase_search(uuid, uuid), gate.erase_due(uuid) TO @app@;
RESET ROLE;

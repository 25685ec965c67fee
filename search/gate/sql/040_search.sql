-- The life of a search inside the database: bind, execute, candidates; three short transactions, because whatever one transaction
-- returns can be read and then rolled back. No distance is computed before the log holds the embedding; no candidate is shown
-- before the signed log holds the result and the reading.
SET LOCAL ROLE @gate_owner@;

-- What an approval was given for. The application computes the same digest before it asks an approver.
CREATE FUNCTION gate.search_params(e jsonb) RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT log.digest(jsonb_build_object(
        'request', e -> 'request', 'requester', e -> 'requester', 'photo', e #> '{c,photo}', 'box', e #> '{c,box}',
        'gallery', e -> 'gallery', 'edition', e -> 'edition', 'model', e -> 'model', 'threshold', e -> 'threshold', 'k', e -> 'k',
        'purpose', e -> 'purpose', 'emergency', e -> 'emergency', 'claim', e -> 'claim', 'expires', e -> 'expires'))
$$;

-- The entry of an approval of these parameters by somebody else that a recorded checkpoint covers, else no row.
CREATE FUNCTION gate.covered_approval(p_request uuid, p_requester uuid, p_params bytea) RETURNS TABLE (entry uuid, approver uuid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.entry, a.approver FROM gate.approval a JOIN gate.approver w ON w.approver = a.approver AND w.revoked IS NULL
    WHERE a.request = p_request AND a.params = p_params AND a.approver <> p_requester AND log.covered(a.entry) IS NOT NULL
    ORDER BY a.entry LIMIT 1
$$;

CREATE FUNCTION gate.bind(p_intent uuid, p_probe public.halfvec, p_claim_secret bytea) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET transform_null_equals = off AS $$
DECLARE
    e         jsonb;
    req       uuid;
    who       uuid;
    digest    bytea;
    ed        integer;
    found_ed  record;
    ok        record;
    emergency boolean;
    needed    boolean;
    approval  record;
    due       timestamptz;
    salt      bytea := uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
    done      uuid;
    recent    record;
BEGIN
    PERFORM gate.require_read_committed();
    e := log.covered(p_intent);
    IF (e IS NOT NULL AND e ->> 'type' = 'search:intent:filed') IS NOT TRUE THEN
        PERFORM gate.refuse('receipt', 'No receipt, no search: the intent is not in the signed log yet.');
    END IF;
    IF (sha256(p_claim_secret) = decode(e ->> 'claim', 'hex')) IS NOT TRUE THEN
        PERFORM gate.refuse('claim', 'Only the worker that holds the claim of this intent may bind a probe to it.');
    END IF;
    IF ((e ->> 'edition')::bigint BETWEEN 1 AND 2147483647) IS NOT TRUE THEN
        PERFORM gate.refuse('edition', 'The gallery is unknown, empty, or now under another face model.');
    END IF;
    req := (e ->> 'request')::uuid;
    who := (e ->> 'requester')::uuid;
    ed := (e ->> 'edition')::integer;
    emergency := (e ->> 'emergency')::boolean;
    IF ((e ->> 'expires')::bigint > gate.now_ms()
        AND (e ->> 'expires')::bigint <= (e ->> 'at')::bigint + gate.value('intent_hours_max') * 3600000) IS NOT TRUE THEN
        PERFORM gate.refuse('expired', 'The search has expired. Request it again.');
    END IF;
    digest := gate.search_params(e);
    IF (encode(digest, 'hex') = e ->> 'params') IS NOT TRUE THEN
        PERFORM gate.refuse('params', 'The intent does not carry the digest of its own parameters.');
    END IF;
    -- One binding at a time: caps are counted on committed rows, and limits cannot change in between.
    PERFORM FROM gate.setting s FOR UPDATE;
    IF EXISTS (SELECT FROM gate.withdrawal w WHERE w.request = req) THEN
        PERFORM gate.refuse('withdrawn', 'The search was withdrawn.');
    END IF;
    IF EXISTS (SELECT FROM gate.bound b WHERE b.request = req OR b.intent = p_intent) THEN
        PERFORM gate.refuse('used', 'This request has been used up. Every search needs its own request.');
    END IF;
    SELECT * INTO found_ed FROM gallery.searchable((e ->> 'gallery')::uuid, ed, e ->> 'model');
    IF NOT FOUND THEN
        PERFORM gate.refuse('edition', 'The gallery is unknown, empty, or now under another face model.');
    END IF;
    IF (public.vector_dims(p_probe) = found_ed.dimension AND abs(public.l2_norm(p_probe) - 1) < 0.01) IS NOT TRUE THEN
        PERFORM gate.refuse('probe', 'The probe is not a unit vector of the face model''s dimension.');
    END IF;
    SELECT * INTO ok FROM gate.acceptance a WHERE a.model = e ->> 'model' FOR SHARE;
    IF (FOUND AND ok.verdict = 'met' AND ok.expires > gate.now_ms()) IS NOT TRUE THEN
        PERFORM gate.refuse('evaluation', 'The face model has no current evaluation that meets the acceptance policy.');
    END IF;
    IF ((e ->> 'threshold')::bigint BETWEEN ok.threshold AND 1000000) IS NOT TRUE THEN
        PERFORM gate.refuse('threshold', 'The threshold is below the one that was adopted for this face model.');
    END IF;
    IF ((e ->> 'k')::bigint BETWEEN 1 AND gate.value('k_max')) IS NOT TRUE THEN
        PERFORM gate.refuse('k', 'The candidate list is longer than the gate allows.');
    END IF;
    SELECT count(*) FILTER (WHERE b.edition = ed) AS edition_hour, count(*) AS system_hour INTO recent
    FROM gate.bound b WHERE b.at > clock_timestamp() - make_interval(hours => 1);
    IF (recent.edition_hour < gate.value('edition_hour_cap') AND recent.system_hour < gate.value('system_hour_cap')) IS NOT TRUE THEN
        PERFORM gate.refuse('cap', 'The hourly number of searches is used up. Try again later.');
    END IF;
    SELECT * INTO approval FROM gate.covered_approval(req, who, digest);
    needed := NOT FOUND AND (gate.value('approval_needed') = 0
        OR EXISTS (SELECT FROM gate.exemption x WHERE x.gallery = (e ->> 'gallery')::uuid AND x.purpose = e ->> 'purpose')) IS NOT TRUE;
    IF needed AND emergency THEN
        IF ((SELECT count(*) FROM gate.bound b WHERE b.emergency AND b.approver IS NULL AND b.at > clock_timestamp() - make_interval(hours => 24))
            < gate.value('emergency_day_cap')) IS NOT TRUE THEN
            PERFORM gate.refuse('cap', 'The daily number of emergency searches without approval is used up.');
        END IF;
        due := clock_timestamp() + make_interval(hours => gate.value('emergency_deadline_hours')::int);
    ELSIF needed THEN
        PERFORM gate.refuse('approval', 'The search needs an approval by another person for exactly these parameters.');
    END IF;
    IF approval.approver IS NOT NULL AND ((SELECT count(*) FROM gate.bound b
        WHERE b.approver = approval.approver AND b.at > clock_timestamp() - make_interval(hours => 24)) < gate.value('approver_day_cap')) IS NOT TRUE THEN
        PERFORM gate.refuse('cap', 'The daily number of searches of this approver is used up.');
    END IF;
    done := log.append_as_gate('search:probe:bound', jsonb_build_object(
        'request', req, 'intent', p_intent, 'edition', ed, 'version', found_ed.version, 'emergency', emergency,
        'approval', approval.entry, 'deadline', floor(extract(epoch FROM due) * 1000)::bigint,
        'c', jsonb_build_object('embedding', log.commitment('embedding', salt, to_json(encode(public.halfvec_send(p_probe), 'hex'))::text))));
    BEGIN
        INSERT INTO gate.bound (request, intent, requester, approver, edition, version, probe, salt, threshold, k, expires, params,
            emergency, deadline, claim, entry)
        VALUES (req, p_intent, who, approval.approver, ed, found_ed.version, p_probe, salt, (e ->> 'threshold')::integer,
            (e ->> 'k')::integer, (e ->> 'expires')::bigint, digest, emergency, due, sha256(p_claim_secret), done);
    EXCEPTION WHEN unique_violation THEN
        PERFORM gate.refuse('used', 'This request has been used up. Every search needs its own request.');
    END;
    RETURN done;
END $$;

-- 2 bytes of count, then the candidates, then zeros up to the longest list: the stored row tells nothing by its size.
CREATE FUNCTION gate.pack(p_templates uuid[], p_scores integer[]) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT int2send(cardinality(p_templates)::smallint)
        || coalesce((SELECT string_agg(uuid_send(t) || int4send(s), ''::bytea ORDER BY place)
            FROM unnest(p_templates, p_scores) WITH ORDINALITY AS list (t, s, place)), ''::bytea)
        || decode(repeat('00', 20 * (200 - cardinality(p_templates))), 'hex')
$$;

CREATE FUNCTION gate.unpack(p_packed bytea) RETURNS TABLE (rank integer, template uuid, score integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT n, encode(substr(p_packed, 3 + 20 * (n - 1), 16), 'hex')::uuid,
        (get_byte(p_packed, 18 + 20 * (n - 1)) << 24) | (get_byte(p_packed, 19 + 20 * (n - 1)) << 16)
        | (get_byte(p_packed, 20 + 20 * (n - 1)) << 8) | get_byte(p_packed, 21 + 20 * (n - 1))
    FROM generate_series(1, (get_byte(p_packed, 0) << 8) | get_byte(p_packed, 1)) AS n
$$;

-- The canonical JSON of a candidate list: [["<template>",<score>],...]; the score in units of `p_unit` millionths, rounded down.
CREATE FUNCTION gate.list_text(p_templates uuid[], p_scores integer[], p_unit integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT '[' || coalesce(string_agg('["' || t || '",' || (s / p_unit) || ']', ',' ORDER BY place), '') || ']'
    FROM unnest(p_templates, p_scores) WITH ORDINALITY AS list (t, s, place)
$$;

CREATE FUNCTION gate.execute(p_request uuid, p_claim_secret bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET transform_null_equals = off AS $$
DECLARE
    b         gate.bound;
    v         record;
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
    SELECT coalesce(array_agg(s.template ORDER BY s.place), ARRAY[]::uuid[]), coalesce(array_agg(s.score ORDER BY s.place), ARRAY[]::integer[])
    INTO templates, scores
    FROM gallery.scan(b.edition, v.batches, b.version, b.probe, b.threshold, b.k) WITH ORDINALITY AS s (template, score, place);
    done := log.append_as_gate('search:result:stored', jsonb_build_object(
        'request', p_request, 'intent', b.intent, 'bound', b.entry, 'edition', b.edition, 'version', b.version,
        'templates', v.templates, 'threshold', b.threshold, 'k', b.k, 'method', 'exact', 'started', started,
        'c', jsonb_build_object(
            'candidates', log.commitment('candidates', salt, gate.list_text(templates, scores, 1000)),
            'candidates_micro', log.commitment('candidates_micro', salt_mu, gate.list_text(templates, scores, 1)))));
    BEGIN
        INSERT INTO gate.outcome (request, packed, salt, salt_micro, entry) VALUES (p_request, gate.pack(templates, scores), salt, salt_mu, done);
    EXCEPTION WHEN unique_violation THEN
        PERFORM gate.refuse('executed', 'This search has been run already.');
    END;
END $$;

-- Sealed, or past the deadline of an emergency that nobody approved: nothing of the outcome is shown.
CREATE FUNCTION gate.require_open(o gate.outcome) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b gate.bound;
BEGIN
    SELECT * INTO b FROM gate.bound x WHERE x.request = o.request;
    IF o.sealed IS NOT NULL OR (b.deadline IS NULL OR b.deadline > clock_timestamp()
        OR EXISTS (SELECT FROM gate.covered_approval(b.request, b.requester, b.params))) IS NOT TRUE THEN
        PERFORM gate.refuse('sealed', 'The result is sealed: no approval of the emergency search was filed in time.');
    END IF;
END $$;

-- The view entry of a reading: in the tree, fresh, of the right type, used for one reading, and only by who filed it. Everybody with
-- the application's password can read the entry; the secret of its claim is with the process that filed it.
CREATE FUNCTION gate.candidates(p_view uuid, p_secret bytea) RETURNS TABLE (rank integer, template uuid, score_milli integer, salt bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET transform_null_equals = off AS $$
DECLARE
    e jsonb;
    o gate.outcome;
BEGIN
    PERFORM gate.require_read_committed();
    e := log.sequenced(p_view);
    IF (e IS NOT NULL AND e ->> 'type' = 'search:candidates:viewed') IS NOT TRUE THEN
        PERFORM gate.refuse('view', 'Reading candidates needs an entry of the reading in the log first.');
    END IF;
    IF (sha256(p_secret) = decode(e ->> 'claim', 'hex')) IS NOT TRUE THEN
        PERFORM gate.refuse('claim', 'Only who filed this reading may open it.');
    END IF;
    IF ((e ->> 'at')::bigint > gate.now_ms() - gate.value('view_seconds') * 1000) IS NOT TRUE THEN
        PERFORM gate.refuse('view', 'The entry of this reading is too old. Open the candidates again.');
    END IF;
    SELECT * INTO o FROM gate.outcome x WHERE x.request = (e ->> 'request')::uuid AND x.xid <> pg_current_xact_id() FOR SHARE;
    IF NOT FOUND OR (log.covered(o.entry) IS NOT NULL) IS NOT TRUE THEN
        PERFORM gate.refuse('receipt', 'No receipt, no candidate: the result is not in the signed log yet.');
    END IF;
    PERFORM gate.require_open(o);
    BEGIN
        INSERT INTO gate.view (view, request, viewer, claim) VALUES (p_view, o.request, (e ->> 'viewer')::uuid, sha256(p_secret));
    EXCEPTION WHEN unique_violation THEN
        PERFORM gate.refuse('view', 'This entry has been used for a reading already. Open the candidates again.');
    END;
    RETURN QUERY SELECT u.rank, u.template, u.score / 1000, o.salt FROM gate.unpack(o.packed) u
        UNION ALL SELECT 0, NULL::uuid, NULL::integer, o.salt   -- rank 0: the salt, also when there is no candidate
        ORDER BY 1;
END $$;

-- The database's half of a photo's key, for the candidates that this reading opened and for nobody else.
CREATE FUNCTION gate.photo_key(p_view uuid, p_secret bytea, p_template uuid) RETURNS bytea
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v gate.view;
    o gate.outcome;
BEGIN
    PERFORM gate.require_read_committed();
    SELECT * INTO v FROM gate.view x WHERE x.view = p_view AND x.claim = sha256(p_secret);
    IF NOT FOUND OR (v.at > clock_timestamp() - make_interval(secs => gate.value('view_seconds')::int)) IS NOT TRUE THEN
        PERFORM gate.refuse('view', 'The reading is over. Open the candidates again.');
    END IF;
    SELECT * INTO o FROM gate.outcome x WHERE x.request = v.request FOR SHARE;
    PERFORM gate.require_open(o);
    IF (EXISTS (SELECT FROM gate.unpack(o.packed) u WHERE u.template = p_template)) IS NOT TRUE THEN
        PERFORM gate.refuse('photo', 'This photo is not among the candidates that were opened.');
    END IF;
    RETURN gallery.half_of((SELECT b.edition FROM gate.bound b WHERE b.request = v.request), p_template);
END $$;

CREATE FUNCTION gate.withdraw(p_request uuid, p_actor uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM gate.require_read_committed();
    IF p_request IS NULL OR p_actor IS NULL THEN
        PERFORM gate.refuse('withdrawn', 'Name the search and who withdraws it.');
    END IF;
    -- Neither a binding nor an execution of this search runs beside the withdrawal.
    PERFORM FROM gate.setting s FOR SHARE;
    PERFORM FROM gate.bound b WHERE b.request = p_request FOR UPDATE;
    IF EXISTS (SELECT FROM gate.outcome o WHERE o.request = p_request) THEN
        PERFORM gate.refuse('executed', 'The search has been run already: it cannot be withdrawn any more.');
    END IF;
    INSERT INTO gate.withdrawal (request) VALUES (p_request) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM log.append_as_gate('search:request:withdrawn', jsonb_build_object('request', p_request, 'actor', p_actor));
    END IF;
END $$;

-- Writes down what gate.candidates refuses already: the deadline of an emergency passed without an approval.
CREATE FUNCTION gate.seal_overdue() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    late  record;
    count_ integer := 0;
BEGIN
    PERFORM gate.require_read_committed();
    FOR late IN
        SELECT o.request FROM gate.outcome o JOIN gate.bound b ON b.request = o.request
        WHERE o.sealed IS NULL AND b.deadline <= clock_timestamp()
            AND NOT EXISTS (SELECT FROM gate.covered_approval(b.request, b.requester, b.params))
        FOR UPDATE OF o SKIP LOCKED
    LOOP
        UPDATE gate.outcome SET sealed = clock_timestamp() WHERE request = late.request;
        PERFORM log.append_as_gate('search:outcome:sealed', jsonb_build_object('request', late.request, 'reason', 'emergency_overdue'));
        count_ := count_ + 1;
    END LOOP;
    RETURN count_;
END $$;

-- The same bound embedding on the same version. Templates expunged since cannot come back; scores within one millionth of the
-- threshold may differ on another processor and are counted apart.
CREATE FUNCTION gate.replay(p_request uuid, p_proposal uuid) RETURNS void
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
    SELECT * INTO b FROM gate.bound x WHERE x.request = p_request AND x.xid <> pg_current_xact_id();
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
GRANT EXECUTE ON FUNCTION gate.bind(uuid, public.halfvec, bytea), gate.execute(uuid, bytea), gate.candidates(uuid, bytea),
    gate.photo_key(uuid, bytea, uuid), gate.withdraw(uuid, uuid), gate.seal_overdue(), gate.replay(uuid, uuid) TO @app@;
RESET ROLE;

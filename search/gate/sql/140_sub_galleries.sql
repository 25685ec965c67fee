-- Sub-galleries: named parts of a gallery by what the enrolment manifests say of a photo (county, decade of booking, sex as recorded).
-- Each has one bit in the marks of the templates, set when a photo is enrolled and covered by the digest of its batch. A search names
-- its sub-gallery in the intent, so that the approval covers it, and the scan tests the bit row by row.
SET LOCAL ROLE @gallery_owner@;

-- Written once: what a name means never changes. `matches` are `column:value`; one value of every column that is named has to be the photo's.
CREATE TABLE gallery.sub_gallery (
    gallery uuid NOT NULL,
    name    text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,59}$'),
    bit     integer NOT NULL CHECK (bit BETWEEN 0 AND 61),
    matches text[] NOT NULL CHECK (cardinality(matches) BETWEEN 1 AND 64),
    PRIMARY KEY (gallery, name),
    UNIQUE (gallery, bit)
);

-- How many templates of a version are in it; no row where there are none.
CREATE TABLE gallery.sub_gallery_size (
    edition   integer NOT NULL,
    version   integer NOT NULL,
    name      text NOT NULL,
    templates integer NOT NULL,
    PRIMARY KEY (edition, version, name)
);

CREATE FUNCTION gallery.count_sub_galleries() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    defined bigint;
BEGIN
    SELECT coalesce(bit_or(1::bigint << s.bit), 0) INTO defined
    FROM gallery.sub_gallery s JOIN gallery.edition e ON e.gallery = s.gallery WHERE e.edition = NEW.edition;
    -- A mark that means nothing yet would mean something once a sub-gallery with that bit is defined.
    IF EXISTS (SELECT FROM gallery.template t WHERE t.edition = NEW.edition AND t.batch = NEW.batch AND (t.marks & ~defined) <> 0) THEN
        PERFORM gate.refuse('marks', 'The batch marks photos for a sub-gallery that is not defined: discard it and enrol again.');
    END IF;
    IF defined <> 0 THEN
        INSERT INTO gallery.sub_gallery_size (edition, version, name, templates)
        SELECT NEW.edition, NEW.version, s.name, sum(counted.templates) FROM (
            SELECT t.marks, count(*) AS templates FROM gallery.template t
                JOIN gallery.batch b ON b.edition = t.edition AND b.batch = t.batch AND b.sealed IS NOT NULL
            WHERE t.edition = NEW.edition AND t.batch <= NEW.batch
                AND NOT EXISTS (SELECT FROM gallery.removed r WHERE r.edition = t.edition AND r.template = t.template)
            GROUP BY t.marks) counted
        JOIN gallery.edition e ON e.edition = NEW.edition
        JOIN gallery.sub_gallery s ON s.gallery = e.gallery AND (counted.marks & (1::bigint << s.bit)) <> 0
        GROUP BY s.name;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER count_sub_galleries AFTER INSERT ON gallery.version FOR EACH ROW EXECUTE FUNCTION gallery.count_sub_galleries();
ALTER TABLE gallery.version ENABLE ALWAYS TRIGGER count_sub_galleries;

-- Who is enrolled already is in none that is defined later: marks are written with the template.
CREATE FUNCTION gallery.define_sub_gallery(p_gallery uuid, p_name text, p_matches text[], p_proposal uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    who   uuid[];
    fresh integer;
BEGIN
    who := gate.consume('gallery:define_sub_gallery', jsonb_build_object(
        'gallery', p_gallery, 'sub_gallery', p_name, 'matches', to_jsonb(p_matches)), ARRAY[p_proposal], 1);
    IF (p_name ~ '^[a-z0-9][a-z0-9_.-]{0,59}$' AND cardinality(p_matches) BETWEEN 1 AND 64
        AND NOT EXISTS (SELECT FROM unnest(p_matches) AS m WHERE m IS NULL OR m !~ '^[a-z0-9][a-z0-9_.-]{0,39}:[a-z0-9_.:-]{1,39}$')) IS NOT TRUE THEN
        PERFORM gate.refuse('sub_gallery', 'A sub-gallery needs a name in small letters and 1 to 64 times column:value.');
    END IF;
    -- No batch is opened meanwhile: a worker reads the definitions when its batch is open, and they stay the same until it is sealed.
    PERFORM FROM gallery.edition e WHERE e.gallery = p_gallery ORDER BY e.edition FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM gate.refuse('edition', 'Register an edition of the gallery first.');
    END IF;
    IF EXISTS (SELECT FROM gallery.batch b JOIN gallery.edition e ON e.edition = b.edition
        WHERE e.gallery = p_gallery AND b.sealed IS NULL AND b.discarded IS NULL) THEN
        PERFORM gate.refuse('batch', 'An enrolment into this gallery is open. Finish or discard it first.');
    END IF;
    IF EXISTS (SELECT FROM gallery.sub_gallery s WHERE s.gallery = p_gallery AND s.name = p_name) THEN
        PERFORM gate.refuse('sub_gallery', 'The gallery has a sub-gallery of this name. What it means is never changed: choose another name.');
    END IF;
    SELECT count(*) INTO fresh FROM gallery.sub_gallery s WHERE s.gallery = p_gallery;
    IF fresh > 61 THEN
        PERFORM gate.refuse('sub_gallery', 'A gallery has at most 62 sub-galleries.');
    END IF;
    INSERT INTO gallery.sub_gallery (gallery, name, bit, matches) VALUES (p_gallery, p_name, fresh, p_matches);
    PERFORM log.append_as_gallery('gallery:sub_gallery:defined', jsonb_build_object(
        'gallery', p_gallery, 'sub_gallery', p_name, 'matches', to_jsonb(p_matches), 'mark', fresh, 'approver', who[1]));
END $$;

-- What pages and workers may know: every edition's sub-galleries with their size in its present version.
CREATE FUNCTION gallery.sub_galleries() RETURNS TABLE (gallery uuid, edition integer, name text, matches text[], mark bigint, templates integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.gallery, e.edition, s.name, s.matches, 1::bigint << s.bit, coalesce(z.templates, 0)
    FROM gallery.sub_gallery s JOIN gallery.edition e ON e.gallery = s.gallery
    LEFT JOIN gallery.sub_gallery_size z ON z.edition = e.edition AND z.version = e.version AND z.name = s.name
    ORDER BY e.edition, s.name
$$;

CREATE FUNCTION gallery.sub_gallery_of(p_edition integer, p_version integer, p_name text) RETURNS TABLE (mark bigint, templates integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT 1::bigint << s.bit, coalesce(z.templates, 0) FROM gallery.edition e
    JOIN gallery.sub_gallery s ON s.gallery = e.gallery AND s.name = p_name
    LEFT JOIN gallery.sub_gallery_size z ON z.edition = e.edition AND z.version = p_version AND z.name = s.name
    WHERE e.edition = p_edition
$$;

REVOKE ALL ON FUNCTION gallery.count_sub_galleries(), gallery.define_sub_gallery(uuid, text, text[], uuid), gallery.sub_galleries(),
    gallery.sub_gallery_of(integer, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gallery.define_sub_gallery(uuid, text, text[], uuid), gallery.sub_galleries() TO @app@;
GRANT EXECUTE ON FUNCTION gallery.sub_gallery_of(integer, integer, text) TO @gate_owner@;

RESET ROLE;
SET LOCAL ROLE @gate_owner@;

-- What an approval was given for; the sub-gallery belongs to it where the intent names one.
CREATE OR REPLACE FUNCTION gate.search_params(e jsonb) RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT log.digest(jsonb_build_object(
        'request', e -> 'request', 'requester', e -> 'requester', 'photo', e #> '{c,photo}', 'box', e #> '{c,box}',
        'gallery', e -> 'gallery', 'edition', e -> 'edition', 'model', e -> 'model', 'threshold', e -> 'threshold', 'k', e -> 'k',
        'purpose', e -> 'purpose', 'emergency', e -> 'emergency', 'claim', e -> 'claim', 'expires', e -> 'expires')
        || CASE WHEN e ? 'sub_gallery' THEN jsonb_build_object('sub_gallery', e -> 'sub_gallery') ELSE '{}'::jsonb END)
$$;

-- The sub-gallery that the intent of a bound search names; nulls where it names none. Of a gallery over several servers nobody of it may
-- be on this one, where it has to be defined all the same; which of them an intent lists is compared when it is bound (gate.only_as_listed).
CREATE FUNCTION gate.sub_gallery_of(p_intent uuid, p_edition integer, p_version integer) RETURNS TABLE (name text, mark bigint, templates integer)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e jsonb := log.sequenced(p_intent);
BEGIN
    name := e ->> 'sub_gallery';
    SELECT s.mark, s.templates INTO mark, templates FROM gallery.sub_gallery_of(p_edition, p_version, e ->> 'sub_gallery') s;
    IF e IS NULL OR (e ? 'sub_gallery' AND (templates > 0 OR (e ? 'shards' AND templates = 0)) IS NOT TRUE) THEN
        PERFORM gate.refuse('sub_gallery', 'The gallery has no such sub-gallery, or nobody is enrolled in it.');
    END IF;
    RETURN NEXT;
END $$;
REVOKE ALL ON FUNCTION gate.sub_gallery_of(uuid, integer, integer) FROM PUBLIC;

CREATE OR REPLACE FUNCTION gate.bind(p_intent uuid, p_probe public.halfvec, p_claim_secret bytea) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET transform_null_equals = off AS $$
DECLARE
    e         jsonb;
    req       uuid;
    who       uuid;
    digest    bytea;
    ed        integer;
    found_ed  record;
    sub       record;
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
    SELECT * INTO sub FROM gate.sub_gallery_of(p_intent, ed, found_ed.version);
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
        'approval', approval.entry, 'sub_gallery', sub.name, 'sub_templates', sub.templates,
        'deadline', floor(extract(epoch FROM due) * 1000)::bigint,
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

-- The list of a bound search: of a shortlist, or of the whole edition without one; of its sub-gallery where the intent names one.
CREATE FUNCTION gate.compare(b gate.bound, p_batches integer[], p_shortlist uuid[], p_reads integer, OUT templates uuid[], OUT scores integer[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sub record;
BEGIN
    SELECT * INTO sub FROM gate.sub_gallery_of(b.intent, b.edition, b.version);
    IF p_shortlist IS NULL THEN
        SELECT coalesce(array_agg(s.template ORDER BY s.place), ARRAY[]::uuid[]), coalesce(array_agg(s.score ORDER BY s.place), ARRAY[]::integer[])
        INTO templates, scores
        FROM gallery.scan(b.edition, p_batches, b.version, b.probe, b.threshold, b.k, sub.mark) WITH ORDINALITY AS s (template, score, place);
    ELSE
        SELECT coalesce(array_agg(s.template ORDER BY s.place), ARRAY[]::uuid[]), coalesce(array_agg(s.score ORDER BY s.place), ARRAY[]::integer[])
        INTO templates, scores
        FROM gallery.rerank(b.edition, p_batches, b.version, b.probe, b.threshold, b.k, sub.mark, p_shortlist, p_reads)
            WITH ORDINALITY AS s (template, score, place);
    END IF;
END $$;

REVOKE ALL ON FUNCTION gate.compare(gate.bound, integer[], uuid[], integer) FROM PUBLIC;

CREATE OR REPLACE FUNCTION gate.execute(p_request uuid, p_claim_secret bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET transform_null_equals = off AS $$
DECLARE
    b         gate.bound;
    v         record;
    sub       record;
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
    SELECT * INTO sub FROM gate.sub_gallery_of(b.intent, b.edition, b.version);
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
        'templates', v.templates, 'sub_gallery', sub.name, 'sub_templates', sub.templates,
        'threshold', b.threshold, 'k', b.k, 'started', started,
        'method', CASE WHEN cut IS NULL THEN 'exact' ELSE 'two_stage' END,
        'bits', CASE WHEN cut IS NOT NULL THEN 1280 END, 'cut', cut, 'loss_one_in', CASE WHEN cut IS NOT NULL THEN loss END,
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

RESET ROLE;

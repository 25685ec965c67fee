-- Re-embedding: the photos of one edition are read again by another face model, into another edition of the same gallery. That needs
-- their keys, which are otherwise given for opened candidates only. Two approvers open a re-embedding; the holder of its claim announces
-- slice after slice, each an entry, and gets the halves of a slice when its entry is in the tree: in another transaction, because
-- whatever one transaction returns can be read and then rolled back.
SET LOCAL ROLE @log_owner@;
GRANT EXECUTE ON FUNCTION log.sequenced(uuid), log.covered(uuid) TO @gallery_owner@;
RESET ROLE;
SET LOCAL ROLE @gallery_owner@;

-- Was searched once and is not any more: nobody is enrolled there without knowing it.
ALTER TABLE gallery.edition ADD COLUMN retired boolean NOT NULL DEFAULT false;

-- A batch that is filled from the photos of the edition `source`, as its version `version` has them, until `expires`.
CREATE TABLE gallery.reembedding (
    edition integer NOT NULL,
    batch   integer NOT NULL,
    source  integer NOT NULL REFERENCES gallery.edition,
    version integer NOT NULL,
    entry   uuid NOT NULL,
    expires timestamptz NOT NULL,
    PRIMARY KEY (edition, batch),
    FOREIGN KEY (edition, batch) REFERENCES gallery.batch
);

-- Each photo belongs to one slice of a re-embedding; `slice` is the entry that says so.
CREATE TABLE gallery.drawn (
    edition  integer NOT NULL,
    batch    integer NOT NULL,
    template uuid NOT NULL,
    slice    uuid NOT NULL,
    PRIMARY KEY (edition, batch, template),
    FOREIGN KEY (edition, batch) REFERENCES gallery.reembedding
);
CREATE INDEX drawn_slice ON gallery.drawn (slice);

-- Of which template of the source a new one is. Inserted with it, checked when the batch is sealed.
CREATE TABLE gallery.origin (
    edition  integer NOT NULL,
    template uuid NOT NULL,
    source   uuid NOT NULL,
    PRIMARY KEY (edition, template)
);
ALTER TABLE gallery.drawn ALTER COLUMN template SET STATISTICS 0;
ALTER TABLE gallery.origin ALTER COLUMN template SET STATISTICS 0, ALTER COLUMN source SET STATISTICS 0;

-- Its source is inserted with a template of an open re-embedding and after it, and with nothing else.
CREATE FUNCTION gallery.only_into_open_reembeddings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Batches first: none of them is sealed or discarded before this is committed.
    PERFORM FROM gallery.batch b WHERE (b.edition, b.batch) IN (
        SELECT t.edition, t.batch FROM fresh f JOIN gallery.template t ON t.edition = f.edition AND t.template = f.template)
    ORDER BY b.edition, b.batch FOR SHARE;
    IF EXISTS (SELECT FROM fresh f WHERE NOT EXISTS (
        SELECT FROM gallery.template t JOIN gallery.reembedding r ON r.edition = t.edition AND r.batch = t.batch
            JOIN gallery.batch b ON b.edition = t.edition AND b.batch = t.batch AND b.sealed IS NULL AND b.discarded IS NULL
        WHERE t.edition = f.edition AND t.template = f.template)) THEN
        PERFORM gate.refuse('origin', 'A source can be noted for the templates of an open re-embedding only.');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER only_into_open_reembeddings AFTER INSERT ON gallery.origin
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION gallery.only_into_open_reembeddings();
ALTER TABLE gallery.origin ENABLE ALWAYS TRIGGER only_into_open_reembeddings;
CREATE INDEX origin_source ON gallery.origin (source);

CREATE FUNCTION gallery.new_batch(p_edition integer, p_claim bytea) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fresh integer;
BEGIN
    PERFORM gate.require_read_committed();
    IF (octet_length(p_claim) = 32) IS NOT TRUE THEN
        PERFORM gate.refuse('claim', 'A batch is opened with a claim: the SHA-256 of a secret that the worker keeps.');
    END IF;
    PERFORM FROM gallery.edition x WHERE x.edition = p_edition FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM gate.refuse('edition', 'There is no such gallery edition.');
    END IF;
    IF EXISTS (SELECT FROM gallery.batch b WHERE b.edition = p_edition AND b.sealed IS NULL AND b.discarded IS NULL) THEN
        PERFORM gate.refuse('batch', 'Another enrolment into this gallery edition is open. Finish or discard it first.');
    END IF;
    SELECT coalesce(max(batch), 0) + 1 INTO fresh FROM gallery.batch b WHERE b.edition = p_edition;
    INSERT INTO gallery.batch (edition, batch, claim) VALUES (p_edition, fresh, p_claim);
    PERFORM log.append_as_gallery('gallery:batch:opened', jsonb_build_object(
        'edition', p_edition, 'batch', fresh, 'claim', encode(p_claim, 'hex')));
    RETURN fresh;
END $$;

CREATE FUNCTION gallery.is_retired(p_edition integer) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM gallery.edition e WHERE e.edition = p_edition AND e.retired)
$$;

-- Into the edition that is searched, or into one that may be later; not into one that was and is not any more.
CREATE OR REPLACE FUNCTION gallery.open_batch(p_edition integer, p_claim bytea) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM gate.require_read_committed();
    -- No switch meanwhile.
    PERFORM FROM gallery.edition e WHERE e.edition = p_edition FOR UPDATE;
    IF gallery.is_retired(p_edition) THEN
        PERFORM gate.refuse('retired', 'This edition is not searched any more: nobody would find who is enrolled in it. Enrol into the edition that is searched, or switch back first.');
    END IF;
    RETURN gallery.new_batch(p_edition, p_claim);
END $$;

-- Approved for the source as one version of it is: what is enrolled later is not read.
CREATE FUNCTION gallery.open_reembedding(p_gallery uuid, p_source integer, p_target integer, p_version integer, p_templates integer,
    p_claim bytea, p_proposals uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who   uuid[];
    fresh integer;
    done  uuid;
    until timestamptz := clock_timestamp() + make_interval(days => 30);
BEGIN
    who := gate.consume('gallery:open_reembedding', jsonb_build_object(
        'gallery', p_gallery, 'source', p_source, 'target', p_target, 'version', p_version, 'templates', p_templates,
        'claim', encode(p_claim, 'hex')), p_proposals, 2);
    IF (p_source <> p_target AND (SELECT count(*) FROM gallery.edition e
        WHERE e.gallery = p_gallery AND e.edition IN (p_source, p_target)) = 2) IS NOT TRUE THEN
        PERFORM gate.refuse('edition', 'Photos are read again from one edition of a gallery into another edition of the same gallery.');
    END IF;
    PERFORM FROM gallery.edition e WHERE e.edition IN (p_source, p_target) ORDER BY e.edition FOR UPDATE;
    IF NOT EXISTS (SELECT FROM gallery.edition e JOIN gallery.version v ON v.edition = e.edition AND v.version = e.version
        WHERE e.edition = p_source AND e.version = p_version AND v.templates = p_templates) THEN
        PERFORM gate.refuse('version', 'The edition has changed since its reading was approved. Look again, and have it approved as it is now.');
    END IF;
    fresh := gallery.new_batch(p_target, p_claim);
    done := log.append_as_gallery('gallery:reembedding:opened', jsonb_build_object(
        'gallery', p_gallery, 'source', p_source, 'edition', p_target, 'version', p_version, 'templates', p_templates, 'batch', fresh,
        'claim', encode(p_claim, 'hex'), 'expires', (extract(epoch FROM until) * 1000)::bigint, 'approvers', to_jsonb(who)));
    INSERT INTO gallery.reembedding (edition, batch, source, version, entry, expires)
    VALUES (p_target, fresh, p_source, p_version, done, until);
    RETURN fresh;
END $$;

-- Sealed in the edition and not removed.
CREATE FUNCTION gallery.is_enrolled(p_edition integer, p_template uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM gallery.template t JOIN gallery.batch b ON b.edition = t.edition AND b.batch = t.batch AND b.sealed IS NOT NULL
        WHERE t.edition = p_edition AND t.template = p_template)
        AND NOT EXISTS (SELECT FROM gallery.removed r WHERE r.edition = p_edition AND r.template = p_template)
$$;

-- Who is removed is removed in every edition: an approver signs for each, and when the transaction ends, no photo that one edition
-- has of another may be enrolled in one of the two only. Pairs suffice: what was read from a photo, and what that was read from.
-- A batch that is not sealed yet is settled when it is: gallery.settle_reembedding.
CREATE FUNCTION gallery.removed_with_its_copies() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (NOT EXISTS (SELECT FROM gallery.origin o JOIN gallery.template t ON t.edition = o.edition AND t.template = o.template
                JOIN gallery.reembedding r ON r.edition = t.edition AND r.batch = t.batch AND r.source = NEW.edition
            WHERE o.source = NEW.template AND gallery.is_enrolled(o.edition, o.template))
        AND NOT EXISTS (SELECT FROM gallery.origin o JOIN gallery.template t ON t.edition = o.edition AND t.template = o.template
                JOIN gallery.reembedding r ON r.edition = t.edition AND r.batch = t.batch
            WHERE o.edition = NEW.edition AND o.template = NEW.template AND gallery.is_enrolled(r.source, o.source))) IS NOT TRUE THEN
        PERFORM gate.refuse('copies', 'One of these photos was read again into another edition of the gallery and would still be found there. Remove it in both, in one transaction.');
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER removed_with_its_copies AFTER INSERT ON gallery.removed
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gallery.removed_with_its_copies();
ALTER TABLE gallery.removed ENABLE ALWAYS TRIGGER removed_with_its_copies;

CREATE FUNCTION gallery.require_in_time(r gallery.reembedding) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (r.expires > clock_timestamp()) IS NOT TRUE THEN
        PERFORM gate.refuse('expired', 'What two people approved was for 30 days: no key of a photo is given any more. Give this up, and have it approved again.');
    END IF;
END $$;

CREATE FUNCTION gallery.announce_slice(p_edition integer, p_batch integer, p_secret bytea, p_templates uuid[]) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r      gallery.reembedding;
    wanted uuid[];
    done   uuid;
BEGIN
    PERFORM gate.require_read_committed();
    PERFORM gallery.claimed_batch(p_edition, p_batch, p_secret);
    SELECT * INTO r FROM gallery.reembedding x WHERE x.edition = p_edition AND x.batch = p_batch;
    IF NOT FOUND THEN
        PERFORM gate.refuse('reembedding', 'This enrolment is no re-embedding: no key of a photo is given for it.');
    END IF;
    PERFORM gallery.require_in_time(r);
    IF (log.covered(r.entry) IS NOT NULL) IS NOT TRUE THEN
        PERFORM gate.refuse('receipt', 'No receipt, no photo: the re-embedding is not in the signed log yet.');
    END IF;
    SELECT array_agg(DISTINCT x ORDER BY x) INTO wanted FROM unnest(p_templates) AS x;
    IF (cardinality(wanted) BETWEEN 1 AND 500) IS NOT TRUE THEN
        PERFORM gate.refuse('slice', 'A slice has 1 to 500 photos.');
    END IF;
    IF (SELECT bool_and(gallery.is_enrolled(r.source, x)) FROM unnest(wanted) AS x) IS NOT TRUE THEN
        PERFORM gate.refuse('template', 'One of these photos is not in the edition that is read again, or was removed or expunged.');
    END IF;
    IF EXISTS (SELECT FROM gallery.template t JOIN gallery.version v ON v.edition = t.edition AND v.version = r.version
        WHERE t.edition = r.source AND t.template = ANY (wanted) AND t.batch > v.batch) THEN
        PERFORM gate.refuse('template', 'One of these photos was enrolled after the reading was approved. It is not read.');
    END IF;
    done := log.append_as_gallery('gallery:reembedding:drawn', jsonb_build_object(
        'source', r.source, 'edition', p_edition, 'batch', p_batch, 'templates', cardinality(wanted),
        'digest', encode(sha256(convert_to(array_to_string(wanted, ','), 'UTF8')), 'hex')));
    BEGIN
        INSERT INTO gallery.drawn (edition, batch, template, slice) SELECT p_edition, p_batch, x, done FROM unnest(wanted) AS x;
    EXCEPTION WHEN unique_violation THEN
        PERFORM gate.refuse('drawn', 'One of these photos was announced before: each is, once in a re-embedding.');
    END;
    RETURN done;
END $$;

-- The halves of an announced slice, for the holder of the claim and while the batch is open: who was killed in between asks for the
-- same slice again. Nobody who was removed or expunged meanwhile is among them.
CREATE FUNCTION gallery.slice_halves(p_slice uuid, p_secret bytea) RETURNS TABLE (template uuid, half bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e jsonb;
    r gallery.reembedding;
BEGIN
    PERFORM gate.require_read_committed();
    e := log.sequenced(p_slice);
    IF (e IS NOT NULL AND e ->> 'type' = 'gallery:reembedding:drawn') IS NOT TRUE THEN
        PERFORM gate.refuse('slice', 'The entry of this slice is not in the log yet.');
    END IF;
    PERFORM gallery.claimed_batch((e ->> 'edition')::integer, (e ->> 'batch')::integer, p_secret);
    SELECT * INTO r FROM gallery.reembedding x WHERE x.edition = (e ->> 'edition')::integer AND x.batch = (e ->> 'batch')::integer;
    PERFORM gallery.require_in_time(r);
    RETURN QUERY SELECT h.template, h.half FROM gallery.drawn d
        JOIN gallery.photo_half h ON h.edition = (e ->> 'source')::integer AND h.template = d.template
    WHERE d.slice = p_slice AND gallery.is_enrolled(h.edition, h.template);
END $$;

CREATE OR REPLACE FUNCTION gallery.empty_batch(p_edition integer, p_batch integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone integer;
BEGIN
    DELETE FROM gallery.photo_half h USING gallery.template t
    WHERE t.edition = p_edition AND t.batch = p_batch AND h.edition = t.edition AND h.template = t.template;
    DELETE FROM gallery.origin o USING gallery.template t
    WHERE t.edition = p_edition AND t.batch = p_batch AND o.edition = t.edition AND o.template = t.template;
    DELETE FROM gallery.template t WHERE t.edition = p_edition AND t.batch = p_batch;
    GET DIAGNOSTICS gone = ROW_COUNT;
    UPDATE gallery.batch SET discarded = clock_timestamp() WHERE edition = p_edition AND batch = p_batch;
    RETURN gone;
END $$;

-- Called by gallery.seal, which has locked the source: removals wait until this batch is sealed, or this sees them. What was removed from the source since does not come back; what remains is each of one photo that was drawn
-- here, and of the same person.
CREATE FUNCTION gallery.settle_reembedding(p_edition integer, p_batch integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r    gallery.reembedding;
    gone uuid[];
BEGIN
    SELECT * INTO r FROM gallery.reembedding x WHERE x.edition = p_edition AND x.batch = p_batch;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT array_agg(t.template) INTO gone FROM gallery.template t
        JOIN gallery.origin o ON o.edition = t.edition AND o.template = t.template
    WHERE t.edition = p_edition AND t.batch = p_batch AND NOT gallery.is_enrolled(r.source, o.source);
    DELETE FROM gallery.photo_half h WHERE h.edition = p_edition AND h.template = ANY (gone);
    DELETE FROM gallery.origin o WHERE o.edition = p_edition AND o.template = ANY (gone);
    DELETE FROM gallery.template t WHERE t.edition = p_edition AND t.batch = p_batch AND t.template = ANY (gone);
    IF (SELECT count(DISTINCT d.template) = count(*) FROM gallery.template t
            LEFT JOIN gallery.origin o ON o.edition = t.edition AND o.template = t.template
            LEFT JOIN gallery.drawn d ON d.edition = p_edition AND d.batch = p_batch AND d.template = o.source
                AND EXISTS (SELECT FROM gallery.template s WHERE s.edition = r.source AND s.template = o.source AND s.person = t.person)
        WHERE t.edition = p_edition AND t.batch = p_batch) IS NOT TRUE THEN
        PERFORM gate.refuse('origin', 'The batch holds something else than one template for each photo that was drawn, of the same person.');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION gallery.seal(p_edition integer, p_batch integer, p_secret bytea, p_templates integer, p_digest bytea) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    counted integer;
    summed  bytea;
    fresh   integer;
    total   integer;
BEGIN
    PERFORM gate.require_read_committed();
    -- In the order in which everybody locks several: by number.
    PERFORM FROM gallery.edition e
    WHERE e.edition = p_edition OR e.edition = (SELECT r.source FROM gallery.reembedding r WHERE r.edition = p_edition AND r.batch = p_batch)
    ORDER BY e.edition FOR UPDATE;
    PERFORM gallery.claimed_batch(p_edition, p_batch, p_secret);
    PERFORM gallery.settle_reembedding(p_edition, p_batch);
    SELECT count(*), sha256(coalesce(string_agg(sha256(uuid_send(t.template) || uuid_send(t.person)
        || public.halfvec_send(t.embedding) || CASE WHEN t.marks = 0 THEN ''::bytea ELSE int8send(t.marks) END), ''::bytea ORDER BY t.template), ''::bytea))
    INTO counted, summed FROM gallery.template t WHERE t.edition = p_edition AND t.batch = p_batch;
    IF (counted = p_templates AND summed = p_digest) IS NOT TRUE THEN
        PERFORM gate.refuse('digest', 'The batch holds something else than what was enrolled: discard it and enrol again.');
    END IF;
    UPDATE gallery.batch SET sealed = clock_timestamp(), templates = counted, digest = summed
    WHERE edition = p_edition AND batch = p_batch;
    UPDATE gallery.edition SET version = version + 1 WHERE edition = p_edition RETURNING version INTO fresh;
    SELECT v.templates + counted INTO total FROM gallery.version v WHERE v.edition = p_edition AND v.version = fresh - 1;
    INSERT INTO gallery.version (edition, version, batch, templates) VALUES (p_edition, fresh, p_batch, total);
    -- Without the size of the partition the planner would not scan it in parallel until it is analysed some time later.
    EXECUTE format('ANALYZE gallery.template_%s (edition, batch)', p_edition);
    PERFORM log.append_as_gallery('gallery:batch:sealed', jsonb_build_object(
        'edition', p_edition, 'batch', p_batch, 'templates', counted, 'digest', encode(summed, 'hex'), 'version', fresh));
    RETURN fresh;
END $$;

-- Also what a re-embedding noted about the person's photos.
CREATE OR REPLACE FUNCTION gallery.expunge(p_person uuid, p_proposal uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who   uuid[];
    gone  integer := 0;
    here  integer;
    shown integer;
    e     gallery.edition;
BEGIN
    who := gate.consume('gallery:expunge', jsonb_build_object('person', p_person), ARRAY[p_proposal], 1);
    IF (gate.is_held(p_person)) IS NOT FALSE THEN
        PERFORM gate.refuse('hold', 'A legal hold covers this person: nothing may be erased until it is lifted.');
    END IF;
    FOR e IN SELECT * FROM gallery.edition x ORDER BY x.edition FOR UPDATE LOOP
        SELECT count(*) INTO shown FROM gallery.template t
            JOIN gallery.batch b ON b.edition = t.edition AND b.batch = t.batch AND b.sealed IS NOT NULL
        WHERE t.edition = e.edition AND t.person = p_person
            AND NOT EXISTS (SELECT FROM gallery.removed r WHERE r.edition = t.edition AND r.template = t.template);
        DELETE FROM gallery.removed r USING gallery.template t
        WHERE t.edition = e.edition AND t.person = p_person AND r.edition = t.edition AND r.template = t.template;
        DELETE FROM gallery.photo_half h USING gallery.template t
        WHERE t.edition = e.edition AND t.person = p_person AND h.edition = t.edition AND h.template = t.template;
        DELETE FROM gallery.origin o USING gallery.template t
        WHERE t.edition = e.edition AND t.person = p_person AND o.edition = t.edition AND o.template = t.template;
        DELETE FROM gallery.drawn d USING gallery.template t, gallery.reembedding r
        WHERE t.edition = e.edition AND t.person = p_person AND r.source = e.edition
            AND d.edition = r.edition AND d.batch = r.batch AND d.template = t.template;
        DELETE FROM gallery.template t WHERE t.edition = e.edition AND t.person = p_person;
        GET DIAGNOSTICS here = ROW_COUNT;
        IF here > 0 THEN
            UPDATE gallery.edition SET version = version + 1 WHERE edition = e.edition;
            INSERT INTO gallery.version (edition, version, batch, templates)
            SELECT e.edition, e.version + 1, v.batch, v.templates - shown
            FROM gallery.version v WHERE v.edition = e.edition AND v.version = e.version;
            gone := gone + here;
        END IF;
    END LOOP;
    IF gone = 0 THEN
        PERFORM gate.refuse('person', 'Nobody with this id is enrolled.');
    END IF;
    PERFORM log.append_as_gallery('gallery:person:expunged', jsonb_build_object(
        'person', p_person, 'templates', gone, 'approver', who[1]));
    RETURN gone;
END $$;

-- How many people can be found in the edition that is searched and could not be found in this one. A number and nothing else.
CREATE FUNCTION gallery.people_missing(p_gallery uuid, p_edition integer) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(*)::integer FROM (
        SELECT t.person FROM gallery.current c JOIN gallery.template t ON t.edition = c.edition
            JOIN gallery.batch b ON b.edition = t.edition AND b.batch = t.batch AND b.sealed IS NOT NULL
        WHERE c.gallery = p_gallery
            AND NOT EXISTS (SELECT FROM gallery.removed r WHERE r.edition = t.edition AND r.template = t.template)
        EXCEPT
        SELECT t.person FROM gallery.edition e JOIN gallery.template t ON t.edition = e.edition
            JOIN gallery.batch b ON b.edition = t.edition AND b.batch = t.batch AND b.sealed IS NOT NULL
        WHERE e.gallery = p_gallery AND e.edition = p_edition
            AND NOT EXISTS (SELECT FROM gallery.removed r WHERE r.edition = t.edition AND r.template = t.template)) people
$$;

-- Atomic: a search that is bound stays with its edition, the next one is bound to the new one. The approver signs how many people
-- will not be found any more, and it has to be true at that moment.
DROP FUNCTION gallery.switch_edition(uuid, integer, uuid);
CREATE FUNCTION gallery.switch_edition(p_gallery uuid, p_edition integer, p_missing integer, p_proposal uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who    uuid[];
    before integer;
BEGIN
    who := gate.consume('gallery:switch_edition', jsonb_build_object(
        'gallery', p_gallery, 'edition', p_edition, 'missing', p_missing), ARRAY[p_proposal], 1);
    IF NOT EXISTS (SELECT FROM gallery.edition e WHERE e.edition = p_edition AND e.gallery = p_gallery) THEN
        PERFORM gate.refuse('edition', 'This gallery has no such edition.');
    END IF;
    -- Nothing is sealed, removed or expunged between the count and the switch.
    PERFORM FROM gallery.edition e WHERE e.gallery = p_gallery ORDER BY e.edition FOR UPDATE;
    SELECT c.edition INTO before FROM gallery.current c WHERE c.gallery = p_gallery;
    IF EXISTS (SELECT FROM gallery.batch b WHERE b.edition IN (p_edition, before) AND b.sealed IS NULL AND b.discarded IS NULL) THEN
        PERFORM gate.refuse('batch', 'Somebody is being enrolled in the edition that is searched, or in this one. Finish that or give it up, then look again.');
    END IF;
    IF (gallery.people_missing(p_gallery, p_edition) = p_missing) IS NOT TRUE THEN
        PERFORM gate.refuse('missing', 'The number of people who are missing in this edition is another than the one that was approved. Look again.');
    END IF;
    UPDATE gallery.edition SET retired = (edition <> p_edition) WHERE edition IN (p_edition, before);
    INSERT INTO gallery.current (gallery, edition) VALUES (p_gallery, p_edition)
    ON CONFLICT (gallery) DO UPDATE SET edition = p_edition;
    PERFORM log.append_as_gallery('gallery:edition:switched', jsonb_build_object(
        'gallery', p_gallery, 'edition', p_edition, 'missing', p_missing, 'approver', who[1]));
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gallery FROM PUBLIC;
GRANT INSERT ON gallery.origin TO @app@;
GRANT EXECUTE ON FUNCTION gallery.open_reembedding(uuid, integer, integer, integer, integer, bytea, uuid[]), gallery.announce_slice(integer, integer, bytea, uuid[]),
    gallery.slice_halves(uuid, bytea), gallery.people_missing(uuid, integer), gallery.switch_edition(uuid, integer, integer, uuid),
    gallery.is_retired(integer) TO @app@;
RESET ROLE;

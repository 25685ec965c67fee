-- Approvals. What an approver types is stored as a salted hash in one committed transaction and compared in another, so that no
-- transaction both learns whether a secret was right and can forget that it asked. Five wrong or unanswered proposals in
-- 15 minutes lock the approver.
SET LOCAL ROLE @gate_owner@;

CREATE FUNCTION gate.propose_approval(
    p_act text, p_subject uuid, p_params bytea, p_approver uuid, p_secret text
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a     gate.approver;
    open_ integer;
    fresh uuid := gen_random_uuid();
BEGIN
    PERFORM gate.require_read_committed();
    IF (octet_length(p_params) = 32 AND p_act ~ '^[a-z][a-z0-9_.:]{0,79}$' AND octet_length(p_secret) BETWEEN 1 AND 200) IS NOT TRUE THEN
        PERFORM gate.refuse('proposal', 'The proposal is incomplete: act, parameters and approval secret are needed.');
    END IF;
    SELECT * INTO a FROM gate.approver x WHERE x.approver = p_approver FOR UPDATE;
    IF NOT FOUND OR a.revoked IS NOT NULL THEN
        PERFORM gate.refuse('approver', 'This person has no approval secret. Ask the registrar to enrol one.');
    END IF;
    IF a.locked IS NOT NULL THEN
        PERFORM gate.refuse('locked', 'This approver is locked after wrong or unanswered approvals. Ask the registrar to unlock the approver.');
    END IF;
    SELECT count(*) INTO open_ FROM gate.proposal p
    WHERE p.approver = p_approver AND p.right_at IS NULL AND p.at > clock_timestamp() - make_interval(mins => 15);
    IF open_ >= 5 THEN
        -- Not an exception: the lock and its entry have to be committed.
        UPDATE gate.approver SET locked = clock_timestamp() WHERE approver = p_approver;
        PERFORM log.append_as_gate('gate:approver:locked', jsonb_build_object('approver', p_approver, 'proposals', open_));
        RETURN NULL;
    END IF;
    INSERT INTO gate.proposal (proposal, act, subject, params, approver, typed)
    VALUES (fresh, p_act, p_subject, p_params, p_approver, sha256(a.salt || convert_to(p_secret, 'UTF8')));
    PERFORM log.append_as_gate('gate:proposal:made', jsonb_build_object(
        'proposal', fresh, 'approver', p_approver, 'act', p_act, 'params', encode(p_params, 'hex'), 'subject', p_subject));
    RETURN fresh;
END $$;

-- Whether a proposal of an earlier transaction carried the right secret. The same answer however often it is asked, until the
-- approver is revoked, locked or enrolled again.
CREATE FUNCTION gate.is_right(p gate.proposal) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a gate.approver;
BEGIN
    IF (p.xid <> pg_current_xact_id() AND p.xid < pg_snapshot_xmax(pg_current_snapshot())) IS NOT TRUE THEN
        PERFORM gate.refuse('proposal', 'A proposal is answered in a later transaction than the one that made it.');
    END IF;
    SELECT * INTO a FROM gate.approver x WHERE x.approver = p.approver FOR SHARE;
    IF (a.revoked IS NULL AND a.locked IS NULL AND a.enrolled < p.at) IS NOT TRUE THEN
        PERFORM gate.refuse('approver', 'This approver is revoked, locked, or was enrolled again after the proposal.');
    END IF;
    IF (p.at > clock_timestamp() - make_interval(mins => gate.value('proposal_minutes')::int)) IS NOT TRUE THEN
        PERFORM gate.refuse('proposal', 'The proposal is too old. Approve again.');
    END IF;
    RETURN p.typed = a.hash;
END $$;

-- Step two of an approval for any act but a search. A right secret stops counting as unanswered here, whatever becomes of the act.
CREATE FUNCTION gate.answer(p_proposal uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    p gate.proposal;
BEGIN
    PERFORM gate.require_read_committed();
    SELECT * INTO p FROM gate.proposal x WHERE x.proposal = p_proposal FOR UPDATE;
    IF NOT FOUND OR p.act = 'search:request' THEN
        PERFORM gate.refuse('proposal', 'There is no such proposal to answer.');
    END IF;
    IF p.right_at IS NOT NULL OR p.used_at IS NOT NULL THEN
        RETURN p.right_at IS NOT NULL;
    END IF;
    IF (gate.is_right(p)) IS NOT TRUE THEN
        UPDATE gate.proposal SET used_at = clock_timestamp() WHERE proposal = p_proposal;
        PERFORM log.append_as_gate('gate:proposal:failed', jsonb_build_object('proposal', p_proposal, 'approver', p.approver));
        RETURN false;
    END IF;
    UPDATE gate.proposal SET right_at = clock_timestamp() WHERE proposal = p_proposal;
    RETURN true;
END $$;

CREATE FUNCTION gate.approve(p_proposal uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    p gate.proposal;
    e uuid;
BEGIN
    PERFORM gate.require_read_committed();
    SELECT * INTO p FROM gate.proposal x WHERE x.proposal = p_proposal FOR UPDATE;
    IF NOT FOUND OR p.act <> 'search:request' OR p.subject IS NULL THEN
        PERFORM gate.refuse('proposal', 'There is no such proposal to approve a search.');
    END IF;
    IF p.used_at IS NOT NULL THEN
        RETURN p.right_at IS NOT NULL;
    END IF;
    IF (gate.is_right(p)) IS NOT TRUE THEN
        UPDATE gate.proposal SET used_at = clock_timestamp() WHERE proposal = p_proposal;
        PERFORM log.append_as_gate('gate:proposal:failed', jsonb_build_object('proposal', p_proposal, 'approver', p.approver));
        RETURN false;
    END IF;
    UPDATE gate.proposal SET right_at = clock_timestamp(), used_at = clock_timestamp() WHERE proposal = p_proposal;
    IF NOT EXISTS (SELECT FROM gate.approval x WHERE x.request = p.subject AND x.approver = p.approver AND x.params = p.params) THEN
        e := log.append_as_gate('search:request:approved', jsonb_build_object(
            'request', p.subject, 'approver', p.approver, 'proposal', p_proposal, 'params', encode(p.params, 'hex'),
            'approval_proof', 'none'));
        INSERT INTO gate.approval (request, approver, params, entry) VALUES (p.subject, p.approver, p.params, e)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN true;
END $$;

-- Uses up proposals for one act with exactly these parameters; returns the approvers, who are different people. A wrong secret
-- refuses by name and stays counted, because the proposal was committed before.
CREATE FUNCTION gate.consume(p_act text, p_params jsonb, p_proposals uuid[], p_needed integer) RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    p        gate.proposal;
    one      uuid;
    who      uuid[] := ARRAY[]::uuid[];
    wanted   bytea := log.digest(p_params);
BEGIN
    PERFORM gate.require_read_committed();
    IF (cardinality(p_proposals) = p_needed) IS NOT TRUE THEN
        PERFORM gate.refuse('proposals', format('This act needs %s approval proposal(s).', p_needed));
    END IF;
    FOREACH one IN ARRAY p_proposals LOOP
        SELECT * INTO p FROM gate.proposal x WHERE x.proposal = one FOR UPDATE;
        IF (FOUND AND p.act = p_act AND p.params = wanted) IS NOT TRUE THEN
            PERFORM gate.refuse('proposal', 'The approval was given for another act or other parameters.');
        END IF;
        IF p.used_at IS NOT NULL THEN
            PERFORM gate.refuse('proposal', 'The approval has been used already, or its secret was wrong.');
        END IF;
        IF (gate.is_right(p)) IS NOT TRUE THEN
            PERFORM gate.refuse('secret', 'The approval secret was wrong.');
        END IF;
        IF p.approver = ANY (who) THEN
            PERFORM gate.refuse('approvers', 'The approvals have to come from different people.');
        END IF;
        UPDATE gate.proposal SET right_at = clock_timestamp(), used_at = clock_timestamp() WHERE proposal = one;
        who := who || p.approver;
    END LOOP;
    RETURN who;
END $$;

-- The registrar's acts: never the web's or a worker's.
CREATE FUNCTION gate.enrol_approver(p_approver uuid, p_salt bytea, p_hash bytea, p_contact text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before boolean;
BEGIN
    PERFORM gate.require_read_committed();
    before := EXISTS (SELECT FROM gate.approver x WHERE x.approver = p_approver);
    INSERT INTO gate.approver (approver, salt, hash, contact) VALUES (p_approver, p_salt, p_hash, p_contact)
    ON CONFLICT (approver) DO UPDATE
        SET salt = p_salt, hash = p_hash, contact = p_contact, enrolled = clock_timestamp(), revoked = NULL, locked = NULL;
    PERFORM log.append_as_gate('gate:approver:enrolled', jsonb_build_object('approver', p_approver, 'replaced', before));
END $$;

CREATE FUNCTION gate.revoke_approver(p_approver uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM gate.require_read_committed();
    UPDATE gate.approver SET revoked = clock_timestamp() WHERE approver = p_approver AND revoked IS NULL;
    IF NOT FOUND THEN
        PERFORM gate.refuse('approver', 'This person has no approval secret to revoke.');
    END IF;
    PERFORM log.append_as_gate('gate:approver:revoked', jsonb_build_object('approver', p_approver));
END $$;

CREATE FUNCTION gate.unlock_approver(p_approver uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM gate.require_read_committed();
    -- The proposals that led to the lock stop counting; they stay in the log.
    UPDATE gate.proposal SET at = at - make_interval(mins => 15)
    WHERE approver = p_approver AND right_at IS NULL AND at > clock_timestamp() - make_interval(mins => 15);
    UPDATE gate.approver SET locked = NULL WHERE approver = p_approver AND locked IS NOT NULL;
    IF NOT FOUND THEN
        PERFORM gate.refuse('approver', 'This approver is not locked.');
    END IF;
    PERFORM log.append_as_gate('gate:approver:unlocked', jsonb_build_object('approver', p_approver));
END $$;

CREATE FUNCTION gate.approver_contact(p_approver uuid) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT contact FROM gate.approver WHERE approver = p_approver
$$;

-- What an approver's page may say: enrolled, locked, revoked or none.
CREATE FUNCTION gate.approver_state(p_approver uuid) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN a.approver IS NULL THEN 'none' WHEN a.revoked IS NOT NULL THEN 'revoked'
                WHEN a.locked IS NOT NULL THEN 'locked' ELSE 'enrolled' END
    FROM (SELECT p_approver AS asked) q LEFT JOIN gate.approver a ON a.approver = q.asked
$$;

-- Adopted thresholds, limits and holds: two approvers each.
CREATE FUNCTION gate.adopt_evaluation(
    p_model text, p_report text, p_verdict text, p_policy text, p_threshold bigint, p_expires bigint, p_proposals uuid[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who uuid[];
    day constant bigint := 86400000;
BEGIN
    IF (p_verdict IN ('met', 'not_met', 'cannot_be_shown')) IS NOT TRUE THEN
        PERFORM gate.refuse('verdict', 'The verdict is met, not met or cannot be shown.');
    END IF;
    IF (p_threshold BETWEEN 1 AND 1000000) IS NOT TRUE THEN
        PERFORM gate.refuse('threshold', 'The threshold has to lie between 0.000001 and 1.');
    END IF;
    IF (p_expires > gate.now_ms() AND p_expires <= gate.now_ms() + gate.value('evaluation_days_max') * day) IS NOT TRUE THEN
        PERFORM gate.refuse('expires', 'The evaluation has to expire in the future and within the longest validity.');
    END IF;
    who := gate.consume('gate:adopt_evaluation', jsonb_build_object(
        'model', p_model, 'report', p_report, 'verdict', p_verdict, 'policy', p_policy, 'threshold', p_threshold,
        'expires', p_expires), p_proposals, 2);
    INSERT INTO gate.acceptance (model, report, verdict, policy, threshold, expires)
    VALUES (p_model, p_report, p_verdict, p_policy, p_threshold, p_expires)
    ON CONFLICT (model) DO UPDATE SET report = p_report, verdict = p_verdict, policy = p_policy,
        threshold = p_threshold, expires = p_expires, adopted_at = clock_timestamp();
    PERFORM log.append_as_gate('gate:evaluation:adopted', jsonb_build_object(
        'model', p_model, 'report', p_report, 'verdict', p_verdict, 'threshold', p_threshold,
        'acceptance_policy', p_policy, 'expires', p_expires, 'approvers', to_jsonb(who)));
END $$;

CREATE FUNCTION gate.set_policy(p_setting text, p_value bigint, p_proposals uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who    uuid[];
    known  gate.setting;
    before bigint;
BEGIN
    who := gate.consume('gate:set_policy', jsonb_build_object('setting', p_setting, 'value', p_value), p_proposals, 2);
    SELECT * INTO known FROM gate.setting WHERE name = p_setting FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM gate.refuse('setting', 'There is no such setting of the gate.');
    END IF;
    IF (p_value BETWEEN known.minimum AND known.maximum) IS NOT TRUE THEN
        PERFORM gate.refuse('setting', format('This setting lies between %s and %s.', known.minimum, known.maximum));
    END IF;
    before := known.value;
    UPDATE gate.setting SET value = p_value WHERE name = p_setting;
    PERFORM log.append_as_gate('gate:policy:set', jsonb_build_object(
        'setting', p_setting, 'previous', before, 'value', p_value, 'approvers', to_jsonb(who)));
END $$;

CREATE FUNCTION gate.set_exemption(p_gallery uuid, p_purpose text, p_exempt boolean, p_proposals uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who uuid[];
BEGIN
    who := gate.consume('gate:set_exemption', jsonb_build_object(
        'gallery', p_gallery, 'purpose', p_purpose, 'exempt', p_exempt), p_proposals, 2);
    IF p_exempt THEN
        INSERT INTO gate.exemption (gallery, purpose) VALUES (p_gallery, p_purpose) ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM gate.exemption WHERE gallery = p_gallery AND purpose = p_purpose;
    END IF;
    PERFORM log.append_as_gate('gate:exemption:set', jsonb_build_object(
        'gallery', p_gallery, 'purpose', p_purpose, 'exempt', p_exempt, 'approvers', to_jsonb(who)));
END $$;

CREATE FUNCTION gate.place_hold(p_subject uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM gate.require_read_committed();
    IF p_subject IS NULL THEN
        PERFORM gate.refuse('hold', 'Name the record that the legal hold is for.');
    END IF;
    PERFORM FROM gate.hold_lock FOR UPDATE;
    INSERT INTO gate.legal_hold (subject) VALUES (p_subject) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM log.append_as_gate('gate:hold:placed', jsonb_build_object('subject', p_subject));
    END IF;
END $$;

CREATE FUNCTION gate.lift_hold(p_subject uuid, p_proposals uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who uuid[];
BEGIN
    who := gate.consume('gate:lift_hold', jsonb_build_object('subject', p_subject), p_proposals, 2);
    DELETE FROM gate.legal_hold WHERE subject = p_subject;
    IF NOT FOUND THEN
        PERFORM gate.refuse('hold', 'There is no legal hold on this record.');
    END IF;
    PERFORM log.append_as_gate('gate:hold:lifted', jsonb_build_object('subject', p_subject, 'approvers', to_jsonb(who)));
END $$;

-- Asked before anything is erased. Whoever asks holds the lock until the end of the transaction, so that no hold is placed between
-- the question and the deletion.
CREATE FUNCTION gate.is_held(p_subject uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM gate.require_read_committed();
    PERFORM FROM gate.hold_lock FOR UPDATE;
    RETURN EXISTS (SELECT FROM gate.legal_hold WHERE subject = p_subject);
END $$;

-- The limits and the adopted evaluations are public inside the house: pages show them, and the application checks them first.
CREATE FUNCTION gate.settings() RETURNS TABLE (name text, value bigint, minimum bigint, maximum bigint, note text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.name, s.value, s.minimum, s.maximum, s.note FROM gate.setting s ORDER BY s.name
$$;

CREATE FUNCTION gate.acceptances() RETURNS TABLE (
    model text, report text, verdict text, policy text, threshold bigint, expires bigint, adopted_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.model, a.report, a.verdict, a.policy, a.threshold, a.expires, a.adopted_at FROM gate.acceptance a
$$;

CREATE FUNCTION gate.exemptions() RETURNS TABLE (gallery uuid, purpose text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT x.gallery, x.purpose FROM gate.exemption x
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gate FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gate.propose_approval(text, uuid, bytea, uuid, text), gate.approve(uuid), gate.answer(uuid),
    gate.adopt_evaluation(text, text, text, text, bigint, bigint, uuid[]), gate.set_policy(text, bigint, uuid[]),
    gate.set_exemption(uuid, text, boolean, uuid[]), gate.place_hold(uuid), gate.lift_hold(uuid, uuid[]),
    gate.approver_state(uuid), gate.settings(), gate.acceptances(), gate.exemptions() TO @app@;
GRANT EXECUTE ON FUNCTION gate.enrol_approver(uuid, bytea, bytea, text), gate.revoke_approver(uuid), gate.unlock_approver(uuid) TO @registrar@;
GRANT EXECUTE ON FUNCTION gate.approver_contact(uuid) TO @notifier@;
GRANT EXECUTE ON FUNCTION gate.consume(text, jsonb, uuid[], integer), gate.refuse(text, text), gate.require_read_committed() TO @gallery_owner@, @vault_owner@;
GRANT EXECUTE ON FUNCTION gate.is_held(uuid) TO @vault_owner@, @gallery_owner@;

RESET ROLE;

-- Approvals that a passkey proves. The registrar enrols public keys; the gate checks of an assertion everything but its signature,
-- which SQL cannot, and puts it into the approval's entry. The signer disputes a wrong one before any checkpoint covers it.
SET LOCAL ROLE @gate_owner@;

INSERT INTO gate.setting (name, value, minimum, maximum, note) VALUES
    ('approval_passkey', 0, 0, 1, '1: every approval of a search carries a proof by the approver''s passkey; 0: it may');

CREATE TABLE gate.passkey (
    credential bytea PRIMARY KEY CHECK (octet_length(credential) BETWEEN 1 AND 1023),
    approver   uuid NOT NULL,
    key        bytea NOT NULL CHECK (octet_length(key) = 91),
    site       bytea NOT NULL CHECK (octet_length(site) = 32),
    enrolled   timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked    timestamptz
);
CREATE TABLE gate.disputed (approval uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp());
ALTER TABLE gate.approval ADD COLUMN proven boolean NOT NULL DEFAULT false;

CREATE FUNCTION gate.base64url(p_data bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT translate(encode(p_data, 'base64'), '+/=' || chr(10), '-_')
$$;

CREATE FUNCTION gate.enrol_passkey(p_approver uuid, p_credential bytea, p_key bytea, p_site bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM gate.require_read_committed();
    PERFORM FROM gate.approver x WHERE x.approver = p_approver AND x.revoked IS NULL FOR SHARE;
    IF NOT FOUND THEN
        PERFORM gate.refuse('approver', 'Enrol an approval secret of this person first.');
    END IF;
    IF (octet_length(p_credential) BETWEEN 1 AND 1023 AND octet_length(p_key) = 91 AND octet_length(p_site) = 32
        AND substr(p_key, 1, 27) = decode('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex')) IS NOT TRUE THEN
        PERFORM gate.refuse('passkey', 'This is not a passkey that signs with ES256.');
    END IF;
    BEGIN
        INSERT INTO gate.passkey (credential, approver, key, site) VALUES (p_credential, p_approver, p_key, p_site);
    EXCEPTION WHEN unique_violation THEN
        PERFORM gate.refuse('passkey', 'This passkey was enrolled before. A revoked one is not enrolled again.');
    END;
    PERFORM log.append_as_gate('gate:passkey:enrolled', jsonb_build_object('approver', p_approver,
        'credential', encode(sha256(p_credential), 'hex'), 'key', gate.base64url(p_key), 'site', encode(p_site, 'hex')));
END $$;

CREATE FUNCTION gate.revoke_passkeys(p_approver uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one   bytea;
    count_ integer := 0;
BEGIN
    PERFORM gate.require_read_committed();
    FOR one IN UPDATE gate.passkey SET revoked = clock_timestamp() WHERE approver = p_approver AND revoked IS NULL RETURNING credential LOOP
        PERFORM log.append_as_gate('gate:passkey:revoked', jsonb_build_object(
            'approver', p_approver, 'credential', encode(sha256(one), 'hex')));
        count_ := count_ + 1;
    END LOOP;
    IF count_ = 0 THEN
        PERFORM gate.refuse('passkey', 'This person has no enrolled passkey to revoke.');
    END IF;
    RETURN count_;
END $$;

CREATE FUNCTION gate.passkeys(p_approver uuid) RETURNS TABLE (credential bytea, key bytea, site bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.credential, p.key, p.site FROM gate.passkey p WHERE p.approver = p_approver AND p.revoked IS NULL ORDER BY p.enrolled
$$;

-- The second step of an approval, whatever proves it.
CREATE FUNCTION gate.settle_approval(p_proposal uuid, p_proof jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    p gate.proposal;
    e uuid;
BEGIN
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
    IF NOT EXISTS (SELECT FROM gate.approval x WHERE x.request = p.subject AND x.approver = p.approver AND x.params = p.params
        AND (x.proven OR p_proof ->> 'approval_proof' = 'none') AND NOT EXISTS (SELECT FROM gate.disputed d WHERE d.approval = x.entry)) THEN
        e := log.append_as_gate('search:request:approved', p_proof || jsonb_build_object(
            'request', p.subject, 'approver', p.approver, 'proposal', p_proposal, 'params', encode(p.params, 'hex')));
        -- A better proof takes the place of none, and of one that was disputed; both entries stay in the log.
        INSERT INTO gate.approval (request, approver, params, entry, proven)
        VALUES (p.subject, p.approver, p.params, e, p_proof ->> 'approval_proof' <> 'none')
        ON CONFLICT (request, approver, params) DO UPDATE SET entry = excluded.entry, proven = excluded.proven;
    END IF;
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION gate.approve(p_proposal uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM gate.require_read_committed();
    IF (gate.value('approval_passkey') = 0) IS NOT TRUE THEN
        PERFORM gate.refuse('passkey', 'An approval needs a proof by the approver''s passkey here. Approve on the page of the request.');
    END IF;
    RETURN gate.settle_approval(p_proposal, jsonb_build_object('approval_proof', 'none'));
END $$;

CREATE FUNCTION gate.approve_by_passkey(
    p_proposal uuid, p_credential bytea, p_authenticator_data bytea, p_client_data bytea, p_signature bytea
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    p    gate.proposal;
    k    gate.passkey;
    said jsonb;
BEGIN
    PERFORM gate.require_read_committed();
    SELECT * INTO p FROM gate.proposal x WHERE x.proposal = p_proposal FOR UPDATE;
    IF NOT FOUND OR p.act <> 'search:request' OR p.subject IS NULL THEN
        PERFORM gate.refuse('proposal', 'There is no such proposal to approve a search.');
    END IF;
    SELECT * INTO k FROM gate.passkey x WHERE x.credential = p_credential AND x.approver = p.approver AND x.revoked IS NULL FOR SHARE;
    IF NOT FOUND THEN
        PERFORM gate.refuse('passkey', 'This passkey is not enrolled for approvals of this person. Ask the registrar to enrol it.');
    END IF;
    IF (octet_length(p_authenticator_data) BETWEEN 37 AND 512 AND octet_length(p_client_data) BETWEEN 1 AND 1024
        AND octet_length(p_signature) BETWEEN 8 AND 80) IS NOT TRUE THEN
        PERFORM gate.refuse('passkey', 'The answer of the passkey is incomplete, or longer than an entry can hold.');
    END IF;
    BEGIN
        said := convert_from(p_client_data, 'UTF8')::jsonb;
    EXCEPTION WHEN OTHERS THEN
        PERFORM gate.refuse('passkey', 'The answer of the passkey cannot be read.');
    END;
    IF (substr(p_authenticator_data, 1, 32) = k.site AND get_byte(p_authenticator_data, 32) & 5 = 5
        AND said ->> 'type' = 'webauthn.get' AND said ->> 'challenge' = gate.base64url(sha256(
            convert_to('glasscase/approval/v1', 'UTF8') || decode('00', 'hex') || uuid_send(p.subject) || p.params))) IS NOT TRUE THEN
        PERFORM gate.refuse('passkey', 'The passkey signed something else than this approval. Approve again.');
    END IF;
    RETURN gate.settle_approval(p_proposal, jsonb_build_object('approval_proof', 'passkey',
        'credential', encode(sha256(p_credential), 'hex'), 'authenticator_data', gate.base64url(p_authenticator_data),
        'client_data', gate.base64url(p_client_data), 'signature', gate.base64url(p_signature)));
END $$;

-- The signer's: it verified the signature of an approval's proof before it would cover it, and it is wrong.
CREATE FUNCTION gate.dispute_approval(p_approval uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e jsonb := log.sequenced(p_approval);
BEGIN
    PERFORM gate.require_read_committed();
    IF (e ->> 'type' = 'search:request:approved' AND e ->> 'approval_proof' = 'passkey') IS NOT TRUE THEN
        PERFORM gate.refuse('approval', 'There is no such approval with a proof.');
    END IF;
    INSERT INTO gate.disputed (approval) VALUES (p_approval) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM log.append_as_gate('gate:approval:disputed', jsonb_build_object(
            'approval', p_approval, 'request', e -> 'request', 'approver', e -> 'approver'));
    END IF;
END $$;

CREATE OR REPLACE FUNCTION gate.covered_approval(p_request uuid, p_requester uuid, p_params bytea) RETURNS TABLE (entry uuid, approver uuid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.entry, a.approver FROM gate.approval a JOIN gate.approver w ON w.approver = a.approver AND w.revoked IS NULL
    WHERE a.request = p_request AND a.params = p_params AND a.approver <> p_requester AND log.covered(a.entry) IS NOT NULL
        AND (a.proven OR gate.value('approval_passkey') = 0) AND NOT EXISTS (SELECT FROM gate.disputed d WHERE d.approval = a.entry)
    ORDER BY a.entry LIMIT 1
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gate FROM PUBLIC;
GRANT USAGE ON SCHEMA gate TO @signer@;
GRANT EXECUTE ON FUNCTION gate.passkeys(uuid), gate.approve_by_passkey(uuid, bytea, bytea, bytea, bytea) TO @app@;
GRANT EXECUTE ON FUNCTION gate.enrol_passkey(uuid, bytea, bytea, bytea), gate.revoke_passkeys(uuid) TO @registrar@;
GRANT EXECUTE ON FUNCTION gate.dispute_approval(uuid) TO @signer@;
RESET ROLE;

-- What the gate remembers. Every table here belongs to a role that nobody can log in as; the application reaches it only
-- through the functions that follow. Definer functions write only to tables of their own owner.
SET LOCAL ROLE @gate_owner@;

-- Minimum and maximum keep a limit from being set to what could not be set back, or would overflow.
CREATE TABLE gate.setting (
    name  text PRIMARY KEY,
    value bigint NOT NULL,
    minimum bigint NOT NULL,
    maximum bigint NOT NULL,
    note  text NOT NULL,
    CHECK (value BETWEEN minimum AND maximum)
);
INSERT INTO gate.setting (name, value, minimum, maximum, note) VALUES
    ('k_max', 50, 1, 200, 'longest candidate list'),
    ('approval_needed', 1, 0, 1, '1: every search needs an approval unless an exemption is set; 0: none does'),
    ('intent_hours_max', 168, 1, 720, 'longest life of an intent, in hours'),
    ('edition_hour_cap', 120, 0, 100000, 'searches bound per edition and hour'),
    ('system_hour_cap', 300, 0, 100000, 'searches bound in the whole system per hour'),
    ('approver_day_cap', 100, 0, 100000, 'searches bound per approver in 24 hours'),
    ('emergency_day_cap', 5, 0, 1000, 'emergency searches bound without approval in 24 hours'),
    ('emergency_deadline_hours', 48, 0, 168, 'hours until an emergency result without approval is sealed'),
    ('view_seconds', 600, 30, 3600, 'how long an entry of a reading may be used'),
    ('evaluation_days_max', 400, 1, 1000, 'longest validity of an adopted evaluation, in days'),
    ('proposal_minutes', 30, 5, 240, 'how long a proposal may be used');

CREATE TABLE gate.exemption (gallery uuid, purpose text, PRIMARY KEY (gallery, purpose));

CREATE TABLE gate.acceptance (
    model      text PRIMARY KEY CHECK (model ~ '^[0-9a-f]{64}$'),
    report     text NOT NULL CHECK (report ~ '^[0-9a-f]{64}$'),
    verdict    text NOT NULL,
    policy     text NOT NULL,
    threshold  bigint NOT NULL CHECK (threshold BETWEEN 1 AND 1000000),
    expires    bigint NOT NULL,
    adopted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE gate.approver (
    approver uuid PRIMARY KEY,
    salt     bytea NOT NULL CHECK (octet_length(salt) = 16),
    hash     bytea NOT NULL CHECK (octet_length(hash) = 32),
    contact  text NOT NULL CHECK (octet_length(contact) BETWEEN 3 AND 254),
    enrolled timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked  timestamptz,
    locked   timestamptz
);

CREATE TABLE gate.proposal (
    proposal uuid PRIMARY KEY,
    act      text NOT NULL,
    subject  uuid,
    params   bytea NOT NULL CHECK (octet_length(params) = 32),
    approver uuid NOT NULL,
    typed    bytea NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    right_at timestamptz,
    used_at  timestamptz
);
CREATE INDEX proposal_recent ON gate.proposal (approver, at);

CREATE TABLE gate.approval (
    request  uuid NOT NULL,
    approver uuid NOT NULL,
    params   bytea NOT NULL,
    entry    uuid NOT NULL,
    PRIMARY KEY (request, approver, params)
);

CREATE TABLE gate.withdrawal (request uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp());
-- One row to lock: holds are placed and asked for one after the other.
CREATE TABLE gate.hold_lock (one boolean PRIMARY KEY DEFAULT true CHECK (one));
INSERT INTO gate.hold_lock VALUES (true);
CREATE TABLE gate.legal_hold (subject uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp());

CREATE TABLE gate.bound (
    request   uuid PRIMARY KEY,
    intent    uuid NOT NULL UNIQUE,
    requester uuid NOT NULL,
    approver  uuid,
    edition   integer NOT NULL,
    version   integer NOT NULL,
    probe     public.halfvec NOT NULL,
    salt      bytea NOT NULL,
    threshold integer NOT NULL,
    k         integer NOT NULL,
    expires   bigint NOT NULL,
    params    bytea NOT NULL,
    emergency boolean NOT NULL,
    deadline  timestamptz,
    claim     bytea NOT NULL,
    entry     uuid NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid       xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX bound_recent ON gate.bound (at);

CREATE TABLE gate.outcome (
    request    uuid PRIMARY KEY,
    packed     bytea NOT NULL,          -- 2 bytes of count, then k_max x (16 bytes template + 4 bytes score); always the same length
    salt       bytea NOT NULL,          -- opens the commitment to the scores in steps of 10^-3
    salt_micro bytea NOT NULL,          -- opens the commitment to the scores in steps of 10^-6
    entry      uuid NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    sealed     timestamptz
);

CREATE TABLE gate.replay (
    entry   uuid PRIMARY KEY,
    request uuid NOT NULL,
    packed  bytea NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The planner's statistics would keep copies of embeddings and candidates beyond their erasure: none are taken.
ALTER TABLE gate.bound ALTER COLUMN probe SET STATISTICS 0, ALTER COLUMN salt SET STATISTICS 0;
ALTER TABLE gate.outcome ALTER COLUMN packed SET STATISTICS 0, ALTER COLUMN salt SET STATISTICS 0,
    ALTER COLUMN salt_micro SET STATISTICS 0;
ALTER TABLE gate.replay ALTER COLUMN packed SET STATISTICS 0;

CREATE TABLE gate.view (
    view    uuid PRIMARY KEY,
    request uuid NOT NULL,
    viewer  uuid NOT NULL,
    claim   bytea NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT USAGE ON SCHEMA gate TO @app@, @registrar@, @notifier@, @reader@, @gallery_owner@, @vault_owner@;

-- A refusal names its rule in HINT and says a sentence; DETAIL is never set, because it could show an owner's row.
CREATE FUNCTION gate.refuse(p_rule text, p_sentence text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'GC403', MESSAGE = p_sentence, HINT = p_rule;
END $$;

-- Stale snapshots show rows that were revoked since: only READ COMMITTED may act.
CREATE FUNCTION gate.require_read_committed() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (current_setting('transaction_isolation') = 'read committed') IS NOT TRUE THEN
        PERFORM gate.refuse('isolation', 'The gate acts under READ COMMITTED only: an older snapshot could hide a revocation.');
    END IF;
END $$;

CREATE FUNCTION gate.value(p_name text) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT value FROM gate.setting WHERE name = p_name
$$;

CREATE FUNCTION gate.now_ms() RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gate FROM PUBLIC;
RESET ROLE;

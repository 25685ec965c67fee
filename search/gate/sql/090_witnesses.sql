-- Whether the gate's receipts need cosignatures of witnesses is a limit like the others: two approvers set it. The log keeps what
-- is set, because the log answers whether an entry is covered.
SET LOCAL ROLE @gate_owner@;

INSERT INTO gate.setting (name, value, minimum, maximum, note) VALUES
    ('witness_quorum', 0, 0, 32, 'witnesses that have to cosign before a receipt counts; 0: the signer alone suffices'),
    ('witness_grace_minutes', 0, 0, 10080, 'minutes that searches may go on after the quorum of witnesses was last seen; 0: they stop at once');

CREATE FUNCTION gate.tell_the_log() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM logwork.set_quorum(gate.value('witness_quorum')::integer, gate.value('witness_grace_minutes')::integer);
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION gate.tell_the_log() FROM PUBLIC;
CREATE TRIGGER tell_the_log AFTER UPDATE ON gate.setting FOR EACH ROW WHEN (NEW.name IN ('witness_quorum', 'witness_grace_minutes'))
    EXECUTE FUNCTION gate.tell_the_log();
ALTER TABLE gate.setting ENABLE ALWAYS TRIGGER tell_the_log;

RESET ROLE;

-- Stored lists lie in their row as they are. Compressed, the zeros behind the candidates shrink to nothing, and the size of the row, and with it
-- of the write-ahead log, which everybody may read of their own statement, tells how many candidates a search has that is rolled back.
SET LOCAL ROLE @gate_owner@;

ALTER TABLE gate.outcome ALTER COLUMN packed SET STORAGE PLAIN;
ALTER TABLE gate.replay ALTER COLUMN packed SET STORAGE PLAIN;

RESET ROLE;

-- The profile `contest`: both tables UNLOGGED. They write no WAL and are EMPTY after a crash.
-- May be run again (no change).

BEGIN;
ALTER TABLE transacoes SET UNLOGGED;
ALTER TABLE clientes SET UNLOGGED;
COMMIT;

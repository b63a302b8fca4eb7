-- The profile `contest`: all tables UNLOGGED. They write no WAL and are EMPTY after a crash;
-- EstadoDoBanco() then says that there are no clients.
--
-- After 25-keys.sql; it rewrites the tables and keeps what is in them. May be run again (it then
-- changes nothing). No foreign key joins them, so the order does not matter.

BEGIN;

ALTER TABLE transacoes SET UNLOGGED;
ALTER TABLE clientes SET UNLOGGED;
ALTER TABLE chaves SET UNLOGGED;

COMMIT;

-- The keys under which transactions were asked for (Idempotency-Key), each with what it was used for and what
-- came of it.
--
-- After 10-tables.sql. May be run again, so that a database from before there were keys gets them; the profile
-- `contest` then needs contest/50-unlogged.sql again, and all of them 20-functions.sql and 30-role.sql.
--
-- Only InsertTransacoesComChaves writes here, in the database transaction that applies, and with the client's row
-- locked: what it looked for and did not find cannot be there when it writes. A unique index would add nothing
-- but its size. The index to look a key up by holds 64 bits of each, a third of what the keys themselves would take:
-- at ten million keys that is the difference between an index that stays in memory and one that does not.
-- Two keys of the same 64 bits are told apart by reading them.
--
-- The one by time is written at its end and emptied from its front, so that pages become free as a whole;
-- and as a call's keys have one time, a page holds many.

BEGIN;

SET LOCAL client_min_messages = warning;  -- that something exists is no news

DO $$
BEGIN
    CREATE DOMAIN chave_de_transacao AS text CHECK (length(VALUE) BETWEEN 1 AND 64);  -- characters
EXCEPTION WHEN duplicate_object THEN
    NULL;
END $$;

-- Rows come and go in the order of time. A million may come before autovacuum looks, as for transacoes; what was
-- removed is cleared away in slices, without taking the table from anybody (vacuum_truncate).
CREATE TABLE IF NOT EXISTS chaves (
    valor      valor_de_transacao     NOT NULL,
    saldo      bigint                 NOT NULL,  -- after it, and the limit then: what was answered
    limite     bigint                 NOT NULL,
    criada_em  timestamptz            NOT NULL,
    cliente_id int                    NOT NULL,
    resultado  smallint               NOT NULL,  -- as 20-functions.sql has it: 0, 1 or 2
    tipo       tipo_de_transacao      NOT NULL,
    descricao  descricao_de_transacao NOT NULL,
    chave      chave_de_transacao     NOT NULL
) WITH (autovacuum_vacuum_insert_threshold = 1000000, autovacuum_analyze_threshold = 1000000,
        autovacuum_vacuum_threshold = 100000, autovacuum_vacuum_scale_factor = 0.1, vacuum_truncate = off);

CREATE INDEX IF NOT EXISTS chaves_chave ON chaves (hashtextextended(chave, cliente_id));
CREATE INDEX IF NOT EXISTS chaves_criada_em ON chaves (criada_em);

COMMIT;

-- The two tables of the bank, in the profile `durable` (logged).
--
-- Runs once, in an empty database: a second run fails at the first CREATE and changes nothing.
--
-- Every write of the service costs what is declared here, so the choices are measured (callgrind,
-- instructions of a whole InsertTransacao, PostgreSQL 15):
--
--   * What a column must look like is said by domains: all three of a transaction's together cost
--     3%. The same rules as one CHECK of the table cost 30%, because a CHECK is read back from
--     its stored form in every statement, while a domain's is kept by the session.
--   * One CHECK remains, which no domain can say: a balance is never below its limit (6%). The
--     functions see to it; this is the lock on the second door.
--   * No foreign key from transacoes to clientes: it would lock and look up the client once more
--     per row. Only the functions of 20-functions.sql write, and they insert for locked clients.
--   * One index on transacoes: each costs CPU and WAL for every row. It is the primary key, and gives a
--     statement its newest entries, because it begins with the client (a database sharded by client
--     allows no other). It is read backwards, newest first, at no cost. Declared `id DESC` it would
--     take each new entry before a client's others instead of after them, and its pages would
--     split in the middle: 1.8 times the size, 11% more WAL per transaction (measured).
--   * A transaction's id is its number among its client's: 1, 2, …, counted in the client's row by the
--     UPDATE that changes the balance. So ids rise in the order of the row locks, also after the client
--     has moved to another server, where a sequence would go on from elsewhere. Against an identity a
--     lone transaction costs the same, a run of eight 1% more, a batch of five clients 3% more.

BEGIN;

CREATE DOMAIN valor_de_transacao AS bigint CHECK (VALUE > 0);                       -- cents
CREATE DOMAIN tipo_de_transacao AS "char" CHECK (VALUE = 'c' OR VALUE = 'd');       -- credit, debit
CREATE DOMAIN descricao_de_transacao AS text CHECK (length(VALUE) BETWEEN 1 AND 10);  -- characters

-- Limits and balances in cents. Most of each page stays free, so that a new version of a row finds
-- room beside the old one (a HOT update: no index entry) and is pruned in passing while few are
-- there to walk through: 1 to 4% of a call against full pages. A vacuum never gives pages back,
-- which would lock out everybody for a moment.
CREATE TABLE clientes (
    id     int    PRIMARY KEY,
    limite bigint NOT NULL,
    saldo  bigint NOT NULL,
    ultima bigint NOT NULL DEFAULT 0,  -- the newest transaction's id
    CONSTRAINT saldo_dentro_do_limite CHECK (limite >= 0 AND saldo >= -limite)
) WITH (fillfactor = 25, vacuum_truncate = off);

-- Only ever appended to: a million rows may come before autovacuum looks at it, so that no run of the
-- contest meets one. The plans do not depend on its statistics (src/ledger/pinned.rs).
CREATE TABLE transacoes (
    id           bigint                 NOT NULL,
    cliente_id   int                    NOT NULL,
    valor        valor_de_transacao     NOT NULL,
    tipo         tipo_de_transacao      NOT NULL,
    descricao    descricao_de_transacao NOT NULL,
    realizada_em timestamptz            NOT NULL,
    PRIMARY KEY (cliente_id, id)
) WITH (autovacuum_vacuum_insert_threshold = 1000000, autovacuum_analyze_threshold = 1000000);

COMMIT;

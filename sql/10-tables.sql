-- The two tables of the bank, in the profile `durable` (logged).
-- Runs once, in an empty database: a second run fails at the first CREATE and changes nothing.

BEGIN;

CREATE TABLE clientes (
    id     int    PRIMARY KEY,
    limite bigint NOT NULL CHECK (limite >= 0),
    saldo  bigint NOT NULL CHECK (saldo >= -limite)
) WITH (fillfactor = 10);

CREATE TABLE transacoes (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    cliente_id   int         NOT NULL,
    valor        bigint      NOT NULL CHECK (valor > 0),
    tipo         "char"      NOT NULL CHECK (tipo IN ('c', 'd')),
    descricao    text        NOT NULL CHECK (length(descricao) BETWEEN 1 AND 10),
    realizada_em timestamptz NOT NULL
);

CREATE UNIQUE INDEX transacoes_cliente_id_id ON transacoes (cliente_id, id DESC);

COMMIT;

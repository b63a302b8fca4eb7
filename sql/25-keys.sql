-- The keys under which transactions were asked for (Idempotency-Key), each with what it was used for and what
-- came of it.
--
-- After 20-functions.sql. May be run again, also in a database from before there were keys, between 20-functions.sql
-- and 30-role.sql; one of the profile `contest` then needs contest/50-unlogged.sql, too.
--
-- Only InsertTransacoesComChaves writes here, in the database transaction that applies, and with the client's row
-- locked. The unique index holds 64 bits of each key and client (MarcaDaChave), a third of what the keys themselves would
-- take (ten million: 216 MB). Should two keys ever have the same 64 bits, the second is told that it was used for
-- another transaction.
--
-- The one by time is written at its end and emptied from its front, so that pages become free as a whole;
-- and as a call's keys have one time, a page holds many.

BEGIN;

SET LOCAL client_min_messages = warning;  -- that something exists is no news

DO $$
BEGIN
    CREATE DOMAIN chave_de_transacao AS text CHECK (octet_length(VALUE) BETWEEN 1 AND 64);  -- ASCII
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

-- 56 bits of the key and the client, below 8 bits of how the key begins: keys that begin with the time (UUIDv7, ULID), as
-- those of one minute do, are neighbours in the index. They go to its 256th part, which stays in memory.
CREATE OR REPLACE FUNCTION MarcaDaChave(p_chave text, p_cliente int) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashtextextended(p_chave, p_cliente) & 72057594037927935) | (hashtext(left(p_chave, 8))::bigint << 56);

DROP INDEX IF EXISTS chaves_chave;  -- of before
CREATE UNIQUE INDEX IF NOT EXISTS chaves_marca ON chaves (MarcaDaChave(chave, cliente_id));
CREATE INDEX IF NOT EXISTS chaves_criada_em ON chaves (criada_em);

-- A batch in which transactions have keys, NULL for those that have none. What a key was first used for is judged
-- once. The same transaction under it is told that outcome again, as a `resultado` that is larger by 10; another
-- one has 4, beside what the first was told. Who does not exist (3) has no keys.
--
-- Most keys are new. So InsertTransacoesEmLote applies all as if there were no keys, and the keys are written behind
-- it; where the unique index knows one already, that is undone, and a closer look is taken: which are repetitions,
-- with the rows locked first. Each statement sees what was committed before it began, so whoever had the rows before,
-- of either instance, has left its keys to be seen.
CREATE OR REPLACE FUNCTION InsertTransacoesComChaves(
    p_clientes int[], p_ordinais int[], p_valores bigint[], p_tipos "char"[], p_descricoes text[], p_chaves text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plpgsql SECURITY DEFINER ROWS 32
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    chamada   timestamptz := clock_timestamp();
    travada   timestamptz;
    n         int := cardinality(p_clientes);
    espera    int;
    outras    boolean;
    violada   text;
    repetidas int[];  -- positions of those whose key was used before, in this call or an earlier one
BEGIN
    -- The other arrays are judged where they go.
    IF (n <= 10000 AND n = cardinality(p_ordinais) AND n = cardinality(p_chaves)
        AND array_position(p_ordinais, NULL) IS NULL) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'InsertTransacoesComChaves takes arrays of one length, at most 10000, without NULL but for keys'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    BEGIN
        -- All keys are written for the first row, before any is given: a repetition leaves none behind.
        RETURN QUERY
        WITH julgadas AS MATERIALIZED (
            SELECT * FROM public.InsertTransacoesEmLote(p_clientes, p_ordinais, p_valores, p_tipos, p_descricoes)
            WITH ORDINALITY AS j(ordinal, resultado, saldo, limite, espera_us, trabalho_us, i)
        ), lembradas AS (
            INSERT INTO public.chaves (valor, saldo, limite, criada_em, cliente_id, resultado, tipo, descricao, chave)
            SELECT p_valores[j.i], j.saldo, j.limite, (SELECT clock_timestamp()), p_clientes[j.i], j.resultado,
                   p_tipos[j.i], p_descricoes[j.i], p_chaves[j.i]
            FROM julgadas j WHERE p_chaves[j.i] IS NOT NULL AND j.resultado <> 3
            RETURNING 1
        )
        SELECT j.ordinal, j.resultado, j.saldo, j.limite, j.espera_us,
               CASE WHEN j.i = 1 AND (SELECT count(*) FROM lembradas) >= 0
                    THEN date_part('microseconds', clock_timestamp() - chamada)::int - j.espera_us END
        FROM julgadas j;
        RETURN;
    EXCEPTION WHEN unique_violation THEN
        -- Of a key, and not of a transaction's number: that would be found again and again.
        GET STACKED DIAGNOSTICS violada = CONSTRAINT_NAME;
        IF violada <> 'chaves_marca' THEN
            RAISE;
        END IF;
    END;

    PERFORM FROM public.clientes c WHERE c.id = ANY (p_clientes) ORDER BY c.id FOR NO KEY UPDATE;
    travada := clock_timestamp();
    espera := date_part('microseconds', travada - chamada)::int;
    -- What is found is to stay until it is read (KEY SHARE), lest it is removed meanwhile.
    SELECT array_agg(e.i) INTO repetidas
    FROM (SELECT i, row_number() OVER (PARTITION BY public.MarcaDaChave(p_chaves[i], p_clientes[i]) ORDER BY i) AS vez
          FROM generate_series(1, n) AS i WHERE p_chaves[i] IS NOT NULL) e
    WHERE e.vez > 1
        OR EXISTS (SELECT FROM public.chaves c
                   WHERE public.MarcaDaChave(c.chave, c.cliente_id) = public.MarcaDaChave(p_chaves[e.i], p_clientes[e.i])
                   FOR KEY SHARE);
    -- The others first: some may be what the repetitions repeat.
    RETURN QUERY
    SELECT f.ordinal, f.resultado, f.saldo, f.limite, espera + f.espera_us, f.trabalho_us
    FROM (SELECT array_agg(p_clientes[i] ORDER BY i) AS clientes, array_agg(p_ordinais[i] ORDER BY i) AS ordinais,
                 array_agg(p_valores[i] ORDER BY i) AS valores, array_agg(p_tipos[i] ORDER BY i) AS tipos,
                 array_agg(p_descricoes[i] ORDER BY i) AS descricoes, array_agg(p_chaves[i] ORDER BY i) AS chaves
          FROM generate_series(1, n) AS i WHERE (i = ANY (repetidas)) IS NOT TRUE HAVING count(*) > 0) a,
         public.InsertTransacoesComChaves(
             a.clientes, a.ordinais, a.valores, a.tipos, a.descricoes, a.chaves) AS f;
    outras := FOUND;
    -- What has no row by now was refused because there is no such client.
    RETURN QUERY
    SELECT p_ordinais[i],
           CASE WHEN c.resultado IS NULL THEN 3
                WHEN c.cliente_id = p_clientes[i] AND c.chave = p_chaves[i] AND c.valor = p_valores[i]
                    AND c.tipo = p_tipos[i] AND c.descricao = p_descricoes[i] THEN 10 + c.resultado
                ELSE 4 END::smallint,
           c.saldo, c.limite,
           CASE WHEN vez = 1 AND NOT outras THEN espera END,
           CASE WHEN vez = 1 AND NOT outras THEN date_part('microseconds', clock_timestamp() - travada)::int END
    FROM unnest(repetidas) WITH ORDINALITY AS r(i, vez)
    LEFT JOIN LATERAL (
        SELECT x.* FROM public.chaves x
        WHERE public.MarcaDaChave(x.chave, x.cliente_id) = public.MarcaDaChave(p_chaves[i], p_clientes[i])
        LIMIT 1) c ON true;
END $$;

-- Removes keys that are older than `p_segundos`, oldest first, at most `p_maximo`, of those from `p_desde` on (NULL:
-- of all). Says how many and up to which time, from where a next step goes on without passing again what this one
-- has removed. Two that remove at once take different ones. No key goes before it is a minute old, whoever calls.
CREATE OR REPLACE FUNCTION ApagaChaves(p_segundos int, p_maximo int, p_desde timestamptz)
RETURNS TABLE(apagadas int, ate timestamptz)
LANGUAGE plpgsql SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    vencimento timestamptz := clock_timestamp() - make_interval(secs => p_segundos);
BEGIN
    IF (p_segundos >= 60 AND p_maximo BETWEEN 1 AND 10000) IS NOT TRUE THEN
        RAISE EXCEPTION 'ApagaChaves takes 60 seconds or more, and 1 to 10000 keys'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    WITH removidas AS (
        DELETE FROM public.chaves c
        WHERE c.ctid = ANY (ARRAY(SELECT x.ctid FROM public.chaves x
                                  WHERE x.criada_em >= coalesce(p_desde, '-infinity') AND x.criada_em < vencimento
                                  ORDER BY x.criada_em LIMIT p_maximo FOR UPDATE SKIP LOCKED))
        RETURNING c.criada_em
    )
    SELECT count(*)::int, max(r.criada_em) FROM removidas r;
END $$;

REVOKE ALL ON FUNCTION
    MarcaDaChave(text, int),
    InsertTransacoesComChaves(int[], int[], bigint[], "char"[], text[], text[]),
    ApagaChaves(int, int, timestamptz)
FROM PUBLIC;

COMMIT;

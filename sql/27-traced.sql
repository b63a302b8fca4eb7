-- The same transactions, with what their rows say of whom the call waited for: what an instance that writes a trace
-- calls in place of the others. Those know nothing of it, so where nobody looks it costs nothing.
--
-- After 25-keys.sql, and 30-role.sql after it. May be run again: it changes no data.
--
-- Who changed a row last is in its xmin, and who has it locked in its xmax, until the next one locks it. So both are
-- read by the SELECT that locks: of a row that was changed while the call waited it gives the newest version, of one
-- that was not what it found when it looked for the row, and then xmax is whom it waited for. Ids have 32 bits and
-- wrap around, and say nothing of who was first: some are drawn before a wait, and some behind it.

BEGIN;

-- What a call's rows say of it, in one array: when it began (µs since the epoch); the oldest database transaction
-- that was not over then, so what is older held nobody up; the server's process; how many rows; their clients, as many
-- xmin, as many xmax (0 for nobody); and the call's own ids, none if it has locked nothing: its database transaction,
-- and what has changed the rows meanwhile (a subtransaction's writes have its own id, which nothing but they tells).
CREATE OR REPLACE FUNCTION travas_da_chamada(
    chamada timestamptz, em_curso pg_snapshot, clientes int[], donas bigint[], travadoras bigint[])
RETURNS bigint[]
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    RETURN ARRAY[(date_part('epoch', chamada) * 1000000)::bigint, pg_snapshot_xmin(em_curso)::xid::text::bigint,
                 pg_backend_pid(), coalesce(cardinality(clientes), 0)]
           || clientes::bigint[] || donas || travadoras
           || (SELECT array_agg(DISTINCT p.propria)
               FROM (SELECT pg_current_xact_id_if_assigned()::xid::text::bigint
                     UNION ALL
                     SELECT c.xmin::text::bigint FROM public.clientes c, unnest(clientes, donas) AS d(id, dona)
                     WHERE c.id = d.id AND c.xmin::text::bigint <> d.dona) p(propria)
               WHERE pg_current_xact_id_if_assigned() IS NOT NULL);
END $$;

-- Takes what InsertTransacoesComChaves does, with no keys at all (NULL) where none has one, and calls the cheapest
-- function that can carry it, with its rows locked. `travas`, as above, is in the first row only.
--
-- InsertTransacao locks nothing for a transaction that it refuses, so of a lone one without a key only a row that
-- allows it is locked here. Where that has waited in vain the row is read as it is: who changed it last is seen.
CREATE OR REPLACE FUNCTION InsertTransacoesObservadas(
    p_clientes int[], p_ordinais int[], p_valores bigint[], p_tipos "char"[], p_descricoes text[], p_chaves text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int,
              travas bigint[])
LANGUAGE plpgsql SECURITY DEFINER ROWS 32
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    chamada    timestamptz := clock_timestamp();
    em_curso   pg_snapshot := pg_current_snapshot();
    espera     int;
    so_uma     boolean := cardinality(p_clientes) = 1 AND p_chaves IS NULL;
    so_um      boolean := cardinality(p_clientes) > 0 AND p_chaves IS NULL AND p_clientes[1] = ALL (p_clientes);
    ids        int[];
    donas      bigint[];
    travadoras bigint[];
BEGIN
    -- The other arrays are judged where they go.
    IF (cardinality(p_clientes) <= 10000 AND cardinality(p_clientes) = cardinality(p_ordinais)
        AND array_position(p_ordinais, NULL) IS NULL) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'InsertTransacoesObservadas takes arrays of one length, at most 10000, without NULL'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT array_agg(c.id), array_agg(c.xmin::text::bigint), array_agg(c.xmax::text::bigint) INTO ids, donas, travadoras
    FROM (SELECT x.id, x.xmin, x.xmax FROM public.clientes x
          WHERE x.id = ANY (p_clientes)
              AND (NOT so_uma OR public.resultado_da_transacao(x.saldo, x.limite, p_valores[1], p_tipos[1]) = 0)
          ORDER BY x.id FOR NO KEY UPDATE) c;
    IF ids IS NULL THEN
        SELECT array_agg(c.id), array_agg(c.xmin::text::bigint), array_agg(c.xmax::text::bigint)
        INTO ids, donas, travadoras FROM public.clientes c WHERE c.id = ANY (p_clientes);
    END IF;
    espera := date_part('microseconds', clock_timestamp() - chamada)::int;
    IF so_uma THEN
        RETURN QUERY
        SELECT p_ordinais[f.ordinal], f.resultado, f.saldo, f.limite, espera + f.espera_us, f.trabalho_us,
               public.travas_da_chamada(chamada, em_curso, ids, donas, travadoras)
        FROM public.InsertTransacao(p_clientes[1], p_valores[1], p_tipos[1], p_descricoes[1]) f;
    ELSIF so_um THEN
        RETURN QUERY
        SELECT p_ordinais[f.ordinal], f.resultado, f.saldo, f.limite, espera + f.espera_us, f.trabalho_us,
               CASE WHEN f.espera_us IS NOT NULL
                    THEN public.travas_da_chamada(chamada, em_curso, ids, donas, travadoras) END
        FROM public.InsertTransacoes(p_clientes[1], p_valores, p_tipos, p_descricoes) f;
    ELSIF p_chaves IS NULL THEN
        RETURN QUERY
        SELECT f.ordinal, f.resultado, f.saldo, f.limite, espera + f.espera_us, f.trabalho_us,
               CASE WHEN f.espera_us IS NOT NULL
                    THEN public.travas_da_chamada(chamada, em_curso, ids, donas, travadoras) END
        FROM public.InsertTransacoesEmLote(p_clientes, p_ordinais, p_valores, p_tipos, p_descricoes) f;
    ELSE
        RETURN QUERY
        SELECT f.ordinal, f.resultado, f.saldo, f.limite, espera + f.espera_us, f.trabalho_us,
               CASE WHEN f.espera_us IS NOT NULL
                    THEN public.travas_da_chamada(chamada, em_curso, ids, donas, travadoras) END
        FROM public.InsertTransacoesComChaves(
            p_clientes, p_ordinais, p_valores, p_tipos, p_descricoes, p_chaves) f;
    END IF;
END $$;

REVOKE ALL ON FUNCTION
    travas_da_chamada(timestamptz, pg_snapshot, int[], bigint[], bigint[]),
    InsertTransacoesObservadas(int[], int[], bigint[], "char"[], text[], text[])
FROM PUBLIC;

COMMIT;

-- Spreads the clients over the workers of a Citus cluster, and sends each call to its client's.
--
-- As the superuser on the coordinator, which knows its workers already; after 30-role.sql, and before 40-clients.sql where
-- those are many; once: it is not in a transaction, because what it makes is used by what it makes next. A worker takes calls as the
-- coordinator does.
--
-- A statement over several shards takes no row locks there, so a call takes one client's transactions, and EstadoDoBanco
-- says so (`repartido`). What a call needs is found by its client alone, in every statement.

SET client_min_messages = warning;

SELECT create_distributed_table('public.clientes', 'id');
SELECT create_distributed_table('public.transacoes', 'cliente_id', colocate_with => 'public.clientes');
-- A unique index must say the client by itself. It has an expression, so it does not say which row a copy is of.
DROP INDEX public.chaves_marca;
CREATE UNIQUE INDEX chaves_marca ON public.chaves (public.MarcaDaChave(chave, cliente_id), cliente_id);
ALTER TABLE public.chaves REPLICA IDENTITY FULL;
SELECT create_distributed_table('public.chaves', 'cliente_id', colocate_with => 'public.clientes');

-- InsertTransacoesComChaves for one client: which keys are repetitions is asked first.
CREATE FUNCTION public.chaves_do_cliente(
    p_cliente int, p_ordinais int[], p_valores bigint[], p_tipos "char"[], p_descricoes text[], p_chaves text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plpgsql SECURITY DEFINER ROWS 16
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    chamada    timestamptz := clock_timestamp();
    travada    timestamptz;
    primeira   boolean := true;
    marcas     bigint[];  -- as in chaves_marca
    conhecidas bigint[];
    novas      int[];     -- positions of those that are applied
    valores    bigint[];
    tipos      "char"[];
    descricoes text[];
    resultados smallint[];
    saldos     bigint[];
    limites    bigint[];
    nova       record;
    antes      record;
BEGIN
    PERFORM FROM public.clientes c WHERE c.id = p_cliente FOR NO KEY UPDATE;
    travada := clock_timestamp();
    marcas := ARRAY(SELECT public.MarcaDaChave(k.chave, p_cliente)
                    FROM unnest(p_chaves) WITH ORDINALITY AS k(chave, i) ORDER BY k.i);
    SELECT array_agg(public.MarcaDaChave(c.chave, c.cliente_id)) INTO conhecidas FROM public.chaves c
    WHERE c.cliente_id = p_cliente AND public.MarcaDaChave(c.chave, c.cliente_id) = ANY (marcas);
    SELECT array_agg(e.i ORDER BY e.i), array_agg(p_valores[e.i] ORDER BY e.i), array_agg(p_tipos[e.i] ORDER BY e.i),
           array_agg(p_descricoes[e.i] ORDER BY e.i)
    INTO novas, valores, tipos, descricoes
    FROM (SELECT i, row_number() OVER (PARTITION BY marcas[i] ORDER BY i) AS vez
          FROM generate_series(1, cardinality(marcas)) AS i) e
    WHERE p_chaves[e.i] IS NULL OR e.vez = 1 AND (marcas[e.i] = ANY (conhecidas)) IS NOT TRUE;
    IF novas IS NOT NULL THEN
        FOR nova IN SELECT * FROM public.InsertTransacoes(p_cliente, valores, tipos, descricoes) LOOP
            ordinal := p_ordinais[novas[nova.ordinal]];
            resultado := nova.resultado;
            saldo := nova.saldo;
            limite := nova.limite;
            resultados[nova.ordinal] := resultado;
            saldos[nova.ordinal] := saldo;
            limites[nova.ordinal] := limite;
            espera_us := CASE WHEN primeira THEN date_part('microseconds', travada - chamada)::int END;
            trabalho_us := CASE WHEN primeira THEN date_part('microseconds', clock_timestamp() - travada)::int END;
            primeira := false;
            RETURN NEXT;
        END LOOP;
        INSERT INTO public.chaves (valor, saldo, limite, criada_em, cliente_id, resultado, tipo, descricao, chave)
        SELECT valores[k], saldos[k], limites[k], travada, p_cliente, resultados[k], tipos[k], descricoes[k],
               p_chaves[novas[k]]
        FROM generate_subscripts(novas, 1) AS k WHERE p_chaves[novas[k]] IS NOT NULL AND resultados[k] <> 3;
    END IF;
    FOR i IN 1 .. cardinality(marcas) LOOP
        CONTINUE WHEN i = ANY (novas);
        SELECT c.valor, c.tipo, c.descricao, c.chave, c.resultado, c.saldo, c.limite INTO antes FROM public.chaves c
        WHERE c.cliente_id = p_cliente AND public.MarcaDaChave(c.chave, c.cliente_id) = marcas[i];
        ordinal := p_ordinais[i];
        resultado := CASE WHEN antes.resultado IS NULL THEN 3
                          WHEN antes.chave = p_chaves[i] AND antes.valor = p_valores[i] AND antes.tipo = p_tipos[i]
                              AND antes.descricao = p_descricoes[i] THEN 10 + antes.resultado
                          ELSE 4 END;
        saldo := antes.saldo;
        limite := antes.limite;
        espera_us := CASE WHEN primeira THEN date_part('microseconds', travada - chamada)::int END;
        trabalho_us := CASE WHEN primeira THEN date_part('microseconds', clock_timestamp() - travada)::int END;
        primeira := false;
        RETURN NEXT;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION public.InsertTransacoesComChaves(
    p_clientes int[], p_ordinais int[], p_valores bigint[], p_tipos "char"[], p_descricoes text[], p_chaves text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plpgsql SECURITY DEFINER ROWS 16
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n    int := cardinality(p_clientes);
    dono int := p_clientes[1];
BEGIN
    IF (n <= 10000 AND n = cardinality(p_ordinais) AND n = cardinality(p_chaves) AND n = cardinality(p_valores)
        AND n = cardinality(p_tipos) AND n = cardinality(p_descricoes) AND array_position(p_ordinais, NULL) IS NULL
        AND dono = ALL (p_clientes)) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'InsertTransacoesComChaves takes arrays of one length, at most 10000, of one client'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY SELECT * FROM public.chaves_do_cliente(dono, p_ordinais, p_valores, p_tipos, p_descricoes, p_chaves);
END $$;

-- Each shard removes its own, by itself; where a next step goes on is not told.
CREATE OR REPLACE FUNCTION public.ApagaChaves(p_segundos int, p_maximo int, p_desde timestamptz)
RETURNS TABLE(apagadas int, ate timestamptz)
LANGUAGE plpgsql SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (p_segundos >= 60 AND p_maximo BETWEEN 1 AND 10000) IS NOT TRUE THEN
        RAISE EXCEPTION 'ApagaChaves takes 60 seconds or more, and 1 to 10000 keys'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    SELECT max(r.result::int), NULL::timestamptz
    FROM run_command_on_shards('public.chaves', format(
        'WITH removidas AS (
             DELETE FROM %%s WHERE ctid = ANY (ARRAY(
                 SELECT x.ctid FROM %%1$s x WHERE x.criada_em < %L ORDER BY x.criada_em LIMIT %s FOR UPDATE SKIP LOCKED))
             RETURNING 1)
         SELECT count(*) FROM removidas', clock_timestamp() - make_interval(secs => p_segundos), p_maximo)) r;
END $$;

-- What each node says of itself.
ALTER FUNCTION public.EstadoDoBanco() RENAME TO estado_do_servidor;
REVOKE ALL ON FUNCTION public.estado_do_servidor() FROM guiche;
CREATE FUNCTION public.EstadoDoBanco()
RETURNS TABLE(perfil text, tem_clientes boolean, fsync text, synchronous_commit text, full_page_writes text,
              so_leitura boolean, papel_alterado boolean, repartido boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 3
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT e.perfil, e.tem_clientes, e.fsync, e.synchronous_commit, e.full_page_writes, e.so_leitura,
           aqui.papel_alterado, true
    FROM run_command_on_all_nodes('SELECT row_to_json(e) FROM public.estado_do_servidor() e') r,
         json_to_record(r.result::json) AS e(perfil text, tem_clientes boolean, fsync text, synchronous_commit text,
                                             full_page_writes text, so_leitura boolean),
         public.estado_do_servidor() aqui;
END $$;

REVOKE ALL ON FUNCTION
    public.chaves_do_cliente(int, int[], bigint[], "char"[], text[], text[]), public.EstadoDoBanco()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.EstadoDoBanco() TO guiche;

-- Sent to the client's node whole. The last is called by another function, which does not hinder it.
SELECT create_distributed_function(f::regprocedure, 'p_cliente', colocate_with => 'public.clientes')
FROM unnest(ARRAY[
    'public.InsertTransacao(int,bigint,"char",text)',
    'public.InsertTransacoes(int,bigint[],"char"[],text[])',
    'public.GetSaldoClienteById(int)']) f;
SELECT create_distributed_function('public.chaves_do_cliente(int,int[],bigint[],"char"[],text[],text[])',
                                   'p_cliente', colocate_with => 'public.clientes', force_delegation => true);

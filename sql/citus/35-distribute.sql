-- Spreads the clients over the workers of a Citus cluster, each of which takes any call, and is fastest with those of its
-- own clients.
--
-- As the superuser on the coordinator, which knows its workers already; after 30-role.sql, and before 40-clients.sql where
-- those are many; once: it is not in a transaction, because what it makes is used by what it makes next.
--
-- A statement over several shards takes no row locks there, so each names clients of one shard, and a call of several
-- goes from shard to shard: fewer shards are faster (citus.shard_count, 32 unless set), and can be on fewer workers. Each
-- statement is planned anew: a plan that is kept is not only not reused by Citus 13.2, it is kept again by
-- every call (76 kB in a session that applies one transaction), until the session is out of memory.

SET client_min_messages = warning;

SELECT create_distributed_table('public.clientes', 'id');
SELECT create_distributed_table('public.transacoes', 'cliente_id', colocate_with => 'public.clientes');
-- A unique index must say the client by itself. It has an expression, so it does not say which row a copy is of.
DROP INDEX public.chaves_marca;
CREATE UNIQUE INDEX chaves_marca ON public.chaves (public.MarcaDaChave(chave, cliente_id), cliente_id);
ALTER TABLE public.chaves REPLICA IDENTITY FULL;
SELECT create_distributed_table('public.chaves', 'cliente_id', colocate_with => 'public.clientes');

-- As the plain one, but for the rows, which are locked and written shard by shard, always in one order.
CREATE OR REPLACE FUNCTION public.InsertTransacoesEmLote(
    p_clientes int[], p_ordinais int[], p_valores bigint[], p_tipos "char"[], p_descricoes text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plpgsql SECURITY DEFINER ROWS 32
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    chamada    timestamptz := clock_timestamp();
    travada    timestamptz;
    n          int := cardinality(p_clientes);
    um         record;  -- shard
    linhas     record;
    -- one element per locked client
    ids        int[];
    atuais     bigint[];
    limites    bigint[];
    ultimas    bigint[];
    k          int;  -- position in these of the client in hand; NULL if there is no such client
    cliente    int;
    -- one element per transaction
    resultados smallint[];
    saldos     bigint[];
    tetos      bigint[];
    numeros    bigint[];  -- NULL for one that is refused
BEGIN
    IF (n <= 10000 AND n = cardinality(p_ordinais) AND n = cardinality(p_valores)
        AND n = cardinality(p_tipos) AND n = cardinality(p_descricoes)
        AND array_position(p_clientes, NULL) IS NULL AND array_position(p_ordinais, NULL) IS NULL
        AND array_position(p_valores, NULL) IS NULL AND array_position(p_tipos, NULL) IS NULL
        AND array_position(p_descricoes, NULL) IS NULL) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'InsertTransacoesEmLote takes arrays of one length, at most 10000, without NULL'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    FOR um IN
        SELECT get_shard_id_for_distribution_column('public.clientes', c.id) AS id, array_agg(c.id) AS clientes
        FROM (SELECT DISTINCT x AS id FROM unnest(p_clientes) x) c GROUP BY 1 ORDER BY 1
    LOOP
        -- A SELECT does not hold a move up as this does (5: ShareLock): the UPDATE could find the rows elsewhere, changed
        -- since.
        PERFORM lock_shard_metadata(5, ARRAY[um.id]);
        SELECT array_agg(c.id) AS ids, array_agg(c.saldo) AS saldos, array_agg(c.limite) AS limites,
               array_agg(c.ultima) AS ultimas
        INTO linhas
        FROM (SELECT x.id, x.saldo, x.limite, x.ultima FROM public.clientes x WHERE x.id = ANY (um.clientes)
              ORDER BY x.id FOR NO KEY UPDATE) c;
        ids := ids || linhas.ids;
        atuais := atuais || linhas.saldos;
        limites := limites || linhas.limites;
        ultimas := ultimas || linhas.ultimas;
    END LOOP;
    travada := clock_timestamp();

    FOR i IN 1 .. n LOOP
        IF p_clientes[i] IS DISTINCT FROM cliente THEN
            cliente := p_clientes[i];
            k := array_position(ids, cliente);
            saldo := atuais[k];
            limite := limites[k];
        END IF;
        resultado := public.resultado_da_transacao(saldo, limite, p_valores[i], p_tipos[i]);
        IF resultado = 0 THEN
            saldo := saldo + public.movimento(p_valores[i], p_tipos[i]);
            atuais[k] := saldo;
            ultimas[k] := ultimas[k] + 1;
            numeros[i] := ultimas[k];
        END IF;
        resultados[i] := resultado;
        saldos[i] := saldo;
        tetos[i] := limite;
    END LOOP;

    IF numeros IS NOT NULL THEN
        FOR um IN
            SELECT array_agg(x.id) AS ids, array_agg(atuais[x.m]) AS saldos, array_agg(ultimas[x.m]) AS ultimas
            FROM unnest(ids) WITH ORDINALITY AS x(id, m)
            GROUP BY get_shard_id_for_distribution_column('public.clientes', x.id)
        LOOP
            UPDATE public.clientes c SET saldo = u.saldo, ultima = u.ultima
            FROM (SELECT * FROM unnest(um.ids, um.saldos, um.ultimas) AS x(id, saldo, ultima)) u
            WHERE c.id = u.id AND c.ultima <> u.ultima AND c.id = ANY (um.ids);
        END LOOP;
        INSERT INTO public.transacoes (cliente_id, id, valor, tipo, descricao, realizada_em)
        SELECT p_clientes[i], numeros[i], p_valores[i], p_tipos[i], p_descricoes[i], travada
        FROM generate_subscripts(numeros, 1) AS i WHERE numeros[i] IS NOT NULL;
    END IF;

    espera_us := date_part('microseconds', travada - chamada)::int;
    trabalho_us := date_part('microseconds', clock_timestamp() - travada)::int;
    FOR i IN 1 .. n LOOP
        ordinal := p_ordinais[i];
        resultado := resultados[i];
        saldo := saldos[i];
        limite := tetos[i];
        RETURN NEXT;
        espera_us := NULL;
        trabalho_us := NULL;
    END LOOP;
END $$;

-- A run, as a batch.
CREATE OR REPLACE FUNCTION public.InsertTransacoes(
    p_cliente int, p_valores bigint[], p_tipos "char"[], p_descricoes text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plpgsql SECURITY DEFINER ROWS 16
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n int := cardinality(p_valores);
BEGIN
    RETURN QUERY
    SELECT * FROM public.InsertTransacoesEmLote(
        array_fill(p_cliente, ARRAY[n]), ARRAY(SELECT generate_series(1, n)), p_valores, p_tipos, p_descricoes);
END $$;

-- The run of one client, `ordinal` being its position. Which keys are repetitions is asked first: what a unique index
-- undoes in the plain one, it undoes on another server here.
CREATE FUNCTION public.chaves_do_cliente(
    p_cliente int, p_valores bigint[], p_tipos "char"[], p_descricoes text[], p_chaves text[])
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
    PERFORM lock_shard_metadata(5, ARRAY[get_shard_id_for_distribution_column('public.clientes', p_cliente)]);
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
            ordinal := novas[nova.ordinal];
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
        ordinal := i;
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
LANGUAGE plpgsql SECURITY DEFINER ROWS 32
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n          int := cardinality(p_clientes);
    corrida    record;
    uma        record;
    ordinais   int[];
    resultados smallint[];
    saldos     bigint[];
    limites    bigint[];
    k          int := 0;
    espera     int := 0;
    trabalho   int := 0;
BEGIN
    IF (n <= 10000 AND n = cardinality(p_ordinais) AND n = cardinality(p_valores)
        AND n = cardinality(p_tipos) AND n = cardinality(p_descricoes) AND n = cardinality(p_chaves)
        AND array_position(p_clientes, NULL) IS NULL AND array_position(p_ordinais, NULL) IS NULL
        AND array_position(p_valores, NULL) IS NULL AND array_position(p_tipos, NULL) IS NULL
        AND array_position(p_descricoes, NULL) IS NULL) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'InsertTransacoesComChaves takes arrays of one length, at most 10000, without NULL but for keys'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR corrida IN
        SELECT p_clientes[i] AS cliente, array_agg(i ORDER BY i) AS posicoes, array_agg(p_valores[i] ORDER BY i) AS valores,
               array_agg(p_tipos[i] ORDER BY i) AS tipos, array_agg(p_descricoes[i] ORDER BY i) AS descricoes,
               array_agg(p_chaves[i] ORDER BY i) AS chaves
        FROM generate_subscripts(p_clientes, 1) AS i GROUP BY p_clientes[i]
        ORDER BY get_shard_id_for_distribution_column('public.clientes', p_clientes[i]), p_clientes[i]
    LOOP
        FOR uma IN
            SELECT * FROM public.chaves_do_cliente(
                corrida.cliente, corrida.valores, corrida.tipos, corrida.descricoes, corrida.chaves)
        LOOP
            k := k + 1;
            ordinais[k] := p_ordinais[corrida.posicoes[uma.ordinal]];
            resultados[k] := uma.resultado;
            saldos[k] := uma.saldo;
            limites[k] := uma.limite;
            espera := espera + coalesce(uma.espera_us, 0);
            trabalho := trabalho + coalesce(uma.trabalho_us, 0);
        END LOOP;
    END LOOP;
    RETURN QUERY
    SELECT u.ordinal, u.resultado, u.saldo, u.limite,
           CASE WHEN u.i = 1 THEN espera END, CASE WHEN u.i = 1 THEN trabalho END
    FROM unnest(ordinais, resultados, saldos, limites) WITH ORDINALITY AS u(ordinal, resultado, saldo, limite, i);
END $$;

-- Whom a call waited for is not told: rows of several shards do not say it.
CREATE OR REPLACE FUNCTION public.InsertTransacoesObservadas(
    p_clientes int[], p_ordinais int[], p_valores bigint[], p_tipos "char"[], p_descricoes text[], p_chaves text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int,
              travas bigint[])
LANGUAGE plpgsql SECURITY DEFINER ROWS 32
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_chaves IS NULL THEN
        RETURN QUERY
        SELECT f.*, '{}'::bigint[]
        FROM public.InsertTransacoesEmLote(p_clientes, p_ordinais, p_valores, p_tipos, p_descricoes) f;
    ELSE
        RETURN QUERY
        SELECT f.*, '{}'::bigint[]
        FROM public.InsertTransacoesComChaves(
            p_clientes, p_ordinais, p_valores, p_tipos, p_descricoes, p_chaves) f;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION public.GetSaldosDeClientes(p_clientes int[])
RETURNS TABLE(ordinal int, saldo bigint, limite bigint, data_extrato timestamptz,
              valores bigint[], tipos "char"[], descricoes text[], realizadas_em timestamptz[])
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cliente int;
    posicao int := 0;
BEGIN
    IF cardinality(p_clientes) > 10000 THEN
        RAISE EXCEPTION 'GetSaldosDeClientes takes at most 10000' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH cliente IN ARRAY p_clientes LOOP
        posicao := posicao + 1;
        RETURN QUERY SELECT posicao, s.* FROM public.GetSaldoClienteById(cliente) s;
    END LOOP;
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

-- Where the workers are, as they know each other, and which shards each has: the least hash of each.
CREATE OR REPLACE FUNCTION public.Servidores()
RETURNS TABLE(servidor int, de int, endereco text, desde int[])
LANGUAGE sql STABLE SECURITY DEFINER ROWS 4
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT row_number() OVER (ORDER BY n.groupid)::int - 1, count(*) OVER ()::int,
           format('host=%s port=%s dbname=%s', n.nodename, n.nodeport, current_database()), f.desde
    FROM pg_dist_node n
    JOIN (SELECT p.groupid, array_agg(s.shardminvalue::int ORDER BY s.shardminvalue::int) AS desde
          FROM pg_dist_shard s JOIN pg_dist_placement p ON p.shardid = s.shardid
          WHERE s.logicalrelid = 'public.clientes'::regclass GROUP BY p.groupid) f ON f.groupid = n.groupid
    WHERE n.noderole = 'primary'
$$;

REVOKE ALL ON FUNCTION
    public.chaves_do_cliente(int, bigint[], "char"[], text[], text[]), public.EstadoDoBanco()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.EstadoDoBanco() TO guiche;

-- Sent to the client's node whole where they are called through another one. The last is called by another function,
-- which does not hinder it.
SELECT create_distributed_function(f::regprocedure, 'p_cliente', colocate_with => 'public.clientes')
FROM unnest(ARRAY[
    'public.InsertTransacao(int,bigint,"char",text)',
    'public.InsertTransacoes(int,bigint[],"char"[],text[])',
    'public.GetSaldoClienteById(int)']) f;
SELECT create_distributed_function('public.chaves_do_cliente(int,bigint[],"char"[],text[],text[])',
                                   'p_cliente', colocate_with => 'public.clientes', force_delegation => true);

ALTER FUNCTION public.InsertTransacao(int, bigint, "char", text) SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION public.InsertTransacoesEmLote(int[], int[], bigint[], "char"[], text[])
    SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION public.chaves_do_cliente(int, bigint[], "char"[], text[], text[])
    SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION public.GetSaldoClienteById(int) SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION public.ClientesPresos(int[]) SET plan_cache_mode = force_custom_plan;

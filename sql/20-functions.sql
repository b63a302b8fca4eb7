-- The stored functions: the API's only way to the tables.
--
-- After 10-tables.sql. May be run again, and 30-role.sql after it: it replaces the functions and changes no data. Every
-- name is folded to lower case by SQL, so InsertTransacao is pg_proc's inserttransacao.
--
-- What the three writing functions share, and that of 25-keys.sql
--
--   * Outcome of each element (`resultado`): 0 applied, 1 the credit limit would be exceeded, 2 the
--     balance would overflow a bigint, 3 no such client. An outcome never fails the other elements.
--     `saldo` is the balance after the element, unchanged if it was refused; NULL with `limite` for 3.
--   * Rows of `clientes` are locked in id order, so that two calls never deadlock. Only then are
--     ids given (1, 2, …, counted in the client's row) and `realizada_em` read from the clock: per
--     client, ids and times rise together, in the order of the locks, whichever instance wrote.
--   * Elements of a client apply in the order in which they stand in the arrays.
--   * One call is one statement and, outside a transaction block, one commit.
--   * `espera_us`: µs until the rows were locked; `trabalho_us`: µs from then to the end of the
--     function (the commit comes after it). Both are per call, and in its first row only. They are
--     read as an interval's microseconds, which float8's date_part() gives: since PostgreSQL 14
--     extract() is numeric and slower. A wait is cut by statement_timeout (5 s) long before the
--     minute at which that field would wrap.
--   * NULLs, arrays of unequal length and more than 10,000 elements (the most that BATCH_MAX may be) are
--     refused with SQLSTATE 22023 before anything is locked.
--   * An element is read by its subscript wherever it is read: in arrays that do not begin at 1 (which
--     only somebody who has stolen the role sends) position and subscript are different elements, and
--     what is judged must be what is written.
--   * They run as their owner (SECURITY DEFINER) with a search_path of pg_catalog alone, and name
--     `public` themselves. That setting costs 2 to 4 µs per call on PostgreSQL 15, about 1 on 18,
--     and is worth it.
--
-- What makes them fast: a call is a transaction of its own, and PL/pgSQL prepares each expression
-- anew in each transaction, about 0.2 µs per operator in it. An SQL statement more costs 10 to 20 µs.
-- Hence few statements and few expressions outside of the loops, and no cleverness inside them.
-- Plans are generic by what an instance's connections start with (src/ledger/pinned.rs): planning anew would
-- cost 30 to 60 µs a call.

BEGIN;

-- The rule. These two are inlined into the callers' expressions (SQL, one expression, IMMUTABLE,
-- neither STRICT nor SECURITY DEFINER, no SET): nothing is called when they are used.

-- What becomes of a transaction of `valor` > 0 on a balance: `resultado` as above; a NULL balance
-- means that there is no such client. The comparisons cannot overflow, because 0 < valor,
-- 0 <= limite and -limite <= saldo. Exactly -limite is allowed.
CREATE OR REPLACE FUNCTION resultado_da_transacao(saldo bigint, limite bigint, valor bigint, tipo "char")
RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN saldo IS NULL THEN 3::smallint
        WHEN tipo = 'd' THEN CASE WHEN saldo >= valor - limite THEN 0::smallint ELSE 1::smallint END
        ELSE CASE WHEN saldo <= 9223372036854775807 - valor THEN 0::smallint ELSE 2::smallint END
    END
$$;

-- What an applied transaction adds to the balance.
CREATE OR REPLACE FUNCTION movimento(valor bigint, tipo "char")
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN tipo = 'd' THEN -valor ELSE valor END
$$;

-- One transaction, the cheap path. The UPDATE takes the row lock, judges the row that it then
-- holds (READ COMMITTED evaluates WHERE again on the newest version) and changes it, so an applied
-- transaction is two statements. A refused one writes nothing and needs no lock, no transaction
-- id and no flush: the balance that it reads afterwards is what it is judged by. Should that
-- balance allow it after all (another session paid in between the two statements), it tries again.
CREATE OR REPLACE FUNCTION InsertTransacao(p_cliente int, p_valor bigint, p_tipo "char", p_descricao text)
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plpgsql SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    chamada timestamptz := clock_timestamp();
    travada timestamptz;
    numero  bigint;
BEGIN
    IF p_cliente IS NULL OR p_valor IS NULL OR p_tipo IS NULL OR p_descricao IS NULL THEN
        RAISE EXCEPTION 'InsertTransacao takes no NULL' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    LOOP
        UPDATE public.clientes c SET saldo = c.saldo + public.movimento(p_valor, p_tipo), ultima = c.ultima + 1
        WHERE c.id = p_cliente AND public.resultado_da_transacao(c.saldo, c.limite, p_valor, p_tipo) = 0
        RETURNING 1, 0::smallint, c.saldo, c.limite, c.ultima INTO ordinal, resultado, saldo, limite, numero;
        travada := clock_timestamp();
        IF resultado = 0 THEN
            INSERT INTO public.transacoes (cliente_id, id, valor, tipo, descricao, realizada_em)
            VALUES (p_cliente, numero, p_valor, p_tipo, p_descricao, travada);
            EXIT;
        END IF;
        SELECT c.saldo, c.limite INTO saldo, limite FROM public.clientes c WHERE c.id = p_cliente;
        ordinal := 1;
        resultado := public.resultado_da_transacao(saldo, limite, p_valor, p_tipo);
        EXIT WHEN resultado <> 0;
    END LOOP;
    espera_us := date_part('microseconds', travada - chamada)::int;
    trabalho_us := date_part('microseconds', clock_timestamp() - travada)::int;
    RETURN NEXT;
END $$;

-- A run: transactions of one client. `ordinal` is the position in the arrays, from 1.
CREATE OR REPLACE FUNCTION InsertTransacoes(
    p_cliente int, p_valores bigint[], p_tipos "char"[], p_descricoes text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plpgsql SECURITY DEFINER ROWS 16
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    chamada    timestamptz := clock_timestamp();
    travada    timestamptz;
    n          int := cardinality(p_valores);
    numero     bigint;  -- of the newest transaction
    -- one element per transaction
    resultados smallint[];
    saldos     bigint[];
    numeros    bigint[];  -- NULL for one that is refused
BEGIN
    IF (n <= 10000 AND n = cardinality(p_tipos) AND n = cardinality(p_descricoes)
        AND p_cliente IS NOT NULL AND array_position(p_valores, NULL) IS NULL
        AND array_position(p_tipos, NULL) IS NULL AND array_position(p_descricoes, NULL) IS NULL) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'InsertTransacoes takes arrays of one length, at most 10000, without NULL'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    SELECT c.saldo, c.limite, c.ultima INTO saldo, limite, numero
    FROM public.clientes c WHERE c.id = p_cliente FOR NO KEY UPDATE;
    travada := clock_timestamp();

    FOR i IN 1 .. n LOOP
        resultado := public.resultado_da_transacao(saldo, limite, p_valores[i], p_tipos[i]);
        IF resultado = 0 THEN
            saldo := saldo + public.movimento(p_valores[i], p_tipos[i]);
            numero := numero + 1;
            numeros[i] := numero;
        END IF;
        resultados[i] := resultado;
        saldos[i] := saldo;
    END LOOP;

    IF numeros IS NOT NULL THEN
        UPDATE public.clientes c SET saldo = InsertTransacoes.saldo, ultima = numero WHERE c.id = p_cliente;
        INSERT INTO public.transacoes (cliente_id, id, valor, tipo, descricao, realizada_em)
        SELECT p_cliente, numeros[i], p_valores[i], p_tipos[i], p_descricoes[i], travada
        FROM generate_subscripts(numeros, 1) AS i WHERE numeros[i] IS NOT NULL;
    END IF;

    espera_us := date_part('microseconds', travada - chamada)::int;
    trabalho_us := date_part('microseconds', clock_timestamp() - travada)::int;
    FOR i IN 1 .. n LOOP
        ordinal := i;
        resultado := resultados[i];
        saldo := saldos[i];
        RETURN NEXT;
        espera_us := NULL;
        trabalho_us := NULL;
    END LOOP;
END $$;

-- A batch: runs of several clients, element by element in parallel arrays. `p_ordinais` are the
-- caller's numbers for the elements, any at all, and come back as `ordinal`. Right in any order of
-- elements, fastest when those of a client stand together: each change of client costs a look-up.
CREATE OR REPLACE FUNCTION InsertTransacoesEmLote(
    p_clientes int[], p_ordinais int[], p_valores bigint[], p_tipos "char"[], p_descricoes text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plpgsql SECURITY DEFINER ROWS 32
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    chamada    timestamptz := clock_timestamp();
    travada    timestamptz;
    n          int := cardinality(p_clientes);
    -- one element per locked client, in id order
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

    -- The ORDER BY of a locking query is below its locks: rows are sorted, then locked one by one.
    SELECT array_agg(c.id), array_agg(c.saldo), array_agg(c.limite), array_agg(c.ultima)
    INTO ids, atuais, limites, ultimas
    FROM (SELECT x.id, x.saldo, x.limite, x.ultima FROM public.clientes x WHERE x.id = ANY (p_clientes)
          ORDER BY x.id FOR NO KEY UPDATE) c;
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
        UPDATE public.clientes c SET saldo = u.saldo, ultima = u.ultima
        FROM (SELECT x.id, atuais[x.k] AS saldo, ultimas[x.k] AS ultima
              FROM unnest(ids) WITH ORDINALITY AS x(id, k)) u
        WHERE c.id = u.id AND c.ultima <> u.ultima;
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

-- The bank statement: balance, limit and the last ten transactions, newest first, of one snapshot, because it is one
-- query. A row for a client, with arrays that are NULL where there are no transactions; none for an unknown client.
-- `data_extrato` is read after the snapshot was taken, once.
SET LOCAL client_min_messages = warning;
DROP FUNCTION IF EXISTS GetSaldoClienteById(int), GetSaldosDeClientes(int[]);  -- other columns are another function
CREATE FUNCTION GetSaldoClienteById(p_cliente int)
RETURNS TABLE(saldo bigint, limite bigint, data_extrato timestamptz,
              valores bigint[], tipos "char"[], descricoes text[], realizadas_em timestamptz[])
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT c.saldo, c.limite, clock_timestamp(), t.valores, t.tipos, t.descricoes, t.realizadas_em
    FROM public.clientes c
    CROSS JOIN (
        SELECT array_agg(u.valor::bigint) AS valores, array_agg(u.tipo::"char") AS tipos,
               array_agg(u.descricao::text) AS descricoes, array_agg(u.realizada_em) AS realizadas_em
        FROM (SELECT x.valor, x.tipo, x.descricao, x.realizada_em
              FROM public.transacoes x WHERE x.cliente_id = p_cliente ORDER BY x.id DESC LIMIT 10) u) t
    WHERE c.id = p_cliente;
END $$;

-- The statements of several clients, each as above, all of the one snapshot, in any order: `ordinal` is the client's
-- position. Without OFFSET 0 the planner may join first.
CREATE FUNCTION GetSaldosDeClientes(p_clientes int[])
RETURNS TABLE(ordinal int, saldo bigint, limite bigint, data_extrato timestamptz,
              valores bigint[], tipos "char"[], descricoes text[], realizadas_em timestamptz[])
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF cardinality(p_clientes) > 10000 THEN
        RAISE EXCEPTION 'GetSaldosDeClientes takes at most 10000' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    SELECT p.ordinal::int, c.saldo, c.limite, clock_timestamp(), t.valores, t.tipos, t.descricoes, t.realizadas_em
    FROM unnest(p_clientes) WITH ORDINALITY p(cliente, ordinal)
    CROSS JOIN LATERAL (SELECT x.id, x.saldo, x.limite FROM public.clientes x WHERE x.id = p.cliente OFFSET 0) c
    CROSS JOIN LATERAL (
        SELECT array_agg(u.valor::bigint) AS valores, array_agg(u.tipo::"char") AS tipos,
               array_agg(u.descricao::text) AS descricoes, array_agg(u.realizada_em) AS realizadas_em
        FROM (SELECT x.valor, x.tipo, x.descricao, x.realizada_em
              FROM public.transacoes x WHERE x.cliente_id = c.id ORDER BY x.id DESC LIMIT 10) u) t;
END $$;

-- What an instance asks at its start and /readyz now and then: which profile the tables have,
-- whether there are clients (UNLOGGED tables are empty after a crash), what the server promises, whether it
-- takes writes, and whether the caller's role has settings of its own: nobody gives it any, but it can itself.
-- Where the bank is on several servers (`repartido`), there is a row for each.
DROP FUNCTION IF EXISTS EstadoDoBanco();  -- other columns are another function
CREATE FUNCTION EstadoDoBanco()
RETURNS TABLE(perfil text, tem_clientes boolean, fsync text, synchronous_commit text, full_page_writes text,
              so_leitura boolean, papel_alterado boolean, repartido boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ha_clientes boolean := EXISTS (SELECT 1 FROM public.clientes);
BEGIN
    RETURN QUERY
    SELECT CASE WHEN bool_and(r.relpersistence = 'p') THEN 'durable' ELSE 'contest' END,
           ha_clientes,
           current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes'),
           current_setting('transaction_read_only')::boolean,
           EXISTS (SELECT FROM pg_db_role_setting s
                   WHERE s.setrole = to_regrole(quote_ident(session_user))
                       AND (s.setdatabase = 0
                            OR s.setdatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))),
           false
    FROM pg_class r
    WHERE r.oid IN ('public.clientes'::regclass, 'public.transacoes'::regclass, 'public.chaves'::regclass);
END $$;

-- Of a server that is one of several, which one (`servidor`, from 0) of how many: what its database was told with
-- ALTER DATABASE … SET guiche.parte = '0/2', which no session can say otherwise. No row where it was told nothing. The
-- server in front of them has a row for each, with its address (plproxy/20-functions.sql). `desde`: from which hashes of
-- ids on it has the clients, where not id modulo `de` says who has which (citus/35-distribute.sql).
DROP FUNCTION IF EXISTS Servidores();  -- as above
CREATE FUNCTION Servidores()
RETURNS TABLE(servidor int, de int, endereco text, desde int[])
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT split_part(v.valor, '/', 1)::int, split_part(v.valor, '/', 2)::int, NULL::text, NULL::int[]
    FROM pg_db_role_setting s
    CROSS JOIN LATERAL unnest(s.setconfig) AS c(texto)
    CROSS JOIN LATERAL split_part(c.texto, '=', 2) AS v(valor)
    WHERE s.setrole = 0 AND split_part(c.texto, '=', 1) = 'guiche.parte'
        AND s.setdatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
$$;

-- Asked once a call has waited in vain: whose rows are held by somebody else. Calls of the service hold
-- rows too, while they commit, but each ends by itself; where nobody else has anything locked, none is held. What
-- lives for longer than a statement may take is none of its calls, whoever's session it is.
CREATE OR REPLACE FUNCTION ClientesPresos(p_clientes int[])
RETURNS TABLE(cliente_id int)
LANGUAGE plpgsql SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF cardinality(p_clientes) > 10000 THEN
        RAISE EXCEPTION 'ClientesPresos takes at most 10000' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM pg_stat_activity a
               WHERE a.datname = current_database() AND a.backend_xid IS NOT NULL AND a.pid <> pg_backend_pid()
                   AND (a.usename <> session_user OR a.state LIKE 'idle in transaction%'
                        OR a.xact_start < clock_timestamp() - current_setting('statement_timeout')::interval))
        OR EXISTS (SELECT FROM pg_prepared_xacts x WHERE x.database = current_database())
    THEN
        FOREACH cliente_id IN ARRAY p_clientes LOOP
            PERFORM FROM public.clientes c WHERE c.id = cliente_id FOR NO KEY UPDATE SKIP LOCKED;
            IF NOT FOUND AND EXISTS (SELECT FROM public.clientes c WHERE c.id = cliente_id) THEN
                RETURN NEXT;
            END IF;
        END LOOP;
    END IF;
END $$;

-- A new function may be executed by everybody until this is taken away; 30-role.sql gives it to one.
REVOKE ALL ON FUNCTION
    resultado_da_transacao(bigint, bigint, bigint, "char"),
    movimento(bigint, "char"),
    InsertTransacao(int, bigint, "char", text),
    InsertTransacoes(int, bigint[], "char"[], text[]),
    InsertTransacoesEmLote(int[], int[], bigint[], "char"[], text[]),
    GetSaldoClienteById(int),
    GetSaldosDeClientes(int[]),
    ClientesPresos(int[]),
    EstadoDoBanco(),
    Servidores()
FROM PUBLIC;

COMMIT;

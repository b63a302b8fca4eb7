-- The stored functions: the only way to the tables for the API.
-- May be run again (CREATE OR REPLACE), after 10-tables.sql.

BEGIN;

CREATE OR REPLACE FUNCTION resultado_da_transacao(saldo bigint, limite bigint, valor bigint, tipo "char")
RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN tipo = 'd' THEN CASE WHEN saldo >= valor - limite THEN 0::smallint ELSE 1::smallint END
        ELSE CASE WHEN saldo <= 9223372036854775807 - valor THEN 0::smallint ELSE 2::smallint END
    END
$$;

CREATE OR REPLACE FUNCTION InsertTransacao(p_cliente int, p_valor bigint, p_tipo "char", p_descricao text)
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plpgsql SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    chamada timestamptz := clock_timestamp();
    travada timestamptz;
BEGIN
    IF p_cliente IS NULL OR p_valor IS NULL OR p_tipo IS NULL OR p_descricao IS NULL THEN
        RAISE EXCEPTION 'InsertTransacao takes no NULL' USING ERRCODE = '22023';
    END IF;
    ordinal := 1;
    SELECT c.saldo, c.limite INTO saldo, limite FROM clientes c WHERE c.id = p_cliente FOR NO KEY UPDATE;
    travada := clock_timestamp();
    IF saldo IS NULL THEN
        resultado := 3;
    ELSE
        resultado := resultado_da_transacao(saldo, limite, p_valor, p_tipo);
        IF resultado = 0 THEN
            saldo := CASE WHEN p_tipo = 'd' THEN saldo - p_valor ELSE saldo + p_valor END;
            UPDATE clientes c SET saldo = InsertTransacao.saldo WHERE c.id = p_cliente;
            INSERT INTO transacoes (cliente_id, valor, tipo, descricao, realizada_em)
            VALUES (p_cliente, p_valor, p_tipo, p_descricao, travada);
        END IF;
    END IF;
    espera_us := date_part('epoch', travada - chamada) * 1e6;
    trabalho_us := date_part('epoch', clock_timestamp() - travada) * 1e6;
    RETURN NEXT;
END $$;

CREATE OR REPLACE FUNCTION InsertTransacoesEmLote(
    p_clientes int[], p_ordinais int[], p_valores bigint[], p_tipos "char"[], p_descricoes text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    chamada    timestamptz := clock_timestamp();
    travada    timestamptz;
    n          int := cardinality(p_clientes);
    ids        int[];
    saldos     bigint[];
    limites    bigint[];
    resultados smallint[];
    depois     bigint[];
    k          int;
BEGIN
    IF n IS NULL OR cardinality(p_ordinais) IS DISTINCT FROM n OR cardinality(p_valores) IS DISTINCT FROM n
       OR cardinality(p_tipos) IS DISTINCT FROM n OR cardinality(p_descricoes) IS DISTINCT FROM n THEN
        RAISE EXCEPTION 'the arrays must not be NULL and must have one length' USING ERRCODE = '22023';
    END IF;
    IF array_position(p_clientes, NULL) IS NOT NULL OR array_position(p_ordinais, NULL) IS NOT NULL
       OR array_position(p_valores, NULL) IS NOT NULL OR array_position(p_tipos, NULL) IS NOT NULL
       OR array_position(p_descricoes, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'the arrays must not contain NULL' USING ERRCODE = '22023';
    END IF;
    SELECT array_agg(c.id), array_agg(c.saldo), array_agg(c.limite) INTO ids, saldos, limites
    FROM (SELECT * FROM clientes WHERE id = ANY (p_clientes) ORDER BY id FOR NO KEY UPDATE) c;
    travada := clock_timestamp();
    FOR i IN 1 .. n LOOP
        k := array_position(ids, p_clientes[i]);
        IF k IS NULL THEN
            resultados[i] := 3;
            depois[i] := NULL;
        ELSE
            resultado := resultado_da_transacao(saldos[k], limites[k], p_valores[i], p_tipos[i]);
            IF resultado = 0 THEN
                saldos[k] := CASE WHEN p_tipos[i] = 'd' THEN saldos[k] - p_valores[i] ELSE saldos[k] + p_valores[i] END;
            END IF;
            resultados[i] := resultado;
            depois[i] := saldos[k];
        END IF;
    END LOOP;
    IF 0 = ANY (resultados) THEN
        UPDATE clientes c SET saldo = u.saldo FROM unnest(ids, saldos) AS u(id, saldo)
        WHERE c.id = u.id AND c.saldo <> u.saldo;
        INSERT INTO transacoes (cliente_id, valor, tipo, descricao, realizada_em)
        SELECT e.cliente, e.valor, e.tipo, e.descricao, travada
        FROM unnest(p_clientes, p_valores, p_tipos, p_descricoes, resultados)
             WITH ORDINALITY AS e(cliente, valor, tipo, descricao, resultado, posicao)
        WHERE e.resultado = 0 ORDER BY e.posicao;
    END IF;
    espera_us := date_part('epoch', travada - chamada) * 1e6;
    trabalho_us := date_part('epoch', clock_timestamp() - travada) * 1e6;
    FOR i IN 1 .. n LOOP
        ordinal := p_ordinais[i];
        resultado := resultados[i];
        saldo := depois[i];
        limite := limites[array_position(ids, p_clientes[i])];
        RETURN NEXT;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION InsertTransacoes(
    p_cliente int, p_valores bigint[], p_tipos "char"[], p_descricoes text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM InsertTransacoesEmLote(
        array_fill(p_cliente, ARRAY[cardinality(p_valores)]),
        ARRAY(SELECT generate_series(1, cardinality(p_valores))), p_valores, p_tipos, p_descricoes);
END $$;

CREATE OR REPLACE FUNCTION GetSaldoClienteById(p_cliente int)
RETURNS TABLE(saldo bigint, limite bigint, data_extrato timestamptz,
              valor bigint, tipo "char", descricao text, realizada_em timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT c.saldo, c.limite, c.agora, t.valor, t.tipo, t.descricao, t.realizada_em
    FROM (SELECT id, clientes.saldo, clientes.limite, clock_timestamp() AS agora
          FROM clientes WHERE id = p_cliente) c
    LEFT JOIN LATERAL (
        SELECT x.id, x.valor, x.tipo, x.descricao, x.realizada_em
        FROM transacoes x WHERE x.cliente_id = c.id ORDER BY x.id DESC LIMIT 10) t ON true
    ORDER BY t.id DESC;
END $$;

CREATE OR REPLACE FUNCTION EstadoDoBanco()
RETURNS TABLE(perfil text, tem_clientes boolean, fsync text, synchronous_commit text, full_page_writes text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT CASE WHEN bool_and(r.relpersistence = 'p') THEN 'durable' ELSE 'contest' END,
           EXISTS (SELECT FROM clientes),
           current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes')
    FROM pg_class r WHERE r.oid IN ('clientes'::regclass, 'transacoes'::regclass);
END $$;

REVOKE ALL ON FUNCTION
    resultado_da_transacao(bigint, bigint, bigint, "char"),
    InsertTransacao(int, bigint, "char", text),
    InsertTransacoes(int, bigint[], "char"[], text[]),
    InsertTransacoesEmLote(int[], int[], bigint[], "char"[], text[]),
    GetSaldoClienteById(int),
    EstadoDoBanco()
FROM PUBLIC;

COMMIT;

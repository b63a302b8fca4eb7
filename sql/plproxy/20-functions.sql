-- The stored functions in front of several servers, each a bank of its own with the files of sql/ in it (a power of
-- two of them). A client is on one: PL/Proxy sends each call there, where it is one statement and one commit.
--
-- As the superuser, in a database that has nothing else, and ../30-role.sql after it. Before the first call somebody
-- says where the servers are. The options are what an instance's own sessions start with (src/ledger/pinned.rs); a
-- wait for a row ends before its statement does:
--
--   CREATE SERVER rinha FOREIGN DATA WRAPPER plproxy OPTIONS (
--       p0 'host=… dbname=rinha options=''-c plan_cache_mode=force_generic_plan … -c lock_timeout=2250 …''', p1 '…');
--   CREATE USER MAPPING FOR PUBLIC SERVER rinha OPTIONS (user 'guiche', password '…');
--   CREATE USER MAPPING FOR postgres SERVER rinha OPTIONS (user 'postgres', password '…');
--   GRANT USAGE ON FOREIGN SERVER rinha TO guiche;
--
-- Each server is told which it is, so that an instance that calls it directly is refused where it looks for other
-- clients than these:
--
--   ALTER DATABASE rinha SET guiche.parte = '0/2';   -- on p0 of two; and '1/2' on p1
--
-- Before clients move it is told otherwise, and the sessions that were there are ended:
--
--   SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guiche';
--
-- The servers must ask the front for passwords: whoever has stolen the role can have its calls go there as another user
-- (CREATE USER MAPPING), though with none but these functions.
--
-- There is no SPLIT: each server would commit its part by itself, so an ERROR would no longer mean that nothing was
-- applied. Hence a call takes one client's transactions, and EstadoDoBanco says so (`repartido`). Whoever can reach the
-- servers is told where they are (Servidores), and has a call for each.

BEGIN;

CREATE EXTENSION IF NOT EXISTS plproxy;

-- What decides where a call goes, of which PL/Proxy takes the lowest bits: the client, of whom there must be one alone.
CREATE FUNCTION dono_da_chamada(p_clientes int[])
RETURNS int
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF (p_clientes[1] = ALL (p_clientes)) IS NOT TRUE THEN
        RAISE EXCEPTION 'a call takes one client: the bank is on several servers'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN coalesce(p_clientes[1], 0);
END $$;

CREATE FUNCTION InsertTransacao(p_cliente int, p_valor bigint, p_tipo "char", p_descricao text)
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plproxy AS $$ CLUSTER 'rinha'; RUN ON p_cliente; $$;

CREATE FUNCTION InsertTransacoes(p_cliente int, p_valores bigint[], p_tipos "char"[], p_descricoes text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plproxy AS $$ CLUSTER 'rinha'; RUN ON p_cliente; $$;

CREATE FUNCTION InsertTransacoesEmLote(
    p_clientes int[], p_ordinais int[], p_valores bigint[], p_tipos "char"[], p_descricoes text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plproxy AS $$ CLUSTER 'rinha'; RUN ON public.dono_da_chamada(p_clientes); $$;

CREATE FUNCTION InsertTransacoesComChaves(
    p_clientes int[], p_ordinais int[], p_valores bigint[], p_tipos "char"[], p_descricoes text[], p_chaves text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int)
LANGUAGE plproxy AS $$ CLUSTER 'rinha'; RUN ON public.dono_da_chamada(p_clientes); $$;

CREATE FUNCTION InsertTransacoesObservadas(
    p_clientes int[], p_ordinais int[], p_valores bigint[], p_tipos "char"[], p_descricoes text[], p_chaves text[])
RETURNS TABLE(ordinal int, resultado smallint, saldo bigint, limite bigint, espera_us int, trabalho_us int,
              travas bigint[])
LANGUAGE plproxy AS $$ CLUSTER 'rinha'; RUN ON public.dono_da_chamada(p_clientes); $$;

CREATE FUNCTION GetSaldoClienteById(p_cliente int)
RETURNS TABLE(saldo bigint, limite bigint, data_extrato timestamptz,
              valores bigint[], tipos "char"[], descricoes text[], realizadas_em timestamptz[])
LANGUAGE plproxy AS $$ CLUSTER 'rinha'; RUN ON p_cliente; $$;

CREATE FUNCTION GetSaldosDeClientes(p_clientes int[])
RETURNS TABLE(ordinal int, saldo bigint, limite bigint, data_extrato timestamptz,
              valores bigint[], tipos "char"[], descricoes text[], realizadas_em timestamptz[])
LANGUAGE plproxy AS $$ CLUSTER 'rinha'; RUN ON public.dono_da_chamada(p_clientes); $$;

-- These ask every server, and give what each says.

CREATE FUNCTION ApagaChaves(p_segundos int, p_maximo int, p_desde timestamptz)
RETURNS TABLE(apagadas int, ate timestamptz)
LANGUAGE plproxy AS $$ CLUSTER 'rinha'; RUN ON ALL; $$;

CREATE FUNCTION ClientesPresos(p_clientes int[])
RETURNS TABLE(cliente_id int)
LANGUAGE plproxy AS $$ CLUSTER 'rinha'; RUN ON ALL; $$;

CREATE FUNCTION EstadoDoBanco()
RETURNS TABLE(perfil text, tem_clientes boolean, fsync text, synchronous_commit text, full_page_writes text,
              so_leitura boolean, papel_alterado boolean, repartido boolean)
LANGUAGE plproxy AS $$
    CLUSTER 'rinha';
    RUN ON ALL;
    SELECT perfil, tem_clientes, fsync, synchronous_commit, full_page_writes, so_leitura, papel_alterado,
           true AS repartido
    FROM public.EstadoDoBanco();
$$;

-- Where each of them is, as this one connects to it.
CREATE FUNCTION Servidores()
RETURNS TABLE(servidor int, de int, endereco text, desde int[])
LANGUAGE sql STABLE SECURITY DEFINER ROWS 4
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT substr(o.option_name, 2)::int AS servidor, count(*) OVER ()::int, o.option_value, NULL::int[]
    FROM pg_foreign_server s CROSS JOIN LATERAL pg_options_to_table(s.srvoptions) o
    WHERE s.srvname = 'rinha' AND o.option_name ~ '^p[0-9]+$'
    ORDER BY servidor
$$;

-- The tables of all servers, for whoever may read them there: to check the books.

CREATE FUNCTION clientes_de_todos()
RETURNS TABLE(id int, limite bigint, saldo bigint, ultima bigint)
LANGUAGE plproxy AS $$ CLUSTER 'rinha'; RUN ON ALL; SELECT id, limite, saldo, ultima FROM public.clientes; $$;

CREATE FUNCTION transacoes_de_todos()
RETURNS TABLE(id bigint, cliente_id int, valor bigint, tipo "char", descricao text, realizada_em timestamptz)
LANGUAGE plproxy AS $$
    CLUSTER 'rinha'; RUN ON ALL; SELECT id, cliente_id, valor, tipo, descricao, realizada_em FROM public.transacoes;
$$;

CREATE FUNCTION chaves_de_todos()
RETURNS TABLE(cliente_id int, chave text, resultado smallint, criada_em timestamptz)
LANGUAGE plproxy AS $$
    CLUSTER 'rinha'; RUN ON ALL; SELECT cliente_id, chave, resultado, criada_em FROM public.chaves;
$$;

CREATE VIEW clientes AS SELECT * FROM clientes_de_todos();
CREATE VIEW transacoes AS SELECT * FROM transacoes_de_todos();
CREATE VIEW chaves AS SELECT * FROM chaves_de_todos();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dono_da_chamada(int[]) TO PUBLIC;  -- whoever calls is who asks it

COMMIT;

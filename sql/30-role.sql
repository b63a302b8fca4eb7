-- The role of the API: it may log in and EXECUTE the functions, nothing else.
--
-- As the superuser, after 27-traced.sql. May be run again, in this or in another database of the server.
-- A role that is there already keeps its password and its limit of connections, and loses settings of its own.
--
-- What PostgreSQL grants to everybody is a way to hold the server up for whoever has stolen the role, so the
-- half that nothing here needs is taken away. What no grant can forbid is in SECURITY.md.

BEGIN;

-- Roles belong to the whole server: another database may have brought it, or be bringing it now. It never has
-- all slots: three are the superuser's alone (superuser_reserved_connections), nine more for who watches.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'guiche') THEN
        EXECUTE format(
            'CREATE ROLE guiche LOGIN PASSWORD ''guiche'' NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT %s',
            greatest(current_setting('max_connections')::int - 12, 1));
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- another session was faster
END $$;

-- Its sessions start with all the settings that they need (src/ledger/pinned.rs): those that it has of its own were
-- given by an earlier version of this file, or by whoever stole it, and an instance is not ready while there are any.
DO $$
DECLARE
    lugar text;
BEGIN
    FOR lugar IN
        SELECT CASE WHEN setdatabase = 0 THEN '' ELSE format('IN DATABASE %I', current_database()) END
        FROM pg_db_role_setting
        WHERE setrole = 'guiche'::regrole
            AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    LOOP
        EXECUTE format('ALTER ROLE guiche %s RESET ALL', lugar);
    END LOOP;
END $$;

-- Nobody but its owner creates anything here, temporary tables included: with no object of its own, a role
-- cannot put one in the way of the functions. In the databases that every server has, it has no business at
-- all: what is revoked below is revoked in this database.
DO $$
DECLARE
    banco name;
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO guiche', current_database());
    FOR banco IN
        SELECT datname FROM pg_database
        WHERE datname IN ('postgres', 'template1') AND has_database_privilege('public', oid, 'CONNECT')
    LOOP
        EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', banco);
    END LOOP;
END $$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON clientes, transacoes, chaves FROM PUBLIC;

-- Functions that fill what all share: the lock table, the disk with large objects, snapshots and WAL, the queue
-- of notifications; and those that end or cancel the role's other sessions, which are the API's.
DO $$
DECLARE
    funcao regprocedure;
BEGIN
    FOR funcao IN
        SELECT p.oid FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE')
            AND (p.proname LIKE 'pg\_advisory%' OR p.proname LIKE 'pg\_try\_advisory%' OR p.proname LIKE 'lo\_%'
                OR p.proname IN ('loread', 'lowrite', 'pg_logical_emit_message', 'pg_export_snapshot', 'pg_notify',
                                 'pg_terminate_backend', 'pg_cancel_backend'))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', funcao);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION pg_terminate_backend(int, bigint), pg_cancel_backend(int) TO pg_signal_backend;
REVOKE USAGE ON LANGUAGE plpgsql, sql FROM PUBLIC;  -- no DO, no function of one's own

GRANT USAGE ON SCHEMA public TO guiche;
GRANT EXECUTE ON FUNCTION
    InsertTransacao(int, bigint, "char", text),
    InsertTransacoes(int, bigint[], "char"[], text[]),
    InsertTransacoesEmLote(int[], int[], bigint[], "char"[], text[]),
    InsertTransacoesComChaves(int[], int[], bigint[], "char"[], text[], text[]),
    InsertTransacoesObservadas(int[], int[], bigint[], "char"[], text[], text[]),
    ApagaChaves(int, int, timestamptz),
    GetSaldoClienteById(int),
    GetSaldosDeClientes(int[]),
    ClientesPresos(int[]),
    EstadoDoBanco(),
    Servidores()
TO guiche;

COMMIT;

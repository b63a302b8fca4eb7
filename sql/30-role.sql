-- The role of the API: it may log in and EXECUTE the functions, nothing else.
--
-- After 20-functions.sql. May be run again, in this or in another database of the server, by
-- several sessions at once. A role that is there already is left as it is, password included.

BEGIN;

-- Roles belong to the whole server: another database may have brought it, or be bringing it now.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'guiche') THEN
        CREATE ROLE guiche LOGIN PASSWORD 'guiche' NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- another session was faster
END $$;

-- How its sessions plan, in this database. Each statement of the functions is planned once per
-- session, for any parameters (planning anew costs about as much as running it), and by index: the
-- plan may be made while the tables are empty and is still right when they are not.
--
-- And nobody but its owner creates anything here, temporary tables included: with no object of its
-- own, a role cannot put one in the way of the functions.
DO $$
DECLARE
    banco text := quote_ident(current_database());
BEGIN
    EXECUTE 'ALTER ROLE guiche IN DATABASE ' || banco || ' SET plan_cache_mode = force_generic_plan';
    EXECUTE 'ALTER ROLE guiche IN DATABASE ' || banco || ' SET enable_seqscan = off';
    EXECUTE 'ALTER ROLE guiche IN DATABASE ' || banco || ' SET enable_bitmapscan = off';
    EXECUTE 'REVOKE CREATE, TEMPORARY ON DATABASE ' || banco || ' FROM PUBLIC';
END $$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON clientes, transacoes FROM PUBLIC;

GRANT USAGE ON SCHEMA public TO guiche;
GRANT EXECUTE ON FUNCTION
    InsertTransacao(int, bigint, "char", text),
    InsertTransacoes(int, bigint[], "char"[], text[]),
    InsertTransacoesEmLote(int[], int[], bigint[], "char"[], text[]),
    GetSaldoClienteById(int),
    ClientesPresos(int[]),
    EstadoDoBanco()
TO guiche;

COMMIT;

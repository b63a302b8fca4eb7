-- The role of the API: it may log in and EXECUTE the functions, nothing else.
-- May be run again, in this or another database of the server, also by two sessions at once.

BEGIN;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'guiche') THEN
        CREATE ROLE guiche LOGIN PASSWORD 'guiche';
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- another session was faster
END $$;

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO guiche', current_database());
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO guiche;
GRANT EXECUTE ON FUNCTION
    InsertTransacao(int, bigint, "char", text),
    InsertTransacoes(int, bigint[], "char"[], text[]),
    InsertTransacoesEmLote(int[], int[], bigint[], "char"[], text[]),
    GetSaldoClienteById(int),
    EstadoDoBanco()
TO guiche;

COMMIT;

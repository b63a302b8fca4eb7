//! The service's role may call its functions, and nothing else.

use tokio_postgres::error::SqlState;

use crate::harness::Database;

#[tokio::test]
async fn it_may_not_touch_anything_but_its_functions() {
    let database = Database::create().await;
    let api = database.api().await;
    for sql in [
        "SELECT FROM clientes",
        "SELECT saldo FROM clientes WHERE id = 1",
        "SELECT FROM clientes WHERE id = 1 FOR UPDATE",
        "UPDATE clientes SET saldo = 1000000",
        "INSERT INTO clientes VALUES (6, 0, 0)",
        "DELETE FROM clientes",
        "TRUNCATE clientes",
        "DO $$ BEGIN LOCK TABLE clientes; END $$",
        "SELECT FROM transacoes",
        "INSERT INTO transacoes (cliente_id, valor, tipo, descricao, realizada_em) VALUES (1, 1, 'c', 'x', now())",
        "UPDATE transacoes SET valor = 1",
        "DELETE FROM transacoes",
        "TRUNCATE transacoes",
        "SELECT nextval('transacoes_id_seq')",
        "CREATE TABLE mine ()",
        "CREATE TEMPORARY TABLE mine ()",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT resultado_da_transacao(0, 0, 1, 'd')",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SET ROLE postgres",
        "SET fsync = off",
    ] {
        let error = api.batch_execute(sql).await.expect_err(sql);
        let refusals = [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::CANT_CHANGE_RUNTIME_PARAM];
        assert!(error.code().is_some_and(|code| refusals.contains(code)), "{sql}: {error:?}");
    }
    assert_eq!(database.rows().await, []);
}

#[tokio::test]
async fn its_functions_are_these_and_run_with_a_fixed_search_path() {
    let database = Database::create().await;
    let callable: Vec<String> = database
        .value(
            "SELECT array_agg(proname::text ORDER BY proname) FROM pg_proc
             WHERE pronamespace = 'public'::regnamespace AND has_function_privilege('guiche', oid, 'EXECUTE')",
        )
        .await;
    let expected = [
        "clientespresos",
        "estadodobanco",
        "getsaldoclientebyid",
        "inserttransacao",
        "inserttransacoes",
        "inserttransacoesemlote",
    ];
    assert_eq!(callable, expected);
    let loose: Option<Vec<String>> = database
        .value(
            "SELECT array_agg(proname::text) FROM pg_proc
             WHERE pronamespace = 'public'::regnamespace AND prosecdef
               AND NOT coalesce(array_to_string(proconfig, ';'), '') LIKE '%search\\_path=%pg\\_temp%'",
        )
        .await;
    assert_eq!(loose, None, "a definer's function that finds its tables by the caller's path");
    let public: bool = database
        .value(
            "SELECT bool_or(acl::text LIKE '{=%' OR acl::text LIKE '%,=%')
             FROM (SELECT coalesce(proacl, acldefault('f', proowner)) AS acl FROM pg_proc
                   WHERE pronamespace = 'public'::regnamespace) functions",
        )
        .await;
    assert!(!public, "a function that everybody may call");
}

#[tokio::test]
async fn it_is_no_more_than_a_login() {
    let database = Database::create().await;
    let more: bool = database
        .value(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
                    OR EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid)
             FROM pg_roles WHERE rolname = 'guiche'",
        )
        .await;
    assert!(!more);
    let owned: i64 = database.value("SELECT count(*) FROM pg_class WHERE relowner = 'guiche'::regrole").await;
    assert_eq!(owned, 0);
}

/// An array may begin anywhere: what the functions judge by subscript they must not write by position.
#[tokio::test]
async fn it_cannot_forge_the_books_with_arrays_that_do_not_begin_at_1() {
    let database = Database::create().await;
    let api = database.api().await;
    for call in [
        "InsertTransacoes(5, '[0:1]={1,-7000000}', '[0:1]={c,d}', '[0:1]={gift,x}')",
        "InsertTransacoes(5, '{7000000,1}', '[-1:2]={d,d,c,c}', '{x,y}')",
        "InsertTransacoes(5, '{1,2}', '[0:1]={c,c}', '{x,y}')",
        "InsertTransacoes(5, '{{1},{2}}', '{{c},{c}}', '{{x},{y}}')",
        "InsertTransacoes(5, '[2:3]={1,2}', '[2:3]={c,c}', '[2:3]={x,y}')",
        "InsertTransacoesEmLote('[0:1]={1,5}', '{1,2}', '[0:1]={1,-7000000}', '[0:1]={c,d}', '[0:1]={gift,x}')",
        "InsertTransacoesEmLote('[0:1]={5,1}', '{1,2}', '{7000000,7000000}', '{c,c}', '{x,y}')",
        "InsertTransacoesEmLote('{1,5}', '{1,2}', '[0:1]={1,7000000}', '{c,c}', '{x,y}')",
    ] {
        // Refused or applied as it was judged: either way the balances are the sums of the rows.
        let _ = api.query(&format!("SELECT * FROM {call}"), &[]).await;
        database.assert_books().await;
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM transacoes WHERE valor < 1").await, 0);
}

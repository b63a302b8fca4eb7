//! The service's role may call its functions, and nothing else.

use settings::{SETTINGS, Values};
use testbed::Profile;
use testbed::cluster::connect;
use tokio_postgres::error::SqlState;

use crate::harness::{Database, Guiche, Launcher, own_cluster, until};

#[tokio::test]
async fn it_may_not_touch_anything_but_its_functions() {
    let database = Database::create().await;
    for sql in [
        "SELECT FROM clientes",
        "SELECT saldo FROM clientes WHERE id = 1",
        "SELECT FROM clientes WHERE id = 1 FOR UPDATE",
        "UPDATE clientes SET saldo = 1000000",
        "INSERT INTO clientes VALUES (6, 0, 0)",
        "DELETE FROM clientes",
        "TRUNCATE clientes",
        "BEGIN; LOCK TABLE clientes",
        "DO $$ BEGIN END $$",
        "SELECT FROM transacoes",
        "INSERT INTO transacoes (cliente_id, valor, tipo, descricao, realizada_em) VALUES (1, 1, 'c', 'x', now())",
        "UPDATE transacoes SET valor = 1",
        "DELETE FROM transacoes",
        "TRUNCATE transacoes",
        "SELECT FROM chaves",
        "INSERT INTO chaves VALUES (1, 1, 1, now(), 1, 0, 'c', 'x', 'k')",
        "UPDATE chaves SET saldo = 1",
        "DELETE FROM chaves",
        "TRUNCATE chaves",
        "CREATE TABLE mine ()",
        "CREATE TEMPORARY TABLE mine ()",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT resultado_da_transacao(0, 0, 1, 'd')",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SET ROLE postgres",
        // What all share: locks, disk, the others' sessions.
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_xact_lock_shared(1, 2) FROM generate_series(1, 1000000)",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, '')",
        "SELECT pg_logical_emit_message(false, 'x', 'x')",
        "SELECT pg_notify('x', 'x')",
        "SELECT pg_export_snapshot()",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity",
        "SET temp_file_limit = -1",
        "ALTER ROLE guiche CONNECTION LIMIT -1",
        "ALTER ROLE guiche SUPERUSER",
        "SET fsync = off",
    ] {
        let error = database.api().await.batch_execute(sql).await.expect_err(sql);
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
        "apagachaves",
        "clientespresos",
        "estadodobanco",
        "getsaldoclientebyid",
        "getsaldosdeclientes",
        "inserttransacao",
        "inserttransacoes",
        "inserttransacoescomchaves",
        "inserttransacoesemlote",
        "inserttransacoesobservadas",
        "servidores",
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
        "InsertTransacoesComChaves('[0:1]={1,5}', '{1,2}', '{1,7000000}', '{c,c}', '{x,y}', '{k,l}')",
        "InsertTransacoesComChaves('{1,5}', '{1,2}', '[0:1]={1,7000000}', '{c,c}', '{x,y}', '[0:1]={k,k}')",
        "InsertTransacoesComChaves('{5,5}', '{1,2}', '{1,7000000,1}', '{d,d}', '{x,y}', '{k,k}')",
        "InsertTransacoesObservadas('{5,5}', '{1,2}', '[0:1]={1,-7000000}', '[0:1]={c,d}', '[0:1]={gift,x}', NULL)",
        "InsertTransacoesObservadas('[0:0]={5}', '{1}', '[0:0]={7000000}', '{c}', '{x}', NULL)",
    ] {
        // Refused or applied as it was judged: either way the balances are the sums of the rows.
        let _ = api.query(&format!("SELECT * FROM {call}"), &[]).await;
        database.assert_books().await;
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM transacoes WHERE valor < 1").await, 0);
}

/// Whoever has stolen the role may send what a caller may, and cannot have a key forgotten that is in use.
#[tokio::test]
async fn it_can_neither_store_large_keys_nor_remove_young_ones() {
    let database = Database::create().await;
    let api = database.api().await;
    let keyed = |key: &str| {
        format!(
            "SELECT * FROM InsertTransacoesComChaves('{{1}}', '{{1}}', '{{1}}', '{{c}}', '{{x}}', ARRAY[{key}])"
        )
    };
    for key in ["''", "repeat('k', 65)"] {
        let error = api.query(&keyed(key), &[]).await.expect_err(key);
        assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION), "{key}: {error:?}");
    }
    assert_eq!(database.rows().await, []);
    api.query(&keyed("repeat('k', 64)"), &[]).await.expect("it is a key");
    api.query("SELECT * FROM ApagaChaves(60, 10000, NULL)", &[]).await.expect("it may");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM chaves").await, 1);
}

/// Nothing forbids a role to change its own settings: they are to change nothing for the service, and to be told.
#[tokio::test]
async fn what_it_sets_for_itself_for_good_changes_nothing_and_is_told() {
    let cluster = own_cluster(Profile::Durable, &[]).await;
    let database = Database::create_in(&cluster).await;
    let api = database.api().await;
    let name = database.name();
    for setting in [
        "search_path = nowhere",
        "default_transaction_read_only = on",
        "default_transaction_isolation = serializable",
        "synchronous_commit = off",
        "statement_timeout = 1",
        "lock_timeout = 1",
        "idle_session_timeout = 1",
        "exit_on_error = on",
        "local_preload_libraries = nowhere",
        "plan_cache_mode = force_custom_plan",
        "enable_seqscan = on",
    ] {
        for place in ["".to_owned(), format!("IN DATABASE {name}")] {
            api.batch_execute(&format!("ALTER ROLE guiche {place} SET {setting}")).await.expect(setting);
        }
    }
    let guiche = Guiche::on(&database).await;
    assert_eq!(guiche.credit(1, 1, "x").await.balance(), 1);
    assert_eq!(guiche.statement(1).await.status, 200);
    guiche.until_not_ready("settings that it gave itself").await;
    database.execute(include_str!("../../sql/30-role.sql")).await;
    guiche.until_ready().await;
}

/// Nor to change its password: who is connected stays so, and the password that was set again is taken at once.
#[tokio::test]
async fn a_changed_password_keeps_out_new_connections_until_it_is_set_again() {
    let cluster = own_cluster(Profile::Durable, &[]).await;
    let database = Database::create_in(&cluster).await;
    let guiche = Launcher::on(&cluster.api_url_tcp(database.name())).start().await;
    assert_eq!(guiche.credit(1, 1, "before").await.balance(), 1);
    database.api().await.batch_execute("ALTER ROLE guiche PASSWORD 'mine'").await.expect("it may");
    assert_eq!(guiche.credit(1, 1, "connected").await.balance(), 2);
    let sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'guiche'";
    assert!(database.value::<i64>(sessions).await > 0);
    until("it is kept out", async || guiche.credit(2, 1, "out").await.status == 503).await;
    database.execute("ALTER ROLE guiche PASSWORD 'guiche'").await;
    guiche.until_ready().await;
    assert_eq!(guiche.credit(3, 1, "again").await.balance(), 1);
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_told() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    guiche.until_ready().await;
    let name = database.name();
    database.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    // Sessions that began before write on: nobody told them.
    assert_eq!(guiche.credit(1, 1, "x").await.balance(), 1);
    let other = Guiche::launcher(&database).start_listening().await;
    other.until_not_ready("read-only").await;
}

#[tokio::test]
async fn it_has_no_other_database_and_never_every_slot() {
    let cluster = own_cluster(Profile::Durable, &[("max_connections", "20")]).await;
    let database = Database::create_in(&cluster).await;
    for other in ["postgres", "template1"] {
        let error = connect(&cluster.api_url(other)).await.expect_err(other);
        assert!(format!("{error:#}").contains("permission denied for database"), "{error:#}");
    }
    let mut sessions = Vec::new();
    let error = loop {
        match connect(database.api_url()).await {
            Ok(session) => sessions.push(session),
            Err(error) => break format!("{error:#}"),
        }
    };
    assert!(error.contains("too many connections for role"), "{error}");
    assert_eq!(sessions.len(), 8);
    database.admin().await;
}

#[tokio::test]
async fn what_it_spills_to_the_disk_is_bounded() {
    let database = Database::create().await;
    let sql = "SELECT FROM generate_series(1, 2000000) AS n ORDER BY n OFFSET 1999999";
    let wide = sql.replace("AS n ORDER BY n", "AS n ORDER BY repeat('x', 100) || n");
    let error = database.api().await.batch_execute(&wide).await.expect_err("more than 64 MB");
    assert_eq!(error.code(), Some(&SqlState::CONFIGURATION_LIMIT_EXCEEDED), "{error:?}");
}

/// Not by `work_mem`, which it may set as it likes. Whoever else is served, is.
#[tokio::test]
async fn what_it_sorts_in_memory_is_bounded() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    let thief = database.api().await;
    thief.batch_execute("SET work_mem = '1GB'").await.expect("it may");
    let sort = "SELECT FROM generate_series(1, 500000) AS n ORDER BY repeat('x', 100) || n OFFSET 499999";
    let error = thief.batch_execute(sort).await.expect_err("more than 64 MB");
    assert_eq!(error.code(), Some(&SqlState::OUT_OF_MEMORY), "{error:?}");
    assert_eq!(guiche.credit(1, 1, "x").await.balance(), 1);
    thief.batch_execute("SELECT 1").await.expect("nobody ended its session");
}

#[tokio::test]
async fn a_call_carries_no_more_than_an_instance_may_send() {
    let most = match SETTINGS.iter().find(|setting| setting.name == "BATCH_MAX").map(|setting| setting.values)
    {
        Some(Values::Number(_, most)) => most,
        other => panic!("BATCH_MAX is {other:?}"),
    };
    let database = Database::create().await;
    let api = database.api().await;
    let call = async |elements: usize, function: &str| {
        let [ones, kinds, texts] =
            ["1", "c", "x"].map(|value| format!("array_fill('{value}'::text, ARRAY[{elements}])::text::"));
        let call = match function {
            "run" => format!("InsertTransacoes(1, {ones}bigint[], {kinds}\"char\"[], {texts}text[])"),
            "batch" => format!(
                "InsertTransacoesEmLote({ones}int[], {ones}int[], {ones}bigint[], {kinds}\"char\"[], {texts}text[])"
            ),
            "keyed" => format!(
                "InsertTransacoesComChaves({ones}int[], {ones}int[], {ones}bigint[], {kinds}\"char\"[], {texts}text[], {texts}text[])"
            ),
            _ => format!("ClientesPresos({ones}int[])"),
        };
        api.query(&format!("SELECT * FROM {call}"), &[]).await
    };
    for function in ["run", "batch", "keyed", "held"] {
        call(most, function).await.unwrap_or_else(|error| panic!("{function}: {error:?}"));
        let error = call(most + 1, function).await.expect_err(function);
        assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE), "{function}: {error:?}");
    }
    assert_eq!(database.balance(1).await, 2 * most as i64 + 1, "all keys were one");
}

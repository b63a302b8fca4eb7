//! The stored functions against a plain sequential model: random calls of all that write, by the
//! service's role, on clients at the edges of their limits and of 64 bits.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};

use testbed::cluster::Cluster;

use crate::harness::Database;

const ONE: &str = "SELECT * FROM InsertTransacao($1, $2, $3, $4)";
const RUN: &str = "SELECT * FROM InsertTransacoes($1, $2, $3, $4)";
const BATCH: &str = "SELECT * FROM InsertTransacoesEmLote($1, $2, $3, $4, $5)";
const KEYED: &str = "SELECT * FROM InsertTransacoesComChaves($1, $2, $3, $4, $5, $6)";
const TRACED: &str = "SELECT * FROM InsertTransacoesObservadas($1, $2, $3, $4, $5, $6)";

/// A result that is told again is larger by this.
const AGAIN: i16 = 10;

/// A bank, and the server that is called, which may have only some of its clients.
struct Place {
    bank: Database,
    called: Database,
    _servers: Vec<Cluster>,
}

/// Returns one bank on one server, and one on two workers of Citus, where it is installed.
async fn places() -> Vec<Place> {
    let bank = Database::create().await;
    let mut places = vec![Place { called: bank.clone(), bank, _servers: Vec::new() }];
    if let Some((bank, called, servers)) = Database::create_on_citus().await {
        places.push(Place { bank, called, _servers: servers });
    }
    places
}

/// One transaction, of any client.
#[derive(Clone, Debug)]
struct Element {
    ordinal: i32,
    client: i32,
    amount: i64,
    kind: char,
    description: String,
    /// Only a keyed call minds it.
    key: Option<String>,
}

#[derive(Clone, Debug)]
enum Call {
    One(Element),
    /// All of the first one's client, whatever the others say.
    Run(Vec<Element>),
    Batch(Vec<Element>),
    Keyed(Vec<Element>),
    /// What instances that trace call for all of them, with keys or without.
    Traced(Vec<Element>, bool),
}

/// `(result, balance, limit)` as a function gives them for one element.
type Outcome = (i16, Option<i64>, Option<i64>);

/// What an element says that a key is for: amount, kind, description.
type Body = (i64, char, String);

/// The bank as a plain sequential program: client → (limit, balance), and what was applied.
#[derive(Clone, Debug, Default)]
struct Model {
    clients: BTreeMap<i32, (i64, i64)>,
    applied: BTreeMap<i32, Vec<String>>,
    /// What each client's keys were first used for, and what came of it.
    keys: BTreeMap<(i32, String), (Body, Outcome)>,
}

impl Model {
    fn apply(&mut self, client: i32, element: &Element) -> Outcome {
        let Some((limit, balance)) = self.clients.get_mut(&client) else { return (3, None, None) };
        let signed =
            if element.kind == 'c' { i128::from(element.amount) } else { -i128::from(element.amount) };
        let after = i128::from(*balance) + signed;
        let refused = if after < -i128::from(*limit) { 1 } else { 2 };
        let fits = after >= -i128::from(*limit);
        let Some(after) = i64::try_from(after).ok().filter(|_| fits) else {
            return (refused, Some(*balance), Some(*limit));
        };
        *balance = after;
        self.applied.entry(client).or_default().push(element.description.clone());
        (0, Some(after), Some(*limit))
    }

    fn apply_under_key(&mut self, element: &Element) -> Outcome {
        let Some(key) = &element.key else { return self.apply(element.client, element) };
        let key = (element.client, key.clone());
        let body = (element.amount, element.kind, element.description.clone());
        if let Some((first, (result, balance, limit))) = self.keys.get(&key) {
            return (if *first == body { AGAIN + result } else { 4 }, *balance, *limit);
        }
        let outcome = self.apply(element.client, element);
        if outcome.0 != 3 {
            self.keys.insert(key, (body, outcome));
        }
        outcome
    }

    fn call(&mut self, call: &Call) -> BTreeMap<i32, Outcome> {
        match call {
            Call::One(element) => BTreeMap::from([(1, self.apply(element.client, element))]),
            Call::Run(elements) => {
                let outcomes = elements.iter().map(|element| self.apply(elements[0].client, element));
                (1..).zip(outcomes.collect::<Vec<_>>()).collect()
            }
            Call::Batch(elements) | Call::Traced(elements, false) => elements
                .iter()
                .map(|element| (element.ordinal, self.apply(element.client, element)))
                .collect(),
            Call::Keyed(elements) | Call::Traced(elements, true) => {
                elements.iter().map(|element| (element.ordinal, self.apply_under_key(element))).collect()
            }
        }
    }
}

/// Clients 1 to 3; 0, 6, a negative and the largest id are nobody's.
fn element() -> impl Strategy<Value = Element> {
    let client = prop_oneof![
        8 => 1..=3,
        1 => prop::sample::select(vec![0, 6, -1, i32::MAX]),
    ];
    let amount = prop_oneof![
        6 => 1..=60_i64,
        1 => (i64::MAX - 60)..=i64::MAX,
        1 => 1..=i64::MAX,
    ];
    let kind = prop::sample::select(vec!['c', 'd']);
    let description = "[a-z0-9çã🦀'\"\\\\{},]{1,10}";
    // So few that they are used again and again, now and then for the same.
    let key = prop::option::weighted(0.8, prop::sample::select(vec!["a", "b", "ç", "\"\\"]));
    let key = key.prop_map(|key| key.map(str::to_owned));
    (any::<i32>(), client, amount, kind, description, key).prop_map(
        |(ordinal, client, amount, kind, description, key)| Element {
            ordinal,
            client,
            amount,
            kind,
            description,
            key,
        },
    )
}

/// Elements of which some are others again, each with an ordinal of its own.
fn elements_again() -> impl Strategy<Value = Vec<Element>> {
    let again = prop::collection::vec((any::<prop::sample::Index>(), any::<i32>()), 0..10);
    (prop::collection::vec(element(), 0..20), again).prop_map(|(mut elements, again)| {
        for (which, ordinal) in again {
            if !elements.is_empty() {
                elements.push(Element { ordinal, ..which.get(&elements).clone() });
            }
        }
        elements
    })
}

fn call() -> impl Strategy<Value = Call> {
    let elements = |count| prop::collection::vec(element(), count);
    // Ordinals are the caller's own, but each stands for one element.
    let with_ordinals = |mut elements: Vec<Element>| {
        let mut seen = BTreeSet::new();
        elements.retain(|element| seen.insert(element.ordinal));
        elements
    };
    let batch = elements(0..40).prop_map(move |elements| Call::Batch(with_ordinals(elements)));
    let keyed = elements_again().prop_map(move |elements| Call::Keyed(with_ordinals(elements)));
    // Some for one client alone, for which another function does the work.
    let traced =
        (elements_again(), any::<bool>(), any::<bool>()).prop_map(move |(mut elements, keyed, alone)| {
            let client = elements.first().map(|element| element.client);
            elements.retain(|element| !alone || Some(element.client) == client);
            Call::Traced(with_ordinals(elements), keyed)
        });
    prop_oneof![element().prop_map(Call::One), elements(1..20).prop_map(Call::Run), batch, keyed, traced]
}

fn clients() -> impl Strategy<Value = BTreeMap<i32, (i64, i64)>> {
    let limit = prop_oneof![4 => 0..=100_i64, 1 => (i64::MAX - 100)..=i64::MAX];
    let client = limit.prop_flat_map(|limit| {
        let balance = prop_oneof![
            4 => -limit..=(-limit).saturating_add(100),
            1 => (i64::MAX - 100)..=i64::MAX,
            1 => -limit..=i64::MAX,
        ];
        (Just(limit), balance)
    });
    prop::collection::vec(client, 3).prop_map(|clients| (1..).zip(clients).collect())
}

#[test]
fn random_calls_equal_one_by_one() {
    let runtime = Runtime::new().expect("a runtime");
    for (place, cases) in runtime.block_on(places()).into_iter().zip([200, 100]) {
        let (admin, api) = runtime.block_on(async {
            let (admin, api) = (place.bank.admin().await, place.called.api().await);
            // Nothing is at stake here, and there are many cases.
            for session in [&admin, &api] {
                session.batch_execute("SET synchronous_commit = off").await.expect("it is only a setting");
            }
            (admin, api)
        });
        // No file of past failures: it would be written beside the sources.
        let config = Config { cases, max_shrink_iters: 500, failure_persistence: None, ..Config::default() };
        let cases = (clients(), prop::collection::vec(call(), 1..6));
        let outcome = TestRunner::new(config)
            .run(&cases, |(clients, calls)| runtime.block_on(check(&admin, &api, clients, &calls)));
        outcome.unwrap_or_else(|error| panic!("{error}"));
    }
}

async fn check(
    admin: &Client,
    api: &Client,
    clients: BTreeMap<i32, (i64, i64)>,
    calls: &[Call],
) -> Result<(), TestCaseError> {
    reset(admin, &clients).await;
    let mut model = Model { clients, ..Model::default() };
    for call in calls {
        prop_assert_eq!(send(api, call).await, model.call(call), "{:?}", call);
    }
    let rows = admin.query("SELECT id, limite, saldo FROM clientes", &[]).await.expect("clients");
    let stored = rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect::<BTreeMap<_, _>>();
    prop_assert_eq!(stored, model.clients);
    let sql = "SELECT cliente_id, array_agg(descricao::text ORDER BY id) FROM transacoes GROUP BY cliente_id";
    let rows = admin.query(sql, &[]).await.expect("transactions");
    let stored = rows.iter().map(|row| (row.get(0), row.get(1))).collect::<BTreeMap<_, Vec<String>>>();
    prop_assert_eq!(stored, model.applied);
    let sql = "SELECT id FROM clientes c
               WHERE ARRAY(SELECT t.id FROM transacoes t WHERE t.cliente_id = c.id ORDER BY 1)
                   <> ARRAY(SELECT generate_series(1, c.ultima))";
    let miscounted = admin.query(sql, &[]).await.expect("ids");
    prop_assert!(miscounted.is_empty(), "{:?}", miscounted);
    let rows = admin.query("SELECT cliente_id, chave::text FROM chaves", &[]).await.expect("keys");
    let stored = rows.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<(i32, String)>>();
    prop_assert_eq!(stored.len(), model.keys.len());
    prop_assert!(stored.iter().all(|key| model.keys.contains_key(key)), "{:?}", stored);
    Ok(())
}

async fn reset(admin: &Client, clients: &BTreeMap<i32, (i64, i64)>) {
    let rows: Vec<String> =
        clients.iter().map(|(client, (limit, balance))| format!("({client}, {limit}, {balance})")).collect();
    let sql = format!(
        "DELETE FROM transacoes; DELETE FROM chaves; DELETE FROM clientes;
         INSERT INTO clientes (id, limite, saldo) VALUES {}",
        rows.join(", ")
    );
    admin.batch_execute(&sql).await.expect("the clients of this case");
}

/// Makes the call; its rows by ordinal, after checking that each element has one and that all
/// tell the same two durations.
async fn send(api: &Client, call: &Call) -> BTreeMap<i32, Outcome> {
    let letter = |element: &Element| element.kind as u8 as i8;
    let (expected, rows) = match call {
        Call::One(element) => {
            let Element { client, amount, description, .. } = element;
            (1, api.query(ONE, &[client, amount, &letter(element), description]).await)
        }
        Call::Run(elements) | Call::Batch(elements) | Call::Keyed(elements) | Call::Traced(elements, _) => {
            let clients: Vec<i32> = elements.iter().map(|element| element.client).collect();
            let ordinals: Vec<i32> = elements.iter().map(|element| element.ordinal).collect();
            let amounts: Vec<i64> = elements.iter().map(|element| element.amount).collect();
            let kinds: Vec<i8> = elements.iter().map(letter).collect();
            let descriptions: Vec<&str> =
                elements.iter().map(|element| element.description.as_str()).collect();
            let keys: Vec<Option<&str>> = elements.iter().map(|element| element.key.as_deref()).collect();
            let rows = match call {
                Call::Run(_) => api.query(RUN, &[&clients[0], &amounts, &kinds, &descriptions]).await,
                Call::Keyed(_) => {
                    api.query(KEYED, &[&clients, &ordinals, &amounts, &kinds, &descriptions, &keys]).await
                }
                Call::Traced(_, keyed) => {
                    let keys = keyed.then_some(&keys);
                    api.query(TRACED, &[&clients, &ordinals, &amounts, &kinds, &descriptions, &keys]).await
                }
                _ => api.query(BATCH, &[&clients, &ordinals, &amounts, &kinds, &descriptions]).await,
            };
            (elements.len(), rows)
        }
    };
    let rows = rows.unwrap_or_else(|error| panic!("{call:?}: {error:?}"));
    assert_eq!(rows.len(), expected, "{call:?}");
    let per_call = |row: &Row| ["espera_us", "trabalho_us"].map(|column| row.get::<_, Option<i32>>(column));
    for (position, row) in rows.iter().enumerate() {
        let told = per_call(row).map(|micros| micros.is_some_and(|micros| micros >= 0));
        assert_eq!(told, [position == 0; 2], "what is per call is in the first row alone");
        assert!(position == 0 || per_call(row) == [None; 2]);
    }
    let outcome = |row: &Row| (row.get("resultado"), row.get("saldo"), row.get("limite"));
    rows.iter().map(|row| (row.get("ordinal"), outcome(row))).collect()
}

#[tokio::test]
async fn batches_in_opposite_orders_do_not_deadlock() {
    for Place { bank, called, .. } in &places().await {
        let sessions = (0..4).map(async |number| {
            let api = called.api().await;
            let mut clients = vec![1, 2, 3, 4, 5, 6];
            if number % 2 == 0 {
                clients.reverse();
            }
            let ordinals: Vec<i32> = (1..=6).collect();
            for _ in 0..40 {
                let (amounts, kinds, texts) = (vec![1_i64; 6], vec![b'c' as i8; 6], vec!["x"; 6]);
                api.query(BATCH, &[&clients, &ordinals, &amounts, &kinds, &texts])
                    .await
                    .expect("no deadlock");
            }
        });
        join_all(sessions).await;
        for client in 1..=5 {
            assert_eq!(bank.balance(client).await, 160);
        }
        bank.assert_books().await;
    }
}

#[tokio::test]
async fn what_is_no_batch_is_refused_whole() {
    for Place { bank, called, .. } in &places().await {
        let api = called.api().await;
        for call in [
            "InsertTransacao(NULL, 1, 'c', 'x')",
            "InsertTransacao(1, NULL, 'c', 'x')",
            "InsertTransacao(1, 1, NULL, 'x')",
            "InsertTransacao(1, 1, 'c', NULL)",
            "InsertTransacoes(NULL, '{1}', '{c}', '{x}')",
            "InsertTransacoes(1, NULL, '{c}', '{x}')",
            "InsertTransacoes(1, '{1,1}', '{c}', '{x}')",
            "InsertTransacoes(1, '{1,1}', '{c,c}', '{x,NULL}')",
            "InsertTransacoesEmLote('{1}', '{1}', '{1}', '{c}', NULL)",
            "InsertTransacoesEmLote('{1,2}', '{1}', '{1,1}', '{c,c}', '{x,x}')",
            "InsertTransacoesEmLote('{1,NULL}', '{1,2}', '{1,1}', '{c,c}', '{x,x}')",
            "InsertTransacoesEmLote('{1,2}', '{1,2}', '{1,NULL}', '{c,c}', '{x,x}')",
            "InsertTransacoesEmLote('{1,2}', '{1,2}', '{1,1}', '{c,NULL}', '{x,x}')",
            "InsertTransacoesComChaves('{1}', '{1}', '{1}', '{c}', '{x}', NULL)",
            "InsertTransacoesComChaves('{1,2}', '{1,2}', '{1,1}', '{c,c}', '{x,x}', '{k}')",
            "InsertTransacoesComChaves('{1,2}', '{1}', '{1,1}', '{c,c}', '{x,x}', '{k,l}')",
            "InsertTransacoesComChaves('{1,2}', '{1,NULL}', '{1,1}', '{c,c}', '{x,x}', '{k,l}')",
            "InsertTransacoesComChaves('{1,2}', '{1,2}', '{1}', '{c,c}', '{x,x}', '{k,l}')",
            "InsertTransacoesComChaves('{1,NULL}', '{1,2}', '{1,1}', '{c,c}', '{x,x}', '{k,l}')",
            "InsertTransacoesComChaves('{1,2}', '{1,2}', '{1,1}', '{c,c}', '{x,NULL}', '{k,l}')",
            "InsertTransacoesObservadas('{1,2}', '{1}', '{1,1}', '{c,c}', '{x,x}', '{k,l}')",
            "InsertTransacoesObservadas('{1}', '{NULL}', '{1}', '{c}', '{x}', NULL)",
            "InsertTransacoesObservadas('{1,1}', '{1,2}', '{1}', '{c,c}', '{x,x}', NULL)",
            "GetSaldosDeClientes(array_fill(1, '{10001}'))",
        ] {
            let error = api.query(&format!("SELECT * FROM {call}"), &[]).await.expect_err(call);
            let refusals = [SqlState::INVALID_PARAMETER_VALUE, SqlState::NULL_VALUE_NOT_ALLOWED];
            assert!(error.code().is_some_and(|code| refusals.contains(code)), "{call}: {error:?}");
        }
        assert_eq!(bank.rows().await, []);
    }
}

#[tokio::test]
async fn a_statement_of_the_database_has_the_shape_that_is_promised() {
    for Place { called, .. } in &places().await {
        let api = called.api().await;
        let read = async |client: i32| {
            api.query("SELECT * FROM GetSaldoClienteById($1)", &[&client]).await.expect("rows")
        };
        assert_eq!(read(6).await.len(), 0, "nobody has no row");
        let empty = read(1).await;
        assert_eq!(empty.len(), 1, "a client without transactions has one");
        let amounts = |row: &Row| row.get::<_, Option<Vec<i64>>>("valores");
        assert_eq!(amounts(&empty[0]), None);
        assert_eq!((empty[0].get::<_, i64>("saldo"), empty[0].get::<_, i64>("limite")), (0, 100_000));
        for number in 1..=11_i64 {
            api.query(ONE, &[&1, &number, &(b'c' as i8), &"x"]).await.expect("it is applied");
        }
        let latest: Vec<i64> = (2..=11).rev().collect();
        let row = &read(1).await[0];
        assert_eq!(amounts(row).as_ref(), Some(&latest));
        assert_eq!(row.get::<_, Vec<i8>>("tipos"), [b'c' as i8; 10]);
        assert_eq!(row.get::<_, Vec<String>>("descricoes"), ["x"; 10]);
        assert!(
            row.get::<_, Vec<OffsetDateTime>>("realizadas_em").is_sorted_by(|newer, older| newer >= older)
        );

        // Of several clients: by position, whatever the array's bounds are, and whoever is there twice.
        for clients in ["ARRAY[2, 6, 1, NULL, 1]", "'[5:9]={2,6,1,NULL,1}'::int[]"] {
            let sql = format!("SELECT * FROM GetSaldosDeClientes({clients})");
            let rows = api.query(&sql, &[]).await.expect("rows");
            let of = |ordinal| rows.iter().filter(move |row| row.get::<_, i32>("ordinal") == ordinal);
            let shown = (1..=5).map(|ordinal| of(ordinal).map(amounts).collect::<Vec<_>>());
            let all = [vec![None], vec![], vec![Some(latest.clone())], vec![], vec![Some(latest.clone())]];
            assert_eq!(shown.collect::<Vec<_>>(), all, "{clients}");
        }
    }
}

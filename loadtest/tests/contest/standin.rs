//! A service in this process that keeps the contest's rules, but for one fault at a time.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Bytes, Data, Path};
use actix_web::{App, HttpResponse, HttpServer, Responder};
use serde::Deserialize;
use serde_json::{Value, json};

/// What it gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Debits are never refused, and answered with a balance one cent below -limit.
    OverLimit,
    /// The total of a statement is that from before its newest entry.
    Torn,
    /// Every fifth transaction is answered after 300 ms.
    Slow,
    /// What must be refused is answered 200.
    Lenient,
    /// Client 1 begins with a balance.
    Used,
}

/// A running stand-in; it stops when this is dropped.
pub(crate) struct Standin {
    pub(crate) url: String,
    handle: ServerHandle,
}

impl Standin {
    /// Starts it on a free port of its own.
    pub(crate) fn start(fault: Fault) -> io::Result<Standin> {
        let bank = Data::new(Bank::new(fault));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(bank.clone())
                .route("/clientes/{id}/extrato", web::get().to(statement))
                .route("/clientes/{id}/transacoes", web::post().to(transact))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))?;
        let url = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Standin { url, handle })
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        // It takes effect when called; the future only waits for it.
        drop(self.handle.stop(false));
    }
}

struct Bank {
    fault: Fault,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    clients: BTreeMap<u32, Account>,
    transactions: u64,
}

#[derive(Default)]
struct Account {
    limit: i64,
    balance: i64,
    /// Newest last.
    entries: Vec<Value>,
}

#[derive(Deserialize)]
struct Transaction {
    #[serde(rename = "valor")]
    amount: u32,
    #[serde(rename = "tipo")]
    kind: char,
    #[serde(rename = "descricao")]
    description: String,
}

impl Bank {
    fn new(fault: Fault) -> Bank {
        let limits = [(1, 100_000), (2, 80_000), (3, 1_000_000), (4, 10_000_000), (5, 500_000)];
        let account = |(id, limit)| (id, Account { limit, ..Account::default() });
        let mut clients: BTreeMap<u32, Account> = limits.map(account).into();
        if fault == Fault::Used {
            clients.entry(1).or_default().balance = -25;
        }
        Bank { fault, books: Mutex::new(Books { clients, transactions: 0 }) }
    }

    fn statement(&self, id: u32) -> Option<Value> {
        let books = self.books.lock().expect("no handler panics");
        let account = books.clients.get(&id)?;
        let newest: Vec<&Value> = account.entries.iter().rev().take(10).collect();
        let mut total = account.balance;
        if let (Fault::Torn, Some(entry)) = (self.fault, newest.first()) {
            let amount = entry["valor"].as_i64().unwrap_or_default();
            total -= if entry["tipo"] == "c" { amount } else { -amount };
        }
        Some(json!({
            "saldo": {"total": total, "data_extrato": now(), "limite": account.limit},
            "ultimas_transacoes": newest,
        }))
    }

    /// The status, the body, and whether to wait first.
    fn transact(&self, id: u32, body: &[u8]) -> (u16, Value, bool) {
        let mut books = self.books.lock().expect("no handler panics");
        books.transactions += 1;
        let late = self.fault == Fault::Slow && books.transactions.is_multiple_of(5);
        let Some(account) = books.clients.get_mut(&id) else { return (404, Value::Null, late) };
        let refused = |account: &Account| match self.fault {
            Fault::Lenient => (200, json!({"limite": account.limit, "saldo": account.balance}), late),
            _ => (422, Value::Null, late),
        };
        let Some(transaction) = parse(body) else { return refused(account) };
        let amount = i64::from(transaction.amount);
        let after = account.balance + if transaction.kind == 'c' { amount } else { -amount };
        if after < -account.limit && self.fault != Fault::OverLimit {
            return refused(account);
        }
        account.balance = after;
        account.entries.push(json!({
            "valor": amount,
            "tipo": transaction.kind,
            "descricao": transaction.description,
            "realizada_em": now(),
        }));
        let shown = match (self.fault, transaction.kind) {
            (Fault::OverLimit, 'd') => -account.limit - 1,
            _ => after,
        };
        (200, json!({"limite": account.limit, "saldo": shown}), late)
    }
}

fn parse(body: &[u8]) -> Option<Transaction> {
    let transaction: Transaction = serde_json::from_slice(body).ok()?;
    let valid = transaction.amount > 0
        && ['c', 'd'].contains(&transaction.kind)
        && (1..=10).contains(&transaction.description.chars().count());
    valid.then_some(transaction)
}

fn now() -> String {
    let format = &time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::now_utc().format(format).expect("the clock shows a year of our era")
}

async fn statement(bank: Data<Bank>, id: Path<u32>) -> impl Responder {
    match bank.statement(*id) {
        Some(statement) => HttpResponse::Ok().json(statement),
        None => HttpResponse::NotFound().finish(),
    }
}

async fn transact(bank: Data<Bank>, id: Path<u32>, body: Bytes) -> impl Responder {
    let (status, answer, late) = Arc::clone(&bank).transact(*id, &body);
    if late {
        actix_web::rt::time::sleep(Duration::from_millis(300)).await;
    }
    let status = actix_web::http::StatusCode::from_u16(status).expect("a valid status");
    HttpResponse::build(status).json(answer)
}

//! Callers side by side, each of whom sends one request after the other and remembers what it was told.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::http::{Answer, Endpoint};
use tokio::task::JoinSet;

use super::history::{Asked, Call, Told};

/// How long somebody waits who was refused, or could not be heard.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long somebody with a key asks again: longer than anything is broken.
const PERSISTENCE: Duration = Duration::from_secs(120);

/// Callers at work.
pub struct Callers {
    shared: Rc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    endpoint: Endpoint,
    clients: u32,
    keyed: bool,
    begin: Instant,
    calls: RefCell<Vec<Call>>,
    sent: Cell<u64>,
    done: Cell<bool>,
}

impl Callers {
    /// Starts so many, on this thread, for the clients up to `clients`. If they are `keyed`, each transaction has a
    /// key, under which it is asked for again until its outcome is known.
    pub fn start(endpoint: Endpoint, clients: u32, callers: usize, keyed: bool, seed: u64) -> Callers {
        let shared = Rc::new(Shared {
            endpoint,
            clients,
            keyed,
            begin: Instant::now(),
            calls: RefCell::default(),
            sent: Cell::new(0),
            done: Cell::new(false),
        });
        let mut tasks = JoinSet::new();
        for number in 0..callers {
            let random = fastrand::Rng::with_seed(seed.wrapping_add(number as u64));
            tasks.spawn_local(Rc::clone(&shared).call(random));
        }
        Callers { shared, tasks }
    }

    /// Returns how long they have been at work, in microseconds.
    pub fn now(&self) -> u64 {
        self.shared.now()
    }

    /// Returns how many calls are over.
    pub fn count(&self) -> usize {
        self.shared.calls.borrow().len()
    }

    /// Looks at all calls that are over, in the order of their ends.
    pub fn look<T>(&self, look: impl FnOnce(&[Call]) -> T) -> T {
        look(&self.shared.calls.borrow())
    }

    /// Lets everybody finish what they have sent, and returns all calls.
    pub async fn stop(mut self) -> Vec<Call> {
        self.shared.done.set(true);
        while self.tasks.join_next().await.is_some() {}
        self.shared.calls.take()
    }
}

impl Shared {
    fn now(&self) -> u64 {
        self.begin.elapsed().as_micros() as u64
    }

    async fn call(self: Rc<Self>, mut random: fastrand::Rng) {
        while !self.done.get() {
            let client = random.i32(1..=self.clients as i32);
            let asked = if random.u8(..5) == 0 {
                Asked::Statement
            } else {
                self.sent.set(self.sent.get() + 1);
                let cents = random.i64(-60_000..=50_000);
                Asked::Transaction {
                    cents: if cents == 0 { 1 } else { cents },
                    description: format!("{:x}", self.sent.get()),
                    keyed: self.keyed,
                }
            };
            let start = self.now();
            let mut told = self.ask(client, &asked).await;
            if let Asked::Transaction { keyed: true, .. } = asked {
                while told.may_be_asked_again() && self.now() - start < PERSISTENCE.as_micros() as u64 {
                    tokio::time::sleep(PATIENCE).await;
                    told = self.ask(client, &asked).await;
                }
            }
            let end = self.now();
            let pause = told.may_be_asked_again();
            self.calls.borrow_mut().push(Call { client, start, end, asked, told });
            if pause {
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }

    async fn ask(&self, client: i32, asked: &Asked) -> Told {
        match asked {
            Asked::Statement => {
                let answer = self.endpoint.get(&format!("/clientes/{client}/extrato")).await;
                answer.map_or(Told::Unanswered, |answer| read_statement(&answer))
            }
            Asked::Transaction { cents, description, keyed } => {
                let kind = if *cents > 0 { "c" } else { "d" };
                let body =
                    serde_json::json!({ "valor": cents.abs(), "tipo": kind, "descricao": description });
                let path = format!("/clientes/{client}/transacoes");
                // Nobody else has its description, nor so its key.
                let key = format!("Idempotency-Key: \"{description}\"");
                let headers: &[&str] = if *keyed { &[&key] } else { &[] };
                let answer = self.endpoint.post_with(&path, headers, &body.to_string()).await;
                answer.map_or(Told::Unanswered, |answer| match answer.status {
                    200 => balance(&answer).map_or(Told::Wrong(200), Told::Applied),
                    422 => Told::OverLimit,
                    _ => refusal(answer.status),
                })
            }
        }
    }
}

fn refusal(status: u16) -> Told {
    match status {
        // 408: it did not arrive in time, so nobody has read it.
        503 | 408 => Told::Refused,
        504 => Told::Unknown,
        status => Told::Wrong(status),
    }
}

fn balance(answer: &Answer) -> Option<i64> {
    serde_json::from_str::<Value>(&answer.body).ok()?["saldo"].as_i64()
}

fn read_statement(answer: &Answer) -> Told {
    let read = || {
        let body: Value = serde_json::from_str(&answer.body).ok()?;
        let entries = body["ultimas_transacoes"].as_array()?;
        let descriptions = entries.iter().map(|entry| entry["descricao"].as_str().map(str::to_owned));
        Some(Told::Statement(body["saldo"]["total"].as_i64()?, descriptions.collect::<Option<_>>()?))
    };
    match answer.status {
        200 => read().unwrap_or(Told::Wrong(200)),
        status => refusal(status),
    }
}

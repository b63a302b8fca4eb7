//! A witness beside wrk, which tells no single answers: one caller asks for a transaction twenty times a second,
//! each on a connection of its own, and remembers how long each answer took. Whatever makes everybody wait makes
//! the witness wait, too.

use std::cell::RefCell;
use std::time::Duration;

use testbed::http::Endpoint;

use crate::stalls::Answer;
use crate::stalls::watch::now_s;

/// How many times a second it asks, unless it still waits.
pub const PER_SECOND: u32 = 20;

/// What it asks for: a credit of a cent, which no limit refuses.
const CREDIT: &str = r#"{"valor":1,"tipo":"c","descricao":"witness"}"#;

/// Asks for ever, for clients 1 to `clients` in turn. No answer is one, too: it took as long as was waited for it.
pub async fn ask(endpoint: &Endpoint, clients: u32, answers: &RefCell<Vec<Answer>>) -> ! {
    let mut ticks = crate::ticks(Duration::from_secs(1) / PER_SECOND);
    let mut turns = (1..=clients).cycle();
    loop {
        ticks.tick().await;
        let (client, start_s) = (turns.next().unwrap_or(1), now_s());
        let _ = endpoint.post(&format!("/clientes/{client}/transacoes"), CREDIT).await;
        answers.borrow_mut().push(Answer { start_s, end_s: now_s(), spent: None });
    }
}

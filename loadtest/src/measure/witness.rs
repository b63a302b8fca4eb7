//! A witness beside wrk, which tells no single answers: one caller asks for a transaction twenty times a second,
//! each on a connection of its own, and remembers how long each answer took. Whatever makes everybody wait makes
//! the witness wait, too.

use std::time::Duration;

use testbed::http::Endpoint;

use crate::stalls::watch::now_s;
use crate::stalls::{Answer, TOO_SLOW_MS};

/// How many times a second it asks, unless it still waits.
pub const PER_SECOND: u32 = 20;

/// What it asks for: a credit of a cent, which no limit refuses.
const CREDIT: &str = r#"{"valor":1,"tipo":"c","descricao":"witness"}"#;

/// Asks for ever, for clients 1 to `clients` in turn, and tells each answer and whether it was right. No answer is one,
/// too: it took as long as was waited for it.
pub async fn ask(endpoint: &Endpoint, clients: u32, mut tell: impl FnMut(Answer, bool)) -> ! {
    let mut ticks = crate::ticks(Duration::from_secs(1) / PER_SECOND);
    let mut turns = (1..=clients).cycle();
    loop {
        ticks.tick().await;
        let (client, start_s) = (turns.next().unwrap_or(1), now_s());
        let answer = endpoint.post(&format!("/clientes/{client}/transacoes"), CREDIT).await;
        let right = answer.is_ok_and(|answer| answer.status == 200);
        tell(Answer { start_s, end_s: now_s(), spent: None }, right);
    }
}

/// Asks for so many seconds, once a load has ended. Returns the seconds until the last answer that was wrong or late.
pub async fn unwell(endpoint: &Endpoint, clients: u32, seconds: u32) -> f64 {
    let ended = now_s();
    let late_s = TOO_SLOW_MS / 1_000.0;
    let (mut unwell, mut last) = (0.0, ended);
    let asking = ask(endpoint, clients, |answer, right| {
        last = answer.end_s;
        if !right || answer.end_s - answer.start_s > late_s {
            unwell = answer.end_s - ended;
        }
    });
    let Err(_elapsed) = tokio::time::timeout(Duration::from_secs(seconds.into()), asking).await;
    // Whoever still waits is late, too.
    if now_s() - last > late_s { now_s() - ended } else { unwell }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What is seen for a second of a server that answers the first request with a status and late, and all others
    /// with `then`, if at all.
    async fn seen(first: &'static str, late: Duration, then: Option<&'static str>) -> f64 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = Endpoint::Tcp(listener.local_addr().expect("an address"));
        let answering = async {
            let mut answers = Some((late, first));
            loop {
                let (mut stream, _) = listener.accept().await.expect("a caller");
                let _ = stream.read(&mut [0; 1_024]).await;
                let (late, status) = match (answers.take(), then) {
                    (Some(first), _) => first,
                    (None, Some(status)) => (Duration::ZERO, status),
                    (None, None) => std::future::pending().await,
                };
                tokio::time::sleep(late).await;
                let answer = format!("HTTP/1.0 {status} x\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        };
        tokio::select! {
            seen = unwell(&endpoint, 5, 1) => seen,
            () = answering => unreachable!("it answers for ever"),
        }
    }

    #[tokio::test]
    async fn the_last_wrong_or_late_answer_is_how_long_it_took() {
        const LATE: Duration = Duration::from_millis(400);
        assert_eq!(seen("200", Duration::ZERO, Some("200")).await, 0.0);
        assert!((0.4..0.9).contains(&seen("200", LATE, Some("200")).await));
        assert!((0.0001..0.4).contains(&seen("503", Duration::ZERO, Some("200")).await));
        assert!(seen("200", Duration::ZERO, Some("503")).await > 0.7, "to the end");
        assert!(seen("200", Duration::ZERO, None).await >= 1.0, "who waits is late, too");
    }
}

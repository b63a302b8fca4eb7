//! What an idle actor costs: activates many, lets all of them idle, and divides what the process
//! grew by.
//!
//! `cargo run --release --example idle_actors [ACTORS]`

mod ledger;

use std::time::Duration;

use futures_util::future::join_all;
use guiche::domain::{Amount, ClientId, Description, Kind, Transaction};
use guiche::mailbox::{GathererOptions, MailboxOptions, Mailboxes, Ticket};
use guiche::observing::{Observer, RequestId};
use settings::Mode;

const ACTORS: usize = 100_000;

/// How many are activated at once.
const AT_ONCE: usize = 50;

/// Longer than this runs: nobody is forgotten meanwhile.
const FOREVER: Duration = Duration::from_secs(86_400);

fn main() {
    let actors = match std::env::args().nth(1).map(|count| count.parse()) {
        None => ACTORS,
        Some(Ok(count)) if (1..=10_000_000).contains(&count) => count,
        Some(_) => {
            eprintln!("usage: idle_actors [ACTORS], from 1 to 10,000,000");
            std::process::exit(2);
        }
    };
    actix_rt::System::new().block_on(measure(actors));
}

async fn measure(actors: usize) {
    let mailboxes = mailboxes(actors + 1);
    // What the first one brings is not the actors' own.
    activate(&mailboxes, actors + 1).await;
    let before = resident_kib();
    for first in (1..=actors).step_by(AT_ONCE) {
        let last = actors.min(first + AT_ONCE - 1);
        join_all((first..=last).map(|id| activate(&mailboxes, id))).await;
    }
    let grown = resident_kib().saturating_sub(before);
    assert_eq!(mailboxes.live_actors(), actors + 1, "all are alive");
    println!(
        "{actors} idle actors take {:.1} MiB: {} bytes each",
        grown as f64 / 1024.0,
        grown * 1024 / actors as u64
    );
}

/// Applies a transaction, so that the client has an actor, and one that has worked.
async fn activate(mailboxes: &Mailboxes, id: usize) {
    let client: ClientId = id.to_string().parse().expect("a client's id");
    let transaction = Transaction {
        amount: Amount::try_from(1).expect("positive"),
        kind: Kind::Credit,
        description: Description::try_from("x").expect("one character"),
        key: None,
    };
    mailboxes.apply(client, transaction, Ticket::new(RequestId::made(), None)).await.expect("it is applied");
}

fn mailboxes(live_actors: usize) -> Mailboxes {
    let options = MailboxOptions {
        mode: Mode::Batched,
        queue_per_client: 100,
        live_actors,
        requests_in_flight: AT_ONCE,
        answer_deadline: FOREVER,
        passivate_after: FOREVER,
    };
    let gatherer = GathererOptions {
        mode: Mode::Batched,
        clients_per_call: 64,
        batch_max: 256,
        calls_in_flight: 1,
        overlap_calls: 1,
        overlap_below: 0,
        row_waits: 0,
    };
    let mailboxes = Mailboxes::new(options, Observer::unheard());
    mailboxes.serve_here(gatherer, Box::new(ledger::Paper));
    mailboxes.open();
    mailboxes
}

/// Memory of this process that no file stands behind, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells what a process uses");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("it is in there");
    line.trim_end_matches("kB").trim().parse().expect("a number")
}

//! What a worker serves, on connections that are memory and by a clock that only runs while all wait; its ledger
//! writes down what reaches it.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::SystemRunner;
use actix_service::{IntoServiceFactory, Service, ServiceFactory};
use actix_web::{App, web};
use guiche::domain::{Applied, BankStatement, ClientId, Transaction};
use guiche::http::{Api, DoorOptions, Readiness, by_the_door, routes};
use guiche::mailbox::{
    CallOutcomes, GathererOptions, Ledger, LedgerConnection, LedgerError, LocalFuture, MailboxOptions,
    Mailboxes, RowWait, Run,
};
use guiche::observing::Observer;
use guiche::observing::metrics::Gauge;
use settings::Mode;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// What a connection brought.
#[derive(Debug, Default)]
pub struct Brought {
    /// All that was answered.
    pub answers: Vec<u8>,
    /// Transactions that reached the ledger, each with its client.
    pub applied: Vec<(i32, Transaction)>,
    /// Clients whose statement was asked for there.
    pub read: Vec<i32>,
}

/// Longer than any answer takes by the clock of those who wait.
const FOREVER: Duration = Duration::from_secs(600);

type Serve = Box<dyn Fn(DuplexStream) -> LocalFuture<'static, ()>>;

struct Front {
    system: SystemRunner,
    serve: Serve,
    book: Book,
}

thread_local! {
    /// It is never dropped: what it holds has thread locals of its own, which may be gone by then.
    static FRONT: RefCell<Option<ManuallyDrop<Front>>> = const { RefCell::new(None) };
}

/// Sends bytes on a connection of their own, and returns what came of them once it is closed.
pub fn send(bytes: &[u8]) -> Brought {
    FRONT.with_borrow_mut(|front| {
        let Front { system, serve, book } =
            &mut **front.get_or_insert_with(|| ManuallyDrop::new(Front::start()));
        *book.0.borrow_mut() = Brought::default();
        let (near, far) = duplex(1 << 16);
        let served = serve(far);
        let answers = system.block_on(async move {
            let talk = async {
                let (mut reading, mut writing) = tokio::io::split(near);
                let mut answers = Vec::new();
                let (sent, _) = tokio::join!(writing.write_all(bytes), reading.read_to_end(&mut answers));
                // It is closed before all is sent where something is wrong with what was.
                drop(sent);
                answers
            };
            let both = async { tokio::join!(talk, served).0 };
            tokio::time::timeout(FOREVER, both).await.expect("no connection lasts")
        });
        Brought { answers, ..book.0.take() }
    })
}

impl Front {
    fn start() -> Self {
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_all().start_paused(true).build().expect("a runtime")
        };
        let system = actix_rt::System::with_tokio_rt(runtime);
        let book = Book::default();
        let serve = system.block_on(serve(book.clone()));
        Self { system, serve, book }
    }
}

async fn serve(book: Book) -> Serve {
    let mode = Mode::Batched;
    let mailboxes = Mailboxes::new(
        MailboxOptions {
            mode,
            queue_per_client: 80,
            live_actors: 100,
            requests_in_flight: 400,
            answer_deadline: Duration::from_secs(10),
            passivate_after: Duration::from_secs(1),
        },
        Observer::unheard(),
    );
    let gatherer = GathererOptions {
        mode,
        clients_per_call: 64,
        batch_max: 256,
        calls_in_flight: 1,
        overlap_calls: 1,
        overlap_below: 0,
        row_waits: 0,
    };
    mailboxes.serve_here(gatherer, Box::new(book));
    mailboxes.open();
    let app = move || {
        let api = Api {
            mailboxes: mailboxes.clone(),
            readiness: Box::new(|| Box::pin(async { Readiness::Ready })),
            body_limit_bytes: 4_096,
            server_timing: false,
            observer: Observer::unheard(),
            ending: Arc::default(),
        };
        App::new().app_data(web::Data::new(api)).configure(routes)
    };
    let door = DoorOptions {
        request_deadline: Duration::from_secs(5),
        idle_deadline: Duration::from_secs(2),
        give_way_at: 100,
        bodies_awaited: 32,
    };
    let factory = by_the_door(app().into_factory(), door, Gauge::default(), std::future::pending::<()>);
    let service = factory.new_service(()).await.expect("it can always be made");
    let service = Rc::new(service);
    Box::new(move |stream| {
        let service = Rc::clone(&service);
        Box::pin(async move {
            // How it ended is told by its answers.
            let _ = service.call(stream).await;
        })
    })
}

/// A ledger that says yes to everything, and writes down what it is asked.
#[derive(Clone, Default)]
struct Book(Rc<RefCell<Brought>>);

impl Ledger for Book {
    fn connect(&self, _server: usize) -> LocalFuture<'_, Result<Box<dyn LedgerConnection>, LedgerError>> {
        Box::pin(async { Ok(Box::new(self.clone()) as Box<dyn LedgerConnection>) })
    }
}

impl LedgerConnection for Book {
    fn apply<'a>(
        &'a self,
        runs: &'a [Run],
        _: RowWait,
    ) -> LocalFuture<'a, Result<CallOutcomes, LedgerError>> {
        Box::pin(async move {
            let mut book = self.0.borrow_mut();
            let mut outcomes = Vec::new();
            for run in runs {
                for transaction in &run.transactions {
                    book.applied.push((run.client.get(), transaction.clone()));
                    outcomes.push(Ok(Applied { balance: 0, credit_limit: 0 }));
                }
            }
            Ok(CallOutcomes { outcomes, ..CallOutcomes::default() })
        })
    }

    fn statements<'a>(
        &'a self,
        clients: &'a [ClientId],
    ) -> LocalFuture<'a, Result<Vec<Option<BankStatement>>, LedgerError>> {
        Box::pin(async move {
            self.0.borrow_mut().read.extend(clients.iter().map(|client| client.get()));
            Ok(vec![None; clients.len()])
        })
    }
}

/// Returns the statuses of all answers, and checks that each has a body that says so.
pub fn statuses(answers: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answers);
    let mut rest = &*text;
    let mut statuses = Vec::new();
    while !rest.is_empty() {
        let (head, behind) = rest.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {rest:?}"));
        let status = head.strip_prefix("HTTP/1.").and_then(|line| line.get(2..5)?.parse().ok());
        let status: u16 = status.unwrap_or_else(|| panic!("no status: {head:?}"));
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let length: usize = length.unwrap_or(0);
        rest = behind;
        if status == 100 {
            continue;
        }
        // The answer to a HEAD says how long its body would be.
        let whole = behind.get(..length).filter(|_| !behind.starts_with("HTTP/1."));
        let body = whole.unwrap_or_default();
        if status >= 400 && !body.is_empty() {
            let says: serde_json::Value =
                serde_json::from_str(body).unwrap_or_else(|why| panic!("{why}: {body}"));
            assert_eq!(says["status"], status, "{body}");
        }
        rest = &behind[body.len()..];
        statuses.push(status);
    }
    statuses
}

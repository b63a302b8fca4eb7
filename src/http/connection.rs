//! The connections of a thread: what each is waited for, and which of them gives way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use actix_web::HttpRequest;
use tokio::time::Instant;

use super::problem::Problem;
use crate::observing::metrics::Gauge;

/// How long a connection has said nothing before it gives way to others.
const IDLE: Duration = Duration::from_secs(1);

/// The bounds on the connections of one thread.
#[derive(Clone, Copy, Debug)]
pub struct DoorOptions {
    /// How long a request may take to arrive.
    pub request_deadline: Duration,
    /// How long a connection may say nothing between two requests.
    pub idle_deadline: Duration,
    /// From how many connections on one has to give way to each that comes.
    pub give_way_at: usize,
    /// Of how many requests the body may still be on its way; beyond that the one that has taken longest
    /// is given up.
    pub bodies_awaited: usize,
}

/// A connection, as its thread and its requests know it.
pub(super) struct Connection {
    pub(super) phase: Cell<Phase>,
    /// When the first byte of the latest request came, or the connection.
    since: Cell<Instant>,
    /// Requests that are whole and being worked on.
    in_service: Cell<usize>,
    gives_way: Cell<bool>,
    options: DoorOptions,
    waker: RefCell<Option<Waker>>,
    /// Counts all that are open.
    open: Gauge,
}

/// How much of the next request is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It was opened, and nothing has come yet.
    New,
    /// Nothing has come since the last answer.
    Nothing,
    /// Some of it has come, and is not known to be more than a part of its head.
    Head,
    /// Its head is whole, and its body is not.
    Body,
    /// It took too long.
    Overdue,
}

thread_local! {
    /// The connections of this thread.
    static CONNECTIONS: RefCell<Vec<Rc<Connection>>> = const { RefCell::new(Vec::new()) };
}

/// Says, as long as it lives, that a request is whole and being worked on: its connection has no deadline
/// and does not give way.
pub(super) struct InService(Option<Rc<Connection>>);

impl InService {
    /// Begins with a request that is whole.
    pub(super) fn begin(request: &HttpRequest) -> Self {
        let connection = request.conn_data::<Rc<Connection>>().cloned();
        if let Some(connection) = &connection {
            connection.in_service.set(connection.in_service.get() + 1);
        }
        Self(connection)
    }
}

/// Notes that a request's head is whole, and its body is not.
pub(super) fn awaits_body(request: &HttpRequest) {
    if let Some(connection) = request.conn_data::<Rc<Connection>>() {
        connection.phase.set(Phase::Body);
        let _ = Connection::make_room_beyond(connection.options.bodies_awaited, |one| {
            one.phase.get() == Phase::Body
        });
    }
}

/// Returns what became of a request whose body broke off.
pub(super) fn broken_off(request: &HttpRequest) -> Problem {
    match request.conn_data::<Rc<Connection>>() {
        Some(connection) if connection.phase.get() == Phase::Overdue => Problem::BodyIncomplete,
        _ => Problem::MalformedRequest,
    }
}

impl Drop for InService {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.in_service.set(connection.in_service.get() - 1);
        }
    }
}

impl Connection {
    /// Counts one more, for which another may have to give way. Its first request is waited for as if it
    /// had begun.
    pub(super) fn open(options: DoorOptions, open: &Gauge) -> Rc<Self> {
        open.inc();
        let connection = Rc::new(Self {
            phase: Cell::new(Phase::New),
            since: Cell::new(Instant::now()),
            in_service: Cell::new(0),
            gives_way: Cell::new(false),
            options,
            waker: RefCell::new(None),
            open: open.clone(),
        });
        let count = CONNECTIONS.with_borrow_mut(|all| {
            all.push(Rc::clone(&connection));
            all.len()
        });
        if count > options.give_way_at {
            tokio::task::spawn_local(Self::make_room(options.give_way_at));
        }
        connection
    }

    /// Counts it no longer.
    pub(super) fn close(&self) {
        self.open.dec();
        CONNECTIONS.with_borrow_mut(|all| {
            if let Some(position) = all.iter().position(|one| std::ptr::eq(&**one, self)) {
                all.swap_remove(position);
            }
        });
    }

    /// Takes notice of bytes that have come.
    pub(super) fn hears(&self) {
        match self.phase.get() {
            Phase::Nothing => self.since.set(Instant::now()),
            Phase::New => {}
            Phase::Head | Phase::Body | Phase::Overdue => return,
        }
        self.phase.set(Phase::Head);
    }

    /// Returns whether all that has come is answered, and nothing more has.
    pub(super) fn idles(&self) -> bool {
        matches!(self.phase.get(), Phase::New | Phase::Nothing) && !self.is_in_service()
    }

    fn is_in_service(&self) -> bool {
        self.in_service.get() > 0
    }

    /// Returns when it will have taken too long, unless it is in service.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let most = match self.phase.get() {
            Phase::Nothing => self.options.idle_deadline,
            Phase::New | Phase::Head | Phase::Body | Phase::Overdue => self.options.request_deadline,
        };
        (!self.is_in_service()).then(|| self.since.get() + most)
    }

    /// Returns whether it must give way, and otherwise wakes `waker` once it must.
    pub(super) fn gives_way(&self, waker: &Waker) -> bool {
        if self.gives_way.get() && !self.is_in_service() {
            return true;
        }
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        false
    }

    /// Returns what is told to whom is waited for no longer.
    pub(super) fn give_up(&self) -> Option<Problem> {
        match self.phase.replace(Phase::Overdue) {
            Phase::Nothing | Phase::Overdue => None,
            Phase::New | Phase::Head => Some(Problem::HeadIncomplete),
            Phase::Body => Some(Problem::BodyIncomplete),
        }
    }

    /// Where more than `most` of a kind are not in service, has that one of them give way that has been heard
    /// of longest ago. Returns whether there was one.
    fn make_room_beyond(most: usize, kind: impl Fn(&Self) -> bool) -> bool {
        CONNECTIONS.with_borrow(|all| {
            let waiting =
                || all.iter().filter(|one| kind(one) && !one.is_in_service() && !one.gives_way.get());
            if waiting().count() <= most {
                return false;
            }
            let longest = waiting().min_by_key(|one| one.since.get());
            longest.inspect(|longest| longest.give_way()).is_some()
        })
    }

    fn give_way(&self) {
        self.gives_way.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Has one connection for each beyond the bound give way, once there is one that has said nothing for a
    /// while: who is between two requests is not to be cut.
    async fn make_room(give_way_at: usize) {
        let idles = |one: &Self| one.since.get().elapsed() >= IDLE;
        while CONNECTIONS.with_borrow(Vec::len) > give_way_at && !Self::make_room_beyond(0, idles) {
            tokio::time::sleep(IDLE / 4).await;
        }
    }
}

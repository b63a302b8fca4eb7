//! One schedule: what happens is decided one by one, until everything is over.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use super::super::tests::{client, credit};
use super::super::{GathererOptions, MailboxOptions, Mailboxes, Ticket};
use super::choices::Choices;
use super::judge::{Judge, Say, UNKNOWN};
use super::ledger::{Asked, SharedWorld, SimulatedLedger, World};
use super::stage::{self, Shard};
use crate::observing::{Observer, RequestId};

/// What is played.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) mailboxes: MailboxOptions,
    pub(super) gatherer: GathererOptions,
    pub(super) shards: usize,
    /// Whose requests arrive, in this order.
    pub(super) arrivals: Vec<i32>,
    /// Whether statements are asked for, connections waited for, rows held, actors made to panic, and things
    /// happen before others are done with.
    pub(super) wild: bool,
    /// How often the time may be moved: to the answer's deadline, and until who idles is forgotten.
    pub(super) moves: [usize; 2],
}

/// Longer than anything else but deadlines.
pub(super) const PATIENCE: Duration = Duration::from_millis(4);

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Event {
    Arrive,
    Leave(usize),
    Answer(usize, Say),
    Commit(usize),
    Deadline,
    Passivate,
    Moment,
    Panic,
    Drain,
}

struct Play<'a> {
    script: &'a Script,
    choices: &'a mut Choices,
    world: SharedWorld,
    mailboxes: Mailboxes,
    shards: Vec<Shard>,
    arrived: usize,
    leavers: BTreeMap<usize, oneshot::Sender<()>>,
    moves: [usize; 2],
    draining: bool,
}

/// Plays one schedule; returns how often what was told.
///
/// # Errors
/// What was wrong.
pub(super) fn play(
    script: &Script,
    choices: &mut Choices,
    observer: &Observer,
) -> Result<HashMap<&'static str, u64>, String> {
    let judge = Judge::new(script.mailboxes);
    let world = World { judge, pending: Vec::new(), connections_wait: script.wild };
    let world = Rc::new(RefCell::new(world));
    let mailboxes = Mailboxes::new(script.mailboxes, observer.clone());
    let ledger = || Box::new(SimulatedLedger(Rc::clone(&world)));
    let shards = (0..script.shards).map(|_| Shard::start(&mailboxes, script.gatherer, ledger())).collect();
    mailboxes.open();
    let leavers = BTreeMap::new();
    let moves = script.moves;
    let mut play =
        Play { script, choices, world, mailboxes, shards, arrived: 0, leavers, moves, draining: false };
    play.rest();
    // Where nothing may happen, what runs may still bring something.
    while let Some(event) = play.decide().or_else(|| {
        play.rest();
        play.decide()
    }) {
        play.happen(event);
        play.go_on();
        if play.world.borrow().judge.wrong.is_some() {
            break;
        }
    }
    play.end(observer)
}

impl Play<'_> {
    /// Decides what happens next; nothing where everything is over.
    fn decide(&mut self) -> Option<Event> {
        let world = self.world.borrow();
        let wild = self.script.wild;
        let mut may = Vec::new();
        if !self.draining && self.arrived < self.script.arrivals.len() {
            may.extend([(Event::Arrive, 12), (Event::Drain, 1)]);
        }
        for (position, call) in world.pending.iter().enumerate() {
            let answer = |say, weight| (Event::Answer(position, say), weight);
            may.push(answer(Say::Yes, 8));
            match &call.asked {
                Asked::Connection => may.extend([answer(Say::NotSent, 1), answer(Say::Panic, 1)]),
                Asked::Runs(_) => {
                    may.extend([answer(Say::Unknown, 1), answer(Say::Panic, 1)]);
                    if call.committed.is_none() {
                        may.extend([answer(Say::RolledBack, 1), (Event::Commit(position), 1)]);
                        may.extend(wild.then_some(answer(Say::RowHeld, 3)));
                    }
                }
                Asked::Held => may.extend([(Event::Commit(position), 3), answer(Say::Unknown, 1)]),
                Asked::Statement => may.extend([answer(Say::Unknown, 1), answer(Say::Panic, 1)]),
            }
            if call.committed.is_some() {
                // What is committed is answered, not committed again.
                may.retain(|(event, _)| !matches!(event, Event::Commit(it) if *it == position));
            }
        }
        let waiting = self.leavers.iter().filter(|(_, leaver)| !leaver.is_closed());
        may.extend(waiting.map(|(number, _)| (Event::Leave(*number), 1)));
        if may.is_empty() {
            return None;
        }
        if wild {
            may.extend([(Event::Moment, 3), (Event::Panic, 1)]);
        }
        may.extend((self.moves[0] > 0 && !world.judge.waiting().is_empty()).then_some((Event::Deadline, 1)));
        may.extend((self.moves[1] > 0).then_some((Event::Passivate, 2)));
        drop(world);
        Some(self.choices.weigh(&may))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive => self.arrive(),
            Event::Leave(id) => drop(self.leavers.remove(&id)),
            Event::Answer(position, say) => self.world.borrow_mut().answer(position, say),
            Event::Commit(position) => {
                let world = &mut *self.world.borrow_mut();
                if matches!(world.pending[position].asked, Asked::Held) {
                    world.pending[position].committed = Some(Vec::new());
                } else {
                    world.commit(position);
                }
            }
            Event::Deadline => {
                self.moves[0] -= 1;
                stage::advance(&self.shards, self.script.mailboxes.answer_deadline);
            }
            Event::Passivate => {
                self.moves[1] -= 1;
                self.pass_patience();
            }
            Event::Moment => stage::advance(&self.shards, Duration::from_millis(1)),
            Event::Panic => {
                let of = self.script.arrivals[self.choices.pick(self.script.arrivals.len())];
                self.mailboxes.inner.registry.panic_in(client(of));
            }
            Event::Drain => self.draining = true,
        }
    }

    /// Lets everything come to rest, or, where it is wild, perhaps only some of it, or none.
    fn go_on(&mut self) {
        match if self.script.wild { self.choices.pick(4) } else { 0 } {
            0 | 1 => self.rest(),
            2 => {
                let shard = self.choices.pick(self.shards.len());
                self.shards[shard].tick();
            }
            _ => {}
        }
    }

    fn rest(&mut self) {
        stage::rest(&self.shards);
        let world = &mut *self.world.borrow_mut();
        world.rests();
        if self.shards.iter().any(|shard| shard.gatherer.forgets()) {
            world.judge.wrong("something is ready, and nobody sends it".into());
        }
        let (live, bound) = (self.mailboxes.live_actors(), self.script.mailboxes.live_actors);
        if live > bound {
            world.judge.wrong(format!("{live} actors are alive, of {bound}"));
        }
    }

    fn pass_patience(&mut self) {
        for _ in 0..6 {
            stage::advance(&self.shards, PATIENCE / 4);
            self.rest();
        }
    }

    fn arrive(&mut self) {
        let of = self.script.arrivals[self.arrived];
        self.arrived += 1;
        let statement = self.script.wild && self.choices.pick(4) == 0;
        let shard = self.choices.pick(self.shards.len());
        let (leaver, leaves) = oneshot::channel::<()>();
        let (world, mailboxes) = (Rc::clone(&self.world), self.mailboxes.clone());
        self.leavers.insert(self.arrived, leaver);
        self.shards[shard].run(async {
            tokio::task::spawn_local(async move {
                let id = world.borrow_mut().judge.arrives(of, statement);
                let ask = Box::pin(async {
                    let ticket = Ticket::new(RequestId::made(), None);
                    if statement {
                        let told = mailboxes.statement(client(of), ticket).await?;
                        Ok(Err(told.value.map(|statement| statement.balance)))
                    } else {
                        Ok(Ok(mailboxes.apply(client(of), credit(1 << id), ticket).await?.value))
                    }
                });
                match select(ask, leaves).await {
                    Either::Left((told, _)) => world.borrow_mut().judge.is_told(id, told),
                    Either::Right((_, ask)) => {
                        drop(ask);
                        world.borrow_mut().judge.leaves(id);
                    }
                }
            });
        });
    }

    /// All counts are back at zero, and who idles is forgotten.
    fn end(mut self, observer: &Observer) -> Result<HashMap<&'static str, u64>, String> {
        self.rest();
        for _ in 0..3 {
            self.pass_patience();
        }
        let mut world = self.world.borrow_mut();
        let inner = &self.mailboxes.inner;
        let metrics = &observer.mailbox;
        let counts = [
            ("depth", metrics.depth.get()),
            ("in flight", metrics.requests.get()),
            ("live", inner.registry.len() as i64),
            ("live in metrics", metrics.live_actors.get()),
            ("calls", self.shards.iter().map(|shard| shard.gatherer.out()).sum::<usize>() as i64),
        ];
        if counts.iter().any(|(_, count)| *count != 0) {
            world.judge.wrong(format!("not all is over: {counts:?}"));
        }
        world.judge.ends();
        let (wrong, tally) = (world.judge.wrong.take(), std::mem::take(&mut world.judge.tally));
        drop(world);
        stage::end(self.shards);
        wrong.map_or(Ok(tally), Err)
    }
}

/// Returns a client that there is, or, seldom, one that there is not.
pub(super) fn some_client(choices: &mut Choices, clients: usize) -> i32 {
    let picked = choices.pick(clients * 4 + 1);
    if picked == clients * 4 { UNKNOWN } else { (picked % clients) as i32 + 1 }
}

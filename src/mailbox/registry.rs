//! Client id → actor: activates on first use, forgets what is idle, bounds how many are alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use actix::{Actor, Addr};
use actix_rt::ArbiterHandle;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry as MapEntry;

use super::actor::{ClientActor, Enqueue};
use super::gatherer::{Gatherer, Owner};
use super::idle::{IdleList, LOOKS, Slot};
use super::job::Job;
use super::{Bound, Refusal};
use crate::domain::ClientId;
use crate::observing::Observer;

/// All live actors of the instance.
pub(super) struct Registry {
    actors: DashMap<ClientId, Entry>,
    /// What [`DashMap::len`] would count by locking every part of the map.
    live: AtomicUsize,
    /// Who of them may make room for others.
    idle: IdleList,
    arbiters: RwLock<Vec<ArbiterHandle>>,
    queue_per_client: usize,
    live_actors: usize,
    observer: Observer,
}

struct Entry {
    address: Addr<ClientActor>,
    slot: Arc<Slot>,
}

impl Registry {
    pub(super) fn new(queue_per_client: usize, live_actors: usize, observer: Observer) -> Self {
        Self {
            actors: DashMap::new(),
            live: AtomicUsize::new(0),
            idle: IdleList::default(),
            arbiters: RwLock::default(),
            queue_per_client,
            live_actors,
            observer,
        }
    }

    /// Lets actors live on the current arbiter; returns its position among them.
    pub(super) fn add_current_arbiter(&self) -> usize {
        let mut arbiters = self.arbiters.write().unwrap_or_else(PoisonError::into_inner);
        arbiters.push(actix_rt::Arbiter::current());
        arbiters.len() - 1
    }

    /// Actors alive.
    pub(super) fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Looks the client's actor up, or starts it, and enqueues: one step under one guard.
    pub(super) fn submit(&self, client: ClientId, job: Job) -> Result<(), Refusal> {
        if let Some(entry) = self.actors.get(&client) {
            return self.enqueue(&entry, job);
        }
        // Room is made before the entry's guard is taken: forgetting an actor takes one too.
        self.reserve()?;
        match self.actors.entry(client) {
            MapEntry::Occupied(entry) => {
                self.release();
                self.enqueue(entry.get(), job)
            }
            MapEntry::Vacant(vacant) => {
                let entry = self.activate(client).inspect_err(|_| self.release())?;
                self.enqueue(&entry, job)?;
                vacant.insert(entry);
                Ok(())
            }
        }
    }

    /// Forgets an idle actor of any thread, which then ends by itself; false if it has work or is
    /// not the registered one. The check and the removal are one step.
    fn passivate(&self, client: ClientId, slot: &Arc<Slot>) -> bool {
        let idle = |_: &ClientId, entry: &Entry| Arc::ptr_eq(&entry.slot, slot) && slot.load.is_empty();
        let forgotten = self.actors.remove_if(&client, idle).is_some();
        if forgotten {
            self.release();
            self.observer.mailbox.passivations.inc();
            self.observer.actor(client.get(), "passivated");
        }
        forgotten
    }

    /// Forgets actors, of all threads, that have idled for `patience`, for as long as the current
    /// arbiter runs.
    pub(super) async fn sweep(self: Arc<Self>, patience: Duration) {
        let interval = patience / u32::from(LOOKS - 1);
        let mut tick = tokio::time::interval(interval.max(Duration::from_millis(1)));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.idle.sweep(|idle| {
                self.passivate(idle.client, &idle.slot);
            });
        }
    }

    fn enqueue(&self, entry: &Entry, job: Job) -> Result<(), Refusal> {
        if !entry.slot.load.try_enter(self.queue_per_client) {
            self.observer.mailbox.sheds.inc(Bound::ClientQueue.name());
            return Err(Refusal::Shed(Bound::ClientQueue));
        }
        // Goes past actix's own bound on purpose: the load is the bound.
        entry.address.do_send(Enqueue(job));
        Ok(())
    }

    fn activate(&self, client: ClientId) -> Result<Entry, Refusal> {
        let slot: Arc<Slot> = Arc::default();
        let address = self.start(client, Arc::clone(&slot)).ok_or(Refusal::Unavailable)?;
        self.observer.mailbox.activations.inc();
        self.observer.actor(client.get(), "activated");
        Ok(Entry { address, slot })
    }

    /// Starts the actor on the arbiter that the client is pinned to; `None` before there is one.
    fn start(&self, client: ClientId, slot: Arc<Slot>) -> Option<Addr<ClientActor>> {
        let arbiters = self.arbiters.read().unwrap_or_else(PoisonError::into_inner);
        let position = usize::try_from(client.get()).ok()?.checked_rem(arbiters.len())?;
        match Gatherer::of(client) {
            Some(gatherer) if gatherer.position() == position => {
                Some(ClientActor::new(client, slot, gatherer).start())
            }
            _ => Some(ClientActor::start_in_arbiter(&arbiters[position], move |_| {
                let gatherer = Gatherer::of(client).expect("only arbiters with a gatherer are in the list");
                ClientActor::new(client, slot, gatherer)
            })),
        }
    }

    /// Counts one more actor, making room for it if it must.
    fn reserve(&self) -> Result<(), Refusal> {
        loop {
            let add = |live| (live < self.live_actors).then_some(live + 1);
            if self.live.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).is_ok() {
                self.observer.mailbox.live_actors.inc();
                return Ok(());
            }
            let Some(idle) = self.idle.take_longest() else {
                self.observer.mailbox.sheds.inc(Bound::LiveActors.name());
                return Err(Refusal::Shed(Bound::LiveActors));
            };
            // One that has work again makes no room; it is listed anew when that is done.
            self.passivate(idle.client, &idle.slot);
        }
    }

    fn release(&self) {
        self.live.fetch_sub(1, Ordering::AcqRel);
        self.observer.mailbox.live_actors.dec();
    }

    /// Makes a client's actor panic.
    #[cfg(test)]
    pub(super) fn panic_in(&self, client: ClientId) {
        if let Some(entry) = self.actors.get(&client) {
            entry.address.do_send(super::actor::Panic);
        }
    }
}

impl Owner for Registry {
    fn idles(&self, client: ClientId, slot: &Arc<Slot>) {
        self.idle.enter(client, slot);
    }

    fn is_unknown(&self, client: ClientId, slot: &Arc<Slot>) {
        if !self.passivate(client, slot) {
            self.idles(client, slot);
        }
    }

    fn has_ended(&self, client: ClientId, slot: &Arc<Slot>) {
        if self.actors.remove_if(&client, |_, entry| Arc::ptr_eq(&entry.slot, slot)).is_some() {
            self.release();
        }
    }
}

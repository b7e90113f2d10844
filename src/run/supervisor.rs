//! Keeps exactly one task per slot, and in every slot the task that is wanted.
//!
//! Each wake-up compares what is wanted with what runs and does one of four things: spawn, ask
//! to stop, forget, nothing. A successor starts when its predecessor has ended, never beside it.
//! A task that ended by itself, or panicked, is seen the same way and comes back with a pause.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff;
use crate::core::plan::Slot;

/// A task that has run this long is taken for healthy: its next failure counts as the first.
pub const HEALTHY_AFTER: Duration = Duration::from_secs(10 * 60);

/// What a slot runs.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is asked of the supervisor.
#[derive(Debug)]
pub enum Order {
    /// The slot is not wanted any more, or not as it runs now.
    Stop(Slot),
    /// The slot is wanted.
    Start {
        /// Which.
        slot: Slot,
        /// A slot whose task must have ended before: the same mailbox under its old name.
        after: Option<Slot>,
    },
    /// Says when no task runs in this slot, at once if none does.
    Ended(Slot, oneshot::Sender<()>),
}

/// Keeps the slots until `stop`; then asks every task to stop and waits for all of them.
///
/// `spawn` makes the task of a slot as it is declared at that moment; `ended` is told of every
/// task that was not asked to stop: the slot and `panicked` or `finished`.
pub async fn run(
    mut orders: mpsc::UnboundedReceiver<Order>,
    stop: CancellationToken,
    spawn: impl Fn(&Slot, CancellationToken) -> Work,
    ended: impl Fn(&Slot, &'static str),
) {
    let mut slots = Slots::new(&spawn, &ended);
    loop {
        slots.spawn_wanted();
        let next_return = slots.next_return();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            order = orders.recv() => match order {
                Some(order) => {
                    slots.obey(order);
                    // All that wait, before the next look at every slot: a first revision starts
                    // as many as there are accounts.
                    while let Ok(order) = orders.try_recv() {
                        slots.obey(order);
                    }
                }
                None => break,
            },
            Some(result) = slots.tasks.join_next_with_id() => slots.forget(result),
            () = sleep_until(next_return) => {}
        }
    }
    slots.stop_all().await;
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

struct Slots<'a, S, E> {
    spawn: &'a S,
    ended: &'a E,
    /// Slots that should run, each with the slot whose task must have ended before.
    wanted: BTreeMap<Slot, Option<Slot>>,
    /// Slots that do run.
    running: BTreeMap<Slot, Worker>,
    /// Slots whose task failed, and when it may come back.
    resting: BTreeMap<Slot, Rest>,
    /// Which slot a task belongs to.
    names: HashMap<Id, Slot>,
    /// Who waits for the end of the task in a slot.
    waiting: Vec<(Slot, oneshot::Sender<()>)>,
    tasks: JoinSet<()>,
}

struct Worker {
    stop: CancellationToken,
    since: Instant,
    failures: u32,
}

struct Rest {
    until: Instant,
    failures: u32,
}

impl<'a, S, E> Slots<'a, S, E>
where
    S: Fn(&Slot, CancellationToken) -> Work,
    E: Fn(&Slot, &'static str),
{
    fn new(spawn: &'a S, ended: &'a E) -> Slots<'a, S, E> {
        Slots {
            spawn,
            ended,
            wanted: BTreeMap::new(),
            running: BTreeMap::new(),
            resting: BTreeMap::new(),
            names: HashMap::new(),
            waiting: Vec::new(),
            tasks: JoinSet::new(),
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Start { slot, after } => {
                self.resting.remove(&slot);
                self.wanted.insert(slot, after);
            }
            Order::Stop(slot) => {
                self.wanted.remove(&slot);
                self.resting.remove(&slot);
                if let Some(worker) = self.running.get(&slot) {
                    worker.stop.cancel();
                }
            }
            Order::Ended(slot, told) => {
                self.waiting.push((slot, told));
                self.tell_waiting();
            }
        }
    }

    fn tell_waiting(&mut self) {
        let running = &self.running;
        for (_, told) in self.waiting.extract_if(.., |(slot, _)| !running.contains_key(slot)) {
            // Who asked may have stopped waiting.
            let _ = told.send(());
        }
    }

    fn spawn_wanted(&mut self) {
        let now = Instant::now();
        let due: Vec<Slot> = self
            .wanted
            .iter()
            .filter(|(slot, _)| !self.running.contains_key(slot))
            .filter(|(_, after)| after.as_ref().is_none_or(|old| !self.running.contains_key(old)))
            .filter(|(slot, _)| self.resting.get(slot).is_none_or(|rest| rest.until <= now))
            .map(|(slot, _)| slot.clone())
            .collect();
        for slot in due {
            let failures = self.resting.remove(&slot).map_or(0, |rest| rest.failures);
            let stop = CancellationToken::new();
            let task = self.tasks.spawn((self.spawn)(&slot, stop.clone()));
            self.names.insert(task.id(), slot.clone());
            self.running.insert(slot, Worker { stop, since: now, failures });
        }
    }

    fn forget(&mut self, result: Result<(Id, ()), JoinError>) {
        let (id, how) = match &result {
            Ok((id, ())) => (*id, "finished"),
            Err(error) => (error.id(), "panicked"),
        };
        let slot = self.names.remove(&id).expect("every task was entered when spawned");
        let worker = self.running.remove(&slot).expect("every task runs in its slot");
        self.tell_waiting();
        if worker.stop.is_cancelled() {
            return;
        }
        (self.ended)(&slot, how);
        let healthy = worker.since.elapsed() >= HEALTHY_AFTER;
        let failures = if healthy { 1 } else { worker.failures + 1 };
        let until = Instant::now() + backoff::pause(failures, false, backoff::dice());
        self.resting.insert(slot, Rest { until, failures });
    }

    fn next_return(&self) -> Option<Instant> {
        self.resting.values().map(|rest| rest.until).min()
    }

    async fn stop_all(mut self) {
        for worker in self.running.values() {
            worker.stop.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    /// Counts the tasks in each slot and fails the test if there are ever two.
    #[derive(Default, Clone)]
    struct Watch(Arc<Mutex<Seen>>);

    #[derive(Default)]
    struct Seen {
        running: BTreeSet<Slot>,
        started: usize,
    }

    impl Watch {
        fn spawn(&self, slot: &Slot, stop: CancellationToken, linger: Duration) -> Work {
            let (watch, slot) = (self.clone(), slot.clone());
            Box::pin(async move {
                {
                    let mut seen = watch.0.lock().unwrap();
                    assert!(seen.running.insert(slot.clone()), "two tasks in {slot:?}");
                    seen.started += 1;
                }
                stop.cancelled().await;
                tokio::time::sleep(linger).await;
                watch.0.lock().unwrap().running.remove(&slot);
            })
        }

        fn running(&self) -> BTreeSet<Slot> {
            self.0.lock().unwrap().running.clone()
        }
    }

    fn slot(name: u32) -> Slot {
        Slot::Poller(name.to_string())
    }

    fn start(slot: Slot) -> Order {
        Order::Start { slot, after: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_renamed_account_waits_for_its_predecessor() {
        let watch = Watch::default();
        let (orders, inbox) = mpsc::unbounded_channel();
        let watching = watch.clone();
        tokio::spawn(run(
            inbox,
            CancellationToken::new(),
            move |slot, stop| watching.spawn(slot, stop, Duration::from_secs(5)),
            |_, _| {},
        ));
        orders.send(start(slot(1))).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        orders.send(Order::Stop(slot(1))).unwrap();
        orders.send(Order::Start { slot: slot(2), after: Some(slot(1)) }).unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(watch.running(), BTreeSet::from([slot(1)]));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(watch.running(), BTreeSet::from([slot(2)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_is_wanted_already_is_left_alone() {
        let watch = Watch::default();
        let (orders, inbox) = mpsc::unbounded_channel();
        let watching = watch.clone();
        tokio::spawn(run(
            inbox,
            CancellationToken::new(),
            move |slot, stop| watching.spawn(slot, stop, Duration::ZERO),
            |_, _| {},
        ));
        for _ in 0..5 {
            orders.send(start(slot(1))).unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(watch.0.lock().unwrap().started, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panicking_task_comes_back_with_growing_pauses() {
        let starts = Arc::new(Mutex::new(Vec::new()));
        let panics = Arc::new(Mutex::new(0));
        let (orders, inbox) = mpsc::unbounded_channel();
        let (starting, counting) = (starts.clone(), panics.clone());
        tokio::spawn(run(
            inbox,
            CancellationToken::new(),
            move |_, _| {
                starting.lock().unwrap().push(Instant::now());
                Box::pin(async { panic!("on purpose") })
            },
            move |_, how| {
                assert_eq!(how, "panicked");
                *counting.lock().unwrap() += 1;
            },
        ));
        orders.send(start(slot(1))).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let starts = starts.lock().unwrap().clone();
        assert!(starts.len() >= 4, "{}", starts.len());
        assert!(starts[3] - starts[2] > starts[1] - starts[0]);
        assert_eq!(*panics.lock().unwrap(), starts.len());
    }
}

//! Random sequences of edits, carried out by the real plan and the real supervisor on a paused
//! clock: never two workers for one account, the same end as a fresh start, and what an edit does
//! not touch is not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postroom::core::config::{
    Account, AfterFetch, Config, Dispatch, Only, Oversize, Poll, Since, Source, Switch,
};
use postroom::core::plan::{Edit, Slot, Step, plan, wanted};
use postroom::run::supervisor::{self, Order};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const SEQUENCES: u64 = 2_000;
const EDITS: u64 = 12;
const NAMES: [&str; 4] = ["support", "sales", "info", "jobs"];

#[tokio::test(start_paused = true)]
async fn random_edits_end_where_a_fresh_start_would() {
    for seed in 0..SEQUENCES {
        let mut random = Random(seed);
        let watch = Watch::default();
        let (orders, inbox) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let (spawning, linger) = (watch.clone(), Duration::from_millis(random.below(4_000)));
        let keeper = tokio::spawn(supervisor::run(
            inbox,
            stop.clone(),
            move |slot, stop| spawning.worker(slot.clone(), stop, linger),
            |slot, how| panic!("{slot:?} {how} by itself"),
        ));
        let mut running = Config::default();
        let mut needed: BTreeMap<Slot, usize> = BTreeMap::new();
        for _ in 0..EDITS {
            let desired = random.edit(&running);
            let steps = plan(&Edit::of(&running, &desired));
            let stopped = steps.iter().filter_map(|step| match step {
                Step::Stop(slot) => Some(slot.clone()),
                Step::Swap | Step::Start(_) => None,
            });
            let started = steps.iter().filter_map(|step| match step {
                Step::Start(slot) => Some(slot.clone()),
                Step::Swap | Step::Stop(_) => None,
            });
            let due = in_need(&running, &desired);
            assert_eq!(started.collect::<BTreeSet<Slot>>(), due, "seed {seed}: starts");
            let to_end = in_need(&desired, &running);
            assert_eq!(stopped.collect::<BTreeSet<Slot>>(), to_end, "seed {seed}: stops");
            due.into_iter().for_each(|slot| *needed.entry(slot).or_default() += 1);
            for step in steps {
                match step {
                    Step::Stop(slot) => orders.send(Order::Stop(slot)).unwrap(),
                    Step::Swap => {}
                    Step::Start(slot) => {
                        orders.send(Order::Start { slot, after: None }).unwrap();
                    }
                }
            }
            assert_eq!(plan(&Edit::of(&desired, &desired)), [], "seed {seed}");
            running = desired;
            tokio::time::sleep(Duration::from_millis(random.below(3_000))).await;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let fresh: BTreeSet<Slot> = wanted(&running).into_iter().collect();
        assert_eq!(watch.running(), fresh, "seed {seed}");
        for (slot, started) in watch.started() {
            // Fewer starts are fine: an edit may be taken back before its worker ran.
            let needed = needed.get(&slot).copied().unwrap_or_default();
            assert!(started <= needed, "seed {seed}: {slot:?} was touched for nothing");
        }
        stop.cancel();
        keeper.await.unwrap();
        assert_eq!(watch.running(), BTreeSet::new(), "seed {seed}");
    }
}

/// Slots that need a new worker after this edit: what runs there now did not run, or had another
/// connection. Compared one by one, and not by what the plan is made of.
fn in_need(before: &Config, after: &Config) -> BTreeSet<Slot> {
    let runs = |config: &Config, name: &str| {
        let account = config.accounts.get(name)?;
        (account.state == Switch::Enabled).then(|| account.connection.clone())
    };
    let other = |name: &&str| {
        let now = runs(after, name);
        now.is_some() && now != runs(before, name)
    };
    NAMES.into_iter().filter(other).map(|name| Slot::Poller(name.to_owned())).collect()
}

/// Counts workers; a second one in a slot fails the test.
#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    running: BTreeSet<Slot>,
    started: BTreeMap<Slot, usize>,
}

impl Watch {
    fn worker(&self, slot: Slot, stop: CancellationToken, linger: Duration) -> supervisor::Work {
        let watch = self.clone();
        Box::pin(async move {
            {
                let mut seen = watch.0.lock().unwrap();
                assert!(seen.running.insert(slot.clone()), "two workers for {slot:?}");
                *seen.started.entry(slot.clone()).or_default() += 1;
            }
            stop.cancelled().await;
            tokio::time::sleep(linger).await;
            watch.0.lock().unwrap().running.remove(&slot);
        })
    }

    fn running(&self) -> BTreeSet<Slot> {
        self.0.lock().unwrap().running.clone()
    }

    fn started(&self) -> BTreeMap<Slot, usize> {
        self.0.lock().unwrap().started.clone()
    }
}

/// A small generator: a failing sequence is run again by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Adds, removes, moves to another server, suspends, or changes only the routing.
    fn edit(&mut self, config: &Config) -> Config {
        let mut config = config.clone();
        let name = NAMES[self.below(NAMES.len() as u64) as usize];
        let before = Arc::make_mut(&mut config.accounts).remove(name);
        let mut account = before.map_or_else(|| account(name), |account| (*account).clone());
        match self.below(5) {
            0 => return config,
            1 => {
                account.connection = Source::Maildir { path: format!("/{}", self.below(3)).into() }
            }
            2 => account.state = Switch::Paused,
            3 => account.state = Switch::Enabled,
            _ => account.dispatch = Dispatch::Queue(format!("queue{}", self.below(3))),
        }
        Arc::make_mut(&mut config.accounts).insert(name.to_owned(), Arc::new(account));
        config
    }
}

fn account(name: &str) -> Account {
    Account {
        name: name.to_owned(),
        connection: Source::Maildir { path: "/0".into() },
        poll: Poll::Every(Duration::from_secs(600)),
        idle: true,
        only: Only::All,
        since: Since::Linked,
        max_size_bytes: 1 << 25,
        oversize: Oversize::HeadersOnly,
        after_fetch: AfterFetch::Delete,
        dispatch: Dispatch::Recipient,
        trusted: false,
        state: Switch::Enabled,
    }
}

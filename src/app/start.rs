//! From the command line to a running daemon, and back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::loader::Loader;
use super::manager;
use super::reload::{self, Reloader};
use super::{
    Accounts, Handle, OnInvalid, Options, ReloadAnswer, ReloadRequest, Shared, StartError, Trigger,
};
use crate::config::watch::Watch;
use crate::config::{self, Loaded};
use crate::core::config::Config;
use crate::core::number::counted;
use crate::core::plan::Slot;
use crate::http;
use crate::metrics::Metrics;
use crate::run::daemon::{Daemon, Parts, Running};
use crate::run::gate::Gate;
use crate::run::outbox::{self, OutboxParts};
use crate::run::poller::{self, Poller, Sizes, Unchanged, Ungiven};
use crate::run::supervisor::{self, Order};
use crate::run::tokens::{TokenParts, Tokens};
use crate::run::{backoff, clockwork, webhooks};
use crate::secret::Secrets;
use crate::store::Store;
use crate::threads;
use crate::transport::programs::Programs;

/// The files are looked at this often even if nobody reports a change, give or take a half.
pub const CONTENT_CHECK: Duration = Duration::from_secs(30);
/// Tasks that have not ended this long after they were asked to are left behind.
pub const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Requests to look at the files that wait at a time.
const RELOADS_WAITING_MAX: usize = 16;

/// The running daemon.
pub struct App {
    handle: Handle,
    addr: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    signals: Signals,
}

/// What people and service managers say to the daemon.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on a signal waits to be read; before, it would end the process at once.
    fn catch() -> Result<Signals, StartError> {
        let catch = |kind| {
            signal(kind)
                .map_err(|error| StartError::Failed(format!("could not wait for signals: {error}")))
        };
        Ok(Signals {
            hangup: catch(SignalKind::hangup())?,
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
        })
    }
}

/// Starts everything. With `Err` nothing runs.
pub async fn start(options: Options) -> Result<App, StartError> {
    // Before anything is opened: whoever stops a daemon that just started wants it to end well, too.
    let signals = Signals::catch()?;
    let data = options.data.clone();
    let store = threads::STORE.run(move || Store::open(&data)).await?;
    // Watched before they are read: an edit during the start is seen as an event.
    let watch = Watch::new(&options.config);
    let loader = Loader::start().map_err(|error| {
        StartError::Failed(format!("could not start the thread that reads the files: {error}"))
    })?;
    let first = first_revision(&options, &store, &loader).await?;
    let listener = TcpListener::bind(options.listen).await.map_err(|error| StartError::Listen {
        address: options.listen,
        error: error.to_string(),
    })?;
    let addr = listener.local_addr().map_err(|error| StartError::Failed(error.to_string()))?;
    let (reloads, requests) = mpsc::channel(RELOADS_WAITING_MAX);
    let handle = handle(&options, store, reloads);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();

    let (orders, inbox) = mpsc::unbounded_channel();
    tasks.spawn(supervise(handle.clone(), inbox, stop.clone()));
    let reloader = Reloader {
        desk: handle.clone(),
        paths: options.config.clone(),
        allow_mass_delete: options.allow_mass_delete,
        orders: orders.clone(),
        loader,
    };
    apply_first(&reloader, first).await?;
    for slot in [Slot::Outbox, Slot::Webhooks, Slot::Clockwork] {
        let order = Order::Start { slot, after: None };
        orders.send(order).expect("the supervisor runs until `stop`");
    }
    tasks.spawn(watch_files(handle.clone(), watch, stop.clone()));
    let until = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = until.cancelled() => {}
            () = reload::run(reloader, requests) => {}
        }
    });
    let local = http::auth::LocalToken::create(&options.data)
        .map_err(|error| StartError::Failed(format!("could not write the local token: {error}")))?;
    tasks.spawn(http::serve(listener, handle.clone(), local, stop.clone()));
    manager::ready(&handle.running.load().revision);
    Ok(App { handle, addr, stop, tasks, signals })
}

impl App {
    /// Where HTTP listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What may be used of the daemon.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Lets everything end at its next safe point, and the store last.
    pub async fn stop(mut self) {
        manager::stopping();
        self.stop.cancel();
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
            tracing::warn!("some tasks did not end in time; the ledger knows how far they were");
        }
        // What a provider has given must not be lost: each request has its deadline.
        self.handle.tokens.finish().await;
        self.handle.store.close().await;
    }

    /// Reloads at SIGHUP, until SIGTERM or SIGINT.
    pub async fn until_signal(&mut self) {
        let Signals { hangup, terminate, interrupt } = &mut self.signals;
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    manager::reloading();
                    let answer = self.handle.reload(Trigger::Signal, false).await;
                    manager::reloaded(answer.as_ref(), &self.handle.running.load().revision);
                }
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
            }
        }
    }
}

/// The files, or the last good revision of them if they are broken.
async fn first_revision(
    options: &Options,
    store: &Store,
    loader: &Loader,
) -> Result<Loaded, StartError> {
    let paths = options.config.clone();
    let loaded = loader.load(move |memory| config::load_first(&paths, memory)).await;
    if loaded.config.is_some() {
        return Ok(loaded);
    }
    let kept = match options.on_invalid {
        OnInvalid::Exit => None,
        OnInvalid::LastGood => store.last_revision()?,
    };
    let Some(kept) = kept else {
        return Err(StartError::Invalid(loaded.problems));
    };
    for problem in &loaded.problems {
        tracing::error!(%problem, "configuration");
    }
    let revision = reload::short(&kept.hash);
    tracing::error!(revision, applied = %kept.applied, "the files are broken; running the last good revision");
    let files = kept.files;
    Ok(loader.load(move |_| config::load_saved(&files)).await)
}

fn handle(options: &Options, store: Store, reloads: mpsc::Sender<ReloadRequest>) -> Handle {
    let clock = options.clock.clone();
    let metrics = Metrics::default();
    let observer = metrics.clone();
    store.observe_commits(Box::new(move |took, batch| observer.commit(took.as_secs_f64(), batch)));
    let nothing = Running {
        revision: Arc::default(),
        applied: clock.now(),
        config: Arc::default(),
        changes: Vec::new(),
    };
    let started = clock.now();
    let secrets = Secrets { directory: options.secrets_dir.clone() };
    let tokens = Tokens::new(TokenParts {
        store: Some(store.clone()),
        secrets: secrets.clone(),
        metrics: metrics.clone(),
        clock: clock.clone(),
    });
    let daemon = Daemon::new(Parts {
        store,
        running: ArcSwap::from_pointee(nothing),
        board: Arc::default(),
        metrics,
        secrets,
        programs: Programs::allow(&options.allow_sendmail),
        clock,
        tokens,
    });
    Handle::new(Shared {
        daemon,
        rejected: ArcSwap::default(),
        started,
        external_url: options.external_url.clone(),
        trusted_proxies: options.trusted_proxies.clone(),
        reloads,
        accounts: Accounts::default(),
    })
}

async fn apply_first(reloader: &Reloader, first: Loaded) -> Result<(), StartError> {
    match reloader.apply(first, true).await {
        ReloadAnswer::Applied { revision, warnings, .. } => {
            reloader.desk.metrics.reload(Trigger::Start.label(), "applied");
            warnings.iter().for_each(|problem| tracing::warn!(%problem, "configuration"));
            let revision = reload::short(&revision);
            let what = contents(&reloader.desk.running.load().config);
            tracing::info!(target: "postroom::start", revision, "revision {revision} applied: {what}");
            Ok(())
        }
        ReloadAnswer::Invalid { problems } => Err(StartError::Invalid(problems)),
        ReloadAnswer::Unchanged { .. } | ReloadAnswer::Blocked { .. } => Ok(()),
    }
}

/// What a configuration holds, in numbers.
fn contents(config: &Config) -> String {
    let kinds = [
        (config.accounts.len(), "mail account"),
        (config.smtp.len(), "SMTP server"),
        (config.queues.len(), "queue"),
        (config.filters.len(), "filter"),
        (config.users.len(), "user"),
    ];
    kinds.map(|(count, kind)| counted(count, kind)).join(", ")
}

/// The supervisor with everything it can start.
async fn supervise(desk: Handle, inbox: mpsc::UnboundedReceiver<Order>, stop: CancellationToken) {
    let gate = Arc::new(Gate::default());
    let workers = desk.clone();
    let spawn = move |slot: &Slot, stop: CancellationToken| -> supervisor::Work {
        match slot {
            Slot::Poller(name) => match workers.accounts.get(name) {
                Some(declared) => Box::pin(poller::run(Box::new(Poller {
                    daemon: workers.daemon.clone(),
                    gate: gate.clone(),
                    declared,
                    compared: None,
                    ungiven: Ungiven::default(),
                    sizes: Sizes::default(),
                    unchanged: Unchanged::default(),
                    refused: None,
                    gave_all: true,
                    warned_of_marked: false,
                    missing: Vec::new(),
                    failures: 0,
                    failing: Default::default(),
                    slow: false,
                    opened: None,
                    stop,
                }))),
                // Declared when the order was given and gone since: the next order says so.
                None => Box::pin(async move { stop.cancelled().await }),
            },
            Slot::Outbox => Box::pin(outbox::run(outbox_parts(&workers), stop)),
            Slot::Webhooks => Box::pin(webhooks::run(workers.daemon.clone(), stop)),
            Slot::Clockwork => Box::pin(clockwork::run(workers.daemon.clone(), stop)),
        }
    };
    let ended = move |slot: &Slot, how: &'static str| {
        let kind = match slot {
            Slot::Poller(_) => "poller",
            Slot::Outbox => "outbox",
            Slot::Webhooks => "webhooks",
            Slot::Clockwork => "clockwork",
        };
        desk.metrics.worker_restarted(kind, how);
        tracing::error!(?slot, how, "a worker ended by itself and is started again");
    };
    supervisor::run(inbox, stop, spawn, ended).await;
}

fn outbox_parts(desk: &Handle) -> OutboxParts {
    let running = desk.daemon.clone();
    OutboxParts {
        external_host: desk.external_url.as_deref().and_then(host_of),
        store: desk.store.clone(),
        running: Arc::new(move || {
            let running = running.running.load();
            (running.revision.clone(), running.config.clone())
        }),
        secrets: desk.secrets.clone(),
        programs: desk.programs.clone(),
        tokens: desk.tokens.clone(),
        board: desk.board.clone(),
        metrics: desk.metrics.clone(),
        clock: desk.clock.clone(),
    }
}

/// The host of `https://desk.example.com:8443/`.
fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.split(':').next().map(str::to_owned)
}

/// Asks for a look at the files whenever something may have changed, and now and then anyway.
async fn watch_files(desk: Handle, mut watch: Watch, stop: CancellationToken) {
    loop {
        let check = CONTENT_CHECK.mul_f64(0.5 + backoff::dice());
        let trigger = tokio::select! {
            () = stop.cancelled() => return,
            () = watch.changed() => Trigger::File,
            () = tokio::time::sleep(check) => Trigger::Timer,
        };
        // Armed again before the files are read: a change in between is seen as one more event.
        watch.arm();
        desk.reload(trigger, false).await;
    }
}

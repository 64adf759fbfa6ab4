//! The engine: what a host holds.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll};

use event_listener::{Event as Signal, EventListener};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::backend::{Backend, Control};
use crate::changes::{Backends, Changes, Inputs, Load, compute};
use crate::clock::Clock;
use crate::event::{Observer, Phase};
use crate::gate::LeaseKind;
use crate::generation::World;
use crate::lease::Lease;
use crate::limits::Limits;
use crate::native::{Native, NativeBackend, NativeCx};
use crate::plan::Plan;
use crate::report::{OnBusy, Outcome, ReloadError, ReloadErrorKind, ReloadOptions, Report};
use crate::source::{Found, Name, SourceError, Sources};
use crate::status::{EngineState, LastReload};
use crate::transaction::Transaction;

pub(crate) type Outcomes = Result<Report, ReloadError>;

/// Reloads modules as transactions, and lets calls through to the live ones. Cheap to clone.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) world: Arc<World>,
    pub(crate) backends: Arc<Backends>,
    pub(crate) natives: Arc<NativeBackend>,
    pub(crate) limits: Limits,
    sources: Arc<dyn Sources>,
    entries: Mutex<Vec<Name>>,
    /// Names a failed reload was told had changed: the next one looks at them too.
    dirty: Mutex<BTreeSet<Name>>,
    pub(crate) running: Mutex<Option<Running>>,
    pub(crate) last: Mutex<Option<LastReload>>,
    stuck: AtomicBool,
    pub(crate) weak: OnceLock<Weak<Inner>>,
}

/// The reload that runs. The engine owns it; whoever waits for it drives it.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) outcome: Shared<BoxFuture<'static, Outcomes>>,
}

/// Counts who waits for a reload. When the last one goes away, the reload goes back instead of forward.
#[derive(Default)]
pub(crate) struct Ticket {
    drivers: AtomicUsize,
    gone: AtomicBool,
    signal: Signal,
}

impl Ticket {
    pub(crate) fn is_abandoned(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Ends when nobody waits for the reload any more.
    pub(crate) fn abandoned(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let listener: EventListener = self.signal.listen();
                if self.is_abandoned() {
                    return;
                }
                listener.await;
            }
        })
    }
}

/// A reload under way. Dropping it before it is done makes the reload go back: the engine owns what must be
/// undone, gates stay shut, and whoever comes next (a call, another reload) drives the undo to its end.
#[must_use = "a reload does nothing unless it is awaited"]
pub struct Reload {
    engine: Arc<Inner>,
    options: Option<ReloadOptions>,
    running: Option<Running>,
    done: bool,
}

impl Future for Reload {
    type Output = Outcomes;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcomes> {
        let this = &mut *self;
        loop {
            if let Some(running) = &mut this.running {
                let joined = this.options.is_none();
                let Poll::Ready(result) = running.outcome.poll_unpin(cx) else {
                    return Poll::Pending;
                };
                if !joined {
                    // It was another's: now it is this one's turn.
                    this.running = None;
                    continue;
                }
                this.done = true;
                return Poll::Ready(result);
            }
            let options = this
                .options
                .as_ref()
                .expect("options stay until the reload is this one's own");
            match this.engine.start_or_join(options) {
                Err(refused) => {
                    this.done = true;
                    return Poll::Ready(Err(refused));
                }
                Ok((running, own)) => {
                    if own {
                        this.options = None;
                        running.ticket.drivers.fetch_add(1, Ordering::AcqRel);
                    }
                    this.running = Some(running);
                }
            }
        }
    }
}

impl Drop for Reload {
    fn drop(&mut self) {
        let Some(running) = self
            .running
            .take()
            .filter(|_| !self.done && self.options.is_none())
        else {
            return;
        };
        if running.ticket.drivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            running.ticket.gone.store(true, Ordering::Release);
            running.ticket.signal.notify(usize::MAX);
            // Callers at the gates are told to look: they drive the undo.
            self.engine.world.gate.announce();
        }
    }
}

impl Inner {
    /// The running reload to wait for or join, or a new one.
    fn start_or_join(self: &Arc<Self>, options: &ReloadOptions) -> Result<(Running, bool), ReloadError> {
        let in_reload = |lease: Lease| matches!(lease.kind(), LeaseKind::Hook | LeaseKind::Stage);
        if Lease::current().is_some_and(in_reload) {
            return Err(self.refuse(ReloadErrorKind::Nested));
        }
        let mut slot = self.running.lock().unwrap();
        if let Some(running) = slot.clone() {
            let abandoned = running.ticket.is_abandoned();
            return match options.on_busy {
                _ if abandoned => Ok((running, false)),
                OnBusy::Wait => Ok((running, false)),
                OnBusy::Join => Ok((running, true)),
                OnBusy::Refuse => Err(self.refuse(ReloadErrorKind::Busy)),
            };
        }
        let ticket: Arc<Ticket> = Arc::default();
        let mut options = options.clone();
        if let Some(changed) = &mut options.changed {
            changed.extend(self.dirty.lock().unwrap().iter().cloned());
        }
        let transaction = Transaction::new(self.clone(), options, ticket.clone());
        let engine = self.clone();
        let outcome: BoxFuture<'static, Outcomes> = Box::pin(async move {
            let result = transaction.run().await;
            engine.finished(&result);
            result
        });
        let running = Running {
            ticket,
            outcome: outcome.shared(),
        };
        *slot = Some(running.clone());
        Ok((running, true))
    }

    fn finished(&self, result: &Outcomes) {
        let last = match result {
            Ok(report) => LastReload {
                result: report.outcome.as_str().into(),
                code: None,
                module: None,
                message: None,
            },
            Err(error) => LastReload {
                result: error.report.outcome.as_str().into(),
                code: Some(error.code().to_string()),
                module: error.module().map(Name::to_string),
                message: Some(explain(error)),
            },
        };
        match result {
            Ok(report) if report.outcome == Outcome::Committed => self.stuck.store(false, Ordering::Release),
            Err(error) if error.is_stuck() => self.stuck.store(true, Ordering::Release),
            _ => {}
        }
        *self.last.lock().unwrap() = Some(last);
        let ended = self.running.lock().unwrap().take();
        drop(ended);
        self.world.gate.announce();
    }

    fn refuse(&self, kind: ReloadErrorKind) -> ReloadError {
        let report = Report::empty(Outcome::Refused, self.world.gate.live().0);
        ReloadError {
            kind: Box::new(kind),
            phase: Phase::Plan,
            report: Box::new(report),
            left: Vec::new(),
        }
    }

    pub(crate) fn inputs(&self, options: ReloadOptions, widened: BTreeMap<Name, Name>) -> Inputs {
        let (natives, sources) = (self.natives.clone(), self.sources.clone());
        let find = move |name: &Name| match natives.find(name) {
            None => sources.find(name),
            Some(native) => match sources.find(name) {
                Ok(Found::Source(other)) => {
                    let reason = format!("both {} and {} define it", native.origin, other.origin);
                    Err(SourceError {
                        module: name.to_string(),
                        reason,
                    })
                }
                _ => Ok(Found::Source(native)),
            },
        };
        let entries = self.entries.lock().unwrap().clone();
        let (world, backends) = (self.world.clone(), self.backends.clone());
        Inputs {
            world,
            backends,
            find: Arc::new(find),
            entries,
            options,
            widened,
        }
    }

    /// Makes a plan where blocking is allowed: it reads and parses.
    pub(crate) async fn compute(&self, inputs: Arc<Inputs>) -> Result<Changes, ReloadErrorKind> {
        let slot: Arc<Mutex<Option<_>>> = Arc::default();
        let into = slot.clone();
        self.world
            .clock
            .blocking(Box::new(move || *into.lock().unwrap() = Some(compute(&inputs))))
            .await;
        let result = slot.lock().unwrap().take();
        result.unwrap_or(Err(ReloadErrorKind::Abandoned))
    }

    /// A reload committed.
    pub(crate) fn settled(&self, options: &ReloadOptions, loads: &BTreeMap<Name, Load>) {
        self.dirty.lock().unwrap().clear();
        let mut kept = self.world.kept.lock().unwrap();
        kept.extend(
            options
                .load
                .iter()
                .filter(|name| loads.contains_key(*name))
                .cloned(),
        );
        options.remove.iter().for_each(|name| {
            kept.remove(name);
        });
    }

    /// A reload failed: what it was told had changed is not live yet.
    pub(crate) fn unsettled(&self, options: &ReloadOptions) {
        self.dirty
            .lock()
            .unwrap()
            .extend(options.changed.iter().flatten().cloned());
    }

    /// Drops old generations in the background as soon as nothing holds them.
    pub(crate) fn purge_later(&self) {
        let weak = Arc::downgrade(&self.world);
        self.world.clock.spawn(Box::pin(async move {
            while let Some(world) = weak.upgrade() {
                let listener = world.gate.listen();
                if world.purge() == 0 {
                    return;
                }
                drop(world);
                listener.await;
            }
        }));
    }

    pub(crate) fn state(&self) -> EngineState {
        if self.running.lock().unwrap().is_some() {
            EngineState::Reloading
        } else if self.stuck.load(Ordering::Acquire) {
            EngineState::Stuck
        } else {
            EngineState::Idle
        }
    }
}

/// The error with its causes, in one line.
fn explain(error: &ReloadError) -> String {
    let mut text = error.kind.to_string();
    let mut source = std::error::Error::source(&*error.kind);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

impl Engine {
    /// Begins to build an engine on the host's time and tasks.
    pub fn builder(clock: Arc<dyn Clock>) -> EngineBuilder {
        EngineBuilder {
            clock,
            backends: Vec::new(),
            natives: Arc::default(),
            sources: None,
            observers: Vec::new(),
            entries: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Makes the sources live: the first time the start, later a reload of what changed. See [`Reload`] for
    /// what dropping the future does.
    ///
    /// # Errors
    /// [`ReloadError`]: why, whose fault, in which phase, and whether the old code serves.
    pub fn reload(&self, options: ReloadOptions) -> Reload {
        Reload {
            engine: self.0.clone(),
            options: Some(options),
            running: None,
            done: false,
        }
    }

    /// What [`reload`](Engine::reload) would do, without any effect.
    ///
    /// # Errors
    /// As `reload` in its phase *plan*.
    pub async fn plan(&self, options: ReloadOptions) -> Result<Plan, ReloadError> {
        let inputs = Arc::new(self.0.inputs(options, BTreeMap::new()));
        let changes = self.0.compute(inputs).await.map_err(|kind| self.0.refuse(kind))?;
        Ok(changes.plan)
    }

    /// Takes a module out although its source is there: `finalize`, then its scope is released, then it is
    /// forgotten. Dependents that stay loaded are an error unless `force`.
    ///
    /// # Errors
    /// `GR0112` if it is in use, `GR0113` if there is no such module.
    pub async fn unregister(&self, module: &str, force: bool) -> Outcomes {
        let remove = BTreeSet::from([Name::from(module)]);
        let changed = Some(BTreeSet::new());
        self.reload(ReloadOptions {
            remove,
            force,
            changed,
            ..ReloadOptions::default()
        })
        .await
    }

    /// The modules that are loaded for their own sake. Takes effect at the next reload.
    pub fn set_entries(&self, entries: impl IntoIterator<Item = impl Into<Name>>) {
        *self.0.entries.lock().unwrap() = entries.into_iter().map(Into::into).collect();
    }

    /// Adds a reader of the events.
    pub fn subscribe(&self, observer: Arc<dyn Observer>) {
        self.0.world.events.subscribe(observer);
    }

    /// The live world.
    pub fn world(&self) -> &Arc<World> {
        &self.0.world
    }

    /// Where native modules are registered and replaced.
    pub fn natives(&self) -> &Arc<NativeBackend> {
        &self.0.natives
    }

    /// How long things may take.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }
}

/// Builds an [`Engine`].
pub struct EngineBuilder {
    clock: Arc<dyn Clock>,
    backends: Vec<Arc<dyn Backend>>,
    natives: Arc<NativeBackend>,
    sources: Option<Arc<dyn Sources>>,
    observers: Vec<Arc<dyn Observer>>,
    entries: Vec<Name>,
    limits: Limits,
}

struct NoSources;

impl Sources for NoSources {
    fn find(&self, _: &Name) -> Result<Found, SourceError> {
        Ok(Found::Missing {
            searched: vec!["native modules".into()],
        })
    }
}

impl EngineBuilder {
    /// Adds a language.
    pub fn backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backends.push(backend);
        self
    }

    /// Where the texts come from.
    pub fn sources(mut self, sources: Arc<dyn Sources>) -> Self {
        self.sources = Some(sources);
        self
    }

    /// Adds a reader of the events.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Adds a module that is loaded for its own sake.
    pub fn entry(mut self, name: impl Into<Name>) -> Self {
        self.entries.push(name.into());
        self
    }

    /// How long things may take.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a native module; see [`NativeBackend::set`].
    pub fn native(
        self,
        name: &str,
        requires: &[&str],
        top_level: impl Fn(&NativeCx) -> Result<Native, crate::error::ScriptError> + Send + Sync + 'static,
    ) -> Self {
        self.natives.set(name, requires, top_level);
        self
    }

    /// The engine, with an empty world. [`Engine::reload`] starts it.
    pub fn build(mut self) -> Engine {
        let world = World::new(self.clock);
        self.observers
            .into_iter()
            .for_each(|observer| world.events.subscribe(observer));
        self.backends.push(self.natives.clone());
        let backends = self
            .backends
            .into_iter()
            .map(|backend| (backend.name().to_owned(), backend));
        let inner = Arc::new(Inner {
            world: world.clone(),
            backends: Arc::new(backends.collect()),
            natives: self.natives,
            limits: self.limits,
            sources: self.sources.unwrap_or_else(|| Arc::new(NoSources)),
            entries: Mutex::new(self.entries),
            dirty: Mutex::default(),
            running: Mutex::default(),
            last: Mutex::default(),
            stuck: AtomicBool::new(false),
            weak: OnceLock::new(),
        });
        let _ = inner.weak.set(Arc::downgrade(&inner));
        let control: Weak<dyn Control> = Arc::downgrade(&inner) as Weak<dyn Control>;
        for backend in inner.backends.values() {
            backend.attach(&world, control.clone());
        }
        Engine(inner)
    }
}

//! The engine: what a host holds.

mod builder;
mod dirty;
mod drive;
mod ending;
mod last;
mod orphan;
mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use crate::changes::{Backends, Changes, Inputs, Load, compute};
use crate::clock::Clock;
use crate::crew::Crew;
use crate::event::{Observer, Phase, Purpose};
use crate::failure::{ReloadError, ReloadErrorKind};
use crate::generation::World;
use crate::lease::Lease;
use crate::limits::Limits;
use crate::native::NativeBackend;
use crate::plan::Plan;
use crate::report::{OnBusy, Outcome, ReloadOptions, Report};
use crate::role::Operation;
use crate::round_trip::{RoundTrip, RoundTripError, round_trip};
use crate::source::{Found, Name, SourceError, Sources};
use crate::staging::panic_text;
use crate::status::LastReload;
use crate::transaction::Transaction;
use crate::value::Value;
use crate::version::Version;

pub use builder::EngineBuilder;
use dirty::Dirty;
pub use ending::Shutdown;
pub use running::Reload;
pub(crate) use running::{Running, Ticket};

pub(crate) type Outcomes = Result<Report, ReloadError>;

/// Reloads modules as transactions, and lets calls through to the live ones. Cheap to clone.
///
/// Who drops the last clone without a [shutdown](Engine::shutdown) ends the tasks of all modules as well, soon and without waiting for
/// them; no hook and no script of `own` runs any more.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) world: Arc<World>,
    pub(crate) backends: Arc<Backends>,
    pub(crate) crew: Arc<Crew>,
    pub(crate) natives: Arc<NativeBackend>,
    pub(crate) limits: Limits,
    sources: Arc<dyn Sources>,
    entries: Mutex<Vec<Name>>,
    dirty: Mutex<Dirty>,
    /// The entries that the live world was loaded for.
    served: Mutex<BTreeSet<Name>>,
    pub(crate) running: Mutex<Option<Running>>,
    pub(crate) last: Mutex<Option<LastReload>>,
    stuck: AtomicBool,
    ending: Mutex<Option<ending::Ending>>,
    pub(crate) weak: OnceLock<Weak<Inner>>,
}

impl Inner {
    /// The running reload to wait for or join, or a new one.
    pub(super) fn start_or_join(
        self: &Arc<Self>,
        options: &ReloadOptions,
    ) -> Result<(Running, bool), ReloadError> {
        if Lease::current().is_some_and(|lease| lease.is_of_reload()) {
            return Err(self.refuse(ReloadErrorKind::Nested));
        }
        let mut slot = self.running.lock().unwrap();
        if self.is_ending().is_some() {
            return Err(self.refuse(ReloadErrorKind::Stopped));
        }
        if let Some(running) = slot.clone() {
            if let Some(hung) = running.ticket.hangs() {
                return Err(self.refuse(*hung.kind));
            }
            let abandoned = running.ticket.is_abandoned();
            return match options.on_busy {
                _ if abandoned => Ok((running, false)),
                OnBusy::Wait => Ok((running, false)),
                // Who wants a reload is not served by a check, nor the other way round.
                OnBusy::Join if (running.ticket.purpose == Purpose::Check) != options.check => {
                    Ok((running, false))
                }
                OnBusy::Join => {
                    running.ticket.waiters.fetch_add(1, Ordering::AcqRel);
                    Ok((running, true))
                }
                OnBusy::Refuse => Err(self.refuse(ReloadErrorKind::Busy)),
            };
        }
        let ticket = Arc::new(Ticket::of_one(options.purpose()));
        let mut options = options.clone();
        self.dirty.lock().unwrap().add_to(&mut options);
        let transaction = Transaction::new(self.clone(), options, ticket.clone());
        let (running, drive) = self.driven(transaction, ticket);
        *slot = Some(running.clone());
        drop(slot);
        self.start(&running, drive);
        Ok((running, true))
    }

    /// The engine itself panicked: whatever was staged is dropped, and the old code serves as it is left.
    fn panicked(&self, panic: &Box<dyn std::any::Any + Send>) -> ReloadError {
        self.world.scrub();
        let _ = self.crew.board.go(&self.world, Operation::ReloadStuck);
        let message = panic_text(panic);
        let report = Report::empty(Outcome::Stuck, self.world.gate.live().0);
        let left = vec![format!("the engine: {message}")];
        let kind = Box::new(ReloadErrorKind::Internal { message });
        ReloadError { kind, phase: Phase::Plan, report: Box::new(report), left }
    }

    fn finished(&self, result: &Outcomes, purpose: Purpose) {
        match result {
            Ok(report) if report.outcome == Outcome::Committed => self.stuck.store(false, Ordering::Release),
            Err(error) if error.is_stuck() => self.stuck.store(true, Ordering::Release),
            _ => {}
        }
        let only_asked = match purpose {
            Purpose::Check => true,
            Purpose::Load => result.as_ref().is_err_and(|error| !error.is_stuck()),
            Purpose::Reload | Purpose::Unregister => false,
        };
        if !only_asked {
            *self.last.lock().unwrap() = Some(last::of(result));
        }
        self.world.in_reload.store(0, Ordering::Relaxed);
        let ended = self.running.lock().unwrap().take();
        drop(ended);
        self.world.gate.announce();
    }

    fn refuse(&self, kind: ReloadErrorKind) -> ReloadError {
        let report = Report::empty(Outcome::Refused, self.world.gate.live().0);
        ReloadError { kind: Box::new(kind), phase: Phase::Plan, report: Box::new(report), left: Vec::new() }
    }

    pub(crate) fn inputs(&self, options: ReloadOptions, widened: BTreeMap<Name, Name>) -> Inputs {
        let (natives, sources) = (self.natives.clone(), self.sources.clone());
        let find = move |name: &Name| match natives.find(name) {
            None => sources.find(name),
            Some(native) => match sources.find(name) {
                Ok(Found::Source(other)) => {
                    let reason = format!("both {} and {} define it", native.origin, other.origin);
                    Err(SourceError { module: name.to_string(), reason })
                }
                _ => Ok(Found::Source(native)),
            },
        };
        let entries = self.entries.lock().unwrap().clone();
        let (world, backends) = (self.world.clone(), self.backends.clone());
        let desk = self.crew.board.desk();
        let roles = options.register.clone().unwrap_or_else(|| desk.modules.clone());
        let role_edges = desk.set.all().iter();
        let role_edges = role_edges.map(|role| (role.module.clone(), role.dependencies.clone())).collect();
        let baseline = desk.baseline.clone().unwrap_or_default();
        let lost_role = desk.shrunk || desk.modules.iter().any(|name| !roles.contains(name));
        drop(desk);
        let lost_entry = lost_role || self.served.lock().unwrap().iter().any(|name| !entries.contains(name));
        let find = Arc::new(find);
        Inputs { world, backends, find, entries, options, lost_entry, roles, role_edges, baseline, widened }
    }

    /// Makes a plan where blocking is allowed: it reads and parses.
    pub(crate) async fn compute(&self, inputs: Arc<Inputs>) -> Result<Changes, ReloadErrorKind> {
        let slot: Arc<Mutex<Option<_>>> = Arc::default();
        let into = slot.clone();
        self.world.clock.blocking(Box::new(move || *into.lock().unwrap() = Some(compute(&inputs)))).await;
        let result = slot.lock().unwrap().take();
        result.unwrap_or(Err(ReloadErrorKind::Abandoned))
    }

    /// A reload committed.
    pub(crate) fn settled(&self, options: &ReloadOptions, loads: &BTreeMap<Name, Load>) {
        self.dirty.lock().unwrap().settle(options);
        *self.served.lock().unwrap() = self.entries.lock().unwrap().iter().cloned().collect();
        let mut unregistered = self.world.unregistered.lock().unwrap();
        unregistered.extend(options.remove.iter().cloned());
        unregistered.retain(|name| !loads.contains_key(name));
        drop(unregistered);
        let mut kept = self.world.kept.lock().unwrap();
        kept.extend(options.load.iter().filter(|name| loads.contains_key(*name)).cloned());
        options.remove.iter().for_each(|name| {
            kept.remove(name);
        });
    }

    /// A reload failed: what it was told had changed is not live yet.
    pub(crate) fn unsettled(&self, options: &ReloadOptions) {
        self.dirty.lock().unwrap().fail(options);
    }
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
            identities: BTreeMap::new(),
            schemas: None,
        }
    }

    /// Makes the sources live: the first time the start, later a reload of what changed. See [`Reload`] for
    /// what dropping the future does.
    ///
    /// # Errors
    /// [`ReloadError`]: why, whose fault, in which phase, and whether the old code serves.
    pub fn reload(&self, options: ReloadOptions) -> Reload {
        Reload { engine: self.0.clone(), options: Some(options), waits: None, done: false }
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

    /// Sends a state that was recorded of an earlier version of `module` up through its migrations and back
    /// down, without touching any state; see [`round_trip`].
    ///
    /// # Errors
    /// There is no such module, or no migration leads from that version to its own.
    pub async fn round_trip(
        &self,
        module: &str,
        from: &Version,
        state: &Value,
    ) -> Result<RoundTrip, RoundTripError> {
        let live = self.0.world.live(module).ok_or_else(|| RoundTripError::NoModule(module.into()))?;
        round_trip(&self.0.world, &live, from, state, self.0.limits.hook).await
    }

    /// Takes a module out although its source is there: `finalize`, then its scope is released, then it is
    /// forgotten. Dependents that stay loaded are an error unless `force`.
    ///
    /// # Errors
    /// `GR0112` if it is in use, `GR0113` if there is no such module.
    pub async fn unregister(&self, module: &str, force: bool) -> Outcomes {
        let remove = BTreeSet::from([Name::from(module)]);
        let changed = Some(BTreeSet::new());
        self.reload(ReloadOptions { remove, leave_dependents: force, changed, ..ReloadOptions::default() })
            .await
    }

    /// The modules that are loaded for their own sake. Takes effect at the next reload. One that was unregistered
    /// comes back with the next reload that looks at everything, or at it.
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

//! What a language brings: compile, stage, commit.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::asked::roles::{Answer, Function};
use crate::clock::Clock;
use crate::error::{CallError, Place, ScriptError};
use crate::failure::ReloadError;
use crate::gate::{Generation, LeaseKind};
use crate::generation::{Instance, World};
use crate::intent::Intents;
use crate::lease::Lease;
use crate::lifecycle::HookError;
use crate::module::{Compiled, Module};
use crate::plan::Plan;
use crate::report::{DrainPolicy, ReloadOptions, Report};
use crate::shutdown::{ShutdownOptions, ShutdownReport};
use crate::source::{Name, Source};
use crate::value::Value;

/// A language. One instance serves one engine.
///
/// One that keeps a thread while a script waits runs it with [`Clock::blocking`] or [`Clock::thread`] and waits through
/// [`wait`](crate::clock::wait): then the testkit can drive it on a clock that stands still.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Its name: `lua`, `rhai`. A [`Source`] says by this name who loads it.
    fn name(&self) -> &str;

    /// The file extensions it reads, without dot.
    fn extensions(&self) -> &[&str];

    /// Called once, when the engine is built. Weak, because the engine owns the backend.
    fn attach(&self, world: &Arc<World>, control: Weak<dyn Control>);

    /// Calls and tasks are about to be cancelled outside of a transaction: from now on a backend that does not
    /// watch all the time stops those that spin.
    fn cancelling(&self) {}

    /// The code that has kept the interpreter for longest without giving it back, where modules share one. Asked from
    /// any thread, while that code runs: must not wait for it. The default has none.
    fn kept(&self) -> Option<Kept> {
        None
    }

    /// Parses one source. Pure: no effect on any module, any thread, no VM lock.
    ///
    /// # Errors
    /// A syntax error with file, line, column and source line.
    fn compile(&self, source: &Source) -> Result<Compiled, ScriptError>;

    /// Parses several sources that are independent of each other, and answers in their order. The default does so
    /// one by one; a backend may use several threads.
    fn compile_all(&self, sources: &[Source]) -> Vec<Result<Compiled, ScriptError>> {
        sources.iter().map(|source| self.compile(source)).collect()
    }

    /// Opens this backend's part of the transaction that makes `cx.generation`.
    fn begin(&self, cx: TxnCx) -> Box<dyn Txn>;

    /// Evaluates a line that a person typed, as a call of its own, and says what it returned. A line that runs
    /// longer than `limit` is cancelled. The default: the language has no console.
    ///
    /// # Errors
    /// What the line failed with.
    async fn evaluate(&self, _line: &str, _limit: Duration) -> Result<Vec<String>, CallError> {
        Err(CallError::Script(ScriptError::runtime(format!("{} has no console", self.name()))))
    }
}

/// How many sources are worth a thread of their own, and how many threads there are at most.
const SHARE: usize = 16;
const THREADS: usize = 8;

/// Parses `sources` on as many threads as are worth it, and answers in their order: a
/// [`compile_all`](Backend::compile_all) for whoever can parse on several threads at once.
pub fn parse_on_threads<T: Send + Sync>(sources: &[Source], parse: impl Fn(&Source) -> T + Sync) -> Vec<T> {
    let parsed: Vec<OnceLock<T>> = sources.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((source, slot)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            sources.get(at).zip(parsed.get(at))
        } {
            let _ = slot.set(parse(source));
        }
    };
    let worth = (sources.len() / SHARE).min(THREADS);
    // The system is asked anew each time, in files: one source is not worth that.
    let cores = if worth > 1 { thread::available_parallelism().map_or(1, NonZero::get) } else { 1 };
    // One more than there are cores, this one counted: Linux may leave a thread on the core of the one that started it
    // for milliseconds while another core has nothing to do, but not two of them.
    let helpers = if cores.min(worth) > 1 { cores.min(worth) } else { 0 };
    thread::scope(|scope| {
        for _ in 0..helpers {
            // Where there is no thread to be had, those that are there do it.
            let _ = thread::Builder::new().name("graceful parse".into()).spawn_scoped(scope, work);
        }
        work();
    });
    parsed.into_iter().map(|slot| slot.into_inner().expect("each was parsed")).collect()
}

/// Code that keeps an interpreter which others wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What the code runs as, and in which module: `None` if nobody knows.
    pub by: Option<(LeaseKind, Name)>,
    /// For how long.
    pub lasts: Duration,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            None => f.write_str("the host")?,
            Some((LeaseKind::Task, module)) => write!(f, "a task of `{module}`")?,
            Some((LeaseKind::Hook, module)) => write!(f, "a hook of `{module}`")?,
            Some((LeaseKind::Stage, module)) => write!(f, "the top level of `{module}`")?,
            Some((LeaseKind::Call | LeaseKind::Nested, module)) => write!(f, "a call into `{module}`")?,
        }
        write!(f, " has kept the interpreter for {:.1?}", self.lasts)
    }
}

/// What a transaction is told when it opens.
#[derive(Clone)]
pub struct TxnCx {
    /// The generation that is being made.
    pub generation: Generation,
    /// The world is empty: `init` runs while its module registers, not in *activate*.
    pub start: bool,
    /// Where effects wait for the commit.
    pub intents: Arc<Intents>,
    /// How long the top level of one module may run.
    pub stage_budget: Duration,
    /// What becomes of calls that are in the way for too long: of one that keeps an interpreter, for instance.
    pub drain: DrainPolicy,
}

/// One backend's part of one transaction: a *stage* for each module, then exactly one of
/// [`commit`](Txn::commit) and [`rollback`](Txn::rollback).
///
/// Until then nothing that staged code or hooks did through graceful's interface or plain globals may be
/// seen by live code. Every poll of staged code and of hooks happens between *put the new globals in* and
/// *take them out again*, under the VM's lock.
#[async_trait]
pub trait Txn: Send + Sync {
    /// Runs the top level of one module beside the live generation, under a lease of kind
    /// [`Stage`](crate::LeaseKind::Stage), and returns the module it made. Several may be under way at once,
    /// one inside the other, when a top level imports by a name that was not constant.
    ///
    /// # Errors
    /// What the top level failed with. Code that runs past `stage_budget` must be stopped.
    async fn stage(&self, cx: StageCx) -> Result<Arc<dyn Module>, ScriptError>;

    /// Calls `work` until it returns `false`, each time polling one top level of this backend: what begins and
    /// ends a turn may be done once for all of them. A backend that keeps others out meanwhile returns after
    /// a fraction of a millisecond; the engine goes on in another slice once they had their turn.
    fn slice(&self, work: &mut dyn FnMut() -> bool) {
        while work() {}
    }

    /// Live code of `module` is going to run in this transaction: a callback of the role it is. What it sets belongs
    /// to it from the commit on. The default has nothing to note.
    fn join(&self, _module: &Arc<dyn Module>) {}

    /// The gates of `modules` are shut and their tasks frozen: returns once nothing that is not counted by a
    /// lease runs in them (a synchronous call that only holds the VM's lock, say). The default has none.
    async fn quiesce(&self, _modules: &BTreeSet<Name>) {}

    /// Makes the staged code live: takes the VM's lock, puts the new globals and held-back state keys in,
    /// calls `swap` exactly once, lets go. Cannot fail.
    fn commit(&self, swap: &mut dyn FnMut());

    /// Drops everything staged. Globals and state keys are as before the transaction; the undo of hooks has
    /// been done by then.
    fn rollback(&self);
}

/// What one `stage` is told.
pub struct StageCx {
    /// The source, as it was read.
    pub source: Arc<Source>,
    /// What [`Backend::compile`] made of it.
    pub compiled: Compiled,
    /// The instance that is being staged; requires are resolved from it, and its scope owns what it starts.
    pub instance: Arc<Instance>,
    /// The live module of the same name and backend, whose state the new one takes over.
    pub previous: Option<Arc<dyn Module>>,
    /// Loads what the plan did not foresee.
    pub importer: Arc<dyn Importer>,
}

/// How often at most it is looked at what a top level has left.
const LOOK: Duration = Duration::from_millis(1);

/// Given to a top level that is being staged, for what could not be known by reading it.
#[async_trait]
pub trait Importer: Send + Sync {
    /// Loads `name` for `from`, if it is [`Pending`](crate::generation::Resolved::Pending) or
    /// [`Absent`](crate::generation::Resolved::Absent); widens the plan if it is new.
    ///
    /// # Errors
    /// It is missing, fails to load, or is being loaded by somebody who waits for `from`: a cycle.
    async fn import(
        &self,
        from: &Arc<Instance>,
        name: &Name,
        place: Option<Place>,
    ) -> Result<Arc<Instance>, ScriptError>;

    /// Says that `module`'s `init` begins to run while it registers: events tell how long it takes, and whether it fails.
    fn initialising(&self, module: &Name);

    /// Ends once the top level of `module` has taken `budget`, from now on and without what it waits for imports:
    /// what those take is theirs.
    async fn over(&self, clock: &dyn Clock, module: &Name, budget: Duration) {
        let began = clock.now();
        loop {
            let own = (clock.now() - began).saturating_sub(self.waited(module, clock.now()));
            match budget.checked_sub(own).filter(|left| !left.is_zero()) {
                Some(left) => clock.sleep(left.max(LOOK)).await,
                None => return,
            }
        }
    }

    /// How long by `now` the top level of `module` has waited for imports.
    fn waited(&self, _module: &Name, _now: Duration) -> Duration {
        Duration::ZERO
    }

    /// Says that `module`'s `init` ran to its end while it registered, which happens only at a start
    /// ([`TxnCx::start`]). If the start fails later, the engine runs `finalize`, dependents first.
    fn initialised(&self, module: &Name, finalize: Finalize);
}

/// Runs `finalize` of a module that was initialised while it registered and whose start failed.
pub type Finalize = Box<dyn FnOnce() -> BoxFuture<'static, Result<(), HookError>> + Send + Sync>;

/// The engine, as scripts reach it. What `graceful.reload()` and its likes in a language call.
pub trait Control: Send + Sync {
    /// The live world.
    fn world(&self) -> &Arc<World>;

    /// Reloads. From a call that can yield: park the caller's lease, [`Clock::spawn`]
    /// this, wait for it, unpark. From a hook it is refused with `GR0116`.
    fn reload(&self, options: ReloadOptions) -> BoxFuture<'static, Result<Report, ReloadError>>;

    /// Shuts the engine down, see [`Engine::shutdown`](crate::Engine::shutdown). It begins at once. A call may
    /// ask for it, and must not wait for it.
    fn shutdown(&self, options: ShutdownOptions) -> BoxFuture<'static, ShutdownReport>;

    /// Does what code of the module `from` asks of the roles: `function` with `args`.
    fn roles(&self, from: &Name, function: Function, args: Vec<Value>) -> Answer;

    /// A dry run.
    fn plan(&self, options: ReloadOptions) -> BoxFuture<'static, Result<Plan, ReloadError>>;

    /// Enters `root` for a call from outside every lease, waiting at its gate as long as calls wait.
    fn admit(&self, root: Name) -> BoxFuture<'static, Result<Lease, CallError>>;

    /// Calls an export of `module`: inside a lease at its generation, else at the live one after waiting at
    /// the gate.
    fn call(
        &self,
        module: Name,
        function: String,
        args: Vec<Value>,
    ) -> BoxFuture<'static, Result<Value, CallError>>;

    /// The same, blocking this thread. Never under a VM's lock: it may wait at a gate.
    fn call_blocking(&self, module: &Name, function: &str, args: Vec<Value>) -> Result<Value, CallError>;
}

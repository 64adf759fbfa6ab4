//! Faults on demand: a backend whose n-th compile, stage, checkpoint, restore, hook or migration fails, in any way.

mod backend;
mod hooks;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::pending;
use graceful_core::Name;
use tokio::sync::oneshot;

use crate::dialect::Dialect;
use crate::op::Op;
use crate::script::Script;

pub use backend::Faulty;

/// Where a fault can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// A source is parsed.
    Compile,
    /// A module is staged.
    Stage,
    /// A state is copied.
    Checkpoint,
    /// A state is brought back.
    Restore,
    /// A hook runs, after it did its work.
    Hook(&'static str),
    /// A state is copied for its migrations.
    Draft,
    /// A step of a migration runs, after it did its work.
    Migration,
    /// A migrated state is about to be poured in.
    Pour,
    /// A callback of a role runs, after it did its work.
    Callback(&'static str),
}

/// Every point of modules that are no roles.
pub const POINTS: [Point; 12] = [
    Point::Compile,
    Point::Stage,
    Point::Checkpoint,
    Point::Restore,
    Point::Hook("init"),
    Point::Hook("before_reload"),
    Point::Hook("after_reload"),
    Point::Hook("rollback"),
    Point::Hook("finalize"),
    Point::Draft,
    Point::Migration,
    Point::Pour,
];

/// How it fails there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// With an error.
    Error,
    /// With a panic.
    Panic,
    /// It never returns.
    Hang,
    /// It loops for ever without giving its thread back.
    Spin,
    /// It takes memory for ever.
    Memory,
    /// Whoever waits for the reload goes away in this moment; nothing fails.
    Drop,
}

impl Point {
    /// Whether it can fail in this `way`. Parsing and pouring are plain calls that end in a result; only code of
    /// modules can loop and take memory.
    pub fn can(self, way: Way) -> bool {
        match way {
            Way::Error | Way::Drop => true,
            Way::Panic | Way::Hang => !matches!(self, Point::Compile | Point::Pour),
            Way::Spin | Way::Memory => {
                matches!(self, Point::Stage | Point::Hook(_) | Point::Migration | Point::Callback(_))
            }
        }
    }
}

/// A point that was passed, and in which module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The point.
    pub point: Point,
    /// The module.
    pub module: Name,
}

impl std::fmt::Display for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.point {
            Point::Hook(name) | Point::Callback(name) => write!(f, "{name} of {}", self.module),
            point => write!(f, "{point:?} of {}", self.module),
        }
    }
}

/// The exports by which a module of the test loops for ever and takes memory for ever.
const SPIN: &str = "fault_spin";
const HOG: &str = "fault_hog";

#[derive(Default)]
struct Inner {
    armed: BTreeMap<Point, u64>,
    passed: BTreeMap<Point, u64>,
    planned: BTreeMap<usize, Way>,
    come: usize,
    log: Vec<Passed>,
    dropper: Option<oneshot::Sender<()>>,
    scripts: BTreeMap<String, (Script, &'static dyn Dialect)>,
}

/// Which faults are to come, and which points were passed.
#[derive(Default)]
pub struct Faults {
    inner: Mutex<Inner>,
    /// Modules of the test get exports to loop and take memory with.
    spoils: bool,
}

impl Faults {
    /// None.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// None yet, [`Way::Spin`] and [`Way::Memory`] among them: every [`Script`] gets two exports for that.
    pub(crate) fn spoiling(spoils: bool) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::default(), spoils })
    }

    /// Fails with an error the `nth` time from now that `point` is passed, the next time being 1.
    pub fn arm(&self, point: Point, nth: u64) {
        self.lock().armed.insert(point, nth);
    }

    /// From now on counts points from 0, whatever and in whichever module they are, and fails at those in `planned`.
    pub fn plan(&self, planned: impl IntoIterator<Item = (usize, Way)>) {
        self.clear();
        self.lock().planned = planned.into_iter().collect();
    }

    /// Takes every fault back and counts from 0 again.
    pub fn clear(&self) {
        let mut inner = self.lock();
        (inner.armed, inner.passed, inner.planned, inner.log) = Default::default();
        (inner.come, inner.dropper) = (0, None);
    }

    /// How often `point` was passed.
    pub fn passed(&self, point: Point) -> u64 {
        self.lock().passed.get(&point).copied().unwrap_or_default()
    }

    /// Every point that was passed, in order.
    pub fn log(&self) -> Vec<Passed> {
        self.lock().log.clone()
    }

    /// Whether every fault has come.
    pub fn have_come(&self) -> bool {
        let inner = self.lock();
        inner.armed.values().all(|left| *left == 0) && inner.come == inner.planned.len()
    }

    /// Is told at [`Way::Drop`].
    pub(crate) fn dropped(&self) -> oneshot::Receiver<()> {
        let (sender, dropped) = oneshot::channel();
        self.lock().dropper = Some(sender);
        dropped
    }

    /// A script of the test as it is written, with what some faults need.
    pub(crate) fn prepared(&self, mut script: Script, dialect: &'static dyn Dialect) -> Script {
        if self.spoils {
            script = script.function(SPIN, [Op::Spin]).function(HOG, [Op::Hog]);
            self.lock().scripts.insert(script.name.clone(), (script.clone(), dialect));
        }
        script
    }

    /// The text of `module` with a top level that ends with `op`.
    fn spoiled(&self, module: &str, op: Op) -> Option<String> {
        let (script, dialect) = self.lock().scripts.get(module).cloned()?;
        Some(dialect.render(&script.top([op])))
    }

    /// Counts a point, and says whether a fault comes there.
    fn pass(&self, point: Point, module: &Name) -> Option<Way> {
        let inner = &mut *self.lock();
        let at = inner.log.len();
        inner.log.push(Passed { point, module: module.clone() });
        *inner.passed.entry(point).or_default() += 1;
        if let Some(way) = inner.planned.get(&at) {
            inner.come += 1;
            return Some(*way);
        }
        let left = inner.armed.get_mut(&point).filter(|left| **left > 0)?;
        *left -= 1;
        (*left == 0).then_some(Way::Error)
    }

    /// A point in a plain call.
    fn meet_now(&self, point: Point, module: &Name) -> Result<(), String> {
        match self.pass(point, module) {
            None => Ok(()),
            Some(Way::Drop) => {
                self.leave();
                Ok(())
            }
            Some(_) => Err(self.said(point)),
        }
    }

    /// A point in code that waits.
    async fn meet(&self, point: Point, module: &Name) -> Result<(), String> {
        match self.pass(point, module) {
            Some(way) => self.strike(way, point).await,
            None => Ok(()),
        }
    }

    async fn strike(&self, way: Way, point: Point) -> Result<(), String> {
        match way {
            // Past the hook that prints panics: a sweep has many.
            Way::Panic => std::panic::resume_unwind(Box::new(self.said(point))),
            Way::Hang => pending().await,
            Way::Drop => {
                self.leave();
                yield_once().await;
                Ok(())
            }
            Way::Error | Way::Spin | Way::Memory => Err(self.said(point)),
        }
    }

    fn leave(&self) {
        if let Some(dropper) = self.lock().dropper.take() {
            let _ = dropper.send(());
        }
    }

    fn said(&self, point: Point) -> String {
        format!("a fault at {point:?}")
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets others run once.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

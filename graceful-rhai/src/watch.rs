//! What stops running code: a deadline, a cancelled call, a caller that went away, the end of a task.
//!
//! Whatever runs on this thread is watched by the innermost [`Watch`].

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use graceful_core::{Importer, Lease};

use crate::overlay::Overlay;

/// Why code was stopped. A script cannot catch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It ran longer than it may.
    Late(Duration),
    /// Its lease was cancelled.
    Cancelled,
    /// Whoever waited for it went away.
    Dropped,
    /// The task it runs in was cancelled.
    Ended,
    /// A value is nested too deep to be copied, shown or dropped.
    Nested,
    /// It holds more than so many bytes.
    Bulky(usize),
    /// What it holds cannot be looked at: it loops without reading a variable.
    Overlooked,
}

/// A task, as whatever runs in it sees it: where its turns end and begin.
pub(crate) trait Turns: Send + Sync {
    /// Called often: stays here while the task is frozen, and says whether it is over.
    fn breathe(&self) -> Option<Stop>;

    /// Whether it is over.
    fn over(&self) -> Option<Stop>;

    /// Ends the turn, so that no reload waits for it.
    fn pause(&self);

    /// Begins a turn, waiting while the task is frozen.
    fn resume(&self) -> Option<Stop>;
}

/// The staging of one module, as its top level sees it.
#[derive(Clone)]
pub(crate) struct Staging {
    /// Where its writes to state go.
    pub(crate) overlay: Arc<Overlay>,
    /// Loads what it imports and the plan did not foresee.
    pub(crate) importer: Option<Arc<dyn Importer>>,
    /// The world is empty: `init` runs while the module registers.
    pub(crate) start: bool,
}

/// What may stop the code that runs under it, and whether that is a top level.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    pub(crate) deadline: Option<(Instant, Duration)>,
    /// How long it may run without waiting.
    turn: Option<Duration>,
    pub(crate) lease: Option<Lease>,
    pub(crate) abort: Arc<AtomicBool>,
    pub(crate) staging: Option<Staging>,
    /// What top levels of the reload that made this code wrote: its hooks see it before the commit.
    ahead: Option<Arc<Overlay>>,
    pub(crate) task: Option<Arc<dyn Turns>>,
    /// What is not charged.
    waived: Arc<Mutex<Waived>>,
    outer: Option<Arc<Watch>>,
}

/// Time that somebody else is charged with.
#[derive(Default)]
struct Waived {
    before: Duration,
    since: Option<Instant>,
}

impl Waived {
    fn so_far(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Does `work`, in which others run: no deadline of this thread comes nearer meanwhile.
pub(crate) fn waive<T>(work: impl FnOnce() -> T) -> T {
    struct Charged(Vec<Arc<Mutex<Waived>>>);
    impl Drop for Charged {
        fn drop(&mut self) {
            for waived in &self.0 {
                let mut waived = waived.lock().unwrap_or_else(PoisonError::into_inner);
                waived.before = waived.so_far();
                waived.since = None;
            }
        }
    }
    let all: Vec<_> = std::iter::successors(current(), |watch| watch.outer.clone())
        .map(|watch| watch.waived.clone())
        .collect();
    for waived in &all {
        waived.lock().unwrap_or_else(PoisonError::into_inner).since.get_or_insert_with(Instant::now);
    }
    let _charged = Charged(all);
    work()
}

thread_local! {
    /// When the code of this thread last waited.
    static RESTED: Cell<Option<Instant>> = const { Cell::new(None) };
    static CURRENT: RefCell<Option<Arc<Watch>>> = const { RefCell::new(None) };
}

/// The code of this thread has waited, and its turn begins anew.
pub(crate) fn rested() {
    RESTED.set(Some(Instant::now()));
}

/// Does `work`, in which the code of this thread waits for its turn: that is none of its time.
pub(crate) fn queued<T>(work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    RESTED.set(RESTED.get().map(|rested| rested + began.elapsed()));
    result
}

/// What watches this thread.
pub(crate) fn current() -> Option<Arc<Watch>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Whether what runs on this thread must stop, for whoever asks that elsewhere.
pub(crate) fn asked_elsewhere() -> impl Fn() -> bool + Send + 'static {
    let watch = current();
    move || watch.as_ref().is_some_and(|watch| watch.over().is_some())
}

/// The staging of the module whose top level runs on this thread.
pub(crate) fn staging() -> Option<Staging> {
    CURRENT.with_borrow(|watch| watch.as_ref()?.staging.clone())
}

/// Where the module whose top level runs on this thread writes to its state.
pub(crate) fn overlay() -> Option<Arc<Overlay>> {
    CURRENT.with_borrow(|watch| watch.as_ref()?.staging.as_ref().map(|staging| staging.overlay.clone()))
}

/// The same; or, in a hook of new code, where its top level did.
pub(crate) fn held_back() -> Option<Arc<Overlay>> {
    overlay().or_else(|| CURRENT.with_borrow(|watch| watch.as_ref()?.ahead.clone()))
}

impl Watch {
    /// Watches a call: it stops when `lease` is cancelled.
    pub(crate) fn call(lease: Option<Lease>) -> Self {
        Self { lease, ..Self::default() }
    }

    /// Watches a task.
    pub(crate) fn task(task: Arc<dyn Turns>) -> Self {
        Self { task: Some(task), ..Self::default() }
    }

    /// The same for code that was made with `overlay`: if it is not live yet, it sees what is in there.
    pub(crate) fn of(mut self, overlay: &Weak<Overlay>) -> Self {
        if self.lease.as_ref().is_some_and(Lease::is_ahead) {
            self.ahead = overlay.upgrade();
        }
        self
    }

    /// The same, with a deadline from now.
    pub(crate) fn within(mut self, budget: Duration) -> Self {
        self.deadline = Some((Instant::now() + budget, budget));
        self
    }

    /// The same for a call that may run for `most` without waiting.
    pub(crate) fn turns(mut self, most: Option<Duration>) -> Self {
        self.turn = most;
        self
    }

    /// The same for a top level.
    pub(crate) fn staged(mut self, staging: Staging) -> Self {
        self.staging = Some(staging);
        self
    }

    /// Runs `work` under this watch and under what watches the thread already.
    pub(crate) fn run<T>(mut self, work: impl FnOnce() -> T) -> T {
        self.outer = current();
        if self.outer.is_none() {
            rested();
        }
        let _entered = Entered(CURRENT.replace(Some(Arc::new(self))));
        work()
    }

    /// Whether the code must stop. A task stays here for as long as it is frozen.
    pub(crate) fn stop(&self) -> Option<Stop> {
        self.over().or_else(|| self.task.as_ref()?.breathe())
    }

    /// Whether the code must stop. Never waits: below a call that it is in the middle of, a task's turn
    /// cannot end.
    pub(crate) fn over(&self) -> Option<Stop> {
        if let Some((at, budget)) = self.deadline()
            && Instant::now() >= at
        {
            return Some(Stop::Late(budget));
        }
        if let Some(most) = self.turn
            && RESTED.get().is_some_and(|rested| rested.elapsed() >= most)
        {
            return Some(Stop::Late(most));
        }
        if self.abort.load(Ordering::Acquire) {
            return Some(Stop::Dropped);
        }
        if self.lease.as_ref().is_some_and(Lease::is_cancelled) {
            return Some(Stop::Cancelled);
        }
        let over = self.task.as_ref().and_then(|task| task.over());
        over.or_else(|| self.outer.as_ref()?.over())
    }

    fn deadline(&self) -> Option<(Instant, Duration)> {
        let (at, budget) = self.deadline?;
        Some((at + self.waived.lock().unwrap_or_else(PoisonError::into_inner).so_far(), budget))
    }

    /// The nearest deadline.
    pub(crate) fn until(&self) -> Option<Instant> {
        let own = self.deadline().map(|(at, _)| at);
        let outer = self.outer.as_ref().and_then(|outer| outer.until());
        [own, outer].into_iter().flatten().min()
    }
}

struct Entered(Option<Arc<Watch>>);

impl Drop for Entered {
    fn drop(&mut self) {
        let left = CURRENT.replace(self.0.take());
        drop(left);
    }
}

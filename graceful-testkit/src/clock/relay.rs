//! Threads of which one runs at a time: one that waits hands over to whoever let it run, and goes on when it is let run again.
//! Code that blocks goes the same way every time on them.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use graceful_core::clock::{Driver, driven};

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Enough for any interpreter. Address space only: memory is taken where it is used.
const STACK: usize = 32 << 20;

thread_local! {
    /// A thread has its own, which those that it begins share: where it stays on one core, so do they.
    static POOL: RefCell<Owned> = RefCell::default();
}

/// Threads that have nothing to do, for whichever clock needs one.
#[derive(Default)]
struct Pool(Mutex<Vec<Arc<Runner>>>);

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Runner>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pool, as the thread has it that began the first of its threads; they end with that.
#[derive(Default)]
struct Owned {
    pool: Arc<Pool>,
    shared: bool,
}

impl Drop for Owned {
    fn drop(&mut self) {
        if !self.shared {
            self.pool.lock().drain(..).for_each(|runner| runner.end());
        }
    }
}

/// Says whether a thread may go on.
type Look = Box<dyn Fn() -> bool + Send>;

/// A thread, and whose turn it is.
pub(super) struct Runner {
    turn: Mutex<Turn>,
    changed: Condvar,
    pool: Arc<Pool>,
}

struct Turn {
    its: bool,
    /// What it waits for, until it ends.
    waits: Option<Look>,
    job: Option<Job>,
    ends: bool,
    panic: Option<Box<dyn Any + Send>>,
}

impl Runner {
    /// A thread that does `job` once it is let run.
    pub(super) fn new(job: Job) -> io::Result<Arc<Self>> {
        let pool = POOL.with_borrow(|mine| mine.pool.clone());
        let idle = pool.lock().pop();
        let runner = match idle {
            Some(runner) => runner,
            None => Self::started(pool)?,
        };
        runner.lock().job = Some(job);
        Ok(runner)
    }

    fn started(pool: Arc<Pool>) -> io::Result<Arc<Self>> {
        let turn = Turn { its: false, waits: None, job: None, ends: false, panic: None };
        let runner = Arc::new(Self { turn: Mutex::new(turn), changed: Condvar::new(), pool });
        let me = runner.clone();
        thread::Builder::new().name("driven".into()).stack_size(STACK).spawn(move || me.serve())?;
        Ok(runner)
    }

    fn serve(self: Arc<Self>) {
        POOL.set(Owned { pool: self.pool.clone(), shared: true });
        loop {
            let mut turn = self.await_turn();
            if turn.ends {
                return;
            }
            let job = turn.job.take();
            drop(turn);
            let work = || driven(self.clone(), || job.map(|job| job()));
            let panic = catch_unwind(AssertUnwindSafe(work)).err();
            self.lock().panic = panic;
            self.hand_over(None);
        }
    }

    /// Whether it has something to do, or what it waits for has come.
    pub(super) fn may_run(&self) -> bool {
        self.lock().waits.as_ref().is_none_or(|look| look())
    }

    /// Lets it run until it waits or ends; whether it has ended. A panic of its work goes on here.
    pub(super) fn run(self: &Arc<Self>) -> bool {
        let mut turn = self.lock();
        turn.its = true;
        self.changed.notify_all();
        let mut turn = self.changed.wait_while(turn, |turn| turn.its).unwrap_or_else(PoisonError::into_inner);
        let (ended, panic) = (turn.waits.is_none(), turn.panic.take());
        drop(turn);
        if ended {
            self.pool.lock().push(self.clone());
        }
        match panic {
            Some(panic) => resume_unwind(panic),
            None => ended,
        }
    }

    /// Ends the thread, which has nothing to do.
    fn end(&self) {
        let mut turn = self.lock();
        (turn.its, turn.ends) = (true, true);
        drop(turn);
        self.changed.notify_all();
    }

    fn await_turn(&self) -> MutexGuard<'_, Turn> {
        self.changed.wait_while(self.lock(), |turn| !turn.its).unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, waits: Option<Look>) {
        let mut turn = self.lock();
        (turn.its, turn.waits) = (false, waits);
        drop(turn);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Driver for Runner {
    fn stand(&self, look: Look) {
        self.hand_over(Some(look));
        let look = self.await_turn().waits.take();
        drop(look);
    }
}

//! Threads of which one runs at a time: one that waits hands over to whoever let it run, and goes on when it is let run again.
//! Code that blocks goes the same way every time on them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use graceful_core::clock::{Driver, driven};

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Enough for any interpreter. Address space only: memory is taken where it is used.
const STACK: usize = 32 << 20;

/// Threads that have nothing to do, for whichever clock needs one.
static IDLE: Mutex<Vec<Arc<Runner>>> = Mutex::new(Vec::new());

/// Says whether a thread may go on.
type Look = Box<dyn Fn() -> bool + Send>;

/// A thread, and whose turn it is.
pub(super) struct Runner {
    turn: Mutex<Turn>,
    changed: Condvar,
}

struct Turn {
    its: bool,
    /// What it waits for, until it ends.
    waits: Option<Look>,
    job: Option<Job>,
    panic: Option<Box<dyn Any + Send>>,
}

impl Runner {
    /// A thread that does `job` once it is let run.
    pub(super) fn new(job: Job) -> io::Result<Arc<Self>> {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let runner = match idle {
            Some(runner) => runner,
            None => Self::started()?,
        };
        runner.lock().job = Some(job);
        Ok(runner)
    }

    fn started() -> io::Result<Arc<Self>> {
        let turn = Turn { its: false, waits: None, job: None, panic: None };
        let runner = Arc::new(Self { turn: Mutex::new(turn), changed: Condvar::new() });
        let me = runner.clone();
        thread::Builder::new().name("driven".into()).stack_size(STACK).spawn(move || me.serve())?;
        Ok(runner)
    }

    fn serve(self: Arc<Self>) {
        loop {
            let job = self.await_turn().job.take();
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
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(self.clone());
        }
        match panic {
            Some(panic) => resume_unwind(panic),
            None => ended,
        }
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

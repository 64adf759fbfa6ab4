//! What runs on a clock that stands still: its tasks, timers and threads, and whose turn is next.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::relay::Runner;
use crate::random::Random;

/// How long a wait with nothing to run waits for another thread.
const STRANGER: Duration = Duration::from_secs(2);
pub(super) const MAIN: u64 = 0;
/// A sleep takes at least this long, so that a loop of yields lets time pass.
pub(super) const TICK: Duration = Duration::from_micros(50);

#[derive(Default)]
pub(super) struct Inner {
    pub(super) state: Mutex<State>,
    pub(super) woken: Condvar,
    /// Whether what blocks gets threads.
    pub(super) threads: bool,
}

#[derive(Default)]
pub(super) struct State {
    /// Threads that wait.
    pub(super) standing: Vec<Arc<Runner>>,
    pub(super) now: Duration,
    pub(super) next: u64,
    pub(super) ready: Vec<u64>,
    pub(super) queued: BTreeSet<u64>,
    pub(super) tasks: BTreeMap<u64, Option<BoxFuture<'static, ()>>>,
    pub(super) timers: BTreeMap<(Duration, u64), Waker>,
    pub(super) random: Option<Random>,
    /// How many wait for a thread that is none of ours.
    pub(super) waiting: usize,
}

impl State {
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The threads that wait, in the order in which they are to look.
    pub(super) fn take_standing(&mut self) -> Vec<Arc<Runner>> {
        let mut standing = std::mem::take(&mut self.standing);
        if let Some(random) = &mut self.random
            && standing.len() > 1
        {
            let first = random.below(standing.len());
            standing.rotate_left(first);
        }
        standing
    }
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn wake(&self, id: u64) {
        let mut state = self.lock();
        if state.queued.insert(id) {
            state.ready.push(id);
        }
        let waiting = state.waiting > 0;
        drop(state);
        // A call of the system, also where nobody waits; there are hundreds in a history.
        if waiting {
            self.woken.notify_all();
        }
    }

    pub(super) fn waker(self: &Arc<Self>, id: u64) -> Waker {
        Waker::from(Arc::new(Wakes { id, clock: Arc::downgrade(self) }))
    }

    /// The next task to poll; the one of `block_on` only where that is the caller.
    pub(super) fn pop(&self, main: bool) -> Option<u64> {
        let state = &mut *self.lock();
        let fit: Vec<usize> = (0..state.ready.len()).filter(|at| main || state.ready[*at] != MAIN).collect();
        let at = match &mut state.random {
            Some(random) if fit.len() > 1 => fit[random.below(fit.len())],
            _ => *fit.first()?,
        };
        let id = state.ready.remove(at);
        state.queued.remove(&id);
        Some(id)
    }

    pub(super) fn poll(self: &Arc<Self>, id: u64) {
        let taken = self.lock().tasks.get_mut(&id).and_then(Option::take);
        let Some(mut task) = taken else { return };
        let waker = self.waker(id);
        let ended = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut state = self.lock();
        if ended {
            state.tasks.remove(&id);
        } else if let Some(slot) = state.tasks.get_mut(&id) {
            *slot = Some(task);
            return;
        }
        drop(state);
    }

    /// Wakes the earliest timer, if it is due by `end`; time jumps to it.
    pub(super) fn fire(&self, end: Option<Duration>) -> bool {
        let mut state = self.lock();
        let Some((&(at, id), _)) = state.timers.first_key_value() else { return false };
        if end.is_some_and(|end| at > end) {
            return false;
        }
        state.now = state.now.max(at);
        let waker = state.timers.remove(&(at, id));
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        true
    }

    /// Lets the threads run that may; whether there is something to run now, for `block_on` where that is the caller.
    pub(super) fn look(&self, main: bool) -> bool {
        let standing = self.lock().take_standing();
        let mut ran = false;
        for runner in standing {
            match runner.may_run() {
                true => {
                    self.go(runner);
                    ran = true;
                }
                false => self.lock().standing.push(runner),
            }
        }
        ran || self.lock().ready.iter().any(|id| main || *id != MAIN)
    }

    /// Lets the first of the threads run that may; whether there was one.
    pub(super) fn look_once(&self) -> bool {
        let mut standing = self.lock().take_standing();
        let first = standing.iter().position(|runner| runner.may_run());
        let runner = first.map(|at| standing.remove(at));
        self.lock().standing.splice(0..0, standing);
        runner.map(|runner| self.go(runner)).is_some()
    }

    pub(super) fn go(&self, runner: Arc<Runner>) {
        if !runner.run() {
            self.lock().standing.push(runner);
        }
    }

    /// Waits for a thread that is none of ours, a blocking call perhaps.
    pub(super) fn stranger(&self) -> bool {
        let mut state = self.lock();
        state.waiting += 1;
        let (mut state, waited) =
            self.woken.wait_timeout_while(state, STRANGER, |s| s.ready.is_empty()).unwrap();
        state.waiting -= 1;
        !waited.timed_out()
    }
}

struct Wakes {
    id: u64,
    clock: Weak<Inner>,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        if let Some(clock) = self.clock.upgrade() {
            clock.wake(self.id);
        }
    }
}

pub(super) struct Sleep {
    pub(super) clock: Arc<Inner>,
    pub(super) at: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.lock();
        if state.now >= self.at.0 {
            return Poll::Ready(());
        }
        state.timers.insert(self.at, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = self.clock.lock().timers.remove(&self.at);
        drop(waker);
    }
}

//! A clock whose time passes only when a test says so, with a single-threaded executor of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use std::{io, thread};

use futures_util::future::BoxFuture;
use graceful_core::Clock;
use tokio::sync::oneshot;

use super::relay::{Job, Runner};
use crate::random::Random;

/// A sleep takes at least this long, so that a loop of yields lets time pass.
const TICK: Duration = Duration::from_micros(50);
/// A test that takes more polls than this in one wait will never end.
const MOST_POLLS: u64 = 20_000_000;
/// Tasks that take more polls than this in one moment wake each other for ever.
const MOST_AT_ONCE: u64 = 2_000_000;
/// How long a wait with nothing to run waits for another thread.
const STRANGER: Duration = Duration::from_secs(2);
const MAIN: u64 = 0;

/// Time and tasks of a test, on the thread that waits. Cheap to clone.
#[derive(Clone, Default)]
pub struct ManualClock(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    woken: Condvar,
    /// Whether what blocks gets threads.
    threads: bool,
}

#[derive(Default)]
struct State {
    /// Threads that wait.
    standing: Vec<Arc<Runner>>,
    now: Duration,
    next: u64,
    ready: Vec<u64>,
    queued: BTreeSet<u64>,
    tasks: BTreeMap<u64, Option<BoxFuture<'static, ()>>>,
    timers: BTreeMap<(Duration, u64), Waker>,
    random: Option<Random>,
}

impl ManualClock {
    /// A clock at zero that runs ready tasks in the order they became ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock that runs ready tasks in an order drawn from `seed`.
    pub fn seeded(seed: u64) -> Self {
        let clock = Self::default();
        clock.0.lock().random = Some(Random::new(seed));
        clock
    }

    /// The same, with threads for what blocks, of which one runs at a time: while the others wait, and before time passes.
    /// For backends that keep a thread while a script waits, if they wait through [`wait`](graceful_core::clock::wait).
    pub fn with_threads(self) -> Self {
        let seeded = self.0.lock().random.take();
        let state = Mutex::new(State { random: seeded, ..State::default() });
        Self(Arc::new(Inner { state, threads: true, ..Inner::default() }))
    }

    /// Runs whatever is ready, until everything waits.
    pub fn run_until_stalled(&self) {
        let mut polls = 0;
        loop {
            match self.0.pop(false) {
                Some(id) => self.0.poll(id),
                None if self.0.look(false) => {}
                None => return,
            }
            polls += 1;
            assert!(polls < MOST_AT_ONCE, "tasks keep waking each other without time passing");
        }
    }

    /// Runs one task once, or lets time jump to the next timer; whether there was anything to do.
    pub fn step(&self) -> bool {
        match self.0.pop(false) {
            Some(id) => self.0.poll(id),
            None => return self.0.look(false) || self.0.fire(None),
        }
        true
    }

    /// Lets `duration` pass, running what becomes ready on the way.
    pub fn advance(&self, duration: Duration) {
        let end = self.now() + duration;
        self.run_until_stalled();
        while self.0.fire(Some(end)) {
            self.run_until_stalled();
        }
        self.0.lock().now = end;
    }

    /// Runs `future` and every task until it ends; when all of them wait, time jumps to the next timer.
    ///
    /// # Panics
    /// If nothing can run and no timer is set: the future would wait for ever.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let waker = self.0.waker(MAIN);
        waker.wake_by_ref();
        for _ in 0..MOST_POLLS {
            match self.0.pop(true) {
                Some(MAIN) => {
                    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return output;
                    }
                }
                Some(id) => self.0.poll(id),
                None => {
                    let going = self.0.look(true) || self.0.fire(None) || self.0.stranger();
                    assert!(going, "nothing left to run or to wait for");
                }
            }
        }
        panic!("no end after {MOST_POLLS} polls");
    }

    /// Drops every task and timer, and lets the threads that wait find out.
    pub fn clear(&self) {
        for _ in 0..MOST_AT_ONCE {
            let mut state = self.0.lock();
            state.ready.clear();
            state.queued.clear();
            let dropped = (std::mem::take(&mut state.tasks), std::mem::take(&mut state.timers));
            drop(state);
            drop(dropped);
            // What is dropped may start something, and so may a thread that finds out.
            if !self.0.look(false) && self.tasks() == 0 {
                return;
            }
        }
    }

    /// How many threads wait.
    pub fn standing(&self) -> usize {
        self.0.lock().standing.len()
    }

    /// How many tasks have not ended.
    pub fn tasks(&self) -> usize {
        self.0.lock().tasks.len()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        self.0.lock().now
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.0.lock();
        let until = state.now.saturating_add(duration.max(TICK));
        let id = state.number();
        Box::pin(Sleep { clock: self.0.clone(), at: (until, id) })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let id = {
            let mut state = self.0.lock();
            let id = state.number();
            state.tasks.insert(id, Some(task));
            id
        };
        self.0.wake(id);
    }

    fn blocking(&self, work: Job) -> BoxFuture<'static, ()> {
        if !self.0.threads {
            work();
            return Box::pin(std::future::ready(()));
        }
        let (done, ended) = oneshot::channel();
        let work = move || {
            work();
            let _ = done.send(());
        };
        let runner = Runner::new(Box::new(work)).expect("a thread");
        self.0.go(runner);
        Box::pin(async move { drop(ended.await) })
    }

    fn thread(&self, name: String, stack: usize, work: Job) -> io::Result<()> {
        if !self.0.threads {
            return thread::Builder::new().name(name).stack_size(stack).spawn(work).map(drop);
        }
        // Its turn comes like that of others that wait.
        let runner = Runner::new(work)?;
        self.0.lock().standing.push(runner);
        Ok(())
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The threads that wait, in the order in which they are to look.
    fn take_standing(&mut self) -> Vec<Arc<Runner>> {
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
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wake(&self, id: u64) {
        let mut state = self.lock();
        if state.queued.insert(id) {
            state.ready.push(id);
        }
        drop(state);
        self.woken.notify_all();
    }

    fn waker(self: &Arc<Self>, id: u64) -> Waker {
        Waker::from(Arc::new(Wakes { id, clock: Arc::downgrade(self) }))
    }

    /// The next task to poll; the one of `block_on` only where that is the caller.
    fn pop(&self, main: bool) -> Option<u64> {
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

    fn poll(self: &Arc<Self>, id: u64) {
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
    fn fire(&self, end: Option<Duration>) -> bool {
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
    fn look(&self, main: bool) -> bool {
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

    fn go(&self, runner: Arc<Runner>) {
        if !runner.run() {
            self.lock().standing.push(runner);
        }
    }

    /// Waits for a thread that is none of ours, a blocking call perhaps.
    fn stranger(&self) -> bool {
        let state = self.lock();
        let (_state, waited) =
            self.woken.wait_timeout_while(state, STRANGER, |s| s.ready.is_empty()).unwrap();
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

struct Sleep {
    clock: Arc<Inner>,
    at: (Duration, u64),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn note(log: &Arc<Mutex<Vec<String>>>, text: &str) {
        log.lock().unwrap().push(text.to_owned());
    }

    #[test]
    fn time_passes_only_when_everything_waits() {
        let clock = ManualClock::new();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (inner, lines) = (clock.clone(), log.clone());
        clock.spawn(Box::pin(async move {
            inner.sleep(Duration::from_secs(2)).await;
            note(&lines, "two");
        }));
        clock.run_until_stalled();
        assert_eq!(clock.now(), Duration::ZERO);
        clock.block_on(clock.sleep(Duration::from_secs(1)));
        note(&log, "one");
        clock.advance(Duration::from_secs(5));
        assert_eq!(*log.lock().unwrap(), ["one", "two"]);
        assert_eq!(clock.now(), Duration::from_secs(6));
        assert_eq!(clock.tasks(), 0);
    }

    #[test]
    fn a_seed_decides_the_order_of_ready_tasks() {
        let order = |seed| {
            let clock = ManualClock::seeded(seed);
            let log = Arc::new(Mutex::new(Vec::new()));
            for n in 0..8 {
                let lines = log.clone();
                clock.spawn(Box::pin(async move { note(&lines, &n.to_string()) }));
            }
            clock.run_until_stalled();
            let lines = log.lock().unwrap();
            lines.concat()
        };
        assert_eq!(order(1), order(1));
        assert!((2..6).any(|seed| order(seed) != order(1)));
    }

    #[test]
    #[should_panic(expected = "nothing left to run")]
    fn a_wait_that_nothing_ends_is_told() {
        ManualClock::new().block_on(std::future::pending::<()>());
    }
}

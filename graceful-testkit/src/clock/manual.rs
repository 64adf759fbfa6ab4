//! A clock whose time passes only when a test says so, with a single-threaded executor of its own.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, thread};

use futures_util::future::BoxFuture;
use graceful_core::Clock;
use tokio::sync::oneshot;

use super::executor::{Inner, MAIN, Sleep, State, TICK};
use super::relay::{Job, Runner};
use crate::random::Random;

/// A test that takes more polls than this in one wait will never end.
const MOST_POLLS: u64 = 20_000_000;
/// Tasks that take more polls than this in one moment wake each other for ever.
const MOST_AT_ONCE: u64 = 2_000_000;

/// Time and tasks of a test, on the thread that waits. Cheap to clone.
#[derive(Clone, Default)]
pub struct ManualClock(Arc<Inner>);

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

    /// Runs one task once, or one thread until it waits, or lets time jump to the next timer; whether there was anything
    /// to do.
    pub fn step(&self) -> bool {
        match self.0.pop(false) {
            Some(id) => self.0.poll(id),
            None => return self.0.look_once() || self.0.fire(None),
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

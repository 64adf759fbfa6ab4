//! Waiting on a thread of our own: for a future, for time, for what another task answers; stopped like code
//! that runs.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use event_listener::Event;
use futures_util::future::{BoxFuture, Either, select};
use graceful_core::clock::{self, Clock};

use crate::monitor;
use crate::watch::{self, Stop};

/// How often a wait looks whether it was stopped.
const LOOK: Duration = Duration::from_millis(10);

struct Wakes {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Drives `future` on this thread to its end.
///
/// # Errors
/// What stopped the code that waits.
pub(crate) fn wait<F: Future>(future: F) -> Result<F::Output, Stop> {
    monitor::paused(|| {
        let output = drive(future);
        watch::rested();
        output
    })
}

fn drive<F: Future>(future: F) -> Result<F::Output, Stop> {
    let mut future = pin!(future);
    let wakes = Arc::new(Wakes { thread: std::thread::current(), woken: AtomicBool::new(true) });
    let waker = Waker::from(wakes.clone());
    let watched = watch::current();
    loop {
        if wakes.woken.swap(false, Ordering::AcqRel)
            && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
        {
            return Ok(output);
        }
        let (wakes, over) = (wakes.clone(), watch::asked_elsewhere());
        let may_go = move || wakes.woken.load(Ordering::Acquire) || over();
        let Some(watched) = &watched else {
            clock::wait(may_go, std::thread::park);
            continue;
        };
        if let Some(stop) = watched.over() {
            return Err(stop);
        }
        let left = watched.until().map(|at| at.saturating_duration_since(Instant::now()));
        clock::wait(may_go, || std::thread::park_timeout(left.map_or(LOOK, |left| left.min(LOOK))));
    }
}

/// Does `work`, which waits. A task ends its turn for it, and everybody lets others into the module.
///
/// # Errors
/// What stopped the code that waits.
pub(crate) fn paused<T>(work: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
    let task = watch::current().and_then(|watch| watch.task.clone());
    let (result, over) = monitor::paused(|| {
        if let Some(task) = &task {
            task.pause();
        }
        (work(), task.and_then(|task| task.resume()))
    });
    over.map_or(result, Err)
}

/// Waits for `future`, at most until it is `until` on the host's clock; `None` if it was over before.
///
/// # Errors
/// What stopped the code that waits.
pub(crate) fn until<F: Future + Unpin>(
    clock: &dyn Clock,
    until: Option<Duration>,
    future: F,
) -> Result<Option<F::Output>, Stop> {
    let Some(until) = until else { return wait(future).map(Some) };
    let (slot, gone) = (Slot::default(), Arc::new(Event::new()));
    // The host's clock runs where the host's tasks run; it is let go of when nobody waits any more.
    let (rings, over) = (clock.sleep(until.saturating_sub(clock.now())), gone.listen());
    let into = slot.clone();
    clock.spawn(Box::pin(async move {
        if let Either::Left(_) = select(rings, over).await {
            into.put(());
        }
    }));
    let result = wait(select(future, Box::pin(slot.taken())));
    gone.notify(usize::MAX);
    Ok(match result? {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    })
}

/// A value that another task puts here once.
pub(crate) struct Slot<T>(Arc<(Mutex<Option<T>>, Event)>);

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Arc::new((Mutex::new(None), Event::new())))
    }
}

impl<T> Slot<T> {
    pub(crate) fn put(&self, value: T) {
        *self.0.0.lock().unwrap() = Some(value);
        self.0.1.notify(usize::MAX);
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.0.0.lock().unwrap().take()
    }

    pub(crate) async fn taken(&self) -> T {
        loop {
            let listener = self.0.1.listen();
            if let Some(value) = self.take() {
                return value;
            }
            listener.await;
        }
    }
}

/// Runs `future` where the host runs its tasks, and waits here for what it gives.
///
/// # Errors
/// What stopped the code that waits.
pub(crate) fn spawned<T: Send + 'static>(
    clock: &dyn Clock,
    future: BoxFuture<'static, T>,
) -> Result<T, Stop> {
    let slot = Slot::default();
    let into = slot.clone();
    clock.spawn(Box::pin(async move { into.put(future.await) }));
    wait(slot.taken())
}

/// Sleeps by the host's clock.
///
/// # Errors
/// What stopped the code that sleeps.
pub(crate) fn sleep(clock: &dyn Clock, duration: Duration) -> Result<(), Stop> {
    spawned(clock, clock.sleep(duration))
}

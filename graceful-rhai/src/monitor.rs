//! One call at a time in each module, until it waits: what a script does between two waits, others see done
//! or not at all.
//!
//! Nobody waits for a module while holding another one, so that nothing can deadlock: where a call would have
//! to wait, it lets go of all it holds, and takes back the module it returns to. Code that runs for long lets
//! others in too.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use graceful_core::clock::{self, is_driven};

use crate::cell;
use crate::watch::{self, Stop};

/// How long a call may keep others waiting.
const SLICE: Duration = Duration::from_millis(10);

/// How often a waiting call looks whether it was stopped.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Inner {
    owner: Option<ThreadId>,
    /// Who waits, first come first served.
    queue: VecDeque<ThreadId>,
    /// When the owner was first seen to keep somebody waiting.
    keeping: Option<Instant>,
}

impl Inner {
    /// Whether nobody is there, and `thread` is the next.
    fn is_free_for(&self, thread: ThreadId) -> bool {
        self.owner.is_none() && self.queue.front() == Some(&thread)
    }
}

/// Lets one thread at a time into a module.
#[derive(Default)]
pub(crate) struct Monitor {
    inner: Mutex<Inner>,
    freed: Condvar,
}

thread_local! {
    /// The modules this thread is in, innermost last. `None` is a wait: below it, nothing is to be taken
    /// back.
    static STACK: RefCell<Vec<Option<Arc<Monitor>>>> = const { RefCell::new(Vec::new()) };
}

/// A thread's stay in a module.
pub(crate) struct Stay(());

/// Enters; waits while somebody else is there.
///
/// # Errors
/// What stopped the code that waits.
pub(crate) fn enter(monitor: &Arc<Monitor>) -> Result<Stay, Stop> {
    if !monitor.try_own() {
        release_all();
        if let Some(stop) = watch::queued(|| monitor.own()) {
            take_back();
            return Err(stop);
        }
    }
    STACK.with_borrow_mut(|stack| stack.push(Some(monitor.clone())));
    Ok(Stay(()))
}

impl Drop for Stay {
    fn drop(&mut self) {
        let left = STACK.with_borrow_mut(|stack| {
            let left = stack.pop().flatten();
            let still =
                left.as_ref().is_some_and(|left| stack.iter().flatten().any(|held| Arc::ptr_eq(held, left)));
            left.filter(|_| !still)
        });
        if let Some(left) = left {
            left.release();
        }
        take_back();
    }
}

/// Runs `work`, which waits, with everybody else let in.
pub(crate) fn paused<T>(work: impl FnOnce() -> T) -> T {
    if STACK.with_borrow(Vec::is_empty) {
        return work();
    }
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            STACK.with_borrow_mut(|stack| drop(stack.pop()));
            take_back();
        }
    }
    release_all();
    STACK.with_borrow_mut(|stack| stack.push(None));
    let _back = Back;
    work()
}

/// Called often: lets others in after a while.
pub(crate) fn breathe() {
    let Some(monitor) = STACK.with_borrow(|stack| stack.last().cloned()).flatten() else { return };
    if monitor.keeps_others_waiting() && !cell::is_updating() {
        release_all();
        take_back();
    }
}

/// The innermost module is taken back. A module further out that is still held is let go of before waiting.
/// If the code was stopped meanwhile, its next operation finds that out.
fn take_back() {
    let top = STACK.with_borrow(|stack| stack.last().cloned()).flatten();
    if let Some(top) = top.filter(|top| !top.try_own()) {
        release_all();
        let _ = watch::queued(|| top.own());
    }
}

fn release_all() {
    let held: Vec<Arc<Monitor>> = STACK.with_borrow(|stack| stack.iter().flatten().cloned().collect());
    held.iter().for_each(|monitor| monitor.release());
}

impl Monitor {
    /// Makes this thread the owner if it is already, or nobody is and nobody waits.
    fn try_own(&self) -> bool {
        let me = std::thread::current().id();
        let mut inner = self.lock();
        if inner.owner.is_none() && inner.queue.is_empty() {
            inner.owner = Some(me);
        }
        inner.owner == Some(me)
    }

    /// Waits to become the owner.
    fn own(self: &Arc<Self>) -> Option<Stop> {
        let me = std::thread::current().id();
        let mut inner = self.lock();
        inner.queue.push_back(me);
        loop {
            if inner.is_free_for(me) {
                inner.queue.pop_front();
                inner.owner = Some(me);
                inner.keeping = None;
                return None;
            }
            inner = match is_driven() {
                true => {
                    drop(inner);
                    let (monitor, over) = (self.clone(), watch::asked_elsewhere());
                    clock::wait(move || monitor.lock().is_free_for(me) || over(), || ());
                    self.lock()
                }
                false => self.freed.wait_timeout(inner, LOOK).unwrap_or_else(PoisonError::into_inner).0,
            };
            if let Some(stop) = watch::current().and_then(|watch| watch.over()) {
                inner.queue.retain(|waiting| *waiting != me);
                drop(inner);
                self.freed.notify_all();
                return Some(stop);
            }
        }
    }

    /// Lets the next one in, if this thread is the owner.
    fn release(&self) {
        let mut inner = self.lock();
        if inner.owner == Some(std::thread::current().id()) {
            inner.owner = None;
            inner.keeping = None;
            let waiting = !inner.queue.is_empty();
            drop(inner);
            if waiting {
                self.freed.notify_all();
            }
        }
    }

    fn keeps_others_waiting(&self) -> bool {
        let mut inner = self.lock();
        if inner.queue.is_empty() {
            return false;
        }
        inner.keeping.get_or_insert_with(Instant::now).elapsed() > SLICE && !is_driven()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn two_modules_that_call_each_other_do_not_deadlock() {
        let (a, b) = (Arc::<Monitor>::default(), Arc::<Monitor>::default());
        let threads = [(a.clone(), b.clone()), (b, a)].map(|(first, second)| {
            std::thread::spawn(move || {
                for _ in 0..500 {
                    let _outer = enter(&first).ok();
                    std::thread::yield_now();
                    let _inner = enter(&second).ok();
                    let _again = enter(&first).ok();
                }
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn nobody_is_let_in_before_a_call_waits_or_takes_long() {
        let monitor = Arc::<Monitor>::default();
        let entered = Arc::<AtomicU64>::default();
        let stay = enter(&monitor).ok();
        let other = {
            let (monitor, entered) = (monitor.clone(), entered.clone());
            std::thread::spawn(move || {
                let _stay = enter(&monitor).ok();
                entered.fetch_add(1, Ordering::SeqCst);
            })
        };
        std::thread::sleep(SLICE * 2);
        assert_eq!(entered.load(Ordering::SeqCst), 0);
        breathe();
        std::thread::sleep(SLICE * 2);
        breathe();
        assert_eq!(entered.load(Ordering::SeqCst), 1);
        other.join().unwrap();
        drop(stay);
        let _stay = enter(&monitor).ok();
        let free = monitor.clone();
        paused(|| std::thread::spawn(move || drop(enter(&free).ok())).join().unwrap());
        assert!(monitor.try_own());
    }
}

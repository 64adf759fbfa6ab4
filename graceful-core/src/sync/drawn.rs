//! The same in the hands of a test: shuttle's locks and atomics, and a signal like that of `event-listener` made of them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64};
pub(crate) use shuttle::sync::{Mutex, MutexGuard, RwLock};
pub(crate) use shuttle::thread_local;

#[derive(Default)]
struct Listeners {
    next: u64,
    /// Those that were not told yet, and whom to wake.
    waiting: BTreeMap<u64, Option<Waker>>,
}

/// Tells those who listened before.
#[derive(Clone, Default)]
pub struct Event(Arc<Mutex<Listeners>>);

/// Ends when the event is told of after this was made.
pub struct EventListener {
    event: Event,
    id: u64,
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Event")
    }
}

impl Event {
    /// Listens from now on.
    pub fn listen(&self) -> EventListener {
        let mut listeners = self.0.lock().unwrap();
        listeners.next += 1;
        let id = listeners.next;
        listeners.waiting.insert(id, None);
        drop(listeners);
        EventListener { event: self.clone(), id }
    }

    /// Tells so many of those who listen.
    pub fn notify(&self, most: usize) {
        let mut listeners = self.0.lock().unwrap();
        let told: Vec<u64> = listeners.waiting.keys().copied().take(most).collect();
        let wakers: Vec<Option<Waker>> = told.iter().filter_map(|id| listeners.waiting.remove(id)).collect();
        drop(listeners);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Future for EventListener {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.event.0.lock().unwrap().waiting.get_mut(&self.id) {
            Some(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for EventListener {
    fn drop(&mut self) {
        let waker = self.event.0.lock().unwrap().waiting.remove(&self.id);
        drop(waker);
    }
}

/// No time passes here: whoever waits is told, or waits for ever and is found.
pub(crate) fn wait_timeout(listener: EventListener, _: Duration) {
    shuttle::future::block_on(listener);
}

//! What a reload polls right now: so that code that keeps its thread is known by name.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::Clock;
use crate::source::Name;

/// Code that has a thread.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) module: Name,
    /// What of the module: `top level`, a hook's name.
    pub(crate) what: &'static str,
    pub(crate) since: Duration,
    /// By then it has given the thread back, if it can be interrupted at all.
    pub(crate) until: Duration,
}

#[derive(Default)]
struct Inner {
    next: u64,
    held: BTreeMap<u64, Held>,
}

/// What a reload polls right now. A poll that takes longer than its budget and some grace runs code that nothing
/// interrupts.
pub(crate) struct Watch {
    clock: Arc<dyn Clock>,
    pub(crate) grace: Duration,
    inner: Mutex<Inner>,
}

impl Watch {
    pub(crate) fn new(clock: Arc<dyn Clock>, grace: Duration) -> Arc<Self> {
        Arc::new(Self { clock, grace, inner: Mutex::default() })
    }

    /// From now until the guard drops, `module` has this thread.
    pub(crate) fn hold(self: &Arc<Self>, module: &Name, what: &'static str, budget: Duration) -> Holds {
        let since = self.clock.now();
        let until = since.saturating_add(budget).saturating_add(self.grace);
        let mut inner = self.lock();
        inner.next += 1;
        let id = inner.next;
        inner.held.insert(id, Held { module: module.clone(), what, since, until });
        drop(inner);
        Holds { watch: self.clone(), id }
    }

    /// `future`, each poll of which is watched.
    pub(crate) fn over<F>(
        self: &Arc<Self>,
        module: &Name,
        what: &'static str,
        budget: Duration,
        future: F,
    ) -> Watched<F> {
        Watched { watch: self.clone(), module: module.clone(), what, budget, future: Box::pin(future) }
    }

    /// What has its thread and will have had it longest when its time is over.
    pub(crate) fn next(&self) -> Option<Held> {
        self.lock().held.values().min_by_key(|held| held.until).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A module has this thread; ends when dropped.
pub(crate) struct Holds {
    watch: Arc<Watch>,
    id: u64,
}

impl Drop for Holds {
    fn drop(&mut self) {
        self.watch.lock().held.remove(&self.id);
    }
}

/// A future of a module, each poll of which is watched.
pub(crate) struct Watched<F> {
    watch: Arc<Watch>,
    module: Name,
    what: &'static str,
    budget: Duration,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _holds = self.watch.hold(&self.module, self.what, self.budget);
        self.future.as_mut().poll(cx)
    }
}

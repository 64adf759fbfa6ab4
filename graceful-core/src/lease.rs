//! A lease: what a call, a task's turn or a hook holds while it runs. It pins the generation.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use crate::error::CallError;
use crate::gate::{Cancel, Gate, Generation, LeaseKind, LeaseRecord, Shut};
use crate::intent::Intents;
use crate::source::Name;
use crate::sync::{AtomicBool, AtomicU64, EventListener, thread_local};

struct LeaseState {
    gate: Arc<Gate>,
    id: u64,
    root: Name,
    kind: LeaseKind,
    generation: AtomicU64,
    parked: AtomicBool,
    /// A call nested in it was told that it is cancelled, so it may not end as if it were not.
    told: AtomicBool,
    cancel: Arc<Cancel>,
    intents: Option<Arc<Intents>>,
    /// The lease it is nested in: parked with it, and out as long as it is.
    parent: Option<Lease>,
}

impl Drop for LeaseState {
    fn drop(&mut self) {
        self.gate.leave(self.id);
    }
}

/// What a call, a task's turn or a hook holds while it runs. Cheap to clone; ends when the last clone drops.
#[derive(Clone)]
pub struct Lease(Arc<LeaseState>);

thread_local! {
    static CURRENT: RefCell<Option<Lease>> = const { RefCell::new(None) };
    /// Whether there is one: asked by what must cost next to nothing.
    static LEASED: Cell<bool> = const { Cell::new(false) };
}

impl Lease {
    /// Enters `root` from outside; see [`LeaseKind`] for who is stopped by what.
    ///
    /// # Errors
    /// [`Shut`] if the module is shut for this kind.
    pub fn open(gate: &Arc<Gate>, root: &Name, kind: LeaseKind) -> Result<Self, Shut> {
        let (id, record) = gate.admit(root, kind)?;
        Ok(Self::issued(gate.clone(), id, record, None, None))
    }

    /// Enters `root` at a given generation, past every gate. With `intents`, what is started under the lease
    /// waits for that transaction's commit.
    pub fn open_at(
        gate: &Arc<Gate>,
        root: &Name,
        kind: LeaseKind,
        generation: Generation,
        intents: Option<Arc<Intents>>,
    ) -> Self {
        let (id, record) = gate.admit_at(root, kind, generation);
        Self::issued(gate.clone(), id, record, intents, None)
    }

    fn issued(
        gate: Arc<Gate>,
        id: u64,
        record: LeaseRecord,
        intents: Option<Arc<Intents>>,
        parent: Option<Lease>,
    ) -> Self {
        let LeaseRecord { root, generation, kind, cancel, .. } = record;
        let generation = AtomicU64::new(generation.0);
        let (parked, told) = Default::default();
        Self(Arc::new(LeaseState { gate, id, root, kind, generation, parked, told, cancel, intents, parent }))
    }

    /// The lease this thread runs under, if any. Set around every poll of [`Lease::scope`] and by
    /// [`Lease::enter`]; nested coroutines and calls from script to Rust to script inherit it.
    pub fn current() -> Option<Lease> {
        CURRENT.with(|current| current.borrow().clone())
    }

    /// Whether this thread runs under a lease.
    #[inline]
    pub fn is_held() -> bool {
        LEASED.with(Cell::get)
    }

    /// The generation this thread is pinned to, without taking a share of the lease.
    #[inline]
    pub fn current_generation() -> Option<Generation> {
        CURRENT.with(|lease| lease.borrow().as_ref().map(Lease::generation))
    }

    /// The intents of the transaction this thread runs in, if any.
    pub fn current_intents() -> Option<Arc<Intents>> {
        CURRENT.with(|lease| lease.borrow().as_ref().and_then(|lease| lease.0.intents.clone()))
    }

    /// The module it entered.
    pub fn root(&self) -> &Name {
        &self.0.root
    }

    /// What holds it.
    pub fn kind(&self) -> LeaseKind {
        self.0.kind
    }

    /// The generation it is pinned to.
    pub fn generation(&self) -> Generation {
        Generation(self.0.generation.load(Ordering::Acquire))
    }

    /// Whether it belongs to a reload: a hook or a top level that is being staged.
    pub fn is_transactional(&self) -> bool {
        self.0.intents.is_some()
    }

    /// The intents of its transaction.
    pub fn intents(&self) -> Option<&Arc<Intents>> {
        self.0.intents.as_ref()
    }

    /// A lease for a call from inside this one into `module`: same generation, same transaction. Its gate
    /// does not stop it, for its own call is one that the drain waits for; a freeze does, unless it belongs
    /// to the reload.
    ///
    /// # Errors
    /// [`Shut`] if the module is frozen: wait for a change of the gate and ask again.
    pub fn nested(&self, module: &Name) -> Result<Lease, Shut> {
        let gate = &self.0.gate;
        let (id, mut record) = if self.is_of_reload() {
            gate.admit_at(module, LeaseKind::Nested, self.generation())
        } else {
            gate.admit_nested(module, self.generation(), |frozen| self.entered_one_of(frozen))?
        };
        // Who cancels the inner call cancels the outer one: it is the one that is told and may be sent again.
        gate.cancel_together(id, &self.0.cancel);
        record.cancel = self.0.cancel.clone();
        Ok(Self::issued(gate.clone(), id, record, self.0.intents.clone(), Some(self.clone())))
    }

    /// Whether it is pinned to a generation that is not live yet: that of new code before its commit.
    pub fn is_ahead(&self) -> bool {
        self.generation() > self.0.gate.live()
    }

    /// Whether it is, or is nested in, a hook or a top level of a reload.
    pub fn is_of_reload(&self) -> bool {
        let own = matches!(self.0.kind, LeaseKind::Hook | LeaseKind::Stage);
        own || self.0.parent.as_ref().is_some_and(Lease::is_of_reload)
    }

    /// Parks or unparks the call and every call it is nested in: a parked one asked for the reload that runs,
    /// so drain does not wait for it. While one of its modules is frozen, its future is not polled, so that
    /// it cannot go on in the middle of the next reload. On return it is pinned to the generation that is
    /// live then.
    pub fn set_parked(&self, parked: bool) {
        self.0.parked.store(parked, Ordering::Release);
        if parked {
            self.0.gate.park(self.0.id);
        } else {
            let live = self.0.gate.unpark(self.0.id);
            self.0.generation.store(live.0, Ordering::Release);
        }
        if let Some(parent) = &self.0.parent {
            parent.set_parked(parked);
        }
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.0.parked.load(Ordering::Acquire)
    }

    /// Whether it or one it is nested in entered one of `modules`.
    fn entered_one_of(&self, modules: &BTreeSet<Name>) -> bool {
        let parent = self.0.parent.as_ref();
        modules.contains(&self.0.root) || parent.is_some_and(|parent| parent.entered_one_of(modules))
    }

    /// Cancels the call: its future ends with [`CallError::Cancelled`] at its next poll; code that spins
    /// must look at [`Lease::is_cancelled`].
    pub fn cancel(&self) {
        self.0.cancel.cancel();
    }

    /// How it is cancelled.
    pub fn cancellation(&self) -> &Cancel {
        &self.0.cancel
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancel.is_cancelled()
    }

    /// It ends as cancelled, and so does every call it is nested in, whatever they make of the error.
    fn cancelled(&self) -> CallError {
        let above = std::iter::successors(self.0.parent.as_ref(), |lease| lease.0.parent.as_ref());
        above.for_each(|lease| lease.0.told.store(true, Ordering::Release));
        self.0.cancel.told(self.root())
    }

    /// Makes this the thread's current lease until the guard drops.
    pub fn enter(&self) -> Entered {
        LEASED.with(|leased| leased.set(true));
        let previous = CURRENT.with(|current| current.replace(Some(self.clone())));
        Entered { previous, _not_send: std::marker::PhantomData }
    }

    /// Runs `future` under this lease; the lease ends with the future.
    pub fn scope<F: Future>(self, future: F) -> Leased<F> {
        let cancelled = self.0.cancel.listen();
        Leased { future: Some(Box::pin(future)), cancelled, thawed: None, lease: self }
    }
}

/// Resets the thread's lease when dropped.
pub struct Entered {
    previous: Option<Lease>,
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        // What it was last may end with this; by then the thread must be able to ask for its lease.
        LEASED.with(|leased| leased.set(self.previous.is_some()));
        let mine = CURRENT.with(|current| current.replace(self.previous.take()));
        drop(mine);
    }
}

/// A future that runs under a lease. Ends with [`CallError::Cancelled`] if the lease is cancelled.
pub struct Leased<F> {
    future: Option<Pin<Box<F>>>,
    cancelled: EventListener,
    thawed: Option<EventListener>,
    lease: Lease,
}

impl<F: Future> Future for Leased<F> {
    type Output = Result<F::Output, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let _entered = this.lease.enter();
        if this.lease.is_cancelled() || Pin::new(&mut this.cancelled).poll(cx).is_ready() {
            this.future = None;
            return Poll::Ready(Err(this.lease.cancelled()));
        }
        if this.lease.is_parked() && !this.may_resume(cx) {
            return Poll::Pending;
        }
        let future = this.future.as_mut().expect("polled after it ended");
        let polled = future.as_mut().poll(cx);
        if polled.is_ready() {
            this.future = None;
            if this.lease.0.told.load(Ordering::Acquire) {
                return Poll::Ready(Err(this.lease.cancelled()));
            }
        } else if this.lease.is_parked() {
            this.lease.0.gate.park(this.lease.0.id);
        }
        polled.map(Ok)
    }
}

impl<F> Leased<F> {
    /// Counts a parked lease while its future is polled; not as long as its module is frozen.
    fn may_resume(&mut self, cx: &mut Context<'_>) -> bool {
        let gate = &self.lease.0.gate;
        loop {
            let listener = self.thawed.get_or_insert_with(|| gate.listen_for_thaw());
            if gate.resume(self.lease.0.id).is_ok() {
                self.thawed = None;
                return true;
            }
            if Pin::new(listener).poll(cx).is_pending() {
                return false;
            }
            self.thawed = None;
        }
    }
}

impl<F> Drop for Leased<F> {
    /// What a dropped call still does on its way out, it does under its lease.
    fn drop(&mut self) {
        let _entered = self.lease.enter();
        self.future = None;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn call_04_a_call_whose_inner_call_was_told_ends_as_cancelled_though_it_caught_that() {
        let gate = Arc::<Gate>::default();
        let outer = Lease::open(&gate, &"web".into(), LeaseKind::Call).ok().unwrap();
        // Cancelled after the outer call was found not to be, in the same poll.
        let page = outer.scope(async {
            let inner = Lease::current().unwrap().nested(&"db".into()).ok().unwrap();
            inner.cancel();
            inner.scope(async {}).await.unwrap_err();
            "page"
        });
        assert_eq!(page.now_or_never(), Some(Err(CallError::Cancelled { module: "web".into() })));
    }
}

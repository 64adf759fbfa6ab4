//! What the code of one run waits for. mlua drops that with the coroutine of the run; where a coroutine that the script
//! made waits, it would be kept until the collector comes by, and with it a lease, or a place among those who are woken.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

type Known = Vec<Weak<dyn LetGo>>;

thread_local! {
    /// What the run waits for that this thread polls.
    static CURRENT: RefCell<Option<Known>> = const { RefCell::new(None) };
}

/// What one run waits for.
#[derive(Default)]
pub(crate) struct Waits(Known);

impl Waits {
    /// Whatever `work` begins to wait for belongs to this.
    pub(crate) fn during<R>(&mut self, work: impl FnOnce() -> R) -> R {
        struct Outer<'a>(&'a mut Known, Option<Known>);
        impl Drop for Outer<'_> {
            fn drop(&mut self) {
                *self.0 = CURRENT.replace(self.1.take()).unwrap_or_default();
            }
        }
        let outer = CURRENT.replace(Some(std::mem::take(&mut self.0)));
        let _outer = Outer(&mut self.0, outer);
        work()
    }

    /// Drops all of it.
    pub(crate) fn let_go(&mut self) {
        self.0.drain(..).filter_map(|wait| wait.upgrade()).for_each(|wait| wait.let_go());
    }
}

trait LetGo: Send + Sync {
    fn let_go(&self);
}

/// Never locked while it is dropped: both happen under the lock of one VM.
struct Slot<F>(Mutex<Option<Pin<Box<F>>>>);

impl<F> Slot<F> {
    fn with<R>(&self, work: impl FnOnce(&mut Option<Pin<Box<F>>>) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<F: Send> LetGo for Slot<F> {
    fn let_go(&self) {
        let future = self.with(Option::take);
        drop(future);
    }
}

/// Something that a script waits for; goes with the run that waits, wherever in it that is.
pub(crate) struct Waiting<F>(Arc<Slot<F>>);

impl<F: Future + Send + 'static> Waiting<F> {
    pub(crate) fn new(future: F) -> Self {
        let slot = Arc::new(Slot(Mutex::new(Some(Box::pin(future)))));
        CURRENT.with_borrow_mut(|current| {
            let Some(known) = current else { return };
            if known.len() == known.capacity() {
                known.retain(|wait| wait.strong_count() > 0);
            }
            known.push(Arc::downgrade(&slot) as Weak<dyn LetGo>);
        });
        Self(slot)
    }
}

impl<F: Future> Future for Waiting<F> {
    type Output = F::Output;

    /// What was let go of is never woken.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.0.with(|future| {
            let Some(waits) = future else { return Poll::Pending };
            let polled = waits.as_mut().poll(cx);
            if polled.is_ready() {
                *future = None;
            }
            polled
        })
    }
}

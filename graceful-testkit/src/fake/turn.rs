//! One thing at a time: what a script does between two waits, others see done or not at all.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, TryLockError};
use std::task::{Context, Poll};

use super::vm::Vm;

thread_local! {
    /// Whether this thread has a turn: what it calls meanwhile belongs to it.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A future of script code, each poll of which is one turn. A thread never waits for a turn, least of all while it has
/// one: whoever has it may be waiting for the interpreter of another language that this thread has.
pub(crate) struct Turns<F> {
    vm: Arc<Vm>,
    code: Pin<Box<F>>,
}

impl<F: Future> Turns<F> {
    pub(crate) fn of(vm: &Arc<Vm>, code: F) -> Self {
        Self { vm: vm.clone(), code: Box::pin(code) }
    }
}

impl<F: Future> Future for Turns<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        struct Outside;
        impl Drop for Outside {
            fn drop(&mut self) {
                INSIDE.set(false);
            }
        }
        let this = &mut *self;
        if INSIDE.get() {
            return this.code.as_mut().poll(cx);
        }
        let _turn = match this.vm.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        };
        INSIDE.set(true);
        let _outside = Outside;
        this.code.as_mut().poll(cx)
    }
}

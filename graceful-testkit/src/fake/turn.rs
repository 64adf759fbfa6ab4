//! One thing at a time: what a script does between two waits, others see done or not at all.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use super::vm::Vm;

thread_local! {
    /// Whether this thread has a turn: what it calls meanwhile belongs to it.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A future of script code, each poll of which is one turn. A thread never waits for a second backend's turn
/// while it has one, so two backends that call each other do not deadlock.
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
        let _turn = this.vm.turn.lock().unwrap_or_else(PoisonError::into_inner);
        INSIDE.set(true);
        let _outside = Outside;
        this.code.as_mut().poll(cx)
    }
}

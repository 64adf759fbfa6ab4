//! One piece of Lua, turn by turn: every poll of it under the VM's lock, behind its transaction's veil,
//! stopped when its time is over.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use graceful_core::error::ScriptErrorKind;
use graceful_core::{Place, ScriptError};
use mlua::Lua;

use crate::interrupt::Late;
use crate::overlay::Veil;
use crate::vm::Vm;
use crate::waits::Waits;

/// How a piece of Lua runs.
#[derive(Clone, Default)]
pub(crate) struct How {
    /// It belongs to a transaction: what is put in before its turns.
    pub(crate) veil: Option<Veil>,
    /// How long it may be on the processor before it is stopped. How much memory it takes is limited, too.
    pub(crate) budget: Option<Duration>,
    /// By how much the VM grew in its earlier turns, in bytes.
    pub(crate) grown: usize,
    /// It is a top level: the collector rests meanwhile.
    pub(crate) staging: bool,
}

impl How {
    /// For a call: behind the veil if its lease belongs to a transaction.
    pub(crate) fn call(vm: &Vm) -> Self {
        Self { veil: Veil::current(vm), ..Self::default() }
    }
}

impl Vm {
    /// One turn: runs `work`, which polls or calls Lua code, as `how` says.
    pub(crate) fn turn<R>(&self, how: &How, left: Option<Duration>, work: impl FnOnce() -> R) -> R {
        self.hold(|| {
            let _turn = self.turns.enter();
            if self.is_veiled()
                && !how.veil.as_ref().is_some_and(Veil::is_top_level)
                && let Some(open) = self.open()
            {
                open.let_in(self);
            }
            if how.veil.is_none() && left.is_none() {
                return work();
            }
            // What is done around the work must not fail for want of memory.
            let unlimited = Memory::limit(&self.lua, 0);
            let _lowered = how.veil.as_ref().and_then(|veil| veil.lower(self));
            let _armed = left.and_then(|left| self.interrupt.arm(&self.lua, left).ok());
            let outer = unlimited.outer.unwrap_or(0);
            let _limited = Memory::limit(&self.lua, self.most(how, outer));
            if how.staging {
                self.collector.rest(&self.lua, &self.settings);
            }
            work()
        })
    }

    /// Code has ended. LuaJIT fails allocations at the limit although what it left could be collected: that is done
    /// before anybody else has a turn, once half of the room is used that the last time left.
    #[inline]
    pub(crate) fn relieve(&self) {
        if cfg!(feature = "luajit") && self.settings.memory.is_some() {
            self.hold(|| self.collect_if_full());
        }
    }

    fn collect_if_full(&self) {
        let used = self.lua.used_memory();
        let kept = self.relieved.load(Ordering::Relaxed);
        let Some(most) = self.settings.memory.filter(|most| used > kept + most.saturating_sub(kept) / 2)
        else {
            return;
        };
        if used > most / 2 {
            let _ = self.lua.gc_collect();
            self.relieved.store(self.lua.used_memory(), Ordering::Relaxed);
        }
    }

    fn most(&self, how: &How, outer: usize) -> usize {
        if how.budget.is_none() {
            return outer;
        }
        let left = self.settings.stage_memory.saturating_sub(how.grown);
        let stage = self.lua.used_memory().saturating_add(left.max(1));
        if outer == 0 { stage } else { stage.min(outer) }
    }
}

/// A memory limit is set; the one there was comes back when this drops. Does nothing to a VM whose memory
/// mlua does not control.
pub(crate) struct Memory<'a> {
    lua: &'a Lua,
    outer: Option<usize>,
}

impl<'a> Memory<'a> {
    pub(crate) fn limit(lua: &'a Lua, bytes: usize) -> Self {
        Self { lua, outer: lua.set_memory_limit(bytes).ok() }
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        if let Some(outer) = self.outer {
            let _ = self.lua.set_memory_limit(outer);
        }
    }
}

/// A future of Lua code. Made in its first turn, polled and dropped in turns.
pub(crate) struct Run<M, F> {
    vm: Arc<Vm>,
    how: How,
    spent: Duration,
    /// When it was interrupted to go on later: its time runs on meanwhile, as whoever waits for it sees it.
    interrupted: Option<Instant>,
    make: Option<M>,
    inner: Option<Pin<Box<F>>>,
    waits: Waits,
}

/// It ran longer than it may.
pub(crate) struct Overrun {
    pub(crate) budget: Duration,
    pub(crate) late: Late,
}

impl Overrun {
    pub(crate) fn into_error(self, vm: &Vm) -> ScriptError {
        let message = format!("ran longer than {:?}", self.budget);
        let error = ScriptError::new(ScriptErrorKind::Timeout, message);
        let Some(file) = self.late.chunk.as_deref().and_then(|name| name.strip_prefix('@')) else {
            return error;
        };
        let place = Place { file: file.to_owned(), line: self.late.line, column: None };
        let error = error.at(place);
        match vm.source(file) {
            Some(source) => error.with_source(&source.text),
            None => error,
        }
    }
}

/// Nothing in it is pinned but the box.
impl<M, F> Unpin for Run<M, F> {}

impl<M: FnOnce() -> F, F: Future> Run<M, F> {
    pub(crate) fn new(vm: &Arc<Vm>, how: How, make: M) -> Self {
        let (spent, interrupted, inner, waits) = Default::default();
        Self { vm: vm.clone(), how, spent, interrupted, make: Some(make), inner, waits }
    }
}

impl<M: FnOnce() -> F, T, F: Future<Output = T>> Future for Run<M, F> {
    type Output = Result<T, Overrun>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (vm, inner, make, waits) = (&this.vm, &mut this.inner, &mut this.make, &mut this.waits);
        // A coroutine inherits the deadline that is armed when it is made; what is over is dropped in the same
        // turn.
        let mut turn = || {
            if let Some(make) = make.take() {
                *inner = Some(Box::pin(make()));
            }
            let polled = waits.during(|| inner.as_mut().expect("polled after it was done").as_mut().poll(cx));
            if polled.is_ready() {
                *inner = None;
                waits.let_go();
                vm.relieve();
            }
            polled
        };
        let Some(budget) = this.how.budget else { return vm.turn(&this.how, None, turn).map(Ok) };
        let began = this.interrupted.take().unwrap_or_else(Instant::now);
        let left = budget.saturating_sub(this.spent + began.elapsed());
        let (polled, late, grown, gave_way) = vm.turn(&this.how, Some(left), || {
            let used = vm.lua.used_memory();
            let polled = turn();
            let grown = (this.how.grown + vm.lua.used_memory()).saturating_sub(used);
            (polled, vm.interrupt.late(), grown, vm.interrupt.gave_way())
        });
        this.spent += began.elapsed();
        this.how.grown = grown;
        this.interrupted = gave_way.then(Instant::now);
        if this.how.staging && polled.is_pending() && !gave_way {
            this.vm.hold(|| this.vm.collector.wake(&this.vm.lua));
        }
        match late {
            Some(late) => Poll::Ready(Err(Overrun { budget, late })),
            None => polled.map(Ok),
        }
    }
}

impl<M, F> Drop for Run<M, F> {
    /// Dropping a coroutine runs what it left to be closed, so that is a turn as well.
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            let left = self.how.budget.map(|budget| budget.saturating_sub(self.spent));
            self.vm.turn(&self.how, left, || {
                drop(inner);
                self.waits.let_go();
            });
            self.vm.relieve();
            if left.is_some() {
                let _ = self.vm.interrupt.late();
            }
        }
    }
}

/// The call of one coroutine inside a turn, so that whoever stops cancelled calls knows which it is.
pub(crate) struct Watched<F> {
    vm: Arc<Vm>,
    call: F,
}

impl<F> Watched<F> {
    pub(crate) fn new(vm: &Arc<Vm>, call: F) -> Self {
        Self { vm: vm.clone(), call }
    }
}

impl<F: Future + Unpin> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // LuaJIT's hooks belong to the VM; elsewhere the coroutine says itself which it is, when it resumes.
        if cfg!(feature = "luajit") {
            self.vm.turns.runs_in_main();
        }
        let polled = Pin::new(&mut self.call).poll(cx);
        self.vm.turns.left();
        polled
    }
}

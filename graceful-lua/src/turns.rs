//! What runs in the VM now, so that a call that was cancelled is stopped although it spins, and what only its
//! lock protects.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ptr::null;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use graceful_core::Lease;
use mlua::Lua;
use mlua::ffi::lua_State;
use mlua::thread::{ThreadEvent, ThreadTriggers};

use crate::vm::Vm;
#[cfg(feature = "lua54")]
pub(crate) use follow::resume;
use wanted::Wanted;

#[cfg(feature = "lua54")]
mod follow;
mod stop;
#[cfg(test)]
mod tests;
mod wanted;
mod watch;

/// A coroutine that runs, as the watch sees it. Only followed under the turns' lock, which keeps the turn from
/// ending and the coroutine from being collected.
#[derive(Clone, Copy)]
struct State(*mut lua_State);

// SAFETY: the pointer is only given to `lua_sethook`, which Lua allows to be called asynchronously.
unsafe impl Send for State {}

struct Turn {
    lease: Option<Lease>,
    began: Instant,
    /// The coroutine the turn resumed, and those that were resumed from it, innermost last.
    states: Vec<State>,
    /// When the watch last saw that a hook had run, or set one.
    hooked: Option<Instant>,
}

impl Turn {
    fn is_cancelled(&self) -> bool {
        self.lease.as_ref().is_some_and(Lease::is_cancelled)
    }
}

/// The turns of one VM that are under way, innermost last.
pub(crate) struct Turns {
    main: AtomicPtr<lua_State>,
    running: Mutex<Vec<Turn>>,
    /// A hook ran since the watch last looked.
    hooked: AtomicBool,
    watched: AtomicBool,
    until: Mutex<Option<Instant>>,
    limit: OnceLock<Duration>,
    wanted: Mutex<Option<Wanted>>,
}

thread_local! {
    /// The turns of the VM whose code this thread runs.
    static RUNNING: Cell<*const Turns> = const { Cell::new(null()) };
    /// What was cancelled was thrown out of in this turn.
    static THROWN: Cell<bool> = const { Cell::new(false) };
}

impl Turns {
    /// Called while nothing runs in `lua`.
    pub(crate) fn new(lua: &Lua) -> Arc<Self> {
        let main = AtomicPtr::new(lua.state());
        let (running, hooked, watched, until, limit, wanted) = Default::default();
        let turns = Self { main, running, hooked, watched, until, limit, wanted };
        let turns = Arc::new(turns);
        if cfg!(not(feature = "luajit")) {
            let weak = Arc::downgrade(&turns);
            lua.set_thread_event_callback(ThreadTriggers::ON_RESUME, move |_, event| {
                if let (Some(turns), ThreadEvent::Resume(coroutine)) = (weak.upgrade(), event) {
                    turns.runs_in(coroutine.state());
                }
                Ok(())
            });
        }
        turns
    }

    /// A turn begins on this thread, under its lease.
    pub(crate) fn enter(&self) -> Entered<'_> {
        self.lock().push(Turn {
            lease: Lease::current(),
            began: Instant::now(),
            states: Vec::new(),
            hooked: None,
        });
        THROWN.set(false);
        Entered { turns: self, outer: RUNNING.replace(self), _not_send: PhantomData }
    }

    /// The innermost turn runs in the main coroutine, until [`Turns::left`].
    pub(crate) fn runs_in_main(&self) {
        self.runs_in(self.main.load(Ordering::Relaxed));
    }

    /// What native code resumes by itself inside of a turn comes after the turn's own and is not followed.
    fn runs_in(&self, state: *mut lua_State) {
        if let Some(turn) = self.lock().last_mut().filter(|turn| turn.states.is_empty()) {
            turn.states.push(State(state));
        }
    }

    /// Whether what runs in `lua` now is the coroutine of the innermost turn, and not one it resumed.
    pub(crate) fn is_own(&self, lua: &Lua) -> bool {
        self.is_only(lua.state())
    }

    fn is_only(&self, state: *mut lua_State) -> bool {
        self.lock().last().is_some_and(|turn| turn.states.iter().map(|state| state.0).eq([state]))
    }

    /// The coroutine of the innermost turn came back.
    pub(crate) fn left(&self) {
        if let Some(turn) = self.lock().last_mut() {
            turn.states.clear();
        }
    }

    /// The lease of the turn of another thread that has kept the VM for longer than `most`, and how long that is.
    pub(crate) fn hog(&self, most: Duration) -> Option<(Option<Lease>, Duration)> {
        if std::ptr::eq(RUNNING.get(), self) {
            return None;
        }
        let turns = self.lock();
        let outermost = turns.first().filter(|turn| turn.began.elapsed() > most)?;
        Some((outermost.lease.clone(), outermost.began.elapsed()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Turn>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A value that is only touched under the lock of its VM, which costs less than a lock of its own.
pub(crate) struct Locked<T> {
    vm: Arc<Vm>,
    cell: RefCell<T>,
}

// SAFETY: the cell is only reached through `with`, which holds the lock of the one VM it belongs to, so by one
// thread at a time; that thread may come back to it, for which it is a `RefCell`.
unsafe impl<T: Send> Sync for Locked<T> {}

impl<T> Locked<T> {
    pub(crate) fn new(vm: Arc<Vm>, value: T) -> Self {
        Self { vm, cell: RefCell::new(value) }
    }

    /// Holds the VM's lock while `work` runs.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&RefCell<T>) -> R) -> R {
        self.vm.hold(|| work(&self.cell))
    }

    pub(crate) fn vm(&self) -> &Arc<Vm> {
        &self.vm
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.cell.get_mut()
    }
}

/// A turn; ends when dropped.
pub(crate) struct Entered<'a> {
    turns: &'a Turns,
    outer: *const Turns,
    _not_send: PhantomData<*const ()>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        RUNNING.set(self.outer);
        let ended = self.turns.lock().pop();
        drop(ended);
    }
}

/// Whether the call or task that this thread runs was cancelled.
pub(crate) fn is_cancelled() -> bool {
    Lease::current().is_some_and(|lease| lease.is_cancelled())
}

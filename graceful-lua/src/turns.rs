//! What runs in the VM now, so that a call that was cancelled is stopped although it spins, and what only its
//! lock protects. The only file of this crate with `unsafe` in it.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::null;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use graceful_core::Lease;
use mlua::Lua;
use mlua::ffi::{self, lua_State};
use mlua::thread::{ThreadEvent, ThreadTriggers};

use crate::vm::Vm;
use wanted::Wanted;

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
}

/// The turns of one VM that are under way, innermost last.
pub(crate) struct Turns {
    main: AtomicPtr<lua_State>,
    running: Mutex<Vec<Turn>>,
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
        let (running, watched, until, limit, wanted) = Default::default();
        let turns = Self { main, running, watched, until, limit, wanted };
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
        self.lock().push(Turn { lease: Lease::current(), began: Instant::now(), states: Vec::new() });
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

    fn stop_cancelled(&self) {
        let turns = self.lock();
        wanted::cancel_who_keeps(*self.wanted(), turns.first());
        if let (Some(limit), Some(turn)) = (self.limit.get(), turns.first())
            && turn.began.elapsed() > *limit
            && let Some(lease) = &turn.lease
        {
            lease.cancellation().overran(*limit);
        }
        let Some(Turn { lease: Some(lease), states, .. }) = turns.last() else { return };
        if let Some(state) = states.last().filter(|_| lease.is_cancelled()) {
            // SAFETY: the coroutine runs in a turn that cannot end while `turns` is locked, so it is alive;
            // setting a hook from another thread is what Lua's own Ctrl-C handler does.
            unsafe { ffi::lua_sethook(state.0, Some(stop_if_cancelled), ffi::LUA_MASKCOUNT, 1) };
        }
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

/// Whether what was cancelled is left as it stands, for whoever polls it to drop: every second time in a turn, for it
/// has caught the error before, maybe in one of a great many `pcall`s. Inside of a coroutine of its own it goes on.
#[cfg(feature = "lua54")]
fn leaves(state: *mut lua_State) -> bool {
    let again = THROWN.replace(!THROWN.get());
    // SAFETY: see `resume_followed`.
    let turns = unsafe { RUNNING.get().as_ref() };
    again && turns.is_some_and(|turns| turns.is_only(state))
}

/// Runs on the thread that runs the code, so the thread's lease is that of the code.
unsafe extern "C-unwind" fn stop_if_cancelled(state: *mut lua_State, at: *mut ffi::lua_Debug) {
    // SAFETY: called by Lua with a live state and what it is at; nothing in this frame has to be dropped when the error
    // leaves it. A source's name ends with a zero.
    unsafe {
        if is_cancelled() {
            // What looks where the script was is let go on: it does not loop.
            if ffi::lua_getinfo(state, c"S".as_ptr(), at) != 0 && CStr::from_ptr((*at).source) == c"=graceful"
            {
                return;
            }
            #[cfg(feature = "lua54")]
            if leaves(state) && ffi::lua_isyieldable(state) != 0 {
                ffi::lua_yield(state, 0);
                return;
            }
            ffi::luaL_where(state, 0);
            ffi::lua_pushstring(state, c"the call was cancelled".as_ptr());
            ffi::lua_concat(state, 2);
            ffi::lua_error(state);
        }
        ffi::lua_sethook(state, None, 0, 0);
    }
}

/// `coroutine.resume` as Lua has it, except that the coroutine is followed and inherits the hook: on plain Lua
/// a hook belongs to one coroutine. LuaJIT's belong to the VM and need no such thing.
#[cfg(feature = "lua54")]
pub(crate) fn resume(lua: &Lua) -> mlua::Result<mlua::Function> {
    // SAFETY: `resume_followed` keeps to Lua's protocol for C functions.
    unsafe { lua.create_c_function(resume_followed) }
}

#[cfg(feature = "lua54")]
unsafe extern "C-unwind" fn resume_followed(state: *mut lua_State) -> std::os::raw::c_int {
    // SAFETY: called by Lua with a live state. The coroutine is its first argument, so it stays alive. `RUNNING`
    // is set for as long as the turn it belongs to lasts, which is longer than this call. Errors leave this frame
    // only where nothing in it has to be dropped.
    unsafe {
        let co = ffi::lua_tothread(state, 1);
        if co.is_null() {
            ffi::lua_pushstring(state, c"bad argument #1 to 'resume' (coroutine expected)".as_ptr());
            ffi::lua_error(state);
        }
        let given = ffi::lua_gettop(state) - 1;
        if ffi::lua_checkstack(co, given) == 0 {
            return failed(state, c"too many arguments to resume");
        }
        ffi::lua_xmove(state, co, given);
        if let Some(hook) = ffi::lua_gethook(state) {
            ffi::lua_sethook(co, Some(hook), ffi::lua_gethookmask(state), ffi::lua_gethookcount(state));
        }
        let turns = RUNNING.get().as_ref();
        turns.into_iter().for_each(|turns| turns.inner(Some(State(co))));
        let mut returned = 0;
        let status = ffi::lua_resume(co, state, given, &mut returned);
        turns.into_iter().for_each(|turns| turns.inner(None));
        if status != ffi::LUA_OK && status != ffi::LUA_YIELD {
            ffi::lua_pushboolean(state, 0);
            ffi::lua_xmove(co, state, 1);
            return 2;
        }
        if ffi::lua_checkstack(state, returned + 1) == 0 {
            ffi::lua_pop(co, returned);
            return failed(state, c"too many results to resume");
        }
        ffi::lua_pushboolean(state, 1);
        ffi::lua_xmove(co, state, returned);
        returned + 1
    }
}

#[cfg(feature = "lua54")]
unsafe fn failed(state: *mut lua_State, message: &std::ffi::CStr) -> std::os::raw::c_int {
    // SAFETY: called with a live state that has room for two values, which Lua gives every C function.
    unsafe {
        ffi::lua_pushboolean(state, 0);
        ffi::lua_pushstring(state, message.as_ptr());
    }
    2
}

#[cfg(feature = "lua54")]
impl Turns {
    /// The innermost turn resumed one more coroutine, or that came back.
    fn inner(&self, state: Option<State>) {
        let mut turns = self.lock();
        let Some(turn) = turns.last_mut() else { return };
        match state {
            Some(state) => turn.states.push(state),
            None => drop(turn.states.pop()),
        }
    }
}

//! Ends the code of a turn that was cancelled, from another thread: by a hook, which throws.

use std::ffi::CStr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mlua::ffi::{self, lua_State};

#[cfg(feature = "lua54")]
use super::THROWN;
use super::{RUNNING, State, Turn, Turns, is_cancelled, wanted};

/// How long no hook has to run for the one that is set to be given up.
const SILENCE: Duration = Duration::from_millis(50);

impl Turns {
    /// A hook runs that ends what was cancelled.
    pub(crate) fn hook_runs(&self) {
        self.hooked.store(true, Ordering::Relaxed);
    }

    /// Whether `turn`, which was cancelled and runs in `state`, is left alone, because a hook runs now and then. LuaJIT
    /// keeps in one byte which hooks are set and whether one runs: set from here while one returns, it says for good that
    /// one runs, and none ever does again. At the very end of a stack there is no room for most of them.
    fn is_left_alone(&self, turn: &mut Turn, state: State) -> bool {
        if cfg!(not(feature = "luajit")) {
            return false;
        }
        // Asked before the rest: this thread may be kept from going on at any moment, and hooks run meanwhile.
        let now = Instant::now();
        if self.hooked.swap(false, Ordering::Relaxed) {
            turn.hooked = Some(now);
        }
        // SAFETY: see `stop_cancelled`; it only reads.
        let is_set = unsafe { ffi::lua_gethookmask(state.0) } != 0;
        is_set && now.duration_since(turn.hooked.unwrap_or(turn.began)) < SILENCE
    }

    /// Ends the code of the innermost turn if it was cancelled, also because it lasts too long.
    pub(super) fn stop_cancelled(&self) {
        let mut turns = self.lock();
        wanted::cancel_who_keeps(*self.wanted(), turns.first());
        if let (Some(limit), Some(turn)) = (self.limit.get(), turns.first())
            && turn.began.elapsed() > *limit
            && let Some(lease) = &turn.lease
        {
            lease.cancellation().overran(*limit);
        }
        let Some(turn) = turns.last_mut().filter(|turn| turn.is_cancelled()) else { return };
        let Some(state) = turn.states.last().copied() else { return };
        if self.is_left_alone(turn, state) {
            return;
        }
        turn.hooked = Some(Instant::now());
        // SAFETY: the coroutine runs in a turn that cannot end while `turns` is locked, so it is alive; setting a hook
        // from another thread is what Lua's own Ctrl-C handler does.
        unsafe {
            if cfg!(feature = "luajit") {
                // What a hook needs may have been half undone by the recorder of traces, at the same time: only a
                // change makes it whole.
                ffi::lua_sethook(state.0, None, 0, 0);
            }
            ffi::lua_sethook(state.0, Some(stop_if_cancelled), ffi::LUA_MASKCOUNT, 1);
        }
    }
}

/// Whether what was cancelled is left as it stands, for whoever polls it to drop: every second time in a turn, for it
/// has caught the error before, maybe in one of a great many `pcall`s. Inside of a coroutine of its own it goes on.
#[cfg(feature = "lua54")]
fn leaves(state: *mut lua_State) -> bool {
    let again = THROWN.replace(!THROWN.get());
    // SAFETY: the turn that `RUNNING` belongs to lasts longer than this call.
    let turns = unsafe { RUNNING.get().as_ref() };
    again && turns.is_some_and(|turns| turns.is_only(state))
}

/// Runs on the thread that runs the code, so the thread's lease is that of the code.
unsafe extern "C-unwind" fn stop_if_cancelled(state: *mut lua_State, at: *mut ffi::lua_Debug) {
    // SAFETY: called by Lua with a live state and what it is at; nothing in this frame has to be dropped when the error
    // leaves it. A source's name ends with a zero.
    unsafe {
        if let Some(turns) = RUNNING.get().as_ref() {
            turns.hook_runs();
        }
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

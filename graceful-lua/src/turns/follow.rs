//! `coroutine.resume` of plain Lua, where every coroutine has a hook of its own.

use std::ffi::CStr;
use std::os::raw::c_int;

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua};

use super::{RUNNING, State, Turns};

/// `coroutine.resume` as Lua has it, except that the coroutine is followed and inherits the hook: on plain Lua
/// a hook belongs to one coroutine. LuaJIT's belong to the VM and need no such thing.
pub(crate) fn resume(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: `resume_followed` keeps to Lua's protocol for C functions.
    unsafe { lua.create_c_function(resume_followed) }
}

unsafe extern "C-unwind" fn resume_followed(state: *mut lua_State) -> c_int {
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

unsafe fn failed(state: *mut lua_State, message: &CStr) -> c_int {
    // SAFETY: called with a live state that has room for two values, which Lua gives every C function.
    unsafe {
        ffi::lua_pushboolean(state, 0);
        ffi::lua_pushstring(state, message.as_ptr());
    }
    2
}

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

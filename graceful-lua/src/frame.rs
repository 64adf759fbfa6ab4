//! What a function was called with, for `checks`: the library `debug` could tell, but safe VMs have none.
#![allow(unsafe_code)]

use std::os::raw::c_int;

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua};

/// A function `(level, index)`: the name and the value of a local variable of the function at that level of
/// the stack, 1 being the caller. Nothing if there is no such level or variable. Only ever called by our own Lua,
/// with two numbers.
pub(crate) fn local_of(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: `read` keeps to Lua's protocol for C functions.
    unsafe { lua.create_c_function(read) }
}

unsafe extern "C-unwind" fn read(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua with a live state and room for what is pushed here; the record of the frame is
    // used while that frame is on the stack. Nothing in this frame has to be dropped.
    unsafe {
        let (level, index) = (ffi::lua_tointeger(state, 1) as c_int, ffi::lua_tointeger(state, 2) as c_int);
        let mut frame: ffi::lua_Debug = std::mem::zeroed();
        if level < 1 || index < 1 || ffi::lua_getstack(state, level, &mut frame) == 0 {
            return 0;
        }
        let name = ffi::lua_getlocal(state, &frame, index);
        // What is in brackets is no variable of the text.
        if name.is_null() || *name == b'(' as std::os::raw::c_char {
            return 0;
        }
        ffi::lua_pushstring(state, name);
        ffi::lua_insert(state, -2);
        2
    }
}

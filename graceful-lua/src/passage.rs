//! A top level's way through the VM: what Lua is given of it, and what is read of its exports while they are at hand.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::os::raw::{c_char, c_int, c_void};
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use graceful_core::{Export, Source, Value};
use mlua::ffi::{self, lua_State};
use mlua::{Function, LightUserData, Lua, Table};

use crate::compile::Chunk;
use crate::error::thrown;

/// How long a text may be that is not looked into, in bytes.
const SHORT: usize = 4096;

/// What goes in with a top level, and what comes out. It must outlive the coroutine that was given its address.
pub(crate) struct Passage {
    chunk: Arc<Chunk>,
    source: Arc<Source>,
    exported: Mutex<Exported>,
}

/// What a module exports under names.
#[derive(Default)]
pub(crate) struct Exported {
    pub(crate) plain: BTreeMap<String, Export>,
    /// Where there is something that must be looked into: a table, say.
    pub(crate) deep: Vec<String>,
}

impl Passage {
    pub(crate) fn new(chunk: Arc<Chunk>, source: Arc<Source>) -> Arc<Self> {
        Arc::new(Self { chunk, source, exported: Mutex::default() })
    }

    /// For the function that [`run`] makes, and nothing else.
    pub(crate) fn address(self: &Arc<Self>) -> LightUserData {
        LightUserData(Arc::as_ptr(self).cast_mut().cast::<c_void>())
    }

    pub(crate) fn exported(&self) -> MutexGuard<'_, Exported> {
        self.exported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The function of `lua/stage.lua`, which runs a top level. `turn` says whose has the turn.
pub(crate) fn run(lua: &Lua, borders: &Table, turn: &Table) -> mlua::Result<Function> {
    // SAFETY: all keep to Lua's protocol for C functions. Nobody but `lua/stage.lua` has them, and it gives them the
    // address of a `Passage` that whoever polls the coroutine keeps alive.
    let (load, read, names) = unsafe {
        (lua.create_c_function(load)?, lua.create_c_function(read)?, lua.create_c_function(names)?)
    };
    let globals = lua.globals();
    let known: (Function, Function, Function) =
        (globals.get("xpcall")?, globals.get("error")?, globals.get("type")?);
    let chunk = lua.load(include_str!("lua/stage.lua")).set_name("=graceful");
    chunk.call((load, read, names, borders, turn, thrown(lua)?, known.0, known.1, known.2))
}

/// A function `(passage, name)`: whether the text is known to require `name`.
pub(crate) fn knows(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: it keeps to Lua's protocol for C functions. Nobody but `lua/require.lua` has it, and it gives it the
    // address of the `Passage` whose coroutine runs.
    unsafe { lua.create_c_function(is_known) }
}

unsafe extern "C-unwind" fn is_known(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua with a live state and the address of a live `Passage`; nothing here raises an error.
    unsafe {
        let passage = &*ffi::lua_touserdata(state, 1).cast::<Passage>();
        let known = ffi::lua_type(state, 2) == ffi::LUA_TSTRING && passage.chunk.requires(bytes(state, 2));
        ffi::lua_pushboolean(state, c_int::from(known));
        1
    }
}

/// `(passage)`: its chunk as a function. Only what this process compiled gets here.
unsafe extern "C-unwind" fn load(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua with a live state and the address of a live `Passage`. Nothing in this frame has to be
    // dropped when an error leaves it.
    unsafe {
        let passage = &*ffi::lua_touserdata(state, 1).cast::<Passage>();
        let (bytecode, name) = passage.chunk.parts();
        let bytes = bytecode.as_ptr().cast::<c_char>();
        if ffi::luaL_loadbufferx(state, bytes, bytecode.len(), name.as_ptr(), c"b".as_ptr()) != ffi::LUA_OK {
            ffi::lua_error(state);
        }
        1
    }
}

/// `(passage)`: what a top level is given as `...`: the name of its module and, but in LuaJIT, where its text is from.
unsafe extern "C-unwind" fn names(state: *mut lua_State) -> c_int {
    // SAFETY: as `load`.
    unsafe {
        let source = &(*ffi::lua_touserdata(state, 1).cast::<Passage>()).source;
        push(state, source.name.as_str());
        if cfg!(feature = "luajit") {
            return 1;
        }
        push(state, &source.origin);
        2
    }
}

unsafe fn push(state: *mut lua_State, text: &str) {
    // SAFETY: as its caller, and there is room on the stack.
    unsafe {
        ffi::lua_pushlstring(state, text.as_ptr().cast::<c_char>(), text.len());
    }
}

/// `(passage, exports)`: notes what the table has under names.
unsafe extern "C-unwind" fn read(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua with a live state, the address of a live `Passage` and a table, which nothing changes
    // meanwhile: nothing here raises an error.
    unsafe {
        let passage = &*ffi::lua_touserdata(state, 1).cast::<Passage>();
        let mut exported = passage.exported();
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, 2) != 0 {
            if ffi::lua_type(state, 3) == ffi::LUA_TSTRING {
                let name = String::from_utf8_lossy(bytes(state, 3)).into_owned();
                match plain(state, 4) {
                    Some(export) => drop(exported.plain.insert(name, export)),
                    None => exported.deep.push(name),
                }
            }
            ffi::lua_settop(state, 3);
        }
        0
    }
}

/// A value that needs no looking into.
unsafe fn plain(state: *mut lua_State, at: c_int) -> Option<Export> {
    // SAFETY: as its caller.
    unsafe {
        let value = match ffi::lua_type(state, at) {
            ffi::LUA_TFUNCTION => return Some(Export::Function),
            ffi::LUA_TBOOLEAN => Value::Bool(ffi::lua_toboolean(state, at) != 0),
            #[cfg(feature = "lua54")]
            ffi::LUA_TNUMBER if ffi::lua_isinteger(state, at) != 0 => {
                Value::Int(ffi::lua_tointeger(state, at))
            }
            ffi::LUA_TNUMBER => number(ffi::lua_tonumber(state, at)),
            ffi::LUA_TSTRING => match std::str::from_utf8(bytes(state, at)) {
                Ok(text) if text.len() <= SHORT => Value::Str(text.to_owned()),
                _ => return None,
            },
            _ => return None,
        };
        Some(Export::Value(value))
    }
}

#[cfg(feature = "lua54")]
fn number(number: f64) -> Value {
    Value::Float(number)
}

/// All numbers are floats here; one that is whole is meant so.
#[cfg(not(feature = "lua54"))]
fn number(number: f64) -> Value {
    let whole = number as i64;
    if (whole as f64).to_bits() == number.to_bits() && whole != i64::MAX {
        Value::Int(whole)
    } else {
        Value::Float(number)
    }
}

/// The text at `at`, for as long as it is on the stack.
unsafe fn bytes<'a>(state: *mut lua_State, at: c_int) -> &'a [u8] {
    // SAFETY: as its caller; there is a text, which stays where it is.
    unsafe {
        let mut length = 0;
        let first = ffi::lua_tolstring(state, at, &mut length).cast::<u8>();
        slice::from_raw_parts(first, length)
    }
}

//! A VM that only parses: without libraries and without a collector. What it takes lies side by side, and is let go of in
//! one go.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::{self, NonNull};
use std::slice;

use allocator_api2::alloc::Allocator;
use bumpalo::Bump;
use mlua::ffi::{self, lua_State};
use mlua::{Error, Result};

/// It is full with so many bytes: what parsing works on stays in the core's cache.
const FULL: usize = 128 << 10;
/// An arena that a huge text took so many bytes of is not kept.
const HUGE: usize = 16 << 20;

/// See the module.
pub(crate) struct Parser {
    state: State,
    /// Where the state is; goes after it.
    arena: Box<Bump>,
    dumped: Vec<u8>,
}

/// Open until it is dropped.
struct State(NonNull<lua_State>);

// SAFETY: nobody else has the state, and its arena goes where it goes.
unsafe impl Send for State {}

impl Parser {
    /// Fails if there is no memory for it.
    pub(crate) fn new() -> Result<Self> {
        Self::on(Box::new(Bump::with_capacity(2 * FULL)), Vec::new())
    }

    fn on(arena: Box<Bump>, dumped: Vec<u8>) -> Result<Self> {
        let given = ptr::from_ref(&*arena).cast_mut().cast();
        // SAFETY: the arena is given to this state only, and stays where it is until that is closed. Where LuaJIT takes
        // no memory of others, it has its own.
        let state = unsafe {
            let state = ffi::lua_newstate(allocate, given);
            NonNull::new(if state.is_null() { ffi::luaL_newstate() } else { state })
        };
        let state = State(state.ok_or_else(|| Error::MemoryError("not enough memory".into()))?);
        // SAFETY: the state is open.
        unsafe { ffi::lua_gc(state.0.as_ptr(), ffi::LUA_GCSTOP, 0) };
        Ok(Self { state, arena, dumped })
    }

    /// The bytecode of `text`, with its lines. What is wrong with the text is told as mlua tells it.
    pub(crate) fn parse(&mut self, text: &[u8], name: &CStr) -> Result<Box<[u8]>> {
        let (state, data) = (self.state.0.as_ptr(), text.as_ptr().cast());
        // SAFETY: the state is open, and its stack empty but for what these calls leave there. Parsing is protected, and
        // writing bytecode throws nothing.
        unsafe {
            let status = ffi::luaL_loadbufferx(state, data, text.len(), name.as_ptr(), c"t".as_ptr());
            let parsed = if status == ffi::LUA_OK {
                self.dumped.clear();
                ffi::lua_dump(state, append, ptr::from_mut(&mut self.dumped).cast(), 0);
                Ok(self.dumped.as_slice().into())
            } else {
                Err(wrong(status, said(state)))
            };
            ffi::lua_settop(state, 0);
            parsed
        }
    }

    /// With room for the next text: what was parsed is let go of once it is much.
    pub(crate) fn with_room(self) -> Result<Self> {
        // SAFETY: the state is open.
        let used = unsafe { ffi::lua_gc(self.state.0.as_ptr(), ffi::LUA_GCCOUNT, 0) };
        if usize::try_from(used).is_ok_and(|kib| kib << 10 < FULL) {
            return Ok(self);
        }
        let Self { state, mut arena, dumped } = self;
        drop(state);
        if arena.allocated_bytes() > HUGE {
            return Self::new();
        }
        arena.reset();
        Self::on(arena, dumped)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: it was open until here, and its arena is still there.
        unsafe { ffi::lua_close(self.0.as_ptr()) };
    }
}

/// Gives a state memory of its arena, as `lua_Alloc` of Lua's manual says.
unsafe extern "C" fn allocate(
    arena: *mut c_void,
    old: *mut c_void,
    had: usize,
    wanted: usize,
) -> *mut c_void {
    let layout = |size| Layout::from_size_align(size, ffi::SYS_MIN_ALIGN);
    let (Ok(had), Ok(wanted)) = (layout(had), layout(wanted)) else { return ptr::null_mut() };
    // SAFETY: the arena is the one of `Parser::new`, and the state says what it was given before.
    unsafe {
        let arena = &*arena.cast::<Bump>();
        let given = match NonNull::new(old.cast::<u8>()) {
            None if wanted.size() == 0 => return ptr::null_mut(),
            None => arena.allocate(wanted),
            Some(old) if wanted.size() == 0 => {
                arena.deallocate(old, had);
                return ptr::null_mut();
            }
            Some(old) if wanted.size() <= had.size() => return old.as_ptr().cast(),
            Some(old) => arena.grow(old, had, wanted),
        };
        given.map_or(ptr::null_mut(), |given| given.as_ptr().cast())
    }
}

unsafe extern "C-unwind" fn append(
    _: *mut lua_State,
    piece: *const c_void,
    size: usize,
    dumped: *mut c_void,
) -> c_int {
    // SAFETY: it is the buffer that was given to `lua_dump`, and the piece is as long as Lua says.
    let (dumped, piece) =
        unsafe { (&mut *dumped.cast::<Vec<u8>>(), slice::from_raw_parts(piece.cast::<u8>(), size)) };
    match piece {
        // Most pieces are one byte.
        [byte] => dumped.push(*byte),
        _ => dumped.extend_from_slice(piece),
    }
    0
}

/// What lies on top of the stack, which is a message.
unsafe fn said(state: *mut lua_State) -> String {
    let mut size = 0;
    // SAFETY: the state is open, and the text is there as long as it lies on the stack.
    unsafe {
        let text = ffi::lua_tolstring(state, -1, &mut size);
        let text = if text.is_null() { &[] } else { slice::from_raw_parts(text.cast::<u8>(), size) };
        String::from_utf8_lossy(text).into_owned()
    }
}

fn wrong(status: c_int, message: String) -> Error {
    match status {
        ffi::LUA_ERRSYNTAX => {
            let incomplete_input = message.ends_with("<eof>") || message.ends_with("'<eof>'");
            Error::SyntaxError { message, incomplete_input }
        }
        ffi::LUA_ERRMEM => Error::MemoryError(message),
        _ => Error::RuntimeError(message),
    }
}

#[cfg(test)]
mod tests {
    use mlua::Lua;
    use mlua::chunk::ChunkMode;

    use super::*;

    fn says(bytecode: &[u8]) -> String {
        Lua::new().load(bytecode).set_mode(ChunkMode::Binary).call(()).unwrap()
    }

    #[test]
    fn what_was_parsed_is_let_go_of() {
        let mut parser = Parser::new().unwrap();
        let before = parser.arena.allocated_bytes();
        for at in 0..2_000 {
            let text = format!("local t = {{ 'a{at}', 'b{at}' }} return t[1] .. t[2]");
            let bytecode = parser.parse(text.as_bytes(), c"@m.lua").unwrap();
            assert_eq!(says(&bytecode), format!("a{at}b{at}"));
            parser = parser.with_room().unwrap();
        }
        assert_eq!(parser.arena.allocated_bytes(), before);
    }

    #[test]
    fn what_a_huge_text_took_is_not_kept() {
        let mut parser = Parser::new().unwrap();
        let before = parser.arena.allocated_bytes();
        let line = |at: usize| format!("t[#t + 1] = 'line {at}'\n");
        let function = |nth: usize| {
            let lines: String = (nth * 1_000..(nth + 1) * 1_000).map(line).collect();
            format!("t = function()\n{lines}end\n")
        };
        let functions: String = (0..200).map(function).collect();
        let text = format!("local t\n{functions}return 'read'");
        let bytecode = parser.parse(text.as_bytes(), c"@m.lua").unwrap();
        assert_eq!(says(&bytecode), "read");
        assert!(parser.arena.allocated_bytes() > HUGE);
        assert_eq!(parser.with_room().unwrap().arena.allocated_bytes(), before);
    }

    #[test]
    fn after_a_wrong_text_the_next_one_is_parsed() {
        let mut parser = Parser::new().unwrap();
        let nested = [b"return ".as_slice(), &b"{".repeat(100_000)].concat();
        for wrong in [b"local = 1".as_slice(), b"return (", &nested, b"\x1bLua"] {
            parser.parse(wrong, c"@m.lua").unwrap_err();
            let bytecode = parser.parse(b"return 'right'", c"@m.lua").unwrap();
            assert_eq!(says(&bytecode), "right");
        }
    }

    #[test]
    #[cfg(not(feature = "luajit"))]
    fn bytecode_is_that_of_any_other_vm() {
        let text = "local a <const>, b = 1, { x = 2 }\nreturn function(c) return a + b.x + c end";
        let theirs = Lua::new().load(text).set_name("@m.lua").into_function().unwrap().dump(false);
        assert_eq!(*Parser::new().unwrap().parse(text.as_bytes(), c"@m.lua").unwrap(), *theirs);
    }
}

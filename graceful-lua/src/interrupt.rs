//! Stops code that spins: after a deadline while it is staged and in hooks, and on demand once its call was
//! cancelled. The only file of this crate with `unsafe` in it: Lua's hook is set from another thread.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use graceful_core::Lease;
use mlua::ffi::{self, lua_State};
use mlua::thread::{ThreadEvent, ThreadTriggers};
use mlua::{HookTriggers, Lua, VmState};

/// How many instructions may pass between two looks at the clock.
const STRIDE: u32 = 1000;
/// How often cancelled calls are looked for, and how long after the last reload that goes on.
const TICK: Duration = Duration::from_millis(20);
const WATCH: Duration = Duration::from_secs(10);
const NEVER: u64 = u64::MAX;

/// What is thrown into code that ran too long. Whoever armed the deadline looks at [`Interrupt::late`].
#[derive(Debug, thiserror::Error)]
#[error("interrupted: it ran too long")]
struct Interrupted;

/// Where code was when its time was over: its chunk's name and line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late {
    pub(crate) chunk: Option<String>,
    pub(crate) line: Option<u32>,
}

/// The deadline of whatever runs in one VM. Only touched under the VM's lock.
pub(crate) struct Interrupt {
    began: Instant,
    deadline: AtomicU64,
    late: Mutex<Option<Late>>,
}

impl Interrupt {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), deadline: AtomicU64::new(NEVER), late: Mutex::default() })
    }

    /// From now until the guard drops, code in `lua` is stopped once `left` has passed. Coroutines that are
    /// made meanwhile inherit it.
    pub(crate) fn arm(self: &Arc<Self>, lua: &Lua, left: Duration) -> mlua::Result<Armed> {
        let deadline = (self.began.elapsed() + left).as_nanos() as u64;
        let outer = self.deadline.load(Ordering::Relaxed);
        self.deadline.store(deadline.min(outer), Ordering::Relaxed);
        if outer == NEVER {
            self.hook(lua, STRIDE)?;
        }
        Ok(Armed { interrupt: self.clone(), lua: lua.clone(), outer })
    }

    /// Whether code was stopped since this was last asked, and where.
    pub(crate) fn late(&self) -> Option<Late> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn hook(self: &Arc<Self>, lua: &Lua, stride: u32) -> mlua::Result<()> {
        let this = self.clone();
        let triggers = HookTriggers::new().every_nth_instruction(stride);
        lua.set_global_hook(triggers, move |lua, debug| {
            if (this.began.elapsed().as_nanos() as u64) < this.deadline.load(Ordering::Relaxed) {
                return Ok(VmState::Continue);
            }
            let mut late = this.late.lock().unwrap_or_else(PoisonError::into_inner);
            late.get_or_insert_with(|| Late {
                chunk: debug.source().source.map(|name| name.into_owned()),
                line: debug.current_line().and_then(|line| line.try_into().ok()),
            });
            drop(late);
            // At every instruction from here on: the first one outside of a `pcall` ends it.
            this.hook(lua, 1)?;
            Err(mlua::Error::external(Interrupted))
        })
    }
}

/// A deadline is armed; ends when dropped.
pub(crate) struct Armed {
    interrupt: Arc<Interrupt>,
    lua: Lua,
    outer: u64,
}

impl Drop for Armed {
    fn drop(&mut self) {
        self.interrupt.deadline.store(self.outer, Ordering::Relaxed);
        if self.outer == NEVER {
            self.lua.remove_global_hook();
            self.lua.remove_hook();
        }
    }
}

/// The coroutine that runs in a turn, as the watch sees it. Not followed except under the turns' lock, which
/// keeps the turn from ending and the coroutine from being collected.
#[derive(Clone, Copy)]
struct State(*mut lua_State);

// SAFETY: the pointer is only given to `lua_sethook`, which Lua allows to be called asynchronously.
unsafe impl Send for State {}

struct Turn {
    lease: Option<Lease>,
    state: Option<State>,
}

/// What runs in one VM now, innermost last.
pub(crate) struct Turns {
    main: AtomicPtr<lua_State>,
    running: Mutex<Vec<Turn>>,
    watched: AtomicBool,
    until: Mutex<Option<Instant>>,
}

impl Turns {
    /// Called while nothing runs in `lua`.
    pub(crate) fn new(lua: &Lua) -> Arc<Self> {
        let main = AtomicPtr::new(lua.state());
        let turns = Arc::new(Self {
            main,
            running: Mutex::default(),
            watched: false.into(),
            until: Mutex::default(),
        });
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
        self.lock().push(Turn { lease: Lease::current(), state: None });
        Entered(self)
    }

    /// The innermost turn runs in the main coroutine, until [`Turns::left`].
    pub(crate) fn runs_in_main(&self) {
        self.runs_in(self.main.load(Ordering::Relaxed));
    }

    fn runs_in(&self, state: *mut lua_State) {
        if let Some(turn) = self.lock().last_mut() {
            turn.state.get_or_insert(State(state));
        }
    }

    /// The coroutine of the innermost turn came back.
    pub(crate) fn left(&self) {
        if let Some(turn) = self.lock().last_mut() {
            turn.state = None;
        }
    }

    /// Stops cancelled calls that spin, from now until a while after the last time this was called.
    pub(crate) fn watch(self: &Arc<Self>) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + WATCH);
        if self.watched.swap(true, Ordering::AcqRel) {
            return;
        }
        let turns = Arc::downgrade(self);
        let watch = std::thread::Builder::new().name("graceful-lua watch".into());
        if watch.spawn(move || watch_over(&turns)).is_err() {
            self.watched.store(false, Ordering::Release);
        }
    }

    fn stop_cancelled(&self) {
        let turns = self.lock();
        let Some(Turn { lease: Some(lease), state: Some(state) }) = turns.last() else { return };
        if lease.is_cancelled() {
            // SAFETY: the coroutine runs in a turn that cannot end while `turns` is locked, so it is alive;
            // setting a hook from another thread is what Lua's own Ctrl-C handler does.
            unsafe { ffi::lua_sethook(state.0, Some(stop_if_cancelled), ffi::LUA_MASKCOUNT, 1) };
        }
    }

    fn is_over(&self) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let over = until.is_none_or(|until| Instant::now() > until);
        if over {
            self.watched.store(false, Ordering::Release);
        }
        over
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Turn>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn watch_over(turns: &Weak<Turns>) {
    loop {
        std::thread::sleep(TICK);
        let Some(turns) = turns.upgrade() else { return };
        turns.stop_cancelled();
        if turns.is_over() {
            return;
        }
    }
}

/// A turn; ends when dropped.
pub(crate) struct Entered<'a>(&'a Turns);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let ended = self.0.lock().pop();
        drop(ended);
    }
}

fn is_cancelled() -> bool {
    Lease::current().is_some_and(|lease| lease.is_cancelled())
}

/// Runs on the thread that runs the code, so the thread's lease is that of the code.
unsafe extern "C-unwind" fn stop_if_cancelled(state: *mut lua_State, _: *mut ffi::lua_Debug) {
    if is_cancelled() {
        // SAFETY: called by Lua with a live state; nothing in this frame has to be dropped.
        unsafe {
            ffi::lua_pushstring(state, c"the call was cancelled".as_ptr());
            ffi::lua_error(state);
        }
    }
    // SAFETY: called by Lua with a live state.
    unsafe { ffi::lua_sethook(state, None, 0, 0) };
}

/// Whether a loop that was compiled to machine code can be stopped in this build. Plain Lua compiles nothing.
pub(crate) fn interrupts_compiled_loops() -> bool {
    fn probe() -> mlua::Result<bool> {
        let lua = Lua::new();
        let spin: mlua::Function = lua
            .load("local n = 0 return function(m) for i = 1, m do n = n + i % 7 end return n end")
            .eval()?;
        spin.call::<()>(100_000)?;
        let interrupt = Interrupt::new();
        let armed = interrupt.arm(&lua, Duration::ZERO)?;
        let stopped = spin.call::<()>(20_000_000).is_err();
        drop(armed);
        Ok(stopped)
    }
    probe().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_loops_are_interrupted_in_this_build() {
        assert!(interrupts_compiled_loops());
    }

    #[test]
    fn a_deadline_ends_loops_that_swallow_errors() {
        assert!(interrupts_compiled_loops(), "built without LUAJIT_ENABLE_CHECKHOOK: it would not end");
        let lua = Lua::new();
        let interrupt = Interrupt::new();
        let texts = [
            "while true do end",
            "while true do pcall(function() while true do end end) end",
            "local co = coroutine.wrap(function() while true do pcall(error) end end) while true do pcall(co) end",
        ];
        for text in texts {
            let armed = interrupt.arm(&lua, Duration::from_millis(20)).unwrap();
            lua.load(text).set_name("@spin.lua").exec().unwrap_err();
            drop(armed);
            let late = interrupt.late().unwrap();
            assert_eq!((late.chunk.as_deref(), late.line), (Some("@spin.lua"), Some(1)), "{text}");
        }
        assert!(interrupt.late().is_none());
        lua.load("for i = 1, 100000 do end").exec().unwrap();
    }
}

//! Deadlines: stops code that spins while it is staged and in hooks, and lets others in until then.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mlua::debug::Debug;
use mlua::{HookTriggers, Lua, VmState};

use crate::turns::{self, Turns};

/// How many instructions may pass between two looks at the clock.
const STRIDE: u32 = 1000;
const NEVER: u64 = u64::MAX;

/// How long code may keep the VM in one turn, where a hook can interrupt it to go on later: not on LuaJIT, and
/// not inside of a C function or a coroutine of the script's own.
const GIVE_WAY: Duration = Duration::from_millis(2);

/// What is thrown into code that ran too long. Whoever armed the deadline looks at [`Interrupt::late`].
#[derive(Debug, thiserror::Error)]
#[error("interrupted: it ran too long")]
struct Interrupted;

/// What is thrown into code whose reload, call or task was cancelled before its time was over.
#[derive(Debug, thiserror::Error)]
#[error("the call was cancelled")]
struct Cancelled;

/// Where code was when its time was over: its chunk's name and line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late {
    pub(crate) chunk: Option<String>,
    pub(crate) line: Option<u32>,
}

/// The deadline of whatever runs in one VM. Only touched under the VM's lock.
pub(crate) struct Interrupt {
    began: Instant,
    turns: Arc<Turns>,
    deadline: AtomicU64,
    /// When the turn ends although its code is not done.
    gives_way: AtomicU64,
    gave_way: AtomicBool,
    /// Every second time code is stopped that caught it, by a yield: some can yield, some can be thrown out of.
    left: AtomicBool,
    late: Mutex<Option<Late>>,
}

impl Interrupt {
    pub(crate) fn new(turns: &Arc<Turns>) -> Arc<Self> {
        let never = || AtomicU64::new(NEVER);
        let (gave_way, left, late) = Default::default();
        let (turns, began) = (turns.clone(), Instant::now());
        Arc::new(Self { began, turns, deadline: never(), gives_way: never(), gave_way, left, late })
    }

    /// From now until the guard drops, code in `lua` is stopped once `left` has passed. Coroutines that are
    /// made meanwhile inherit it.
    pub(crate) fn arm(self: &Arc<Self>, lua: &Lua, left: Duration) -> mlua::Result<Armed> {
        let now = self.began.elapsed();
        self.gives_way.store((now + GIVE_WAY).as_nanos() as u64, Ordering::Relaxed);
        let deadline = (now + left).as_nanos() as u64;
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

    /// Whether the time of what runs is over.
    pub(crate) fn is_over(&self) -> bool {
        self.began.elapsed().as_nanos() as u64 >= self.deadline.load(Ordering::Relaxed)
    }

    /// Whether code was interrupted to go on later since this was last asked.
    pub(crate) fn gave_way(&self) -> bool {
        self.gave_way.swap(false, Ordering::Relaxed)
    }

    fn hook(self: &Arc<Self>, lua: &Lua, stride: u32) -> mlua::Result<()> {
        let this = self.clone();
        let triggers = HookTriggers::new().every_nth_instruction(stride);
        lua.set_global_hook(triggers, move |lua, debug| {
            this.turns.hook_runs();
            // Elsewhere the watch sees to that.
            if cfg!(feature = "luajit") && turns::is_cancelled() && !is_ours(debug) {
                this.hook(lua, 1)?;
                return Err(mlua::Error::external(Cancelled));
            }
            let now = this.began.elapsed().as_nanos() as u64;
            if now < this.deadline.load(Ordering::Relaxed) {
                let others = cfg!(feature = "lua54") && now > this.gives_way.load(Ordering::Relaxed);
                if others && this.turns.is_own(lua) {
                    this.gave_way.store(true, Ordering::Relaxed);
                    return Ok(VmState::Yield);
                }
                return Ok(VmState::Continue);
            }
            let mut late = this.late.lock().unwrap_or_else(PoisonError::into_inner);
            let caught = late.is_some();
            late.get_or_insert_with(|| Late {
                chunk: debug.source().source.map(|name| name.into_owned()),
                line: debug.current_line().and_then(|line| line.try_into().ok()),
            });
            drop(late);
            // At every instruction from here on: the first one outside of a `pcall` ends it.
            this.hook(lua, 1)?;
            // Code that gave way may have entered a great many of them, each of which an error would have to end: where
            // one was caught, the coroutine is left as it stands, for whoever polls it to drop.
            let leaves = cfg!(feature = "lua54") && caught && !this.left.fetch_xor(true, Ordering::Relaxed);
            if leaves && this.turns.is_own(lua) {
                return Ok(VmState::Yield);
            }
            Err(mlua::Error::external(Interrupted))
        })
    }
}

/// Whether code of this crate runs, which does not loop: what looks where the script was is let go on.
fn is_ours(debug: &Debug<'_>) -> bool {
    debug.source().source.as_deref() == Some("=graceful")
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

/// Whether a loop that was compiled to machine code can be stopped in this build. Plain Lua compiles nothing.
pub(crate) fn interrupts_compiled_loops() -> bool {
    fn probe() -> mlua::Result<bool> {
        let lua = Lua::new();
        let spin: mlua::Function = lua
            .load("local n = 0 return function(m) for i = 1, m do n = n + i % 7 end return n end")
            .eval()?;
        spin.call::<()>(100_000)?;
        let interrupt = Interrupt::new(&Turns::new(&lua));
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
        let interrupt = Interrupt::new(&Turns::new(&lua));
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

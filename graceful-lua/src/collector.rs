//! Lets the collector rest while top levels run one after the other, so that none of them pays for it.

use std::sync::{Mutex, PoisonError};

use mlua::Lua;

/// How much the VM may grow before the collector is woken all the same, in bytes.
const GROWTH: usize = 64 << 20;

/// Whether the collector rests, and how much was in use when it began to. Every restart makes Lua begin a
/// cycle at once, so it is not restarted between two top levels.
#[derive(Default)]
pub(crate) struct Collector {
    resting: Mutex<Option<usize>>,
}

impl Collector {
    /// It rests from now on. Called under the VM's lock.
    pub(crate) fn rest(&self, lua: &Lua) {
        // LuaJIT has no collection of last resort: with its memory limited its collector has to go on.
        if cfg!(feature = "luajit") {
            return;
        }
        let used = lua.used_memory();
        let since = *self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        match since {
            Some(before) if used > before + GROWTH => self.wake(lua),
            Some(_) => {}
            None => {
                lua.gc_stop();
                *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = Some(used);
            }
        }
    }

    /// It works again. Called under the VM's lock.
    pub(crate) fn wake(&self, lua: &Lua) {
        if self.resting.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            lua.gc_restart();
        }
    }
}

//! What becomes of something that code of a reload did to what lives on: it is undecided until the reload is.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};

use event_listener::Event;
use graceful_core::{Intents, Lease};
use mlua::{Lua, UserData, UserDataMethods, UserDataRef, Value, Variadic};

use super::cond::Cond;

const OPEN: u8 = 0;
const DONE: u8 = 1;
const FAILED: u8 = 2;

/// The fate of one such thing.
pub(super) struct Fate {
    state: Arc<AtomicU8>,
    /// Keeps the reload's place in memory from another one.
    of: Weak<Intents>,
}

/// Decides it: run at the commit, or dropped where there is none.
struct Decides {
    state: Arc<AtomicU8>,
    waiting: Vec<Arc<Event>>,
}

impl Drop for Decides {
    fn drop(&mut self) {
        if self.state.compare_exchange(OPEN, FAILED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            // What it did is taken back: who waits looks again.
            for event in &self.waiting {
                let _ = event.notify_additional(usize::MAX);
            }
        }
    }
}

impl Fate {
    /// That of what the code that runs now does, if it belongs to a reload. Whoever waits at `conds` is told if it fails.
    pub(super) fn make(lua: &Lua, conds: Variadic<UserDataRef<Cond>>) -> mlua::Result<Value> {
        let Some(intents) = Lease::current_intents() else { return Ok(Value::Nil) };
        let waiting = conds.iter().map(|cond| cond.event().clone()).collect();
        let state = Arc::<AtomicU8>::default();
        let decides = Decides { state: state.clone(), waiting };
        intents.defer(move || decides.state.store(DONE, Ordering::Release));
        lua.create_userdata(Fate { state, of: Arc::downgrade(&intents) }).map(Value::UserData)
    }
}

impl UserData for Fate {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // True once the reload is committed, false once it failed, nothing until then.
        methods.add_method("is_done", |_, fate, ()| {
            Ok(match fate.state.load(Ordering::Acquire) {
                DONE => Some(true),
                FAILED => Some(false),
                _ => None,
            })
        });
        methods.add_method("is_of_this_reload", |_, fate, ()| {
            let now = Lease::current_intents();
            Ok(now.is_some_and(|now| std::ptr::eq(fate.of.as_ptr(), Arc::as_ptr(&now))))
        });
    }
}

//! What scripts ask of the engine: `graceful.reload`, `plan`, `unregister_module`, `modules`, `own`.

mod options;
mod shape;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use graceful_core::failure::ReloadErrorKind;
use graceful_core::{Lease, LeaseKind, ReloadError, ReloadOptions, Report};
use mlua::{Error, Function, IntoLuaMulti, Lua, MultiValue, Table, UserData, UserDataRef, Value};
use tokio::sync::oneshot;

use crate::caller::{Caller, Ties, running_kind};
use crate::own::own;

type Answer = Result<Report, ReloadError>;

/// A reload that was asked for, on its way from the reading of its options to the engine.
struct Asked(ReloadOptions);

impl UserData for Asked {}

/// Whether a native may yield can only be told from Lua: a call from native code into Lua cannot.
const MAKE: &str = "
    local kind, isyieldable, wait, queue, nested, reading, removing, plan, modules, own = ...
    local function ask(asked)
        if kind() == 'hook' then return nested() end
        if isyieldable() then return wait(asked) end
        return queue(asked)
    end
    return function(caller, graceful)
        function graceful.reload(options)
            local asked = reading(options)
            if kind() == 'stage' then return true end
            return ask(asked)
        end
        function graceful.unregister_module(name, options)
            local asked = removing(name, options)
            if kind() == 'stage' then return nested() end
            return ask(asked)
        end
        function graceful.plan(options) return plan(reading(options)) end
        function graceful.own(key, value, release) return own(caller, key, value, release) end
        graceful.modules = modules
        return graceful
    end";

/// A function `extend(caller, graceful)` that adds these functions to the module `graceful` of one instance.
pub(crate) fn factory(lua: &Lua, ties: &Ties) -> mlua::Result<Function> {
    let kind = lua.create_function(|_, ()| {
        Ok(match running_kind() {
            Some(LeaseKind::Stage) => Some("stage"),
            Some(LeaseKind::Hook) => Some("hook"),
            _ => None,
        })
    })?;
    let isyieldable = lua.globals().get::<Table>("coroutine")?.get::<Function>("isyieldable")?;
    let reach = ties.clone();
    let wait = lua.create_async_function(move |lua, asked: UserDataRef<Asked>| {
        let (answer, options) = (reach.clone(), asked.0.clone());
        async move { answered(&lua, wait(&answer, options).await?) }
    })?;
    let reach = ties.clone();
    let queue =
        lua.create_function(move |lua, asked: UserDataRef<Asked>| queue(lua, &reach, asked.0.clone()))?;
    let nested = lua.create_function(|lua, ()| shape::refused(lua, &ReloadErrorKind::Nested))?;
    let reading = lua.create_function(|_, given: Value| Ok(Asked(options::reload(&given)?)))?;
    let removing = lua.create_function(|_, (name, given): (Value, Value)| {
        let leave_dependents = options::removal(&given)?;
        let Value::String(name) = name else {
            return Err(Error::runtime("unregister_module: expected the name of a module"));
        };
        let remove = BTreeSet::from([name.to_string_lossy().into()]);
        let changed = Some(BTreeSet::new());
        Ok(Asked(ReloadOptions { remove, leave_dependents, changed, ..ReloadOptions::default() }))
    })?;
    let reach = ties.clone();
    let plan = lua.create_async_function(move |lua, asked: UserDataRef<Asked>| {
        let (control, options) = (reach.control(), asked.0.clone());
        async move {
            match control?.plan(options).await {
                Ok(plan) => shape::plan(&lua, &plan)?.into_lua_multi(&lua),
                Err(error) => shape::failure(&lua, &error),
            }
        }
    })?;
    let reach = ties.clone();
    let modules = lua.create_function(move |lua, ()| shape::modules(lua, &*reach.world()?))?;
    let own = lua.create_function(
        |lua, (caller, key, value, release): (UserDataRef<Caller>, Value, Value, Value)| {
            own(lua, &caller, key, value, release)
        },
    )?;
    let parts = (kind, isyieldable, wait, queue, nested, reading, removing, plan, modules, own);
    lua.load(MAKE).set_name("=graceful").call(parts)
}

/// In a task of its own, or the reload would wait for the call that asked for it and be cancelled with it.
fn begin(ties: &Ties, options: ReloadOptions) -> mlua::Result<oneshot::Receiver<Answer>> {
    let (sender, answer) = oneshot::channel();
    let reload = ties.control()?.reload(options);
    ties.world()?.clock.spawn(Box::pin(async move { drop(sender.send(reload.await)) }));
    Ok(answer)
}

async fn wait(ties: &Ties, options: ReloadOptions) -> mlua::Result<Answer> {
    let _parked = Lease::current().filter(|lease| lease.kind() != LeaseKind::Task).map(Parked::new);
    let answer = begin(ties, options)?;
    answer.await.map_err(|_| Error::external(graceful_core::CallError::Stopped))
}

/// A lease that drain does not wait for, until this is dropped.
struct Parked(Lease);

impl Parked {
    fn new(lease: Lease) -> Self {
        lease.set_parked(true);
        Self(lease)
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.0.set_parked(false);
    }
}

fn answered(lua: &Lua, answer: Answer) -> mlua::Result<MultiValue> {
    match answer {
        Ok(report) => (true, shape::report(lua, &report)?).into_lua_multi(lua),
        Err(error) => shape::failure(lua, &error),
    }
}

/// `true` and a ticket: `{queued = true, done = function, result = function}`.
fn queue(lua: &Lua, ties: &Ties, options: ReloadOptions) -> mlua::Result<(bool, Table)> {
    let answer = begin(ties, options)?;
    let slot: Arc<Mutex<Option<Answer>>> = Arc::default();
    let into = slot.clone();
    ties.world()?.clock.spawn(Box::pin(async move {
        if let Ok(answer) = answer.await {
            *into.lock().unwrap() = Some(answer);
        }
    }));
    let ticket = lua.create_table()?;
    ticket.raw_set("queued", true)?;
    let done = slot.clone();
    ticket
        .raw_set("done", lua.create_function(move |_, _: MultiValue| Ok(done.lock().unwrap().is_some()))?)?;
    let result = lua.create_function(move |lua, _: MultiValue| {
        let answer = slot.lock().unwrap().clone();
        answer.map_or_else(|| Ok(MultiValue::new()), |answer| answered(lua, answer))
    })?;
    ticket.raw_set("result", result)?;
    Ok((true, ticket))
}

#[cfg(test)]
mod tests;

//! What scripts ask of the engine: `graceful.reload`, `plan`, `unregister_module`, `modules`, `shutdown`.

mod options;
pub(crate) mod shape;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use graceful_core::clock::apart;
use graceful_core::failure::ReloadErrorKind;
use graceful_core::{CallError, Lease, LeaseKind, Name, ReloadError, ReloadOptions, Report};
use mlua::{Error, Function, IntoLuaMulti, Lua, MultiValue, Table, UserData, UserDataRef, Value};

use crate::caller::{Ties, defer, running_kind};
use crate::ground::coroutine;
use crate::vm::Vm;
use crate::waits::Waiting;

type Answer = Result<Report, ReloadError>;

/// A reload that is asked for, on its way from the reading of its options to the engine.
struct Asked(ReloadOptions);

impl UserData for Asked {}

/// The functions, by name; the same for every module. Whether a native may yield can only be told from Lua,
/// because a call from native code into Lua cannot: see `lua/control.lua`.
pub(crate) fn functions(lua: &Lua, vm: &Arc<Vm>) -> mlua::Result<Table> {
    let ties = Ties::new(vm);
    let kind = lua.create_function(|_, ()| {
        Ok(match running_kind() {
            Some(LeaseKind::Stage) => Some("stage"),
            Some(LeaseKind::Hook) => Some("hook"),
            _ => Lease::current_intents().map(|_| "hook"),
        })
    })?;
    let reach = ties.clone();
    let reload = lua.create_async_function(move |lua, asked: UserDataRef<Asked>| {
        let (reach, options) = (reach.clone(), asked.0.clone());
        Waiting::new(async move { answered(&lua, reload(&reach, options).await?) })
    })?;
    let reach = ties.clone();
    let queue =
        lua.create_function(move |lua, asked: UserDataRef<Asked>| queue(lua, &reach, asked.0.clone()))?;
    let reach = ties.clone();
    let plan = lua.create_async_function(move |lua, asked: UserDataRef<Asked>| {
        let (vm, options) = (reach.vm(), asked.0.clone());
        Waiting::new(async move {
            let control = vm?.control().ok_or_else(stopped)?;
            match control.plan(options).await {
                Ok(plan) => shape::plan(&lua, &plan)?.into_lua_multi(&lua),
                Err(error) => (Value::Nil, shape::failure(&lua, &error)?).into_lua_multi(&lua),
            }
        })
    })?;
    let reading = lua.create_function(|_, given: Value| Ok(Asked(options::reload(&given)?)))?;
    let removing = lua.create_function(|_, (name, given): (Value, Value)| removing(&name, &given))?;
    let reach = ties.clone();
    let modules = lua.create_function(move |lua, ()| shape::modules(lua, &*reach.world()?))?;
    let shutdown = lua.create_function(move |_, given: Value| shutdown(&ties, &given))?;
    let refused = lua.create_function(|lua, ()| shape::refused(lua, &ReloadErrorKind::Nested))?;
    let isyieldable: Function = coroutine(lua)?.raw_get("isyieldable")?;
    let chunk = lua.load(include_str!("lua/control.lua")).set_name("=graceful");
    chunk.call((kind, reload, queue, plan, reading, removing, modules, refused, isyieldable, shutdown))
}

fn stopped() -> Error {
    Error::external(CallError::Stopped)
}

/// Starts the reload in a task of its own: it must not end with the call that asked for it.
fn begin(ties: &Ties, options: ReloadOptions) -> mlua::Result<BoxFuture<'static, Option<Answer>>> {
    let vm = ties.vm()?;
    let reload = vm.control().ok_or_else(stopped)?.reload(options);
    Ok(apart(&*ties.world()?.clock, reload))
}

async fn reload(ties: &Ties, options: ReloadOptions) -> mlua::Result<Answer> {
    let _parked = Parked::caller();
    begin(ties, options)?.await.ok_or_else(stopped)
}

/// A lease that drain does not wait for, until this is dropped: its call waits for that very reload.
pub(crate) struct Parked(Lease);

impl Parked {
    /// The caller, if it is one that drain waits for. A task holds no lease while it waits, so there is nothing to
    /// park.
    pub(crate) fn caller() -> Option<Self> {
        let lease = Lease::current().filter(|lease| lease.kind() != LeaseKind::Task)?;
        lease.set_parked(true);
        Some(Self(lease))
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.0.set_parked(false);
    }
}

/// The report, or nothing and the failure.
fn answered(lua: &Lua, answer: Answer) -> mlua::Result<MultiValue> {
    match answer {
        Ok(report) => shape::report(lua, &report)?.into_lua_multi(lua),
        Err(error) => (Value::Nil, shape::failure(lua, &error)?).into_lua_multi(lua),
    }
}

fn queue(lua: &Lua, ties: &Ties, options: ReloadOptions) -> mlua::Result<Table> {
    let answer = begin(ties, options)?;
    ticket(lua, ties, answer, answered)
}

/// A ticket: `{queued = true, done = function, result = function}`. `result()` gives what a reload that waits
/// returns, or nothing and the failure, or nothing as long as it is not done.
pub(crate) fn ticket<T: Clone + Send + 'static>(
    lua: &Lua,
    ties: &Ties,
    answer: impl Future<Output = Option<T>> + Send + 'static,
    answered: fn(&Lua, T) -> mlua::Result<MultiValue>,
) -> mlua::Result<Table> {
    let slot: Arc<Mutex<Option<T>>> = Arc::default();
    let into = slot.clone();
    ties.world()?.clock.spawn(Box::pin(async move {
        let answer = answer.await;
        *into.lock().unwrap() = answer;
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
    Ok(ticket)
}

/// Begins to shut the engine down; nobody waits for it, for it waits for the call that asked. In a reload it
/// begins with the commit.
fn shutdown(ties: &Ties, given: &Value) -> mlua::Result<bool> {
    let options = options::shutdown(given)?;
    let control = ties.vm()?.control().ok_or_else(stopped)?;
    defer(move || drop(control.shutdown(options)));
    Ok(true)
}

/// Looks for no other change on the way.
fn removing(name: &Value, given: &Value) -> mlua::Result<Asked> {
    let leave_dependents = options::removal(given)?;
    let Value::String(name) = name else {
        let got = name.type_name();
        return Err(Error::runtime(format!("unregister_module: expected the name of a module, got {got}")));
    };
    let (remove, changed) = (BTreeSet::from([Name::from(name.to_string_lossy())]), Some(BTreeSet::new()));
    Ok(Asked(ReloadOptions { remove, leave_dependents, changed, ..ReloadOptions::default() }))
}

#[cfg(test)]
mod tests;

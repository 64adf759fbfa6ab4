//! `require('fiber')`: tasks, after the fibers of the Tarantool world.

mod drive;
mod task;

use std::sync::Arc;
use std::time::Duration;

use graceful_core::{LeaseKind, Scope};
use mlua::{
    AnyUserData, Error, Function, Lua, MetaMethod, MultiValue, Table, UserData, UserDataMethods, UserDataRef,
    Value,
};

use crate::caller::{Caller, Ties, defer, running_kind};
use crate::value::to_lua;
use drive::Drive;
use task::{End, Task};

/// Weak in its values, so that a task has one handle for as long as a script holds it.
const HANDLES: &str = "graceful.fibers";

/// A task as scripts hold it. Dropping it ends nothing: a task belongs to its module.
struct Fiber(Arc<Task>);

/// The number of the task that `object` is a handle of.
pub(crate) fn fiber_id(object: &AnyUserData) -> Option<u64> {
    object.borrow::<Fiber>().ok().map(|handle| handle.0.id())
}

/// A function `open(caller)` that makes the module `fiber` for one instance.
pub(crate) fn factory(lua: &Lua, ties: &Ties) -> mlua::Result<Function> {
    let meta = lua.create_table()?;
    meta.raw_set("__mode", "v")?;
    let handles = lua.create_table()?;
    handles.set_metatable(Some(meta))?;
    lua.set_named_registry_value(HANDLES, handles)?;
    let start = lua.create_function(|lua, (caller, f, args): (UserDataRef<Caller>, Value, MultiValue)| {
        let Value::Function(f) = f else {
            return Err(Error::runtime(format!("fiber.new: expected a function, got {}", f.type_name())));
        };
        start(lua, &caller, f, args)
    })?;
    let make = "local start, shared = ...
        local sleep, yield, self, status, cancel, join, id, name = (table.unpack or unpack)(shared)
        return function(caller)
            local function new(f, ...) return start(caller, f, ...) end
            return {
                new = new, create = new, sleep = sleep, yield = yield, self = self, status = status,
                cancel = cancel, kill = cancel, join = join, id = id, name = name,
            }
        end";
    lua.load(make).set_name("=graceful").call((start, shared(lua, ties)?))
}

/// What is the same for every instance, in the order in which the factory unpacks it.
fn shared(lua: &Lua, ties: &Ties) -> mlua::Result<Vec<Function>> {
    let ties = ties.clone();
    let sleep = lua.create_async_function(move |_, seconds: f64| {
        let (duration, world) = (Duration::try_from_secs_f64(seconds), ties.world());
        async move {
            let duration = duration
                .map_err(|_| Error::runtime(format!("fiber.sleep: {seconds} is not a number of seconds")))?;
            world?.clock.sleep(duration).await;
            Ok(())
        }
    })?;
    let give_way = lua.create_async_function(|_, ()| async {
        give_way().await;
        Ok(())
    })?;
    let current = lua.create_function(|lua, ()| Task::current().map(|task| handle(lua, task)).transpose())?;
    let status = lua.create_function(|_, fiber: Option<UserDataRef<Fiber>>| {
        Ok(fiber.map_or("running", |fiber| fiber.0.status()))
    })?;
    let cancel = lua.create_function(|_, fiber: UserDataRef<Fiber>| {
        cancel(&fiber);
        Ok(())
    })?;
    let join =
        lua.create_async_function(|lua, fiber: UserDataRef<Fiber>| async move { join(&lua, &fiber).await })?;
    let id = lua.create_function(|_, fiber: Option<UserDataRef<Fiber>>| {
        Ok(fiber.map(|fiber| fiber.0.clone()).or_else(Task::current).map(|task| task.id()))
    })?;
    let name = lua.create_function(|_, (first, second): (Value, Option<String>)| match first {
        Value::UserData(fiber) => Ok(naming(fiber.borrow::<Fiber>()?.0.clone(), second)),
        Value::String(text) => {
            Ok(Task::current().and_then(|task| naming(task, Some(text.to_string_lossy()))))
        }
        _ => Ok(Task::current().and_then(|task| naming(task, None))),
    })?;
    Ok(vec![sleep, give_way, current, status, cancel, join, id, name])
}

fn start(lua: &Lua, caller: &Caller, f: Function, args: MultiValue) -> mlua::Result<AnyUserData> {
    let scope: Arc<Scope> = caller.scope()?;
    let drive = Drive::new(&caller.ties.vm()?, scope.owner(), f, args)?;
    let task = drive.task().clone();
    let fiber = handle(lua, task.clone())?;
    scope.add(task);
    scope.defer(move || drive.start());
    Ok(fiber)
}

fn handle(lua: &Lua, task: Arc<Task>) -> mlua::Result<AnyUserData> {
    let handles: Table = lua.named_registry_value(HANDLES)?;
    let id = task.id();
    if let Some(known) = handles.raw_get::<Option<AnyUserData>>(id)? {
        return Ok(known);
    }
    let made = lua.create_userdata(Fiber(task))?;
    handles.raw_set(id, &made)?;
    Ok(made)
}

fn cancel(fiber: &Fiber) {
    let task = fiber.0.clone();
    defer(move || task.cancel());
}

/// `true` and what it returned, or `false` and why not.
async fn join(lua: &Lua, fiber: &Fiber) -> mlua::Result<MultiValue> {
    let task = &fiber.0;
    if Task::current().is_some_and(|current| current.id() == task.id()) {
        return Err(Error::runtime("a fiber cannot join itself"));
    }
    let reload = matches!(running_kind(), Some(LeaseKind::Hook | LeaseKind::Stage));
    if reload && task.is_waiting() {
        return Err(Error::runtime(
            "a fiber that is made in a reload starts at its commit and cannot be joined before",
        ));
    }
    match task.join().await {
        End::Returned(values) => {
            let values = values.iter().map(|value| to_lua(lua, value));
            std::iter::once(Ok(Value::Boolean(true))).chain(values).collect()
        }
        End::Failed(message) => refusal(lua, &message),
        End::Cancelled => refusal(lua, "cancelled"),
    }
}

fn refusal(lua: &Lua, message: &str) -> mlua::Result<MultiValue> {
    Ok(MultiValue::from_iter([Value::Boolean(false), Value::String(lua.create_string(message)?)]))
}

fn naming(task: Arc<Task>, name: Option<String>) -> Option<String> {
    match name {
        Some(name) => {
            task.set_name(name);
            None
        }
        None => Some(task.title()),
    }
}

/// Ends at its second poll.
async fn give_way() {
    let mut first = true;
    std::future::poll_fn(|cx| {
        if std::mem::take(&mut first) {
            cx.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(())
    })
    .await;
}

impl UserData for Fiber {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("id", |_, fiber, ()| Ok(fiber.0.id()));
        methods.add_method("status", |_, fiber, ()| Ok(fiber.0.status()));
        methods.add_method("name", |_, fiber, name: Option<String>| Ok(naming(fiber.0.clone(), name)));
        for alias in ["cancel", "kill"] {
            methods.add_method(alias, |_, fiber, ()| {
                cancel(fiber);
                Ok(())
            });
        }
        methods.add_async_method("join", |lua, fiber, ()| async move { join(&lua, &fiber).await });
        methods.add_meta_method(MetaMethod::ToString, |_, fiber, ()| Ok(format!("fiber: {}", fiber.0.id())));
        methods.add_meta_method(MetaMethod::Eq, |_, fiber, other: UserDataRef<Fiber>| {
            Ok(fiber.0.id() == other.0.id())
        });
    }
}

#[cfg(test)]
mod tests;

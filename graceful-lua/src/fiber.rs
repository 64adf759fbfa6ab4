//! `require('fiber')`: tasks, after the fibers of the Tarantool world, and what they wait for each other with.

mod cond;
mod drive;
mod fate;
mod task;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use graceful_core::{LeaseKind, Scope};
use mlua::{
    AnyUserData, Error, Function, Lua, MetaMethod, MultiValue, Table, UserData, UserDataMethods, UserDataRef,
    Value,
};

use crate::caller::{Caller, Ties, defer, running_kind};
use crate::value::to_lua;
use crate::waits::Waiting;
pub(crate) use cond::Cond;
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
    let make = "local start, shared, channel = ...
        return function(caller)
            local fiber = { channel = channel }
            for name, f in next, shared do fiber[name] = f end
            function fiber.new(f, ...) return start(caller, f, ...) end
            fiber.create, fiber.kill = fiber.new, fiber.cancel
            return fiber
        end";
    let shared = lua.create_table()?;
    functions(lua, &shared)?;
    waiting(lua, ties, &shared)?;
    let fate = lua.create_function(fate::Fate::make)?;
    let parts: [Function; 4] =
        [shared.raw_get("cond")?, shared.raw_get("clock")?, shared.raw_get("self")?, fate];
    let channel = lua.load(include_str!("lua/channel.lua")).set_name("=graceful");
    let channel: Function = channel.call(MultiValue::from_iter(parts.map(Value::Function)))?;
    lua.load(make).set_name("=graceful").call((start, shared, channel))
}

/// Sleeping, waiting and the time, the same for every instance.
fn waiting(lua: &Lua, ties: &Ties, into: &Table) -> mlua::Result<()> {
    let reach = ties.clone();
    let sleep = lua.create_async_function(move |_, seconds: Value| {
        let (duration, world) = (pause(&seconds), reach.world());
        async move {
            world?.clock.sleep(duration?).await;
            Ok(())
        }
    })?;
    let give_way = lua.create_async_function(|_, ()| async {
        give_way().await;
        Ok(())
    })?;
    let join = lua.create_async_function(|lua, fiber: UserDataRef<Fiber>| {
        Waiting::new(async move { join(&lua, &fiber).await })
    })?;
    into.raw_set("sleep", sleep)?;
    into.raw_set("yield", give_way)?;
    into.raw_set("join", join)?;
    let reach = ties.clone();
    into.raw_set("cond", lua.create_function(move |lua, ()| Cond::make(lua, &reach))?)?;
    let reach = ties.clone();
    into.raw_set("clock", lua.create_function(move |_, ()| Ok(reach.world()?.clock.now().as_secs_f64()))?)?;
    let time = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    into.raw_set("time", lua.create_function(move |_, ()| Ok(time()))?)
}

fn pause(seconds: &Value) -> mlua::Result<Duration> {
    let seconds = match seconds {
        Value::Integer(seconds) => *seconds as f64,
        Value::Number(seconds) => *seconds,
        other => {
            let got = other.type_name();
            return Err(Error::runtime(format!("fiber.sleep: expected a number of seconds, got {got}")));
        }
    };
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| Error::runtime(format!("fiber.sleep: {seconds} is not a number of seconds")))
}

/// What is done to fibers, the same for every instance.
fn functions(lua: &Lua, into: &Table) -> mlua::Result<()> {
    let current = lua.create_function(|lua, ()| Task::current().map(|task| handle(lua, task)).transpose())?;
    let status = lua.create_function(|_, fiber: Option<UserDataRef<Fiber>>| {
        Ok(fiber.map_or("running", |fiber| fiber.0.status()))
    })?;
    let cancel = lua.create_function(|_, fiber: UserDataRef<Fiber>| {
        cancel(&fiber);
        Ok(())
    })?;
    let set_joinable = lua.create_function(|_, (fiber, joinable): (UserDataRef<Fiber>, bool)| {
        fiber.0.set_joinable(joinable);
        Ok(())
    })?;
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
    for (key, function) in [("self", current), ("status", status), ("cancel", cancel)] {
        into.raw_set(key, function)?;
    }
    for (key, function) in [("set_joinable", set_joinable), ("id", id), ("name", name)] {
        into.raw_set(key, function)?;
    }
    Ok(())
}

fn start(lua: &Lua, caller: &Caller, f: Function, args: MultiValue) -> mlua::Result<AnyUserData> {
    let scope: Arc<Scope> = caller.scope()?;
    let drive = Drive::new(&caller.ties.vm()?, scope.owner(), f, args)?;
    let task = drive.task().clone();
    let fiber = handle(lua, task.clone())?;
    scope.add(task).map_err(mlua::Error::external)?;
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
    if !task.is_joinable() {
        return Err(Error::runtime("the fiber is not joinable"));
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

/// Ends at its second poll: whatever else is ready to run does so before.
pub(crate) async fn give_way() {
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
        methods.add_method("set_joinable", |_, fiber, joinable: bool| {
            fiber.0.set_joinable(joinable);
            Ok(())
        });
        methods
            .add_async_method("join", |lua, fiber, ()| Waiting::new(async move { join(&lua, &fiber).await }));
        methods.add_meta_method(MetaMethod::ToString, |_, fiber, ()| Ok(format!("fiber: {}", fiber.0.id())));
        methods.add_meta_method(MetaMethod::Eq, |_, fiber, other: UserDataRef<Fiber>| {
            Ok(fiber.0.id() == other.0.id())
        });
    }
}

#[cfg(test)]
mod meet;
#[cfg(test)]
mod tests;

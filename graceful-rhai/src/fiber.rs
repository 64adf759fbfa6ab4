//! `fiber`: tasks in scripts. Rhai keeps the words `new`, `spawn` and `yield` to itself, so one is made by
//! `create`.

use std::sync::Arc;
use std::time::Duration;

use graceful_core::Lease;
use rhai::{Dynamic, Engine, FnPtr, ImmutableString, Module, NativeCallContext};

use crate::bind::at_home;
use crate::failure::{Thrown, fail, placed, thrown};
use crate::task::{Fiber, Stage, Task};
use crate::unit::{here, stopped};
use crate::{channel, cond, wait};

/// The functions of `fiber`.
pub(crate) fn module() -> Module {
    let mut module = Module::new();
    module.set_id("fiber");
    module.set_native_fn("create", |cx: NativeCallContext, function: FnPtr| {
        placed(&cx, create(&cx, None, function))
    });
    module.set_native_fn("create", |cx: NativeCallContext, name: ImmutableString, function: FnPtr| {
        placed(&cx, create(&cx, Some(name.to_string()), function))
    });
    module.set_native_fn("sleep", |cx: NativeCallContext, seconds: f64| placed(&cx, sleep(&cx, seconds)));
    module.set_native_fn("sleep", |cx: NativeCallContext, seconds: i64| {
        placed(&cx, sleep(&cx, seconds as f64))
    });
    module.set_native_fn("cancel", |cx: NativeCallContext, fiber: Fiber| placed(&cx, cancel(&cx, &fiber)));
    module.set_native_fn("kill", |cx: NativeCallContext, fiber: Fiber| placed(&cx, cancel(&cx, &fiber)));
    module.set_native_fn("status", |fiber: Fiber| Ok(status(&fiber)));
    module.set_native_fn("pause", |cx: NativeCallContext| placed(&cx, sleep(&cx, 0.0)));
    module.set_native_fn("current", || {
        Ok(Task::running().map_or(Dynamic::UNIT, |task| Dynamic::from(Fiber(task))))
    });
    module.set_native_fn("set_joinable", |fiber: Fiber, joinable: bool| {
        fiber.0.set_joinable(joinable);
        Ok(())
    });
    cond::functions(&mut module);
    channel::functions(&mut module);
    module.set_native_fn("join", |cx: NativeCallContext, fiber: Fiber| placed(&cx, join(&cx, &fiber)));
    module.build_index();
    module
}

/// What a task's handle can do; and Rhai's own `sleep`, which nothing could interrupt.
pub(crate) fn register(engine: &mut Engine) {
    engine.register_fn("sleep", |cx: NativeCallContext, seconds: f64| sleep(&cx, seconds.max(0.0)));
    engine.register_fn("sleep", |cx: NativeCallContext, seconds: i64| sleep(&cx, seconds.max(0) as f64));
    engine.register_type_with_name::<Fiber>("Fiber");
    engine.register_fn("cancel", |cx: NativeCallContext, fiber: Fiber| cancel(&cx, &fiber));
    engine.register_fn("kill", |cx: NativeCallContext, fiber: Fiber| cancel(&cx, &fiber));
    engine.register_fn("status", |fiber: Fiber| status(&fiber));
    engine.register_fn("join", |cx: NativeCallContext, fiber: Fiber| join(&cx, &fiber));
    engine.register_fn("set_joinable", |fiber: Fiber, joinable: bool| fiber.0.set_joinable(joinable));
    engine.register_get("name", |fiber: &mut Fiber| {
        fiber.0.name().map_or(Dynamic::UNIT, |name| name.to_owned().into())
    });
    engine.register_get("id", |fiber: &mut Fiber| fiber.id() as i64);
    engine.register_fn("==", |one: Fiber, other: Fiber| one.id() == other.id());
    engine.register_fn("!=", |one: Fiber, other: Fiber| one.id() != other.id());
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |fiber: &mut Fiber| format!("fiber {} ({})", fiber.id(), status(fiber)));
    }
}

/// Starts a task: at commit if a reload is under way here, else at once.
fn create(cx: &NativeCallContext, name: Option<String>, function: FnPtr) -> Thrown<Fiber> {
    let unit = here(cx)?;
    let task = Task::new(&unit, name, at_home(function));
    unit.scope().map_err(fail)?.add(task.clone()).map_err(|replaced| thrown(replaced.to_string()))?;
    Ok(Fiber(task))
}

/// Lets time pass. A task's turn ends meanwhile, so that no reload waits for it.
fn sleep(cx: &NativeCallContext, seconds: f64) -> Thrown<()> {
    let world = here(cx)?.runtime.world().map_err(fail)?;
    let duration = Duration::try_from_secs_f64(seconds);
    let duration = duration.map_err(|_| thrown(format!("cannot sleep for {seconds} seconds")))?;
    wait::paused(|| wait::sleep(&*world.clock, duration)).map_err(stopped)
}

/// Ends a task: at commit if a reload is under way here, else now. One that has ended stays as it is.
fn cancel(cx: &NativeCallContext, fiber: &Fiber) -> Thrown<()> {
    let task: Arc<Task> = fiber.0.clone();
    let within_reload = Lease::current_intents().is_some();
    if within_reload {
        here(cx)?.scope().map_err(fail)?.defer(move || task.cancel());
    } else {
        task.cancel();
    }
    Ok(())
}

fn status(fiber: &Fiber) -> ImmutableString {
    match fiber.0.stage() {
        Stage::Waiting => "waiting".into(),
        Stage::Running => "running".into(),
        Stage::Done(_) => "done".into(),
        Stage::Failed(_) => "failed".into(),
        Stage::Cancelled => "cancelled".into(),
    }
}

/// Waits for a task's end and gives what it returned.
fn join(cx: &NativeCallContext, fiber: &Fiber) -> Thrown<Dynamic> {
    here(cx)?;
    if Lease::current_intents().is_some() && matches!(fiber.0.stage(), Stage::Waiting) {
        return Err(thrown("the fiber starts when the reload is done, so nothing can wait for it before"));
    }
    if !fiber.0.is_joinable() {
        return Err(thrown("nobody may wait for this fiber: it was made not joinable"));
    }
    wait::paused(|| wait::wait(fiber.0.ended())).map_err(stopped)?;
    match fiber.0.stage() {
        Stage::Done(value) => Ok(value),
        Stage::Failed(message) => Err(thrown(message)),
        _ => Err(thrown("the fiber was cancelled")),
    }
}

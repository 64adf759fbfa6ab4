//! `fiber::cond()`: whoever waits at it goes on when somebody says that there is something to look at.

use std::sync::Arc;
use std::time::Duration;

use event_listener::{Event, IntoNotification};
use graceful_core::Lease;
use rhai::{Dynamic, Engine, Module, NativeCallContext};

use crate::failure::{Thrown, fail, thrown};
use crate::unit::{here, stopped};
use crate::value::kind;
use crate::wait;

/// What is waited at. Holds nothing that a rollback would have to put back.
#[derive(Clone, Default)]
pub(crate) struct Cond(Arc<Event>);

/// The part of `fiber` that makes conditions.
pub(crate) fn functions(module: &mut Module) {
    module.set_native_fn("cond", || Ok(Cond::default()));
}

/// What a condition can do.
pub(crate) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Cond>("Cond");
    engine.register_fn("wait", |cx: NativeCallContext, cond: Cond| wait(&cx, &cond, None));
    engine.register_fn("wait", |cx: NativeCallContext, cond: Cond, seconds: Dynamic| {
        wait(&cx, &cond, limit("wait", &seconds)?)
    });
    engine.register_fn("signal", |cx: NativeCallContext, cond: Cond| wake(&cx, cond, 1));
    engine.register_fn("broadcast", |cx: NativeCallContext, cond: Cond| wake(&cx, cond, usize::MAX));
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |_: &mut Cond| "cond");
    }
}

/// How long a wait may last, as a script says it; infinity is for ever.
pub(crate) fn limit(of: &str, seconds: &Dynamic) -> Thrown<Option<Duration>> {
    let number = seconds.as_float().or_else(|_| seconds.as_int().map(|whole| whole as f64));
    let number = number.map_err(|_| thrown(format!("{of}: expected seconds, got {}", kind(seconds))))?;
    if number > 1e9 {
        return Ok(None);
    }
    let limit = Duration::try_from_secs_f64(if number < 0.0 { 0.0 } else { number });
    limit.map(Some).map_err(|_| thrown(format!("{of}: {number} is not a number of seconds")))
}

/// Whether it was woken before the time was over.
fn wait(cx: &NativeCallContext, cond: &Cond, limit: Option<Duration>) -> Thrown<bool> {
    let world = here(cx)?.runtime.world().map_err(fail)?;
    // Listens from now on, while nobody else is in the module: whoever comes next may signal.
    let listener = cond.0.listen();
    let until = limit.map(|limit| world.clock.now() + limit);
    let woken = wait::paused(|| wait::until(&*world.clock, until, listener)).map_err(stopped)?;
    Ok(woken.is_some())
}

/// In a reload it waits for the commit: before that nothing is there that live code could look at.
fn wake(cx: &NativeCallContext, cond: Cond, how_many: usize) -> Thrown<()> {
    here(cx)?;
    let wake = move || {
        cond.0.notify(how_many.additional());
    };
    match Lease::current_intents() {
        Some(intents) => intents.defer(wake),
        None => wake(),
    }
    Ok(())
}

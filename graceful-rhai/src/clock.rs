//! `clock`: what time it is, and how long something took, by the names of the Tarantool world.
//!
//! `time` and `realtime` are seconds since 1970, `monotonic` seconds that never go back, from the host's own
//! clock; on Unix `proc` is what the program used of the processor, `of_thread` what the thread used that calls. With `64`
//! behind their names they are whole nanoseconds. (Rhai keeps the word `thread` to itself, but not `thread64`.) `bench(f, [arguments])` gives `[seconds, result]`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rhai::{Array, Dynamic, FnPtr, Module, NativeCallContext};

use crate::failure::{Thrown, fail, placed};
use crate::unit::here;

/// The functions of `clock`.
pub(crate) fn module() -> Module {
    let mut module = Module::new();
    module.set_id("clock");
    for name in ["time", "realtime"] {
        reads(&mut module, name, |_| Ok(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()));
    }
    reads(&mut module, "monotonic", monotonic);
    #[cfg(unix)]
    {
        use rustix::time::ClockId;
        reads(&mut module, "proc", |_| Ok(used(ClockId::ProcessCPUTime)));
        for name in ["thread", "of_thread"] {
            reads(&mut module, name, |_| Ok(used(ClockId::ThreadCPUTime)));
        }
    }
    module.set_native_fn("bench", |cx: NativeCallContext, function: FnPtr| {
        placed(&cx, bench(&cx, &function, Array::new()))
    });
    module.set_native_fn("bench", |cx: NativeCallContext, function: FnPtr, args: Array| {
        placed(&cx, bench(&cx, &function, args))
    });
    module.build_index();
    module
}

/// Under `name` the seconds, and under `name64` the nanoseconds that `read` gives.
fn reads(module: &mut Module, name: &str, read: fn(&NativeCallContext) -> Thrown<Duration>) {
    module.set_native_fn(name, move |cx: NativeCallContext| Ok(read(&cx)?.as_secs_f64()));
    module.set_native_fn(format!("{name}64"), move |cx: NativeCallContext| {
        Ok(i64::try_from(read(&cx)?.as_nanos()).unwrap_or(i64::MAX))
    });
}

fn monotonic(cx: &NativeCallContext) -> Thrown<Duration> {
    Ok(here(cx)?.runtime.world().map_err(fail)?.clock.now())
}

#[cfg(unix)]
fn used(clock: rustix::time::ClockId) -> Duration {
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

/// What a call took of the processor, where that can be told, and what it returned.
fn bench(cx: &NativeCallContext, function: &FnPtr, args: Array) -> Thrown<Array> {
    #[cfg(unix)]
    let now = || Ok(used(rustix::time::ClockId::ProcessCPUTime));
    #[cfg(not(unix))]
    let now = || monotonic(cx);
    let began: Thrown<Duration> = now();
    let began = began?;
    let result = function.call_raw(cx, None, args)?;
    let took: Thrown<Duration> = now();
    Ok(vec![Dynamic::from(took?.saturating_sub(began).as_secs_f64()), result])
}

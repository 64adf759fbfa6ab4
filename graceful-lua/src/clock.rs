//! `require('clock')`: what time it is, and how long something took, by the names of the Tarantool world.
//!
//! `time` and `realtime` are seconds since 1970, `monotonic` seconds that never go back, from the host's own
//! clock, `proc` seconds of the processor that the program used, `thread` what the thread used that runs this (on
//! Unix; a call that waits may go on on another one). With `64` behind their names they are whole
//! nanoseconds (on LuaJIT as far as a float holds them). `bench(f, ...)` gives `{seconds, results...}`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mlua::{Function, Lua, Table, Value};

use crate::caller::Ties;

/// A function `open(caller)` that gives the module `clock`, the same for every instance.
pub(crate) fn factory(lua: &Lua, ties: &Ties) -> mlua::Result<Function> {
    let reach = ties.clone();
    let monotonic = move || reach.world().map(|world| world.clock.now());
    let time = || Ok(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let clock = lua.create_table()?;
    reads(lua, &clock, &["time", "realtime"], time)?;
    reads(lua, &clock, &["monotonic"], monotonic)?;
    if let Some(os) = lua.globals().raw_get::<Option<Table>>("os")?
        && let Some(used) = os.raw_get::<Option<Function>>("clock")?
    {
        reads(lua, &clock, &["proc"], move || Ok(Duration::from_secs_f64(used.call::<f64>(())?.max(0.0))))?;
    }
    #[cfg(unix)]
    reads(lua, &clock, &["thread"], || Ok(of_thread()))?;
    let bench = "local clock = ...
        return function(f, ...)
            local began = (clock.proc or clock.monotonic)()
            local function finish(...) return { (clock.proc or clock.monotonic)() - began, ... } end
            return finish(f(...))
        end";
    let bench: Function = lua.load(bench).set_name("=graceful").call(&clock)?;
    clock.raw_set("bench", bench)?;
    lua.create_function(move |lua, _: Value| {
        let own = lua.create_table()?;
        clock.for_each::<Value, Value>(|name, function| own.raw_set(name, function))?;
        Ok(own)
    })
}

/// The time of the processor that this thread used.
#[cfg(unix)]
fn of_thread() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// Under each of `names` the seconds, and under `name64` the nanoseconds that `read` gives.
fn reads(
    lua: &Lua,
    clock: &Table,
    names: &[&str],
    read: impl Fn() -> mlua::Result<Duration> + Clone + Send + Sync + 'static,
) -> mlua::Result<()> {
    let whole = read.clone();
    let seconds = lua.create_function(move |_, ()| Ok(read()?.as_secs_f64()))?;
    let nanos =
        lua.create_function(move |_, ()| Ok(u64::try_from(whole()?.as_nanos()).unwrap_or(u64::MAX)))?;
    for name in names {
        clock.raw_set(*name, &seconds)?;
        clock.raw_set(format!("{name}64"), &nanos)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use graceful_core::Value;

    use crate::testing::Bench;

    #[test]
    fn reg_10_time_is_the_systems_and_monotonic_the_hosts() {
        let bench = Bench::app(
            "local clock, fiber = require 'clock', require 'fiber'
            return {
                now = function() return clock.monotonic() end,
                slept = function()
                    local a, b = clock.monotonic(), clock.monotonic64()
                    fiber.sleep(2)
                    return { clock.monotonic() - a == 2, clock.monotonic64() - b == 2e9 }
                end,
                time = function()
                    return clock.time() > 1.7e9 and clock.time64() / 1e9 - clock.realtime() < 60 and clock.proc() > 0
                end,
                bench = function()
                    local took = clock.bench(function(a, b) return b, a end, 1, 2)
                    return { took[1] >= 0, took[2], took[3] }
                end,
                thread = function()
                    local before, whole, n = clock.thread(), clock.thread64(), 0
                    for i = 1, 2000000 do n = n + i end
                    local used = clock.thread() - before
                    return { used > 0, used < 60, clock.thread64() > whole }
                end,
            }",
        );
        if cfg!(unix) {
            assert_eq!(
                bench.call("thread").unwrap(),
                Value::List(vec![true.into(), true.into(), true.into()])
            );
        }
        bench.call("now").unwrap();
        assert_eq!(bench.call("slept").unwrap(), Value::List(vec![true.into(), true.into()]));
        assert_eq!(bench.call("time").unwrap(), true.into());
        let took = Value::List(vec![true.into(), 2.into(), 1.into()]);
        assert_eq!(bench.call("bench").unwrap(), took);
    }
}

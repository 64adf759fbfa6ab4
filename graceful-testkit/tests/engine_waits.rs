//! Who waits for what is being replaced, and how long.

mod puppet;

use std::time::Duration;

use graceful_core::*;
use puppet::{Play, Theatre};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `db`, whose new code takes its time to become live, and a native module that has never asked for it.
fn theatre(call_wait: Duration, takes: Duration) -> Theatre {
    let limits = Limits { call_wait, hook: takes * 2, exclusive: takes * 2, ..Limits::default() };
    let theatre = Theatre::with(&["db", "n"], limits);
    theatre.engine.natives().set("n", &[], |cx| {
        let cx = cx.clone();
        Ok(Native::plain().async_function("ask", move |_| {
            let cx = cx.clone();
            async move { cx.call("db", "get", vec![]).await }
        }))
    });
    theatre.set("db", Play::new().returns("get", 1));
    theatre.reload().unwrap();
    let sleep = theatre.sleeper(takes);
    theatre.set(
        "db",
        Play::new().returns("get", 2).hook("after_reload", move |_| {
            let sleep = sleep();
            async move {
                sleep.await;
                Ok(())
            }
        }),
    );
    theatre
}

#[test]
fn call_03_a_native_module_waits_for_what_is_being_replaced() {
    let theatre = theatre(ms(5000), ms(500));
    let reload = theatre.time.spawn(theatre.engine.reload(ReloadOptions::default()));
    theatre.time.pass(ms(100));
    let waits = theatre.time.clock().now();
    assert_eq!(theatre.call("n", "ask"), Ok(Value::Int(1)), "the generation that the call began in");
    assert!(theatre.time.clock().now() - waits > ms(300), "it waited");
    reload.join().unwrap();
    assert_eq!(theatre.call("n", "ask"), Ok(Value::Int(2)));
}

#[test]
fn call_03_nobody_waits_for_ever_for_what_is_being_replaced() {
    let theatre = theatre(ms(1000), ms(20_000));
    let reload = theatre.time.spawn(theatre.engine.reload(ReloadOptions::default()));
    theatre.time.pass(ms(100));
    let began = theatre.time.clock().now();
    let error = theatre.call("n", "ask").unwrap_err();
    assert_eq!((error.code().0, error.is_retryable()), ("GR0203", true));
    assert!(theatre.time.clock().now() - began < ms(1100));
    reload.join().unwrap();
    assert_eq!(theatre.call("n", "ask"), Ok(Value::Int(2)));
}

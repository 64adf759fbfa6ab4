//! What is called by key from inside a call: the caller's generation decides, as everywhere.

mod puppet;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use graceful_core::*;
use puppet::{Play, Theatre};

struct Answer(i64);

#[async_trait]
impl Callable for Answer {
    async fn call(&self, _: Vec<Value>) -> Result<Value, CallError> {
        Ok(Value::Int(self.0))
    }
}

fn offers(answer: i64) -> Play {
    Play::new().stage(move |cx| {
        cx.instance.scope.register("route", "GET /", Arc::new(Answer(answer))).unwrap();
        async { Ok(()) }
    })
}

/// A module that asks for the route after `after`, over and over.
fn asks(theatre: &Theatre, go: &Arc<AtomicBool>) -> Play {
    let (engine, go, clock) = (theatre.engine.clone(), go.clone(), theatre.time.clock());
    Play::plain().requires(&["web"]).function("ask", move |_| {
        let (engine, go, clock) = (engine.clone(), go.clone(), clock.clone());
        async move {
            while !go.load(Ordering::SeqCst) {
                clock.sleep(Duration::from_millis(1)).await;
            }
            engine.call_registered("route", "GET /", vec![]).await
        }
    })
}

#[test]
fn call_01_a_nested_call_by_key_is_pinned_to_its_callers_generation() {
    let (theatre, go) = (Theatre::new(&["main"]), Arc::new(AtomicBool::new(false)));
    theatre.set("web", offers(1)).set("main", asks(&theatre, &go));
    theatre.reload().unwrap();
    let handle = theatre.engine.handle("main", "ask");
    let old = theatre.time.spawn(async move { handle.call(vec![]).await });
    theatre.time.settle();
    theatre.set("web", offers(2));
    theatre.reload().unwrap();
    let handle = theatre.engine.handle("main", "ask");
    let new = theatre.time.spawn(async move { handle.call(vec![]).await });
    theatre.time.settle();
    go.store(true, Ordering::SeqCst);
    assert_eq!((old.join(), new.join()), (Ok(Value::Int(1)), Ok(Value::Int(2))));
    theatre.engine.status();
    let outside = theatre.time.block_on(theatre.engine.call_registered("route", "GET /", vec![]));
    assert_eq!(outside, Ok(Value::Int(2)));
}

#[test]
fn call_01_a_key_that_a_newer_version_gave_up_is_there_for_calls_that_began_before() {
    let (theatre, go) = (Theatre::new(&["main"]), Arc::new(AtomicBool::new(false)));
    theatre.set("web", offers(1)).set("main", asks(&theatre, &go));
    theatre.reload().unwrap();
    let handle = theatre.engine.handle("main", "ask");
    let old = theatre.time.spawn(async move { handle.call(vec![]).await });
    theatre.time.settle();
    theatre.set("web", Play::new());
    theatre.reload().unwrap();
    go.store(true, Ordering::SeqCst);
    assert_eq!(old.join(), Ok(Value::Int(1)));
    let new = theatre.call("main", "ask").unwrap_err();
    assert_eq!(new.code().0, "GR0201");
}

#[test]
fn call_01_new_code_sees_what_it_registered_before_anybody_else_does() {
    let theatre = Theatre::new(&["main"]);
    theatre.set("main", offers(1));
    theatre.reload().unwrap();
    let (engine, seen) = (theatre.engine.clone(), Arc::new(Mutex::new(None)));
    let note = seen.clone();
    theatre.set(
        "main",
        offers(2).hook("after_reload", move |_| {
            let (engine, note) = (engine.clone(), note.clone());
            async move {
                *note.lock().unwrap() = Some(engine.call_registered("route", "GET /", vec![]).await);
                Err("no".into())
            }
        }),
    );
    theatre.reload().unwrap_err();
    assert_eq!(seen.lock().unwrap().take(), Some(Ok(Value::Int(2))));
    let outside = theatre.time.block_on(theatre.engine.call_registered("route", "GET /", vec![]));
    assert_eq!(outside, Ok(Value::Int(1)));
}

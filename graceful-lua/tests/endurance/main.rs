//! Many reloads of an app of fifty modules: there is as much of everything afterwards as before.

mod app;

use std::sync::Arc;
use std::time::Duration;

use app::{text, used};
use graceful_lua::LuaBackend;
use graceful_testkit::Endurance;
use graceful_testkit::endurance::{grown, is_apart};

#[test]
fn scope_05_a_thousand_reloads_of_fifty_modules_leave_nothing_behind() {
    if !is_apart("scope_05_a_thousand_reloads_of_fifty_modules_leave_nothing_behind") {
        return;
    }
    let backend = Arc::new(LuaBackend::builder().build().unwrap());
    let lua = backend.lua().clone();
    let mut app = Endurance::start(backend, text);
    (0..3).for_each(|_| app.reload_all());
    let (count, memory) = (app.count(), used(&lua));
    assert_eq!(count.owned, [("global", 50), ("own", 50), ("task", 100)]);
    assert_eq!((count.registered, count.instances, count.generations, count.in_flight), (50, 50, 1, 0));
    // LuaJIT first fills its room for traces.
    let warm = if cfg!(feature = "luajit") { 397 } else { 97 };
    app.reloads(warm);
    used(&lua);
    let process = Endurance::process_memory();
    app.reloads(997 - warm);
    assert_eq!(app.count(), count);
    let (last, process_last) = (used(&lua), Endurance::process_memory());
    println!("the VM: {memory} and {last} bytes; the process: {process:?} and {process_last:?}");
    // What was dropped last waits in the VM for the next reload, or until so much lies about that it is tidied up.
    let flat = |last| grown(memory, last) < 2.0;
    let again = |app: &mut Endurance| {
        lua.load("for n = 1, 100 do local _ = ('x'):rep(65536) .. n end").exec().unwrap();
        app.reloads(1);
        std::thread::sleep(Duration::from_millis(200));
        used(&lua)
    };
    assert!(flat(last) || (0..10).any(|_| flat(again(&mut app))), "the VM: {memory} and {last} bytes");
    if let (Some(first), Some(last)) = (process, process_last) {
        let settle = || {
            used(&lua);
        };
        assert!(app.is_flat(first, last, settle), "the process: {first} and {last} bytes, and more");
    }
}

//! Many reloads of an app of fifty modules: there is as much of everything afterwards as before.

use graceful_rhai::RhaiBackend;
use graceful_testkit::Endurance;
use graceful_testkit::endurance::is_apart;

/// Has a route, a task that the next version replaces, one that it takes over, a state, and a closure of each version
/// in it.
fn text(name: &str, requires: Option<&str>, edit: usize) -> String {
    let below = requires.map_or(String::new(), |below| format!("import \"{below}\" as below;"));
    let ask = if requires.is_some() { "below::get()" } else { "0" };
    format!(
        "{below}
         let me = graceful::register_module(\"{name}\", #{{
             version: \"1.0.{edit}\",
             init: |me| {{
                 me.state.n = 0;
                 me.state.kept = fiber::create(|| loop {{ fiber::sleep(1.0); }});
             }},
             before_reload: |me| {{ me.state.last = [me.state.n]; }},
             after_reload: |me| {{ me.state.n += 1; }},
         }});
         let state = me.state;
         state.ask = || {ask};
         http::route(\"GET\", \"/{name}\", |request| {edit});
         graceful::own(\"thing\", [], |thing| ());
         fiber::create(|| loop {{ fiber::sleep(0.5); }});
         fn get() {{ {edit} }}"
    )
}

#[test]
fn scope_05_a_thousand_reloads_of_fifty_modules_leave_nothing_behind() {
    if !is_apart("scope_05_a_thousand_reloads_of_fifty_modules_leave_nothing_behind") {
        return;
    }
    let mut app = Endurance::start(RhaiBackend::builder().build(), text);
    (0..3).for_each(|_| app.reload_all());
    let count = app.count();
    assert_eq!(count.owned, [("own", 50), ("task", 100)]);
    assert_eq!((count.registered, count.instances, count.generations, count.in_flight), (50, 50, 1, 0));
    app.reloads(97);
    let process = Endurance::process_memory();
    app.reloads(900);
    assert_eq!(app.count(), count);
    let process_last = Endurance::process_memory();
    println!("the process: {process:?} and {process_last:?}");
    if let (Some(first), Some(last)) = (process, process_last) {
        assert!(app.is_flat(first, last, || ()), "the process: {first} and {last} bytes, and more");
    }
}

//! What old generations leave in memory: nothing.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use graceful_rhai::RhaiBackend;
use support::{App, committed};

/// Counts how many of it are alive.
struct Counted(Arc<AtomicI64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An app whose scripts can make counted values by `counted()`.
fn counting(texts: &[(&str, &str)]) -> (App, Arc<AtomicI64>) {
    let alive = Arc::<AtomicI64>::default();
    let made = alive.clone();
    let counted = move || {
        made.fetch_add(1, Ordering::SeqCst);
        Arc::new(Counted(made.clone()))
    };
    let configure = |engine: &mut rhai::Engine| {
        engine.register_fn("counted", counted);
    };
    let backend = RhaiBackend::builder().configure(configure).build();
    (App::with(texts, backend), alive)
}

fn text(n: usize, tail: &str) -> String {
    format!(
        "import \"low\" as low;
         let me = graceful::register_module(\"a\");
         const held = counted();
         let state = me.state;
         state.closure = || [held, low::value(), me.state];
         state.nested = graceful::table(#{{ back: state, closure: || held }});
         http::route(\"GET\", \"/a\", |request| held);
         fiber::create(|| loop {{ fiber::sleep(0.001); held; }});
         {tail}
         fn f() {{ {n} }}"
    )
}

#[test]
fn scope_05_old_generations_and_failed_ones_are_dropped() {
    let (app, alive) =
        counting(&[("a", &text(0, "")), ("low", "const held = counted(); fn value() { held }")]);
    committed(app.reload());
    for n in 1..30 {
        app.edit("a", &text(n, "throw 1;"));
        app.refused();
        app.edit("a", &text(n, ""));
        if n % 3 == 0 {
            app.edit("low", &format!("const held = counted(); fn value() {{ held }} // {n}"));
        }
        committed(app.reload());
    }
    app.until("only the live generation is left", || alive.load(Ordering::SeqCst) == 2);
    app.edit("a", "fn f() { 0 }");
    committed(app.reload());
    // The state is kept as long as the module is, and holds the closures of the last generation that set them.
    assert_eq!(alive.load(Ordering::SeqCst), 2);
    app.engine.set_entries(["low"]);
    app.sources.remove("a");
    committed(app.reload());
    app.until("only `low` is left", || alive.load(Ordering::SeqCst) == 1);
    drop(app);
    let gone = || alive.load(Ordering::SeqCst) == 0;
    (0..1_000).take_while(|_| !gone()).for_each(|_| std::thread::sleep(std::time::Duration::from_millis(5)));
    assert!(gone());
}

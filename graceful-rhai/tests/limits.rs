//! What takes memory, time or depth without end is stopped, and the process goes on.

mod support;

use std::time::{Duration, Instant};

use graceful_core::CallError;
use graceful_rhai::{Limits, RhaiBackend};
use support::{App, committed};

/// What is nested without end, each in its own way. Each is worked on in a loop.
const DEEP: &[(&str, &str)] = &[
    ("a list in a list", "let a = []; for i in 0..200000 { a = [a]; }"),
    ("moved and not copied", "let a = [[]]; loop { a = [[a.pop()]]; }"),
    ("a map in a map", "let a = #{}; loop { a = #{ next: a }; }"),
    ("a map in a map, moved", "let a = [#{}]; loop { a = [#{ next: a.pop() }]; }"),
    ("in place", "let a = [[1]]; loop { let b = [a.pop()]; a.push(b); }"),
    ("by a native function", "let a = [1]; loop { a = mapped(a); }"),
    ("bound arguments", "let a = [|x| 1]; loop { a = [Fn(\"f\").curry(a.pop())]; }"),
    ("closures", "let a = || 1; loop { let b = a; a = || b.call(); }"),
    ("`this` and nothing else", "let a = [[]]; a.wrap_for_ever();"),
    ("a function that does it", "let a = [[]]; loop { a = wrapped(a); }"),
    ("caught", "let a = []; loop { try { loop { a = [a]; } } catch {} }"),
    ("a list that holds itself twice", "let a = [1]; loop { a = [a, a]; }"),
    ("a list that takes itself in", "let a = [1]; loop { a.push(a); }"),
];

/// What gets big without getting deep.
const BIG: &[(&str, &str)] = &[
    ("a text doubled", "let s = \"x\"; loop { s += s; }"),
    ("a text doubled by another", "let s = \"x\"; loop { let t = s + s; s = t; }"),
    ("a list doubled", "let a = [1]; loop { a += a; }"),
    ("a blob doubled", "let a = blob(8); loop { a += a; }"),
    ("texts in a list", "let a = []; let t = \"x\".padded(9000); loop { a.push(t + a.len()); }"),
    ("texts in a map", "let a = #{}; let t = \"x\".padded(9000); loop { a[`${a.len()}`] = t + a.len(); }"),
    ("a huge text at once", "let s = \"\"; s.pad(10000000000, 'x');"),
    ("a huge text of parts", "let s = \"\"; s.pad(10000000000, \"abc\");"),
    ("a huge list at once", "let a = []; a.pad(10000000000, 1);"),
    ("a huge blob at once", "let a = blob(10000000000);"),
    ("a huge blob, padded", "let a = blob(1); a.pad(10000000000, 1);"),
    ("in a closure", "let s = \"x\"; let f = || { s += s; }; loop { f.call(); }"),
];

const FUNCTIONS: &str = "
    fn f(x) { 1 }
    fn mapped(a) { [0].map(|x| a) }
    fn wrapped(a) { [[a.pop()]] }
    fn wrap_for_ever() { loop { this = [[this.pop()]]; } }
    fn padded(n) { let s = this; s.pad(n, 'x'); s }
";

fn app(text: &str) -> App {
    let limits = Limits { memory: Some(4 << 20), ..Limits::default() };
    let backend = RhaiBackend::builder().limits(limits).build();
    App::with(&[("a", text)], backend)
}

/// A top level and a call of it are stopped, each on a thread with a stack of the usual size.
fn is_stopped(name: &str, text: &str, code: &str) {
    let top = app(&format!("{FUNCTIONS} {text}"));
    let began = Instant::now();
    let failed = top.broken();
    println!("{name}: {:?} {failed}", began.elapsed());
    assert!(failed.code().0 == code, "{name}: {failed}");
    let app = app(&format!("{FUNCTIONS} fn work() {{ {text} 0 }} fn fine() {{ 1 }}"));
    committed(app.reload());
    for _ in 0..2 {
        let began = Instant::now();
        let Err(CallError::Script(error)) = app.call("a", "work") else { panic!("{name} ended") };
        println!("{name}, called: {:?} {error}", began.elapsed());
        assert!(error.code().0 == code, "{name}: {error}");
    }
    app.get("a", "fine");
}

#[test]
fn tx_03_what_is_nested_without_end_is_stopped_before_the_stack_is_too_small() {
    for (name, text) in DEEP {
        is_stopped(name, text, "GR0304");
    }
}

#[test]
fn tx_03_what_takes_memory_without_end_is_stopped() {
    for (name, text) in BIG {
        is_stopped(name, text, "GR0304");
    }
}

/// Each of them holds the one before: nothing in it is nested, and all of it goes at once.
#[test]
fn scope_05_long_chains_are_dropped() {
    let chains = [
        ("tables", "let last = (); for i in 0..20000 { last = graceful::table(#{ last: last }); }"),
        (
            "channels",
            "let last = fiber::channel(1); for i in 0..20000 { let next = fiber::channel(1); next.put(last); last = next; }",
        ),
        (
            "tables in lists",
            "let last = (); for i in 0..20000 { last = graceful::table(#{ last: [[last]] }); }",
        ),
    ];
    for (name, text) in chains {
        let app = app(&format!(
            "import \"graceful\" as graceful; import \"fiber\" as fiber; fn chained() {{ {text} 1 }}"
        ));
        committed(app.reload());
        println!("{name}");
        app.get("a", "chained");
    }
}

/// A call that runs without waiting has a limit; one that waits has as much again.
#[test]
fn a_call_that_does_not_wait_is_stopped() {
    let text =
        "import \"fiber\" as fiber; fn spins() { loop {} } fn caught() { loop { try { loop {} } catch {} } }
        fn busy() { let n = 0; while n < 2000 { n += 1; } n }
        fn waits() { for i in 0..8 { busy(); fiber::sleep(0.05); } 1 }";
    let backend = RhaiBackend::builder().turn_limit(Duration::from_millis(300)).build();
    let app = App::with(&[("a", text)], backend);
    committed(app.reload());
    for name in ["spins", "caught"] {
        let Err(CallError::Script(error)) = app.call("a", name) else { panic!("{name} ended") };
        assert_eq!(error.code().0, "GR0303", "{name}: {error}");
    }
    app.get("a", "waits");
}

//! What it costs to register and resolve many roles: `cargo bench -p graceful-testkit`.
//!
//! Prints milliseconds, and each as a ratio to loading the same modules without their being roles.

use std::time::Instant;

use graceful_core::instance::ApplyOptions;
use graceful_core::{Config, Enabled, Value};
use graceful_testkit::{App, FakeSubject, Script};

const ROLES: usize = 5_000;

/// A graph like that of a large application: each role depends on up to three earlier ones.
fn script(at: usize) -> Script {
    let below = (1..=3).filter_map(|step| at.checked_sub(step * step * 7 + step));
    let below: Vec<Value> = below.map(|at| format!("r{at}").into()).collect();
    Script::plain(&format!("r{at}")).value("dependencies", below)
}

fn took<T>(what: &str, floor: f64, work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let done = work();
    let ms = began.elapsed().as_secs_f64() * 1e3;
    let ratio = if floor > 0.0 { format!("  {:.2} of the floor", ms / floor) } else { String::new() };
    println!("{what:<58} {ms:>9.1} ms{ratio}");
    (done, ms)
}

fn main() {
    let names = || (0..ROLES).map(|at| format!("r{at}"));
    let plain =
        (0..ROLES).fold(App::of::<FakeSubject>(), |app, at| app.module(Script::plain(&format!("r{at}"))));
    let plain = plain.build();
    let (_, floor) = took("floor: as many plain modules are loaded", 0.0, || plain.must_reload());
    let app = (0..ROLES).fold(App::of::<FakeSubject>().entry("main"), |app, at| app.module(script(at)));
    let app = app.module(Script::plain("main")).start();
    let roles = app.engine().roles();
    roles.set_reload_allowed(true);
    let cfg = roles.cfg(names());
    took("5,000 roles with dependencies are loaded and registered", floor, || {
        app.time().block_on(cfg).expect("they are roles")
    });
    let all: Enabled = names().collect();
    took("which of them are enabled", floor, || roles.get_enabled_roles(&all).unwrap());
    took("and which of those no other depends on", floor, || {
        roles.get_enabled_roles_without_deps(&all).unwrap()
    });
    let options = ApplyOptions { enabled: Some(all), ..ApplyOptions::default() };
    let instance = roles.clone();
    took("a configuration is applied by all", floor, || {
        app.time().block_on(async move { instance.configure(Config::default(), options).await }).unwrap()
    });
    took("all are reloaded from a clean slate", floor, || app.time().block_on(roles.reload()).unwrap());
}

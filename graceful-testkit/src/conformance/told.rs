//! VER-06, OBS-01, OBS-03, SCOPE-05 and SCOPE-06: what a reload tells, and what is left after many.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use graceful_core::{Event, Limits, Observer, Outcome, Phase, ShutdownOptions};

use super::call::{db, slow};
use super::{in_order, says, snapshot};
use crate::op::*;
use crate::{App, Script, Subject};

/// VER-06: old and new version of each module.
pub fn ver_06_reports_and_events_show_old_and_new_versions<S: Subject>() {
    needs!(S: registers);
    let hits = |version: &str| Script::new("hits").version(version);
    let app = App::of::<S>().module(hits("1.9.0")).start();
    app.trace().clear();
    app.edit(hits("1.10.0"));
    let report = app.must_reload();
    let module = &report.modules[0];
    let version = |version: &Option<graceful_core::Version>| version.as_ref().map(ToString::to_string);
    assert_eq!((version(&module.old), version(&module.new)), (Some("1.9.0".into()), Some("1.10.0".into())));
    assert!(module.new > module.old, "10 is more than 9");
    assert!(app.trace().text().contains("staged hits 1.9.0 -> 1.10.0"), "{}", app.trace().text());
}

/// OBS-01: one event a step, in order: a module comes, goes, and one reload is undone.
pub fn obs_01_every_step_is_one_event_in_order<S: Subject>() {
    needs!(S: hooks);
    let module = |name: &str| Script::new(name).version("1.0.0").before_reload([inc("n")]);
    let (db, web) = (module("db"), module("web").requires("db"));
    let app = App::of::<S>().module(web.clone()).module(db.clone()).start();
    app.trace().clear();
    app.edit(db.version("1.1.0"));
    app.edit(web.version("1.1.0").after_reload([inc("n")]).requires("new"));
    app.edit(Script::new("new").version("1.0.0").init([]).finalize([throw("no")]));
    app.must_reload();
    let last =
        Script::new("web").version("1.2.0").requires("db").before_reload([inc("n")]).top([note("top")]);
    app.edit(last.clone());
    app.must_reload();
    app.edit(last.after_reload([throw("no")]));
    app.must_fail();
    let text = app.trace().text();
    // Where an error was thrown differs from language to language; that it was does not.
    let cut = |line: &str| line.split(" failed: ").next().unwrap_or_default().to_owned();
    let lines: Vec<String> = text.lines().map(cut).filter(|line| !line.starts_with("warning")).collect();
    snapshot::<S>(&lines.join("\n"), include_str!("snapshots/obs_01.snap"), "obs_01");
}

/// OBS-03: what was reloaded, in which order, why, and how long each phase took.
pub fn obs_03_a_report_says_what_was_done_and_why<S: Subject>() {
    needs!(S: plain);
    let app = App::of::<S>().module(slow("web", "1")).module(db("1")).start();
    app.edit(db("2"));
    let report = app.must_reload();
    assert_eq!((report.outcome, report.generation, report.reload), (Outcome::Committed, 2, 2));
    let modules: Vec<_> =
        report.modules.iter().map(|m| (m.module.to_string(), m.reason.to_string())).collect();
    assert_eq!(modules, [("db".into(), "changed".into()), ("web".into(), "depends on db".to_owned())]);
    let phases: Vec<_> = report.phases.iter().map(|time| time.phase).collect();
    assert_eq!((phases.first(), phases.last()), (Some(&Phase::Plan), Some(&Phase::Retire)));
    let text = serde_json::to_string(&report).unwrap();
    assert!(text.contains("\"committed\""), "{text}");
}

/// OBS-03: of a failure, the cause, the module, the place, and what was undone.
pub fn obs_03_a_failure_says_whose_fault_where_and_what_was_undone<S: Subject>() {
    needs!(S: hooks, texts);
    let web = Script::new("web").version("1.0.0").before_reload([inc("n")]);
    let app = App::of::<S>().module(web).start();
    app.edit(Script::new("web").after_reload([throw("out of order")]));
    let error = app.must_fail();
    says(&error, &["web", "after_reload", "out of order"]);
    assert_eq!((error.phase, error.module().map(|m| m.as_str())), (Phase::Activate, Some("web")));
    let place = error.kind.place().expect("a place");
    assert_eq!(place.file, S::origin("web"));
    let text = app.sources().text("web").unwrap();
    let line = text.lines().nth(place.line.expect("a line") as usize - 1).expect("it is in the source");
    assert!(line.contains("out of order"), "{line}");
    assert_eq!(error.report.rolled_back, ["web: state"]);
    let last = app.status().last_reload.expect("there was one");
    assert_eq!(
        (last.result.as_str(), last.code.as_deref(), last.module.as_deref()),
        ("rolled_back", Some("GR0105"), Some("web"))
    );
}

/// SCOPE-05: after many reloads there is as much as after the first.
pub fn scope_05_after_many_reloads_nothing_has_piled_up<S: Subject>() {
    needs!(S: hooks, tasks, routes);
    let hits = |n: usize| {
        let script =
            Script::new("hits").init([set("n", 0)]).top([spawn_loop([sleep(1000)])]).after_reload([inc("n")]);
        script.route("GET /n", [ret(state("n"))]).comment(&n.to_string())
    };
    let app = App::of::<S>().module(hits(0)).start();
    let world = app.engine().world();
    let left = || {
        (
            world.instances().len(),
            world.table.snapshot().len(),
            world.live("hits").unwrap().scope.resources().len(),
        )
    };
    let mut first = None;
    const MANY: usize = 300;
    for n in 1..=MANY {
        app.edit(hits(n));
        app.must_reload();
        app.trace().clear();
        assert_eq!(left(), *first.get_or_insert_with(left), "after {n} reloads");
    }
    assert_eq!(app.call_route("GET /n"), Ok((MANY as i64).into()));
}

/// SCOPE-06: an old generation that outlives its reload is named, with what holds it.
pub fn scope_06_what_holds_an_old_generation_is_named<S: Subject>() {
    needs!(S: plain, waits);
    let app = App::of::<S>().module(slow("web", "1")).module(db("1")).start();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    app.edit(db("2"));
    let report = app.must_reload();
    let held = |text: &String| text.contains("generation 1 of db") && text.contains("call in web");
    assert!(report.warnings.iter().any(held), "{:?}", report.warnings);
    app.open("go");
    old.join().unwrap();
}

/// SCOPE-06: held for longer than what old code owns may take to be released, it is a leak: one event, and a
/// place in the status until it goes. Also where the module is live no more.
pub fn scope_06_what_outlives_its_reload_for_long_is_a_leak<S: Subject>() {
    needs!(S: plain, waits);
    let limits = Limits { retire: Duration::from_millis(300), ..Limits::default() };
    let app = App::of::<S>().module(slow("web", "1")).module(db("1")).limits(limits).start();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    app.edit(Script::plain("web").top([note("new")]));
    app.remove("db");
    app.must_reload();
    let leaks = || {
        let leaks = app.status().leaks.into_iter();
        leaks.map(|leak| (leak.module, leak.born, leak.by.join(", "))).collect::<Vec<_>>()
    };
    let named = |module: &str| (module.to_owned(), 1, "call in web (generation 1)".to_owned());
    app.until("verdict", || leaks() == [named("db"), named("web")]);
    let told = |line: &str| app.trace().text().lines().filter(|found| *found == line).count();
    for line in ["leaked db: call in web (generation 1)", "leaked web: call in web (generation 1)"] {
        app.until("event", || told(line) > 0);
        assert_eq!(told(line), 1, "{}", app.trace().text());
    }
    assert_eq!(app.status().generations, 2);
    app.open("go");
    old.join().unwrap();
    app.until("end of the leak", || leaks().is_empty());
    app.until("old code to be gone", || app.status().generations == 1);
    app.until("event", || app.trace().text().contains("purged db"));
}

/// SCOPE-06: what goes in time is none.
pub fn scope_06_what_goes_in_time_is_no_leak<S: Subject>() {
    needs!(S: plain, waits);
    let app = App::of::<S>().module(slow("web", "1")).module(db("1")).start();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    app.edit(db("2"));
    app.must_reload();
    assert_eq!(app.status().leaks, []);
    app.open("go");
    old.join().unwrap();
    app.until("purge", || app.status().generations == 1);
    assert!(!app.trace().text().contains("leaked"), "{}", app.trace().text());
}

#[derive(Default)]
struct Seen(Mutex<Vec<(u64, u64, String)>>);

impl Observer for Seen {
    fn on_event(&self, event: &Event) {
        let kind = serde_json::to_value(&event.kind).expect("events are plain");
        let kind = kind["event"].as_str().expect("an event has a name").to_owned();
        self.0.lock().unwrap().push((event.seq, event.reload, kind));
    }
}

/// OBS-01: events are numbered without a gap, those of a reload carry its number, and what happens outside of
/// one carries none.
pub fn obs_01_steps_of_a_reload_carry_its_number<S: Subject>() {
    needs!(S: plain);
    let app = App::of::<S>().module(db("1")).build();
    let seen = Arc::new(Seen::default());
    app.engine().subscribe(seen.clone());
    for tag in ["1", "2"] {
        app.edit(db(tag));
        app.must_reload();
    }
    app.time().block_on(app.engine().shutdown(ShutdownOptions::default()));
    let seen = seen.0.lock().unwrap();
    assert!(seen.iter().map(|(seq, _, _)| *seq).eq(1..=seen.len() as u64), "{seen:?}");
    let mut open = 0;
    for (_, reload, kind) in seen.iter() {
        match kind.as_str() {
            "reload_started" => open += 1,
            "shutdown_started" => open = 0,
            _ => {}
        }
        // Old code is dropped whenever nothing holds it any more.
        assert!(*reload == open || kind == "purged", "{kind} carries {reload}, not {open}: {seen:?}");
    }
    assert_eq!(seen.iter().filter(|(_, _, kind)| kind == "reload_ended").count(), 2);
}

/// OBS-02: calls that wait at a gate, and how old a state is: reloads carry it over, a removal ends it.
pub fn obs_02_the_status_counts_calls_that_wait_and_how_old_states_are<S: Subject>() {
    needs!(S: hooks, waits);
    let hits = || Script::new("hits").function("look", [ret("seen")]).after_reload([note("in"), wait("go")]);
    let app = App::of::<S>().module(hits()).module(Script::new("web").requires("hits")).start();
    let shown = || app.status().modules.into_iter().find(|module| module.name == "hits").expect("it is live");
    app.time().pass(Duration::from_millis(60));
    assert_eq!((shown().waiting, app.status().calls_held), (0, 0));
    app.edit(hits().comment("again"));
    let reload = app.begin_reload();
    app.until_noted("in");
    let calls = [app.begin_call("hits", "look"), app.begin_call("hits", "look")];
    app.until("two calls at the gate", || shown().waiting == 2);
    assert_eq!(app.status().calls_held, 2);
    app.open("go");
    reload.join().unwrap();
    calls.into_iter().for_each(|call| assert_eq!(call.join(), Ok("seen".into())));
    assert_eq!((shown().waiting, app.status().calls_held), (0, 2));
    let age = shown().state_age_ms;
    assert!(age >= 60, "{age}");
    app.edit(Script::new("web"));
    app.remove("hits");
    app.must_reload();
    app.edit(hits());
    app.edit(Script::new("web").requires("hits"));
    app.must_reload();
    assert!(shown().state_age_ms < age, "it came back and began anew: {} {age}", shown().state_age_ms);
}

/// OBS-01: what takes time says how long it took.
pub fn obs_01_what_takes_time_says_how_long<S: Subject>() {
    needs!(S: hooks, waits, waits_at_load);
    let hits = || Script::new("hits").top([sleep(20)]).before_reload([sleep(20)]);
    let app = App::of::<S>().module(hits()).start();
    let seen = Arc::new(Took::default());
    app.engine().subscribe(seen.clone());
    app.edit(hits().comment("again"));
    app.must_reload();
    let seen = seen.0.lock().unwrap();
    let took =
        |kind: &str| seen.iter().filter(|(found, _)| found == kind).filter_map(|(_, took)| *took).max();
    for kind in ["staged", "hook_ran", "phase_ended", "reload_ended"] {
        assert!(took(kind) >= Some(Duration::from_millis(19)), "{kind}: {seen:?}");
    }
    assert!(took("checkpointed").is_some(), "{seen:?}");
}

#[derive(Default)]
struct Took(Mutex<Vec<(String, Option<Duration>)>>);

impl Observer for Took {
    fn on_event(&self, event: &Event) {
        let kind = serde_json::to_value(&event.kind).expect("events are plain");
        let took = &kind["took"];
        let took = took["secs"].as_u64().zip(took["nanos"].as_u64());
        let took = took.map(|(seconds, nanos)| Duration::from_secs(seconds) + Duration::from_nanos(nanos));
        self.0.lock().unwrap().push((kind["event"].as_str().unwrap_or_default().to_owned(), took));
    }
}

/// OBS-01: `init` that runs while its module registers, at a start, is a step like any other.
pub fn obs_01_init_at_a_start_is_told_with_its_time_and_its_failure<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(Script::new("db").init([note("init")])).start();
    in_order(&app.trace().text(), &["hook db init", "commit"]);
    let app = App::of::<S>().module(Script::new("db").init([throw("no")])).build();
    app.must_fail();
    let text = app.trace().text();
    let told = text.lines().find(|line| line.starts_with("hook db init failed: "));
    assert!(told.is_some_and(|line| line.contains("no")), "{text}");
}

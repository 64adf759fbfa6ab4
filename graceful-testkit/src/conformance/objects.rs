//! ST-07: objects that follow the code; ST-04: what of a state may leave its language.

use graceful_core::Value;

use crate::op::*;
use crate::{App, Script, Subject};

/// A module with an object in its state whose class has one method, which says `tag`.
fn accounts(tag: &str) -> Script {
    Script::new("bank")
        .method("Account", "say", [ret(list([tag.into(), state("account.n")]))])
        .init([make("account", "Account"), set("account.n", 1)])
        .function("ask", [ret(method("account", "say"))])
        .function("fill", [set("account.n", 2)])
}

/// ST-07: objects that are there already get the new methods, and what they hold stays.
pub fn st_07_objects_in_a_state_get_the_new_methods_with_the_commit<S: Subject>() {
    needs!(S: classes, hooks);
    let says = |tag: &str, n: i64| Value::List(vec![tag.into(), n.into()]);
    let app = App::of::<S>().module(accounts("one")).start();
    assert_eq!(app.ask("bank", "ask"), says("one", 1));
    app.ask("bank", "fill");
    app.edit(accounts("two").before_reload([]).after_reload([note(method("account", "say"))]));
    app.must_reload();
    assert_eq!(app.take_notes(), ["two 2"], "new hooks use the new methods");
    assert_eq!(app.ask("bank", "ask"), says("two", 2));
    app.edit(accounts("three"));
    app.must_reload();
    assert_eq!(app.ask("bank", "ask"), says("three", 2));
}

/// ST-07: a reload that fails, wherever that is, leaves the methods as they were.
pub fn st_07_a_failed_reload_leaves_the_methods_as_they_were<S: Subject>() {
    needs!(S: classes, hooks);
    let app = App::of::<S>().module(accounts("one")).start();
    let before = app.ask("bank", "ask");
    app.edit(accounts("two").top([throw("no")]));
    app.must_fail();
    assert_eq!(app.ask("bank", "ask"), before);
    app.edit(accounts("two").after_reload([eval(method("account", "say")), throw("no")]));
    app.must_fail();
    assert_eq!(app.ask("bank", "ask"), before);
    app.edit(accounts("two"));
    app.must_reload();
    assert_ne!(app.ask("bank", "ask"), before);
}

/// ST-07: the new methods are there for the staged code at once, for live code at the commit.
pub fn st_07_staged_methods_are_not_seen_by_live_code<S: Subject>() {
    needs!(S: classes, waits_at_load);
    let app = App::of::<S>().module(accounts("one")).start();
    let before = app.ask("bank", "ask");
    app.edit(accounts("two").top([note(method("account", "say")), wait("go")]));
    let reload = app.begin_reload();
    app.until_noted("two 1");
    assert_eq!(app.ask("bank", "ask"), before);
    app.open("go");
    reload.join().unwrap();
    assert_ne!(app.ask("bank", "ask"), before);
}

/// How many maps lie in each other in what is too deep for every language.
const DEEP: usize = 200;

/// ST-04: a state may hold itself, be deep and hold functions; what leaves the language may not.
pub fn st_04_what_is_too_deep_or_holds_itself_is_an_error_and_not_a_crash<S: Subject>() {
    needs!(S: registers, aliases, kept_functions);
    let map = || Value::Map([("n".to_owned(), 1.into())].into());
    let chain = (0..DEEP).flat_map(|n| {
        let next = format!("m{n}.next");
        [
            set(&format!("m{n}"), map()),
            if n == 0 { inc("n") } else { set(&next, state(&format!("m{}", n - 1))) },
        ]
    });
    let rest = [set("me", map()), set("me.me", state("me")), push("items", state("me")), keep("f", [])];
    let hits = Script::new("hits")
        .function("fill", chain.chain(rest))
        .function("me", [ret(state("me"))])
        .function("deep", [ret(state(&format!("m{}", DEEP - 1)))])
        .function("listed", [ret(state("items"))])
        .function("kept", [ret(state("f"))])
        .function("shallow", [ret(state("m3.next.next.next.n"))]);
    let app = App::of::<S>().module(hits.clone()).start();
    app.ask("hits", "fill");
    for function in ["me", "deep", "listed", "kept"] {
        let error = app.call("hits", function).expect_err(function);
        assert_eq!(error.code().0, "GR0206", "{function}: {error}");
    }
    app.edit(hits.comment("again"));
    app.must_reload();
    assert_eq!(app.ask("hits", "shallow"), 1.into(), "inside of the language nothing is wrong with it");
    let _ = app.digest();
}
